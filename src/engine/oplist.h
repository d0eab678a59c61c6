/* SPDX-License-Identifier: Apache-2.0 */
/* Ops in a list: each stands in one at most. */
#pragma once

#include "op/op.h"

struct milgi__oplist {
    struct milgi_op *first, *last;
    uint32_t n;
};

static inline void milgi__oplist_append(struct milgi__oplist *list, struct milgi_op *op)
{
    op->e.next = NULL;
    op->e.prev = list->last;
    if (list->last)
        list->last->e.next = op;
    else
        list->first = op;
    list->last = op;
    list->n++;
}

static inline void milgi__oplist_prepend(struct milgi__oplist *list, struct milgi_op *op)
{
    op->e.prev = NULL;
    op->e.next = list->first;
    if (list->first)
        list->first->e.prev = op;
    else
        list->last = op;
    list->first = op;
    list->n++;
}

static inline void milgi__oplist_remove(struct milgi__oplist *list, struct milgi_op *op)
{
    if (op->e.prev)
        op->e.prev->e.next = op->e.next;
    else
        list->first = op->e.next;
    if (op->e.next)
        op->e.next->e.prev = op->e.prev;
    else
        list->last = op->e.prev;
    list->n--;
}
