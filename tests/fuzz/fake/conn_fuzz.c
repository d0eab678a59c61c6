/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two connections whose fate the input decides: which bytes move, which op ends next and how, what the applications do,
 * what is spoilt on the way, which allocation fails, when time goes on. Whatever happens, what one side delivers is a
 * prefix of what the other side wrote, every op ends once, and nothing is left at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/sim/manual.h"
#include "fake_identity.h"
#include "pair.h"

#define STEPS 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p, *end;
};

static unsigned take(struct input *in)
{
    return in->p < in->end ? *in->p++ : 0;
}

/* --- failing allocations ---------------------------------------------------------------------------------------- */

static unsigned until_failure;

static bool fail_when_due(void)
{
    return until_failure != 0 && --until_failure == 0;
}

/* --- configs ---------------------------------------------------------------------------------------------------- */

enum {
    CLIENT_AUTH = 1,
    ASK = 2,
    RETRY = 4,
    KINDS = 8,
    OLD = 8, /* TLS 1.2 */
    VARIANTS = 16
};
static struct milgi_config *configs[VARIANTS][2];

static void must(int rv)
{
    if (rv != 0)
        abort();
}

static void make_config(unsigned variant, int role)
{
    static const uint16_t few[] = { MILGI_GROUP_SECP256R1 }, both[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    bool server = role == MILGI_SERVER;
    struct milgi_config *config = fake_config((enum milgi_role)role, NULL);
    must(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, 64));
    must(milgi_config_set_limit(config, MILGI_LIMIT_WINDOW, 4));
    must(milgi_config_set_limit(config, MILGI_LIMIT_REKEY_RECORDS, 16));
    must(milgi_config_set_limit(config, MILGI_LIMIT_CREDIT, 1024));
    must(milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, 4096));
    if (variant & OLD)
        must(milgi_config_set_versions(config, MILGI_TLS_1_2, MILGI_TLS_1_2));
    if (variant & RETRY)
        must(milgi_config_set_groups(config, server ? few : both, server ? 1 : 2));
    if (variant & ASK)
        must(milgi_config_set_ask(config, MILGI_DECIDE_PEER | MILGI_DECIDE_CREDENTIAL));
    if ((variant & CLIENT_AUTH) && server) {
        struct milgi_trust *trust = fake_trust(0);
        must(milgi_config_set_trust(config, trust));
        must(milgi_config_set_client_auth(config, MILGI_CLIENT_AUTH_OPTIONAL));
        milgi_trust_unref(trust);
    }
    if ((variant & CLIENT_AUTH) && !server) {
        struct milgi_credential *credential = fake_credential(NULL);
        must(milgi_config_add_credential(config, credential));
        milgi_credential_unref(credential);
    }
    configs[variant][role] = fake_freeze(config);
}

/* --- actions ---------------------------------------------------------------------------------------------------- */

struct world {
    struct pair pair;
    struct pair_bytes written[2]; /* by role: what the application gave and the library took */
};

static void write_some(struct world *w, struct pair_side *side, unsigned n)
{
    uint8_t bytes[256];
    int role = side == &w->pair.side[MILGI_SERVER];
    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(w->written[role].len + i);
    int rv = side->conn ? milgi_conn_write(side->conn, bytes, n) : MILGI_ECLOSED;
    if (rv == 0 || rv == MILGI_PAUSE)
        pair_bytes_add(&w->written[role], bytes, n);
}

static void end_op(struct pair_side *side, unsigned which, unsigned how)
{
    static const enum milgi_op_status status[] = { MILGI_OP_OK, MILGI_OP_OK, MILGI_OP_OK, MILGI_OP_OK,
        MILGI_OP_REJECTED,
        MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST };
    struct milgi_op *ops[256];
    unsigned n = milgi__sim_pending(side->device[0], ops, 256);
    if (n)
        milgi__sim_finish(side->device[0], which % n, status[how % 8]);
}

static void answer(struct pair_side *side, unsigned how)
{
    if (side->decisions_n == 0)
        return;
    enum milgi_verdict verdict = how & 1 ? MILGI_REFUSE : MILGI_DEFAULT;
    int rv = milgi_decide(side->engine, side->decision[--side->decisions_n % PAIR_EVENTS], verdict, NULL);
    if (rv != 0 && rv != MILGI_ESTALE)
        abort();
}

static void free_conn(struct pair_side *side)
{
    milgi_conn_free(side->conn);
    side->conn = NULL;
}

static void spoil(struct pair_side *side, unsigned at, unsigned with)
{
    if (side->wire.len)
        side->wire.p[(at * 7u) % side->wire.len] ^= (uint8_t)(with | 1u);
}

static void inject(struct pair_side *side, struct input *in)
{
    unsigned n = take(in);
    if ((size_t)(in->end - in->p) < n)
        n = (unsigned)(in->end - in->p);
    if (n && side->conn)
        pair_feed(side, in->p, n);
    in->p += n;
}

static void act(struct world *w, struct input *in)
{
    unsigned code = take(in);
    struct pair_side *side = &w->pair.side[code & 1];
    switch (code >> 1 & 15) {
    case 0:
    case 1: pair_run(side, NULL); break;
    case 2:
    case 3: pair_carry(side, 1 + take(in) * 16u); break;
    case 4:
    case 5: end_op(side, take(in), code >> 5); break;
    case 6: write_some(w, side, 1 + take(in) % 200); break;
    case 7:
        if (side->conn)
            (void)milgi_conn_update_keys(side->conn, code >> 5 & 1);
        break;
    case 8:
        if (side->conn)
            milgi_conn_shutdown(side->conn);
        break;
    case 9:
        if (side->conn)
            milgi_conn_consumed(side->conn, take(in));
        break;
    case 10: inject(side, in); break;
    case 11: spoil(side, take(in), take(in)); break;
    case 12: w->pair.now_ns += (uint64_t)take(in) << (code >> 5) * 4u; break;
    case 13: until_failure = 1 + take(in); break;
    case 14: answer(side, code >> 5); break;
    case 15:
        switch (code >> 5) {
        case 0: free_conn(side); break;
        case 1:
            if (side->conn)
                milgi_conn_abort(side->conn, MILGI_ALERT_INTERNAL_ERROR);
            break;
        case 2:
            if (side->conn)
                milgi_conn_receive_eof(side->conn, 0);
            break;
        case 3: side->keep_credit = !side->keep_credit; break;
        case 4: milgi__sim_refuse(side->device[0], take(in) & 1); break;
        default: pair_settle(&w->pair); break;
        }
        break;
    }
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static void check_truth(const struct world *w)
{
    for (int role = 0; role < 2; role++) {
        const struct pair_bytes *got = &w->pair.side[role].got, *said = &w->written[1 - role];
        if (got->len > said->len || (got->len && memcmp(got->p, said->p, got->len) != 0)) {
            fprintf(stderr, "delivered what was never written\n");
            abort();
        }
    }
}

static void wind_up(struct world *w)
{
    until_failure = 0;
    for (int role = 0; role < 2; role++) {
        free_conn(&w->pair.side[role]);
        milgi__sim_refuse(w->pair.side[role].device[0], false);
    }
    for (int role = 0; role < 2; role++) {
        struct pair_side *side = &w->pair.side[role];
        struct milgi_engine_stats stats;
        do {
            struct milgi_op *op;
            pair_run(side, NULL);
            while (milgi__sim_pending(side->device[0], &op, 1))
                milgi__sim_finish(side->device[0], 0, MILGI_OP_OK);
            pair_run(side, NULL);
            milgi_engine_stats(side->engine, &stats);
            w->pair.now_ns += 2000000000u;
        } while (stats.device[1].waiting);
        if (stats.ops_alive || stats.memory || stats.conns) {
            fprintf(stderr, "left: %u ops, %zu bytes, %u connections\n", stats.ops_alive, stats.memory, stats.conns);
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, data + size };
    struct world w = { 0 };
    unsigned options = take(&in), variant = options % KINDS | (options & 128 ? OLD : 0);
    milgi__mem_fail = NULL;
    for (int role = 0; role < 2; role++) {
        if (!configs[variant][role])
            make_config(variant, role);
    }
    struct milgi_engine_options engine;
    milgi_engine_options_init(&engine);
    engine.rerun = options & 8;
    engine.memory_limit = options & 16 ? 64 * 1024 : 16 * 1024 * 1024;
    engine.op_timeout_ns[0] = engine.op_timeout_ns[1] = 1000000000;
    struct pair_setup setup = {
        .config = { configs[variant][0], configs[variant][1] },
        .device = { "sim:manual", options & 32 ? "sim:manual" : "sim:manual,depth=2" },
        .options = &engine,
        .server_name = "server.test",
        .seed = options,
        .wall_s = FAKE_NOW_S,
    };
    pair_init(&w.pair, &setup);
    for (int role = 0; role < 2 && options & 64; role++)
        must(milgi_engine_route(w.pair.side[role].engine, UINT32_MAX, 0, 0));
    until_failure = 0;
    milgi__mem_fail = fail_when_due;
    for (unsigned step = 0; step < STEPS && in.p < in.end; step++)
        act(&w, &in);
    check_truth(&w);
    wind_up(&w);
    milgi__mem_fail = NULL;
    pair_fini(&w.pair);
    free(w.written[0].p);
    free(w.written[1].p);
    return 0;
}
