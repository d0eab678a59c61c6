/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches an engine from other threads: posted calls, and the waking of its descriptor. */
#pragma once

#include <stdatomic.h>

#include "base/port.h"

struct milgi__post_item;

struct milgi__posts {
    struct milgi__port_waker waker;
    _Atomic(struct milgi__post_item *) items; /* the latest first */
    atomic_bool woken;                        /* the waker was woken and not yet cleared */
};

int milgi__posts_init(struct milgi__posts *p);
void milgi__posts_fini(struct milgi__posts *p);
/* Any thread: makes the descriptor readable, once until milgi__posts_clear(). |posts| is a struct milgi__posts. */
void milgi__posts_wake(void *posts);
/* Any thread. 0 or MILGI_ENOMEM */
int milgi__posts_add(struct milgi__posts *p, void (*fn)(void *arg), void *arg);
/* The engine's thread, before it looks at anything: what comes after is seen next time. */
void milgi__posts_clear(struct milgi__posts *p);
/* Calls what was posted, in its order; false: nothing was. */
bool milgi__posts_run(struct milgi__posts *p);
