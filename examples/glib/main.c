/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An echo server in GLib's main loop: example_glib CHAIN.pem KEY.pem. Prints its port; ends with its standard input.
 * The engine is a GSource, and so is each connection.
 */
#include <errno.h>
#include <glib-unix.h>
#include <milgi/milgi.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

struct peer {
    GSource source; /* first */
    gpointer tag;   /* of its descriptor */
    int fd;
    struct milgi_conn *conn;
    GByteArray *out; /* what the kernel has not taken: at most MILGI_LIMIT_OUTPUT and a record */
    gint64 moved;    /* when the peer took something last; after ten seconds it is given up */
    gboolean closed, eof, starved;
};

static GMainLoop *loop;
static GSource *source; /* of the engine */
static struct milgi_engine *engine;
static struct milgi_config *config;

static gboolean may_read(const struct peer *p)
{
    return !p->eof && (p->closed || !milgi_conn_input_paused(p->conn));
}

/* FALSE: there is nothing to read, or it has to wait. */
static gboolean receive(struct peer *p)
{
    size_t size = may_read(p) ? milgi_conn_read_size(p->conn, 18432) : 0;
    struct milgi_chunk *chunk = milgi_conn_chunk(p->conn, size);
    if (size && !chunk) /* of a record that is begun the rest may be had even then */
        chunk = milgi_conn_chunk(p->conn, size = milgi_conn_record_rest(p->conn));
    p->starved = !chunk && may_read(p);
    if (!chunk)
        return FALSE;
    gssize n = recv(p->fd, milgi_chunk_data(chunk), size, 0);
    if ((p->eof = !n || (n < 0 && errno != EAGAIN)))
        milgi_conn_receive_eof(p->conn, n ? errno : 0); /* unless it was ended in order, this is a failure */
    if (n > 0)                                          /* dropped when the connection has ended */
        milgi_conn_receive(p->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
    else
        milgi_chunk_unref(chunk);
    return n > 0;
}

/* Moves bytes, and says what is waited for. G_SOURCE_REMOVE: it is over. */
static gboolean settle(struct peer *p, GIOCondition told)
{
    gint64 now = g_get_monotonic_time();
    gssize n = 0;
    for (; p->out->len && (n = send(p->fd, p->out->data, p->out->len, MSG_NOSIGNAL)) > 0; p->moved = now) {
        milgi_conn_output_done(p->conn, (size_t)n);
        g_byte_array_remove_range(p->out, 0, (guint)n);
    }
    /* nobody is left to echo to: poll() says so whatever it was asked */
    gboolean gone = (n < 0 && errno != EAGAIN) || (!p->closed && told & (G_IO_HUP | G_IO_ERR));
    for (int i = 0; !gone && i < 16 && receive(p); i++) {
    }
    if (p->closed && !p->out->len)
        shutdown(p->fd, SHUT_WR); /* what still comes is read, so that no reset overtakes our last record */
    if (gone || (p->closed && ((p->eof && !p->out->len) || now - p->moved > 10 * G_USEC_PER_SEC)))
        return G_SOURCE_REMOVE;
    GIOCondition wanted = (may_read(p) && !p->starved ? G_IO_IN : 0) | (p->out->len ? G_IO_OUT : 0);
    g_source_modify_unix_fd(&p->source, p->tag, wanted);
    /* nobody tells when it goes on if it has ended, or memory was wanting: it looks after itself in a second */
    g_source_set_ready_time(&p->source, p->closed || p->starved ? now + G_USEC_PER_SEC : -1);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch_peer(GSource *s, GSourceFunc fn, gpointer arg)
{
    return (void)fn, (void)arg, settle((struct peer *)s, g_source_query_unix_fd(s, ((struct peer *)s)->tag));
}

static void free_peer(GSource *s)
{
    struct peer *p = (struct peer *)s;
    milgi_conn_free(p->conn);
    g_byte_array_unref(p->out);
    close(p->fd);
}

/* Credit is given when there is room for the echo: a peer that reads slowly is read slowly. */
static void go_on(struct milgi_conn *conn, void *arg)
{
    struct peer *p = arg;
    if (!milgi_conn_output_full(conn))
        milgi_conn_consumed(conn, SIZE_MAX);
    if (!settle(p, 0))
        milgi_conn_free(conn), p->conn = NULL, g_source_destroy(&p->source);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g_byte_array_append(((struct peer *)arg)->out, iov[i].data, (guint)iov[i].len);
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
    ((struct peer *)arg)->closed = TRUE;
    go_on(conn, arg), (void)reason;
}

static gboolean on_connection(int listener, GIOCondition told, gpointer arg);

static gboolean listen_again(gpointer listener)
{
    return g_unix_fd_add(GPOINTER_TO_INT(listener), G_IO_IN, on_connection, NULL), G_SOURCE_REMOVE;
}

static gboolean on_connection(int listener, GIOCondition told, gpointer arg)
{
    static const struct milgi_events events = {
        on_output, on_data, .on_resume = go_on, .on_room = go_on, .on_alert = on_alert, .on_closed = on_closed
    };
    static GSourceFuncs functions = { NULL, NULL, dispatch_peer, free_peer, NULL, NULL };
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 && errno != EAGAIN) { /* for want of descriptors perhaps: again in a second */
        g_timeout_add_seconds(1, listen_again, GINT_TO_POINTER(listener));
        return G_SOURCE_REMOVE;
    }
    struct peer *p = (struct peer *)g_source_new(&functions, sizeof *p);
    p->fd = fd, p->out = g_byte_array_new(), p->moved = g_get_monotonic_time();
    if (fd >= 0 && milgi_conn_new(engine, config, NULL, &events, p, &p->conn) == 0) {
        p->tag = g_source_add_unix_fd(&p->source, fd, G_IO_IN);
        g_source_attach(&p->source, NULL);
    }
    g_source_unref(&p->source); /* the loop has a reference, or nobody */
    return (void)told, (void)arg, G_SOURCE_CONTINUE;
}

/* The engine is runnable. */
static void schedule(void *arg, struct milgi_engine *e)
{
    g_source_set_ready_time(source, 0), (void)arg, (void)e;
}

static gboolean dispatch_engine(GSource *s, GSourceFunc fn, gpointer arg)
{
    struct milgi_run_result r;
    milgi_engine_run(engine, 0, &r); /* its clock is that of GLib's monotonic time, in nanoseconds */
    gint64 soon = r.next == MILGI_RUN_IDLE ? -1 : 0;
    g_source_set_ready_time(s, r.next == MILGI_RUN_WAIT ? (gint64)(r.deadline_ns / 1000) + 1 : soon);
    return (void)fn, (void)arg, G_SOURCE_CONTINUE;
}

static gboolean on_input(int fd, GIOCondition told, gpointer arg)
{
    return g_main_loop_quit(loop), (void)fd, (void)told, (void)arg, G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
    static GSourceFuncs functions = { NULL, NULL, dispatch_engine, NULL, NULL, NULL };
    struct milgi_engine_options options;
    struct milgi_credential *credential = NULL;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    config = milgi_config_new(MILGI_SERVER);
    milgi_engine_options_init(&options);
    options.schedule = schedule;
    loop = g_main_loop_new(NULL, FALSE);
    source = g_source_new(&functions, sizeof(GSource));
    if (argc < 3 || milgi_credential_new_file(argv[1], argv[2], &credential) ||
        milgi_config_add_credential(config, credential) || milgi_config_freeze(config, NULL) ||
        milgi_engine_new(&options, &engine) || bind(fd, (struct sockaddr *)&address, len) || listen(fd, 128) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        return 1;
    g_source_add_unix_fd(source, milgi_engine_fd(engine), G_IO_IN);
    g_source_attach(source, NULL);
    g_unix_fd_add(fd, G_IO_IN, on_connection, NULL);
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, NULL);
    dprintf(STDOUT_FILENO, "port %d\n", ntohs(address.sin_port));
    g_main_loop_run(loop);
    return 0; /* connections are left without a close_notify: nobody takes that for an end in order */
}
