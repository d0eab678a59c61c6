/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of the two files of a credential when they cannot be used, and which unusual forms can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cert/cert.h"
#include "inside.h"
#include "folder.h"
#include "identity.h"

static struct identity *ecdsa; /* what is not under test */

static int make(void **state)
{
    (void)state;
    ecdsa = identity_root(IDENTITY_P256, "localhost");
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    identity_free(ecdsa);
    return 0;
}

static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = calloc(1, (size_t)len + 1);
    memcpy(text, data, (size_t)len);
    BIO_free(bio);
    return text;
}

static char *pem_of(const char *label, const uint8_t *der, size_t len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(bio, label, "", der, (long)len) > 0);
    return text_of(bio);
}

static char *pkcs8_of(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    return text_of(bio);
}

static struct milgi_problem load(const char *chain, const char *key, int expected)
{
    struct milgi_problem problem = { .kind = MILGI_PROBLEM_NONE };
    struct milgi_credential *c = NULL;
    int rv = milgi_credential_load_pem(chain, strlen(chain), key, strlen(key), &c, &problem);

    if (rv != expected)
        print_error("%s\n", problem.text);
    assert_int_equal(rv, expected);
    assert_false(inside_errors_left());
    if (rv != 0)
        assert_int_equal(problem.error, expected);
    assert_true((c != NULL) == (rv == 0));
    milgi_credential_unref(c);
    return problem;
}

static void is(struct milgi_problem problem, enum milgi_problem_kind kind, enum milgi_problem_file file, unsigned line,
    const char *words)
{
    if (problem.kind != kind || !strstr(problem.text, words))
        print_error("\"%s\"\n", problem.text);
    assert_int_equal(problem.kind, kind);
    assert_int_equal(problem.file, file);
    assert_int_equal(problem.line, line);
    assert_non_null(strstr(problem.text, words));
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

static void what_is_wrong_with_the_uri_of_a_key_is_said_without_the_uri(void **state)
{
    static const struct {
        const char *uri, *text;
    } cases[] = {
        { "", "is no URI of a key" },
        { "4711:a", "is no URI of a key" },
        { "pkcs11:", "names no key" },
        { "pkcs11:?pin-value=4711 ", "has a character that no URI has" },
        { "pkcs11:?pin-value=4711\x7f", "has a character that no URI has" },
    };
    struct milgi_problem problem;
    struct milgi_credential *c;

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        assert_int_equal(milgi_credential_load_uri(
                             ecdsa->chain_pem, strlen(ecdsa->chain_pem), cases[i].uri, &c, &problem),
            MILGI_EINVAL);
        is(problem, MILGI_PROBLEM_URI, MILGI_FILE_KEY, 0, cases[i].text);
        assert_null(strstr(problem.text, "4711"));
    }
}

static void a_file_that_is_no_pem_is_called_what_it_is(void **state)
{
    static const char utf16[] = "\xff\xfe-";
    const char *cert = ecdsa->cert_pem, *key = ecdsa->key_pem;
    struct milgi_problem problem;
    struct milgi_credential *c;

    (void)state;
    is(load("", key, MILGI_EPARSE), MILGI_PROBLEM_EMPTY, MILGI_FILE_CHAIN, 0, "is empty");
    is(load(cert, " \n\t\n", MILGI_EPARSE), MILGI_PROBLEM_EMPTY, MILGI_FILE_KEY, 0, "is empty");
    is(load(utf16, key, MILGI_EPARSE), MILGI_PROBLEM_UTF16, MILGI_FILE_CHAIN, 0, "UTF-16");
    is(load("hello", key, MILGI_EPARSE), MILGI_PROBLEM_NO_BLOCK, MILGI_FILE_CHAIN, 0, "no certificate");
    is(load(key, key, MILGI_EPARSE), MILGI_PROBLEM_NO_BLOCK, MILGI_FILE_CHAIN, 0, "but a PRIVATE KEY");
    is(load(cert, cert, MILGI_EPARSE), MILGI_PROBLEM_NO_BLOCK, MILGI_FILE_KEY, 0, "but a CERTIFICATE");
    assert_int_equal(
        milgi_credential_load_pem(ecdsa->cert_der, ecdsa->cert_der_len, key, strlen(key), &c, &problem), MILGI_EPARSE);
    is(problem, MILGI_PROBLEM_DER, MILGI_FILE_CHAIN, 0, "x509 -inform DER\", or with \"openssl pkcs12");
}

static void broken_lines_are_named(void **state)
{
    const char *cert = ecdsa->cert_pem, *key = ecdsa->key_pem;
    char text[16384];
    unsigned lines = 0;

    (void)state;
    for (const char *p = cert; *p; p++)
        lines += *p == '\n';
    snprintf(text, sizeof text, "%.*s%s", (int)strlen(cert) - 1, cert, cert);
    is(load(text, key, MILGI_EPARSE), MILGI_PROBLEM_LINES, MILGI_FILE_CHAIN, lines, "line ");
    snprintf(text, sizeof text, "%s %s", cert, cert);
    is(load(text, key, MILGI_EPARSE), MILGI_PROBLEM_LINES, MILGI_FILE_CHAIN, lines + 1, "glued");
    snprintf(text, sizeof text, "%sx%s", cert, key);
    is(load(cert, text, MILGI_EPARSE), MILGI_PROBLEM_LINES, MILGI_FILE_KEY, lines + 1, "glued");
    snprintf(text, sizeof text, "%s%s", cert, cert);
    memset(strstr(text + strlen(cert), "CERTIFICATE-----") + 15, '\n', 1); /* four dashes */
    is(load(text, key, MILGI_EPARSE), MILGI_PROBLEM_LINES, MILGI_FILE_CHAIN, lines + 1, "line ");
    snprintf(text, sizeof text, "%s%.*s", cert, 200, cert);
    is(load(text, key, MILGI_EPARSE), MILGI_PROBLEM_LINES, MILGI_FILE_CHAIN, lines + 1, "line ");
    snprintf(text, sizeof text, "%s-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", cert);
    is(load(text, key, MILGI_EPARSE), MILGI_PROBLEM_CONTENT, MILGI_FILE_CHAIN, lines + 1, "malformed");
}

static void a_block_that_belongs_elsewhere_is_not_dropped_in_silence(void **state)
{
    char text[16384];

    (void)state;
    snprintf(text, sizeof text, "%s-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n", ecdsa->cert_pem);
    struct milgi_problem problem = load(text, ecdsa->key_pem, MILGI_EPARSE);
    assert_int_equal(problem.kind, MILGI_PROBLEM_UNKNOWN_BLOCK);
    assert_non_null(strstr(problem.text, "PKCS7"));
    /* What people do put together: parameters, the key, a byte order mark, carriage returns. */
    static const char parameters[] = "-----BEGIN DH PARAMETERS-----\r\nMAA=\r\n-----END DH PARAMETERS-----\r\n";
    snprintf(text, sizeof text, "\xef\xbb\xbf%s%s%s", ecdsa->cert_pem, parameters, ecdsa->key_pem);
    (void)load(text, text, 0);
}

/* As libcrypto reads it. */
static void white_space_behind_lines_means_nothing(void **state)
{
    static const char *const spaces[] = { "\r", " ", "\t", "\t \r", "\v\f" };
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(spaces); i++) {
        const char *from[] = { ecdsa->cert_pem, ecdsa->key_pem };
        char text[2][8192] = { "", "" };
        for (unsigned file = 0; file < 2; file++) {
            char *to = text[file];
            for (const char *p = from[file]; *p; p++) {
                if (*p == '\n')
                    to = stpcpy(to, spaces[i]);
                *to++ = *p;
            }
        }
        (void)load(text[0], text[1], 0);
    }
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* PKCS #1 and SEC 1 under any name that says that it is a private key. */
static void a_key_is_read_whatever_its_form_is_called(void **state)
{
    static const char *const names[] = { "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY" };
    const struct identity *identities[] = { ecdsa, identity_leaf(NULL, IDENTITY_RSA, "DNS:server.test") };
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(identities) * MILGI__COUNT(names); i++) {
        const struct identity *identity = identities[i % 2];
        unsigned char *der = NULL;
        BIO *bio = BIO_new(BIO_s_mem());
        int len = i2d_PrivateKey(identity->private_key, &der);
        assert_true(len > 0);
        assert_true(PEM_write_bio(bio, names[i / 2], "", der, len) > 0);
        char *text = text_of(bio);
        (void)load(identity->cert_pem, text, 0);
        free(text);
        OPENSSL_free(der);
    }
    identity_free((struct identity *)(uintptr_t)identities[1]);
}

static void an_encrypted_key_is_called_encrypted(void **state)
{
    EVP_PKEY *key = ecdsa->private_key;
    BIO *bio = BIO_new(BIO_s_mem());

    (void)state;
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "word", 4, NULL, NULL), 1);
    char *text = text_of(bio);
    is(load(ecdsa->cert_pem, text, MILGI_EPARSE), MILGI_PROBLEM_ENCRYPTED, MILGI_FILE_KEY, 0, "is encrypted");
    free(text);
    bio = BIO_new(BIO_s_mem());
    unsigned char word[] = "word";
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, EVP_aes_128_cbc(), word, 4, NULL, NULL), 1);
    text = text_of(bio);
    is(load(ecdsa->cert_pem, text, MILGI_EPARSE), MILGI_PROBLEM_ENCRYPTED, MILGI_FILE_KEY, 0, "is encrypted");
    free(text);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    text = text_of(bio);
    is(load(ecdsa->cert_pem, text, MILGI_EPARSE), MILGI_PROBLEM_PUBLIC_KEY, MILGI_FILE_KEY, 0, "public key");
    free(text);
}

static void refused_with(EVP_PKEY *key, int error, enum milgi_problem_kind kind, const char *words)
{
    assert_non_null(key);
    char *text = pkcs8_of(key);
    is(load(ecdsa->cert_pem, text, error), kind, MILGI_FILE_KEY, 0, words);
    free(text);
    EVP_PKEY_free(key);
}

static EVP_PKEY *rsa_of(unsigned bits, unsigned long exponent)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new();
    EVP_PKEY *key = NULL;

    assert_int_equal(BN_set_word(e, exponent), 1);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e), 1);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *explicit_p256(void)
{
    EVP_PKEY *made = EVP_EC_gen("P-256"), *key = NULL;

    assert_int_equal(EVP_PKEY_set_utf8_string_param(made, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
    char *text = pkcs8_of(made);
    BIO *bio = BIO_new_mem_buf(text, -1);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    free(text);
    EVP_PKEY_free(made);
    return key;
}

static void a_key_of_a_kind_that_cannot_be_used_is_named(void **state)
{
    (void)state;
    refused_with(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, "Ed448");
    refused_with(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, "X25519");
    refused_with(EVP_EC_gen("brainpoolP256r1"), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, "brainpoolP256r1");
    refused_with(EVP_EC_gen("secp256k1"), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, "secp256k1");
    refused_with(explicit_p256(), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, "explicit");
    refused_with(rsa_of(1024, 65537), MILGI_EWEAK, MILGI_PROBLEM_KEY_WEAK, "1024 bits");
    refused_with(rsa_of(4104, 65537), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_LARGE, "4104 bits");
    refused_with(rsa_of(2048, (1ul << 33) + 1), MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, "public exponent");
}

static void the_key_of_another_certificate_and_a_leaf_that_is_not_first_are_told_apart(void **state)
{
    struct identity *leaf = identity_leaf(ecdsa, IDENTITY_P256, "DNS:a.test");
    char text[16384];

    (void)state;
    is(load(ecdsa->cert_pem, leaf->key_pem, MILGI_EMISMATCH), MILGI_PROBLEM_MISMATCH, MILGI_FILE_KEY, 0,
        "not the private key");
    snprintf(text, sizeof text, "%s%s", ecdsa->cert_pem, leaf->cert_pem);
    is(load(text, leaf->key_pem, MILGI_EMISMATCH), MILGI_PROBLEM_ORDER, MILGI_FILE_CHAIN, 0, "first");
    identity_free(leaf);
}

/* --- unusual forms of keys ---------------------------------------------------------------------------------------- */

/* RFC 8410 7: |key| with its public half in [1]. */
static char *version_2(EVP_PKEY *key, uint8_t flip)
{
    uint8_t der[16 + 32 + 3 + 32] = { 0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20 };
    size_t len = 32;

    assert_int_equal(EVP_PKEY_get_raw_private_key(key, der + 16, &len), 1);
    memcpy(der + 48, (uint8_t[]){ 0x81, 0x21, 0 }, 3);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, der + 51, &len), 1);
    der[51] ^= flip;
    return pem_of("PRIVATE KEY", der, sizeof der);
}

/*= RFC5958 2: "publicKey ... When present, the version is v2" */
static void an_ed25519_key_of_pkcs8_version_2_is_read(void **state)
{
    struct identity *id = identity_root(IDENTITY_ED25519, "ed");
    char *text = version_2(id->private_key, 0);

    (void)state;
    (void)load(id->cert_pem, text, 0);
    free(text);
    text = version_2(id->private_key, 1);
    is(load(id->cert_pem, text, MILGI_EPARSE), MILGI_PROBLEM_CONTENT, MILGI_FILE_KEY, 1, "malformed");
    free(text);
    identity_free(id);
}

static char *sec1(EVP_PKEY *key, const char *form, bool with_public)
{
    uint8_t *der = NULL;

    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form), 1);
    assert_int_equal(EVP_PKEY_set_int_param(key, OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, with_public), 1);
    int len = i2d_PrivateKey(key, &der);
    char *text = pem_of("EC PRIVATE KEY", der, (size_t)len);
    OPENSSL_free(der);
    return text;
}

static void a_key_is_compared_by_value_whatever_form_its_point_has(void **state)
{
    static const enum identity_key kinds[] = { IDENTITY_P256, IDENTITY_P384, IDENTITY_P521 };
    static const char *const forms[] = { "uncompressed", "compressed", "hybrid" };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(kinds) * MILGI__COUNT(forms) * 2; i++) {
        struct identity *id = identity_root(kinds[i / 2 % 3], "ec");
        char *text = sec1(id->private_key, forms[i / 6], i % 2);
        (void)load(id->cert_pem, text, 0);
        free(text);
        identity_free(id);
    }
}

/* --- files and time ----------------------------------------------------------------------------------------------- */

static void the_file_that_cannot_be_read_is_named(void **state)
{
    struct milgi_problem problem;
    struct milgi_credential *c;
    struct milgi_trust *trust;

    (void)state;
    char *cert = identity_write(folder(), "cert.pem", ecdsa->cert_pem);
    assert_int_equal(milgi_credential_load(cert, "/nonexistent/key.pem", &c, &problem), MILGI_EFILE);
    is(problem, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_KEY, 0, "cannot be read");
    assert_int_equal(milgi_credential_load("/nonexistent/cert.pem", cert, &c, &problem), MILGI_EFILE);
    is(problem, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_CHAIN, 0, "cannot be read");
    assert_int_equal(milgi_credential_load(cert, cert, NULL, &problem), MILGI_EINVAL);
    assert_int_equal(problem.kind, MILGI_PROBLEM_OTHER);
    assert_int_equal(milgi_trust_load("/nonexistent/ca.pem", &trust, &problem), MILGI_EFILE);
    is(problem, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_CHAIN, 0, "cannot be read");
    assert_int_equal(milgi_trust_load(cert, &trust, &problem), 0);
    milgi_trust_unref(trust);
    free(cert);
}

static void certificates_out_of_their_time_are_a_warning(void **state)
{
    struct identity *id = identity_new(&(struct identity_options){
        .common_name = "old", .names = "DNS:a.test", .not_before_s = 1000000, .not_after_s = 2000000 });
    struct milgi_problem warning;
    struct milgi_credential *c;

    (void)state;
    assert_int_equal(
        milgi_credential_new_pem(id->cert_pem, strlen(id->cert_pem), id->key_pem, strlen(id->key_pem), &c), 0);
    assert_false(milgi_credential_warning(c, 1000000, &warning));
    assert_false(milgi_credential_warning(c, 2000000, &warning));
    assert_true(milgi_credential_warning(c, 2000000 + 7200, &warning));
    is(warning, MILGI_PROBLEM_EXPIRED, MILGI_FILE_CHAIN, 0, "certificate 1 (CN=old) expired 2 hours ago");
    assert_true(milgi_credential_warning(c, 1000000 - 3600, &warning));
    is(warning, MILGI_PROBLEM_NOT_YET_VALID, MILGI_FILE_CHAIN, 0, "is not valid until 1 hours from now");
    assert_int_equal(warning.error, 0);
    milgi_credential_unref(c);
    identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_the_uri_of_a_key_is_said_without_the_uri),
        cmocka_unit_test(a_file_that_is_no_pem_is_called_what_it_is),
        cmocka_unit_test(broken_lines_are_named),
        cmocka_unit_test(a_block_that_belongs_elsewhere_is_not_dropped_in_silence),
        cmocka_unit_test(white_space_behind_lines_means_nothing),
        cmocka_unit_test(a_key_is_read_whatever_its_form_is_called),
        cmocka_unit_test(an_encrypted_key_is_called_encrypted),
        cmocka_unit_test(a_key_of_a_kind_that_cannot_be_used_is_named),
        cmocka_unit_test(the_key_of_another_certificate_and_a_leaf_that_is_not_first_are_told_apart),
        cmocka_unit_test(an_ed25519_key_of_pkcs8_version_2_is_read),
        cmocka_unit_test(a_key_is_compared_by_value_whatever_form_its_point_has),
        cmocka_unit_test(the_file_that_cannot_be_read_is_named),
        cmocka_unit_test(certificates_out_of_their_time_are_a_warning),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
