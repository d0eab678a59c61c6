/* SPDX-License-Identifier: Apache-2.0 */
/* What the cores can do: independent loops of the bare AEAD, a record at a time, and nothing else. */
#include <stdatomic.h>
#include <stdlib.h>

#include "one.h"
#include "primitives.h"

#define TAG 16

struct core {
    struct bench_primitives *primitives;
    uint16_t suite;
    uint8_t in[RECORD], out[RECORD + 1 + TAG];
};

struct bare {
    struct core core[2];
    unsigned cores;
    int other;
    uint64_t ns;
    double rate; /* of the other core */
    atomic_uint ready;
};

static double run(struct core *core, uint64_t ns)
{
    uint64_t began = bench_now_ns();
    uint64_t now = began;
    uint64_t records = 0;

    for (; now - began < ns; now = bench_now_ns()) {
        for (unsigned i = 0; i < 4; i++)
            bench_seal(core->primitives, core->suite, core->in, RECORD, core->out);
        records += 4;
    }
    return (double)records * RECORD * 1e9 / (double)(now - began);
}

void *bare_make(const struct subject *subject, const struct setup *setup)
{
    struct bare *bare = calloc(1, sizeof *bare);

    if (!bare)
        bench_die("no memory");
    bare->cores = 1 + subject->workers;
    bare->other = setup->place.other;
    for (unsigned i = 0; i < bare->cores; i++) {
        bare->core[i].primitives = bench_primitives_new();
        bare->core[i].suite = setup->suite->id;
    }
    return bare;
}

static void *other_core(void *arg)
{
    struct bare *bare = arg;

    (void)atomic_fetch_add(&bare->ready, 1);
    while (atomic_load(&bare->ready) < 2)
        ;
    bare->rate = run(&bare->core[1], bare->ns);
    return NULL;
}

/* Both begin together and go on for the same time. */
double bare_slice(void *state, uint64_t ns)
{
    struct bare *bare = state;
    pthread_t thread;

    if (bare->cores == 1)
        return run(&bare->core[0], ns);
    bare->ns = ns;
    atomic_store(&bare->ready, 0);
    thread = bench_thread(bare->other, BENCH_NORMAL, other_core, bare);
    while (atomic_load(&bare->ready) < 1)
        ;
    (void)atomic_fetch_add(&bare->ready, 1);
    double rate = run(&bare->core[0], ns);
    pthread_join(thread, NULL);
    return rate + bare->rate;
}

void bare_end(void *state)
{
    struct bare *bare = state;

    for (unsigned i = 0; i < bare->cores; i++)
        bench_primitives_free(bare->core[i].primitives);
    free(bare);
}

/* --- how far the cores are from each other ----------------------------------------------------------------------- */

#define TRIPS 2000u

struct line {
    _Alignas(64) atomic_uint turn;
};

static void *answer(void *arg)
{
    struct line *line = arg;

    for (unsigned i = 0; i <= TRIPS; i++) {
        while (atomic_load(&line->turn) != 2 * i + 1)
            ;
        atomic_store(&line->turn, 2 * i + 2);
    }
    return NULL;
}

static void ask(struct line *line, unsigned i)
{
    atomic_store(&line->turn, 2 * i + 1);
    while (atomic_load(&line->turn) != 2 * i + 2)
        ;
}

double line_round_trip(const struct place *place)
{
    struct line line = { 0 };
    pthread_t thread = bench_thread(place->other, BENCH_NORMAL, answer, &line);

    ask(&line, 0); /* it is there */
    uint64_t began = bench_now_ns();
    for (unsigned i = 1; i <= TRIPS; i++)
        ask(&line, i);
    double ns = (double)(bench_now_ns() - began) / TRIPS;
    pthread_join(thread, NULL);
    return ns;
}
