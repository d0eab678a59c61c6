/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server and a client with a thread for each connection, on sockets that wait. It is built on the shim and on
 * OpenSSL, and either meets either (tests/ssl/matrix/run).
 *
 * threads server CERTIFICATE KEY HOW   says "port N"; until SIGTERM. HOW: "own", each thread shakes hands itself; or
 *                                      "hand", one thread shakes hands with all, and others go on with them
 * threads client PORT ANCHOR BYTES CONNECTIONS
 *
 * Each client writes so many bytes in pieces and reads each back, then ends, and waits for the server's end; and looks
 * at every byte. THREADS_MAY_FAIL: one in two at least is well.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 20000u

static SSL_CTX *ctx;
static struct sockaddr_in at;
static uint64_t bytes;
static bool hands;
static atomic_uint well_n, failed_n, wrong_n, alive;
static int listener = -1;

struct task {
    SSL *ssl;
    int fd;
};

static void end(SSL *ssl, int fd)
{
    SSL_free(ssl);
    close(fd);
}

static SSL *begin(int fd)
{
    SSL *ssl = SSL_new(ctx);
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        ERR_print_errors_fp(stderr);
        exit(2);
    }
    return ssl;
}

/* --- the server --------------------------------------------------------------------------------------------------- */

static void *serve_one(void *arg)
{
    struct task task = *(struct task *)arg;
    uint8_t block[BLOCK];
    bool well = hands || SSL_accept(task.ssl) == 1;
    int n = 0;

    free(arg);
    while (well && (n = SSL_read(task.ssl, block, sizeof block)) > 0)
        well = SSL_write(task.ssl, block, n) == n;
    well = well && SSL_get_error(task.ssl, n) == SSL_ERROR_ZERO_RETURN && SSL_shutdown(task.ssl) == 1;
    *(well ? &well_n : &failed_n) += 1;
    end(task.ssl, task.fd);
    alive--;
    return NULL;
}

static void stop(int number)
{
    (void)number;
    shutdown(listener, SHUT_RDWR);
}

static int serve(void)
{
    pthread_attr_t detached;
    pthread_t thread;
    socklen_t len = sizeof at;
    int fd;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1024) ||
        getsockname(listener, (void *)&at, &len))
        return 2;
    struct sigaction act = { .sa_handler = stop };
    sigaction(SIGTERM, &act, NULL);
    printf("port %u\n", ntohs(at.sin_port));
    fflush(stdout);
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        struct task *task = malloc(sizeof *task);
        *task = (struct task){ begin(fd), fd };
        if (hands && SSL_accept(task->ssl) != 1) {
            failed_n++;
            end(task->ssl, fd);
            free(task);
            continue;
        }
        alive++;
        if (pthread_create(&thread, &detached, serve_one, task))
            return 2;
    }
    for (int i = 0; alive && i < 3000; i++)
        usleep(10000);
    pthread_attr_destroy(&detached);
    close(listener);
    printf("served %u, failed %u, alive %u\n", well_n, failed_n, alive);
    return alive ? 1 : 0;
}

/* --- the client --------------------------------------------------------------------------------------------------- */

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 37 + (i >> 10));
}

/* False: it has failed, or in |wrong| other bytes have come. */
static bool echo(SSL *ssl, uint64_t from, size_t len, bool *wrong)
{
    uint8_t out[BLOCK] = { 0 }, in[BLOCK];
    for (size_t i = 0; i < len; i++)
        out[i] = pattern(from + i);
    if (SSL_write(ssl, out, (int)len) != (int)len)
        return false;
    for (size_t got = 0; got < len;) {
        int n = SSL_read(ssl, in + got, (int)(len - got));
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    *wrong = memcmp(in, out, len) != 0;
    return !*wrong;
}

static void *meet_one(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = begin(fd);
    bool wrong = false, well = SSL_set1_host(ssl, "shim.test") == 1;

    well = well && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 && SSL_connect(ssl) == 1;
    for (uint64_t sent = 0; well && sent < bytes;) {
        size_t len = bytes - sent < BLOCK ? (size_t)(bytes - sent) : BLOCK;
        well = echo(ssl, sent, len, &wrong);
        sent += len;
    }
    well = well && SSL_shutdown(ssl) >= 0 && SSL_shutdown(ssl) == 1;
    if (!well && !getenv("THREADS_MAY_FAIL"))
        ERR_print_errors_fp(stderr);
    *(well ? &well_n : &failed_n) += 1;
    wrong_n += wrong;
    end(ssl, fd);
    return arg;
}

static int meet(unsigned n)
{
    pthread_t *thread = calloc(n, sizeof *thread);
    for (unsigned i = 0; i < n; i++)
        if (pthread_create(&thread[i], NULL, meet_one, NULL))
            return 2;
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    free(thread);
    printf("threads: %u well, %u failed, %u wrong\n", well_n, failed_n, wrong_n);
    return wrong_n || (getenv("THREADS_MAY_FAIL") ? well_n * 2 < n : well_n != n);
}

int main(int argc, char **argv)
{
    bool client = argc == 6 && strcmp(argv[1], "client") == 0;
    if (!client && (argc != 5 || strcmp(argv[1], "server") != 0))
        return 2;
    signal(SIGPIPE, SIG_IGN);
    at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ctx = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    if (!ctx)
        return 2;
    int rv = 2;
    if (client) {
        at.sin_port = htons((uint16_t)atoi(argv[2]));
        bytes = strtoull(argv[4], NULL, 10);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (SSL_CTX_load_verify_locations(ctx, argv[3], NULL) == 1)
            rv = meet((unsigned)strtoul(argv[5], NULL, 10));
    } else if (SSL_CTX_use_certificate_chain_file(ctx, argv[2]) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) == 1) {
        hands = strcmp(argv[4], "hand") == 0;
        rv = serve();
    }
    SSL_CTX_free(ctx);
    return rv;
}
