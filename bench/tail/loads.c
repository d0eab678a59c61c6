/* SPDX-License-Identifier: Apache-2.0 */
/* The storm of handshakes, and RSA alone: both behind everything else on their CPU. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tail.h"

#define EVENTS 64

/* --- clients ---------------------------------------------------------------------------------------------------- */

static int accept_any(X509_STORE_CTX *store, void *unused)
{
    (void)store;
    (void)unused;
    return 1;
}

SSL_CTX *client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set1_groups_list(ctx, "X25519") != 1)
        bench_die("libssl: cannot set up a client");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    /* Without this, libssl builds and verifies the chain even when nobody wants the verdict. */
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    return ctx;
}

int connected(int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        bench_die("no socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        bench_die("cannot connect: %s", strerror(errno));
    return fd;
}

/* --- the storm -------------------------------------------------------------------------------------------------- */

struct client {
    SSL *ssl;
};

static void next_handshake(struct client *client, SSL_CTX *ctx, int epoll, int port)
{
    int fd = connected(port);

    client->ssl = SSL_new(ctx);
    if (!client->ssl || SSL_set_fd(client->ssl, fd) != 1)
        bench_die("out of memory");
    SSL_set_connect_state(client->ssl);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_die("epoll: %s", strerror(errno));
}

static void hang_up(struct client *client)
{
    int fd = SSL_get_fd(client->ssl);

    SSL_free(client->ssl);
    close(fd);
    client->ssl = NULL;
}

/* True: its handshake is over. */
static bool go_on(struct client *client)
{
    ERR_clear_error();
    int result = SSL_do_handshake(client->ssl);
    int error = result == 1 ? 0 : SSL_get_error(client->ssl, result);

    if (error != 0 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        bench_die("a handshake of the storm failed");
    return error == 0;
}

static void *storm(void *arg)
{
    struct load *load = arg;
    SSL_CTX *ctx = client_context();
    struct client *clients = calloc(load->clients, sizeof *clients);
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (!clients || epoll < 0)
        bench_die("out of memory");
    for (unsigned i = 0; i < load->clients; i++)
        next_handshake(&clients[i], ctx, epoll, load->port);
    while (!atomic_load(&load->stop)) {
        int n = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (!go_on(client))
                continue;
            (void)atomic_fetch_add(&load->done, 1);
            hang_up(client);
            next_handshake(client, ctx, epoll, load->port);
        }
    }
    for (unsigned i = 0; i < load->clients; i++)
        hang_up(&clients[i]);
    close(epoll);
    free(clients);
    SSL_CTX_free(ctx);
    return NULL;
}

/* --- RSA alone -------------------------------------------------------------------------------------------------- */

static void nap(uint64_t ns)
{
    const struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

    nanosleep(&t, NULL);
}

static void *burn(void *arg)
{
    struct load *load = arg;
    EVP_PKEY *key = bench_key(&load->ground->cert);
    EVP_PKEY_CTX *sign = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    static const unsigned char digest[32] = { 1 };
    unsigned char signature[1024];
    uint64_t began = bench_now_ns();

    if (!sign || EVP_PKEY_sign_init(sign) != 1 || EVP_PKEY_CTX_set_signature_md(sign, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(sign, RSA_PKCS1_PSS_PADDING) != 1)
        bench_die("libcrypto: cannot sign");
    while (!atomic_load(&load->stop)) {
        double due = load->rate * (double)(bench_now_ns() - began) / 1e9;
        size_t len = sizeof signature;
        if ((double)atomic_load(&load->done) >= due) {
            nap(200000);
            continue;
        }
        if (EVP_PKEY_sign(sign, signature, &len, digest, sizeof digest) != 1)
            bench_die("libcrypto: cannot sign");
        (void)atomic_fetch_add(&load->done, 1);
    }
    EVP_PKEY_CTX_free(sign);
    EVP_PKEY_free(key);
    return NULL;
}

/* --- both ------------------------------------------------------------------------------------------------------- */

static void begin(struct load *load, enum bench_rank rank, void *(*run)(void *))
{
    atomic_store(&load->stop, false);
    atomic_store(&load->done, 0);
    load->thread = bench_thread(load->ground->place.other, rank, run, load);
}

void storm_begin(struct load *load)
{
    begin(load, BENCH_SECOND, storm);
}

void burn_begin(struct load *load)
{
    begin(load, BENCH_LAST, burn);
}

void load_end(struct load *load)
{
    atomic_store(&load->stop, true);
    pthread_join(load->thread, NULL);
}
