/* SPDX-License-Identifier: Apache-2.0 */
#include "base/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

/* --- clocks ----------------------------------------------------------------------------------------------------- */

uint64_t milgi__port_monotonic_ns(void *unused)
{
    (void)unused;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t milgi__port_wall_s(void *unused)
{
    (void)unused;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}

/* --- process ---------------------------------------------------------------------------------------------------- */

static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t process_id; /* 0: nobody has asked yet */

/* The number of forks since the first look, above the process id: two processes of one ancestor never share it. */
static void renew_process(void)
{
    uint64_t forks = (atomic_load_explicit(&process_id, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&process_id, forks << 32 | (uint32_t)getpid(), memory_order_relaxed);
}

static void watch_forks(void)
{
    renew_process();
    pthread_atfork(NULL, NULL, renew_process);
}

uint64_t milgi__port_process(void)
{
    uint64_t id = atomic_load_explicit(&process_id, memory_order_relaxed);
    if (id)
        return id;
    pthread_once(&process_once, watch_forks);
    return atomic_load_explicit(&process_id, memory_order_relaxed);
}

/* --- waker ------------------------------------------------------------------------------------------------------ */

/* Everything in the set is edge-triggered, the event too: so looking takes readiness back and nothing needs reading. */
int milgi__port_waker_add(struct milgi__port_waker *waker, int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data = { .fd = fd } };
    return epoll_ctl(waker->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : MILGI_ELIMIT;
}

void milgi__port_waker_remove(struct milgi__port_waker *waker, int fd)
{
    epoll_ctl(waker->poll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int milgi__port_waker_init(struct milgi__port_waker *waker)
{
    waker->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    waker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waker->poll_fd >= 0 && waker->event_fd >= 0 && milgi__port_waker_add(waker, waker->event_fd) == 0)
        return 0;
    milgi__port_waker_fini(waker);
    return MILGI_ELIMIT;
}

void milgi__port_waker_fini(struct milgi__port_waker *waker)
{
    if (waker->poll_fd >= 0)
        close(waker->poll_fd);
    if (waker->event_fd >= 0)
        close(waker->event_fd);
    waker->poll_fd = waker->event_fd = -1;
}

void milgi__port_waker_wake(struct milgi__port_waker *waker)
{
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(waker->event_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

void milgi__port_waker_clear(struct milgi__port_waker *waker)
{
    struct epoll_event events[16];
    int n;
    do
        n = epoll_wait(waker->poll_fd, events, (int)MILGI__COUNT(events), 0);
    while (n == (int)MILGI__COUNT(events) || (n < 0 && errno == EINTR));
}

void milgi__port_wait(int fd, int ms)
{
    struct pollfd wanted = { .fd = fd, .events = POLLIN };
    (void)poll(&wanted, fd >= 0, ms);
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

#define MAP_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

void *milgi__port_map(size_t size, size_t align)
{
    /* All of the reserved pages at once, or none: one that is missing later would be a signal, not an error. */
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (p != MAP_FAILED && (uintptr_t)p % align == 0)
        return p;
    if (p != MAP_FAILED)
        munmap(p, size);
    if (size > SIZE_MAX - align)
        return NULL;
    p = mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_FLAGS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t before = (align - (uintptr_t)p % align) % align;
    if (before)
        munmap(p, before);
    munmap(p + before + size, align - before);
    (void)madvise(p + before, size, MADV_HUGEPAGE); /* a wish; ordinary pages do as well */
    return p + before;
}

void milgi__port_unmap(void *p, size_t size)
{
    munmap(p, size);
}

void milgi__port_discard(void *p, size_t size)
{
    (void)madvise(p, size, MADV_DONTNEED); /* where this cannot be done the memory stays, that is all */
}

/* --- files ------------------------------------------------------------------------------------------------------ */

#define FILE_MAX ((size_t)16 << 20)
#define FILE_STEP ((size_t)16 << 10)

struct content {
    uint8_t *data;
    size_t len, cap;
};

static bool content_grow(struct content *c)
{
    size_t cap = c->cap ? 2 * c->cap : FILE_STEP;
    uint8_t *data = milgi__alloc_raw(cap);
    if (!data)
        return false;
    if (c->len)
        memcpy(data, c->data, c->len);
    milgi__free_wiped(c->data, c->len);
    c->data = data;
    c->cap = cap;
    return true;
}

/* Reads up to the end; false: error, no memory, or too much. One byte more than allowed is asked for to see that. */
static bool content_read(struct content *c, int fd)
{
    for (;;) {
        if (c->len > FILE_MAX || (c->len == c->cap && !content_grow(c)))
            return false;
        ssize_t n = read(fd, c->data + c->len, c->cap - c->len);
        if (n == 0)
            return true;
        if (n > 0)
            c->len += (size_t)n;
        else if (errno != EINTR)
            return false;
    }
}

uint8_t *milgi__port_read_file(const char *path, size_t *len)
{
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct content c = { 0 };
    bool ok = content_read(&c, fd);
    close(fd);
    if (!ok) {
        milgi__free_wiped(c.data, c.len);
        return NULL;
    }
    *len = c.len;
    return c.data;
}

int milgi__port_each_file(const char *directory, int (*each)(void *arg, const char *path), void *arg)
{
    char path[4096];
    int error = 0;

    DIR *all = opendir(directory);
    if (!all)
        return 0;
    for (struct dirent *entry; error == 0 && (entry = readdir(all)) != NULL;) {
        int len = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (len > 0 && (size_t)len < sizeof path)
            error = each(arg, path);
    }
    closedir(all);
    return error;
}

/* --- locks -------------------------------------------------------------------------------------------------------- */

struct milgi__port_lock {
    pthread_mutex_t mutex;
};

struct milgi__port_lock *milgi__port_lock_new(void)
{
    struct milgi__port_lock *lock = milgi__alloc(sizeof *lock);
    if (lock && pthread_mutex_init(&lock->mutex, NULL) != 0) {
        milgi__free(lock);
        return NULL;
    }
    return lock;
}

void milgi__port_lock_free(struct milgi__port_lock *lock)
{
    if (lock)
        pthread_mutex_destroy(&lock->mutex);
    milgi__free(lock);
}

void milgi__port_lock(struct milgi__port_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

void milgi__port_unlock(struct milgi__port_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
