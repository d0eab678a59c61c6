/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for mbufs: a queue for each side of a connection, and a line of those whose turn comes. */
#include <stdlib.h>

#include "graph.h"

#define SPARE 1024u /* items that are kept when a burst is over */

/* --- items ------------------------------------------------------------------------------------------------------ */

bool milgi__items_reserve(struct milgi__spare *spare, uint32_t marks)
{
    while (spare->n < spare->marks + marks) {
        struct milgi__item *item = malloc(sizeof *item);
        if (!item)
            return false;
        item->next = spare->first;
        spare->first = item;
        spare->n++;
    }
    spare->marks += marks;
    return true;
}

static struct milgi__item *take(struct milgi__spare *spare, bool mark)
{
    if (!mark && spare->n <= spare->marks)
        return malloc(sizeof(struct milgi__item));
    struct milgi__item *item = spare->first;
    spare->first = item->next;
    spare->n--;
    if (mark)
        spare->marks--;
    return item;
}

static void give(struct milgi__spare *spare, struct milgi__item *item)
{
    milgi_chunk_unref(item->chunk);
    if (spare->n >= spare->marks + SPARE) {
        free(item);
        return;
    }
    item->next = spare->first;
    spare->first = item;
    spare->n++;
}

void milgi__items_fini(struct milgi__spare *spare)
{
    for (struct milgi__item *item; (item = spare->first) != NULL;) {
        spare->first = item->next;
        free(item);
    }
}

/* --- the line --------------------------------------------------------------------------------------------------- */

static void stand(struct milgi__gqueue *q, struct milgi__line *line)
{
    q->next = NULL;
    q->prev = line->last;
    *(line->last ? &line->last->next : &line->first) = q;
    line->last = q;
    line->n += q->n;
    q->stands = true;
}

void milgi__gqueue_leave(struct milgi__gqueue *q, struct milgi__line *line)
{
    *(q->prev ? &q->prev->next : &line->first) = q->next;
    *(q->next ? &q->next->prev : &line->last) = q->prev;
    line->n -= q->n;
    q->stands = false;
}

void milgi__gqueue_turn(struct milgi__gqueue *q, struct milgi__line *line)
{
    milgi__gqueue_leave(q, line);
    stand(q, line);
}

void milgi__gqueue_back(struct milgi__gqueue *q, struct milgi__line *line)
{
    q->out--;
    if (q->first && !q->stands)
        stand(q, line);
}

bool milgi__gqueue_has_enough(const struct milgi__gqueue *q)
{
    return q->first && !q->stands;
}

/* --- queues ----------------------------------------------------------------------------------------------------- */

bool milgi__gqueue_push(struct milgi__gqueue *q, struct milgi__line *line, const struct milgi__item *item)
{
    struct milgi__spare *spare = &q->link->graph->spare;
    struct milgi__item *own = take(spare, item->mark != MILGI_GRAPH_DATA);
    if (!own)
        return false;
    if (q->link->gone) { /* nobody is told */
        own->chunk = item->chunk;
        give(spare, own);
        return true;
    }
    *own = *item;
    own->next = NULL;
    bool first = !q->first;
    *(first ? &q->first : &q->last->next) = own;
    q->last = own;
    q->n++;
    if (first)
        stand(q, line);
    else if (q->stands)
        line->n++;
    return true;
}

void milgi__gqueue_pop(struct milgi__gqueue *q, struct milgi__line *line)
{
    struct milgi__item *item = q->first;
    if (q->stands && q->n == 1)
        milgi__gqueue_leave(q, line);
    else if (q->stands)
        line->n--;
    q->first = item->next;
    q->n--;
    give(&q->link->graph->spare, item);
}

void milgi__gqueue_clear(struct milgi__gqueue *q, struct milgi__line *line)
{
    while (q->first)
        milgi__gqueue_pop(q, line);
}
