/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop around libraries that are pulled: one thread, epoll, the device polled in every turn. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "offload.h"

#define PARTS_MAX 16

/* What an event is of. */
#define OF_SOCKET (UINT64_C(0) << 32)
#define OF_JOB (UINT64_C(1) << 32)
#define OF_DEVICE (UINT64_C(2) << 32)
#define OF_STOP (UINT64_C(3) << 32)

void loop_watch(int epoll, int fd, uint64_t data)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

    must_system(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

size_t send_all(int fd, const struct milgi_iov *iov, size_t iov_n)
{
    struct iovec parts[PARTS_MAX];
    size_t len = 0;

    if (iov_n > PARTS_MAX)
        bench_die("%zu pieces at once", iov_n);
    for (size_t i = 0; i < iov_n; i++) {
        parts[i] = (struct iovec){ (void *)(uintptr_t)iov[i].data, iov[i].len };
        len += iov[i].len;
    }
    if (writev(fd, parts, (int)iov_n) != (ssize_t)len)
        bench_die("a socket takes no more");
    return len;
}

void answer_done(int fd)
{
    const char ack = ACK;

    if (write(fd, &ack, 1) != 1 && errno != EPIPE)
        bench_die("cannot answer");
}

void loop_ready(struct slot *slot)
{
    struct loop *loop = slot->loop;

    if (slot->ready)
        return;
    slot->ready = true;
    slot->next = NULL;
    *loop->last = slot;
    loop->last = &slot->next;
}

static void end(struct slot *slot)
{
    slot->loop->library->close(slot);
    slot->ssl = NULL;
}

static void shake(struct slot *slot)
{
    struct loop *loop = slot->loop;
    int fd;

    if (!slot->ssl)
        slot->ssl = loop->library->open(slot);
    switch (loop->library->shake(slot)) {
    case SHAKEN_DONE:
        end(slot);
        answer_done(slot->fd);
        break;
    case SHAKEN_PARKED:
        if (loop->library->wait_fd && (fd = loop->library->wait_fd(slot)) >= 0)
            loop_watch(loop->epoll, fd, OF_JOB | (uint64_t)(slot - loop->slots));
        break;
    case SHAKEN_FAILED:
        if (!loop->stopping)
            bench_die("%s: a handshake failed", loop->scene->design->name);
        end(slot);
        break;
    default: break;
    }
}

static void shake_ready(struct loop *loop)
{
    struct slot *slot = loop->first;

    /* What becomes ready meanwhile comes in the next turn. */
    loop->first = NULL;
    loop->last = &loop->first;
    while (slot) {
        struct slot *next = slot->next;
        slot->ready = false;
        shake(slot);
        slot = next;
    }
}

static void turn(struct loop *loop)
{
    struct epoll_event events[EVENTS];
    bool at_once = loop->first || (loop->lane.in_flight > 0 && lane_arm(&loop->lane));
    int n = epoll_wait(loop->epoll, events, EVENTS, at_once ? 0 : -1);

    if (n < 0 && errno != EINTR)
        must_system(n, "epoll_wait");
    for (int i = 0; i < n; i++) {
        uint64_t of = events[i].data.u64;
        if (of < OF_DEVICE)
            shake(&loop->slots[(uint32_t)of]);
    }
    lane_poll(&loop->lane);
    shake_ready(loop);
}

static void set_up(struct loop *loop)
{
    struct scene *scene = loop->scene;

    loop->last = &loop->first;
    loop->epoll = must_system(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    loop->slots = calloc(scene->n, sizeof *loop->slots);
    if (!loop->slots)
        bench_die("out of memory");
    for (unsigned i = 0; i < scene->n; i++) {
        loop->slots[i].loop = loop;
        loop->slots[i].fd = scene->fd[i];
        loop_watch(loop->epoll, scene->fd[i], OF_SOCKET | i);
    }
    loop_watch(loop->epoll, loop->lane.fd, OF_DEVICE);
    loop_watch(loop->epoll, scene->stop_fd, OF_STOP);
}

void loop_run(struct loop *loop, const struct library *library, struct scene *scene, void *ctx)
{
    loop->library = library;
    loop->scene = scene;
    loop->ctx = ctx;
    set_up(loop);
    atomic_store(&scene->ready, true);
    while (!atomic_load_explicit(&scene->stop, memory_order_relaxed))
        turn(loop);
    /* What waits for its signature gets it now, or is told that there is none. */
    loop->stopping = true;
    lane_end(&loop->lane);
    for (unsigned i = 0; i < scene->n; i++) {
        if (loop->slots[i].ssl)
            loop_ready(&loop->slots[i]);
    }
    shake_ready(loop);
    for (unsigned i = 0; i < scene->n; i++) {
        if (loop->slots[i].ssl)
            end(&loop->slots[i]);
    }
    free(loop->slots);
    close(loop->epoll);
}
