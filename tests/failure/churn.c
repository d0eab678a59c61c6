/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections by the hundred thousand, freed at whatever they are at: before the first byte, with handshake ops in the
 * device or in the line before it, while a decision is open, with records being sealed or opened, and in order. What
 * they leave behind is looked at: nothing.
 */
#include "failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define PAIRS 160               /* at once; the device takes 64 ops */
#define SLACK ((size_t)1 << 20) /* that resident memory may grow from a tenth of the way to the end */
#define PATIENCE (60000 * HOST_MS)
#define EACH 2000   /* connections for a device that is replaced */
#define BYTES 12000 /* in each direction, of those that get so far */

/* Where a pair is given up. */
enum stage {
    AT_START,    /* the client has begun; the server has heard nothing */
    AT_ANSWER,   /* the server has the ClientHello */
    AT_DECISION, /* the server has asked which credential */
    AT_CHECK,    /* the client has the server's messages */
    AT_SEAL,     /* both have data to send */
    AT_OPEN,     /* both have received some */
    AT_END,      /* both have closed in order */
    STAGES
};

static const char *const stage_names[STAGES] = { "at the start", "server's answer", "decision", "client's check",
    "seals", "opens", "in order" };

struct slot {
    struct end end[2]; /* client, server */
    struct churn *churn;
    enum stage stage;
    unsigned more; /* turns that it is left alone at its stage */
    bool at_once;  /* given up from inside the callback, where there is one */
    bool asked, wrote, gave_up;
    unsigned turns;
    uint64_t begun_ns;
    struct milgi_decision decision;
    size_t got[2];
};

struct churn {
    struct host host;
    struct slot slot[PAIRS];
    uint64_t wanted, opened, freed, with_ops, at[STAGES], waiting_peak;
};

static unsigned side(const struct slot *slot, const struct end *end)
{
    return end == &slot->end[1];
}

/* --- giving up ---------------------------------------------------------------------------------------------------- */

/* Ops without an owner: those that stay in devices, and those that were dropped out of a line. */
static uint64_t orphans(struct churn *churn)
{
    uint64_t n = 0;
    struct milgi_engine_stats stats;
    milgi_engine_stats(churn->host.engine, &stats);
    uint32_t waiting = stats.device[churn->host.index].waiting;
    churn->waiting_peak = waiting > churn->waiting_peak ? waiting : churn->waiting_peak;
    for (unsigned i = 0; i < stats.devices_n; i++)
        n += stats.device[i].dropped;
    return n + stats.orphans;
}

static void give_up(struct slot *slot, struct end *end)
{
    if (!end->conn)
        return;
    uint64_t before = orphans(slot->churn);
    end_free(end);
    slot->churn->with_ops += orphans(slot->churn) > before;
    slot->churn->freed++;
    slot->gave_up = true;
    if (slot->asked && side(slot, end) == 1 &&
        milgi_decide(slot->churn->host.engine, slot->decision, MILGI_DEFAULT, NULL) != MILGI_ESTALE)
        die("a decision of a connection that is gone was taken");
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static void established(struct end *end)
{
    static const uint8_t bytes[BYTES] = { 1, 2, 3 };
    struct slot *slot = end->arg;
    if (slot->stage == AT_CHECK && slot->at_once) {
        give_up(slot, end);
        return;
    }
    if (slot->stage < AT_SEAL)
        return;
    if (milgi_conn_write(end->conn, bytes, sizeof bytes) < 0)
        die("nothing can be written");
    slot->wrote = true;
}

static void data(struct end *end, const uint8_t *bytes, size_t len)
{
    struct slot *slot = end->arg;
    (void)bytes;
    slot->got[side(slot, end)] += len;
    if (slot->stage == AT_OPEN && slot->at_once)
        give_up(slot, end);
    else if (slot->stage == AT_END && slot->got[side(slot, end)] == BYTES && milgi_conn_shutdown(end->conn) != 0)
        die("it cannot be closed");
}

static void decide(struct end *end, const struct milgi_decision *decision)
{
    struct slot *slot = end->arg;
    slot->asked = true;
    slot->decision = *decision;
    if (slot->at_once)
        give_up(slot, end);
}

static void closed(struct end *end, const struct milgi_reason *reason)
{
    struct slot *slot = end->arg;
    if (!slot->gave_up && (slot->stage != AT_END || reason->error)) {
        fprintf(stderr, "a connection failed: %s\n", reason->detail);
        die("no connection may");
    }
}

static const struct end_events events = { established, data, decide, closed };

/* --- pairs come and go -------------------------------------------------------------------------------------------- */

static bool there(const struct slot *slot)
{
    const struct end *client = &slot->end[0], *server = &slot->end[1];
    switch (slot->stage) {
    case AT_START: return slot->turns > 0;
    case AT_ANSWER: return client->outputs > 0;
    case AT_DECISION: return slot->asked;
    case AT_CHECK: return server->outputs > 0;
    case AT_SEAL: return slot->wrote;
    case AT_OPEN: return slot->got[0] + slot->got[1] > 0;
    default: return client->closed && server->closed;
    }
}

static void start(struct churn *churn, struct slot *slot)
{
    struct host *host = &churn->host;
    slot->churn = churn;
    slot->stage = (enum stage)host_random(host, STAGES);
    slot->more = (unsigned)host_random(host, 4);
    slot->at_once = host_random(host, 2);
    slot->asked = slot->wrote = slot->gave_up = false;
    slot->got[0] = slot->got[1] = 0;
    slot->turns = 0;
    slot->begun_ns = host_now(host);
    slot->end[0].arg = slot->end[1].arg = slot;
    pair_start(host, &slot->end[0], &slot->end[1], slot->stage == AT_DECISION ? HOST_ASKING : HOST_SERVER, &events);
    churn->opened += 2;
    churn->at[slot->stage] += 2;
}

/* One turn is over. */
static void look(struct churn *churn, struct slot *slot)
{
    if (slot->end[0].conn && slot->end[1].conn && !there(slot)) {
        slot->turns++;
        if (host_now(&churn->host) - slot->begun_ns > PATIENCE)
            die("a connection hangs");
        return;
    }
    if (slot->more) {
        slot->more--;
        return;
    }
    give_up(slot, &slot->end[0]);
    give_up(slot, &slot->end[1]);
    if (churn->opened < churn->wanted)
        start(churn, slot);
}

static bool any(const struct churn *churn)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        if (churn->slot[i].end[0].conn || churn->slot[i].end[1].conn)
            return true;
    }
    return false;
}

/* Kills the device, or takes it out in order, and puts another one in its place. */
static void replace(struct churn *churn)
{
    struct host *host = &churn->host;
    static const enum shim_mode modes[] = { SHIM_WELL, SHIM_STALLS, SHIM_FAILS, SHIM_LOSES };
    host->shim->mode = modes[host_random(host, 4)];
    host_turn(host, host_now(host) + HOST_MS);
    host_replace(host, host_random(host, 2) * HOST_MS / 5);
}

static void report(struct churn *churn, size_t early, size_t late)
{
    printf("connections %llu freed %llu with ops %llu line at most %llu resident %zu KiB at a tenth, %zu KiB at most "
           "after; stages:",
        (unsigned long long)churn->opened, (unsigned long long)churn->freed, (unsigned long long)churn->with_ops,
        (unsigned long long)churn->waiting_peak, early / 1024, late / 1024);
    for (unsigned i = 0; i < STAGES; i++)
        printf(" %s %llu,", stage_names[i], (unsigned long long)churn->at[i]);
    printf(" ops %llu in the device, replaced %u times\n",
        (unsigned long long)(churn->host.shim->n.in + churn->host.gone.in), churn->host.removed);
}

/* Resident memory at the first tenth, and the most after it. */
static void sample(const struct churn *churn, size_t *early, size_t *late)
{
    if (churn->opened < churn->wanted / 10)
        return;
    size_t resident = host_resident();
    if (!*early)
        *early = resident;
    *late = resident > *late ? resident : *late;
}

/* So many have to be given up with ops in the device; one that does records alone has them for a moment only. */
static uint64_t least(const struct churn *churn)
{
    bool records_alone = !(churn->host.shim->device.caps.ops & MILGI_OP_BIT(MILGI_OP_KEYGEN));
    return records_alone ? 1 : churn->opened / 8;
}

int churn(const char *device, uint64_t wanted, bool real, bool replaced, bool resident)
{
    struct churn *churn = calloc(1, sizeof *churn);
    size_t early = 0, late = 0;
    uint64_t sampled = 0, killed = 0;
    unsigned bad = 0;
    if (!churn)
        die("no memory");
    churn->wanted = wanted;
    host_init(&churn->host, device, real, NULL);
    do {
        for (unsigned i = 0; i < PAIRS; i++)
            look(churn, &churn->slot[i]);
        host_turn(&churn->host, host_now(&churn->host) + HOST_MS);
        if (replaced && churn->opened - killed >= EACH) {
            killed = churn->opened;
            replace(churn);
        }
        if (churn->opened - sampled >= wanted / 50) {
            sampled = churn->opened;
            sample(churn, &early, &late);
        }
    } while (any(churn) || churn->opened < wanted);
    bad += !host_drain(&churn->host);
    bad += host_complaints(&churn->host);
    sample(churn, &early, &late);
    if (resident && late > early + SLACK) {
        fprintf(stderr, "resident memory grew\n");
        bad++;
    }
    if (churn->freed != churn->opened || churn->with_ops < least(churn) || !churn->waiting_peak) {
        fprintf(stderr, "too few were freed with ops in flight, or none waited in line\n");
        bad++;
    }
    report(churn, early, late);
    host_fini(&churn->host);
    for (unsigned i = 0; i < PAIRS; i++) {
        end_fini(&churn->slot[i].end[0]);
        end_fini(&churn->slot[i].end[1]);
    }
    free(churn);
    return bad != 0;
}
