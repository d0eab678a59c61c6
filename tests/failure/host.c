/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE 16384u

void die(const char *what)
{
    fprintf(stderr, "failure: %s\n", what);
    abort();
}

/* --- what the engine is given ------------------------------------------------------------------------------------- */

uint64_t host_now(const struct host *host)
{
    struct timespec t;
    if (!host->real)
        return host->now_ns;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t clock_ns(void *ctx)
{
    return host_now(ctx);
}

static int64_t clock_s(void *ctx)
{
    (void)ctx;
    return host_wall_s();
}

/* xorshift64* */
uint64_t host_random(struct host *host, uint64_t below)
{
    host->random_state ^= host->random_state >> 12;
    host->random_state ^= host->random_state << 25;
    host->random_state ^= host->random_state >> 27;
    return ((host->random_state * 0x2545f4914f6cdd1du) >> 16) % below;
}

static int seeded_random(void *ctx, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)host_random(ctx, 256);
    return 0;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static void put_on_wire(struct end *end, const void *data, size_t len)
{
    if (end->wire_len + len > end->wire_cap) {
        end->wire_cap = (end->wire_len + len) * 3 / 2;
        end->wire = realloc(end->wire, end->wire_cap);
        if (!end->wire)
            die("no memory");
    }
    memcpy(end->wire + end->wire_len, data, len);
    end->wire_len += len;
    if (end->on_wires)
        return;
    end->on_wires = true;
    end->next = end->host->wires;
    end->host->wires = end;
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct end *end = arg;
    (void)conn;
    end->outputs++;
    for (size_t i = 0; i < iov_n; i++)
        put_on_wire(end, iov[i].data, iov[i].len);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct end *end = arg;
    for (size_t i = 0; i < n && end->conn; i++) {
        uint32_t len = slices[i].len;
        if (end->events->data)
            end->events->data(end, slices[i].data, len);
        if (end->conn)
            milgi_conn_consumed(conn, len);
    }
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct end *end = arg;
    (void)conn;
    if (end->established || end->closed)
        die("established twice, or after the end");
    end->established = true;
    if (end->events->established)
        end->events->established(end);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct end *end = arg;
    (void)conn;
    if (end->events->decide)
        end->events->decide(end, decision);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct end *end = arg;
    (void)conn;
    if (end->closed)
        die("closed twice");
    end->closed = true;
    if (end->events->closed)
        end->events->closed(end, reason);
}

static const struct milgi_events conn_events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_decide = on_decide,
    .on_closed = on_closed,
};

/* --- pairs -------------------------------------------------------------------------------------------------------- */

static void end_init(struct end *end, struct host *host, struct end *other, const struct end_events *events)
{
    end->host = host;
    end->other = other;
    end->events = events;
    end->conn = NULL;
    end->established = end->closed = false;
    end->wire_len = 0;
    end->outputs = 0;
}

void pair_start(struct host *host, struct end *end, struct end *other, enum host_config server,
    const struct end_events *events)
{
    end_init(end, host, other, events);
    end_init(other, host, end, events);
    if (milgi_conn_new(host->engine, host->config[server], NULL, &conn_events, other, &other->conn) != 0 ||
        milgi_conn_new(host->engine, host->config[HOST_CLIENT], "server.test", &conn_events, end, &end->conn) != 0)
        die("no connection");
}

void end_free(struct end *end)
{
    milgi_conn_free(end->conn);
    end->conn = NULL;
    end->wire_len = 0;
}

void end_fini(struct end *end)
{
    free(end->wire);
    end->wire = NULL;
    end->wire_cap = 0;
}

/* Gives the other end what it takes; true if something is left. */
static bool carry_one(struct host *host, struct end *from)
{
    struct end *to = from->other;
    size_t done = 0;
    while (done < from->wire_len && to->conn && !milgi_conn_input_paused(to->conn)) {
        size_t k = from->wire_len - done < PIECE ? from->wire_len - done : PIECE;
        struct milgi_chunk *chunk = milgi_conn_chunk(to->conn, k);
        if (!chunk)
            break;
        memcpy(milgi_chunk_data(chunk), from->wire + done, k);
        milgi_conn_receive(to->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)k });
        done += k;
    }
    if (!to->conn)
        done = from->wire_len;
    if (done && from->conn)
        milgi_conn_output_done(from->conn, done);
    host->carried += done;
    from->wire_len -= done;
    memmove(from->wire, from->wire + done, from->wire_len);
    return from->wire_len > 0;
}

static void carry(struct host *host)
{
    struct end *end = host->wires;
    host->wires = NULL;
    while (end) {
        struct end *next = end->next;
        end->on_wires = carry_one(host, end);
        if (end->on_wires) {
            end->next = host->wires;
            host->wires = end;
        }
        end = next;
    }
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void wait_until(struct host *host, uint64_t until_ns)
{
    uint64_t now = host_now(host);
    if (until_ns <= now)
        return;
    if (!host->real) {
        host->now_ns = until_ns;
        return;
    }
    uint64_t ns = until_ns - now;
    struct timespec timeout = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    (void)ppoll(&(struct pollfd){ .fd = milgi_engine_fd(host->engine), .events = POLLIN }, 1, &timeout, NULL);
}

void host_turn(struct host *host, uint64_t until_ns)
{
    struct milgi_run_result result;
    uint64_t before = host->carried;
    if (milgi_engine_run(host->engine, 0, &result) != 0)
        die("the engine does not run");
    carry(host);
    if (result.next == MILGI_RUN_AGAIN || host->carried != before)
        return;
    if (result.next == MILGI_RUN_WAIT && result.deadline_ns < until_ns)
        until_ns = result.deadline_ns;
    wait_until(host, until_ns);
}

bool host_drain(struct host *host)
{
    uint64_t end_ns = host_now(host) + 60000 * HOST_MS;
    struct milgi_engine_stats stats;
    do {
        host_turn(host, host_now(host) + HOST_MS);
        milgi_engine_stats(host->engine, &stats);
        if (!stats.conns && !stats.ops_alive && !stats.orphans && !stats.memory && host->added == host->removed + 1)
            return true;
    } while (host_now(host) < end_ns);
    fprintf(stderr, "left: %u connections, %u ops, %u orphans, %zu bytes\n", stats.conns, stats.ops_alive,
        stats.orphans, stats.memory);
    return false;
}

/* --- what has to add up ------------------------------------------------------------------------------------------- */

static unsigned unequal(const char *what, uint64_t a, uint64_t b)
{
    if (a != b)
        fprintf(stderr, "%s: %llu and %llu\n", what, (unsigned long long)a, (unsigned long long)b);
    return a != b;
}

unsigned host_complaints(struct host *host)
{
    struct milgi_engine_stats stats;
    unsigned bad = 0;
    milgi_engine_stats(host->engine, &stats);
    for (unsigned i = 0; i < stats.devices_n; i++) {
        const struct milgi_device_stats *d = &stats.device[i];
        uint64_t in = 0, back = 0;
        for (unsigned type = 0; type < MILGI_OP_TYPES; type++) {
            in += d->submitted[type];
            back += d->completed[type];
        }
        bad += unequal("submitted, and given back or still owed", in, back + d->in_flight + d->quarantined);
        for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
            const struct milgi_class_stats *c = &d->cls[cls];
            bad += unequal("submitted, and ended or in flight", c->submitted,
                c->ok + c->rejected + c->broken + c->cancelled + c->lost + c->in_flight);
            in -= c->submitted;
        }
        bad += unequal("submitted by type, and by class", in, 0);
    }
    const struct milgi_device_stats *d = &stats.device[host->index];
    bad += unequal("what the device has, and what it owes", host->shim->inside, d->in_flight + d->quarantined);
    bad += unequal("what went into the device, and came out or is inside", host->shim->n.in,
        host->shim->n.out + host->shim->inside);
    bad += unequal("what went into devices that were removed, and came out", host->gone.in, host->gone.out);
    bad += unequal("devices that were removed, and are gone", host->added - 1, host->removed);
    bad += unequal("ops that came out or went in twice", host->shim->n.wrong + host->gone.wrong, 0);
    return bad;
}

size_t host_resident(void)
{
    unsigned long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
        die("no /proc/self/statm");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

bool host_tls12;

static void make_configs(struct host *host)
{
    for (unsigned i = 0; i < HOST_CONFIGS; i++) {
        struct milgi_config *config = host_config(i == HOST_CLIENT ? MILGI_CLIENT : MILGI_SERVER);
        if (milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, 65536) != 0 ||
            (host_tls12 && milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2) != 0) ||
            (i == HOST_ASKING && milgi_config_set_ask(config, MILGI_DECIDE_CREDENTIAL) != 0))
            die("a limit is refused");
        host->config[i] = host_freeze(config);
    }
}

/* The engine does not use it any more. */
static void on_device(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *device,
    enum milgi_device_event event)
{
    struct host *host = ctx;
    struct shim *shim = (struct shim *)(void *)device;
    (void)engine;
    (void)index;
    if (event != MILGI_DEVICE_REMOVED)
        return;
    if (shim->inside)
        die("a device was removed that has ops");
    host->gone.in += shim->n.in;
    host->gone.out += shim->n.out;
    host->gone.wrong += shim->n.wrong;
    host->removed++;
    shim_free(shim);
}

static void add_device(struct host *host)
{
    host->shim = shim_new(host->device);
    if (!host->shim)
        die("no device");
    int index = milgi_engine_add_device(host->engine, &host->shim->device);
    if (index < 0 || milgi_engine_route(host->engine, UINT32_MAX, (unsigned)index, 1) != 0)
        die("the device cannot be used");
    host->index = (unsigned)index;
    host->added++;
}

void host_replace(struct host *host, uint64_t drain_ns)
{
    if (host->added - host->removed >= MILGI_DEVICES_MAX - 2)
        return;
    if (milgi_engine_remove_device(host->engine, host->index, drain_ns) != 0)
        die("the device cannot be removed");
    add_device(host);
}

void host_init(struct host *host, const char *device, bool real, const struct milgi_engine_options *from)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    if (from)
        options = *from;
    memset(host, 0, sizeof *host);
    host->real = real;
    host->now_ns = 1000000000;
    host->random_state = 88172645463325252u;
    make_configs(host);
    options.clock = (struct milgi_clock){ clock_ns, clock_s, host };
    options.random = seeded_random;
    options.random_ctx = host;
    options.on_device = on_device;
    options.device_ctx = host;
    if (milgi_engine_new(&options, &host->engine) != 0)
        die("no engine");
    host->device = device;
    add_device(host);
}

void host_fini(struct host *host)
{
    if (milgi_engine_free(host->engine) != 0)
        die("the engine cannot be freed");
    if (host->shim->inside || host->shim->n.in != host->shim->n.out)
        die("ops stay in the device");
    shim_free(host->shim);
    for (unsigned i = 0; i < HOST_CONFIGS; i++)
        milgi_config_unref(host->config[i]);
}
