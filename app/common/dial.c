/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts that run side by side; the first that succeeds wins. */
#include "common/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define NEXT_MS 250u /* RFC 8305 5: connection attempt delay */
#define AGAIN_MS 50u /* before an address is tried again that had no room for us, or we no descriptor for it */

struct attempt {
    uv_poll_t poll;
    struct dial *dial;
    int fd;
    size_t which; /* of the addresses */
    bool live;
};

struct dial {
    uv_loop_t *loop;
    struct app_addresses *to;
    size_t first;   /* of them: the others follow, round and round */
    dial_done done; /* NULL: it is over */
    void *arg;
    uv_timer_t next, deadline;
    size_t tried;              /* addresses that have been begun with */
    unsigned live_n;           /* attempts */
    unsigned handles_n;        /* that are not closed yet */
    bool first_begun;          /* by dial_start(): */
    int first_fd, first_error; /* what open_to() said, to be taken by begin() */
    int error;                 /* of the last that failed, */
    size_t failed;             /* which was this */
    struct attempt attempts[]; /* one for each address */
};

static void go_on(struct dial *d);

/* Which address attempt number |i| is of. */
static size_t address_of(const struct dial *d, size_t i)
{
    return (d->first + i) % d->to->n;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct dial *d = handle->data;
    if (!--d->handles_n)
        free(d);
}

/* What it has found out is |fd|'s to tell; without |keep| the socket goes. */
static void end_attempt(struct attempt *a, bool keep)
{
    if (!a->live)
        return;
    a->live = false;
    a->dial->live_n--;
    uv_close((uv_handle_t *)&a->poll, on_closed);
    if (!keep)
        close(a->fd);
}

void dial_stop(struct dial *d)
{
    if (!d->done)
        return;
    d->done = NULL;
    for (size_t i = 0; i < d->tried; i++)
        end_attempt(&d->attempts[i], false);
    uv_close((uv_handle_t *)&d->next, on_closed);
    uv_close((uv_handle_t *)&d->deadline, on_closed);
}

static void finish(struct dial *d, int fd, int error, size_t which)
{
    dial_done done = d->done;
    void *arg = d->arg;
    const struct app_address *where = &d->to->items[which];
    if (!error)
        d->to->first = which;
    dial_stop(d);
    done(arg, fd, error, where);
}

/* --- one address -------------------------------------------------------------------------------------------------- */

static void failed(struct dial *d, size_t which, int error)
{
    d->error = error;
    d->failed = which;
    go_on(d);
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = (struct attempt *)poll;
    struct dial *d = a->dial;
    int error = 0, fd = a->fd;
    socklen_t len = sizeof error;
    (void)events;
    /* What libuv makes of an error here is not what it was. */
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
        error = errno;
    if (!error && status)
        error = EIO;
    end_attempt(a, !error);
    if (error)
        failed(d, a->which, uv_translate_sys_error(error));
    else
        finish(d, fd, 0, a->which);
}

/* A socket; |*error| 0: it is connected, UV_EALREADY: it is about to be. Or -1. */
static int open_to(const struct app_address *to, int *error)
{
    const struct sockaddr *address = (const struct sockaddr *)&to->socket;
    int fd = socket(to->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rv = fd < 0 ? -1 : connect(fd, address, to->len);
    /* Asked again it is known whether somebody on this machine has answered: no need to watch the socket for that. */
    bool under_way = fd >= 0 && rv && errno == EINPROGRESS;
    if (under_way)
        rv = connect(fd, address, to->len);
    *error = rv && errno != EISCONN ? uv_translate_sys_error(errno) : 0;
    if (!*error || (under_way && *error == UV_EALREADY))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* False: it failed at once; |*again|: for a reason that passes. */
static bool begin(struct dial *d, size_t which, int *error, bool *again)
{
    struct attempt *a = &d->attempts[d->tried];
    int fd = d->first_fd;
    *error = d->first_error;
    if (!d->first_begun)
        fd = open_to(&d->to->items[which], error);
    d->first_begun = false;
    *again = *error == UV_EMFILE || *error == UV_ENFILE || *error == UV_EAGAIN || *error == UV_ENOBUFS;
    if (fd >= 0)
        *error = uv_poll_init(d->loop, &a->poll, fd);
    if (*error) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    a->poll.data = d;
    a->dial = d;
    a->fd = fd;
    a->which = which;
    a->live = true;
    d->live_n++;
    d->handles_n++;
    uv_poll_start(&a->poll, UV_WRITABLE, on_answer);
    return true;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void on_next(uv_timer_t *timer)
{
    struct dial *d = timer->data;
    if (d->tried < d->to->n || d->live_n)
        go_on(d);
    else
        finish(d, -1, d->error, d->failed);
}

/* Begins with the next address; when there is none left and none under way it is over. */
static void go_on(struct dial *d)
{
    while (d->tried < d->to->n) {
        int error;
        bool again;
        size_t which = address_of(d, d->tried);
        if (begin(d, which, &error, &again)) {
            d->tried++;
            uv_timer_start(&d->next, on_next, NEXT_MS, 0);
            return;
        }
        d->error = error;
        d->failed = which;
        if (again && uv_is_active((uv_handle_t *)&d->deadline)) {
            uv_timer_start(&d->next, on_next, AGAIN_MS, 0);
            return;
        }
        d->tried++;
    }
    if (!d->live_n)
        uv_timer_start(&d->next, on_next, 0, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct dial *d = timer->data;
    if (d->live_n || !d->error)
        finish(d, -1, UV_ETIMEDOUT, address_of(d, d->tried ? d->tried - 1 : 0));
    else
        finish(d, -1, d->error, d->failed);
}

struct dial *dial_start(
    uv_loop_t *loop, struct app_addresses *to, uint32_t timeout_ms, dial_done done, void *arg, int *now)
{
    int error, fd = open_to(&to->items[to->first], &error);
    *now = -1;
    if (fd >= 0 && !error) {
        *now = fd;
        return NULL;
    }
    struct dial *d = calloc(1, sizeof *d + to->n * sizeof d->attempts[0]);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    *d = (struct dial){
        .loop = loop,
        .to = to,
        .first = to->first,
        .done = done,
        .arg = arg,
        .handles_n = 2,
        .first_begun = true,
        .first_fd = fd,
        .first_error = error,
    };
    uv_timer_init(loop, &d->next);
    uv_timer_init(loop, &d->deadline);
    d->next.data = d->deadline.data = d;
    if (timeout_ms)
        uv_timer_start(&d->deadline, on_deadline, timeout_ms, 0);
    go_on(d);
    return d;
}
