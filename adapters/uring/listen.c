/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting: one operation brings all connections, until it fails; then it is begun again in a moment. */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define AGAIN_NS 100000000 /* when accepting has failed, for want of descriptors perhaps */

struct milgi_uring_listener {
    struct milgi_uring *uring;
    struct milgi_uring_listener *next;
    int fd;
    void (*accepted)(void *arg, int fd);
    void *arg;
    struct ring_op accept, again;
    struct __kernel_timespec ts;
    bool accepting, waiting, waits, ended, cancelled;
};

static void on_accepted(struct ring_op *op, int res, unsigned flags)
{
    struct milgi_uring_listener *l =
        (struct milgi_uring_listener *)((char *)op - offsetof(struct milgi_uring_listener, accept));
    l->accepting = flags & IORING_CQE_F_MORE;
    if (l->ended && res >= 0) {
        close(res);
    } else if (!l->ended) {
        l->waits = res < 0;
        l->accepted(l->arg, res);
    }
}

static void on_again(struct ring_op *op, int res, unsigned flags)
{
    struct milgi_uring_listener *l =
        (struct milgi_uring_listener *)((char *)op - offsetof(struct milgi_uring_listener, again));
    (void)res;
    (void)flags;
    l->waiting = l->waits = false;
}

static void cancel(struct milgi_uring_listener *l)
{
    if (l->cancelled)
        return;
    l->cancelled = true;
    if (l->accepting)
        milgi__ring_cancel(l->uring, &l->accept);
    if (l->waiting)
        milgi__ring_cancel(l->uring, &l->again);
}

static void flush(struct milgi_uring_listener *l)
{
    if (l->ended) {
        cancel(l);
    } else if (l->waits && !l->waiting && !l->accepting) {
        l->ts = (struct __kernel_timespec){ 0, AGAIN_NS };
        io_uring_prep_timeout(milgi__ring_sqe(l->uring, &l->again), &l->ts, 0, 0);
        l->waiting = true;
    } else if (!l->waits && !l->accepting) {
        io_uring_prep_multishot_accept(
            milgi__ring_sqe(l->uring, &l->accept), l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        l->accepting = true;
    }
}

void milgi__ring_listeners_flush(struct milgi_uring *u)
{
    struct milgi_uring_listener **at = &u->listeners, *l;
    while ((l = *at) != NULL) {
        if (l->ended && !l->accepting && !l->waiting) {
            *at = l->next;
            free(l);
            u->listeners_n--;
        } else {
            flush(l);
            at = &l->next;
        }
    }
}

void milgi__ring_listeners_stop(struct milgi_uring *u)
{
    for (struct milgi_uring_listener *l = u->listeners; l; l = l->next)
        l->ended = true;
}

int milgi_uring_listen(struct milgi_uring *u, int fd, void (*accepted)(void *arg, int fd), void *arg,
    struct milgi_uring_listener **listener)
{
    struct milgi_uring_listener *l = calloc(1, sizeof *l);
    *listener = l;
    if (!l)
        return MILGI_ENOMEM;
    *l = (struct milgi_uring_listener){
        .uring = u,
        .next = u->listeners,
        .fd = fd,
        .accepted = accepted,
        .arg = arg,
        .accept = { on_accepted, u },
        .again = { on_again, u },
    };
    u->listeners = l;
    u->listeners_n++;
    return 0;
}

void milgi_uring_unlisten(struct milgi_uring_listener *l)
{
    l->ended = true;
}
