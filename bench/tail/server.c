/* SPDX-License-Identifier: Apache-2.0 */
/* What the servers have in common. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tail.h"

void watch(int epoll, int fd, void *what, bool edges)
{
    struct epoll_event event = { .events = EPOLLIN | (edges ? EPOLLRDHUP | EPOLLET : 0u), .data.ptr = what };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_die("epoll: %s", strerror(errno));
}

int accepted(int listener)
{
    const int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
        bench_die("accept: %s", strerror(errno));
    if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        bench_die("TCP_NODELAY: %s", strerror(errno));
    return fd;
}

static void listen_somewhere(struct server *server)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->listener < 0 || bind(server->listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(server->listener, 1024) != 0 || getsockname(server->listener, (struct sockaddr *)&at, &len) != 0)
        bench_die("cannot listen: %s", strerror(errno));
    server->port = ntohs(at.sin_port);
}

static void *run(void *arg)
{
    struct server *server = arg;

    (void)pthread_setname_np(pthread_self(), "loop"); /* for profilers */
    server->design->loop(server);
    return NULL;
}

void server_start(struct server *server, const struct design *design, const struct ground *ground)
{
    *server = (struct server){ .design = design, .ground = ground };
    listen_somewhere(server);
    server->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (server->stop_fd < 0)
        bench_die("no descriptor: %s", strerror(errno));
    server->thread = bench_thread(ground->place.loop, BENCH_NORMAL, run, server);
}

void server_stop(struct server *server)
{
    static const uint64_t one = 1;

    if (write(server->stop_fd, &one, sizeof one) != (ssize_t)sizeof one)
        bench_die("cannot write to an eventfd");
    pthread_join(server->thread, NULL);
    close(server->stop_fd);
    close(server->listener);
}

uint64_t server_cpu_ns(const struct server *server)
{
    clockid_t clock;
    struct timespec t;

    if (pthread_getcpuclockid(server->thread, &clock) != 0 || clock_gettime(clock, &t) != 0)
        bench_die("no clock of a thread");
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
