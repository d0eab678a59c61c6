/* SPDX-License-Identifier: Apache-2.0 */
/* s2n-tls as a peer: its own I/O over the wires, by its callbacks for that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <s2n.h>

#include "peer.h"

/* X25519 first, and AES-128-GCM; no other suite of TLS 1.3 can be had alone. */
#define POLICY "20210825"
#define SUITE 0x1301

struct world {
    struct s2n_config *config[2];
    struct s2n_cert_chain_and_key *cert;
    bool lean;
};

struct end {
    struct s2n_connection *conn;
    struct wire *in, *out;
    size_t received;
    bool established;
};

static uint8_t message[MESSAGE_MAX];
static uint8_t arrived[MESSAGE_MAX];

static void must(int result, const char *what)
{
    if (result != S2N_SUCCESS)
        bench_die("s2n-tls: %s: %s", what, s2n_strerror(s2n_errno, "EN"));
}

static int push(void *ctx, const uint8_t *data, uint32_t len)
{
    struct end *end = ctx;

    wire_put(end->out, data, len);
    return (int)len;
}

static int pull(void *ctx, uint8_t *out, uint32_t max)
{
    struct end *end = ctx;
    size_t len = wire_get(end->in, out, max);

    if (len > 0)
        return (int)len;
    errno = EAGAIN;
    return -1;
}

static struct s2n_config *config(void)
{
    struct s2n_config *c = s2n_config_new_minimal();

    if (!c)
        bench_die("s2n-tls: cannot set up");
    must(s2n_config_set_cipher_preferences(c, POLICY), "policy");
    must(s2n_config_set_session_tickets_onoff(c, 0), "no tickets");
    return c;
}

static struct world *world_new(const struct setup *setup)
{
    static bool begun;
    struct world *world = calloc(1, sizeof *world);
    const struct bench_cert *cert = setup->cert;

    if (!world)
        bench_die("out of memory");
    setenv("S2N_DONT_MLOCK", "1", 1); /* memory is not locked for others either */
    if (!begun)
        must(s2n_init(), "beginning");
    begun = true;
    world->lean = setup->lean;
    world->config[SERVER] = config();
    world->config[CLIENT] = config();
    world->cert = s2n_cert_chain_and_key_new();
    must(s2n_cert_chain_and_key_load_pem_bytes(world->cert, (uint8_t *)cert->cert_pem, (uint32_t)cert->cert_len,
             (uint8_t *)cert->key_pem, (uint32_t)cert->key_len),
        "certificate");
    must(s2n_config_add_cert_chain_and_key_to_store(world->config[SERVER], world->cert), "certificate");
    must(s2n_config_add_pem_to_trust_store(world->config[CLIENT], setup->anchor_pem), "anchor");
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        message[i] = pattern(i);
    return world;
}

static void world_free(struct world *world)
{
    must(s2n_config_free(world->config[SERVER]), "freeing");
    must(s2n_config_free(world->config[CLIENT]), "freeing");
    must(s2n_cert_chain_and_key_free(world->cert), "freeing");
    free(world);
}

static struct end *end_new(struct world *world, enum side side, struct wire *in, struct wire *out)
{
    struct end *end = calloc(1, sizeof *end);

    if (!end)
        bench_die("out of memory");
    *end = (struct end){ .conn = s2n_connection_new(side == SERVER ? S2N_SERVER : S2N_CLIENT), .in = in, .out = out };
    if (!end->conn)
        bench_die("s2n-tls: no connection");
    must(s2n_connection_set_config(end->conn, world->config[side]), "config");
    must(s2n_connection_set_blinding(end->conn, S2N_SELF_SERVICE_BLINDING), "blinding");
    must(s2n_connection_prefer_throughput(end->conn), "record size");
    must(s2n_connection_set_dynamic_buffers(end->conn, world->lean), "buffers");
    must(s2n_connection_set_recv_cb(end->conn, pull), "I/O");
    must(s2n_connection_set_send_cb(end->conn, push), "I/O");
    must(s2n_connection_set_recv_ctx(end->conn, end), "I/O");
    must(s2n_connection_set_send_ctx(end->conn, end), "I/O");
    if (side == CLIENT)
        must(s2n_set_server_name(end->conn, "localhost"), "name");
    return end;
}

static void handshake(struct end *end)
{
    s2n_blocked_status blocked;
    int result = s2n_negotiate(end->conn, &blocked);

    end->established = result == S2N_SUCCESS;
    if (result != S2N_SUCCESS && s2n_error_get_type(s2n_errno) != S2N_ERR_T_BLOCKED)
        bench_die("s2n-tls: the handshake failed: %s", s2n_strerror(s2n_errno, "EN"));
    if (!end->established)
        return;
    if (strcmp(s2n_connection_get_cipher(end->conn), "TLS_AES_128_GCM_SHA256") != 0 ||
        strcmp(s2n_connection_get_curve(end->conn), "x25519") != 0)
        bench_die("s2n-tls: another suite or curve was chosen");
}

static void progress(struct end *end, size_t want)
{
    s2n_blocked_status blocked;

    if (!end->established) {
        handshake(end);
        return;
    }
    while (want > 0) {
        ssize_t n = s2n_recv(end->conn, arrived, (ssize_t)(want < sizeof arrived ? want : sizeof arrived), &blocked);
        if (n <= 0 || (size_t)n > want)
            bench_die("s2n-tls: reading failed");
        if (end->received < CHECKED)
            check_arrived(end->received, arrived, (size_t)n);
        want -= (size_t)n;
        end->received += (size_t)n;
    }
}

static bool established(const struct end *end)
{
    return end->established;
}

static void send_messages(struct end *end, enum way way, size_t len, unsigned n)
{
    s2n_blocked_status blocked;

    (void)way;
    for (unsigned i = 0; i < n; i++) {
        if (s2n_send(end->conn, message, (ssize_t)len, &blocked) != (ssize_t)len)
            bench_die("s2n-tls: writing failed");
    }
}

static size_t received(const struct end *end)
{
    return end->received;
}

static void end_free(struct end *end)
{
    must(s2n_connection_free(end->conn), "freeing");
    free(end);
}

static bool can(uint16_t suite)
{
    return suite == SUITE;
}

static const struct subject subject_s2n = {
    .name = "s2n-tls",
    .world_new = world_new,
    .world_free = world_free,
    .end_new = end_new,
    .progress = progress,
    .established = established,
    .send = send_messages,
    .received = received,
    .end_free = end_free,
    .host_len = sizeof(struct end),
    .can = can,
};

const struct peer peers[] = { { "", &subject_s2n, false }, { NULL, NULL, false } };

const char *peer_version(void)
{
    return PEER_VERSION;
}

uint64_t (*const peer_own_mallocs)(void) = NULL;
