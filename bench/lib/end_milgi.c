/* SPDX-License-Identifier: Apache-2.0 */
/* Milgi as a subject: two engines, one for each side, so that running one is the work of that side. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <milgi/milgi.h>

#include "shake.h"

/* How much a host reads at once. The second is for one full record, the third for four. */
#define READ_SIZES 3
static const uint32_t read_sizes[READ_SIZES] = { 4096, 18 * 1024, 68 * 1024 };

struct world {
    struct milgi_engine *engine[2];
    struct milgi_config *config[2];
    struct milgi_device *signer;
    struct milgi_ticket_keys *ticket_keys; /* SHAKE_13_RESUMED */
    struct milgi_session_cache *sessions;
    bool again;                  /* there was a connection before */
    struct milgi_chunk *message; /* of the server's engine */
    bool runnable[2];
};

struct end {
    struct world *world;
    enum side side;
    struct milgi_conn *conn;
    struct wire *in, *out;
    size_t received;
    unsigned read; /* index of the size of its next read */
    bool established;
};

static uint8_t message[MESSAGE_MAX];

static void must(int result, const char *what)
{
    if (result < 0)
        bench_die("milgi: %s: %s", what, milgi_error_text(result));
}

/* --- what it calls ---------------------------------------------------------------------------------------------- */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct end *end = arg;
    size_t len = 0;

    for (size_t i = 0; i < iov_n; i++) {
        wire_put(end->out, iov[i].data, iov[i].len);
        len += iov[i].len;
    }
    milgi_conn_output_done(conn, len);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct end *end = arg;
    size_t len = 0;

    for (size_t i = 0; i < slices_n; i++) {
        if (end->received + len < CHECKED)
            check_arrived(end->received + len, slices[i].data, slices[i].len);
        len += slices[i].len;
    }
    end->received += len;
    milgi_conn_consumed(conn, len);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct end *end = arg;

    end->established = true;
    if (end->world->sessions && end->side == CLIENT) {
        struct milgi_conn_info info;
        milgi_conn_info(conn, &info);
        if (info.resumed != end->world->again)
            bench_die("milgi: it was not resumed");
        end->world->again = true;
    }
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

static void schedule(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    *(bool *)ctx = true;
}

/* As a host does: as long as the engine asks for it. */
static void run(struct world *world, enum side side)
{
    struct milgi_run_result result = { .next = MILGI_RUN_IDLE };

    do {
        world->runnable[side] = false;
        must(milgi_engine_run(world->engine[side], 0, &result), "run");
    } while (world->runnable[side] || result.next == MILGI_RUN_AGAIN);
}

/* --- what is set up once ---------------------------------------------------------------------------------------- */

static void trust(struct milgi_config *c, const struct setup *setup)
{
    struct milgi_trust *anchors;

    if (!setup->anchor_pem) {
        must(milgi_config_dangerously_accept_any_server(c), "trust");
        return;
    }
    must(milgi_trust_new_pem(setup->anchor_pem, setup->anchor_len, &anchors), "anchor");
    must(milgi_config_set_trust(c, anchors), "trust");
    milgi_trust_unref(anchors);
}

/* A ticket for each connection, of which the next one makes use. */
static void resume(struct world *world, struct milgi_config *c, enum side side)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };

    if (side == SERVER) {
        must(milgi_ticket_keys_new(secret, 7200, time(NULL), &world->ticket_keys), "ticket keys");
        must(milgi_config_set_ticket_keys(c, world->ticket_keys), "ticket keys");
        must(milgi_config_set_tickets(c, 1), "tickets");
    } else {
        must(milgi_session_cache_new(4, &world->sessions), "sessions");
        must(milgi_config_set_session_cache(c, world->sessions), "sessions");
    }
}

static struct milgi_config *config(struct world *world, const struct setup *setup, enum side side)
{
    struct milgi_config *c = milgi_config_new(side == SERVER ? MILGI_SERVER : MILGI_CLIENT);
    struct milgi_credential *credential;
    const char *why = "";

    if (!c)
        bench_die("out of memory");
    milgi_shake(c, setup->shake, setup->suite);
    if (setup->record_len != 0)
        must(milgi_config_set_limit(c, MILGI_LIMIT_RECORD, setup->record_len), "record size");
    if (side == SERVER) {
        must(milgi_credential_new_pem(setup->cert->cert_pem, setup->cert->cert_len, setup->cert->key_pem,
                 setup->cert->key_len, &credential),
            "credential");
        must(milgi_config_add_credential(c, credential), "credential");
        milgi_credential_unref(credential);
    } else {
        trust(c, setup);
    }
    if (setup->shake == SHAKE_13_RESUMED)
        resume(world, c, side);
    if (milgi_config_freeze(c, &why) != 0)
        bench_die("milgi: config: %s", why);
    return c;
}

static void route_signatures(struct world *world, const char *spec)
{
    const char *why = "";

    if (milgi_device_new(spec, &world->signer, &why) != 0)
        bench_die("milgi: %s: %s", spec, why);
    int index = milgi_engine_add_device(world->engine[SERVER], world->signer);
    must(index, "device");
    must(milgi_engine_route(world->engine[SERVER], MILGI_OP_BIT(MILGI_OP_SIGN), (unsigned)index, 0), "route");
}

static struct world *world_new(const struct setup *setup)
{
    struct world *world = calloc(1, sizeof *world);

    if (!world)
        bench_die("out of memory");
    for (enum side side = CLIENT; side <= SERVER; side++) {
        struct milgi_engine_options options;
        milgi_engine_options_init(&options);
        if (setup->engine)
            options = *setup->engine;
        options.schedule = schedule;
        options.schedule_ctx = &world->runnable[side];
        options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = setup->signer ? 0 : options.op_timeout_ns[0];
        options.outstanding_ns = setup->signer ? UINT64_MAX / 4 : options.outstanding_ns;
        must(milgi_engine_new(&options, &world->engine[side]), "engine");
        world->config[side] = config(world, setup, side);
    }
    if (setup->signer)
        route_signatures(world, setup->signer);
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        message[i] = pattern(i);
    world->message = milgi_chunk_new(world->engine[SERVER], MESSAGE_MAX);
    if (!world->message)
        bench_die("milgi: no chunk");
    memcpy(milgi_chunk_data(world->message), message, MESSAGE_MAX);
    return world;
}

static void world_free(struct world *world)
{
    milgi_chunk_unref(world->message);
    for (enum side side = CLIENT; side <= SERVER; side++) {
        must(milgi_engine_free(world->engine[side]), "freeing an engine");
        milgi_config_unref(world->config[side]);
    }
    if (world->signer)
        milgi_device_free(world->signer);
    milgi_ticket_keys_unref(world->ticket_keys);
    milgi_session_cache_unref(world->sessions);
    free(world);
}

/* --- an end ----------------------------------------------------------------------------------------------------- */

static struct end *end_new(struct world *world, enum side side, struct wire *in, struct wire *out)
{
    struct end *end = calloc(1, sizeof *end);

    if (!end)
        bench_die("out of memory");
    *end = (struct end){ .world = world, .side = side, .in = in, .out = out };
    must(milgi_conn_new(world->engine[side], world->config[side], side == CLIENT ? "localhost" : NULL, &events, end,
             &end->conn),
        "connection");
    return end;
}

/* A full chunk asks for a larger one next time, one that is mostly empty for a smaller one. */
static void adapt(struct end *end, uint32_t len)
{
    uint32_t size = read_sizes[end->read];

    if (len == size && end->read < READ_SIZES - 1)
        end->read++;
    else if (len < size / 4 && end->read > 0)
        end->read--;
}

static void progress(struct end *end, size_t want)
{
    (void)want;
    while (wire_pending(end->in) > 0) {
        uint32_t size = read_sizes[end->read];
        struct milgi_chunk *chunk = milgi_conn_chunk(end->conn, size);
        if (!chunk)
            bench_die("milgi: no chunk");
        uint32_t len = (uint32_t)wire_get(end->in, milgi_chunk_data(chunk), size);
        adapt(end, len);
        int result = milgi_conn_receive(end->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), len });
        must(result, "receive");
        if (result == MILGI_PAUSE)
            run(end->world, end->side);
    }
    run(end->world, end->side);
}

static bool established(const struct end *end)
{
    return end->established;
}

static void send_messages(struct end *end, enum way way, size_t len, unsigned n)
{
    struct milgi_chunk *chunk = end->world->message;

    for (unsigned i = 0; i < n; i++) {
        int result;
        if (way == BY_REFERENCE && end->side == SERVER)
            result = milgi_conn_send(end->conn,
                (struct milgi_slice){ milgi_chunk_ref(chunk), milgi_chunk_data(chunk), (uint32_t)len });
        else
            result = milgi_conn_write(end->conn, message, len);
        must(result, "send");
    }
    run(end->world, end->side);
}

static size_t received(const struct end *end)
{
    return end->received;
}

static void end_free(struct end *end)
{
    milgi_conn_free(end->conn);
    if (end->world->runnable[end->side])
        run(end->world, end->side);
    free(end);
}

/* As a host does that waits for the engine's deadline: twice, since what is kept for a period goes with the next. */
static void settle(struct world *world, enum side side)
{
    const struct timespec while_idle = { 0, 20 * 1000 * 1000 };

    for (int i = 0; i < 2; i++) {
        nanosleep(&while_idle, NULL);
        run(world, side);
    }
}

const struct subject subject_milgi = {
    .name = "Milgi",
    .world_new = world_new,
    .world_free = world_free,
    .end_new = end_new,
    .progress = progress,
    .established = established,
    .send = send_messages,
    .received = received,
    .end_free = end_free,
    .settle = settle,
    .shakes = milgi_shakes,
    .host_len = sizeof(struct end),
};
