/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends a file to each client that comes, one after the other: example_ktls CHAIN.pem KEY.pem FILE. Where the kernel
 * has TLS it seals, and the file's bytes never come here; where it has not, this process does. Prints its port, and for
 * each client who has sealed; ends with its standard input.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <milgi_ktls.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct client {
    int fd;
    struct milgi_conn *conn;
    struct milgi_ktls *ktls;
    struct milgi_iov out[256]; /* of on_output, which the socket has not taken */
    size_t out_n;
    bool open, ended, closed, asked; /* asked: the kernel has said whether it seals */
} c;

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    (void)conn, (void)arg;
    for (size_t i = 0; i < n && c.out_n < 256; i++)
        c.out[c.out_n++] = iov[i];
}

static void on_record(struct milgi_conn *conn, void *arg, uint8_t type, const struct milgi_iov *iov, size_t n)
{
    milgi_ktls_record(c.ktls, type, iov, n), (void)conn, (void)arg;
}

static void on_keys(struct milgi_conn *conn, void *arg, int direction, const struct milgi_traffic_keys *keys)
{
    milgi_ktls_keys(c.ktls, direction, keys), (void)conn, (void)arg;
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    c.open = true, (void)conn, (void)arg;
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    c.closed = true, (void)conn, (void)arg, (void)reason;
}

static void write_out(void)
{
    size_t i = 0;
    for (; i < c.out_n; i++) {
        ssize_t n = send(c.fd, c.out[i].data, c.out[i].len, MSG_DONTWAIT | MSG_NOSIGNAL);
        size_t done = n >= 0 ? (size_t)n : errno == EAGAIN ? 0
                                                           : c.out[i].len; /* nobody is there: it is let go */
        milgi_conn_output_done(c.conn, done);
        c.out[i] = (struct milgi_iov){ (const uint8_t *)c.out[i].data + done, c.out[i].len - done };
        if (c.out[i].len)
            break;
    }
    for (size_t k = i; k < c.out_n; k++)
        c.out[k - i] = c.out[k];
    c.out_n -= i;
}

/* A record at a time: then the kernel could take receiving, too, which a server that only sends does not want. */
static void receive(void)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(c.conn, 18432);
    ssize_t n = chunk ? recv(c.fd, milgi_chunk_data(chunk), 18432, MSG_DONTWAIT) : 0;
    if (n > 0)
        milgi_conn_receive(c.conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
    else
        milgi_chunk_unref(chunk);
    if ((!n && chunk) || (n < 0 && errno != EAGAIN))
        milgi_conn_receive_eof(c.conn, n ? errno : 0);
}

/* The next of the file, by the kernel or by us. 0: there is more; 1: that was all; -1: cut, or nobody takes it. */
static int send_file(int file, int64_t *at, int64_t size)
{
    if (milgi_ktls_has(c.ktls, MILGI_SEND) && *at < size) {
        size_t moved;
        int rv = milgi_ktls_sendfile(c.ktls, file, at, (size_t)(size - *at), &moved);
        if (rv == MILGI_PAUSE)
            return 0;
        if (rv || !moved) /* sending has failed, or the file has become shorter */
            return -1;
    }
    while (*at < size && !milgi_conn_output_full(c.conn)) {
        struct milgi_chunk *chunk = milgi_conn_chunk(c.conn, 16384);
        ssize_t n = chunk ? pread(file, milgi_chunk_data(chunk), 16384, *at) : 0;
        bool sent = n > 0 &&
            milgi_conn_send(c.conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n }) >= 0;
        if (!sent)
            return milgi_chunk_unref(chunk), !chunk || n > 0 ? 0 : -1; /* no memory: later */
        *at += n;
    }
    return *at == size;
}

/*
 * on_closed says that all was handed out, not that the peer has it; and what the kernel seals it may still hold, which
 * close() would drop (milgi_ktls.h). A client that takes nothing for ten seconds is left.
 */
static void finish(void)
{
    size_t before = 0;
    for (unsigned quiet = 0, empty = 0; quiet < 1000 && empty < 2; quiet++) {
        int held = 0;
        size_t left;
        write_out();
        milgi_ktls_flush(c.ktls);
        if (ioctl(c.fd, SIOCOUTQ, &held))
            break;
        left = milgi_conn_output_pending(c.conn) + (size_t)held;
        empty = left ? 0 : empty + 1;
        quiet = left == before ? quiet : 0;
        before = left;
        struct pollfd p = { c.fd, 0, 0 };
        if (poll(&p, 1, 10) > 0) /* nobody is there any more */
            break;
    }
    shutdown(c.fd, SHUT_WR);
}

static void serve(struct milgi_engine *engine, struct milgi_config *config, int fd, int file, int64_t size)
{
    static const struct milgi_events events = {
        .on_output = on_output,
        .on_record = on_record,
        .on_keys = on_keys,
        .on_established = on_established,
        .on_closed = on_closed,
    };
    int64_t at = 0;
    c = (struct client){ .fd = fd };
    if (milgi_conn_new(engine, config, NULL, &events, NULL, &c.conn) || milgi_ktls_new(c.conn, fd, NULL, &c.ktls))
        c.closed = true;
    while (!c.closed) {
        struct milgi_run_result result;
        milgi_engine_run(engine, 0, &result);
        write_out();
        milgi_ktls_flush(c.ktls);
        if (c.open && !c.asked) {
            int rv = milgi_ktls_take(c.ktls, MILGI_SEND);
            c.asked = rv != MILGI_PAUSE;
            if (c.asked)
                dprintf(STDOUT_FILENO, "sealed by the %s\n", rv ? "process" : "kernel");
        }
        int all = c.asked && !c.ended ? send_file(file, &at, size) : 0;
        if (all > 0)
            c.ended = !milgi_conn_shutdown(c.conn); /* behind the file, and only then */
        else if (all < 0)
            c.ended = !milgi_conn_abort(c.conn, MILGI_ALERT_INTERNAL_ERROR); /* an end in order would say: this is it */
        bool waits = c.out_n || milgi_ktls_unsent(c.ktls) || (c.asked && !c.ended);
        struct pollfd p = { fd, (short)(POLLIN | (waits ? POLLOUT : 0)), 0 };
        if (result.next != MILGI_RUN_AGAIN && poll(&p, 1, 10) > 0 && p.revents & ~POLLOUT)
            receive();
    }
    if (c.ktls)
        finish();
    milgi_ktls_free(c.ktls);
    milgi_conn_free(c.conn);
    close(fd);
}

int main(int argc, char **argv)
{
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    struct milgi_credential *credential = NULL;
    struct milgi_engine *engine = NULL;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct stat about;
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), file = argc == 4 ? open(argv[3], O_RDONLY) : -1;
    if (file < 0 || fstat(file, &about) || milgi_credential_new_file(argv[1], argv[2], &credential) ||
        milgi_config_add_credential(config, credential) || milgi_config_set_hand_over(config, true) ||
        milgi_config_freeze(config, NULL) || milgi_engine_new(NULL, &engine) ||
        bind(listener, (struct sockaddr *)&address, len) || listen(listener, 16) ||
        getsockname(listener, (struct sockaddr *)&address, &len))
        return 1;
    dprintf(STDOUT_FILENO, "port %d\n", ntohs(address.sin_port));
    for (;;) {
        struct pollfd p[] = { { listener, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0 || p[1].revents)
            break;
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0)
            serve(engine, config, fd, file, about.st_size);
    }
    milgi_engine_free(engine);
    milgi_credential_unref(credential), milgi_config_unref(config);
    return 0;
}
