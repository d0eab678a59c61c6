/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server and a client in the words of OpenSSL's manual, on sockets that do not wait, in one epoll loop each. It is
 * built on the shim and on OpenSSL, and either meets either (tests/ssl/matrix/run).
 *
 * ends server CERTIFICATE KEY    says "port N"; until SIGTERM, then says what it has seen
 * ends client PORT ANCHOR WAY BYTES CONNECTIONS
 *
 * A client begins with a letter and a number of bytes. 'e': what comes is sent back, until the client has ended; then
 * the server ends. 'f': the server sends so many bytes and ends; then the client does. Both look at every byte. Ways of
 * a client: echo; slow-read, slow-write (a little in each millisecond); first (f); abrupt (one after the other goes,
 * each a step later than the one before, and one in two at least does); try (each gets all of its bytes or an error;
 * one in two at least is well). None talks before all have shaken hands. ENDS_ASYNC: SSL_MODE_ASYNC. ENDS_TLS12: no
 * TLS 1.3. ENDS_PLAIN: 'e' without a beginning, for other echoes. ENDS_NAME: of the server, in the place of shim.test.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 16384u
#define HEAD 9u
#define TURNS 16 /* of one connection before others have theirs */

struct conn {
    struct conn *next, **link;
    SSL *ssl;
    int fd;
    unsigned events, steps;
    bool shaken, shut, ended, failed, again, paused;
    char way; /* 0: it is not known yet */
    uint8_t head[HEAD];
    size_t head_len;
    uint64_t len, sent, got;
    uint8_t out[BLOCK];
    size_t first, out_len;
};

static SSL_CTX *ctx;
static struct conn *conns;
static int loop = -1;
static bool client, tells;
static const char *way = "";
static unsigned alive, shaking, done_n, failed_n, wrong_n, gone_n;
static uint64_t bytes;
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static bool is(const char *name)
{
    return strcmp(way, name) == 0;
}

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 9));
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void watch(struct conn *c, unsigned events)
{
    struct epoll_event e = { .events = events, .data.ptr = c };
    if (events != c->events && epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &e) == 0)
        c->events = events;
}

static struct conn *begin(int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    if (!c || !(c->ssl = SSL_new(ctx)) || SSL_set_fd(c->ssl, fd) != 1) {
        ERR_print_errors_fp(stderr);
        exit(2);
    }
    c->fd = fd;
    c->events = e.events;
    c->again = true;
    c->next = conns;
    c->link = &conns;
    if (c->next)
        c->next->link = &c->next;
    conns = c;
    alive++;
    shaking++;
    if (!client && getenv("ENDS_PLAIN")) {
        c->way = 'e';
        c->head_len = HEAD;
    }
    if (getenv("ENDS_ASYNC"))
        SSL_set_mode(c->ssl, SSL_MODE_ASYNC);
    SSL_set_mode(c->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (client)
        SSL_set_connect_state(c->ssl);
    else
        SSL_set_accept_state(c->ssl);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e);
    return c;
}

static void drop(struct conn *c, bool reset)
{
    struct linger now = { 1, 0 };
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    if (reset && c->steps % 2)
        close(c->fd); /* under the connection */
    SSL_free(c->ssl);
    if (!(reset && c->steps % 2))
        close(c->fd);
    shaking -= !c->shaken;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    free(c);
    alive--;
}

/* --- one step ----------------------------------------------------------------------------------------------------- */

/* The engine's descriptor is the same for all; another one that there may be is this connection's. */
static void pause_for(struct conn *c)
{
    int fd[8];
    size_t n = 0;
    c->paused = true;
    if (SSL_get_all_async_fds(c->ssl, NULL, &n) != 1 || n > 8 || SSL_get_all_async_fds(c->ssl, fd, &n) != 1)
        exit(3);
    for (size_t i = 0; i < n; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = i == 0 ? NULL : c };
        if (epoll_ctl(loop, EPOLL_CTL_ADD, fd[i], &e) && errno != EEXIST)
            exit(3);
    }
}

/* What a call that was not successful waits for; false: it has failed. */
static bool waits(struct conn *c, int rv, unsigned *events)
{
    switch (SSL_get_error(c->ssl, rv)) {
    case SSL_ERROR_WANT_READ: *events |= EPOLLIN; return true;
    case SSL_ERROR_WANT_WRITE: *events |= EPOLLOUT; return true;
    case SSL_ERROR_WANT_ASYNC: pause_for(c); return true;
    default:
        c->failed = true;
        if (tells) {
            fprintf(stderr, "%s: error %d, errno %d, at %llu of %llu\n", client ? "client" : "server",
                SSL_get_error(c->ssl, rv), errno, (unsigned long long)c->got, (unsigned long long)c->len);
            ERR_print_errors_fp(stderr);
        }
        ERR_clear_error();
        return false;
    }
}

/* Puts what is to be sent next into |out|. */
static void fill(struct conn *c)
{
    uint64_t left = c->len - c->sent;
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    if (is("slow-write") && n > 300)
        n = 300;
    for (size_t i = 0; i < n; i++)
        c->out[i] = pattern(c->sent + i);
    c->first = 0;
    c->out_len = n;
    c->sent += n;
}

static bool may_send(const struct conn *c)
{
    return client ? c->way == 'e' || c->ended : c->way == 'f';
}

/* Sends what it has, or what it is to have; then its end. True: it has come on. */
static bool send_some(struct conn *c, unsigned *events)
{
    if (c->shut || (!client && !c->way))
        return false;
    if (c->first == c->out_len && may_send(c) && c->sent < c->len)
        fill(c);
    if (c->first < c->out_len) {
        int rv = SSL_write(c->ssl, c->out + c->first, (int)(c->out_len - c->first));
        if (rv <= 0)
            return waits(c, rv, events) && false;
        c->first += (size_t)rv;
        return true;
    }
    bool over = c->way == 'e' && !client ? c->ended : may_send(c) && c->sent == c->len;
    if (!over)
        return false;
    int rv = SSL_shutdown(c->ssl);
    if (rv < 0)
        return waits(c, rv, events) && false;
    c->shut = true;
    return true;
}

static void take(struct conn *c, const uint8_t *data, size_t n)
{
    for (; n && c->head_len < HEAD && !client; n--)
        c->head[c->head_len++] = *data++;
    if (!client && c->head_len == HEAD && !c->way) {
        c->way = (char)c->head[0];
        for (unsigned i = 1; i < HEAD; i++)
            c->len = c->len << 8 | c->head[i];
    }
    for (size_t i = 0; i < n; i++)
        if (data[i] != pattern(c->got + i)) {
            wrong_n++;
            c->failed = true;
            return;
        }
    c->got += n;
    if (!client && c->way == 'e') {
        memcpy(c->out, data, n);
        c->first = 0;
        c->out_len = n;
    }
}

static bool receive_some(struct conn *c, unsigned *events)
{
    static uint8_t block[BLOCK];
    bool echoes = !client && c->way != 'f';
    if (c->ended || (echoes && c->first < c->out_len))
        return false;
    int rv = SSL_read(c->ssl, block, is("slow-read") ? 4096 : (int)sizeof block);
    if (rv > 0) {
        take(c, block, (size_t)rv);
        return true;
    }
    if (SSL_get_error(c->ssl, rv) != SSL_ERROR_ZERO_RETURN)
        return waits(c, rv, events) && false;
    c->ended = true;
    if (c->got != c->len && (client || c->way == 'f')) {
        wrong_n++;
        c->failed = true;
    }
    return true;
}

/* A client's beginning, behind the handshakes of all. */
static void greet(struct conn *c)
{
    c->way = is("first") ? 'f' : 'e';
    c->len = bytes;
    c->out[0] = (uint8_t)c->way;
    for (unsigned i = 1; i < HEAD; i++)
        c->out[i] = (uint8_t)(c->len >> 8 * (HEAD - 1 - i));
    c->out_len = getenv("ENDS_PLAIN") ? 0 : HEAD;
}

static void step(struct conn *c)
{
    unsigned events = 0;
    c->again = c->paused = false;
    c->steps++;
    ERR_clear_error();
    if (!c->shaken) {
        int rv = SSL_do_handshake(c->ssl);
        c->shaken = rv == 1;
        shaking -= c->shaken;
        if (rv != 1)
            (void)waits(c, rv, &events);
    }
    if (c->shaken && client && !c->way && (shaking == 0 || is("abrupt")))
        greet(c);
    int turn = 0;
    bool slow = is("slow-read") || is("slow-write"), moved = c->shaken && (!client || c->way);
    for (; turn < (slow || is("abrupt") ? 1 : TURNS) && moved && !c->failed; turn++) {
        events = 0;
        moved = send_some(c, &events);
        if (!c->failed)
            moved = receive_some(c, &events) || moved;
    }
    c->again = moved && !c->failed;
    watch(c, slow ? 0 : events);
    if (c->failed || (c->shut && c->ended)) {
        failed_n += c->failed;
        done_n += !c->failed;
        drop(c, false);
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* All that may have something to do, without having been told: those that have, or wait for a device, or go slowly. */
static bool look_at_all(bool paused_too)
{
    bool more = false, slow = is("slow-read") || is("slow-write");
    for (struct conn *c = conns, *next; c; c = next) {
        next = c->next;
        bool greets = client && c->shaken && !c->way && shaking == 0;
        if (client && is("abrupt") && c->steps > gone_n % 40) {
            drop(c, gone_n++ % 3);
            continue;
        }
        if (c->again || greets || slow || (paused_too && c->paused))
            step(c);
    }
    for (struct conn *c = conns; c; c = c->next)
        more = more || c->again || (client && c->shaken && !c->way && shaking == 0);
    return more;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        begin(fd);
}

static void turn(int listener)
{
    static struct epoll_event e[256];
    bool slow = is("slow-read") || is("slow-write"), paused = false;
    bool more = look_at_all(false);
    int n = epoll_wait(loop, e, 256, more ? 0 : slow || is("abrupt") ? 1
                                                                     : 1000);
    for (int i = 0; i < n; i++) {
        if (e[i].data.ptr == &loop)
            accept_all(listener);
        else if (!e[i].data.ptr)
            paused = true;
        else
            for (struct conn *c = conns; c; c = c->next) /* it may have gone by what came before */
                if (c == e[i].data.ptr) {
                    c->again = true;
                    break;
                }
    }
    if (paused)
        look_at_all(true);
}

static int listen_on(struct sockaddr_in *at, int listener)
{
    socklen_t len = sizeof *at;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &loop };
    if (bind(listener, (struct sockaddr *)at, len) || listen(listener, 1024) || getsockname(listener, (void *)at, &len))
        return -1;
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &e);
    printf("port %u\n", ntohs(at->sin_port));
    fflush(stdout);
    return 0;
}

static int serve(char **argv, int fd)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    unsigned first = 0, last;
    if (SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) != 1 || listen_on(&at, fd))
        return 2;
    while (!stopped) {
        turn(fd);
        if (!alive && done_n && !first)
            first = descriptors(); /* engines and devices are made by then */
    }
    while (conns)
        drop(conns, false);
    last = descriptors();
    printf("served %u, failed %u, wrong %u, descriptors %u then %u\n", done_n, failed_n, wrong_n, first, last);
    close(fd);
    return wrong_n || last > first ? 1 : 0;
}

static int meet(char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    unsigned n = (unsigned)strtoul(argv[6], NULL, 10);
    at.sin_port = htons((uint16_t)atoi(argv[2]));
    way = argv[4];
    tells = !is("abrupt") && !is("try");
    bytes = strtoull(argv[5], NULL, 10);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(ctx, argv[3], NULL) != 1)
        return 2;
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at)) {
            perror("connect");
            return 2;
        }
        if (SSL_set1_host(begin(fd)->ssl, getenv("ENDS_NAME") ? getenv("ENDS_NAME") : "shim.test") != 1)
            return 2;
        if (i % 50 == 49 && !is("abrupt"))
            turn(-1);
    }
    while (conns)
        turn(-1);
    printf("%s: %u well, %u failed, %u gone, %u wrong\n", way, done_n, failed_n, gone_n, wrong_n);
    return wrong_n || (is("abrupt") ? gone_n * 2 < n : is("try") ? done_n * 2 < n
                                                                 : done_n != n);
}

int main(int argc, char **argv)
{
    client = argc == 7 && strcmp(argv[1], "client") == 0;
    if (!client && (argc != 4 || strcmp(argv[1], "server") != 0))
        return 2;
    signal(SIGPIPE, SIG_IGN);
    struct sigaction act = { .sa_handler = stop };
    sigaction(SIGTERM, &act, NULL);
    loop = epoll_create1(EPOLL_CLOEXEC);
    ctx = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    if (loop < 0 || !ctx)
        return 2;
    if (getenv("ENDS_TLS12"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    int rv = client ? meet(argv) : serve(argv, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    SSL_CTX_free(ctx);
    close(loop);
    return rv;
}
