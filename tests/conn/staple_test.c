/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands beside a server's certificate, and by whom it is issued: asked for, chosen, decided, carried. On the
 * deterministic backend.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cert/cert.h"
#include "config/config.h"
#include "fake_identity.h"
#include "pair.h"

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static struct milgi_credential *credential;
static uint16_t version; /* that is spoken */

static uint8_t seen[256], scts[256];
static size_t seen_len, scts_len;

#define MUST(call) assert_int_equal(call, 0)

static void look(struct pair_side *side, const char *event)
{
    struct milgi_conn_info info;
    if (side != client || strcmp(event, "established") != 0)
        return;
    milgi_conn_info(side->conn, &info);
    seen_len = info.ocsp_response.len;
    scts_len = info.scts.len;
    if (seen_len != 0)
        memcpy(seen, info.ocsp_response.data, seen_len);
    if (scts_len != 0)
        memcpy(scts, info.scts.data, scts_len);
}

static size_t response(unsigned status, int64_t from, int64_t until, uint8_t out[MILGI__FAKE_OCSP_LEN])
{
    const uint8_t *leaf = credential->chain + 3;
    return milgi__fake_ocsp(leaf, milgi__get24(credential->chain), status, FAKE_NOW_S + from, FAKE_NOW_S + until, out);
}

static void begin(enum milgi_ocsp mode, bool asks_scts, unsigned ask)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = milgi_config_new(MILGI_SERVER);
    MUST(milgi_config_set_ocsp(c, mode));
    MUST(milgi_config_set_scts(c, asks_scts));
    MUST(milgi_config_set_versions(c, version, MILGI_TLS_1_3));
    MUST(milgi_config_set_versions(s, version, version));
    MUST(milgi_config_add_credential(s, credential));
    MUST(milgi_config_set_ask(s, ask));
    struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
        .server_name = "server.test",
        .seed = 11,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    client->on_event = look;
    seen_len = scts_len = 0;
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static int new_credential(void **state)
{
    (void)state;
    credential = fake_credential(NULL);
    return 0;
}

static int free_credential(void **state)
{
    (void)state;
    milgi_credential_unref(credential);
    return 0;
}

static void refused(int alert)
{
    pair_settle(&pair);
    assert_false(client->established);
    assert_int_equal(client->reason.alert, alert);
    assert_int_equal(server->reason.alert, alert);
    assert_true(server->reason.alert_from_peer);
    pair_fini(&pair);
}

/* --- OCSP --------------------------------------------------------------------------------------------------------- */

static void a_response_comes_to_who_asks_and_to_nobody_else(void **state)
{
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    (void)state;
    MUST(milgi_credential_set_ocsp(credential, good, response(0, -10, 10, good)));
    for (int mode = MILGI_OCSP_OFF; mode <= MILGI_OCSP_REQUIRED; mode++) {
        begin((enum milgi_ocsp)mode, false, 0);
        pair_settle(&pair);
        assert_true(client->established && server->established);
        assert_int_equal(seen_len, mode == MILGI_OCSP_OFF ? 0 : sizeof good);
        assert_memory_equal(seen, good, seen_len);
        pair_fini(&pair);
    }
}

static void a_response_that_is_not_good_is_refused(void **state)
{
    uint8_t bad[MILGI__FAKE_OCSP_LEN];
    (void)state;
    MUST(milgi_credential_set_ocsp(credential, bad, response(1, -10, 10, bad)));
    begin(MILGI_OCSP_ASK, false, 0);
    refused(MILGI_ALERT_CERTIFICATE_REVOKED);
    MUST(milgi_credential_set_ocsp(credential, bad, response(2, -10, 10, bad)));
    begin(MILGI_OCSP_ASK, false, 0);
    refused(MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE);
    response(0, -10, 10, bad);
    bad[20] ^= 1;
    MUST(milgi_credential_set_ocsp(credential, bad, sizeof bad));
    begin(MILGI_OCSP_ASK, false, 0);
    refused(MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE);
}

/*= RFC8446 4.6.1: "these limits should take into account the lifetime of the peer's certificate, the likelihood of
 *= intervening revocation" */
static void a_session_is_no_longer_good_than_the_response(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        bool asks = i < 4, judges = i % 2 == 0;
        struct milgi_session_cache *cache;
        struct milgi_ticket_keys *keys;
        struct milgi_conn_info info;
        struct milgi_config *c = judges ? fake_config(MILGI_CLIENT, NULL) : milgi_config_new(MILGI_CLIENT);
        struct milgi_config *s = milgi_config_new(MILGI_SERVER);
        MUST(milgi_session_cache_new(4, &cache));
        MUST(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
        MUST(milgi_credential_set_ocsp(credential, good, response(0, -10, 100, good)));
        MUST(milgi_config_set_ocsp(c, asks ? MILGI_OCSP_ASK : MILGI_OCSP_OFF));
        MUST(milgi_config_set_session_cache(c, cache));
        if (!judges)
            MUST(milgi_config_dangerously_accept_any_server(c));
        MUST(milgi_config_set_versions(c, version, version));
        MUST(milgi_config_set_versions(s, version, version));
        MUST(milgi_config_add_credential(s, credential));
        MUST(milgi_config_set_ticket_keys(s, keys));
        struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
            .server_name = "server.test",
            .seed = 11,
            .wall_s = FAKE_NOW_S };
        pair_init(&pair, &setup);
        pair_settle(&pair);
        bool late = i / 2 != 0;
        pair.wall_s += late ? 101 : 100;
        MUST(milgi_credential_set_ocsp(credential, NULL, 0));
        pair_again(&pair, &setup);
        pair_settle(&pair);
        milgi_conn_info(client->conn, &info);
        assert_true(client->established && server->established);
        assert_int_equal(info.resumed, !(asks && judges && late));
        pair_fini(&pair);
        milgi_config_unref(c);
        milgi_config_unref(s);
        milgi_ticket_keys_unref(keys);
        milgi_session_cache_unref(cache);
    }
}

static void without_a_response_only_who_requires_one_refuses(void **state)
{
    uint8_t old[MILGI__FAKE_OCSP_LEN];
    (void)state;
    begin(MILGI_OCSP_ASK, false, 0);
    pair_settle(&pair);
    assert_true(client->established);
    assert_int_equal(seen_len, 0);
    pair_fini(&pair);
    begin(MILGI_OCSP_REQUIRED, false, 0);
    refused(MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE);
    /* One that is over is not sent. */
    MUST(milgi_credential_set_ocsp(credential, old, response(0, -10, -1, old)));
    begin(MILGI_OCSP_ASK, false, 0);
    pair_settle(&pair);
    assert_true(client->established);
    assert_int_equal(seen_len, 0);
    pair_fini(&pair);
}

static void what_is_set_is_looked_at(void **state)
{
    static const uint8_t list[] = { 0, 7, 0, 1, 'a', 0, 2, 'b', 'c' };
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    (void)state;
    assert_int_equal(milgi_credential_set_ocsp(credential, "what", 4), MILGI_EPARSE);
    assert_int_equal(milgi_credential_set_ocsp(credential, good, 0x10000), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_ocsp(NULL, good, 1), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_ocsp_file(credential, "/nonexistent"), MILGI_EFILE);
    MUST(milgi_credential_set_ocsp(credential, NULL, 0));
    for (size_t n = 1; n < sizeof list; n++)
        assert_int_equal(milgi_credential_set_scts(credential, list, n), MILGI_EPARSE);
    assert_int_equal(milgi_credential_set_scts(credential, "\0\3\0\0x", 5), MILGI_EPARSE);
    MUST(milgi_credential_set_scts(credential, list, sizeof list));
    begin(MILGI_OCSP_OFF, true, 0);
    pair_settle(&pair);
    assert_int_equal(scts_len, sizeof list);
    assert_memory_equal(scts, list, sizeof list);
    pair_fini(&pair);
    begin(MILGI_OCSP_OFF, false, 0);
    pair_settle(&pair);
    assert_true(client->established);
    assert_int_equal(scts_len, 0);
    pair_fini(&pair);
    MUST(milgi_credential_set_scts(credential, NULL, 0));
}

/* --- decisions ---------------------------------------------------------------------------------------------------- */

static const struct milgi_decision *asked(void)
{
    pair_settle(&pair);
    assert_false(client->established);
    assert_int_equal(server->decisions_n, 1);
    assert_int_equal(server->decision[0].kind, MILGI_DECIDE_OCSP);
    return &server->decision[0];
}

static void an_answer_may_come_late_but_once(void **state)
{
    struct milgi_decision_info info;
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    struct milgi_iov given = { good, response(0, -10, 10, good) }, nothing = { good, 0 };
    (void)state;
    begin(MILGI_OCSP_REQUIRED, false, MILGI_DECIDE_OCSP);
    const struct milgi_decision *d = asked();
    MUST(milgi_decision_info(server->engine, *d, &info));
    assert_ptr_equal(info.credential, credential);
    assert_string_equal(info.server_name, "server.test");
    assert_int_equal(milgi_decide(server->engine, *d, MILGI_ACCEPT, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_decide(server->engine, *d, MILGI_ACCEPT, &nothing), MILGI_EINVAL);
    MUST(milgi_decide(server->engine, *d, MILGI_ACCEPT, &given));
    assert_int_equal(milgi_decide(server->engine, *d, MILGI_ACCEPT, &given), MILGI_ESTALE);
    assert_int_equal(milgi_decision_info(server->engine, *d, &info), MILGI_ESTALE);
    memset(good, 0, sizeof good); /* it was copied */
    pair_settle(&pair);
    assert_true(client->established && server->established);
    assert_int_equal(seen_len, sizeof good);
    assert_int_equal(milgi_decide(server->engine, *d, MILGI_ACCEPT, &given), MILGI_ESTALE);
    pair_fini(&pair);
}

static void refused_is_none_and_default_is_the_credentials(void **state)
{
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    (void)state;
    MUST(milgi_credential_set_ocsp(credential, good, response(0, -10, 10, good)));
    for (int verdict = MILGI_REFUSE; verdict <= MILGI_DEFAULT; verdict++) {
        if (verdict == MILGI_ACCEPT)
            continue;
        begin(MILGI_OCSP_ASK, false, MILGI_DECIDE_OCSP);
        MUST(milgi_decide(server->engine, *asked(), (enum milgi_verdict)verdict, NULL));
        pair_settle(&pair);
        assert_true(client->established);
        assert_int_equal(seen_len, verdict == MILGI_REFUSE ? 0 : sizeof good);
        pair_fini(&pair);
    }
}

static void nobody_is_asked_for_what_the_client_does_not_want(void **state)
{
    (void)state;
    begin(MILGI_OCSP_OFF, false, MILGI_DECIDE_OCSP);
    pair_settle(&pair);
    assert_true(client->established);
    assert_int_equal(server->decisions_n, 0);
    pair_fini(&pair);
}

/* It is asked behind the credential, and not answered before it is asked. */
static void the_question_comes_behind_that_for_the_credential(void **state)
{
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    struct milgi_iov given = { good, response(0, -10, 10, good) };
    (void)state;
    begin(MILGI_OCSP_ASK, false, MILGI_DECIDE_OCSP | MILGI_DECIDE_CREDENTIAL);
    pair_settle(&pair);
    assert_int_equal(server->decisions_n, 1);
    struct milgi_decision early = server->decision[0];
    assert_int_equal(early.kind, MILGI_DECIDE_CREDENTIAL);
    early.kind = MILGI_DECIDE_OCSP;
    assert_int_equal(milgi_decide(server->engine, early, MILGI_ACCEPT, &given), MILGI_ESTALE);
    MUST(milgi_decide(server->engine, server->decision[0], MILGI_ACCEPT, credential));
    pair_settle(&pair);
    assert_int_equal(server->decisions_n, 2);
    assert_int_equal(server->decision[1].kind, MILGI_DECIDE_OCSP);
    MUST(milgi_decide(server->engine, server->decision[1], MILGI_ACCEPT, &given));
    pair_settle(&pair);
    assert_true(client->established);
    assert_int_equal(seen_len, sizeof good);
    pair_fini(&pair);
    /* A credential that is refused leaves nothing to ask. */
    begin(MILGI_OCSP_ASK, false, MILGI_DECIDE_OCSP | MILGI_DECIDE_CREDENTIAL);
    pair_settle(&pair);
    MUST(milgi_decide(server->engine, server->decision[0], MILGI_REFUSE, NULL));
    pair_settle(&pair);
    assert_int_equal(server->decisions_n, 1);
    assert_int_equal(server->reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    pair_fini(&pair);
}

static void an_answer_that_never_comes_is_a_timeout(void **state)
{
    (void)state;
    begin(MILGI_OCSP_ASK, false, MILGI_DECIDE_OCSP);
    struct milgi_decision d = *asked();
    pair_settle_until(&pair, pair.now_ns + UINT64_C(60) * 1000000000);
    assert_true(server->closed);
    assert_int_equal(server->reason.error, MILGI_ETIMEOUT);
    assert_int_equal(milgi_decide(server->engine, d, MILGI_DEFAULT, NULL), MILGI_ESTALE);
    pair_fini(&pair);
    begin(MILGI_OCSP_ASK, false, MILGI_DECIDE_OCSP);
    d = *asked();
    milgi_conn_free(server->conn);
    server->conn = NULL;
    assert_int_equal(milgi_decide(server->engine, d, MILGI_DEFAULT, NULL), MILGI_ESTALE);
    pair_fini(&pair);
}

/* --- exchanged while it is used ----------------------------------------------------------------------------------- */

static void *exchange(void *arg)
{
    uint8_t made[MILGI__FAKE_OCSP_LEN];
    for (int i = 0; i < 20000; i++)
        (void)!milgi_credential_set_ocsp(arg, made, response(0, -10 - i, 10, made));
    return NULL;
}

static void it_may_be_exchanged_by_any_thread(void **state)
{
    pthread_t thread;
    (void)state;
    MUST(pthread_create(&thread, NULL, exchange, credential));
    for (int i = 0; i < 20000; i++)
        milgi__staple_unref(milgi__credential_staple(credential, MILGI__STAPLE_OCSP, FAKE_NOW_S));
    MUST(pthread_join(thread, NULL));
    begin(MILGI_OCSP_REQUIRED, false, 0);
    pair_settle(&pair);
    assert_true(client->established);
    pair_fini(&pair);
}

/* --- certificate authorities -------------------------------------------------------------------------------------- */

static void add(struct milgi_config *config, const struct fake_options *options)
{
    struct milgi_credential *one = fake_credential(options);
    MUST(milgi_config_add_credential(config, one));
    milgi_credential_unref(one);
}

static void trust(struct milgi_config *config, uint64_t root)
{
    struct milgi_trust *anchors = fake_trust(root);
    MUST(milgi_config_set_trust(config, anchors));
    milgi_trust_unref(anchors);
}

static void meet(struct milgi_config *c, struct milgi_config *s)
{
    struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
        .server_name = "server.test",
        .seed = 5,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

/* Which of its credentials a client has taken; 2: none. */
static unsigned client_took(uint64_t root, bool told)
{
    struct milgi_conn_info info;
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    MUST(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_3));
    MUST(milgi_config_set_versions(s, version, version));
    add(c, &(struct fake_options){ .root = 1, .seed = 1 });
    add(c, &(struct fake_options){ .root = 2, .seed = 2, .intermediates = 2 });
    struct milgi_credential *own[] = { c->credentials[0], c->credentials[1] };
    trust(s, root);
    MUST(milgi_config_set_client_auth(s, MILGI_CLIENT_AUTH_OPTIONAL));
    MUST(milgi_config_set_authorities(s, told));
    meet(c, s);
    pair_settle(&pair);
    milgi_conn_info(client->conn, &info);
    unsigned took = info.credential == own[0] ? 0 : info.credential == own[1] ? 1
                                                                              : 2;
    if (version == MILGI_TLS_1_3) /* in TLS 1.2 it hears first what the server says of it */
        assert_true(client->established);
    pair_fini(&pair);
    return took;
}

/*= RFC8446 4.4.2.3: "If the "certificate_authorities" extension in the CertificateRequest message was present, at least
 *= one of the certificates in the certificate chain SHOULD be issued by one of the listed CAs." */
static void a_client_prefers_a_certificate_of_the_authorities(void **state)
{
    (void)state;
    assert_int_equal(client_took(1, true), 0);
    assert_int_equal(client_took(2, true), 1);
    if (version == MILGI_TLS_1_2) /* who is refused has shown nothing that is told of */
        return;
    assert_int_equal(client_took(3, true), 0);  /* none is: the server may know better than its list */
    assert_int_equal(client_took(2, false), 0); /* it is not told: the first */
}

/* Names that are given do not say whose certificates are accepted. */
static void names_may_be_other_than_the_anchors(void **state)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    struct milgi_conn_info info;
    (void)state;
    MUST(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_3));
    MUST(milgi_config_set_versions(s, version, version));
    add(c, &(struct fake_options){ .root = 1, .seed = 1 });
    add(c, &(struct fake_options){ .root = 2, .seed = 2 });
    const struct milgi_credential *second = c->credentials[1];
    const struct milgi_iov names[] = { { "nobody", 6 }, { second->issuers + 2, milgi__get16(second->issuers) } };
    static uint8_t large[16384];
    const struct milgi_iov bad[] = { { "", 0 }, { NULL, 1 }, { large, sizeof large }, { large, 16383 } };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(milgi_config_set_authority_names(s, &bad[i], 1), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_authority_names(s, NULL, 1), MILGI_EINVAL);
    trust(s, 2);
    MUST(milgi_config_set_authority_names(s, names, 2));
    meet(c, s);
    pair_settle(&pair);
    assert_true(client->established && server->established);
    milgi_conn_info(client->conn, &info);
    assert_ptr_equal(info.credential, second);
    pair_fini(&pair);
}

/* A client whose only credential is for who names |root|, and a server that names 2, or nobody. */
static bool shown(bool told, uint64_t root)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    struct milgi_conn_info info;
    struct milgi_credential *one = fake_credential(&(struct fake_options){ .root = root, .seed = 1 });
    MUST(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_3));
    MUST(milgi_config_set_versions(s, version, version));
    MUST(milgi_credential_set_must_match(one, true));
    MUST(milgi_config_add_credential(c, one));
    assert_int_equal(milgi_credential_set_must_match(one, false), MILGI_EINVAL); /* it is in use */
    milgi_credential_unref(one);
    trust(s, 2);
    MUST(milgi_config_set_client_auth(s, MILGI_CLIENT_AUTH_OPTIONAL));
    MUST(milgi_config_set_authorities(s, told));
    meet(c, s);
    pair_settle(&pair);
    milgi_conn_info(client->conn, &info);
    assert_int_equal(client->established, true);
    pair_fini(&pair);
    return info.credential;
}

static void a_credential_may_be_for_some_authorities_only(void **state)
{
    (void)state;
    assert_true(shown(true, 2));
    assert_false(shown(true, 1));
    assert_false(shown(false, 2));
}

static const void *server_took(uint64_t root, bool told)
{
    static struct milgi_credential *own[2];
    struct milgi_conn_info info;
    struct milgi_config *s = milgi_config_new(MILGI_SERVER), *c = milgi_config_new(MILGI_CLIENT);
    add(s, &(struct fake_options){ .root = 1, .seed = 1 });
    add(s, &(struct fake_options){ .root = 2, .seed = 2 });
    own[0] = s->credentials[0];
    own[1] = s->credentials[1];
    trust(c, root);
    MUST(milgi_config_dangerously_accept_any_server(c));
    MUST(milgi_config_set_authorities(c, told));
    meet(c, s);
    pair_settle(&pair);
    milgi_conn_info(server->conn, &info);
    const void *took = info.credential == own[0] ? "first" : info.credential == own[1] ? "second"
                                                                                       : "none";
    pair_fini(&pair);
    return took;
}

/*= RFC8446 4.2.4: "which SHOULD be used by the receiving endpoint to guide certificate selection" */
static void a_server_prefers_what_the_client_trusts(void **state)
{
    (void)state;
    assert_string_equal(server_took(1, true), "first");
    assert_string_equal(server_took(2, true), "second");
    assert_string_equal(server_took(2, false), "first");
    assert_string_equal(server_took(3, true), "first");
}

static void who_is_asked_sees_the_authorities(void **state)
{
    struct milgi_decision_info info;
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    (void)state;
    add(c, &(struct fake_options){ .root = 1, .seed = 1 });
    add(c, &(struct fake_options){ .root = 2, .seed = 2 });
    const struct milgi_credential *second = c->credentials[1];
    MUST(milgi_config_set_ask(c, MILGI_DECIDE_CREDENTIAL));
    trust(s, 2);
    meet(c, s);
    pair_settle(&pair);
    assert_int_equal(client->decisions_n, 1);
    MUST(milgi_decision_info(client->engine, client->decision[0], &info));
    assert_int_equal(info.authorities_n, 1);
    assert_true(info.schemes_n > 0);
    assert_int_equal(milgi__get16(second->issuers), info.authorities[0].len);
    assert_memory_equal(second->issuers + 2, info.authorities[0].data, info.authorities[0].len);
    MUST(milgi_decide(client->engine, client->decision[0], MILGI_DEFAULT, NULL));
    pair_settle(&pair);
    struct milgi_conn_info conn;
    milgi_conn_info(client->conn, &conn);
    assert_ptr_equal(conn.credential, second);
    assert_true(server->established);
    pair_fini(&pair);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, new_credential, free_credential)

int main(void)
{
    const struct CMUnitTest beside[] = {
        ROW(a_response_comes_to_who_asks_and_to_nobody_else),
        ROW(a_response_that_is_not_good_is_refused),
        ROW(a_session_is_no_longer_good_than_the_response),
        ROW(without_a_response_only_who_requires_one_refuses),
        ROW(what_is_set_is_looked_at),
        ROW(an_answer_may_come_late_but_once),
        ROW(refused_is_none_and_default_is_the_credentials),
        ROW(nobody_is_asked_for_what_the_client_does_not_want),
        ROW(the_question_comes_behind_that_for_the_credential),
        ROW(an_answer_that_never_comes_is_a_timeout),
        ROW(it_may_be_exchanged_by_any_thread),
        ROW(a_client_prefers_a_certificate_of_the_authorities),
        ROW(names_may_be_other_than_the_anchors),
        ROW(a_credential_may_be_for_some_authorities_only),
    };
    const struct CMUnitTest authorities[] = {
        ROW(a_server_prefers_what_the_client_trusts),
        ROW(who_is_asked_sees_the_authorities),
    };
    int failed = 0;
    for (version = MILGI_TLS_1_2; version <= MILGI_TLS_1_3; version++)
        failed += cmocka_run_group_tests(beside, NULL, NULL);
    return failed + cmocka_run_group_tests(authorities, NULL, NULL);
}
