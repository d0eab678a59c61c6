/* SPDX-License-Identifier: Apache-2.0 */
/* The client whose latency is measured. It goes before the others on its CPU, so that it waits for none of them. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "tail.h"

#define EVENTS 64
#define PATIENCE_NS UINT64_C(20000000000)

struct line {
    SSL *ssl;
    uint8_t arrived[MESSAGE]; /* what has come of the next message */
    unsigned arrived_n;
};

struct echo {
    SSL_CTX *ctx;
    struct line *lines;
    unsigned n;
    int epoll;
    uint64_t random;
    uint64_t pending; /* messages that are not back */
    struct bench_samples *us;
};

/* Marsaglia's xorshift64*. */
static double uniform(struct echo *echo)
{
    echo->random ^= echo->random >> 12;
    echo->random ^= echo->random << 25;
    echo->random ^= echo->random >> 27;
    return ((double)(echo->random * UINT64_C(2685821657736338717) >> 11) + 1) / 9007199254740993.0;
}

/* --- set up ----------------------------------------------------------------------------------------------------- */

static void shake_hands(struct line *line)
{
    struct pollfd fd = { .fd = SSL_get_fd(line->ssl) };
    int result;

    ERR_clear_error();
    while ((result = SSL_do_handshake(line->ssl)) != 1) {
        int error = SSL_get_error(line->ssl, result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            bench_die("the handshake of an echoing connection failed");
        fd.events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        if (poll(&fd, 1, 10000) <= 0)
            bench_die("no answer to the handshake of an echoing connection");
    }
}

struct echo *echo_new(const struct server *server, unsigned connections)
{
    struct echo *echo = calloc(1, sizeof *echo);

    if (!echo || !(echo->lines = calloc(connections, sizeof *echo->lines)))
        bench_die("out of memory");
    echo->ctx = client_context();
    echo->n = connections;
    echo->random = 88172645463325252u + (uint64_t)server->port;
    echo->epoll = epoll_create1(EPOLL_CLOEXEC);
    /* Without this the kernel lets a sleeper sleep 50 us longer. */
    if (echo->epoll < 0 || prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0) != 0)
        bench_die("epoll: %s", strerror(errno));
    for (unsigned i = 0; i < connections; i++) {
        struct line *line = &echo->lines[i];
        line->ssl = SSL_new(echo->ctx);
        if (!line->ssl || SSL_set_fd(line->ssl, connected(server->port)) != 1)
            bench_die("out of memory");
        SSL_set_connect_state(line->ssl);
        shake_hands(line);
        watch(echo->epoll, SSL_get_fd(line->ssl), line, true);
    }
    return echo;
}

/* --- a run ------------------------------------------------------------------------------------------------------ */

static void send_message(struct echo *echo, uint64_t intended_ns)
{
    struct line *line = &echo->lines[(unsigned)(uniform(echo) * echo->n) % echo->n];
    uint8_t message[MESSAGE] = { 0 };

    memcpy(message, &intended_ns, sizeof(intended_ns));
    if (SSL_write(line->ssl, message, (int)MESSAGE) != (int)MESSAGE)
        bench_die("an echoing connection takes nothing more");
    echo->pending++;
}

static void message_back(struct echo *echo, const uint8_t *message)
{
    uint64_t intended_ns;

    memcpy(&intended_ns, message, sizeof(intended_ns));
    bench_samples_add(echo->us, (double)(bench_now_ns() - intended_ns) / 1e3);
    echo->pending--;
}

static void receive(struct echo *echo, struct line *line)
{
    int n;

    ERR_clear_error();
    while ((n = SSL_read(line->ssl, line->arrived + line->arrived_n, (int)(MESSAGE - line->arrived_n))) > 0) {
        line->arrived_n += (unsigned)n;
        if (line->arrived_n < MESSAGE)
            continue;
        line->arrived_n = 0;
        message_back(echo, line->arrived);
    }
    if (SSL_get_error(line->ssl, n) != SSL_ERROR_WANT_READ)
        bench_die("an echoing connection ended");
}

static void wait_until(struct echo *echo, uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = bench_now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    const struct timespec timeout = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
    int n = epoll_pwait2(echo->epoll, events, EVENTS, &timeout, NULL);

    if (n < 0 && errno != EINTR)
        bench_die("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        receive(echo, events[i].data.ptr);
}

void echo_run(struct echo *echo, double seconds, double rate, struct bench_samples *us)
{
    uint64_t began = bench_now_ns();
    uint64_t end = began + (uint64_t)(seconds * 1e9);
    uint64_t due = began;

    echo->us = us;
    for (;;) {
        due += (uint64_t)(-log(uniform(echo)) * 1e9 / rate);
        if (due >= end)
            break;
        while (bench_now_ns() < due)
            wait_until(echo, due);
        send_message(echo, due);
    }
    while (echo->pending > 0) {
        if (bench_now_ns() > end + PATIENCE_NS)
            bench_die("%lu messages did not come back", (unsigned long)echo->pending);
        wait_until(echo, end + PATIENCE_NS);
    }
}

void echo_free(struct echo *echo)
{
    for (unsigned i = 0; i < echo->n; i++) {
        int fd = SSL_get_fd(echo->lines[i].ssl);
        SSL_free(echo->lines[i].ssl);
        close(fd);
    }
    close(echo->epoll);
    SSL_CTX_free(echo->ctx);
    free(echo->lines);
    free(echo);
}
