/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session changes: nothing but what it saves. Two configs meet and leave a session behind; both change by a
 * little, time goes on, and they meet again, once with it and once without. Both times the outcome is the same: whether
 * there is a connection, with which version and protocol, who is authenticated as whom; else by whom it is refused, and
 * why.
 *
 * MILGI_SESSION_CASES=N: so many cases, in the place of a few.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <milgi/policy.h>

#include "base/base.h"
#include "fake_identity.h"
#include "pair.h"

#define MUST(call) assert_int_equal(call, 0)
#define CASES 300u

/* --- what can be different ---------------------------------------------------------------------------------------- */

enum choice {
    VERSIONS, /* 1.2, 1.3, both */
    SUITES,   /* all, SHA-384, ChaCha20 */
    GROUPS,   /* all, X25519, P-256 */
    SCHEMES,  /* all, ECDSA, more than that */
    PROTOCOL, /* none, "a", "b" and "a" */
    TRUST,    /* of the other's certificates: its root, another */
    OWN,      /* client: no certificate, or one of two */
    AUTH,     /* server: of clients none, optional, required */
    ANY,      /* client: any server; 2, server, too: who is not accepted is only reported */
    STRICT,   /* server: strict SNI */
    KEEPS,    /* server: by tickets, by ID, not at all */
    JUDGES,   /* who shows no certificate is refused by a decision */
    NAME,     /* client: that it asks for */
    CHOICES
};
static const uint8_t ways[CHOICES] = { 3, 3, 3, 3, 3, 2, 3, 3, 3, 2, 3, 2, 2 };

/* Of both roles, by enum milgi_role. */
struct world {
    uint8_t of[2][CHOICES];
};

static uint64_t state;

static unsigned draw(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 20) % n);
}

/* Most choices are the first, so that there is a connection now and then. */
static struct world draw_world(void)
{
    struct world w;
    for (int role = 0; role < 2; role++) {
        for (unsigned c = 0; c < CHOICES; c++)
            w.of[role][c] = (uint8_t)(draw(3) == 0 ? draw(ways[c]) : 0);
        w.of[role][VERSIONS] = (uint8_t)draw(ways[VERSIONS]);
        w.of[role][TRUST] = draw(8) == 0;
    }
    w.of[MILGI_CLIENT][OWN] = (uint8_t)draw(3);
    w.of[MILGI_SERVER][AUTH] = (uint8_t)draw(3);
    w.of[MILGI_SERVER][KEEPS] = (uint8_t)draw(2);
    w.of[MILGI_CLIENT][NAME] = 0;
    return w;
}

static void change(struct world *w)
{
    for (unsigned n = draw(3); n > 0; n--) {
        unsigned c = draw(CHOICES);
        w->of[draw(2)][c] = (uint8_t)draw(ways[c]);
    }
}

/* --- configs ------------------------------------------------------------------------------------------------------ */

static struct milgi_ticket_keys *keys;
static struct milgi_session_cache *cache[2];

static void set_lists(struct milgi_config *config, const uint8_t of[CHOICES], bool client)
{
    static const uint16_t range[][2] = { { MILGI_TLS_1_2, MILGI_TLS_1_2 }, { MILGI_TLS_1_3, MILGI_TLS_1_3 },
        { MILGI_TLS_1_2, MILGI_TLS_1_3 } };
    static const uint16_t suites[][2] = { { 0 },
        { MILGI_SUITE_AES_256_GCM_SHA384, MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384 },
        { MILGI_SUITE_CHACHA20_POLY1305_SHA256, MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256 } };
    /* A client of TLS 1.2 alone takes no ECDSA key of a curve that it does not name (RFC 8422 5.1). */
    static const uint16_t groups[] = { MILGI_GROUP_SECP256R1, MILGI_GROUP_X25519 };
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PKCS1_SHA256 };
    static const char *const protocols[] = { "b", "a" };
    MUST(milgi_config_set_versions(config, range[of[VERSIONS]][0], range[of[VERSIONS]][1]));
    if (of[SUITES])
        MUST(milgi_config_set_suites(config, suites[of[SUITES]], 2));
    if (of[GROUPS])
        MUST(milgi_config_set_groups(config, &groups[of[GROUPS] == 1 && !client], of[GROUPS] == 1 && client ? 2 : 1));
    if (of[SCHEMES])
        MUST(milgi_config_set_signature_schemes(config, schemes, of[SCHEMES] == 1 ? 1 : 3));
    if (of[PROTOCOL])
        MUST(milgi_config_set_alpn(config, &protocols[of[PROTOCOL] == 1], of[PROTOCOL]));
}

static struct milgi_config *client_of(const uint8_t of[CHOICES])
{
    struct milgi_config *config = fake_config(MILGI_CLIENT, &(struct fake_options){ .root = of[TRUST] });
    set_lists(config, of, true);
    if (of[OWN]) {
        struct milgi_credential *own = fake_credential(&(struct fake_options){ .seed = of[OWN] });
        MUST(milgi_config_add_credential(config, own));
        milgi_credential_unref(own);
    }
    if (of[ANY] == 1)
        MUST(milgi_config_dangerously_accept_any_server(config));
    if (of[ANY] == 2)
        MUST(milgi_config_dangerously_only_report_peer(config));
    MUST(milgi_config_set_session_cache(config, cache[MILGI_CLIENT]));
    return fake_freeze(config);
}

static struct milgi_config *server_of(const uint8_t of[CHOICES])
{
    struct milgi_config *config = fake_config(MILGI_SERVER, NULL);
    struct milgi_trust *trust = fake_trust(of[TRUST]);
    set_lists(config, of, false);
    if (of[AUTH])
        MUST(milgi_config_set_trust(config, trust));
    milgi_trust_unref(trust);
    if (of[AUTH] == 1)
        MUST(milgi_config_set_client_auth(config, MILGI_CLIENT_AUTH_OPTIONAL));
    if (of[ANY] == 2)
        MUST(milgi_config_dangerously_only_report_peer(config));
    MUST(milgi_config_set_strict_sni(config, of[STRICT]));
    MUST(milgi_config_set_ask(config, of[JUDGES] ? MILGI_DECIDE_PEER : 0));
    if (of[KEEPS] == 0)
        MUST(milgi_config_set_ticket_keys(config, keys));
    if (of[KEEPS] == 1)
        MUST(milgi_config_set_session_cache(config, cache[MILGI_SERVER]));
    return fake_freeze(config);
}

/* --- meetings ----------------------------------------------------------------------------------------------------- */

/* Of each side what is to be the same. */
struct outcome {
    bool established, authenticated;
    int error, alert, verdict;
    uint16_t version;
    size_t leaf_len;
    uint8_t leaf[512];
    char protocol[8];
};

static struct outcome outcome[2];
static uint64_t meetings;
static bool resumed;

static void look(struct pair_side *side, const char *event)
{
    struct milgi_conn_info info;
    struct outcome *o = &outcome[side == &side->pair->side[MILGI_SERVER]];
    if (strcmp(event, "established") != 0)
        return;
    milgi_conn_info(side->conn, &info);
    o->established = true;
    o->authenticated = info.peer_authenticated;
    o->verdict = info.peer_verdict;
    o->version = info.version;
    resumed = info.resumed;
    snprintf(o->protocol, sizeof o->protocol, "%s", info.alpn ? info.alpn : "");
    /* Once a client may see a server's certificate, and a server a client's. */
    if (info.peer_chain_n == 0)
        return;
    o->leaf_len = info.peer_chain[0].len;
    assert_true(o->leaf_len <= sizeof o->leaf);
    memcpy(o->leaf, info.peer_chain[0].data, o->leaf_len);
}

/* No certificate, no connection. */
static void judge(struct pair_side *side, const struct milgi_decision *decision)
{
    struct milgi_decision_info info;
    MUST(milgi_decision_info(side->engine, *decision, &info));
    MUST(milgi_decide(side->engine, *decision, info.chain_n == 0 ? MILGI_REFUSE : MILGI_ACCEPT, NULL));
}

static void meet(const struct world *w, int64_t wall_s)
{
    struct pair pair;
    struct pair_setup setup = {
        .config = { client_of(w->of[MILGI_CLIENT]), server_of(w->of[MILGI_SERVER]) },
        .server_name = w->of[MILGI_CLIENT][NAME] ? "other.test" : "server.test",
        .seed = ++meetings, /* no session ID comes twice */
        .wall_s = wall_s,
    };
    memset(outcome, 0, sizeof outcome);
    resumed = false;
    pair_init(&pair, &setup);
    for (int role = 0; role < 2; role++) {
        pair.side[role].on_event = look;
        pair.side[role].decide = judge;
    }
    pair_settle(&pair);
    for (int role = 0; role < 2; role++) {
        /* A client that ends the handshake hears only then that it was refused: on a session of TLS 1.2 that is it. */
        if (pair.side[role].closed)
            outcome[role] = (struct outcome){ .established = false };
        outcome[role].error = pair.side[role].reason.error;
        outcome[role].alert = pair.side[role].closed ? pair.side[role].reason.alert : 0;
        milgi_config_unref(setup.config[role]);
    }
    pair_fini(&pair);
}

static void new_caches(void)
{
    for (int role = 0; role < 2; role++) {
        milgi_session_cache_unref(cache[role]);
        MUST(milgi_session_cache_new(8, &cache[role]));
    }
}

static void tell(const struct world *w, const char *which)
{
    static const char *const names[CHOICES] = { "versions", "suites", "groups", "schemes", "protocol", "trust", "own",
        "auth", "any", "strict", "keeps", "judges", "name" };
    for (int role = 0; role < 2; role++) {
        print_error("%s %s:", which, role == MILGI_CLIENT ? "client" : "server");
        for (unsigned c = 0; c < CHOICES; c++)
            print_error(" %s %u", names[c], w->of[role][c]);
        print_error("\n");
    }
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->established == b->established && a->authenticated == b->authenticated && a->verdict == b->verdict &&
        a->error == b->error && a->alert == b->alert && a->version == b->version && a->leaf_len == b->leaf_len &&
        memcmp(a->leaf, b->leaf, a->leaf_len) == 0 && strcmp(a->protocol, b->protocol) == 0;
}

/* True: it was resumed. */
static bool try_one(uint64_t seed)
{
    static const int64_t later_s[] = { 0, 10, 4000, 8000, 700000 };
    state = seed * 0x9e3779b97f4a7c15ull | 1;
    struct world before = draw_world(), after;
    int64_t now_s = FAKE_NOW_S;
    new_caches();
    meet(&before, now_s);
    after = before;
    change(&after);
    bool any = false;
    for (unsigned again = 0; again < 3; again++) { /* and on a session that comes of a session */
        struct outcome with[2];
        now_s += later_s[draw(MILGI__COUNT(later_s))];
        meet(again == 2 ? &before : &after, now_s);
        memcpy(with, outcome, sizeof with);
        bool on_session = resumed;
        struct milgi_session_cache *kept[2] = { milgi_session_cache_ref(cache[0]), milgi_session_cache_ref(cache[1]) };
        new_caches();
        meet(again == 2 ? &before : &after, now_s);
        assert_false(resumed);
        for (int role = 0; role < 2; role++) {
            milgi_session_cache_unref(cache[role]);
            cache[role] = kept[role];
            if (same(&with[role], &outcome[role]))
                continue;
            tell(&before, "before,");
            tell(&after, "after,");
            fail_msg("seed %u, %u: the %s: %d %d %d %d with a session (%d), %d %d %d %d without", (unsigned)seed, again,
                role == MILGI_CLIENT ? "client" : "server", with[role].established, with[role].authenticated,
                with[role].error, with[role].alert, on_session, outcome[role].established, outcome[role].authenticated,
                outcome[role].error, outcome[role].alert);
        }
        any |= on_session;
    }
    return any;
}

static void with_a_session_it_ends_as_without(void **unused)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    const char *said = getenv("MILGI_SESSION_CASES");
    unsigned n = said ? (unsigned)strtoul(said, NULL, 10) : CASES, on_sessions = 0;
    (void)unused;
    MUST(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
    for (uint64_t seed = 1; seed <= n; seed++)
        on_sessions += try_one(seed);
    print_message("%u of %u on sessions\n", on_sessions, n);
    assert_true(on_sessions >= n / 5);
    milgi_ticket_keys_unref(keys);
    milgi_session_cache_unref(cache[0]);
    milgi_session_cache_unref(cache[1]);
}

/*
 * Who was not accepted and was only reported is that on a session, too; and for who demands more there is no session of
 * his, but the verdict that a full handshake has.
 */
static void who_was_only_reported_gets_no_further_by_a_session(void **unused)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    (void)unused;
    MUST(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
    for (unsigned i = 0; i < 8; i++) {
        enum milgi_role judge = i & 1 ? MILGI_SERVER : MILGI_CLIENT;
        struct world w = { .of = { { 0 } } };
        w.of[0][VERSIONS] = w.of[1][VERSIONS] = i & 2 ? 1 : 0;
        w.of[MILGI_SERVER][KEEPS] = i & 4 && !(i & 2) ? 1 : 0;
        w.of[MILGI_SERVER][AUTH] = w.of[MILGI_CLIENT][OWN] = judge == MILGI_SERVER ? 2 : 0;
        w.of[judge][TRUST] = 1; /* in somebody else */
        w.of[judge][ANY] = 2;
        new_caches();
        for (unsigned again = 0; again < 3; again++) {
            meet(&w, FAKE_NOW_S);
            assert_int_equal(resumed, again != 0);
            assert_true(outcome[judge].established);
            assert_false(outcome[judge].authenticated);
            assert_int_not_equal(outcome[judge].verdict, 0);
        }
        w.of[judge][ANY] = 0;
        meet(&w, FAKE_NOW_S);
        assert_false(outcome[judge].established);
        assert_int_equal(outcome[judge].error, MILGI_EVERIFY);
    }
    milgi_ticket_keys_unref(keys);
    milgi_session_cache_unref(cache[0]);
    milgi_session_cache_unref(cache[1]);
    cache[0] = cache[1] = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_only_reported_gets_no_further_by_a_session),
        cmocka_unit_test(with_a_session_it_ends_as_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
