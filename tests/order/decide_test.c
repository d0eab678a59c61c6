/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever is asked, of either side and in either version: its answer may come at once, late, from another thread,
 * twice, wrong, never, or when there is no connection any more.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "fake_identity.h"
#include "pair.h"

#define MUST(call) assert_int_equal(call, 0)
#define LONG_NS UINT64_C(40000000000) /* more than a handshake may take */

static const struct question {
    unsigned kind;
    enum milgi_role role;
    bool in12, in13;
    bool before12; /* in TLS 1.2 the client comes back: by a ticket or by an ID */
    bool psk;      /* in TLS 1.3 the client has an external PSK */
    bool auth;     /* the client is asked for a certificate */
} questions[] = {
    { MILGI_DECIDE_CONFIG, MILGI_SERVER, true, true, false, false, false },
    { MILGI_DECIDE_CREDENTIAL, MILGI_SERVER, true, true, false, false, false },
    { MILGI_DECIDE_CREDENTIAL, MILGI_CLIENT, true, true, false, false, true },
    { MILGI_DECIDE_ALPN, MILGI_SERVER, true, true, false, false, false },
    { MILGI_DECIDE_PEER, MILGI_SERVER, true, true, false, false, true },
    { MILGI_DECIDE_PEER, MILGI_CLIENT, true, true, false, false, false },
    { MILGI_DECIDE_OCSP, MILGI_SERVER, true, true, false, false, false },
    { MILGI_DECIDE_PSK, MILGI_SERVER, false, true, false, true, false },
    { MILGI_DECIDE_TICKET_OPEN, MILGI_SERVER, true, true, true, true, false },
    { MILGI_DECIDE_TICKET_SEAL, MILGI_SERVER, true, true, false, false, false },
    { MILGI_DECIDE_SESSION_LOOKUP, MILGI_SERVER, true, false, true, false, false },
    { MILGI_DECIDE_SESSION_STORE, MILGI_SERVER, true, false, false, false, false },
};

static struct pair pair;
static const struct question *asked;
static uint16_t version;
static struct pair_side *side;            /* that is asked */
static struct milgi_decision decision;    /* which is open */
static struct milgi_session_cache *cache; /* the client's */

/* --- how it comes to the question --------------------------------------------------------------------------------- */

static struct milgi_config *client_config(void)
{
    static const char *const protocol = "x";
    static const uint8_t secret[32] = { 7 };
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL);
    MUST(milgi_config_set_versions(c, version, version));
    MUST(milgi_config_set_alpn(c, &protocol, 1));
    MUST(milgi_config_set_ocsp(c, MILGI_OCSP_ASK));
    MUST(milgi_config_set_session_cache(c, cache));
    if (asked->psk && version == MILGI_TLS_1_3) {
        struct milgi_psk_source source = { MILGI_CLIENT, MILGI_PSK_SHA256, "whoever", 7, secret, sizeof secret };
        struct milgi_psk *psk;
        MUST(milgi_psk_new(&source, &psk));
        MUST(milgi_config_add_psk(c, psk));
        milgi_psk_unref(psk);
    }
    if (asked->auth) {
        struct milgi_credential *own = fake_credential(NULL);
        MUST(milgi_config_add_credential(c, own));
        milgi_credential_unref(own);
    }
    if (asked->role == MILGI_CLIENT)
        MUST(milgi_config_set_ask(c, asked->kind));
    return fake_freeze(c);
}

static struct milgi_config *server_config(bool asks)
{
    struct milgi_config *s = fake_config(MILGI_SERVER, NULL);
    MUST(milgi_config_set_versions(s, version, version));
    if (asked->auth) {
        struct milgi_trust *trust = fake_trust(0);
        MUST(milgi_config_set_trust(s, trust));
        milgi_trust_unref(trust);
        MUST(milgi_config_set_client_auth(s, MILGI_CLIENT_AUTH_OPTIONAL));
    }
    if (asks && asked->role == MILGI_SERVER)
        MUST(milgi_config_set_ask(s, asked->kind));
    return s;
}

/* A connection that leaves a session behind. */
static void connect_before(void)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    struct milgi_ticket_keys *keys;
    struct milgi_session_cache *ids;
    struct milgi_config *c = client_config(), *s = server_config(false);
    MUST(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
    MUST(milgi_session_cache_new(4, &ids));
    if (asked->kind == MILGI_DECIDE_TICKET_OPEN)
        MUST(milgi_config_set_ticket_keys(s, keys));
    else
        MUST(milgi_config_set_session_cache(s, ids));
    struct pair_setup setup = { .config = { c, fake_freeze(s) }, .server_name = "server.test", .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    pair_settle(&pair);
    assert_int_equal(milgi_session_cache_count(cache), 1);
    pair_fini(&pair);
    milgi_config_unref(c);
    milgi_config_unref(s);
    milgi_ticket_keys_unref(keys);
    milgi_session_cache_unref(ids);
}

/* Two that have not met. */
static void meet(void)
{
    MUST(milgi_session_cache_new(4, &cache));
    if (asked->before12 && version == MILGI_TLS_1_2)
        connect_before();
    struct milgi_config *c = client_config(), *s = server_config(true);
    struct pair_setup setup = {
        .config = { c, fake_freeze(s) },
        .server_name = "server.test",
        .seed = 3,
        .wall_s = FAKE_NOW_S,
    };
    pair_init(&pair, &setup);
    side = &pair.side[asked->role];
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static void part(void)
{
    pair_fini(&pair);
    milgi_session_cache_unref(cache);
}

/* Two of whom one waits for an answer, and nothing else. */
static void come_to_it(void)
{
    meet();
    pair_settle(&pair);
    assert_int_equal(side->decisions_n, 1);
    decision = side->decision[0];
    assert_int_equal(decision.kind, asked->kind);
    assert_false(side->established);
}

static int answer(enum milgi_verdict verdict)
{
    return milgi_decide(side->engine, decision, verdict, NULL);
}

static void is_stale(void)
{
    struct milgi_decision_info info;
    for (int verdict = MILGI_REFUSE; verdict <= MILGI_DEFAULT; verdict++)
        assert_int_equal(answer((enum milgi_verdict)verdict), MILGI_ESTALE);
    assert_int_equal(milgi_decision_info(side->engine, decision, &info), MILGI_ESTALE);
}

static void goes_well(void)
{
    pair_settle(&pair);
    if (!pair.side[0].established || !pair.side[1].established)
        fail_msg("question %u, role %d, version %x: %s", asked->kind, asked->role, version,
            side->reason.detail ? side->reason.detail : "not open");
    is_stale();
    part();
}

static void each(void (*play)(void))
{
    for (size_t i = 0; i < MILGI__COUNT(questions); i++) {
        for (unsigned v = 0; v < 2; v++) {
            asked = &questions[i];
            version = v ? MILGI_TLS_1_3 : MILGI_TLS_1_2;
            if (v ? asked->in13 : asked->in12)
                play();
        }
    }
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void late(void)
{
    const unsigned open = MILGI_WAITS_TURN | MILGI_WAITS_DECISION;
    come_to_it();
    assert_int_equal(milgi_conn_waits_for(side->conn) & open, MILGI_WAITS_DECISION);
    if (asked->kind == MILGI_DECIDE_CONFIG) /* and not for the client, which waits itself */
        assert_int_equal(milgi_conn_waits_for(side->conn), MILGI_WAITS_DECISION);
    assert_int_equal(milgi_conn_waits_for(pair_other(side)->conn) & open, 0);
    MUST(answer(MILGI_DEFAULT));
    assert_int_equal(milgi_conn_waits_for(side->conn) & open, MILGI_WAITS_TURN);
    is_stale(); /* twice */
    goes_well();
}

static void an_answer_may_come_late_and_once(void **state)
{
    (void)state;
    each(late);
}

static void from_inside(struct pair_side *who, const struct milgi_decision *d)
{
    (void)who;
    decision = *d;
    MUST(answer(MILGI_DEFAULT));
    is_stale();
}

static void at_once(void)
{
    meet();
    side->decide = from_inside;
    goes_well();
}

static void an_answer_may_come_at_once(void **state)
{
    (void)state;
    each(at_once);
}

/* What it is about without which there is no connection; the rest is optional. */
static bool is_vital(unsigned kind)
{
    return (kind & (MILGI_DECIDE_CONFIG | MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN | MILGI_DECIDE_PEER)) != 0;
}

static void refused(void)
{
    come_to_it();
    MUST(answer(MILGI_REFUSE));
    if (!is_vital(asked->kind)) {
        goes_well();
        return;
    }
    pair_settle(&pair);
    assert_true(side->closed && !side->established);
    assert_int_equal(side->reason.error, MILGI_EREFUSED);
    assert_int_equal(side->reason.fault, MILGI_FAULT_PEER); /* whom the application has refused */
    is_stale();
    part();
}

static void a_refusal_ends_it_or_leaves_out_what_is_optional(void **state)
{
    (void)state;
    each(refused);
}

static void wrong(void)
{
    struct milgi_decision_info info;
    come_to_it();
    assert_int_equal(answer((enum milgi_verdict)99), MILGI_EINVAL);
    bool without = asked->kind == MILGI_DECIDE_PEER || asked->kind == MILGI_DECIDE_SESSION_STORE ||
        asked->kind == MILGI_DECIDE_TICKET_SEAL || asked->kind == MILGI_DECIDE_PSK;
    if (!without)
        assert_int_equal(answer(MILGI_ACCEPT), MILGI_EINVAL);
    const struct milgi_decision own = decision;
    for (unsigned bit = 0; bit < 32; bit++) {
        decision.kind = UINT32_C(1) << bit;
        if (decision.kind == own.kind)
            continue;
        int rv = answer(MILGI_DEFAULT);
        assert_true(rv == MILGI_ESTALE || rv == MILGI_EINVAL);
        assert_int_equal(milgi_decision_info(side->engine, decision, &info), MILGI_ESTALE);
    }
    decision = own;
    decision.generation++; /* of the connection that comes here next */
    is_stale();
    decision = own;
    decision.index += 1000;
    is_stale();
    decision = own;
    MUST(milgi_decision_info(side->engine, decision, &info));
    MUST(answer(MILGI_DEFAULT));
    goes_well();
}

static void a_wrong_answer_leaves_it_open(void **state)
{
    (void)state;
    each(wrong);
}

/* --- none --------------------------------------------------------------------------------------------------------- */

static void never(void)
{
    come_to_it();
    pair_settle_until(&pair, pair.now_ns + LONG_NS);
    assert_true(side->closed && !side->established);
    assert_int_equal(side->reason.error, MILGI_ETIMEOUT);
    assert_int_equal(side->reason.fault, MILGI_FAULT_OURS);
    assert_true(!pair_other(side)->closed || pair_other(side)->reason.fault == MILGI_FAULT_PEER);
    is_stale();
    part();
}

static void no_answer_is_a_timeout(void **state)
{
    (void)state;
    each(never);
}

static void ended(void)
{
    for (unsigned how = 0; how < 4; how++) {
        come_to_it();
        if (how == 0)
            MUST(milgi_conn_abort(side->conn, MILGI_ALERT_INTERNAL_ERROR));
        else if (how == 1)
            MUST(milgi_conn_receive_eof(side->conn, 0));
        else if (how == 2)
            milgi_conn_free(side->conn);
        else
            milgi_conn_free(pair_other(side)->conn);
        if (how == 2)
            side->conn = NULL;
        if (how == 3)
            pair_other(side)->conn = NULL;
        if (how == 0 || how == 2)
            is_stale(); /* already now */
        pair_settle(&pair);
        if (how == 3) { /* this one cannot know yet */
            MUST(answer(MILGI_DEFAULT));
            pair_settle(&pair);
            assert_false(side->closed);
        }
        assert_false(side->closed && side->established);
        is_stale();
        part();
    }
}

static void an_answer_behind_the_end_is_stale(void **state)
{
    (void)state;
    each(ended);
}

static bool frees;

static void end_inside(struct pair_side *who, const struct milgi_decision *d)
{
    decision = *d;
    if (frees)
        milgi_conn_free(who->conn);
    else
        MUST(milgi_conn_abort(who->conn, MILGI_ALERT_INTERNAL_ERROR));
    if (frees)
        who->conn = NULL;
    is_stale();
}

static void ended_inside(void)
{
    for (unsigned how = 0; how < 2; how++) {
        frees = how;
        meet();
        side->decide = end_inside;
        pair_settle(&pair);
        assert_int_equal(decision.kind, asked->kind);
        assert_false(side->established);
        is_stale();
        part();
    }
}

static void the_connection_may_end_inside_the_question(void **state)
{
    (void)state;
    each(ended_inside);
}

/* --- other threads ------------------------------------------------------------------------------------------------ */

static struct {
    unsigned answers, taken, stale;
} posted;

static void answer_here(void *arg)
{
    (void)arg;
    int rv = answer(MILGI_DEFAULT);
    posted.answers++;
    posted.taken += rv == 0;
    posted.stale += rv == MILGI_ESTALE;
}

static void *elsewhere(void *arg)
{
    return milgi_engine_post(side->engine, answer_here, NULL) == 0 ? arg : NULL;
}

/* From so many threads at once. */
static void post_by(unsigned n)
{
    pthread_t thread[3];
    memset(&posted, 0, sizeof posted);
    for (unsigned i = 0; i < n; i++)
        MUST(pthread_create(&thread[i], NULL, elsewhere, &pair));
    for (unsigned i = 0; i < n; i++) {
        void *done = NULL;
        MUST(pthread_join(thread[i], &done));
        assert_ptr_equal(done, &pair);
    }
}

static void posts(void)
{
    come_to_it();
    post_by(3);
    pair_settle(&pair);
    assert_int_equal(posted.answers, 3);
    assert_int_equal(posted.taken, 1);
    assert_int_equal(posted.stale, 2);
    goes_well();
    come_to_it();
    post_by(1);
    milgi_conn_free(side->conn); /* before the answer is read */
    side->conn = NULL;
    pair_settle(&pair);
    assert_int_equal(posted.stale, 1);
    part();
}

static void any_thread_may_answer_and_one_answer_is_taken(void **state)
{
    (void)state;
    each(posts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_come_late_and_once),
        cmocka_unit_test(an_answer_may_come_at_once),
        cmocka_unit_test(a_refusal_ends_it_or_leaves_out_what_is_optional),
        cmocka_unit_test(a_wrong_answer_leaves_it_open),
        cmocka_unit_test(no_answer_is_a_timeout),
        cmocka_unit_test(an_answer_behind_the_end_is_stale),
        cmocka_unit_test(the_connection_may_end_inside_the_question),
        cmocka_unit_test(any_thread_may_answer_and_one_answer_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
