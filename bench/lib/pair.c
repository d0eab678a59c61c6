/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends, the wires between them, and what each side uses up. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "ends.h"

#define PASSES_MAX 16

enum shake shake_named(const char *name)
{
    static const char *const names[SHAKES] = { "1.3", "hybrid", "1.2", "bare", "resumed" };
    int shake = 0;

    while (shake < SHAKES && strcmp(name, names[shake]) != 0)
        shake++;
    return (enum shake)shake;
}

size_t wire_pending(const struct wire *wire)
{
    return wire->tail - wire->head;
}

void wire_put(struct wire *wire, const void *data, size_t len)
{
    if (len > WIRE_SIZE - wire->tail)
        bench_die("a wire is full");
    bench_copy(wire->bytes + wire->tail, data, len);
    wire->tail += len;
}

size_t wire_get(struct wire *wire, void *out, size_t max)
{
    size_t len = wire_pending(wire);

    len = len < max ? len : max;
    bench_copy(out, wire->bytes + wire->head, len);
    wire->head += len;
    if (wire->head == wire->tail)
        wire->head = wire->tail = 0;
    return len;
}

void check_arrived(size_t at, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != pattern(at + i))
            bench_die("byte %zu arrived changed", at + i);
    }
}

uint64_t (*pair_mallocs)(void);

static double heap_used(void)
{
    struct mallinfo2 m = mallinfo2();

    return (double)m.uordblks + (double)m.hblkhd;
}

/* One step of one side, measured. */
static void step(struct pair *pair, enum side side, enum step what, const struct message *message,
    enum measure measure, struct used *used)
{
    double before;

    switch (measure) {
    case MEASURE_NOTHING: pair_work(pair, side, what, message); break;
    case MEASURE_TIME:
        bench_span_begin();
        pair_work(pair, side, what, message);
        struct bench_span span = bench_span_end();
        used->own[side] += (double)span.own_ns;
        used->copied[side] += (double)span.copied_ns;
        break;
    case MEASURE_HEAP:
        before = heap_used();
        pair_work(pair, side, what, message);
        used->own[side] += heap_used() - before;
        break;
    case MEASURE_MALLOCS:
        before = (double)pair_mallocs();
        pair_work(pair, side, what, message);
        used->own[side] += (double)pair_mallocs() - before;
        break;
    case MEASURE_PROFILE:
        if (side == SERVER)
            profiled_server(pair, what, message);
        else
            profiled_client(pair, what, message);
    }
}

void pair_init(struct pair *pair, const struct subject *subject, struct world *world)
{
    *pair = (struct pair){ .subject = subject, .world = world };
    for (int i = 0; i < 2; i++) {
        pair->wire[i].bytes = malloc(WIRE_SIZE);
        if (!pair->wire[i].bytes)
            bench_die("out of memory");
        memset(pair->wire[i].bytes, 1, WIRE_SIZE);
    }
}

void pair_fini(struct pair *pair)
{
    free(pair->wire[0].bytes);
    free(pair->wire[1].bytes);
}

void pair_halfway(struct pair *pair, enum measure measure, struct used *used)
{
    static const struct message nothing = { BY_COPY, 0, 0 };

    step(pair, CLIENT, STEP_NEW, NULL, measure, used);
    step(pair, CLIENT, STEP_PROGRESS, &nothing, measure, used);
    step(pair, SERVER, STEP_NEW, NULL, measure, used);
    step(pair, SERVER, STEP_PROGRESS, &nothing, measure, used);
}

void pair_handshake(struct pair *pair, enum measure measure, struct used *used)
{
    static const struct message nothing = { BY_COPY, 0, 0 };
    const struct subject *subject = pair->subject;

    pair_halfway(pair, measure, used);
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        bool moved = false;
        for (enum side side = CLIENT; side <= SERVER; side++) {
            if (wire_pending(&pair->wire[side]) == 0)
                continue;
            step(pair, side, STEP_PROGRESS, &nothing, measure, used);
            moved = true;
        }
        if (!moved)
            break;
    }
    if (!subject->established(pair->end[CLIENT]) || !subject->established(pair->end[SERVER]))
        bench_die("%s: the handshake did not complete", subject->name);
}

void pair_exchange(
    struct pair *pair, enum side sender, const struct message *message, enum measure measure, struct used *used)
{
    enum side receiver = sender == SERVER ? CLIENT : SERVER;
    size_t before = pair->subject->received(pair->end[receiver]);
    size_t due = message->len * message->n;

    step(pair, sender, STEP_SEND, message, measure, used);
    step(pair, receiver, STEP_PROGRESS, message, measure, used);
    size_t got = pair->subject->received(pair->end[receiver]) - before;
    if (got != due)
        bench_die("%s: %zu bytes of %zu arrived", pair->subject->name, got, due);
}

void pair_settle(struct pair *pair, enum measure measure, struct used *used)
{
    step(pair, CLIENT, STEP_SETTLE, NULL, measure, used);
    step(pair, SERVER, STEP_SETTLE, NULL, measure, used);
}

void pair_free(struct pair *pair, enum measure measure, struct used *used)
{
    step(pair, CLIENT, STEP_FREE, NULL, measure, used);
    step(pair, SERVER, STEP_FREE, NULL, measure, used);
    pair->wire[CLIENT].head = pair->wire[CLIENT].tail = 0;
    pair->wire[SERVER].head = pair->wire[SERVER].tail = 0;
}
