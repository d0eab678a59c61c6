/* SPDX-License-Identifier: Apache-2.0 */
/* What the shim has beyond OpenSSL: devices, and what it says after fork(). */
#include "duo.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <milgi/milgi.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void talk(struct duo *d)
{
    static char data[40000], got[40000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + (i >> 9));
    for (int way = 0; way < 2; way++) {
        SSL *from = way ? d->server : d->client, *to = way ? d->client : d->server;
        assert_int_equal(SSL_write(from, data, sizeof data), sizeof data);
        for (size_t n = 0; n < sizeof got;) {
            int rv = SSL_read(to, got + n, (int)(sizeof got - n));
            assert_true(rv > 0);
            n += (size_t)rv;
        }
        assert_memory_equal(data, got, sizeof data);
    }
}

/* No call of a program that knows nothing of devices is left before the device has done its part. */
static void programs_that_poll_their_socket_alone_go_on_with_every_device(void **state)
{
    static const char *const devices[] = { "pool:2", "sim:latency=1ms", "chaos:seed=11", "chaos:seed=12", "batch",
        NULL };
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (devices[i] && strcmp(devices[i], "batch") == 0 && MILGI_SSL_use_device("batch") != 1) {
            ERR_clear_error(); /* no vector lanes in this build */
            continue;
        }
        assert_int_equal(MILGI_SSL_use_device(devices[i]), 1);
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct duo d;
            duo_begin(&d);
            SSL_CTX_set_max_proto_version(d.client_ctx, version);
            SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
            SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL);
            duo_open(&d);
            talk(&d);
            assert_int_equal(SSL_shutdown(d.client), 0);
            assert_int_equal(SSL_shutdown(d.server), 0);
            duo_end(&d);
        }
    }
}

static bool has_more(SSL *ssl)
{
    struct pollfd p = { SSL_get_fd(ssl), POLLIN, 0 };
    return SSL_has_pending(ssl) || poll(&p, 1, 0) == 1;
}

/*
 * The client shows a certificate and writes at once, so that this lies behind its handshake when the server's device
 * verifies: it is for who reads, whom nothing but poll() tells. So are the records behind one that is opened elsewhere.
 */
static void what_comes_while_a_device_works_is_seen_by_who_polls(void **state)
{
    static const char *const devices[] = { "pool:2", "sim:latency=1ms", "chaos:seed=11", "chaos:seed=12" };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof devices / sizeof *devices; i++) {
        struct duo d;
        char byte;
        int server = 0;
        assert_int_equal(MILGI_SSL_use_device(devices[i / 2]), 1);
        duo_begin(&d);
        SSL_CTX_set_max_proto_version(d.client_ctx, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        assert_int_equal(SSL_CTX_use_certificate_file(d.client_ctx, file("client.pem"), SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(d.client_ctx, file("client.key"), SSL_FILETYPE_PEM), 1);
        SSL_CTX_set_verify(d.server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        assert_int_equal(SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL), 1);
        duo_connect(&d);
        while (SSL_connect(d.client) != 1)
            server = SSL_accept(d.server);
        for (int k = 0; k < 3; k++)
            assert_int_equal(SSL_write(d.client, "x", 1), 1);
        for (int k = 0; k < 1000 && server != 1; k++)
            server = SSL_accept(d.server);
        assert_int_equal(server, 1);
        for (int k = 0; k < 3; k++) {
            assert_true(has_more(d.server));
            assert_int_equal(SSL_read(d.server, &byte, 1), 1);
        }
        assert_false(has_more(d.server));
        duo_end(&d);
    }
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* While time flies nobody waits for long, and all that was to be waited for has gone by. */
static atomic_bool time_flies;
static _Atomic int64_t flown_ms;
static atomic_uint sleeps;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *t)
{
    int rv = (int)syscall(SYS_clock_gettime, clock, t);
    if (clock == CLOCK_MONOTONIC) {
        t->tv_sec += flown_ms / 1000;
        t->tv_nsec += flown_ms % 1000 * 1000000;
        t->tv_sec += t->tv_nsec / 1000000000;
        t->tv_nsec %= 1000000000;
    }
    return rv;
}

__attribute__((visibility("default"))) int poll(struct pollfd *fds, nfds_t n, int ms)
{
    bool flies = time_flies && ms > 5;
    sleeps += ms != 0;
    int rv = (int)syscall(SYS_poll, fds, n, flies ? 5 : ms);
    if (flies && rv == 0)
        flown_ms += ms;
    if (flown_ms > 3600000) { /* who waits now does so for ever */
        fprintf(stderr, "an hour has gone by\n");
        abort();
    }
    return rv;
}

static void a_byte_is_not_there(SSL *ssl)
{
    char byte;
    assert_int_equal(SSL_read(ssl, &byte, 1), -1);
    assert_int_equal(SSL_get_error(ssl, -1), SSL_ERROR_WANT_READ);
}

/*
 * The device keeps an operation for ever, whose time is over after ten seconds: from then on nothing is under way. Who
 * polls his socket is to be told so again, or he waits in a call for a peer who may be himself.
 */
static void an_operation_that_never_comes_back_is_waited_for_no_more(void **state)
{
    struct duo d;
    (void)state;
    time_flies = true;
    for (int seed = 1; seed < 5; seed++) {
        char spec[64];
        snprintf(spec, sizeof spec, "chaos:seed=%d,lose=0.3", seed);
        assert_int_equal(MILGI_SSL_use_device(spec), 1);
        duo_begin(&d);
        int64_t before = flown_ms;
        duo_open(&d);
        a_byte_is_not_there(d.client);
        a_byte_is_not_there(d.server);
        assert_true(flown_ms - before >= 9000);
        duo_end(&d);
    }
    time_flies = false;
}

static int last_bell;

/* True if the call is to be repeated at once. */
static bool waits_for_device(SSL *ssl, int rv, unsigned *asked)
{
    int fd[2] = { -1, -1 };
    size_t n = 0;
    if (rv == 1 || SSL_get_error(ssl, rv) != SSL_ERROR_WANT_ASYNC)
        return false;
    assert_true(SSL_waiting_for_async(ssl));
    assert_int_equal(SSL_get_all_async_fds(ssl, NULL, &n), 1);
    assert_int_equal(n, 2);
    assert_int_equal(SSL_get_all_async_fds(ssl, fd, &n), 1);
    last_bell = fd[1];
    struct pollfd p[2] = { { fd[0], POLLIN, 0 }, { fd[1], POLLIN, 0 } };
    struct itimerspec alarm = { 0 };
    if (time_flies && syscall(SYS_poll, p, 2, 5) == 0) { /* the clock of the descriptor does not */
        assert_int_equal(timerfd_gettime(fd[1], &alarm), 0);
        assert_true(alarm.it_value.tv_sec > 0 || alarm.it_value.tv_nsec > 0);
        assert_true(alarm.it_value.tv_sec <= 10);
        flown_ms += alarm.it_value.tv_sec * 1000 + 1000;
    } else if (!time_flies) {
        assert_true(poll(p, 2, 20000) >= 1);
    }
    (*asked)++;
    return true;
}

static void who_has_asked_for_it_is_told_that_a_device_works(void **state)
{
    struct duo d;
    unsigned asked = 0;
    int client = 0, server = 0;
    (void)state;
    /* a pool's thread may be done before anybody looks; so many operations that take so long are not */
    assert_int_equal(MILGI_SSL_use_device("sim:latency=5ms"), 1);
    duo_begin(&d);
    SSL_CTX_set_mode(d.client_ctx, SSL_MODE_ASYNC);
    SSL_CTX_set_mode(d.server_ctx, SSL_MODE_ASYNC);
    duo_connect(&d);
    for (int i = 0; i < 1000 && (client != 1 || server != 1); i++) {
        do
            client = SSL_connect(d.client);
        while (waits_for_device(d.client, client, &asked));
        do
            server = SSL_accept(d.server);
        while (waits_for_device(d.server, server, &asked));
    }
    assert_int_equal(client, 1);
    assert_int_equal(server, 1);
    assert_true(asked > 0);
    duo_end(&d);
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* Nobody runs the engine then but who is told that it is to be run. */
static void who_has_asked_for_it_is_told_that_the_time_of_an_operation_is_over(void **state)
{
    struct duo d;
    unsigned asked = 0;
    int client = 0, server = 0;
    int64_t before = flown_ms;
    (void)state;
    assert_int_equal(MILGI_SSL_use_device("chaos:seed=3,lose=0.3"), 1);
    time_flies = true;
    duo_begin(&d);
    SSL_CTX_set_mode(d.client_ctx, SSL_MODE_ASYNC);
    SSL_CTX_set_mode(d.server_ctx, SSL_MODE_ASYNC);
    duo_connect(&d);
    for (int i = 0; i < 1000 && (client != 1 || server != 1); i++) {
        client = SSL_connect(d.client);
        waits_for_device(d.client, client, &asked);
        server = SSL_accept(d.server);
        waits_for_device(d.server, server, &asked);
    }
    assert_int_equal(client, 1);
    assert_int_equal(server, 1);
    assert_true(flown_ms - before >= 9000);
    struct itimerspec rings;
    struct pollfd bell = { last_bell, POLLIN, 0 };
    assert_int_equal(syscall(SYS_poll, &bell, 1, 0), 0);
    assert_int_equal(timerfd_gettime(last_bell, &rings), 0);
    assert_true(rings.it_value.tv_sec == 0 && rings.it_value.tv_nsec == 0); /* who waits no more is not called */
    a_byte_is_not_there(d.client);
    duo_end(&d);
    time_flies = false;
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* Who has shaken hands with |a| only in part does so to the end. */
static void goes_on(struct duo *a, int a_client, unsigned *asked)
{
    int a_server = 0;
    for (int i = 0; i < 1000 && (a_client != 1 || a_server != 1); i++) {
        while (waits_for_device(a->client, a_client, asked))
            a_client = SSL_connect(a->client);
        a_server = SSL_accept(a->server);
        a_client = SSL_connect(a->client);
    }
    assert_int_equal(a_client, 1);
    assert_int_equal(a_server, 1);
}

/* Two connections of one engine: what is ready for one is taken by the call of the other, and told. */
static void who_waits_is_told_of_what_the_call_of_another_has_taken(void **state)
{
    struct duo a, b;
    unsigned asked = 0;
    int client = 0, server = 0, a_client;
    (void)state;
    assert_int_equal(MILGI_SSL_use_device("sim:latency=1ms"), 1);
    duo_begin(&a);
    SSL_CTX_set_mode(a.client_ctx, SSL_MODE_ASYNC);
    duo_connect(&a);
    duo_begin(&b);
    duo_connect(&b);
    a_client = SSL_connect(a.client);
    assert_int_equal(SSL_get_error(a.client, a_client), SSL_ERROR_WANT_ASYNC);
    duo_shake(&b, &client, &server); /* which takes longer than what a waits for, and waits for it */
    assert_int_equal(client, 1);
    goes_on(&a, a_client, &asked);
    assert_true(asked > 0);
    duo_end(&a);
    duo_end(&b);
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* The same where no time says when it is ready: the engine's descriptor has spoken, and does not any more. */
static void who_waits_for_a_thread_is_told_of_what_the_call_of_another_has_taken(void **state)
{
    struct duo a, b;
    unsigned asked = 0;
    int client = 0, server = 0, a_client = 0, fd[2];
    size_t n = 0;
    bool waits = false;
    (void)state;
    assert_int_equal(MILGI_SSL_use_device("pool:1"), 1);
    for (int i = 0; i < 1000 && !waits; i++) { /* a pool's thread may be done before anybody looks */
        if (i)
            duo_end(&a);
        duo_begin(&a);
        SSL_CTX_set_mode(a.client_ctx, SSL_MODE_ASYNC);
        duo_connect(&a);
        a_client = SSL_connect(a.client);
        waits = SSL_get_error(a.client, a_client) == SSL_ERROR_WANT_ASYNC;
    }
    assert_true(waits);
    assert_int_equal(SSL_get_all_async_fds(a.client, NULL, &n), 1);
    assert_int_equal(n, 2);
    assert_int_equal(SSL_get_all_async_fds(a.client, fd, &n), 1);
    struct pollfd engine = { fd[0], POLLIN, 0 }, bell = { fd[1], POLLIN, 0 };
    assert_int_equal(poll(&engine, 1, 20000), 1);
    assert_int_equal(poll(&bell, 1, 0), 0);
    duo_begin(&b);
    duo_connect(&b);
    duo_shake(&b, &client, &server);
    assert_int_equal(client, 1);
    assert_int_equal(poll(&bell, 1, 100), 1); /* by itself it would ring in a second */
    goes_on(&a, a_client, &asked);
    duo_end(&a);
    duo_end(&b);
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* Two connections of one engine, of which one has something at the device: the other does not wait for that. */
static void who_has_nothing_at_the_device_does_not_wait_for_it(void **state)
{
    struct duo a, b;
    (void)state;
    assert_int_equal(MILGI_SSL_use_device("sim:latency=30ms"), 1);
    duo_begin(&a);
    SSL_CTX_set_mode(a.client_ctx, SSL_MODE_ASYNC);
    duo_connect(&a);
    duo_begin(&b);
    duo_open(&b);
    a_byte_is_not_there(b.client); /* but tickets, which the device opens */
    int rv = SSL_connect(a.client);
    assert_int_equal(SSL_get_error(a.client, rv), SSL_ERROR_WANT_ASYNC);
    unsigned before = sleeps;
    a_byte_is_not_there(b.client);
    a_byte_is_not_there(b.server);
    SSL_set_mode(b.client, SSL_MODE_ASYNC);
    a_byte_is_not_there(b.client);
    assert_int_equal(sleeps, before);
    rv = SSL_connect(a.client);
    assert_int_equal(SSL_get_error(a.client, rv), SSL_ERROR_WANT_ASYNC);
    duo_end(&a);
    duo_end(&b);
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

struct end {
    SSL *ssl;
    bool client, ok;
};

#define ROUNDS 60

/* The rest of a handshake, then a byte here and there. */
static void *play(void *arg)
{
    struct end *e = arg;
    char byte = 'x';
    e->ok = (e->client ? SSL_connect(e->ssl) : SSL_accept(e->ssl)) == 1;
    for (int i = 0; i < ROUNDS && e->ok; i++)
        if (e->client)
            e->ok = SSL_write(e->ssl, &byte, 1) == 1 && SSL_read(e->ssl, &byte, 1) == 1;
        else
            e->ok = SSL_read(e->ssl, &byte, 1) == 1 && SSL_write(e->ssl, &byte, 1) == 1;
    return NULL;
}

/* Four threads with an SSL each, all of one engine: none sleeps over what another has taken. */
static void threads_may_share_an_engine(void **state)
{
    static const char *const devices[] = { "pool:2", "sim:latency=200us" };
    (void)state;
    for (size_t k = 0; k < sizeof devices / sizeof *devices; k++) {
        struct duo d[2];
        struct end end[4];
        pthread_t thread[4];
        assert_int_equal(MILGI_SSL_use_device(devices[k]), 1);
        for (int i = 0; i < 4; i++) {
            struct duo *of = &d[i / 2];
            if (i % 2 == 0) {
                duo_begin(of);
                duo_connect(of);
            }
            end[i] = (struct end){ i % 2 ? of->server : of->client, i % 2 == 0, false };
            SSL_set_mode(end[i].ssl, SSL_MODE_ASYNC);
            (void)(i % 2 ? SSL_accept(end[i].ssl) : SSL_connect(end[i].ssl)); /* here it begins, and here it lives */
            SSL_clear_mode(end[i].ssl, SSL_MODE_ASYNC);
            fcntl(of->fd[i % 2], F_SETFL, fcntl(of->fd[i % 2], F_GETFL) & ~O_NONBLOCK);
        }
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, play, &end[i]), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(thread[i], NULL);
        for (int i = 0; i < 4; i++)
            assert_true(end[i].ok);
        duo_end(&d[0]);
        duo_end(&d[1]);
    }
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

#define CROWD 70
static pthread_barrier_t all_are_there;
static atomic_uint well;

static void *shake_alone(void *arg)
{
    struct duo *d = arg;
    int client, server;
    duo_shake(d, &client, &server);
    well += client == 1 && server == 1;
    pthread_barrier_wait(&all_are_there); /* each with its engine */
    return NULL;
}

/* A pool has 64 queue pairs; who gets none computes for himself. */
static void more_threads_than_a_device_has_queues_shake_hands(void **state)
{
    struct duo d[CROWD];
    pthread_t thread[CROWD];
    (void)state;
    assert_int_equal(MILGI_SSL_use_device("pool:1"), 1);
    pthread_barrier_init(&all_are_there, NULL, CROWD);
    for (int i = 0; i < CROWD; i++) {
        duo_begin(&d[i]);
        duo_connect(&d[i]);
        assert_int_equal(pthread_create(&thread[i], NULL, shake_alone, &d[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(thread[i], NULL);
        duo_end(&d[i]);
    }
    assert_int_equal(well, CROWD);
    pthread_barrier_destroy(&all_are_there);
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

static unsigned writes_left = ~0u; /* then there is no memory */

/* In the place of the library's, which the shim finds here first. */
__attribute__((visibility("default"))) int milgi_conn_write(struct milgi_conn *conn, const void *data, size_t len)
{
    int (*real)(struct milgi_conn * of, const void *what, size_t n) =
        (int (*)(struct milgi_conn *, const void *, size_t))dlsym(RTLD_NEXT, "milgi_conn_write");
    if (writes_left == 0)
        return MILGI_ENOMEM;
    writes_left--;
    return real(conn, data, len);
}

/* A write for which there is no memory has not happened, or not all of it, and goes on when there is some. */
static void without_memory_a_write_is_to_be_repeated(void **state)
{
    static char data[200000], got[200000];
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        struct duo d;
        size_t n = 0;
        duo_begin(&d);
        duo_open(&d);
        if (waits)
            fcntl(d.fd[0], F_SETFL, fcntl(d.fd[0], F_GETFL) & ~O_NONBLOCK);
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (char)(i * 5 + (i >> 10));
        writes_left = 1;
        for (int i = 0; i < 3; i++) {
            int rv = SSL_write(d.client, data, sizeof data);
            assert_int_equal(rv, -1);
            assert_int_equal(SSL_get_error(d.client, rv), waits ? SSL_ERROR_SSL : SSL_ERROR_WANT_WRITE);
            assert_int_equal(next_reason(), waits ? ERR_R_MALLOC_FAILURE : 0);
        }
        writes_left = ~0u;
        for (int i = 0; i < 1000 && n < sizeof got; i++) {
            int rv = SSL_write(d.client, data, sizeof data);
            bool written = rv == (int)sizeof data;
            assert_true(written || (rv == -1 && SSL_get_error(d.client, rv) == SSL_ERROR_WANT_WRITE));
            while ((rv = SSL_read(d.server, got + n, (int)(sizeof got - n))) > 0)
                n += (size_t)rv;
            if (written)
                break;
        }
        assert_int_equal(n, sizeof got);
        assert_memory_equal(data, got, sizeof got);
        duo_end(&d);
    }
}

/* --- what programs ask for --------------------------------------------------------------------------------------- */

static void a_device_that_does_not_exist_is_an_error(void **state)
{
    (void)state;
    ERR_clear_error();
    assert_int_equal(MILGI_SSL_use_device("no-such-device"), 0);
    assert_int_not_equal(ERR_get_error(), 0);
    ERR_clear_error();
    struct duo d;
    duo_begin(&d);
    duo_open(&d);
    duo_end(&d);
}

static void ops_may_be_under_way_when_an_ssl_goes(void **state)
{
    (void)state;
    assert_int_equal(MILGI_SSL_use_device("pool:1"), 1);
    for (int i = 0; i < 20; i++) {
        struct duo d;
        duo_begin(&d);
        SSL_CTX_set_mode(d.client_ctx, SSL_MODE_ASYNC);
        SSL_CTX_set_mode(d.server_ctx, SSL_MODE_ASYNC);
        duo_connect(&d);
        for (int k = 0; k < i; k++) {
            SSL_connect(d.client);
            SSL_accept(d.server);
        }
        duo_end(&d);
    }
    assert_int_equal(MILGI_SSL_use_device(NULL), 1);
}

/* In the child: 0, or the line that is wrong. */
static int in_child(struct duo *parents)
{
    struct duo d = *parents;
    int client, server;
    char byte;
    ERR_clear_error();
    if (SSL_write(parents->client, "x", 1) != -1 || SSL_get_error(parents->client, -1) != SSL_ERROR_SSL)
        return 1;
    if (SSL_read(parents->server, &byte, 1) != -1 || next_reason() == 0)
        return 2;
    d.client = d.server = NULL;
    duo_connect(&d);
    duo_shake(&d, &client, &server);
    if (client != 1 || server != 1)
        return 3;
    if (SSL_write(d.client, "x", 1) != 1 || SSL_read(d.server, &byte, 1) != 1)
        return 4;
    duo_close(&d);
    return 0;
}

static void a_child_makes_connections_of_its_own(void **state)
{
    struct duo d;
    int status;
    (void)state;
    duo_begin(&d);
    duo_open(&d);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(in_child(&d));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    talk(&d);
    duo_end(&d);
}

/* A key is tried with its certificate: what is wrong shows then, and the certificate stays. */
static void a_wrong_passphrase_shows_with_the_certificate(void **state)
{
    static char wrong[] = "wrong", right[] = "secret";
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    (void)state;
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb_userdata(ctx, wrong);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key.locked"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, file("server.pem"), SSL_FILETYPE_PEM), 0);
    assert_int_equal(next_reason(), PEM_R_BAD_DECRYPT);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 0);
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb_userdata(ctx, right);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key.locked"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL); /* nobody is asked on a terminal */
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file("server.key.locked"), SSL_FILETYPE_PEM), 0);
    assert_int_equal(next_reason(), PEM_R_BAD_PASSWORD_READ);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1); /* the one that was there before */
    ERR_clear_error();
    SSL_CTX_free(ctx);
}

/* A list of OpenSSL's passes over words that it does not know, which nobody should. */
static void a_word_that_nobody_knows_is_an_error_among_others(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
    (void)state;
    ERR_clear_error();
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "HIGH:nonsense"), 0);
    assert_int_equal(next_reason(), SSL_R_NO_CIPHER_MATCH);
    assert_int_equal(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256"), 0);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION), 0);
    assert_int_equal(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT), 0);
    assert_int_equal(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN), 1);
    assert_int_equal(X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_X509_STRICT), 0);
    ERR_clear_error();
    X509_VERIFY_PARAM_free(param);
    SSL_CTX_free(ctx);
}

/* A session goes no further than what was verified when it was made. */
static void a_session_of_a_server_that_was_not_verified_is_not_offered_by_who_verifies(void **state)
{
    struct duo d;
    int client, server;
    char byte;
    (void)state;
    duo_begin(&d);
    SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL);
    for (int verified = 0; verified < 2; verified++) {
        duo_connect(&d);
        SSL_set_verify(d.client, verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        SSL_set1_host(d.client, "shim.test");
        duo_shake(&d, &client, &server);
        assert_int_equal(client, 1);
        assert_int_equal(SSL_read(d.client, &byte, 1), -1);
        SSL_SESSION *session = SSL_get1_session(d.client);
        assert_int_equal(SSL_SESSION_is_resumable(session), 1);
        SSL_shutdown(d.client);
        duo_close(&d);
        for (int other = 0; other < 2; other++) {
            duo_connect(&d);
            SSL_set_verify(d.client, SSL_VERIFY_PEER, NULL);
            SSL_set1_host(d.client, other ? "other.test" : "shim.test");
            SSL_set_session(d.client, session);
            duo_shake(&d, &client, &server);
            assert_int_equal(client, other ? -1 : 1);
            assert_int_equal(SSL_session_reused(d.client), verified && !other);
            SSL_shutdown(d.client);
            duo_close(&d);
        }
        SSL_SESSION_free(session);
    }
    duo_end(&d);
}

/* Nor does one that was made on it by who asked for another name, and did not verify. */
static void a_session_on_a_session_goes_no_further(void **state)
{
    struct duo d;
    int client, server;
    char byte;
    SSL_SESSION *session = NULL;
    static const struct {
        int mode, client, reused;
        const char *host;
    } steps[] = {
        { SSL_VERIFY_PEER, 1, 0, "shim.test" },
        { SSL_VERIFY_NONE, 1, 1, "other.test" },
        { SSL_VERIFY_PEER, -1, 0, "other.test" },
    };
    (void)state;
    duo_begin(&d);
    SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL);
    for (int i = 0; i < 3; i++) {
        duo_connect(&d);
        SSL_set_verify(d.client, steps[i].mode, NULL);
        SSL_set1_host(d.client, steps[i].host);
        SSL_set_session(d.client, session);
        duo_shake(&d, &client, &server);
        assert_int_equal(client, steps[i].client);
        assert_int_equal(SSL_session_reused(d.client), steps[i].reused);
        assert_int_equal(SSL_get_verify_result(d.client), i == 0 ? X509_V_OK : X509_V_ERR_HOSTNAME_MISMATCH);
        if (client == 1)
            assert_int_equal(SSL_read(d.client, &byte, 1), -1);
        SSL_SESSION_free(session);
        session = SSL_get1_session(d.client);
        SSL_shutdown(d.client);
        duo_close(&d);
    }
    SSL_SESSION_free(session);
    duo_end(&d);
}

/* Nor is it offered by who wants a shorter path than anybody wanted then. */
static void a_session_goes_no_deeper_than_what_was_verified(void **state)
{
    static const struct {
        int depth, reused; /* depth -1: none was said */
    } steps[] = { { -1, 0 }, { 3, 0 }, { 5, 1 }, { -1, 1 }, { 2, 0 } };
    struct duo d;
    char byte;
    SSL_SESSION *session = NULL;
    (void)state;
    duo_begin(&d);
    SSL_CTX_load_verify_locations(d.client_ctx, file("root.pem"), NULL);
    SSL_CTX_set_verify(d.client_ctx, SSL_VERIFY_PEER, NULL);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int client, server;
        duo_connect(&d);
        if (steps[i].depth >= 0)
            SSL_set_verify_depth(d.client, steps[i].depth);
        SSL_set_session(d.client, session);
        duo_shake(&d, &client, &server);
        assert_int_equal(client, 1);
        if (SSL_session_reused(d.client) != steps[i].reused)
            fail_msg("step %zu", i);
        assert_int_equal(SSL_read(d.client, &byte, 1), -1);
        if (i != 2 && i != 3) {
            SSL_SESSION_free(session);
            session = SSL_get1_session(d.client);
        }
        SSL_shutdown(d.client);
        duo_close(&d);
    }
    SSL_SESSION_free(session);
    duo_end(&d);
}

/* A list of authorities that no message holds is left out: clients choose by themselves, as they may. */
static void a_list_of_authorities_that_is_too_long_is_not_sent(void **state)
{
    struct duo d;
    (void)state;
    duo_begin(&d);
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    for (int i = 0; i < 4000; i++) {
        STACK_OF(X509_NAME) *one = SSL_load_client_CA_file(file("other.pem"));
        assert_int_equal(sk_X509_NAME_num(one), 1);
        sk_X509_NAME_push(names, sk_X509_NAME_value(one, 0));
        sk_X509_NAME_free(one);
    }
    SSL_CTX_set_client_CA_list(d.server_ctx, names);
    SSL_CTX_load_verify_locations(d.server_ctx, file("root.pem"), NULL);
    SSL_CTX_set_verify(d.server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_int_equal(SSL_CTX_use_certificate_file(d.client_ctx, file("client.pem"), SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(d.client_ctx, file("client.key"), SSL_FILETYPE_PEM), 1);
    duo_open(&d);
    assert_non_null(SSL_get0_peer_certificate(d.server));
    duo_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_that_poll_their_socket_alone_go_on_with_every_device),
        cmocka_unit_test(what_comes_while_a_device_works_is_seen_by_who_polls),
        cmocka_unit_test(an_operation_that_never_comes_back_is_waited_for_no_more),
        cmocka_unit_test(who_has_asked_for_it_is_told_that_a_device_works),
        cmocka_unit_test(who_has_asked_for_it_is_told_that_the_time_of_an_operation_is_over),
        cmocka_unit_test(who_waits_is_told_of_what_the_call_of_another_has_taken),
        cmocka_unit_test(who_waits_for_a_thread_is_told_of_what_the_call_of_another_has_taken),
        cmocka_unit_test(who_has_nothing_at_the_device_does_not_wait_for_it),
        cmocka_unit_test(threads_may_share_an_engine),
        cmocka_unit_test(more_threads_than_a_device_has_queues_shake_hands),
        cmocka_unit_test(without_memory_a_write_is_to_be_repeated),
        cmocka_unit_test(a_device_that_does_not_exist_is_an_error),
        cmocka_unit_test(ops_may_be_under_way_when_an_ssl_goes),
        cmocka_unit_test(a_child_makes_connections_of_its_own),
        cmocka_unit_test(a_word_that_nobody_knows_is_an_error_among_others),
        cmocka_unit_test(a_wrong_passphrase_shows_with_the_certificate),
        cmocka_unit_test(a_session_of_a_server_that_was_not_verified_is_not_offered_by_who_verifies),
        cmocka_unit_test(a_session_on_a_session_goes_no_further),
        cmocka_unit_test(a_session_goes_no_deeper_than_what_was_verified),
        cmocka_unit_test(a_list_of_authorities_that_is_too_long_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
