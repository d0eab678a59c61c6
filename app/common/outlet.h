/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor that is written to without ever waiting for whoever reads it: standard error, a log, a key log. What it
 * does not take now is held, up to a limit; what is beyond that is dropped, counted, and told as soon as there is room.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APP_OUTLET_HELD 65536u /* bytes that wait for a reader, at most */

struct app_outlet {
    int fd;
    enum app_outlet_kind {
        APP_OUTLET_PLAIN,       /* a file: does not wait, or cannot be told not to */
        APP_OUTLET_NONBLOCKING, /* through an open file description that nobody shares */
        APP_OUTLET_SOCKET,
        APP_OUTLET_ASKED /* whether it would wait is asked before each small write */
    } kind;
    pthread_mutex_t lock;
    char *held;
    size_t held_len;
    uint64_t dropped; /* messages, since that was last told */
    int error;        /* errno of the last write that failed for another reason than want of room; 0: none has */
};

/*
 * Writes to |fd| from here on. When |fd| is a pipe or a terminal, which others may share, it is replaced by another
 * way to the same, so that nobody else finds it non-blocking.
 */
void app_outlet_init(struct app_outlet *o, int fd);
void app_outlet_fini(struct app_outlet *o);
/* One message, whole or not at all, from any thread. False: nothing of it will arrive. */
bool app_outlet_put(struct app_outlet *o, const char *text, size_t len);
/* Tries what is held again. True: nothing is left. */
bool app_outlet_flush(struct app_outlet *o);
/* There is something to be written or told later. */
bool app_outlet_pending(struct app_outlet *o);
/* How many messages were dropped since the last call, if there is room now to tell so; else 0. */
uint64_t app_outlet_dropped(struct app_outlet *o);
/* In a child, after fork(): what is held is its parent's to write. */
void app_outlet_forked(struct app_outlet *o);
