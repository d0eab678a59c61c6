/* SPDX-License-Identifier: Apache-2.0 */
/* Very many server ends in one process, over memory. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <milgi/milgi.h>

#include "ends.h"
#include "scale.h"

#define SPAN 20u /* exchanges */

struct population {
    struct pair pair; /* one for all: only one connection exchanges bytes at a time */
    struct end **server, **client;
    unsigned n, each, next;                       /* |next|: of the active ones */
    double heap_before, resident_before, harness; /* bytes; the latter: of what the harness keeps for each end */
};

static double heap_used(void)
{
    struct mallinfo2 m = mallinfo2();

    return (double)m.uordblks + (double)m.hblkhd;
}

/* A chunk of glibc's has a word in front of what it gives out. */
static double chunk_bytes(void *p)
{
    return (double)(malloc_usable_size(p) + sizeof(size_t));
}

double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        bench_die("cannot read how much memory there is");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void *array(unsigned n)
{
    void *p = malloc(n * sizeof(struct end *));

    if (!p)
        bench_die("out of memory");
    return memset(p, 0, n * sizeof(struct end *)); /* so that its pages are there before anything is counted */
}

static void connect_one(struct population *p, unsigned i)
{
    struct used unused = { { 0 }, { 0 } };

    pair_handshake(&p->pair, MEASURE_NOTHING, &unused);
    p->server[i] = p->pair.end[SERVER];
    p->harness += chunk_bytes(p->server[i]);
    if (i % p->each == 0) {
        p->client[i / p->each] = p->pair.end[CLIENT];
        return;
    }
    pair_work(&p->pair, CLIENT, STEP_FREE, NULL);
    p->pair.wire[CLIENT].head = p->pair.wire[CLIENT].tail = 0;
}

struct population *population_new(const struct bench_cert *cert, unsigned n, unsigned each)
{
    const struct setup setup = { .cert = cert, .suite = MILGI_SUITE_AES_128_GCM_SHA256 };
    struct population *p = calloc(1, sizeof *p);
    struct used unused = { { 0 }, { 0 } };

    if (!p)
        bench_die("out of memory");
    p->n = n;
    p->each = each;
    p->server = array(n);
    p->client = array(population_active(p));
    pair_init(&p->pair, &subject_milgi, subject_milgi.world_new(&setup));
    /* The first one pays for what is made once. */
    pair_handshake(&p->pair, MEASURE_NOTHING, &unused);
    pair_free(&p->pair, MEASURE_NOTHING, &unused);
    p->heap_before = heap_used();
    p->resident_before = resident_bytes();
    for (unsigned i = 0; i < n; i++)
        connect_one(p, i);
    population_settle(p);
    return p;
}

unsigned population_active(const struct population *p)
{
    return (p->n + p->each - 1) / p->each;
}

static double exchanges(struct population *p, unsigned n)
{
    static const struct message message = { BY_COPY, PERIOD, 1 };
    struct used used = { { 0 }, { 0 } };

    for (unsigned i = 0; i < n; i++) {
        p->pair.end[CLIENT] = p->client[p->next];
        p->pair.end[SERVER] = p->server[p->next * p->each];
        pair_exchange(&p->pair, CLIENT, &message, MEASURE_TIME, &used);
        pair_exchange(&p->pair, SERVER, &message, MEASURE_TIME, &used);
        p->next = (p->next + 1) % population_active(p);
    }
    return (used.own[SERVER] + used.copied[SERVER]) / n;
}

/* The median of short spans, so that what interrupts a few of them does not count. */
double population_exchanges(struct population *p, unsigned n)
{
    struct bench_samples spans = { 0 };

    for (unsigned done = 0; done < n; done += SPAN)
        bench_samples_add(&spans, exchanges(p, SPAN));
    double median = bench_samples_median(&spans);
    bench_samples_free(&spans);
    return median;
}

void population_settle(struct population *p)
{
    struct used unused = { { 0 }, { 0 } };

    pair_settle(&p->pair, MEASURE_NOTHING, &unused);
}

double population_resident(const struct population *p)
{
    return resident_bytes() - p->resident_before - p->harness;
}

double population_heap(struct population *p)
{
    for (unsigned i = 0; i < population_active(p); i++) {
        p->pair.end[CLIENT] = p->client[i];
        pair_work(&p->pair, CLIENT, STEP_FREE, NULL);
        p->client[i] = NULL;
    }
    population_settle(p);
    return heap_used() - p->heap_before - p->harness;
}

void population_free(struct population *p)
{
    for (unsigned i = 0; i < population_active(p); i++) {
        p->pair.end[CLIENT] = p->client[i];
        if (p->client[i])
            pair_work(&p->pair, CLIENT, STEP_FREE, NULL);
    }
    for (unsigned i = 0; i < p->n; i++) {
        p->pair.end[SERVER] = p->server[i];
        pair_work(&p->pair, SERVER, STEP_FREE, NULL);
    }
    subject_milgi.world_free(p->pair.world);
    pair_fini(&p->pair);
    free(p->server);
    free(p->client);
    free(p);
}
