/* SPDX-License-Identifier: Apache-2.0 */
/* Peers whose certificates are revoked, or may be: in both roles and versions, whatever verifies chains. */
#include <time.h>
#include <unistd.h>

#include <openssl/x509_vfy.h>

#include "crl.h"
#include "fixture.h"
#include "pair.h"

#define C MILGI_CLIENT
#define S MILGI_SERVER
#define CRL(...) crl_new(&(struct crl_options){ __VA_ARGS__ })

static const uint16_t versions[] = { MILGI_TLS_1_2, MILGI_TLS_1_3 };
static const char *const devices[] = { NULL, SLOW, "pool:2", "batch" };

static struct pair pair;
static struct identity *middle, *peer; /* whose certificate is judged, of either role */
static uint16_t version;

static int make(void **state)
{
    fixture_setup(state);
    middle = identity_new(&(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = fixture.root });
    peer = identity_leaf(middle, IDENTITY_P256, "DNS:server.test");
    return 0;
}

static int unmake(void **state)
{
    identity_free(peer);
    identity_free(middle);
    return fixture_teardown(state);
}

static struct milgi_trust *trust_with(const char *const *crls, enum milgi_crl_check check)
{
    struct milgi_trust *trust;
    MUST(milgi_trust_new_pem(fixture.root->cert_pem, strlen(fixture.root->cert_pem), &trust));
    for (; *crls; crls++)
        MUST(milgi_trust_add_crls_pem(trust, *crls, strlen(*crls), NULL));
    MUST(milgi_trust_set_crl_check(trust, check));
    return trust;
}

/* Who judges by CRLs, in that role. */
static struct milgi_config *judge_of(enum milgi_role role, const char *const *crls, enum milgi_crl_check check)
{
    struct milgi_config *config = configs_begin(role, role == S ? fixture.leaf : NULL, NULL);
    struct milgi_trust *trust = trust_with(crls, check);
    MUST(milgi_config_set_trust(config, trust));
    MUST(milgi_config_set_versions(config, version, version));
    milgi_trust_unref(trust);
    return config;
}

static struct milgi_config *shower_of(enum milgi_role role)
{
    struct milgi_config *config = configs_begin(role, peer, role == C ? fixture.root : NULL);
    MUST(milgi_config_set_versions(config, version, version));
    return config;
}

static bool over(const struct pair_side *side)
{
    return side->established || side->closed;
}

/* Threads take time that is not the pair's. */
static void settle(void)
{
    pair_settle(&pair);
    for (unsigned i = 0; i < 10000 && !(over(&pair.side[C]) && over(&pair.side[S])); i++) {
        usleep(1000);
        pair_settle(&pair);
    }
}

static void begin(enum milgi_role judge, struct milgi_config *config, const char *device)
{
    struct pair_setup setup = { .config = { NULL }, .server_name = "server.test", .seed = 7 };
    setup.config[judge] = configs_freeze(config);
    setup.config[1 - judge] = configs_freeze(shower_of(1 - judge));
    setup.device[judge] = device;
    pair_init(&pair, &setup);
    settle();
    milgi_config_unref(setup.config[C]);
    milgi_config_unref(setup.config[S]);
}

/* What comes of |verdict|, on every device, in both roles and versions. The CRLs are freed. */
static void judge(int verdict, enum milgi_crl_check check, char *one, char *two)
{
    const char *crls[] = { one, two, NULL };
    int alert = verdict == X509_V_ERR_CERT_REVOKED ? MILGI_ALERT_CERTIFICATE_REVOKED : MILGI_ALERT_CERTIFICATE_UNKNOWN;

    for (size_t i = 0; i < 2 * 2 * MILGI__COUNT(devices); i++) {
        enum milgi_role role = i % 2 == 0 ? C : S;
        struct pair_side *us = &pair.side[role], *them = &pair.side[1 - role];
        version = versions[i / 2 % 2];
        begin(role, judge_of(role, crls, check), devices[i / 4]);
        assert_int_equal(us->established, verdict == X509_V_OK);
        if (verdict != X509_V_OK) {
            assert_int_equal(us->reason.error, MILGI_EVERIFY);
            assert_int_equal(us->reason.alert, alert);
            assert_string_equal(us->reason.detail, X509_verify_cert_error_string(verdict));
            assert_int_equal(them->reason.error, MILGI_EALERT);
            assert_int_equal(them->reason.alert, alert);
        } else {
            assert_true(them->established);
        }
        pair_fini(&pair);
    }
    free(one);
    free(two);
}

/*= RFC8446 6.2: "certificate_revoked:  A certificate was revoked by its signer." */
static void a_peer_that_is_revoked_is_told_so(void **state)
{
    (void)state;
    judge(X509_V_ERR_CERT_REVOKED, MILGI_CRL_CHECK_ALL, CRL(.issuer = fixture.root),
        CRL(.issuer = middle, .revoked = { peer }));
    judge(X509_V_ERR_CERT_REVOKED, MILGI_CRL_CHECK_LEAF, CRL(.issuer = middle, .revoked = { peer }), NULL);
}

static void a_peer_whose_issuer_is_revoked_is_refused(void **state)
{
    (void)state;
    judge(X509_V_ERR_CERT_REVOKED, MILGI_CRL_CHECK_ALL, CRL(.issuer = middle),
        CRL(.issuer = fixture.root, .revoked = { middle }));
    judge(X509_V_OK, MILGI_CRL_CHECK_LEAF, CRL(.issuer = middle), CRL(.issuer = fixture.root, .revoked = { middle }));
}

static void a_peer_of_whom_all_crls_speak_well_is_accepted(void **state)
{
    (void)state;
    judge(X509_V_OK, MILGI_CRL_CHECK_ALL, CRL(.issuer = middle, .others = 100), CRL(.issuer = fixture.root));
    judge(X509_V_OK, MILGI_CRL_CHECK_NONE, CRL(.issuer = middle, .revoked = { peer }), NULL);
}

static void a_peer_of_whom_no_crl_speaks_is_refused(void **state)
{
    int64_t now_s = time(NULL);
    (void)state;
    judge(X509_V_ERR_UNABLE_TO_GET_CRL, MILGI_CRL_CHECK_ALL, CRL(.issuer = middle), NULL);
    judge(X509_V_ERR_UNABLE_TO_GET_CRL, MILGI_CRL_CHECK_LEAF, CRL(.issuer = fixture.root), NULL);
    judge(X509_V_ERR_CRL_HAS_EXPIRED, MILGI_CRL_CHECK_LEAF,
        CRL(.issuer = middle, .this_s = now_s - 1000, .next_s = now_s - 100), NULL);
    judge(X509_V_ERR_CRL_NOT_YET_VALID, MILGI_CRL_CHECK_LEAF,
        CRL(.issuer = middle, .this_s = now_s + 1000, .next_s = now_s + 10000), NULL);
    judge(X509_V_ERR_CRL_SIGNATURE_FAILURE, MILGI_CRL_CHECK_LEAF, CRL(.issuer = middle, .signer = peer), NULL);
    judge(X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, MILGI_CRL_CHECK_LEAF, CRL(.issuer = middle, .strange = true),
        NULL);
}

static void who_only_reports_says_that_the_peer_is_revoked(void **state)
{
    char *crl = CRL(.issuer = middle, .revoked = { peer });
    const char *crls[] = { crl, NULL };
    struct milgi_conn_info info;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        enum milgi_role role = i % 2 == 0 ? C : S;
        version = versions[i / 2];
        struct milgi_config *config = judge_of(role, crls, MILGI_CRL_CHECK_LEAF);
        MUST(milgi_config_dangerously_only_report_peer(config));
        begin(role, config, NULL);
        assert_true(pair.side[role].established);
        milgi_conn_info(pair.side[role].conn, &info);
        assert_false(info.peer_authenticated);
        assert_int_equal(info.peer_verdict, X509_V_ERR_CERT_REVOKED);
        pair_fini(&pair);
    }
    free(crl);
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

static bool resumed(struct pair_side *side)
{
    struct milgi_conn_info info;
    assert_true(side->established);
    milgi_conn_info(side->conn, &info);
    return info.resumed;
}

/* A server that verifies clients, with the same keys of tickets. */
static struct milgi_config *server_with(struct milgi_ticket_keys *keys, const char *crl, enum milgi_crl_check check)
{
    const char *crls[] = { crl, NULL };
    struct milgi_config *config = judge_of(S, crls, check);
    MUST(milgi_config_set_ticket_keys(config, keys));
    return configs_freeze(config);
}

/*
 * A session is good under the CRLs that it was made under, as long as they are. Else there is a full handshake: with
 * others, |revoked| or not, and when they are out of time.
 */
static void a_session_does_not_outlast_crls(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    int64_t now_s = time(NULL);
    char *crl[] = { CRL(.issuer = middle, .next_s = now_s + 100, .this_s = now_s - 100),
        CRL(.issuer = middle, .revoked = { peer }), CRL(.issuer = middle, .others = 1) };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct milgi_ticket_keys *keys;
        struct milgi_session_cache *cache;
        version = versions[i];
        MUST(milgi_ticket_keys_new(secret, 7200, now_s, &keys));
        MUST(milgi_session_cache_new(8, &cache));
        struct milgi_config *client = shower_of(C);
        MUST(milgi_config_set_session_cache(client, cache));
        configs_freeze(client);
        struct milgi_config *server[] = { server_with(keys, crl[0], MILGI_CRL_CHECK_LEAF),
            server_with(keys, crl[1], MILGI_CRL_CHECK_LEAF), server_with(keys, crl[2], MILGI_CRL_CHECK_LEAF),
            server_with(keys, crl[0], MILGI_CRL_CHECK_NONE) };
        struct pair_setup setup = {
            .config = { client, server[0] }, .server_name = "server.test", .seed = 7, .wall_s = now_s
        };
        pair_init(&pair, &setup);
        pair_settle(&pair);
        assert_false(resumed(&pair.side[S]));
        pair_again(&pair, &setup);
        pair_settle(&pair);
        assert_true(resumed(&pair.side[S]));
        setup.config[S] = server[2];
        pair_again(&pair, &setup);
        pair_settle(&pair);
        assert_false(resumed(&pair.side[S]));
        setup.config[S] = server[3]; /* the same CRLs, looked at in another way */
        pair_again(&pair, &setup);
        pair_settle(&pair);
        assert_false(resumed(&pair.side[S]));
        setup.config[S] = server[1];
        pair_again(&pair, &setup);
        pair_settle(&pair);
        assert_false(pair.side[S].established);
        assert_int_equal(pair.side[S].reason.alert, MILGI_ALERT_CERTIFICATE_REVOKED);
        setup.config[S] = server[0];
        for (unsigned again = 0; again < 2; again++) { /* a session of its own is there, whatever was before */
            pair_again(&pair, &setup);
            pair_settle(&pair);
        }
        assert_true(resumed(&pair.side[S]));
        pair.wall_s = now_s + 101;
        pair_again(&pair, &setup);
        pair_settle(&pair);
        assert_false(pair.side[S].established);
        assert_string_equal(pair.side[S].reason.detail, "CRL has expired");
        pair_fini(&pair);
        for (size_t k = 0; k < MILGI__COUNT(server); k++)
            milgi_config_unref(server[k]);
        milgi_config_unref(client);
        milgi_ticket_keys_unref(keys);
        milgi_session_cache_unref(cache);
    }
    for (size_t i = 0; i < MILGI__COUNT(crl); i++)
        free(crl[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_is_revoked_is_told_so),
        cmocka_unit_test(a_peer_whose_issuer_is_revoked_is_refused),
        cmocka_unit_test(a_peer_of_whom_all_crls_speak_well_is_accepted),
        cmocka_unit_test(a_peer_of_whom_no_crl_speaks_is_refused),
        cmocka_unit_test(who_only_reports_says_that_the_peer_is_revoked),
        cmocka_unit_test(a_session_does_not_outlast_crls),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
