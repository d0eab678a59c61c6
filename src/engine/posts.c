/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches an engine from other threads. */
#include "engine/posts.h"

#include "base/base.h"

struct milgi__post_item {
    struct milgi__post_item *next;
    void (*fn)(void *arg);
    void *arg;
};

int milgi__posts_init(struct milgi__posts *p)
{
    p->waker = (struct milgi__port_waker){ -1, -1 };
    atomic_init(&p->items, NULL);
    atomic_init(&p->woken, false);
    return milgi__port_waker_init(&p->waker) == 0 ? 0 : MILGI_ELIMIT;
}

void milgi__posts_fini(struct milgi__posts *p)
{
    milgi__port_waker_fini(&p->waker);
}

void milgi__posts_wake(void *posts)
{
    struct milgi__posts *p = posts;
    if (!atomic_exchange(&p->woken, true))
        milgi__port_waker_wake(&p->waker);
}

int milgi__posts_add(struct milgi__posts *p, void (*fn)(void *arg), void *arg)
{
    struct milgi__post_item *item = milgi__alloc(sizeof *item);
    if (!item)
        return MILGI_ENOMEM;
    item->fn = fn;
    item->arg = arg;
    item->next = atomic_load(&p->items);
    while (!atomic_compare_exchange_weak(&p->items, &item->next, item))
        ;
    milgi__posts_wake(p);
    return 0;
}

void milgi__posts_clear(struct milgi__posts *p)
{
    milgi__port_waker_clear(&p->waker);
    atomic_store(&p->woken, false);
}

bool milgi__posts_run(struct milgi__posts *p)
{
    struct milgi__post_item *item = atomic_exchange(&p->items, NULL), *fifo = NULL;
    while (item) {
        struct milgi__post_item *next = item->next;
        item->next = fifo;
        fifo = item;
        item = next;
    }
    bool any = fifo != NULL;
    while (fifo) {
        struct milgi__post_item *next = fifo->next;
        fifo->fn(fifo->arg);
        milgi__free(fifo);
        fifo = next;
    }
    return any;
}
