/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials, trust, and signature schemes.
 * ctest-wrap: milgi__pkey_sign
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <milgi/policy.h>

#include "cert/cert.h"
#include "inside.h"
#include "folder.h"
#include "identity.h"

static bool signs_badly;

int __real_milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len);
int __wrap_milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len);
int __wrap_milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len)
{
    int rv = __real_milgi__pkey_sign(cx, key, scheme, input, input_len, sig, sig_len);
    if (rv == 0 && signs_badly)
        sig[*sig_len - 1] ^= 1;
    return rv;
}

static int new_pem(const char *chain, const char *key, struct milgi_credential **credential)
{
    int error = milgi_credential_new_pem(chain, strlen(chain), key, strlen(key), credential);

    assert_false(inside_errors_left());
    return error;
}

static int new_uri(const char *chain, const char *uri, struct milgi_credential **credential)
{
    return milgi_credential_new_uri(chain, strlen(chain), uri, credential);
}

/* --- credentials -------------------------------------------------------------------------------------------------- */

static void a_credential_tells_its_subject_and_key_type(void **state)
{
    static const char *const types[IDENTITY_KEYS] = { "ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "RSA 2048",
        "RSA-PSS 2048", "Ed25519" };

    (void)state;
    for (unsigned i = 0; i < IDENTITY_KEYS; i++) {
        struct identity *root = identity_root(IDENTITY_P256, "root");
        struct identity *middle = identity_new(&(struct identity_options){
            .key = IDENTITY_P256, .common_name = "middle", .is_ca = true, .issuer = root });
        struct identity *leaf = identity_leaf(middle, (enum identity_key)i, "DNS:a.test");
        struct milgi_credential *c;
        assert_int_equal(new_pem(leaf->chain_pem, leaf->key_pem, &c), 0);
        assert_string_equal(milgi_credential_key_type(c), types[i]);
        assert_string_equal(milgi_credential_subject(c) + 3, identity_key_name((enum identity_key)i));
        assert_int_equal(c->chain_n, 2);
        assert_int_equal(c->leaf_signed_with, MILGI_SIG_ECDSA_SECP256R1_SHA256);
        assert_ptr_equal(milgi_credential_ref(c), c);
        milgi_credential_unref(c);
        assert_string_equal(milgi_credential_key_type(c), types[i]);
        milgi_credential_unref(c);
        identity_free(leaf);
        identity_free(middle);
        identity_free(root);
    }
    milgi_credential_unref(NULL);
}

/* RFC 5280 4.1.2.6: the names are all in subjectAltName then. */
static void a_leaf_need_not_have_a_subject(void **state)
{
    struct identity *root = identity_root(IDENTITY_P256, "root");
    struct identity *leaf = identity_new(
        &(struct identity_options){ .common_name = "", .names = "critical,DNS:a.test", .issuer = root });
    struct milgi_credential *c;

    (void)state;
    assert_int_equal(new_pem(leaf->chain_pem, leaf->key_pem, &c), 0);
    assert_string_equal(milgi_credential_subject(c), "");
    milgi_credential_unref(c);
    identity_free(leaf);
    identity_free(root);
}

static void a_key_that_is_not_the_leafs_is_a_mismatch(void **state)
{
    struct identity *a = identity_root(IDENTITY_P256, "a");
    struct identity *b = identity_root(IDENTITY_P256, "b");
    struct identity *c = identity_root(IDENTITY_ED25519, "c");
    struct milgi_credential *credential = (struct milgi_credential *)a;

    (void)state;
    assert_int_equal(new_pem(a->chain_pem, b->key_pem, &credential), MILGI_EMISMATCH);
    assert_null(credential);
    assert_int_equal(new_pem(a->chain_pem, c->key_pem, &credential), MILGI_EMISMATCH);
    identity_free(a);
    identity_free(b);
    identity_free(c);
}

/* PKCS#8 holds both halves of a P-256 key: here the public half of one and the private half of another. */
static void a_key_file_with_halves_of_two_keys_is_a_mismatch(void **state)
{
    struct identity *a = identity_root(IDENTITY_P256, "a");
    struct identity *b = identity_root(IDENTITY_P256, "b");
    struct milgi_credential *credential;
    uint8_t *der[2] = { NULL, NULL };
    char *pem;

    (void)state;
    PKCS8_PRIV_KEY_INFO *info[2] = { EVP_PKEY2PKCS8(a->private_key), EVP_PKEY2PKCS8(b->private_key) };
    int len = i2d_PKCS8_PRIV_KEY_INFO(info[0], &der[0]);
    assert_int_equal(i2d_PKCS8_PRIV_KEY_INFO(info[1], &der[1]), len);
    memcpy(der[1] + len - 65, der[0] + len - 65, 65);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(bio, "PRIVATE KEY", "", der[1], len) > 0);
    long pem_len = BIO_get_mem_data(bio, &pem);
    int error =
        milgi_credential_new_pem(a->chain_pem, strlen(a->chain_pem), pem, (size_t)pem_len, &credential);
    assert_true(error == MILGI_EMISMATCH || error == MILGI_EPARSE); /* some libcryptos see it themselves */
    BIO_free(bio);
    for (unsigned i = 0; i < 2; i++) {
        OPENSSL_free(der[i]);
        PKCS8_PRIV_KEY_INFO_free(info[i]);
    }
    identity_free(a);
    identity_free(b);
}

static void a_key_whose_signatures_do_not_verify_is_a_mismatch(void **state)
{
    (void)state;
    for (unsigned i = 0; i < IDENTITY_KEYS; i++) {
        struct identity *id = identity_root((enum identity_key)i, "a");
        struct milgi_credential *credential;
        signs_badly = true;
        assert_int_equal(new_pem(id->chain_pem, id->key_pem, &credential), MILGI_EMISMATCH);
        signs_badly = false;
        assert_int_equal(new_pem(id->chain_pem, id->key_pem, &credential), 0);
        milgi_credential_unref(credential);
        identity_free(id);
    }
}

static void a_leaf_is_judged_though_its_key_is_elsewhere(void **state)
{
    static const struct {
        unsigned bits;
        unsigned long exponent;
        int error;
    } cases[] = { { 2048, 0, 0 }, { 1024, 0, MILGI_EWEAK }, { 2048, 0x200000011, MILGI_EUNSUPPORTED } };
    struct milgi_credential *c;

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct identity *id = identity_new(&(struct identity_options){
            .key = IDENTITY_RSA, .rsa_bits = cases[i].bits, .rsa_exponent = cases[i].exponent });
        assert_int_equal(new_uri(id->chain_pem, "pkcs11:object=a", &c), cases[i].error);
        milgi_credential_unref(c);
        identity_free(id);
    }
}

static void a_uri_has_a_scheme_and_is_printable(void **state)
{
    static const char *const bad[] = { "", "pkcs11", ":a", "pkcs11:", "1:a", "pkcs11:a b", "pkcs11:a\n", "a:\x80" };
    struct identity *id = identity_root(IDENTITY_P256, "a");
    struct milgi_credential *c;

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(bad); i++)
        assert_int_equal(new_uri(id->chain_pem, bad[i], &c), MILGI_EINVAL);
    assert_int_equal(new_uri(id->chain_pem, "a+b-c.1:x", &c), 0);
    assert_string_equal(milgi_credential_key_uri(c), "a+b-c.1:x");
    milgi_credential_unref(c);
    identity_free(id);
    assert_true(milgi_credential_is_uri("pkcs11:object=a"));
    assert_true(milgi_credential_is_uri("PkCs11:object=a"));
    assert_true(milgi_credential_is_uri("keyless:"));
    assert_true(milgi_credential_is_uri("KEYLESS:sni=a"));
    assert_false(milgi_credential_is_uri("keyless"));
    assert_false(milgi_credential_is_uri("PkCs11\032object=a")); /* as ':' in capitals would be */
    assert_false(milgi_credential_is_uri("pkcs12:object=a"));
    assert_false(milgi_credential_is_uri("pkcs11"));
    assert_false(milgi_credential_is_uri(NULL));
}

static void weak_and_malformed_credentials_are_refused(void **state)
{
    struct identity *weak = identity_new(&(struct identity_options){ .key = IDENTITY_RSA, .rsa_bits = 1024 });
    struct identity *good = identity_root(IDENTITY_P256, "good");
    struct milgi_credential *c;

    (void)state;
    assert_int_equal(new_pem(weak->chain_pem, weak->key_pem, &c), MILGI_EWEAK);
    assert_int_equal(new_pem("", good->key_pem, &c), MILGI_EPARSE);
    assert_int_equal(new_pem(good->chain_pem, "", &c), MILGI_EPARSE);
    assert_int_equal(new_pem(good->key_pem, good->chain_pem, &c), MILGI_EPARSE);
    assert_int_equal(milgi_credential_new_pem(NULL, 0, good->key_pem, 1, &c), MILGI_EINVAL);
    assert_int_equal(milgi_credential_new_pem(good->chain_pem, 1, NULL, 0, &c), MILGI_EINVAL);
    assert_int_equal(milgi_credential_new_pem(good->chain_pem, 1, good->key_pem, 1, NULL), MILGI_EINVAL);
    identity_free(weak);
    identity_free(good);
}

static void credentials_and_trust_come_from_files(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    struct milgi_credential *c;
    struct milgi_trust *t;

    (void)state;
    char *chain = identity_write(folder(), "chain.pem", id->chain_pem);
    char *key = identity_write(folder(), "key.pem", id->key_pem);
    assert_int_equal(milgi_credential_new_file(chain, key, &c), 0);
    milgi_credential_unref(c);
    assert_int_equal(milgi_credential_new_file("/nonexistent", key, &c), MILGI_EFILE);
    assert_int_equal(milgi_credential_new_file(chain, "/nonexistent", &c), MILGI_EFILE);
    assert_null(c);
    assert_int_equal(milgi_credential_new_file(NULL, key, &c), MILGI_EINVAL);
    assert_int_equal(milgi_trust_new_file(chain, &t), 0);
    assert_true(t->anchors_len > 100);
    milgi_trust_unref(t);
    assert_int_equal(milgi_trust_new_file("/nonexistent", &t), MILGI_EFILE);
    assert_int_equal(milgi_trust_new_file(key, &t), MILGI_EPARSE);
    assert_null(t);
    free(chain);
    free(key);
    identity_free(id);
}

static unsigned allocations;

static bool fail_at_zero(void)
{
    return allocations-- == 0;
}

static void every_failing_allocation_is_told_and_leaks_nothing(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    struct milgi_credential *c = NULL;
    struct milgi_trust *t = NULL;
    unsigned n;

    (void)state;
    for (n = 0; !c; n++) {
        assert_true(n < 1000);
        allocations = n;
        milgi__mem_fail = fail_at_zero;
        int error = new_pem(id->chain_pem, id->key_pem, &c);
        milgi__mem_fail = NULL;
        assert_int_equal(error, c ? 0 : MILGI_ENOMEM);
    }
    assert_true(n > 4);
    milgi_credential_unref(c);
    for (n = 0; !t; n++) {
        assert_true(n < 1000);
        allocations = n;
        milgi__mem_fail = fail_at_zero;
        int error = milgi_trust_new_pem(id->cert_pem, strlen(id->cert_pem), &t);
        milgi__mem_fail = NULL;
        assert_int_equal(error, t ? 0 : MILGI_ENOMEM);
    }
    assert_true(n > 2);
    assert_ptr_equal(milgi_trust_ref(t), t);
    milgi_trust_unref(t);
    milgi_trust_unref(t);
    milgi_trust_unref(NULL);
    identity_free(id);
}

/* --- schemes ------------------------------------------------------------------------------------------------------ */

static void a_scheme_fits_one_type_of_key(void **state)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA384,
        MILGI_SIG_RSA_PSS_PSS_SHA384 };
    static const enum milgi__key_type types[] = { MILGI__KEY_P256, MILGI__KEY_P384, MILGI__KEY_P521,
        MILGI__KEY_ED25519, MILGI__KEY_RSA, MILGI__KEY_RSA_PSS };

    (void)state;
    for (unsigned i = 0; i < 36; i++)
        assert_int_equal(milgi__scheme_fits(schemes[i / 6], types[i % 6], true), i / 6 == i % 6);
    assert_false(milgi__scheme_fits(MILGI_SIG_RSA_PKCS1_SHA256, MILGI__KEY_RSA, true));
    for (unsigned tls13 = 0; tls13 < 2; tls13++) {
        assert_false(milgi__scheme_fits(0x0201, MILGI__KEY_RSA, tls13));
        assert_false(milgi__scheme_fits(0, MILGI__KEY_NONE, tls13));
    }
}

static void the_peers_first_scheme_that_is_ours_too_is_taken(void **state)
{
    struct milgi_credential rsa = { .type = MILGI__KEY_RSA,
        .schemes = { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA512 },
        .schemes_n = 3 };
    const uint16_t own[] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA512 };
    const uint16_t peer[] = { MILGI_SIG_RSA_PKCS1_SHA256, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA384,
        MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI_SIG_RSA_PSS_RSAE_SHA256 };

    (void)state;
    assert_int_equal(milgi__credential_scheme(&rsa, true, own, 2, peer, 5), MILGI_SIG_RSA_PSS_RSAE_SHA512);
    assert_int_equal(milgi__credential_scheme(&rsa, true, own, 2, peer, 3), 0);
    assert_int_equal(milgi__credential_scheme(&rsa, true, own, 0, peer, 5), 0);
}

static void one_of_its_own_curve_comes_before_all_others(void **state)
{
    struct milgi_credential p256 = { .type = MILGI__KEY_P256,
        .schemes = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384 },
        .schemes_n = 2 };
    const uint16_t all[] = { MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_ECDSA_SECP256R1_SHA256 };

    (void)state;
    assert_int_equal(milgi__credential_scheme(&p256, false, all, 2, all, 2), MILGI_SIG_ECDSA_SECP256R1_SHA256);
    assert_int_equal(milgi__credential_scheme(&p256, false, all, 2, all, 1), MILGI_SIG_ECDSA_SECP384R1_SHA384);
    assert_int_equal(milgi__credential_scheme(&p256, true, all, 2, all, 1), 0);
    assert_false(milgi__credential_usable(&p256, true, all, 1));
    assert_true(milgi__credential_usable(&p256, false, all, 1));
}

static void what_a_credential_is_told_takes_the_place_of_other_lists(void **state)
{
    struct milgi_credential rsa = { .type = MILGI__KEY_RSA,
        .schemes = { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PKCS1_SHA256 },
        .schemes_n = 3 };
    const uint16_t wanted[] = { MILGI_SIG_ED25519, MILGI_SIG_RSA_PKCS1_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384 };
    const uint16_t peer[] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384,
        MILGI_SIG_RSA_PKCS1_SHA256 };
    const uint16_t unknown = 0x0201, twice[] = { wanted[1], wanted[1] };

    (void)state;
    assert_int_equal(milgi_credential_set_schemes(NULL, wanted, 3), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_schemes(&rsa, NULL, 3), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_schemes(&rsa, wanted, 1), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_schemes(&rsa, twice, 2), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_schemes(&rsa, &unknown, 1), MILGI_EUNSUPPORTED);
    assert_int_equal(milgi_credential_set_schemes(&rsa, wanted, 25), MILGI_EINVAL);
    assert_int_equal(milgi_credential_set_schemes(&rsa, wanted, 3), 0);
    assert_int_equal(milgi__credential_scheme(&rsa, false, peer, 1, peer, 3), MILGI_SIG_RSA_PKCS1_SHA256);
    assert_int_equal(milgi__credential_scheme(&rsa, true, peer, 1, peer, 3), MILGI_SIG_RSA_PSS_RSAE_SHA384);
    assert_int_equal(milgi__credential_scheme(&rsa, true, peer, 1, peer, 1), 0);
    assert_true(milgi__credential_usable(&rsa, true, peer, 1));
    assert_int_equal(milgi_credential_set_schemes(&rsa, NULL, 0), 0);
    assert_int_equal(milgi__credential_scheme(&rsa, true, peer, 1, peer, 3), MILGI_SIG_RSA_PSS_RSAE_SHA256);
    rsa.given = true;
    assert_int_equal(milgi_credential_set_schemes(&rsa, wanted, 3), MILGI_EINVAL);
}

/* The example of RFC 8446 4.4.3. */
static void what_is_signed_is_as_in_the_rfc(void **state)
{
    static const char context[] = "TLS 1.3, server CertificateVerify";
    uint8_t hash[48], out[MILGI_SIGN_INPUT_MAX], expected[200];

    (void)state;
    memset(hash, 1, sizeof hash);
    memset(expected, 0x20, 64);
    memcpy(expected + 64, context, 33);
    expected[97] = 0;
    memset(expected + 98, 1, 32);
    assert_int_equal(milgi__certificate_verify_input(true, hash, 32, out), 130);
    assert_memory_equal(out, expected, 130);
    assert_int_equal(milgi__certificate_verify_input(false, hash, 48, out), 146);
    memcpy(expected + 73, "client", 6);
    assert_memory_equal(out, expected, 130);
}

static void key_types_have_texts(void **state)
{
    char text[32];

    (void)state;
    milgi__key_type_text(MILGI__KEY_RSA, 3072, text, sizeof text);
    assert_string_equal(text, "RSA 3072");
    milgi__key_type_text(MILGI__KEY_NONE, 0, text, sizeof text);
    assert_string_equal(text, "unknown");
    milgi__key_type_text(MILGI__KEY_P384, 0, text, 6);
    assert_string_equal(text, "ECDSA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_credential_tells_its_subject_and_key_type),
        cmocka_unit_test(a_leaf_need_not_have_a_subject),
        cmocka_unit_test(a_key_that_is_not_the_leafs_is_a_mismatch),
        cmocka_unit_test(a_key_file_with_halves_of_two_keys_is_a_mismatch),
        cmocka_unit_test(a_key_whose_signatures_do_not_verify_is_a_mismatch),
        cmocka_unit_test(a_leaf_is_judged_though_its_key_is_elsewhere),
        cmocka_unit_test(a_uri_has_a_scheme_and_is_printable),
        cmocka_unit_test(weak_and_malformed_credentials_are_refused),
        cmocka_unit_test(credentials_and_trust_come_from_files),
        cmocka_unit_test(every_failing_allocation_is_told_and_leaks_nothing),
        cmocka_unit_test(a_scheme_fits_one_type_of_key),
        cmocka_unit_test(the_peers_first_scheme_that_is_ours_too_is_taken),
        cmocka_unit_test(one_of_its_own_curve_comes_before_all_others),
        cmocka_unit_test(what_a_credential_is_told_takes_the_place_of_other_lists),
        cmocka_unit_test(what_is_signed_is_as_in_the_rfc),
        cmocka_unit_test(key_types_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
