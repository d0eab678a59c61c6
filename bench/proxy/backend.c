/* SPDX-License-Identifier: Apache-2.0 */
/* The backend behind all of them: it costs as little as can be, so that the proxies are what limits. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "proxy.h"

#define CHUNK (256u * 1024)
#define PEERS 16384

struct peer {
    int fd;
    uint64_t owed; /* bytes of answers */
    uint8_t got[REQUEST];
    uint32_t got_len;
    bool waits; /* for room to send */
};

static struct peer peers[PEERS]; /* by descriptor */
static const uint8_t zeros[CHUNK];

static void watch(int epoll, struct peer *p, int how, uint32_t events)
{
    if (epoll_ctl(epoll, how, p->fd, &(struct epoll_event){ events, { .ptr = p } }))
        bench_die("epoll_ctl: %s", strerror(errno));
}

static void end(struct peer *p)
{
    close(p->fd);
}

/* False: it is over. */
static bool answer(int epoll, struct peer *p)
{
    while (p->owed) {
        ssize_t n = send(p->fd, zeros, p->owed < CHUNK ? p->owed : CHUNK, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        p->owed -= (uint64_t)n;
    }
    if (p->waits != (p->owed > 0)) {
        p->waits = p->owed > 0;
        watch(epoll, p, EPOLL_CTL_MOD, p->waits ? EPOLLOUT : EPOLLIN);
    }
    return true;
}

static bool ask(int epoll, struct peer *p)
{
    ssize_t n = recv(p->fd, p->got + p->got_len, REQUEST - p->got_len, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    p->got_len += (uint32_t)n;
    if (p->got_len < REQUEST)
        return true;
    p->got_len = 0;
    for (int i = 7; i >= 0; i--)
        p->owed = p->owed << 8 | p->got[i];
    return answer(epoll, p);
}

static void take(int epoll, int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= PEERS)
            bench_die("too many connections");
        struct peer *p = &peers[fd];
        *p = (struct peer){ .fd = fd };
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, p, EPOLL_CTL_ADD, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        bench_die("accept: %s", strerror(errno));
}

int backend_run(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    struct epoll_event events[64];
    int epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct peer doors = { .fd = listener }, orders = { .fd = STDIN_FILENO };
    if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &len))
        bench_die("listen: %s", strerror(errno));
    watch(epoll, &doors, EPOLL_CTL_ADD, EPOLLIN);
    watch(epoll, &orders, EPOLL_CTL_ADD, EPOLLIN);
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (p == &orders)
                return 0;
            if (p == &doors)
                take(epoll, listener);
            else if (!(p->waits ? answer(epoll, p) : ask(epoll, p)))
                end(p);
        }
    }
}
