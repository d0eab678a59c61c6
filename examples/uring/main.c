/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over TCP in a ring of io_uring: an echo server whose signatures are made by two threads.
 *
 *   example_uring CHAIN.pem KEY.pem [PORT]
 *
 * Prints the port that it listens on. What a client sends comes back, no faster than it is read, to the client's end
 * and with an end of our own behind it. SIGTERM ends it. Where the kernel has no such ring it says so and ends with 77.
 */
#include <errno.h>
#include <milgi_uring.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct milgi_uring *uring;
static struct milgi_config *config;
static struct milgi_credential *credential;
static struct milgi_device *pool;
static volatile sig_atomic_t ends;

static void must(int rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text(rv));
    exit(1);
}

/* --- what the README shows ---------------------------------------------------------------------------------------- */

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t n)
{
    (void)arg;
    milgi_stream_forward(stream, stream, slices, n); /* back to itself: no copy, and read no faster than it is sent */
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)arg;
    milgi_stream_shutdown(stream); /* half-close, both ways */
}

static const struct milgi_stream_events events = { .on_data = on_data, .on_end = on_end };

static void on_accepted(void *arg, int fd)
{
    struct milgi_stream *stream;
    (void)arg;
    if (fd < 0) {
        fprintf(stderr, "accept: %s\n", strerror(-fd));
    } else if (milgi_uring_open(uring, fd, config, NULL, &events, NULL, &stream) < 0) {
        fprintf(stderr, "a connection was not taken\n");
        close(fd);
    }
}

static void serve(int listener)
{
    struct milgi_uring_listener *accepting;
    must(milgi_uring_listen(uring, listener, on_accepted, NULL, &accepting), "listen");
    while (milgi_uring_run(uring, -1) > 0 && !ends) {
    }
    signal(SIGTERM, SIG_DFL);            /* a second one ends us at once: the ring is not to be woken from here on */
    milgi_uring_stop(uring, NULL, NULL); /* every stream is dropped: none of them looks as if it had ended in order */
    while (milgi_uring_run(uring, -1) != MILGI_ECLOSED) {
    }
}

/* --- and what it leaves out --------------------------------------------------------------------------------------- */

static void on_term(int number)
{
    (void)number;
    ends = 1;
    milgi_uring_wake(uring);
}

static void start(const char *chain, const char *key)
{
    config = milgi_config_new(MILGI_SERVER); /* TLS 1.3, safe choices */
    must(milgi_credential_new_file(chain, key, &credential), chain);
    must(milgi_config_add_credential(config, credential), "credential");
    must(milgi_config_freeze(config, NULL), "config");
    int rv = milgi_uring_new(NULL, &uring);
    if (rv == MILGI_EUNSUPPORTED) {
        fprintf(stderr, "no io_uring here: %s\n", strerror(errno));
        exit(77);
    }
    must(rv, "engine");
    must(milgi_device_new("pool:2", &pool, NULL), "two threads");
    int index = milgi_engine_add_device(milgi_uring_engine(uring), pool);
    must(milgi_engine_route(milgi_uring_engine(uring), MILGI_OP_BIT(MILGI_OP_SIGN), (unsigned)index, 0), "route");
    signal(SIGTERM, on_term);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof address;
    if (argc < 3) {
        fprintf(stderr, "example_uring CHAIN.pem KEY.pem [PORT]\n");
        return 2;
    }
    start(argv[1], argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)(argc > 3 ? atoi(argv[3]) : 0));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128) ||
        getsockname(listener, (struct sockaddr *)&address, &len)) {
        perror("listen");
        return 1;
    }
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    serve(listener);
    close(listener);
    milgi_device_free(pool);
    milgi_config_unref(config);
    milgi_credential_unref(credential);
    return 0;
}
