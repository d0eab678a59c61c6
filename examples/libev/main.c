/* SPDX-License-Identifier: Apache-2.0 */
/* An echo server on libev: example_libev CHAIN.pem KEY.pem. Prints its port; ends with its standard input. */
#include <errno.h>
#include <ev.h>
#include <milgi/milgi.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct peer {
    struct milgi_conn *conn;
    ev_io io;
    ev_timer second; /* runs while nobody tells when it goes on: the connection has ended, or memory was wanting */
    int quiet;       /* for how many of these seconds the peer has taken nothing; after ten it is given up */
    bool closed, eof, starved;
    size_t out_len;
    uint8_t out[1024 * 1024]; /* what the kernel has not taken: MILGI_LIMIT_OUTPUT and a record are the most there is */
};

static struct milgi_engine *engine;
static struct milgi_config *config;
static ev_timer wake, listen_again;

static bool may_read(const struct peer *p)
{
    return !p->eof && (p->closed || !milgi_conn_input_paused(p->conn));
}

/* False: there is nothing to read, or it has to wait. */
static bool receive(struct peer *p)
{
    size_t size = may_read(p) ? milgi_conn_read_size(p->conn, 18432) : 0;
    struct milgi_chunk *chunk = milgi_conn_chunk(p->conn, size);
    if (size && !chunk) /* of a record that is begun the rest may be had even then */
        chunk = milgi_conn_chunk(p->conn, size = milgi_conn_record_rest(p->conn));
    p->starved = !chunk && may_read(p);
    if (!chunk)
        return false;
    ssize_t n = recv(p->io.fd, milgi_chunk_data(chunk), size, 0);
    if ((p->eof = !n || (n < 0 && errno != EAGAIN)))
        milgi_conn_receive_eof(p->conn, n ? errno : 0); /* unless it was ended in order, this is a failure */
    if (n > 0)                                          /* dropped when the connection has ended */
        milgi_conn_receive(p->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
    else
        milgi_chunk_unref(chunk);
    return n > 0;
}

/* Moves bytes, ends what is over, and says what is waited for. */
static void settle(struct ev_loop *loop, struct peer *p)
{
    ssize_t n = 0;
    for (; p->out_len && (n = send(p->io.fd, p->out, p->out_len, MSG_NOSIGNAL)) > 0; p->quiet = 0) {
        milgi_conn_output_done(p->conn, (size_t)n);
        memmove(p->out, p->out + n, p->out_len -= (size_t)n);
    }
    bool gone = n < 0 && errno != EAGAIN; /* nobody is left to echo to */
    for (int i = 0; !gone && i < 16 && receive(p); i++) {
    }
    if (p->closed && !p->out_len)
        shutdown(p->io.fd, SHUT_WR); /* what still comes is read, so that no reset overtakes our last record */
    if (gone || (p->closed && ((p->eof && !p->out_len) || p->quiet > 10))) {
        ev_io_stop(loop, &p->io), ev_timer_stop(loop, &p->second);
        milgi_conn_free(p->conn);
        close(p->io.fd), free(p);
        return;
    }
    ev_io_stop(loop, &p->io);
    ev_io_set(&p->io, p->io.fd, (may_read(p) && !p->starved ? EV_READ : 0) | (p->out_len ? EV_WRITE : 0));
    if (p->io.events)
        ev_io_start(loop, &p->io);
    if (p->closed || p->starved)
        ev_timer_start(loop, &p->second); /* nothing, if it runs */
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
    settle(loop, w->data), (void)revents;
}

static void on_second(struct ev_loop *loop, ev_timer *w, int revents)
{
    ev_timer_set(w, 1., 0.);
    ((struct peer *)w->data)->quiet++;
    settle(loop, w->data), (void)revents;
}

/* Credit is given when there is room for the echo: a peer that reads slowly is read slowly. */
static void go_on(struct milgi_conn *conn, void *arg)
{
    if (!milgi_conn_output_full(conn))
        milgi_conn_consumed(conn, SIZE_MAX);
    settle(EV_DEFAULT, arg);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct peer *p = arg;
    for (size_t i = 0; i < n; p->out_len += iov[i++].len)
        memcpy(p->out + p->out_len, iov[i].data, iov[i].len);
    go_on(conn, arg);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (milgi_conn_write(conn, slices[i].data, slices[i].len) < 0)
            milgi_conn_abort(conn, MILGI_ALERT_INTERNAL_ERROR); /* a gap must show; nothing is taken after it */
    go_on(conn, arg);
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    if (alert == MILGI_ALERT_CLOSE_NOTIFY)
        milgi_conn_shutdown(conn), (void)arg; /* behind all that is still to be echoed */
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    ((struct peer *)arg)->closed = true;
    go_on(conn, arg), (void)reason;
}

static void on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
    static const struct milgi_events events = {
        on_output, on_data, .on_resume = go_on, .on_room = go_on, .on_alert = on_alert, .on_closed = on_closed
    };
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK);
    struct peer *p = fd < 0 ? NULL : calloc(1, sizeof *p);
    if (p && milgi_conn_new(engine, config, NULL, &events, p, &p->conn) == 0) {
        ev_io_init(&p->io, on_io, fd, EV_READ);
        ev_timer_init(&p->second, on_second, 1., 0.);
        p->io.data = p->second.data = p;
        ev_io_start(loop, &p->io);
    } else if (fd >= 0) {
        free(p), close(fd);
    } else if (errno != EAGAIN) { /* for want of descriptors perhaps: again in a second */
        ev_io_stop(loop, w);
        ev_timer_start(loop, &listen_again), (void)revents;
    }
}

/* Before each sleep the engine has its turn, and says how long the sleep may be. */
static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct milgi_run_result r;
    milgi_engine_run(engine, 0, &r), (void)w, (void)revents;
    uint64_t now = milgi_engine_now(engine), due = r.next == MILGI_RUN_WAIT ? r.deadline_ns : now;
    ev_now_update(loop); /* which timers count from */
    wake.repeat = r.next == MILGI_RUN_IDLE ? 0. : (due > now ? (double)(due - now) : 1.) * 1e-9;
    ev_timer_again(loop, &wake); /* or stops it */
}

/* The loop is awake, and on_prepare does the rest; for the listener, which waited for that, it begins anew. */
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    if (revents & EV_TIMER && w->data)
        ev_io_start(loop, w->data);
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
    if (revents & EV_READ && w->fd == STDIN_FILENO)
        ev_break(loop, EVBREAK_ALL);
}

int main(int argc, char **argv)
{
    static ev_io listener, input, awake;
    static ev_prepare prepare;
    struct ev_loop *loop = ev_default_loop(0);
    struct milgi_credential *credential = NULL;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    config = milgi_config_new(MILGI_SERVER);
    if (argc < 3 || milgi_credential_new_file(argv[1], argv[2], &credential) ||
        milgi_config_add_credential(config, credential) || milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, 640000) ||
        milgi_config_freeze(config, NULL) || milgi_engine_new(NULL, &engine) ||
        bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128) ||
        getsockname(fd, (struct sockaddr *)&at, &(socklen_t){ sizeof at }))
        return 1;
    ev_io_init(&listener, on_connection, fd, EV_READ);
    ev_io_init(&awake, on_input, milgi_engine_fd(engine), EV_READ);
    ev_io_init(&input, on_input, STDIN_FILENO, EV_READ);
    ev_prepare_init(&prepare, on_prepare);
    ev_init(&wake, on_timer);
    ev_timer_init(&listen_again, on_timer, 1., 0.);
    listen_again.data = &listener;
    ev_io_start(loop, &listener), ev_io_start(loop, &awake), ev_io_start(loop, &input);
    ev_prepare_start(loop, &prepare);
    dprintf(STDOUT_FILENO, "port %d\n", ntohs(at.sin_port));
    ev_run(loop, 0);
    return 0; /* connections are left without a close_notify: nobody takes that for an end in order */
}
