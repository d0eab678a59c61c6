/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of Milgi's, and the peer that it had its handshake with, each with an engine. Measured is one end:
 * what it sends goes nowhere, and what it receives was sent, and laid into its chunks, before the clock was started.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/milgi.h>

#include "one.h"

#define SOURCES 16u /* chunks that the application sends in turn */
#define BATCH 256u  /* records that are laid out at once, to be received */
#define READ (68u * 1024u)
#define ON_WIRE (RECORD + 22u) /* a record with its header, type and tag */
#define SPIN "20us"            /* a worker has a core of its own */

enum side {
    MEASURED,
    PEER
};

struct end {
    struct milgi_engine *engine;
    struct milgi_config *config;
    struct milgi_conn *conn;
    struct end *other;
    bool established, wired; /* wired: its output is the other's input */
    uint64_t sunk, received;
};

struct one {
    struct end end[2];
    struct milgi_device *pool;
    bool receives, polls;
    struct milgi_chunk *source[SOURCES];
    unsigned turn;
    /* what the peer has sent */
    uint8_t *tape;
    size_t tape_len, tape_size;
};

static struct one *recording; /* what the peer sends now goes on its tape */

static void must(int result, const char *what)
{
    if (result < 0)
        bench_die("milgi: %s: %s", what, milgi_error_text(result));
}

/* --- what it calls ---------------------------------------------------------------------------------------------- */

static void deliver(struct end *to, const void *data, size_t len)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(to->conn, len);

    if (!chunk)
        bench_die("milgi: no chunk");
    memcpy(milgi_chunk_data(chunk), data, len);
    const struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)len };
    must(milgi_conn_receive(to->conn, slice), "receive");
}

static void record(struct one *one, const void *data, size_t len)
{
    if (len > one->tape_size - one->tape_len)
        bench_die("milgi: the tape is full");
    memcpy(one->tape + one->tape_len, data, len);
    one->tape_len += len;
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct end *end = arg;
    size_t len = 0;

    for (size_t i = 0; i < iov_n; i++) {
        if (end->wired)
            deliver(end->other, iov[i].data, iov[i].len);
        else if (recording)
            record(recording, iov[i].data, iov[i].len);
        len += iov[i].len;
    }
    end->sunk += len;
    milgi_conn_output_done(conn, len);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct end *end = arg;
    size_t len = 0;

    for (size_t i = 0; i < slices_n; i++)
        len += slices[i].len;
    end->received += len;
    milgi_conn_consumed(conn, len);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct end *end = arg;

    (void)conn;
    end->established = true;
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)conn;
    (void)arg;
    bench_die("milgi: closed: %s: %s", milgi_error_text(reason->error), reason->detail);
}

static const struct milgi_events events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_closed = on_closed,
};

/* --- set up ----------------------------------------------------------------------------------------------------- */

static struct milgi_config *config(const struct setup *setup, enum milgi_role role)
{
    struct milgi_config *c = milgi_config_new(role);
    struct milgi_credential *credential;
    const char *why = "";

    if (!c)
        bench_die("out of memory");
    must(milgi_config_set_suites(c, &setup->suite->id, 1), "suites");
    must(milgi_config_set_limit(c, MILGI_LIMIT_WINDOW, setup->window), "window");
    must(milgi_config_set_limit(c, MILGI_LIMIT_OUTPUT, (uint64_t)setup->window * 2 * RECORD), "output");
    must(milgi_config_set_limit(c, MILGI_LIMIT_INPUT, (uint64_t)setup->window * 2 * RECORD), "input");
    if (role == MILGI_SERVER) {
        must(milgi_credential_new_pem(setup->cert->cert_pem, setup->cert->cert_len, setup->cert->key_pem,
                 setup->cert->key_len, &credential),
            "credential");
        must(milgi_config_add_credential(c, credential), "credential");
        milgi_credential_unref(credential);
    } else {
        must(milgi_config_dangerously_accept_any_server(c), "trust");
    }
    if (milgi_config_freeze(c, &why) != 0)
        bench_die("milgi: config: %s", why);
    return c;
}

static void route(struct one *one, const struct subject *subject, const struct setup *setup)
{
    const uint32_t records = MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN);
    const int cpus[2] = { setup->place.other, setup->place.loop };
    char spec[64];

    if (subject->route == ROUTE_CPU)
        return;
    /* Two workers have both cores, and the loop beside one of them: then nobody spins. */
    snprintf(spec, sizeof spec, "pool:%u,min=4096,spin=%s", subject->workers, subject->workers == 1 ? SPIN : "0us");
    one->pool = bench_device(spec, cpus, subject->workers, BENCH_NORMAL);
    int index = milgi_engine_add_device(one->end[MEASURED].engine, one->pool);
    must(index, "device");
    if (subject->route == ROUTE_FIRST)
        must(milgi_engine_route_first(one->end[MEASURED].engine, records, 1u | 1u << index, 0), "route");
    else if (subject->route == ROUTE_FIRST)
        must(milgi_engine_route_first(one->end[MEASURED].engine, records, 1u | 1u << index, 0), "route");
    else
        must(milgi_engine_route(one->end[MEASURED].engine, records, (unsigned)index, 0), "route");
}

static void handshake(struct one *one)
{
    struct milgi_run_result result;

    for (int i = 0; i < 64 && !(one->end[0].established && one->end[1].established); i++) {
        for (int side = 0; side < 2; side++)
            must(milgi_engine_run(one->end[side].engine, 0, &result), "run");
    }
    if (!one->end[0].established || !one->end[1].established)
        bench_die("milgi: the handshake failed");
    for (int side = 0; side < 2; side++)
        one->end[side].wired = false;
}

static void make_sources(struct one *one, struct milgi_engine *engine)
{
    for (unsigned i = 0; i < SOURCES; i++) {
        one->source[i] = milgi_chunk_new(engine, RECORD);
        if (!one->source[i])
            bench_die("milgi: no chunk");
        memset(milgi_chunk_data(one->source[i]), (int)i, RECORD);
    }
}

void *milgi_make(const struct subject *subject, const struct setup *setup)
{
    struct one *one = calloc(1, sizeof *one);

    if (!one)
        bench_die("out of memory");
    one->receives = subject->receives;
    one->polls = subject->polls;
    one->tape_size = (size_t)(BATCH + 1) * ON_WIRE;
    one->tape = subject->receives ? malloc(one->tape_size) : NULL;
    for (int side = 0; side < 2; side++) {
        struct end *end = &one->end[side];
        enum milgi_role role = (side == MEASURED) == subject->receives ? MILGI_CLIENT : MILGI_SERVER;
        end->other = &one->end[!side];
        end->wired = true;
        end->config = config(setup, role);
        struct milgi_engine_options options;
        milgi_engine_options_init(&options);
        if (subject->polls && side == MEASURED)
            options.completion = MILGI_COMPLETION_BUSY;
        must(milgi_engine_new(&options, &end->engine), "engine");
    }
    route(one, subject, setup);
    for (int side = 0; side < 2; side++) {
        struct end *end = &one->end[side];
        must(milgi_conn_new(end->engine, end->config, "localhost", &events, end, &end->conn), "connection");
    }
    handshake(one);
    make_sources(one, one->end[subject->receives ? PEER : MEASURED].engine);
    return one;
}

/* --- slices ----------------------------------------------------------------------------------------------------- */

/* As much as the connection takes. */
static void send_some(struct one *one, struct end *end, unsigned most)
{
    for (unsigned i = 0; i < most && !milgi_conn_output_full(end->conn); i++) {
        struct milgi_chunk *chunk = milgi_chunk_ref(one->source[one->turn++ % SOURCES]);
        must(milgi_conn_send(end->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), RECORD }), "send");
    }
}

/* A turn; when it has nothing more to do until something comes back, |blocked| waits for that, as a host would. */
static void turn(struct end *end, bool (*blocked)(struct one *), struct one *one)
{
    struct milgi_run_result result;
    struct pollfd fd = { .fd = milgi_engine_fd(end->engine), .events = POLLIN };

    must(milgi_engine_run(end->engine, 0, &result), "run");
    if (result.next != MILGI_RUN_AGAIN && !one->polls && blocked(one))
        (void)poll(&fd, 1, 100);
}

static bool send_blocked(struct one *one)
{
    return milgi_conn_output_full(one->end[MEASURED].conn);
}

static bool send_pending(struct one *one)
{
    return milgi_conn_output_pending(one->end[MEASURED].conn) > 0;
}

static double send_slice(struct one *one, uint64_t ns)
{
    struct end *end = &one->end[MEASURED];
    uint64_t sunk = end->sunk;
    uint64_t began = bench_now_ns();
    uint64_t now = began;

    for (; now - began < ns; now = bench_now_ns()) {
        send_some(one, end, UINT32_MAX);
        turn(end, send_blocked, one);
    }
    double rate = (double)(end->sunk - sunk) / ON_WIRE * RECORD * 1e9 / (double)(now - began);
    while (send_pending(one))
        turn(end, send_pending, one);
    return rate;
}

/* The peer seals a batch, which is laid into chunks as reading from a socket would. */
static unsigned lay_out(struct one *one, struct milgi_slice *slices)
{
    struct end *peer = &one->end[PEER];
    struct milgi_run_result result;
    unsigned n = 0;

    one->tape_len = 0;
    recording = one;
    for (unsigned left = BATCH; left > 0 || milgi_conn_output_pending(peer->conn) > 0;) {
        unsigned before = one->turn;
        send_some(one, peer, left);
        left -= one->turn - before;
        must(milgi_engine_run(peer->engine, 0, &result), "run");
    }
    recording = NULL;
    for (size_t at = 0; at < one->tape_len; n++) {
        size_t len = one->tape_len - at < READ ? one->tape_len - at : READ;
        slices[n].chunk = milgi_conn_chunk(one->end[MEASURED].conn, READ);
        if (!slices[n].chunk)
            bench_die("milgi: no chunk");
        slices[n].data = milgi_chunk_data(slices[n].chunk);
        slices[n].len = (uint32_t)len;
        memcpy(slices[n].data, one->tape + at, len);
        at += len;
    }
    return n;
}

static uint64_t wanted; /* bytes that are to be received in all */

static bool receive_blocked(struct one *one)
{
    return milgi_conn_input_paused(one->end[MEASURED].conn);
}

static bool receive_pending(struct one *one)
{
    return one->end[MEASURED].received < wanted;
}

static uint64_t receive_batch(struct one *one)
{
    static struct milgi_slice slices[BATCH];
    struct end *end = &one->end[MEASURED];
    unsigned n = lay_out(one, slices);

    wanted += (uint64_t)BATCH * RECORD;
    uint64_t began = bench_now_ns();
    for (unsigned i = 0; i < n; i++) {
        must(milgi_conn_receive(end->conn, slices[i]), "receive");
        while (milgi_conn_input_paused(end->conn))
            turn(end, receive_blocked, one);
    }
    while (receive_pending(one))
        turn(end, receive_pending, one);
    return bench_now_ns() - began;
}

double milgi_slice(void *state, uint64_t ns)
{
    struct one *one = state;
    uint64_t took = 0;
    unsigned batches = 0;

    if (!one->receives)
        return send_slice(one, ns);
    wanted = one->end[MEASURED].received;
    for (; took < ns; batches++)
        took += receive_batch(one);
    return (double)batches * BATCH * RECORD * 1e9 / (double)took;
}

double milgi_share(void *state)
{
    struct one *one = state;
    struct milgi_engine_stats stats;
    int type = one->receives ? MILGI_OP_OPEN : MILGI_OP_SEAL;
    uint64_t all = 0;

    milgi_engine_stats(one->end[MEASURED].engine, &stats);
    for (unsigned i = 0; i < stats.devices_n; i++)
        all += stats.device[i].completed[type];
    return stats.devices_n < 2 || all == 0 ? 0 : 100.0 * (double)stats.device[1].completed[type] / (double)all;
}

void milgi_end(void *state)
{
    struct one *one = state;

    for (unsigned i = 0; i < SOURCES; i++)
        milgi_chunk_unref(one->source[i]);
    for (int side = 0; side < 2; side++) {
        milgi_conn_free(one->end[side].conn);
        must(milgi_engine_free(one->end[side].engine), "freeing an engine");
        milgi_config_unref(one->end[side].config);
    }
    milgi_device_free(one->pool);
    free(one->tape);
    free(one);
}
