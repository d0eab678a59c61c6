/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between systems. The only header of the core with #if in it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__linux__)
#error "Milgi runs on Linux so far: this is the file to extend"
#endif

/* Memory that nobody may touch until it is given out again; only a build with AddressSanitizer sees it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MILGI__PORT_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MILGI__PORT_ASAN 1
#endif
#if defined(MILGI__PORT_ASAN)
#include <sanitizer/asan_interface.h>
#define MILGI__POISON(p, len) __asan_poison_memory_region((p), (len))
#define MILGI__UNPOISON(p, len) __asan_unpoison_memory_region((p), (len))
#else
#define MILGI__POISON(p, len) ((void)(p), (void)(len))
#define MILGI__UNPOISON(p, len) ((void)(p), (void)(len))
#endif

/* Before a loop: as many copies of its body as it has passes, up to 16, whatever gcc thinks of it; clang does so. */
#if defined(__clang__)
#define MILGI__UNROLL
#else
#define MILGI__UNROLL _Pragma("GCC unroll 16")
#endif

uint64_t milgi__port_monotonic_ns(void *unused);
int64_t milgi__port_wall_s(void *unused);

/* A process identity that differs after fork(), never 0; cheap (no system call). */
uint64_t milgi__port_process(void);

/* A set of descriptors that is itself one pollable descriptor, with one wake-up event of its own. */
struct milgi__port_waker {
    int poll_fd, event_fd;
};
int milgi__port_waker_init(struct milgi__port_waker *waker); /* 0 or MILGI_ELIMIT */
void milgi__port_waker_fini(struct milgi__port_waker *waker);
int milgi__port_waker_add(struct milgi__port_waker *waker, int fd); /* edge-triggered */
void milgi__port_waker_remove(struct milgi__port_waker *waker, int fd);
void milgi__port_waker_wake(struct milgi__port_waker *waker);  /* any thread */
void milgi__port_waker_clear(struct milgi__port_waker *waker); /* takes all readiness back */

/*
 * Zeroed memory of |size| bytes, aligned to |align| (a power of two, |size| a multiple of it), in huge pages: reserved
 * ones if the system has so many, else those that it makes as it can. What was not written to takes no memory. NULL:
 * none.
 */
void *milgi__port_map(size_t size, size_t align);
void milgi__port_unmap(void *p, size_t size);
/* The contents are of no use any more: the system may have the memory until they are written again. */
void milgi__port_discard(void *p, size_t size);

/* Sleeps until |fd| is readable (-1: nothing to wait for) or |ms| have passed (-1: never). */
void milgi__port_wait(int fd, int ms);

/* For what threads share and seldom change; held for as long as it takes to copy a few bytes. NULL: no memory. */
struct milgi__port_lock;
struct milgi__port_lock *milgi__port_lock_new(void);
void milgi__port_lock_free(struct milgi__port_lock *lock);
void milgi__port_lock(struct milgi__port_lock *lock);
void milgi__port_unlock(struct milgi__port_lock *lock);

/* A whole file in fresh memory (milgi__free_wiped), or NULL. Refuses more than 16 MiB. */
uint8_t *milgi__port_read_file(const char *path, size_t *len);
/*
 * Calls |each| with the path of every entry of a directory, in no order; it returns 0 or an error that ends the walk. 0
 * (also when there is no such directory) or that error.
 */
int milgi__port_each_file(const char *directory, int (*each)(void *arg, const char *path), void *arg);
