/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses beside a chain: which are good for it, and which are not. */
#include "fixture.h"

#include <stdlib.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include <milgi/op.h>

#include "crypto/cert_list.h"
#include "identity.h"

#define HOUR 3600
#define SKEW_S 300
#define NEEDED 73
#define FAILED 74
#define UNKNOWN 75

static struct {
    struct identity *root, *other_root, *leaf, *other, *delegate, *fake_delegate;
    time_t now;
} f;

/* What a certificate of |who| is when it has another extension, signed anew by its root. */
static X509 *with(struct identity *who, struct identity *issuer, X509_EXTENSION *extension)
{
    X509 *made = X509_dup(who->certificate);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(made, extension, -1), 1);
    assert_true(X509_sign(made, issuer->private_key, EVP_sha256()) > 0);
    X509_EXTENSION_free(extension);
    uint8_t *der = NULL;
    int len = i2d_X509(made, &der);
    X509_free(made);
    const uint8_t *p = der;
    made = d2i_X509(NULL, &p, len);
    OPENSSL_free(der);
    assert_non_null(made);
    return made;
}

static X509_EXTENSION *for_ocsp(void)
{
    return X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "OCSPSigning");
}

/* TLS features |a| and |b|. */
static X509_EXTENSION *features(uint8_t a, uint8_t b)
{
    uint8_t der[] = { 0x30, 6, 2, 1, a, 2, 1, b };
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, der, sizeof der);
    X509_EXTENSION *made = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    ASN1_OBJECT_free(oid);
    ASN1_OCTET_STRING_free(value);
    return made;
}

static int setup(void **state)
{
    (void)state;
    f.now = time(NULL);
    f.root = identity_root(IDENTITY_P256, "root");
    f.other_root = identity_root(IDENTITY_P256, "other root");
    f.leaf = identity_leaf(f.root, IDENTITY_P256, "DNS:server.test");
    f.other = identity_leaf(f.root, IDENTITY_P256, "DNS:other.test");
    f.delegate = identity_leaf(f.root, IDENTITY_P256, "DNS:ocsp.test");
    f.fake_delegate = identity_leaf(f.other_root, IDENTITY_P256, "DNS:ocsp.test");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(f.root);
    identity_free(f.other_root);
    identity_free(f.leaf);
    identity_free(f.other);
    identity_free(f.delegate);
    identity_free(f.fake_delegate);
    return 0;
}

#define REFUSED .until = HOUR, .verdict = FAILED, .alert = MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE

struct wish {
    const char *name;
    int status;
    struct identity **about;          /* NULL: the leaf */
    X509 *signer;                     /* NULL: the root */
    struct identity **key;            /* of the signer */
    const EVP_MD *names;              /* hash in the id; NULL: SHA-1 */
    long from, until;                 /* seconds from now */
    bool undated, unsuccessful, more; /* without nextUpdate; no basic response; a byte behind it */
    bool bare, spoilt;                /* without the signer's certificate; the signature is another */
    int verdict, alert;
};

static int make(const struct wish *w, uint8_t **der)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    X509 *about = w->about ? (*w->about)->certificate : f.leaf->certificate;
    OCSP_CERTID *id = OCSP_cert_to_id(w->names ? w->names : EVP_sha1(), about, f.root->certificate);
    ASN1_TIME *from = ASN1_TIME_adj(NULL, f.now, 0, w->from);
    ASN1_TIME *until = w->undated ? NULL : ASN1_TIME_adj(NULL, f.now, 0, w->until);
    ASN1_TIME *revoked = w->status == V_OCSP_CERTSTATUS_REVOKED ? ASN1_TIME_adj(NULL, f.now, 0, -HOUR) : NULL;
    assert_non_null(OCSP_basic_add1_status(basic, id, w->status,
        OCSP_REVOKED_STATUS_KEYCOMPROMISE, revoked, from, until));
    X509 *signer = w->signer ? w->signer : f.root->certificate;
    EVP_PKEY *key = w->key ? (*w->key)->private_key : f.root->private_key;
    assert_int_equal(OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, w->bare ? OCSP_NOCERTS : 0), 1);
    OCSP_RESPONSE *response = OCSP_response_create(
        w->unsuccessful ? OCSP_RESPONSE_STATUS_TRYLATER : OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, der);
    assert_true(len > 0);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    ASN1_TIME_free(revoked);
    return len;
}

/* The leaf |x| (NULL: the family's) with a response; returns the verdict. */
static int judge(void *cx, X509 *x, const uint8_t *ocsp, size_t ocsp_len, unsigned staple, uint16_t *alert)
{
    struct milgi__cert_list anchors = { .data = NULL }, chain = { .data = NULL };
    uint8_t *der = NULL;
    int len = i2d_X509(x ? x : f.leaf->certificate, &der);
    assert_int_equal(milgi__cert_list_add(&anchors, f.root->cert_der, f.root->cert_der_len), 0);
    assert_int_equal(milgi__cert_list_add(&chain, der, (size_t)len), 0);
    struct milgi__store *store = milgi__store_new(anchors.data, anchors.len);
    struct milgi__chain_query query = { .chain = chain.data,
        .chain_len = chain.len,
        .now_s = f.now,
        .purpose = MILGI_PURPOSE_SERVER,
        .ocsp = ocsp,
        .ocsp_len = ocsp_len,
        .staple = staple };
    struct milgi__chain_answer answer;
    int rv = milgi__chain_verify(cx, store, &query, &answer);
    assert_int_equal(rv, answer.verdict == 0 ? 0 : MILGI__BAD);
    assert_int_equal(answer.path_n, rv == 0 ? 2 : 0);
    *alert = answer.alert;
    milgi__store_free(store);
    milgi__cert_list_clear(&anchors);
    milgi__cert_list_clear(&chain);
    OPENSSL_free(der);
    return answer.verdict;
}

/*= RFC6960 3.2: "1. The certificate identified in a received response corresponds to the certificate that was
 *= identified in the corresponding request; 2. The signature on the response is valid; 3. The identity of the signer
 *= matches the intended recipient of the request; 4. The signer is currently authorized to provide a response for the
 *= certificate in question" */
static void a_response_is_good_for_its_certificate_by_its_issuer_and_now(void **state)
{
    X509 *delegate = with(f.delegate, f.root, for_ocsp()), *stranger = with(f.fake_delegate, f.other_root, for_ocsp());
    const int bad = MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE, none = MILGI_ALERT_NONE;
    const int revoked = MILGI_ALERT_CERTIFICATE_REVOKED;
    const struct wish wishes[] = {
        { .name = "good", .until = HOUR, .verdict = 0, .alert = none },
        { .name = "good, SHA-256", .names = EVP_sha256(), .until = HOUR, .alert = none },
        { .name = "by a delegate", .signer = delegate, .key = &f.delegate, .until = HOUR, .alert = none },
        { .name = "without nextUpdate, new", .undated = true, .from = -HOUR, .alert = none },
        { .name = "clock before", .from = 200, .until = HOUR, .alert = none },
        { .name = "clock behind", .from = -HOUR, .until = -200, .alert = none },
        { .name = "revoked", .status = V_OCSP_CERTSTATUS_REVOKED, .until = HOUR, .verdict = 23, .alert = revoked },
        { .name = "unknown", .status = V_OCSP_CERTSTATUS_UNKNOWN, .until = HOUR, .verdict = UNKNOWN, .alert = bad },
        { .name = "of another", .about = &f.other, REFUSED },
        { .name = "of another hash", .names = EVP_sha384(), REFUSED },
        { .name = "by a stranger", .signer = f.other_root->certificate, .key = &f.other_root, REFUSED },
        { .name = "by a stranger's delegate", .signer = stranger, .key = &f.fake_delegate, REFUSED },
        { .name = "by any leaf", .signer = f.other->certificate, .key = &f.other, REFUSED },
        { .name = "by itself", .signer = f.leaf->certificate, .key = &f.leaf, REFUSED },
        { .name = "without certificates", .bare = true, .until = HOUR, .alert = none },
        { .name = "with another signature", .bare = true, .spoilt = true, REFUSED },
        { .name = "over", .from = -2 * HOUR, .until = -HOUR, .verdict = FAILED, .alert = bad },
        { .name = "to come", .from = HOUR, .until = 2 * HOUR, .verdict = FAILED, .alert = bad },
        { .name = "without nextUpdate, old", .undated = true, .from = -25 * HOUR, .verdict = FAILED, .alert = bad },
        { .name = "unsuccessful", .unsuccessful = true, REFUSED },
        { .name = "more behind it", .more = true, REFUSED },
    };

    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        uint8_t *der, room[4096] = { 0 };
        uint16_t alert;
        int len = make(&wishes[i], &der);
        if (wishes[i].spoilt)
            der[len - 1] ^= 1;
        memcpy(room, der, (size_t)len);
        OPENSSL_free(der);
        int verdict = judge(*state, NULL, room, (size_t)len + wishes[i].more, MILGI_STAPLE_ASKED, &alert);
        if (verdict != wishes[i].verdict || alert != wishes[i].alert)
            fail_msg("%s: verdict %d, alert %d", wishes[i].name, verdict, alert);
        /* Nobody has asked: it is not looked at. */
        assert_int_equal(judge(*state, NULL, room, (size_t)len, 0, &alert), 0);
        for (int cut = 1; i == 0 && cut < len; cut += 7)
            assert_int_equal(judge(*state, NULL, room, (size_t)(len - cut), MILGI_STAPLE_ASKED, &alert), FAILED);
    }
    X509_free(delegate);
    X509_free(stranger);
}

/* RFC 7633 4.3.3: a server without a response that its certificate promises is refused. */
static void a_certificate_may_say_that_a_response_must_be_there(void **state)
{
    uint16_t alert;
    uint8_t *der;
    X509 *promises = with(f.leaf, f.root, features(5, 17)), *also = with(f.leaf, f.root, features(17, 5));
    X509 *other = with(f.leaf, f.root, features(17, 6));
    int len = make(&(struct wish){ .until = HOUR }, &der);
    assert_int_equal(judge(*state, promises, NULL, 0, MILGI_STAPLE_ASKED, &alert), NEEDED);
    assert_int_equal(alert, MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE);
    assert_int_equal(judge(*state, also, NULL, 0, MILGI_STAPLE_ASKED, &alert), NEEDED);
    assert_int_equal(judge(*state, other, NULL, 0, MILGI_STAPLE_ASKED, &alert), 0);
    assert_int_equal(judge(*state, promises, NULL, 0, 0, &alert), 0);
    assert_int_equal(judge(*state, promises, der, (size_t)len, MILGI_STAPLE_ASKED, &alert), 0);
    assert_int_equal(judge(*state, NULL, NULL, 0, MILGI_STAPLE_ASKED, &alert), 0);
    assert_int_equal(judge(*state, NULL, NULL, 0, MILGI_STAPLE_REQUIRED, &alert), NEEDED);
    assert_int_equal(judge(*state, NULL, der, (size_t)len, MILGI_STAPLE_REQUIRED, &alert), 0);
    OPENSSL_free(der);
    X509_free(promises);
    X509_free(also);
    X509_free(other);
}

static void a_response_says_until_when_it_is_good(void **state)
{
    uint8_t *der;
    int64_t until;
    (void)state;
    int len = make(&(struct wish){ .until = HOUR }, &der);
    assert_int_equal(milgi__ocsp_read(der, (size_t)len, &until), 0);
    assert_int_equal(until, f.now + HOUR);
    assert_int_equal(milgi__ocsp_read(der, (size_t)len - 1, &until), MILGI__BAD);
    assert_int_equal(milgi__ocsp_good_until(der, (size_t)len), f.now + HOUR + SKEW_S);
    assert_true(milgi__ocsp_good_until(der, (size_t)len - 1) == INT64_MIN);
    OPENSSL_free(der);
    len = make(&(struct wish){ .undated = true, .from = -HOUR }, &der);
    assert_int_equal(milgi__ocsp_read(der, (size_t)len, &until), 0);
    assert_true(until == INT64_MAX);
    assert_int_equal(milgi__ocsp_good_until(der, (size_t)len), f.now + 23 * HOUR + SKEW_S);
    OPENSSL_free(der);
    len = make(&(struct wish){ .until = HOUR, .unsuccessful = true }, &der);
    assert_int_equal(milgi__ocsp_read(der, (size_t)len, &until), MILGI__BAD);
    assert_true(milgi__ocsp_good_until(der, (size_t)len) == INT64_MIN);
    OPENSSL_free(der);
    assert_int_equal(milgi__ocsp_read((const uint8_t *)"what", 4, &until), MILGI__BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(a_response_is_good_for_its_certificate_by_its_issuer_and_now),
        crypto_test(a_certificate_may_say_that_a_response_must_be_there),
        crypto_test(a_response_says_until_when_it_is_good),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
