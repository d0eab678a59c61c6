/* SPDX-License-Identifier: Apache-2.0 */
/* Heap bytes per connection: the difference that many connections make to malloc's own count, by side. */
#include <stdlib.h>

#include "ends.h"

#define KIB 1024u

/* Many connections. They share the wires' memory, since only one of them exchanges bytes at a time. */
struct ground {
    struct world *world;
    struct pair first;
    struct pair *pairs;
    unsigned n;
};

static void ground_new(struct ground *g, const struct subject *subject, const struct setup *setup, unsigned n)
{
    g->n = n;
    g->world = subject->world_new(setup);
    pair_init(&g->first, subject, g->world);
    g->pairs = calloc(n, sizeof *g->pairs);
    if (!g->pairs)
        bench_die("out of memory");
    for (unsigned i = 0; i < n; i++)
        g->pairs[i] = g->first;
}

static void ground_free(struct ground *g)
{
    const struct subject *subject = g->first.subject;
    struct used unused = { { 0 }, { 0 } };

    for (unsigned i = 0; i < g->n; i++)
        pair_free(&g->pairs[i], MEASURE_NOTHING, &unused);
    subject->world_free(g->world);
    pair_fini(&g->first);
    free(g->pairs);
}

static void idle_one(struct pair *pair, struct used *used)
{
    static const struct message kib = { BY_COPY, KIB, 1 };

    pair_handshake(pair, MEASURE_HEAP, used);
    pair_exchange(pair, CLIENT, &kib, MEASURE_HEAP, used);
    pair_exchange(pair, SERVER, &kib, MEASURE_HEAP, used);
}

static void halfway_one(struct pair *pair, struct used *used)
{
    pair_halfway(pair, MEASURE_HEAP, used);
    /* What the server has said is dropped. */
    pair->wire[CLIENT].head = pair->wire[CLIENT].tail = 0;
}

/* As malloc() counts it. */
static double block(size_t len)
{
    return len == 0 ? 0 : (double)((len + sizeof(size_t) + 15) / 16 * 16);
}

struct used crowd(const struct subject *subject, const struct setup *setup, enum crowd_state state, unsigned n)
{
    void (*one)(struct pair *, struct used *) = state == CROWD_IDLE ? idle_one : halfway_one;
    struct used used = { { 0 }, { 0 } };
    unsigned warm = n / 10 + 1;
    struct ground g;

    /* The first ones pay for what is made once: slabs, caches, fetched algorithms. */
    ground_new(&g, subject, setup, n + warm);
    for (unsigned i = 0; i < warm; i++)
        one(&g.pairs[i], &used);
    pair_settle(&g.pairs[0], MEASURE_HEAP, &used);
    used = (struct used){ { 0 }, { 0 } };
    for (unsigned i = warm; i < n + warm; i++)
        one(&g.pairs[i], &used);
    pair_settle(&g.pairs[0], MEASURE_HEAP, &used);
    ground_free(&g);
    for (enum side side = CLIENT; side <= SERVER; side++)
        used.own[side] = used.own[side] / n - block(subject->host_len);
    return used;
}
