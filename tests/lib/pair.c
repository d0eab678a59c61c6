/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char *what)
{
    fprintf(stderr, "pair: %s\n", what);
    abort();
}

void pair_bytes_add(struct pair_bytes *bytes, const void *data, size_t len)
{
    if (bytes->len + len > bytes->cap) {
        bytes->cap = (bytes->len + len) * 2;
        bytes->p = realloc(bytes->p, bytes->cap);
        if (!bytes->p)
            die("no memory");
    }
    if (len)
        memcpy(bytes->p + bytes->len, data, len);
    bytes->len += len;
}

void pair_bytes_drop(struct pair_bytes *bytes, size_t len)
{
    bytes->len -= len;
    if (bytes->len)
        memmove(bytes->p, bytes->p + len, bytes->len);
}

/* --- what an engine is given ------------------------------------------------------------------------------------ */

static uint64_t clock_ns(void *ctx)
{
    return ((struct pair *)ctx)->now_ns;
}

static int64_t clock_s(void *ctx)
{
    return ((struct pair *)ctx)->wall_s;
}

/* xorshift64*: the same bytes for the same seed. */
static int seeded_random(void *ctx, uint8_t *out, size_t len)
{
    struct pair_side *side = ctx;
    for (size_t i = 0; i < len; i++) {
        side->random_state ^= side->random_state >> 12;
        side->random_state ^= side->random_state << 25;
        side->random_state ^= side->random_state >> 27;
        out[i] = (uint8_t)((side->random_state * 0x2545f4914f6cdd1dull) >> 56);
    }
    return 0;
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static void tell(struct pair_side *side, const char *event)
{
    if (side->on_event)
        side->on_event(side, event);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct pair_side *side = arg;
    size_t len = 0;
    for (size_t i = 0; i < iov_n; i++) {
        pair_bytes_add(&side->wire, iov[i].data, iov[i].len);
        if (side->pair->keep_wire)
            pair_bytes_add(&side->sent_wire, iov[i].data, iov[i].len);
        len += iov[i].len;
    }
    side->outputs++;
    if (side->on_output)
        side->on_output(side, iov, iov_n);
    if (side->keep_output)
        side->undone += len;
    else
        milgi_conn_output_done(conn, len);
    tell(side, "output");
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct pair_side *side = arg;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        pair_bytes_add(&side->got, slices[i].data, slices[i].len);
        len += slices[i].len;
    }
    side->datas++;
    if (side->on_data)
        side->on_data(side, slices, n);
    if (!side->keep_credit && side->conn)
        milgi_conn_consumed(conn, len);
    tell(side, "data");
}

static void on_pause(struct milgi_conn *conn, void *arg)
{
    struct pair_side *side = arg;
    (void)conn;
    side->paused = true;
    tell(side, "pause");
}

static void on_resume(struct milgi_conn *conn, void *arg)
{
    struct pair_side *side = arg;
    (void)conn;
    side->paused = false;
    tell(side, "resume");
}

static void on_room(struct milgi_conn *conn, void *arg)
{
    struct pair_side *side = arg;
    (void)conn;
    side->room = true;
    tell(side, "room");
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct pair_side *side = arg;
    (void)conn;
    if (side->established || side->closed)
        die("established twice, or after closed");
    side->established = true;
    tell(side, "established");
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct pair_side *side = arg;
    (void)conn;
    if (side->decide)
        side->decide(side, decision);
    else
        side->decision[side->decisions_n++ % PAIR_EVENTS] = *decision;
    tell(side, "decide");
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    struct pair_side *side = arg;
    (void)conn;
    side->alerts[side->alerts_n++ % PAIR_EVENTS] = alert;
    tell(side, "alert");
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct pair_side *side = arg;
    (void)conn;
    if (side->closed)
        die("closed twice");
    side->closed = true;
    side->reason = *reason;
    tell(side, "closed");
}

static void on_record(
    struct milgi_conn *conn, void *arg, uint8_t type, const struct milgi_iov *iov, size_t iov_n)
{
    struct pair_side *side = arg;
    (void)conn;
    if (!side->on_record)
        die("a record, and sending was not handed over");
    side->on_record(side, type, iov, iov_n);
}

static void on_keys(struct milgi_conn *conn, void *arg, int direction, const struct milgi_traffic_keys *keys)
{
    struct pair_side *side = arg;
    (void)conn;
    if (!side->on_keys)
        die("keys, and nothing was handed over");
    side->on_keys(side, direction, keys);
}

static const struct milgi_events events = { on_output, on_data, on_pause, on_resume, on_room, on_established, on_decide,
    on_alert, on_closed, NULL, on_record, on_keys };

/* --- life ------------------------------------------------------------------------------------------------------- */

static void connect_side(struct pair_side *side, int role, const struct pair_setup *setup)
{
    if (!setup->config[role])
        return;
    const char *name = role == MILGI_CLIENT ? setup->server_name : NULL;
    if (milgi_conn_new(side->engine, setup->config[role], name, &events, side, &side->conn) != 0)
        die("no connection");
}

static void side_init(struct pair *pair, int role, const struct pair_setup *setup)
{
    struct pair_side *side = &pair->side[role];
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    if (setup->options)
        options = *setup->options;
    side->pair = pair;
    side->random_state = (setup->seed + 1) * 0x9e3779b97f4a7c15u + (uint64_t)(unsigned)role;
    options.clock = (struct milgi_clock){ clock_ns, clock_s, pair };
    options.random = seeded_random;
    options.random_ctx = side;
    options.schedule = NULL;
    if (milgi_engine_new(&options, &side->engine) != 0)
        die("no engine");
    if (setup->device[role]) {
        const char *why = "";
        if (milgi_device_new(setup->device[role], &side->device[0], &why) != 0)
            die(why);
        side->devices_n = 1;
        int index = milgi_engine_add_device(side->engine, side->device[0]);
        if (index < 0 || milgi_engine_route(side->engine, UINT32_MAX, (unsigned)index, 1) != 0)
            die("the device cannot be used");
    }
    connect_side(side, role, setup);
}

void pair_init(struct pair *pair, const struct pair_setup *setup)
{
    memset(pair, 0, sizeof *pair);
    pair->now_ns = 1000000000;
    pair->wall_s = setup->wall_s ? setup->wall_s : (int64_t)time(NULL);
    side_init(pair, MILGI_CLIENT, setup);
    side_init(pair, MILGI_SERVER, setup);
}

void pair_again(struct pair *pair, const struct pair_setup *setup)
{
    for (int role = 0; role < 2; role++) {
        struct pair_side *side = &pair->side[role];
        milgi_conn_free(side->conn);
        pair_bytes_drop(&side->wire, side->wire.len);
        pair_bytes_drop(&side->got, side->got.len);
        side->conn = NULL;
        side->established = side->closed = side->paused = side->room = false;
        side->alerts_n = side->decisions_n = 0;
        side->undone = 0;
        connect_side(side, role, setup);
    }
}

void pair_fini(struct pair *pair)
{
    for (int role = 0; role < 2; role++) {
        struct pair_side *side = &pair->side[role];
        milgi_conn_free(side->conn);
        milgi_engine_free(side->engine);
        for (unsigned i = 0; i < side->devices_n; i++)
            milgi_device_free(side->device[i]);
        free(side->wire.p);
        free(side->sent_wire.p);
        free(side->got.p);
    }
    memset(pair, 0, sizeof *pair);
}

/* --- running ---------------------------------------------------------------------------------------------------- */

/* Whoever lives on waits for something, unless the peer has ended; and for no turn of an engine that wants none. */
static void look(const struct pair_side *side, enum milgi_next next)
{
    unsigned waits = side->conn && next != MILGI_RUN_AGAIN ? milgi_conn_waits_for(side->conn) : MILGI_WAITS_DEVICE;
    if (waits & MILGI_WAITS_TURN)
        die("waits for a turn that does not come");
    if (!waits && !side->closed && !side->alerts_n)
        die("waits for nothing");
    if (waits & MILGI_WAITS_PEER && milgi_conn_input_paused(side->conn))
        die("waits for a peer that it does not listen to");
}

enum milgi_next pair_run(struct pair_side *side, uint64_t *deadline_ns)
{
    struct milgi_run_result result;
    if (milgi_engine_run(side->engine, side->pair->budget_ns, &result) != 0)
        die("the engine does not run");
    if (deadline_ns)
        *deadline_ns = result.next == MILGI_RUN_WAIT ? result.deadline_ns : UINT64_MAX;
    look(side, result.next);
    return result.next;
}

int pair_feed(struct pair_side *side, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t piece = side->pair->piece ? side->pair->piece : 16384;
    int rv = 0;
    while (len && side->conn) {
        size_t k = len < piece ? len : piece;
        struct milgi_chunk *chunk = milgi_chunk_new(side->engine, k);
        if (!chunk)
            return MILGI_ENOMEM;
        memcpy(milgi_chunk_data(chunk), p, k);
        rv = milgi_conn_receive(side->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)k });
        p += k;
        len -= k;
    }
    return rv;
}

size_t pair_carry(struct pair_side *from, size_t max)
{
    struct pair_side *to = pair_other(from);
    size_t done = 0, want = max && max < from->wire.len ? max : from->wire.len;
    size_t piece = from->pair->piece ? from->pair->piece : 16384;
    while (done < want && to->conn && !milgi_conn_input_paused(to->conn)) {
        size_t k = want - done < piece ? want - done : piece;
        if (pair_feed(to, from->wire.p + done, k) == MILGI_ENOMEM)
            break;
        done += k;
    }
    if (!to->conn)
        done = want;
    pair_bytes_drop(&from->wire, done);
    return done;
}

void pair_settle_until(struct pair *pair, uint64_t until_ns)
{
    for (unsigned guard = 0; guard < 10000000; guard++) {
        uint64_t deadline = UINT64_MAX;
        bool moved = false;
        for (int role = 0; role < 2; role++) {
            uint64_t d;
            moved |= pair_run(&pair->side[role], &d) == MILGI_RUN_AGAIN;
            deadline = d < deadline ? d : deadline;
        }
        for (int role = 0; role < 2; role++)
            moved |= pair_carry(&pair->side[role], 0) > 0;
        if (moved)
            continue;
        if (deadline > until_ns)
            return;
        if (deadline > pair->now_ns)
            pair->now_ns = deadline;
    }
    die("does not settle");
}

void pair_settle(struct pair *pair)
{
    pair_settle_until(pair, pair->now_ns + 5000000000u);
}
