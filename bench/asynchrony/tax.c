/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections in one engine that send each other small messages, all crypto inline. */
#include <stdlib.h>
#include <string.h>

#include <milgi/milgi.h>

#include "asynchrony.h"
#include "inside/owners.h"

#define MESSAGE 64u

struct end {
    struct milgi_conn *conn;
    struct end *other;
    bool established;
    uint64_t received;
};

struct tax {
    struct milgi_engine *engine;
    struct milgi_device *device[2];
    struct milgi_config *config[2];
    struct end end[2];
};

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct end *end = arg, *to = end->other;
    size_t len = 0;

    for (size_t i = 0; i < iov_n; i++) {
        struct milgi_chunk *chunk = milgi_conn_chunk(to->conn, iov[i].len);
        if (!chunk)
            bench_die("no chunk");
        memcpy(milgi_chunk_data(chunk), iov[i].data, iov[i].len);
        const struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)iov[i].len };
        bench_must(milgi_conn_receive(to->conn, slice), "receive");
        len += iov[i].len;
    }
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
    bench_die("closed: %s: %s", milgi_error_text(reason->error), reason->detail);
}

static const struct milgi_events events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_closed = on_closed,
};

static void run(struct tax *tax)
{
    struct milgi_run_result result = { .next = MILGI_RUN_AGAIN };

    while (result.next == MILGI_RUN_AGAIN)
        bench_must(milgi_engine_run(tax->engine, 0, &result), "run");
}

/* Devices that are there and have routes, for work that does not come up. */
static void add_devices(struct tax *tax)
{
    static const char *const specs[2] = { "pool:1", "sim:latency=1ms" };
    uint32_t bits[2] = { MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN),
        MILGI_OP_BIT(MILGI_OP_VERIFY) | MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN) };

    for (unsigned i = 0; i < 2; i++) {
        bench_must(milgi_device_new(specs[i], &tax->device[i], NULL), specs[i]);
        int index = milgi_engine_add_device(tax->engine, tax->device[i]);
        bench_must(index, specs[i]);
        bench_must(milgi_engine_route_first(tax->engine, bits[i], 1u | 1u << index, 4096), "route");
    }
}

static void open_conns(struct tax *tax, const struct bench_cert *cert)
{
    struct milgi_credential *credential;

    int rv = milgi_credential_new_pem(cert->cert_pem, cert->cert_len, cert->key_pem, cert->key_len, &credential);
    bench_must(rv, "cert");
    for (int role = MILGI_CLIENT; role <= MILGI_SERVER; role++) {
        tax->config[role] = milgi_config_new((enum milgi_role)role);
        if (role == MILGI_SERVER)
            bench_must(milgi_config_add_credential(tax->config[role], credential), "credential");
        else
            bench_must(milgi_config_dangerously_accept_any_server(tax->config[role]), "accept");
        bench_must(milgi_config_freeze(tax->config[role], NULL), "freeze");
        tax->end[role].other = &tax->end[!role];
    }
    milgi_credential_unref(credential);
    bench_must(milgi_conn_new(tax->engine, tax->config[MILGI_SERVER], NULL, &events, &tax->end[MILGI_SERVER],
                   &tax->end[MILGI_SERVER].conn),
        "server");
    bench_must(milgi_conn_new(tax->engine, tax->config[MILGI_CLIENT], "localhost", &events, &tax->end[MILGI_CLIENT],
                   &tax->end[MILGI_CLIENT].conn),
        "client");
}

struct tax *tax_new(bool devices, const struct bench_cert *cert)
{
    struct tax *tax = calloc(1, sizeof *tax);

    bench_must(milgi_engine_new(NULL, &tax->engine), "engine");
    if (devices)
        add_devices(tax);
    open_conns(tax, cert);
    for (unsigned i = 0; i < 10000000 && !(tax->end[0].established && tax->end[1].established); i++)
        run(tax);
    if (!tax->end[0].established || !tax->end[1].established)
        bench_die("no handshake");
    return tax;
}

void tax_messages(struct tax *tax, unsigned n)
{
    static const uint8_t message[MESSAGE];
    uint64_t due = tax->end[0].received + (uint64_t)n * MESSAGE;

    for (unsigned i = 0; i < n; i++) {
        for (int role = MILGI_CLIENT; role <= MILGI_SERVER; role++)
            bench_must(milgi_conn_write(tax->end[role].conn, message, sizeof message), "write");
        run(tax);
    }
    if (tax->end[0].received != due)
        bench_die("%llu bytes are missing", (unsigned long long)(due - tax->end[0].received));
}

void tax_free(struct tax *tax)
{
    for (int role = MILGI_CLIENT; role <= MILGI_SERVER; role++) {
        milgi_conn_free(tax->end[role].conn);
        milgi_config_unref(tax->config[role]);
    }
    milgi_engine_free(tax->engine);
    for (unsigned i = 0; i < 2; i++) {
        if (tax->device[i])
            milgi_device_free(tax->device[i]);
    }
    free(tax);
}
