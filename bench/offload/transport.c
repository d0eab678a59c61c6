/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets alone: the same flights of bytes as a handshake's with the fewest calls that any server needs for them,
 * and no TLS. Its CPU is what every other design pays before it has done anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "offload.h"

#define OF_STOP UINT64_MAX

struct plain {
    int fd;
    bool answered;
};

static void readable(struct plain *plain, unsigned answer)
{
    static const uint8_t filler[65536];
    static uint8_t bytes[4096];
    ssize_t len = read(plain->fd, bytes, sizeof bytes);

    if (len <= 0)
        return;
    plain->answered = !plain->answered;
    if (!plain->answered)
        answer_done(plain->fd);
    else if (write(plain->fd, filler, answer) != (ssize_t)answer)
        bench_die("a socket takes no more");
}

static void serve(struct scene *scene)
{
    struct plain *all = calloc(scene->n, sizeof *all);
    struct epoll_event got[EVENTS];
    int epoll = must_system(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");

    if (!all)
        bench_die("out of memory");
    for (unsigned i = 0; i < scene->n; i++) {
        all[i].fd = scene->fd[i];
        loop_watch(epoll, scene->fd[i], i);
    }
    loop_watch(epoll, scene->stop_fd, OF_STOP);
    atomic_store(&scene->ready, true);
    while (!atomic_load_explicit(&scene->stop, memory_order_relaxed)) {
        int n = epoll_wait(epoll, got, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            must_system(n, "epoll_wait");
        for (int i = 0; i < n; i++) {
            if (got[i].data.u64 != OF_STOP)
                readable(&all[got[i].data.u64], scene->flights.answer);
        }
    }
    close(epoll);
    free(all);
}

const struct design design_transport = {
    .name = "transport",
    .title = "sockets alone, no TLS",
    .plain = true,
    .fds = 1,
    .serve = serve,
};
