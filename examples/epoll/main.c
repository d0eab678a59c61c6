/* SPDX-License-Identifier: Apache-2.0 */
/* An echo server on epoll alone: example_epoll CHAIN.pem KEY.pem. Prints its port; ends with its standard input. */
#include <errno.h>
#include <milgi/milgi.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PEERS 1000 /* fewer than there are descriptors, so that one too many can be taken and closed */
static struct peer {
    struct milgi_conn *conn;
    size_t out_len; /* bytes of on_output that the kernel has not taken */
    time_t closed;  /* when TLS has ended; 0: not yet */
    bool readable, eof;
} peers[PEERS];                         /* by descriptor; edge-triggered, so that who is not read is heard of once */
static uint8_t out[PEERS][1024 * 1024]; /* MILGI_LIMIT_OUTPUT and a record are the most that is framed */

static void end(struct peer *p)
{
    milgi_conn_free(p->conn);
    *p = (struct peer){ 0 };
    close((int)(p - peers));
}

/* False: there is nothing to read, or it has to wait. */
static bool receive(struct peer *p)
{
    bool may = p->readable && (p->closed || !milgi_conn_input_paused(p->conn));
    size_t size = may ? milgi_conn_read_size(p->conn, 18432) : 0;
    struct milgi_chunk *chunk = milgi_conn_chunk(p->conn, size);
    if (size && !chunk) /* of a record that is begun the rest may be had even then */
        chunk = milgi_conn_chunk(p->conn, size = milgi_conn_record_rest(p->conn));
    if (!chunk)
        return false; /* no memory: perhaps in a second */
    ssize_t n = recv((int)(p - peers), milgi_chunk_data(chunk), size, MSG_DONTWAIT);
    p->readable = n > 0;
    if ((p->eof = !n || (n < 0 && errno != EAGAIN)))
        milgi_conn_receive_eof(p->conn, n ? errno : 0); /* unless it was ended in order, this is a failure */
    if (n > 0)                                          /* dropped when the connection has ended */
        milgi_conn_receive(p->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
    else
        milgi_chunk_unref(chunk);
    return n > 0;
}

/* Moves bytes and ends what is over: a connection that has ended waits for its peer for 5 seconds, or 1 MiB. */
static void settle(struct peer *p)
{
    int fd = (int)(p - peers), reads = 0;
    ssize_t n = 0;
    while (p->out_len && (n = send(fd, out[fd], p->out_len, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
        milgi_conn_output_done(p->conn, (size_t)n);
        memmove(out[fd], out[fd] + n, p->out_len -= (size_t)n);
    }
    bool gone = n < 0 && errno != EAGAIN; /* nobody is left to echo to */
    while (!gone && reads++ < 64 && receive(p)) {
    }
    if (p->closed && !p->out_len)
        shutdown(fd, SHUT_WR); /* what still comes is read, so that no reset overtakes our last record */
    if (gone || (p->closed && ((p->eof && !p->out_len) || reads > 64 || time(NULL) - p->closed > 5)))
        end(p);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct peer *p = arg;
    for (size_t i = 0; i < n; p->out_len += iov[i++].len)
        memcpy(out[p - peers] + p->out_len, iov[i].data, iov[i].len);
    settle(p), (void)conn;
}

/* Credit is given when there is room for the echo: a peer that reads slowly is read slowly. */
static void go_on(struct milgi_conn *conn, void *arg)
{
    if (!milgi_conn_output_full(conn))
        milgi_conn_consumed(conn, SIZE_MAX);
    settle(arg);
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
    ((struct peer *)arg)->closed = time(NULL);
    settle(arg), (void)conn, (void)reason;
}

/* A turn; for how many milliseconds there is nothing to do then: a second at most, since somebody may be waiting. */
static int turn(struct milgi_engine *engine)
{
    struct milgi_run_result r;
    milgi_engine_run(engine, 0, &r);
    uint64_t now = milgi_engine_now(engine), due = r.next == MILGI_RUN_WAIT ? r.deadline_ns : now;
    return r.next == MILGI_RUN_IDLE || due > now + 999000000 ? 1000 : due > now ? (int)((due - now) / 1000000) + 1
                                                                                : 0;
}

int main(int argc, char **argv)
{
    const struct milgi_events events = {
        .on_output = on_output,
        .on_data = on_data,
        .on_resume = go_on,
        .on_room = go_on,
        .on_alert = on_alert,
        .on_closed = on_closed,
    };
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    struct milgi_credential *credential = NULL;
    struct milgi_engine *engine = NULL;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event[64];
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    if (argc < 3 || listener >= PEERS || milgi_credential_new_file(argv[1], argv[2], &credential) ||
        milgi_config_add_credential(config, credential) || milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, 640000) ||
        milgi_config_freeze(config, NULL) || milgi_engine_new(NULL, &engine) ||
        bind(listener, (struct sockaddr *)&address, len) || listen(listener, 128) ||
        getsockname(listener, (struct sockaddr *)&address, &len))
        return 1;
    for (int i = 0, f[] = { listener, milgi_engine_fd(engine), STDIN_FILENO }; i < 3; i++)
        epoll_ctl(epoll, EPOLL_CTL_ADD, f[i], &(struct epoll_event){ i ? EPOLLIN : EPOLLIN | EPOLLET, { .fd = f[i] } });
    dprintf(STDOUT_FILENO, "port %d\n", ntohs(address.sin_port));
    for (bool over = false; !over;) {
        for (int i = 0, n = epoll_wait(epoll, event, 64, turn(engine)); i < n; i++)
            peers[event[i].data.fd % PEERS].readable |= (event[i].events & ~(uint32_t)EPOLLOUT) != 0,
                over |= event[i].data.fd == STDIN_FILENO;
        for (int fd; peers[listener].readable && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1;) {
            struct peer *p = &peers[fd < PEERS ? fd : 0];
            if (p == peers || milgi_conn_new(engine, config, NULL, &events, p, &p->conn))
                close(fd);
            else
                epoll_ctl(
                    epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ EPOLLIN | EPOLLOUT | EPOLLET, { .fd = fd } });
        }
        peers[listener].readable &= errno != EAGAIN; /* it failed, for want of descriptors perhaps: again in a round */
        for (struct peer *p = peers; p < peers + PEERS; p++)
            if (p->conn)
                settle(p); /* who has been heard of, who waits for memory, who has lingered */
    }
    milgi_engine_free(engine); /* and the connections, without a close_notify: nobody takes that for an end in order */
    milgi_credential_unref(credential), milgi_config_unref(config);
    return 0;
}
