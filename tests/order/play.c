/* SPDX-License-Identifier: Apache-2.0 */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "crypto/fake/fake.h"
#include "fake_identity.h"

#define STEP 64

/* --- choosers --------------------------------------------------------------------------------------------------- */

unsigned play_first(struct play *play, unsigned n)
{
    (void)play;
    (void)n;
    return 0;
}

unsigned play_random(struct play *play, unsigned n)
{
    play->random ^= play->random << 13;
    play->random ^= play->random >> 7;
    play->random ^= play->random << 17;
    return (unsigned)(play->random % n);
}

unsigned play_path(struct play *play, unsigned n)
{
    assert_true(play->step < sizeof play->path / sizeof play->path[0]);
    if (play->step == play->path_n)
        play->path[play->path_n++] = 0;
    play->width[play->step] = n;
    return play->path[play->step++];
}

bool play_next_path(struct play *play)
{
    while (play->path_n > 0) {
        unsigned last = play->path_n - 1;
        if (++play->path[last] < play->width[last])
            return true;
        play->path_n--;
    }
    return false;
}

/* --- decisions -------------------------------------------------------------------------------------------------- */

/* Whoever is asked about a certificate sees the path that was accepted, or why none was, in whatever order. */
static void look_at(struct pair_side *side, struct milgi_decision decision)
{
    struct milgi_decision_info info;
    struct milgi_conn_info conn;
    if (decision.kind != MILGI_DECIDE_PEER || milgi_decision_info(side->engine, decision, &info) != 0)
        return;
    milgi_conn_info(side->conn, &conn);
    assert_int_equal(info.path_n, info.chain_n > 0 && !conn.resumed && !info.verdict ? 2 : 0);
    assert_int_equal(info.verdict, conn.peer_verdict);
}

/* A response for the leaf that all servers show. */
static void staple_of(const struct play *play, const struct milgi_credential *credential,
    uint8_t out[MILGI__FAKE_OCSP_LEN])
{
    const uint8_t *leaf = credential->chain + 3;
    milgi__fake_ocsp(leaf, milgi__get24(credential->chain), play->staple == PLAY_STAPLE_REVOKED, FAKE_NOW_S - 1,
        FAKE_NOW_S + 1000, out);
}

static int decide(struct play *play, struct pair_side *side, struct milgi_decision d)
{
    uint8_t response[MILGI__FAKE_OCSP_LEN];
    struct milgi_decision_info info;
    if (d.kind != MILGI_DECIDE_OCSP || milgi_decision_info(side->engine, d, &info) != 0)
        return milgi_decide(side->engine, d, MILGI_DEFAULT, NULL);
    if (play->staple == PLAY_STAPLE_REFUSED)
        return milgi_decide(side->engine, d, MILGI_REFUSE, NULL);
    staple_of(play, info.credential, response);
    struct milgi_iov given = { response, sizeof response };
    return milgi_decide(side->engine, d, MILGI_ACCEPT, &given);
}

static bool answer(struct play *play, struct pair_side *side)
{
    unsigned kept = 0, asked = side->decisions_n;
    for (unsigned i = 0; i < side->decisions_n; i++) {
        struct milgi_decision d = side->decision[i];
        if (d.kind & play->never) {
            side->decision[kept++] = d;
            continue;
        }
        look_at(side, d);
        int rv = decide(play, side, d);
        if (rv == MILGI_ESTALE)
            play->stale_answers++;
        else
            assert_int_equal(rv, 0);
        if (play->twice)
            assert_int_equal(milgi_decide(side->engine, d, MILGI_DEFAULT, NULL), MILGI_ESTALE);
    }
    side->decisions_n = kept;
    return kept != asked;
}

/* --- the script ------------------------------------------------------------------------------------------------- */

static void fill(uint8_t *data, size_t len, int role)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31 + i / 64 + (size_t)role * 128);
}

static void write_all(struct play *play, int role)
{
    struct pair_side *side = &play->pair.side[role];
    uint8_t data[PLAY_DATA];
    unsigned update = play->update_at ? play->update_at : PLAY_DATA / STEP / 2;
    fill(data, sizeof data, role);
    if (!side->conn)
        return;
    for (unsigned i = 0; i < PLAY_DATA / STEP; i++) {
        if (i == update)
            (void)milgi_conn_update_keys(side->conn, role == MILGI_CLIENT);
        int rv = milgi_conn_write(side->conn, data + (size_t)i * STEP, STEP);
        assert_true(rv == 0 || rv == MILGI_PAUSE || rv == MILGI_ECLOSED);
    }
    (void)milgi_conn_shutdown(side->conn);
}

/* --- running ---------------------------------------------------------------------------------------------------- */

/* A transport ends when its connection has. */
static bool carry_end(struct pair_side *from)
{
    struct pair_side *to = pair_other(from);
    return from->closed && from->wire.len == 0 && to->conn && milgi_conn_receive_eof(to->conn, 0) == 0;
}

/* Until neither side can do anything without an op's end. A side that nothing has reached has no need to run again. */
static void go_quiet(struct play *play)
{
    bool due[2] = { true, true };
    for (unsigned guard = 0; due[0] || due[1]; guard++) {
        if (guard == 100000)
            fail_msg("does not come to rest");
        for (int role = 0; role < 2; role++)
            due[role] = due[role] && pair_run(&play->pair.side[role], NULL) == MILGI_RUN_AGAIN;
        for (int role = 0; role < 2; role++) {
            struct pair_side *side = &play->pair.side[role];
            due[role] |= answer(play, side);
            due[1 - role] |= pair_carry(side, 0) > 0;
            due[1 - role] |= carry_end(side);
        }
    }
}

struct pending {
    int role;
    unsigned index;
    struct milgi_op *op;
};

static unsigned list_pending(struct play *play, struct pending *out, unsigned cap)
{
    unsigned n = 0;
    for (int role = 0; role < 2; role++) {
        struct milgi_op *ops[256];
        unsigned k = milgi__sim_pending(play->pair.side[role].device[0], ops, 256);
        for (unsigned i = 0; i < k && n < cap; i++)
            out[n++] = (struct pending){ role, i, ops[i] };
    }
    return n;
}

static void end_op(struct play *play, const struct pending *p)
{
    static const enum milgi_op_status status[] = { MILGI_OP_OK, MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_LOST,
        MILGI_OP_LOST, MILGI_OP_OK };
    struct pair_side *side = &play->pair.side[p->role];
    enum play_fault fault = play->ended++ == play->at ? play->fault : PLAY_NO_FAULT;
    if (fault != PLAY_NO_FAULT) {
        play->fault_side = p->role;
        play->fault_type = p->op->type;
    }
    if (fault == PLAY_FREE) {
        milgi_conn_free(side->conn);
        side->conn = NULL;
        play->freed[p->role] = true;
    }
    if (fault == PLAY_BREAK)
        p->op->device_code = PLAY_CODE;
    milgi__sim_finish(side->device[0], p->index, status[fault]);
    if (fault != PLAY_LOSE && fault != PLAY_LOSE_EARLY)
        return;
    /* Its deadline passes, and with it that of all that this side has out: each is made good by itself, or lost. */
    play->pair.now_ns += PLAY_TIMEOUT_NS;
    pair_run(side, NULL);
    if (fault == PLAY_LOSE_EARLY)
        milgi__sim_finish(side->device[0], p->index, MILGI_OP_OK);
}

static void set_limit(struct milgi_config *config, enum milgi_limit limit, uint64_t value)
{
    assert_int_equal(milgi_config_set_limit(config, limit, value), 0);
}

/* Of four lists: without a hybrid or with one, and of a client that offers another group first. */
static void set_groups(const struct play *play, struct milgi_config *config, bool server)
{
    static const uint16_t retried[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    static const uint16_t hybrids[] = { MILGI_GROUP_X25519MLKEM768, MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1MLKEM768 };
    static const uint16_t all[] = { MILGI_GROUP_SECP384R1MLKEM1024, MILGI_GROUP_SECP256R1MLKEM768,
        MILGI_GROUP_X25519MLKEM768 };
    int rv = 0;
    if (play->retry && play->hybrid)
        rv = milgi_config_set_groups(config, server ? &hybrids[2] : &hybrids[1], server ? 1 : 2);
    else if (play->retry)
        rv = milgi_config_set_groups(config, server ? &retried[1] : retried, server ? 1 : 2);
    else if (play->hybrid)
        rv = milgi_config_set_groups(config, play->shares ? all : hybrids, play->shares ? 3 : 2);
    assert_int_equal(rv, 0);
}

static void add_psk(struct milgi_config *config, int role, bool plain)
{
    static const uint8_t secret[32] = { 5 };
    struct milgi_psk_source source = { (enum milgi_role)role, MILGI_PSK_SHA256, "player", 6, secret, sizeof secret };
    struct milgi_psk *psk;
    assert_int_equal(milgi_psk_new(&source, &psk), 0);
    assert_int_equal(milgi_config_add_psk(config, psk), 0);
    milgi_psk_unref(psk);
    assert_int_equal(milgi_config_set_psk_ke(config, plain ? MILGI_PSK_KE_ONLY : MILGI_PSK_KE_OFF), 0);
}

/* Returns what is to be asked. */
static unsigned add_staple(const struct play *play, struct milgi_config *config, int role)
{
    bool wanted = play->staple == PLAY_STAPLE_GIVEN || play->staple == PLAY_STAPLE_DECIDED;
    uint8_t response[MILGI__FAKE_OCSP_LEN];
    if (play->staple == PLAY_NO_STAPLE)
        return 0;
    if (role == MILGI_CLIENT) {
        assert_int_equal(milgi_config_set_ocsp(config, wanted ? MILGI_OCSP_REQUIRED : MILGI_OCSP_ASK), 0);
        return 0;
    }
    if (play->staple == PLAY_STAPLE_DECIDED || play->staple == PLAY_STAPLE_REFUSED)
        return MILGI_DECIDE_OCSP;
    if (play->staple == PLAY_STAPLE_ABSENT)
        return 0;
    staple_of(play, config->credentials[0], response);
    assert_int_equal(milgi_credential_set_ocsp(config->credentials[0], response, sizeof response), 0);
    return 0;
}

static struct milgi_config *config_of(const struct play *play, int role)
{
    unsigned no_signer = MILGI__FAKE_SERVER | MILGI__FAKE_CLIENT;
    struct fake_options of_server = { .flags = play->flaw == PLAY_SERVER_MAY_NOT_SIGN ? no_signer : 0,
        .root = play->flaw == PLAY_SERVER_UNTRUSTED && role == MILGI_SERVER };
    struct fake_options of_client = { .flags = play->flaw == PLAY_CLIENT_MAY_NOT_SIGN ? no_signer : 0,
        .root = play->flaw == PLAY_CLIENT_UNTRUSTED };
    struct milgi_config *config = fake_config((enum milgi_role)role, &of_server);
    set_limit(config, MILGI_LIMIT_RECORD, 256);
    set_limit(config, MILGI_LIMIT_WINDOW, 8);
    set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, 100 * (uint64_t)PLAY_TIMEOUT_NS);
    if (play->client_auth && role == MILGI_SERVER) {
        struct milgi_trust *trust = fake_trust(0);
        assert_int_equal(milgi_config_set_trust(config, trust), 0);
        milgi_trust_unref(trust);
    }
    if (play->client_auth && role == MILGI_CLIENT) {
        struct milgi_credential *credential = fake_credential(&of_client);
        assert_int_equal(milgi_config_add_credential(config, credential), 0);
        milgi_credential_unref(credential);
    }
    if (play->reports)
        assert_int_equal(milgi_config_dangerously_only_report_peer(config), 0);
    set_groups(play, config, role == MILGI_SERVER);
    if (play->tls12)
        assert_int_equal(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2), 0);
    if (play->resume && !play->ids && role == MILGI_SERVER)
        assert_int_equal(milgi_config_set_ticket_keys(config, play->keys), 0);
    if (play->ids && role == MILGI_SERVER)
        assert_int_equal(milgi_config_set_session_cache(config, play->server_cache), 0);
    if (play->resume && role == MILGI_CLIENT)
        assert_int_equal(milgi_config_set_session_cache(config, play->cache), 0);
    if ((play->shares || (play->retry && play->hybrid)) && role == MILGI_CLIENT)
        assert_int_equal(milgi_config_set_key_shares(config, play->shares ? 3 : 1), 0);
    if (play->flaw == PLAY_NO_PROTOCOL) {
        const char *protocol = role == MILGI_SERVER ? "x" : "y";
        assert_int_equal(milgi_config_set_alpn(config, &protocol, 1), 0);
    }
    if (play->psk)
        add_psk(config, role, play->plain);
    unsigned ask = MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_PEER;
    if (role == MILGI_SERVER)
        ask |= MILGI_DECIDE_ALPN | MILGI_DECIDE_CONFIG;
    if (play->psk && role == MILGI_SERVER)
        ask |= MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN;
    if (play->ids && role == MILGI_SERVER)
        ask |= MILGI_DECIDE_SESSION_LOOKUP | MILGI_DECIDE_SESSION_STORE;
    ask = (play->ask ? ask : 0) | add_staple(play, config, role);
    assert_int_equal(milgi_config_set_ask(config, ask), 0);
    return fake_freeze(config);
}

static void make_sessions(struct play *play)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    play->keys = NULL;
    play->cache = play->server_cache = NULL;
    if (play->ids)
        assert_int_equal(milgi_session_cache_new(4, &play->server_cache), 0);
    if (!play->resume)
        return;
    assert_int_equal(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &play->keys), 0);
    assert_int_equal(milgi_session_cache_new(4, &play->cache), 0);
}

/* The connection that the play's goes back to. */
static void meet_before(struct play *play, const struct pair_setup *setup)
{
    go_quiet(play);
    assert_true(play->pair.side[0].established && play->pair.side[1].established);
    assert_int_equal(milgi_session_cache_count(play->cache), play->tls12 ? 1 : 2);
    pair_again(&play->pair, setup);
}

static void make(struct play *play)
{
    make_sessions(play);
    char spec[64];
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.rerun = play->rerun;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = PLAY_TIMEOUT_NS;
    options.outstanding_ns = 1000000000;
    snprintf(spec, sizeof spec, "sim:manual,depth=%u", play->depth ? play->depth : 256);
    struct pair_setup setup = {
        .config = { config_of(play, MILGI_CLIENT), config_of(play, MILGI_SERVER) },
        .device = { spec, spec },
        .options = &options,
        .server_name = play->flaw == PLAY_SERVER_MISNAMED ? "another.test" : "server.test",
        .seed = 7,
        .wall_s = FAKE_NOW_S,
    };
    pair_init(&play->pair, &setup);
    play->pair.keep_wire = play->keep_wire;
    for (int role = 0; role < 2; role++)
        assert_int_equal(milgi_engine_route(play->pair.side[role].engine, UINT32_MAX, 0, 0), 0);
    if (play->resume)
        meet_before(play, &setup);
    if (play->met)
        play->met();
    for (int role = 0; role < 2; role++) {
        struct milgi_engine *engine = play->pair.side[role].engine;
        assert_int_equal(milgi_engine_route(engine, play->routed, 1, play->min_record ? play->min_record : 1), 0);
        assert_int_equal(milgi_engine_set_trace(engine, play->trace, play->trace_ctx[role]), 0);
        milgi_config_unref(setup.config[role]);
    }
}

void play_drain(struct play *play)
{
    struct pending pending[512];
    for (;;) {
        go_quiet(play);
        unsigned n = list_pending(play, pending, 512);
        if (n == 0)
            return;
        milgi__sim_finish(play->pair.side[pending[0].role].device[0], pending[0].index, MILGI_OP_OK);
    }
}

void play_run(struct play *play)
{
    struct pending pending[512];
    bool written = play->handshake_only;
    make(play);
    play->ended = play->step = play->stale_answers = 0;
    play->fault_side = play->fault_type = -1;
    play->freed[0] = play->freed[1] = false;
    for (;;) {
        go_quiet(play);
        if (!written && play->pair.side[0].established && play->pair.side[1].established) {
            written = true;
            for (int role = 0; role < 2; role++)
                write_all(play, role);
            continue;
        }
        unsigned n = list_pending(play, pending, 512);
        if (n == 0)
            break;
        end_op(play, &pending[play->choose(play, n)]);
    }
    /* What was lost comes home at last. */
    for (int role = 0; role < 2; role++) {
        if (play->fault == PLAY_LOSE && play->fault_side == role)
            milgi__sim_finish(play->pair.side[role].device[0], 0, MILGI_OP_OK);
    }
    go_quiet(play);
    play->pair.now_ns += 10000000;
    go_quiet(play);
}

bool play_went_well(const struct play *play)
{
    uint8_t expected[PLAY_DATA];
    for (int role = 0; role < 2; role++) {
        const struct pair_side *side = &play->pair.side[role];
        struct milgi_conn_info info;
        if (!side->established || !side->conn)
            return false;
        milgi_conn_info(side->conn, &info);
        if (info.resumed != play->resume || (info.psk_identity.len != 0) != play->psk)
            return false;
        if (play->handshake_only)
            continue;
        fill(expected, sizeof expected, 1 - role);
        if (!side->closed || side->reason.error || side->got.len != sizeof expected)
            return false;
        if (memcmp(side->got.p, expected, sizeof expected) != 0)
            return false;
    }
    return true;
}

bool play_was_refused(const struct play *play)
{
    const struct pair_side *client = &play->pair.side[MILGI_CLIENT], *server = &play->pair.side[MILGI_SERVER];
    return !client->established && !server->established && client->reason.error == MILGI_EVERIFY &&
        client->reason.alert == MILGI_ALERT_CERTIFICATE_REVOKED && server->reason.alert_from_peer &&
        server->reason.alert == MILGI_ALERT_CERTIFICATE_REVOKED;
}

void play_fini(struct play *play)
{
    for (int role = 0; role < 2; role++) {
        struct pair_side *side = &play->pair.side[role];
        struct milgi_engine_stats stats;
        milgi_conn_free(side->conn);
        side->conn = NULL;
        milgi_engine_stats(side->engine, &stats);
        assert_int_equal(stats.ops_alive, 0);
        assert_int_equal(stats.memory, 0);
        for (unsigned type = 0; type < MILGI_OP_TYPES; type++) {
            for (unsigned i = 0; i < stats.devices_n; i++)
                assert_int_equal(stats.device[i].submitted[type], stats.device[i].completed[type]);
        }
    }
    pair_fini(&play->pair);
    milgi_ticket_keys_unref(play->keys);
    milgi_session_cache_unref(play->cache);
    milgi_session_cache_unref(play->server_cache);
}
