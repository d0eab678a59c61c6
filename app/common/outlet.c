/* SPDX-License-Identifier: Apache-2.0 */
/* Writing without waiting. */
#include "common/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASKED_MOST 128u /* what a terminal that has room at all takes without waiting */

/* The master's side of a terminal cannot be opened again: that would make a new terminal. */
static bool is_master(int fd)
{
    char name[64];
    return !ptsname_r(fd, name, sizeof name);
}

/* Another open file description for what |fd| is, in its place: O_NONBLOCK belongs to the description. */
static bool replace(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again < 0)
        return false;
    bool done = dup2(again, fd) == fd;
    close(again);
    return done;
}

static enum app_outlet_kind kind_of(int fd)
{
    struct stat info;
    if (fstat(fd, &info))
        return APP_OUTLET_PLAIN;
    if (S_ISSOCK(info.st_mode))
        return APP_OUTLET_SOCKET;
    if (!S_ISFIFO(info.st_mode) && !(S_ISCHR(info.st_mode) && isatty(fd)))
        return APP_OUTLET_PLAIN;
    return !is_master(fd) && replace(fd) ? APP_OUTLET_NONBLOCKING : APP_OUTLET_ASKED;
}

void app_outlet_init(struct app_outlet *o, int fd)
{
    *o = (struct app_outlet){ .fd = fd, .kind = kind_of(fd), .lock = PTHREAD_MUTEX_INITIALIZER };
}

void app_outlet_fini(struct app_outlet *o)
{
    free(o->held);
    o->held = NULL;
    o->held_len = 0;
}

void app_outlet_forked(struct app_outlet *o)
{
    app_outlet_fini(o);
    o->dropped = 0;
    o->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static ssize_t write_once(const struct app_outlet *o, const char *text, size_t len)
{
    struct pollfd ready = { .fd = o->fd, .events = POLLOUT };
    if (o->kind == APP_OUTLET_SOCKET)
        return send(o->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (o->kind != APP_OUTLET_ASKED)
        return write(o->fd, text, len);
    if (poll(&ready, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(o->fd, text, len < ASKED_MOST ? len : ASKED_MOST);
}

/* How much of it was taken; o->error says why not more, 0 when there was no room. */
static size_t write_some(struct app_outlet *o, const char *text, size_t len)
{
    size_t at = 0;
    o->error = 0;
    while (at < len) {
        ssize_t n = write_once(o, text + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            o->error = errno;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return at;
}

static uint64_t lines(const char *text, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

/* With the lock. */
static bool flush(struct app_outlet *o)
{
    if (!o->held_len)
        return true;
    size_t done = write_some(o, o->held, o->held_len);
    o->held_len -= done;
    memmove(o->held, o->held + done, o->held_len);
    if (o->error) { /* nobody will ever read it */
        o->dropped += lines(o->held, o->held_len);
        o->held_len = 0;
    }
    if (o->held_len)
        return false;
    app_outlet_fini(o);
    return true;
}

/* With the lock. */
static bool hold(struct app_outlet *o, const char *text, size_t len)
{
    if (!o->held)
        o->held = malloc(APP_OUTLET_HELD);
    if (!o->held || len > APP_OUTLET_HELD - o->held_len)
        return false;
    memcpy(o->held + o->held_len, text, len);
    o->held_len += len;
    return true;
}

bool app_outlet_put(struct app_outlet *o, const char *text, size_t len)
{
    bool taken = true;
    pthread_mutex_lock(&o->lock);
    size_t done = flush(o) ? write_some(o, text, len) : 0;
    if (done < len && (o->error || !hold(o, text + done, len - done))) {
        o->dropped++;
        taken = false;
    }
    pthread_mutex_unlock(&o->lock);
    return taken;
}

bool app_outlet_flush(struct app_outlet *o)
{
    pthread_mutex_lock(&o->lock);
    bool done = flush(o);
    pthread_mutex_unlock(&o->lock);
    return done;
}

uint64_t app_outlet_dropped(struct app_outlet *o)
{
    pthread_mutex_lock(&o->lock);
    uint64_t n = flush(o) && !o->error ? o->dropped : 0;
    if (n)
        o->dropped = 0;
    pthread_mutex_unlock(&o->lock);
    return n;
}

bool app_outlet_pending(struct app_outlet *o)
{
    pthread_mutex_lock(&o->lock);
    bool pending = o->held_len || (o->dropped && !o->error);
    pthread_mutex_unlock(&o->lock);
    return pending;
}
