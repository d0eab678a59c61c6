/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many transfers, both ways at once, on a device that becomes ill in the middle and well again: every byte arrives once
 * and in its place, every connection ends in order, the statistics add up. How long a byte may have to wait for it is
 * measured.
 */
#include "failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define BLOCK 8192u
#define STREAM 65521u          /* the bytes repeat after this many: a prime, so that no record may be missing */
#define PACE (40 * HOST_MS)    /* a block is written so often */
#define START (1200 * HOST_MS) /* over which transfers begin, so that there are always handshakes */
#define ILL (500 * HOST_MS)    /* since the begin: the device becomes ill; other times are behind it */
#define TIMEOUT (50 * HOST_MS) /* of ops */
#define END (60000 * HOST_MS)  /* nothing takes so long */

struct side {
    struct end end;
    struct transfer *transfer;
    uint64_t begin_ns, next_ns; /* of the next block */
    uint64_t *written_ns;       /* when each of its blocks was given to the connection */
    size_t sent, got;
    bool over;
};

struct phase {
    uint64_t blocks, worst_ns; /* from writing a block to its delivery */
    uint64_t late_ns;          /* when the last of its blocks came that was later than any before */
};

enum {
    BEFORE,
    DURING,
    SLOW,
    AFTER,
    PHASES
};

struct transfer {
    struct host host;
    const struct illness *illness;
    struct side *side; /* 2 * |n| */
    unsigned n, started, over;
    size_t bytes;
    uint64_t begin_ns, slowest_handshake_ns;
    struct phase phase[PHASES];
    uint8_t stream[2 * STREAM];
};

/* --- what is written when ----------------------------------------------------------------------------------------- */

static unsigned phase_of(const struct transfer *t, uint64_t ns)
{
    uint64_t at = ns - t->begin_ns;
    if (at < ILL)
        return BEFORE;
    if (at < ILL + t->illness->ill_ns)
        return DURING;
    return at < ILL + t->illness->ill_ns + t->illness->slow_ns ? SLOW : AFTER;
}

static const uint8_t *expected(const struct side *side, size_t at)
{
    size_t index = (size_t)(side - side->transfer->side);
    return side->transfer->stream + (at + index * 7919) % STREAM;
}

static void write_block(struct side *side)
{
    struct transfer *t = side->transfer;
    uint64_t now = host_now(&t->host);
    size_t k = t->bytes - side->sent < BLOCK ? t->bytes - side->sent : BLOCK;
    int rv = milgi_conn_write(side->end.conn, expected(side, side->sent), k);
    if (rv == MILGI_ELIMIT || rv == MILGI_ENOMEM) {
        side->next_ns = now + HOST_MS;
        return;
    }
    if (rv < 0 && rv != MILGI_PAUSE)
        die("nothing can be written");
    side->written_ns[side->sent / BLOCK] = now;
    side->sent += k;
    side->next_ns += PACE;
}

/* --- and what arrives --------------------------------------------------------------------------------------------- */

static void note_block(struct transfer *t, uint64_t written_ns)
{
    uint64_t now = host_now(&t->host), took = now - written_ns;
    struct phase *phase = &t->phase[phase_of(t, written_ns)];
    phase->blocks++;
    phase->worst_ns = took > phase->worst_ns ? took : phase->worst_ns;
    if (took > 2 * t->phase[BEFORE].worst_ns + HOST_MS)
        phase->late_ns = now;
}

static void finish(struct side *side)
{
    if (side->sent == side->transfer->bytes && side->got == side->transfer->bytes && !side->over) {
        side->over = true;
        if (milgi_conn_shutdown(side->end.conn) != 0)
            die("it cannot be closed");
    }
}

static void established(struct end *end)
{
    struct side *side = end->arg;
    struct transfer *t = side->transfer;
    uint64_t took = host_now(&t->host) - side->begin_ns;
    t->slowest_handshake_ns = took > t->slowest_handshake_ns ? took : t->slowest_handshake_ns;
    side->next_ns = host_now(&t->host);
}

static void data(struct end *end, const uint8_t *bytes, size_t len)
{
    struct side *side = end->arg, *from = end->other->arg;
    if (side->got + len > from->sent)
        die("bytes came that were not sent");
    for (size_t done = 0; done < len;) {
        size_t at = side->got, k = len - done;
        k = k < BLOCK - at % BLOCK ? k : BLOCK - at % BLOCK;
        if (memcmp(bytes + done, expected(from, at), k) != 0)
            die("a byte is lost, repeated, or another");
        side->got += k;
        done += k;
        if (side->got % BLOCK == 0 || side->got == side->transfer->bytes)
            note_block(side->transfer, from->written_ns[(side->got - 1) / BLOCK]);
    }
    finish(side);
}

static void closed(struct end *end, const struct milgi_reason *reason)
{
    struct side *side = end->arg;
    if (reason->error || side->got != side->transfer->bytes || side->sent != side->transfer->bytes) {
        fprintf(stderr, "a connection ended with %zu bytes: %s\n", side->got, reason->detail);
        die("no connection may fail");
    }
    side->transfer->over++;
}

static const struct end_events events = { .established = established, .data = data, .closed = closed };

/* --- in time ------------------------------------------------------------------------------------------------------ */

static void set_mode(struct transfer *t)
{
    static const uint64_t slow_ns = HOST_MS;
    struct shim *shim = t->host.shim;
    switch (phase_of(t, host_now(&t->host))) {
    case BEFORE: return;
    case DURING:
        shim->mode = t->illness->mode;
        shim->slow_ns = t->illness->late_ns;
        return;
    case SLOW:
        shim->mode = SHIM_SLOW;
        shim->slow_ns = slow_ns;
        return;
    default: shim->mode = SHIM_WELL; return;
    }
}

static void start_due(struct transfer *t)
{
    uint64_t now = host_now(&t->host);
    for (; t->started < t->n && now - t->begin_ns >= START * t->started / t->n; t->started++) {
        struct side *side = &t->side[2 * t->started];
        side[0].begin_ns = side[1].begin_ns = now;
        pair_start(&t->host, &side[0].end, &side[1].end, HOST_SERVER, &events);
    }
}

static void write_due(struct transfer *t)
{
    uint64_t now = host_now(&t->host);
    for (unsigned i = 0; i < 2 * t->started; i++) {
        struct side *side = &t->side[i];
        if (!side->end.conn)
            continue;
        if (side->end.closed && side->end.other->closed && !side->end.wire_len)
            end_free(&side->end);
        else if (side->end.established && side->sent < t->bytes && side->next_ns <= now)
            write_block(side);
        else if (!side->end.closed && side->end.established)
            finish(side);
    }
}

static void play(struct transfer *t)
{
    uint64_t tick = t->begin_ns;
    while (t->over < 2 * t->n) {
        uint64_t now = host_now(&t->host);
        if (now - t->begin_ns > END)
            die("a connection hangs");
        if (now >= tick) {
            set_mode(t);
            start_due(t);
            write_due(t);
            tick = now + HOST_MS;
        }
        host_turn(&t->host, tick);
    }
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

/* Since the phase began until nothing was late any more. */
static double recovered_ms(const struct transfer *t, unsigned phase)
{
    uint64_t begin = t->begin_ns + ILL + (phase > DURING ? t->illness->ill_ns : 0) +
        (phase > SLOW ? t->illness->slow_ns : 0);
    return t->phase[phase].late_ns > begin ? ms(t->phase[phase].late_ns - begin) : 0.0;
}

static void report(const struct transfer *t)
{
    const struct milgi_device_stats *d;
    struct milgi_engine_stats stats;
    milgi_engine_stats(t->host.engine, &stats);
    d = &stats.device[t->host.index];
    printf("transfers %u bytes %zu each way; ", t->n, t->bytes);
    printf("worst block %.1f ms before, %.1f ms ill, %.1f ms slow, %.1f ms well; ", ms(t->phase[BEFORE].worst_ns),
        ms(t->phase[DURING].worst_ns), ms(t->phase[SLOW].worst_ns), ms(t->phase[AFTER].worst_ns));
    printf("slowest handshake %.1f ms; late until %.1f ms after it became ill, %.1f ms after it was well; ",
        ms(t->slowest_handshake_ns), recovered_ms(t, DURING), recovered_ms(t, AFTER));
    printf("ops %llu broken %llu lost %llu rerun %llu spilled %llu owed %u\n", (unsigned long long)t->host.shim->n.in,
        (unsigned long long)d->broken, (unsigned long long)d->lost, (unsigned long long)d->rerun,
        (unsigned long long)d->spilled, d->quarantined);
}

/* Deadlines are real only on virtual time, where nothing else takes any. */
static unsigned too_late(const struct transfer *t)
{
    uint64_t worst = t->phase[DURING].worst_ns > t->phase[SLOW].worst_ns ? t->phase[DURING].worst_ns
                                                                         : t->phase[SLOW].worst_ns;
    uint64_t bound = t->phase[BEFORE].worst_ns + t->illness->stall_ns;
    if (t->host.real || worst <= bound)
        return 0;
    fprintf(stderr, "a block took %.1f ms, more than %.1f ms\n", ms(worst), ms(bound));
    return 1;
}

static struct transfer *transfer_new(const char *device, const struct illness *illness, unsigned n, size_t bytes,
    bool real)
{
    struct milgi_engine_options options;
    struct transfer *t = calloc(1, sizeof *t);
    size_t blocks = bytes / BLOCK + 1;
    milgi_engine_options_init(&options);
    options.full_policy = MILGI_FULL_SPILL;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = TIMEOUT;
    uint64_t *written = calloc(2 * n * blocks, sizeof *written);
    if (!t || !written)
        die("no memory");
    t->side = calloc(2 * n, sizeof *t->side);
    if (!t->side)
        die("no memory");
    t->illness = illness;
    t->n = n;
    t->bytes = bytes;
    host_init(&t->host, device, real, &options);
    for (size_t i = 0; i < STREAM; i++)
        t->stream[i] = t->stream[i + STREAM] = (uint8_t)host_random(&t->host, 256);
    for (unsigned i = 0; i < 2 * n; i++) {
        t->side[i].transfer = t;
        t->side[i].end.arg = &t->side[i];
        t->side[i].written_ns = written + i * blocks;
    }
    t->begin_ns = host_now(&t->host);
    return t;
}

int transfer(const char *device, const struct illness *illness, unsigned n, size_t bytes, bool real)
{
    struct transfer *t = transfer_new(device, illness, n, bytes, real);
    play(t);
    for (unsigned i = 0; i < 2 * n; i++)
        end_free(&t->side[i].end);
    unsigned bad = host_complaints(&t->host) + too_late(t);
    report(t);
    host_fini(&t->host);
    for (unsigned i = 0; i < 2 * n; i++)
        end_fini(&t->side[i].end);
    free(t->side[0].written_ns);
    free(t->side);
    free(t);
    return bad != 0;
}
