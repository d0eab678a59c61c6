/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With --accept-proxy a connection begins with a PROXY header: it is read from the bare socket, not a byte more, and
 * only then TLS begins.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.h"

const char preface_nothing[] = "nothing was said";

struct preface {
    struct client *client;
    uv_poll_t poll;
    struct proxy_reader reader;
    int fd;
    bool over; /* the handle is being closed */
};

static void on_polled_out(uv_handle_t *handle)
{
    struct preface *preface = handle->data;
    struct client *c = preface->client;
    int fd = preface->fd;
    free(preface);
    if (fd < 0)
        client_gone(c);
    else
        client_prefaced(c, fd);
}

/* |keep|: the socket goes on to TLS. */
static void end(struct preface *preface, bool keep)
{
    if (preface->over)
        return;
    preface->over = true;
    preface->client->preface = keep ? preface : NULL;
    if (!keep) {
        close(preface->fd);
        preface->fd = -1;
    }
    uv_close((uv_handle_t *)&preface->poll, on_polled_out);
}

/* What is read from the socket; 0: it has ended or failed, -1: nothing now. */
static ssize_t take(struct preface *preface)
{
    struct proxy_reader *r = &preface->reader;
    ssize_t n = recv(preface->fd, r->buf + r->len, proxy_reader_wants(r), 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    return n;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct preface *preface = poll->data;
    struct client *c = preface->client;
    enum proxy_read result = PROXY_READ_MORE;
    struct proxy_ends ends;
    ssize_t n = 0;
    (void)events;
    while (!status && result == PROXY_READ_MORE && (n = take(preface)) > 0)
        result = proxy_reader_took(&preface->reader, (size_t)n, &ends);
    if (result == PROXY_READ_DONE) {
        /* One that speaks for itself is who the socket says. */
        if (ends.from.ss_family != AF_UNSPEC)
            c->ends = ends;
        end(preface, true);
    } else if (result == PROXY_READ_BAD) {
        c->why = "no PROXY header";
        proxy_close(c);
    } else if (n == 0) {
        c->why = preface->reader.len ? "the connection ended within the PROXY header" : preface_nothing;
        proxy_close(c);
    }
}

int preface_start(struct client *c, int fd)
{
    struct preface *preface = calloc(1, sizeof *preface);
    if (!preface)
        return MILGI_ENOMEM;
    if (uv_poll_init(&c->proxy->loop, &preface->poll, fd)) {
        free(preface);
        return MILGI_ELIMIT;
    }
    preface->fd = fd;
    preface->client = c;
    preface->poll.data = preface;
    c->preface = preface;
    uv_poll_start(&preface->poll, UV_READABLE, on_readable);
    return 0;
}

void preface_stop(struct client *c)
{
    struct preface *preface = c->preface;
    c->preface = NULL;
    if (!preface->over) {
        end(preface, false);
        return;
    }
    /* Its header is whole and the handle is on its way out: the socket is not handed on. */
    close(preface->fd);
    preface->fd = -1;
}
