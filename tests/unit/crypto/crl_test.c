/* SPDX-License-Identifier: Apache-2.0 */
/* Chains against CRLs: who is revoked, and of whom nobody says that he is not. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/x509_vfy.h>

#include "crl.h"
#include "crypto/cert_list.h"
#include "identity.h"

#define DAY ((int64_t)24 * 3600)

/* root > middle > leaf, and the root's own leaf. */
static struct identity *root, *middle, *leaf, *near;

static struct identity *below(const struct identity *issuer)
{
    return identity_new(&(struct identity_options){ .common_name = "leaf", .names = "DNS:a.test", .issuer = issuer });
}

static int make(void **state)
{
    root = identity_root(IDENTITY_P256, "root");
    middle = identity_new(&(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = root });
    leaf = below(middle);
    near = below(root);
    (void)state;
    return 0;
}

static int unmake(void **state)
{
    identity_free(near);
    identity_free(leaf);
    identity_free(middle);
    identity_free(root);
    (void)state;
    return 0;
}

/* What comes of |chain| with these CRLs, of which the first NULL is the last; they are freed. */
struct asked {
    const struct identity *anchor, *leaf;
    enum milgi_crl_check check;
    int64_t now_s;
    char *crls[5];
};

static int32_t verify(struct milgi__crypto *cx, struct asked a, uint16_t *alert)
{
    struct milgi__cert_list anchors = { .data = NULL }, chain = { .data = NULL }, crls = { .data = NULL };
    struct milgi__pem_fault fault;
    struct milgi__chain_answer answer;
    const struct identity *anchor = a.anchor ? a.anchor : root;

    assert_int_equal(milgi__cert_list_add(&anchors, anchor->cert_der, anchor->cert_der_len), 0);
    assert_int_equal(milgi__cert_list_add_pem(&chain, a.leaf->chain_pem, strlen(a.leaf->chain_pem), &fault), 0);
    for (size_t i = 0; i < MILGI__COUNT(a.crls) && a.crls[i]; i++) {
        assert_int_equal(milgi__cert_list_add_crls(&crls, a.crls[i], strlen(a.crls[i]), &fault), 0);
        free(a.crls[i]);
    }
    struct milgi__store *store = milgi__store_new(anchors.data, anchors.len);
    assert_int_equal(milgi__store_add_crls(store, (int)a.check, crls.data, crls.len), 0);
    struct milgi__chain_query query = { .chain = chain.data,
        .chain_len = chain.len,
        .now_s = a.now_s != 0 ? a.now_s : time(NULL),
        .purpose = MILGI_PURPOSE_SERVER,
        .name = (const uint8_t *)"a.test",
        .name_len = 6 };
    int rv = milgi__chain_verify(cx, store, &query, &answer);
    assert_int_equal(rv, answer.verdict == 0 ? 0 : MILGI__BAD);
    assert_int_equal(answer.path_n > 0, rv == 0);
    *alert = answer.alert;
    milgi__store_free(store);
    milgi__cert_list_clear(&anchors);
    milgi__cert_list_clear(&chain);
    milgi__cert_list_clear(&crls);
    return answer.verdict;
}

#define LEAF MILGI_CRL_CHECK_LEAF
#define ALL MILGI_CRL_CHECK_ALL
#define CRL(...) crl_new(&(struct crl_options){ __VA_ARGS__ })
#define ASK(...) ((struct asked){ __VA_ARGS__ })

static int alert_of(int32_t verdict)
{
    if (verdict == X509_V_OK)
        return MILGI_ALERT_NONE;
    return verdict == X509_V_ERR_CERT_REVOKED ? MILGI_ALERT_CERTIFICATE_REVOKED : MILGI_ALERT_CERTIFICATE_UNKNOWN;
}

/* A macro, so that a failure names the line. */
#define judge(state, expected, ...) \
    do { \
        uint16_t told; \
        int32_t wanted = (expected); \
        assert_int_equal(verify(*(state), ASK(__VA_ARGS__), &told), wanted); \
        assert_int_equal(told, alert_of(wanted)); \
    } while (0)

static void without_a_check_crls_are_not_looked_at(void **state)
{
    judge(state, X509_V_OK, .leaf = leaf);
    judge(state, X509_V_OK, .leaf = leaf, .crls = { CRL(.issuer = middle, .revoked = { leaf }) });
}

/*= RFC8446 6.2: "certificate_revoked:  A certificate was revoked by its signer." */
static void who_is_revoked_is_refused(void **state)
{
    judge(state, X509_V_ERR_CERT_REVOKED, .leaf = near, .check = LEAF,
        .crls = { CRL(.issuer = root, .revoked = { near }) });
    judge(state, X509_V_ERR_CERT_REVOKED, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .revoked = { middle, near }, .others = 1000) });
    judge(state, X509_V_ERR_CERT_REVOKED, .leaf = leaf, .check = ALL,
        .crls = { CRL(.issuer = root), CRL(.issuer = middle, .revoked = { leaf }) });
    judge(state, X509_V_OK, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .revoked = { middle }, .others = 1000) });
    /* That number, but of another issuer. */
    judge(state, X509_V_OK, .leaf = leaf, .check = ALL,
        .crls = { CRL(.issuer = root, .revoked = { leaf }), CRL(.issuer = middle) });
}

static void of_whom_there_is_no_crl_nobody_knows(void **state)
{
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .leaf = leaf, .check = LEAF);
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .leaf = leaf, .check = ALL);
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .leaf = leaf, .check = LEAF, .crls = { CRL(.issuer = root) });
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .leaf = leaf, .check = ALL, .crls = { CRL(.issuer = middle) });
}

static void a_leaf_alone_or_all_of_the_path_is_looked_up(void **state)
{
    judge(state, X509_V_OK, .leaf = leaf, .check = LEAF, .crls = { CRL(.issuer = middle) });
    judge(state, X509_V_OK, .leaf = leaf, .check = LEAF,
        .crls = { CRL(.issuer = middle), CRL(.issuer = root, .revoked = { middle }) });
    judge(state, X509_V_OK, .leaf = leaf, .check = ALL, .crls = { CRL(.issuer = middle), CRL(.issuer = root) });
    judge(state, X509_V_ERR_CERT_REVOKED, .leaf = leaf, .check = ALL,
        .crls = { CRL(.issuer = middle), CRL(.issuer = root, .revoked = { middle }) });
}

/*= RFC5280 6.1: "When the trust anchor is provided in the form of a self-signed certificate, this self-signed
 *= certificate is not included as part of the prospective certification path." */
static void an_anchor_needs_no_crl_but_may_not_be_revoked(void **state)
{
    struct identity *alone = identity_new(&(struct identity_options){ .common_name = "alone", .names = "DNS:a.test" });

    judge(state, X509_V_OK, .anchor = middle, .leaf = leaf, .check = ALL, .crls = { CRL(.issuer = middle) });
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .anchor = middle, .leaf = leaf, .check = ALL,
        .crls = { CRL(.issuer = root) });
    judge(state, X509_V_OK, .anchor = alone, .leaf = alone, .check = ALL);
    judge(state, X509_V_OK, .anchor = alone, .leaf = alone, .check = LEAF);
    judge(state, X509_V_OK, .anchor = leaf, .leaf = leaf, .check = ALL);
    judge(state, X509_V_ERR_CERT_REVOKED, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .revoked = { root }) });
    identity_free(alone);
}

static void a_crl_is_good_in_its_time(void **state)
{
    int64_t now_s = time(NULL);

    judge(state, X509_V_ERR_CRL_HAS_EXPIRED, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .this_s = now_s - 3 * DAY, .next_s = now_s - 1) });
    judge(state, X509_V_ERR_CRL_NOT_YET_VALID, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .this_s = now_s + 60, .next_s = now_s + DAY) });
    judge(state, X509_V_ERR_CRL_HAS_EXPIRED, .leaf = near, .check = ALL, .now_s = now_s + 2 * DAY,
        .crls = { CRL(.issuer = root) });
    /* Beside one that is of now the others mean nothing. */
    judge(state, X509_V_OK, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .this_s = now_s - 3 * DAY, .next_s = now_s - 1, .revoked = { near }),
            CRL(.issuer = root) });
}

static void a_crl_is_its_issuers_own(void **state)
{
    struct identity *other = identity_root(IDENTITY_P256, "root"); /* the same name, another key */
    struct identity *no_crls = identity_new(&(struct identity_options){
        .common_name = "signs no CRLs", .is_ca = true, .usage = "critical,keyCertSign" });
    struct identity *its = below(no_crls);
    char *text = CRL(.issuer = root);

    judge(state, X509_V_ERR_CRL_SIGNATURE_FAILURE, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .signer = other) });
    judge(state, X509_V_ERR_CRL_SIGNATURE_FAILURE, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .signer = middle) });
    /* By its key's identifier it is another's, which says nothing of this one's certificates. */
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .leaf = near, .check = ALL, .crls = { CRL(.issuer = other) });
    judge(state, X509_V_OK, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = other, .revoked = { near }), text });
    /*= RFC5280 6.3.3: "If a key usage extension is present in the CRL issuer's certificate, verify that the cRLSign bit
     *= is set." */
    judge(state, X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, .anchor = no_crls, .leaf = its, .check = ALL,
        .crls = { CRL(.issuer = no_crls) });
    identity_free(its);
    identity_free(no_crls);
    identity_free(other);
}

/*= RFC5280 5.2: "If a CRL contains a critical extension that the application cannot process, then the application MUST
 *= NOT use that CRL to determine the status of certificates." */
static void a_crl_with_something_critical_that_is_unknown_is_not_used(void **state)
{
    judge(state, X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .strange = true) });
    judge(state, X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, .leaf = near, .check = LEAF,
        .crls = { CRL(.issuer = root, .strange_entry = true, .revoked = { middle }) });
}

static void a_crl_says_something_of_what_it_is_for(void **state)
{
    judge(state, X509_V_OK, .leaf = near, .check = ALL, .crls = { CRL(.issuer = root, .scope = "onlyuser:TRUE") });
    judge(state, X509_V_ERR_CERT_REVOKED, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .scope = "onlyuser:TRUE", .revoked = { near }) });
    judge(state, X509_V_ERR_DIFFERENT_CRL_SCOPE, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .scope = "onlyCA:TRUE") });
    judge(state, X509_V_ERR_UNABLE_TO_GET_CRL, .leaf = near, .check = ALL,
        .crls = { CRL(.issuer = root, .scope = "indirectCRL:TRUE") });
}

/* The same key certified twice: what is revoked of the one certificate does not stand in the other's way. */
static void another_path_is_found_beside_one_that_is_revoked(void **state)
{
    struct identity *again = identity_new(&(struct identity_options){
        .common_name = "middle", .is_ca = true, .issuer = root, .key_of = middle });
    struct identity both = *leaf;
    char text[8192];

    for (unsigned i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%s%s%s", leaf->cert_pem, i == 0 ? middle->cert_pem : again->cert_pem,
            i == 0 ? again->cert_pem : middle->cert_pem);
        both.chain_pem = text;
        judge(state, X509_V_OK, .leaf = &both, .check = ALL,
            .crls = { CRL(.issuer = root, .revoked = { middle }), CRL(.issuer = middle) });
        judge(state, X509_V_ERR_CERT_REVOKED, .leaf = &both, .check = ALL,
            .crls = { CRL(.issuer = root, .revoked = { middle, again }), CRL(.issuer = middle) });
    }
    identity_free(again);
}

/* Whatever a stranger shows, CRLs are not looked at before it is known that his certificate is his issuer's. */
static void other_faults_are_told_before_those_of_crls(void **state)
{
    struct identity *late = identity_new(&(struct identity_options){ .common_name = "late",
        .names = "DNS:a.test",
        .issuer = root,
        .not_before_s = 1000000000,
        .not_after_s = 1100000000 });
    struct identity *false_one = identity_new(
        &(struct identity_options){ .common_name = "false", .names = "DNS:a.test", .issuer = root, .signer = leaf });
    uint16_t alert;

    assert_int_equal(verify(*state, ASK(.leaf = late, .check = ALL), &alert), X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(alert, MILGI_ALERT_CERTIFICATE_EXPIRED);
    assert_int_equal(verify(*state, ASK(.leaf = false_one, .check = ALL), &alert), X509_V_ERR_CERT_SIGNATURE_FAILURE);
    assert_int_equal(alert, MILGI_ALERT_BAD_CERTIFICATE);
    identity_free(false_one);
    identity_free(late);
}

static void issuers_with_keys_of_every_kind_revoke(void **state)
{
    for (unsigned i = 0; i < IDENTITY_KEYS; i++) {
        struct identity *ca = identity_root((enum identity_key)i, "ca"), *its = below(ca);
        judge(state, X509_V_OK, .anchor = ca, .leaf = its, .check = ALL, .crls = { CRL(.issuer = ca) });
        judge(state, X509_V_ERR_CERT_REVOKED, .anchor = ca, .leaf = its, .check = ALL,
            .crls = { CRL(.issuer = ca, .revoked = { its }) });
        identity_free(its);
        identity_free(ca);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(without_a_check_crls_are_not_looked_at),
        crypto_test(who_is_revoked_is_refused),
        crypto_test(of_whom_there_is_no_crl_nobody_knows),
        crypto_test(a_leaf_alone_or_all_of_the_path_is_looked_up),
        crypto_test(an_anchor_needs_no_crl_but_may_not_be_revoked),
        crypto_test(a_crl_is_good_in_its_time),
        crypto_test(a_crl_is_its_issuers_own),
        crypto_test(a_crl_with_something_critical_that_is_unknown_is_not_used),
        crypto_test(a_crl_says_something_of_what_it_is_for),
        crypto_test(another_path_is_found_beside_one_that_is_revoked),
        crypto_test(other_faults_are_told_before_those_of_crls),
        crypto_test(issuers_with_keys_of_every_kind_revoke),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
