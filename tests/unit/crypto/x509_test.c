/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from certificates, and names against them. */
#include "fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <milgi/op.h>

#include "crypto/cert_list.h"
#include "folder.h"
#include "identity.h"

static struct milgi__pem_fault fault;

/* --- what is in a certificate ----------------------------------------------------------------------------------- */

static void info_tells_key_type_usage_signer_and_subject(void **state)
{
    static const struct {
        enum milgi__key_type type;
        unsigned bits;
        uint16_t signs; /* what its own signatures in certificates are */
    } expected[IDENTITY_KEYS] = {
        [IDENTITY_P256] = { MILGI__KEY_P256, 256, MILGI_SIG_ECDSA_SECP256R1_SHA256 },
        [IDENTITY_P384] = { MILGI__KEY_P384, 384, MILGI_SIG_ECDSA_SECP256R1_SHA256 },
        [IDENTITY_P521] = { MILGI__KEY_P521, 521, MILGI_SIG_ECDSA_SECP256R1_SHA256 },
        [IDENTITY_RSA] = { MILGI__KEY_RSA, 2048, MILGI_SIG_RSA_PKCS1_SHA256 },
        [IDENTITY_RSA_PSS] = { MILGI__KEY_RSA_PSS, 2048, MILGI_SIG_RSA_PSS_RSAE_SHA256 },
        [IDENTITY_ED25519] = { MILGI__KEY_ED25519, 256, MILGI_SIG_ED25519 },
    };

    for (unsigned i = 0; i < IDENTITY_KEYS; i++) {
        struct identity *root = identity_root((enum identity_key)i, "The Root, with a comma");
        struct identity *leaf = identity_leaf(root, (enum identity_key)i, "DNS:a.test");
        struct milgi__cert_info info;
        assert_int_equal(milgi__cert_info(*state, root->cert_der, root->cert_der_len, &info), 0);
        char subject[256];
        assert_int_equal(milgi__cert_subject(root->cert_der, root->cert_der_len, subject, sizeof subject), 0);
        assert_string_equal(subject, "CN=The Root\\, with a comma");
        assert_int_equal(milgi__cert_subject(root->cert_der, root->cert_der_len, subject, 7), 0);
        assert_string_equal(subject, "CN=The");
        assert_false(info.may_sign);
        assert_int_equal(milgi__cert_info(NULL, leaf->cert_der, leaf->cert_der_len, &info), 0);
        assert_int_equal(info.type, expected[i].type);
        assert_int_equal(info.bits, expected[i].bits);
        assert_int_equal(info.signed_with, expected[i].signs);
        assert_true(info.may_sign);
        assert_false(info.costly);
        assert_true(milgi__cert_has_key(leaf->cert_der, leaf->cert_der_len, info.spki, info.spki_len));
        assert_false(milgi__cert_has_key(root->cert_der, root->cert_der_len, info.spki, info.spki_len));
        identity_free(leaf);
        identity_free(root);
    }
}

/* Its name is the same whichever digest it has: that stands in the parameters. */
static void the_digest_of_a_pss_signature_is_told(void **state)
{
    const struct {
        const EVP_MD *md;
        uint16_t scheme;
    } digests[] = { { EVP_sha256(), MILGI_SIG_RSA_PSS_RSAE_SHA256 }, { EVP_sha384(), MILGI_SIG_RSA_PSS_RSAE_SHA384 },
        { EVP_sha512(), MILGI_SIG_RSA_PSS_RSAE_SHA512 }, { EVP_sha224(), 0 } };
    struct identity *root = identity_root(IDENTITY_RSA, "root");

    for (unsigned i = 0; i < sizeof digests / sizeof *digests; i++) {
        struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:a.test");
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx;
        struct milgi__cert_info info;
        uint8_t *der = NULL;
        assert_int_equal(EVP_DigestSignInit(md, &ctx, digests[i].md, NULL, root->private_key), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST), 1);
        assert_true(X509_sign_ctx(leaf->certificate, md) > 0);
        int len = i2d_X509(leaf->certificate, &der);
        assert_true(len > 0);
        assert_int_equal(milgi__cert_info(*state, der, (size_t)len, &info), 0);
        assert_int_equal(info.signed_with, digests[i].scheme);
        OPENSSL_free(der);
        EVP_MD_CTX_free(md);
        identity_free(leaf);
    }
    identity_free(root);
}

/*= RFC5929 4.1: "if the certificate's signatureAlgorithm uses a single hash function, and that hash function neither
 *= MD5 nor SHA-1, then use the hash function associated with the certificate's signatureAlgorithm" */
static void the_end_point_of_a_certificate_is_its_hash(void **state)
{
    const struct {
        const EVP_MD *signs, *hash; /* NULL: it has none, and nothing is defined */
        enum identity_key key;
        bool pss;
    } cases[] = { { EVP_sha256(), EVP_sha256(), IDENTITY_P256, false },
        { EVP_sha512(), EVP_sha512(), IDENTITY_P256, false },
        { EVP_sha1(), EVP_sha256(), IDENTITY_P256, false }, { EVP_sha384(), EVP_sha384(), IDENTITY_RSA, true },
        { NULL, NULL, IDENTITY_ED25519, false } };

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct identity *root = identity_root(cases[i].key, "root");
        struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:a.test");
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx;
        uint8_t *der = NULL, made[MILGI__END_POINT_MAX], want[EVP_MAX_MD_SIZE];
        size_t made_len;
        unsigned want_len = 0;
        assert_int_equal(EVP_DigestSignInit(md, &ctx, cases[i].signs, NULL, root->private_key), 1);
        if (cases[i].pss)
            assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_true(X509_sign_ctx(leaf->certificate, md) > 0);
        int len = i2d_X509(leaf->certificate, &der);
        int rv = milgi__cert_end_point(*state, der, (size_t)len, made, &made_len);
        if (cases[i].hash) {
            assert_int_equal(rv, 0);
            assert_int_equal(EVP_Digest(der, (size_t)len, want, &want_len, cases[i].hash, NULL), 1);
            assert_int_equal(made_len, want_len);
            assert_memory_equal(made, want, want_len);
        } else {
            assert_int_equal(rv, MILGI__BAD);
        }
        assert_int_equal(milgi__cert_end_point(NULL, der, (size_t)len - 1, made, &made_len), MILGI__BAD);
        OPENSSL_free(der);
        EVP_MD_CTX_free(md);
        identity_free(leaf);
        identity_free(root);
    }
}

static void info_of_a_key_that_may_not_sign_says_so(void **state)
{
    struct identity *id = identity_new(&(struct identity_options){ .usage = "critical,keyAgreement" });
    struct milgi__cert_info info;

    assert_int_equal(milgi__cert_info(*state, id->cert_der, id->cert_der_len, &info), 0);
    assert_false(info.may_sign);
    identity_free(id);
}

/* What was said is kept with the certificate; more of them come here than are kept. */
static void info_is_the_same_as_often_as_it_is_asked_for(void **state)
{
    enum {
        CERTS_N = 40
    };
    struct identity *id[CERTS_N];

    for (unsigned i = 0; i < 2 * CERTS_N; i++) {
        struct milgi__cert_info fresh, kept;
        struct identity **one = &id[i % CERTS_N];
        if (i < CERTS_N)
            *one = identity_root(i % 2 == 0 ? IDENTITY_P256 : IDENTITY_ED25519, "root");
        assert_int_equal(milgi__cert_info(NULL, (*one)->cert_der, (*one)->cert_der_len, &fresh), 0);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(milgi__cert_info(*state, (*one)->cert_der, (*one)->cert_der_len, &kept), 0);
            assert_int_equal(kept.type, fresh.type);
            assert_int_equal(kept.bits, fresh.bits);
            assert_int_equal(kept.may_sign, fresh.may_sign);
            assert_int_equal(kept.signed_with, fresh.signed_with);
            assert_int_equal(kept.spki_len, fresh.spki_len);
            assert_memory_equal(kept.spki, fresh.spki, fresh.spki_len);
        }
    }
    for (unsigned i = 0; i < CERTS_N; i++)
        identity_free(id[i]);
}

static void info_of_half_a_certificate_is_refused(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    struct milgi__cert_info info;
    uint8_t *longer = calloc(1, id->cert_der_len + 1);

    for (size_t len = 0; len < id->cert_der_len; len++) {
        uint8_t *part = malloc(len + 1); /* of its own, so that a read beyond it is seen */
        memcpy(part, id->cert_der, len);
        part = realloc(part, len > 0 ? len : 1);
        assert_int_equal(milgi__cert_info(*state, part, len, &info), MILGI__BAD);
        assert_int_equal(milgi__cert_matches_name(part, len, "a.test"), 0);
        free(part);
    }
    memcpy(longer, id->cert_der, id->cert_der_len);
    assert_int_equal(milgi__cert_info(*state, longer, id->cert_der_len + 1, &info), MILGI__BAD);
    free(longer);
    identity_free(id);
}

static void names_match_by_alternative_names_and_whole_label_wildcards(void **state)
{
    static const struct {
        const char *name;
        int matches;
    } cases[] = { { "a.test", 1 }, { "A.TEST", 1 }, { "x.b.test", 1 }, { "b.test", 0 }, { "y.x.b.test", 0 },
        { "c.test", 0 }, { "p1.d.test", 0 }, { "cn.test", 0 }, { "", 0 }, { "a.test.", 0 }, { "127.0.0.1", 0 } };
    struct identity *id = identity_new(&(struct identity_options){ .key = IDENTITY_P256,
        .common_name = "cn.test",
        .names = "DNS:a.test,DNS:*.b.test,DNS:p*.d.test,IP:127.0.0.1" });
    struct identity *none = identity_new(&(struct identity_options){ .key = IDENTITY_P256, .common_name = "cn.test" });

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        int found = milgi__cert_matches_name(id->cert_der, id->cert_der_len, cases[i].name);
        if (found != cases[i].matches)
            fail_msg("%s: %d", cases[i].name, found);
    }
    assert_int_equal(milgi__cert_matches_name(none->cert_der, none->cert_der_len, "cn.test"), 0);
    identity_free(none);
    identity_free(id);
}

/* --- encodings ---------------------------------------------------------------------------------------------------- */

/* Certificates below |issuer| that are written by hand: parts of a real one, and whatever extensions. */
struct built {
    uint8_t der[4096];
    size_t len;
};

static size_t wrap(uint8_t tag, const uint8_t *body, size_t len, uint8_t *out)
{
    uint8_t head[4] = { tag, 0x82, (uint8_t)(len >> 8), (uint8_t)len };

    memmove(out + sizeof head, body, len);
    memcpy(out, head, sizeof head);
    return len + sizeof head;
}

/* The extensions of |tbs| (contents of a TBSCertificate): their list's contents; *before: what stands before them. */
static const uint8_t *extensions_of(const uint8_t *tbs, size_t len, size_t *before, size_t *ext_len)
{
    const uint8_t *p = tbs;

    for (;;) {
        const uint8_t *start = p;
        long body;
        int tag, class;
        ASN1_get_object(&p, &body, &tag, &class, (long)(tbs + len - p));
        if (class != V_ASN1_CONTEXT_SPECIFIC || tag != 3) {
            p += body;
            continue;
        }
        *before = (size_t)(start - tbs);
        ASN1_get_object(&p, &body, &tag, &class, body);
        *ext_len = (size_t)body;
        return p;
    }
}

/* |leaf| signed again by |issuer| with the first extension in the indefinite form. */
static struct built in_ber(const struct identity *leaf, const struct identity *issuer)
{
    static struct built b;
    uint8_t body[2048], tbs[2048], *whole = NULL, signature[512];
    const uint8_t *p, *ext;
    size_t before, ext_len, n, signature_len = sizeof signature;
    long len;
    int tag, class, whole_len = i2d_re_X509_tbs(leaf->certificate, &whole);

    p = whole;
    ASN1_get_object(&p, &len, &tag, &class, whole_len);
    ext = extensions_of(p, (size_t)len, &before, &ext_len);
    const uint8_t *first = ext;
    ASN1_get_object(&first, &len, &tag, &class, (long)ext_len);
    n = 0;
    memcpy(body, (uint8_t[]){ 0x30, 0x80 }, 2);
    memcpy(body + 2, first, (size_t)len);
    n = 2 + (size_t)len;
    body[n++] = 0;
    body[n++] = 0;
    size_t rest = ext_len - (size_t)(first + len - ext);
    memcpy(body + n, first + len, rest);
    n = wrap(0x30, body, n + rest, body);
    n = wrap(0xa3, body, n, body);
    memmove(body + before, body, n);
    memcpy(body, p, before);
    size_t tbs_len = wrap(0x30, body, before + n, tbs);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, issuer->private_key), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &signature_len, tbs, tbs_len), 1);
    EVP_MD_CTX_free(ctx);
    const X509_ALGOR *algorithm;
    X509_get0_signature(NULL, &algorithm, leaf->certificate);
    uint8_t *out = body + tbs_len;
    memcpy(body, tbs, tbs_len);
    (void)i2d_X509_ALGOR(algorithm, &out); /* moves |out| */
    memmove(signature + 1, signature, signature_len);
    signature[0] = 0;
    out += wrap(0x03, signature, signature_len + 1, out);
    b.len = wrap(0x30, body, (size_t)(out - body), b.der);
    OPENSSL_free(whole);
    return b;
}

/* The same answer in every form that libcrypto reads: no reader of ours sees less of a certificate than it does. */
static void a_key_that_may_not_sign_says_so_in_any_encoding(void **state)
{
    struct identity *root = identity_root(IDENTITY_P256, "root");

    for (unsigned i = 0; i < 2; i++) {
        const char *usage = i == 0 ? "critical,keyAgreement" : NULL;
        struct identity *leaf = identity_new(&(struct identity_options){
            .common_name = "leaf", .names = "DNS:a.test", .issuer = root, .usage = usage });
        struct built b = in_ber(leaf, root);
        struct milgi__cert_info info;
        assert_int_equal(milgi__cert_info(*state, leaf->cert_der, leaf->cert_der_len, &info), 0);
        assert_int_equal(info.may_sign, i == 1);
        int result = milgi__cert_info(*state, b.der, b.len, &info);
        assert_int_equal(result, 0); /* libcrypto reads it */
        assert_int_equal(info.may_sign, i == 1);
        assert_int_equal(milgi__cert_info(*state, b.der, b.len + 1, &info), MILGI__BAD);
        identity_free(leaf);
    }
    identity_free(root);
}

static void an_rsa_exponent_that_costs_too_much_is_told(void **state)
{
    static const struct {
        unsigned long e;
        bool costly;
    } cases[] = { { 3, false }, { 65537, false }, { (1ul << 33) - 1, false }, { (1ul << 33) + 1, true },
        { (1ul << 62) + 1, true } };

    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct identity *id = identity_new(
            &(struct identity_options){ .key = IDENTITY_RSA, .rsa_exponent = cases[i].e, .common_name = "rsa" });
        struct milgi__cert_info info;
        assert_int_equal(milgi__cert_info(*state, id->cert_der, id->cert_der_len, &info), 0);
        assert_int_equal(info.costly, cases[i].costly);
        /* A device that is given the key all the same does not verify with it. */
        uint8_t sig[256] = { 0 };
        sig[255] = 1;
        assert_int_equal(milgi__verify(*state, info.spki, info.spki_len, MILGI_SIG_RSA_PSS_RSAE_SHA256, sig, 10, sig,
                             sizeof sig),
            MILGI__BAD);
        identity_free(id);
    }
}

/* --- PEM -------------------------------------------------------------------------------------------------------- */

static int read_key(const char *pem, enum milgi__key_type *type)
{
    struct milgi__private_key key;

    int error = milgi__pem_private_key(pem, strlen(pem), NULL, 0, &key, &fault);
    if (error != 0) {
        assert_null(key.pkcs8);
        assert_null(key.spki);
        return error;
    }
    *type = key.type;
    milgi__private_key_clear(&key);
    return 0;
}

/* |key| as PEM in the traditional form, or encrypted. */
static char *write_key(EVP_PKEY *key, bool traditional, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    unsigned char *word = (unsigned char[]){ 's', 'e', 's', 'a', 'm', 'e' };

    int ok = traditional ? PEM_write_bio_PrivateKey_traditional(bio, key, cipher, word, 6, NULL, NULL)
                         : PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, (char *)word, 6, NULL, NULL);
    assert_int_equal(ok, 1);
    long len = BIO_get_mem_data(bio, &text);
    char *copy = calloc(1, (size_t)len + 1); /* BIO's text has no end of its own */
    assert_non_null(copy);
    memcpy(copy, text, (size_t)len);
    BIO_free(bio);
    return copy;
}

static void private_keys_are_read_in_all_three_forms(void **state)
{
    const enum identity_key kinds[] = { IDENTITY_P256, IDENTITY_RSA };

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(kinds); i++) {
        struct identity *id = identity_root(kinds[i], "root");
        char *traditional = write_key(id->private_key, true, NULL); /* SEC 1, PKCS#1 */
        enum milgi__key_type type;
        assert_int_equal(read_key(id->key_pem, &type), 0);
        assert_int_equal(type, i == 0 ? MILGI__KEY_P256 : MILGI__KEY_RSA);
        assert_int_equal(read_key(traditional, &type), 0);
        assert_int_equal(type, i == 0 ? MILGI__KEY_P256 : MILGI__KEY_RSA);
        free(traditional);
        identity_free(id);
    }
}

/* A question for a passphrase would hang here. */
static void encrypted_keys_are_refused_without_asking(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    enum milgi__key_type type;

    (void)state;
    for (int traditional = 0; traditional < 2; traditional++) {
        char *pem = write_key(id->private_key, traditional, EVP_aes_128_cbc());
        assert_int_equal(read_key(pem, &type), MILGI_EPARSE);
        free(pem);
    }
    identity_free(id);
}

static int read_generated(EVP_PKEY *key)
{
    char *pem = write_key(key, false, NULL);
    enum milgi__key_type type;

    int error = read_key(pem, &type);
    free(pem);
    EVP_PKEY_free(key);
    return error;
}

/* Of four primes, which are found sooner than two. */
static EVP_PKEY *long_rsa_key(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 4104), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, 4), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void private_keys_of_other_kinds_or_sizes_are_refused(void **state)
{
    enum milgi__key_type type;

    (void)state;
    assert_int_equal(read_generated(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024)), MILGI_EWEAK);
    assert_int_equal(read_generated(long_rsa_key()), MILGI_EUNSUPPORTED);
    assert_int_equal(read_generated(EVP_EC_gen("secp256k1")), MILGI_EUNSUPPORTED);
    assert_int_equal(read_generated(EVP_PKEY_Q_keygen(NULL, NULL, "ED448")), MILGI_EUNSUPPORTED);
    assert_int_equal(read_generated(EVP_PKEY_Q_keygen(NULL, NULL, "X25519")), MILGI_EUNSUPPORTED);
    assert_int_equal(read_key("", &type), MILGI_EPARSE);
    assert_int_equal(read_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &type), MILGI_EPARSE);
}

static int count(void *arg, const uint8_t *der, size_t len)
{
    unsigned *n = arg;

    (void)der;
    (void)len;
    return ++*n == 3 ? MILGI_ELIMIT : 0;
}

static int count_in(const char *pem, unsigned *n)
{
    *n = 0;
    return milgi__pem_certificates(pem, strlen(pem), count, n, &fault);
}

static void certificates_are_read_among_other_things(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    char text[16384];
    unsigned n;

    (void)state;
    snprintf(text, sizeof text, "hello\n%s%s\nmore\n%sthe end", id->cert_pem, id->key_pem, id->cert_pem);
    assert_int_equal(count_in(text, &n), 0);
    assert_int_equal(n, 2);
    snprintf(text, sizeof text, "%s%s%s%s", id->cert_pem, id->cert_pem, id->cert_pem, id->cert_pem);
    assert_int_equal(count_in(text, &n), MILGI_ELIMIT); /* what the callback said */
    assert_int_equal(n, 3);
    assert_int_equal(count_in("", &n), MILGI_EPARSE);
    assert_int_equal(count_in(id->key_pem, &n), MILGI_EPARSE);
    identity_free(id);
}

static void a_malformed_certificate_fails_the_whole(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    char text[16384];
    unsigned n;

    (void)state;
    snprintf(text, sizeof text, "%s-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", id->cert_pem);
    assert_int_equal(count_in(text, &n), MILGI_EPARSE);
    assert_int_equal(n, 1);
    snprintf(text, sizeof text, "%s", id->cert_pem);
    text[strlen(text) / 2] = '!';
    assert_int_equal(count_in(text, &n), MILGI_EPARSE);
    snprintf(text, sizeof text, "%s", id->cert_pem);
    text[strlen(text) / 2] = '\0'; /* no end */
    assert_int_equal(count_in(text, &n), MILGI_EPARSE);
    uint8_t *longer = calloc(1, id->cert_der_len + 1);
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    memcpy(longer, id->cert_der, id->cert_der_len);
    assert_true(PEM_write_bio(bio, "CERTIFICATE", "", longer, (long)id->cert_der_len + 1) > 0);
    long pem_len = BIO_get_mem_data(bio, &pem);
    snprintf(text, sizeof text, "%.*s", (int)pem_len, pem);
    assert_int_equal(count_in(text, &n), MILGI_EPARSE);
    BIO_free(bio);
    free(longer);
    identity_free(id);
}

/* --- the system's anchors --------------------------------------------------------------------------------------- */

static unsigned anchors_n(int expected_error)
{
    struct milgi__cert_walk walk = { .p = NULL };
    uint8_t *anchors;
    size_t len;
    unsigned n = 0;

    assert_int_equal(milgi__system_anchors(&anchors, &len), expected_error);
    walk.p = anchors;
    walk.left = len;
    while (milgi__cert_walk_next(&walk))
        n++;
    assert_false(walk.bad);
    milgi__free(anchors);
    return n;
}

static void system_anchors_come_from_where_the_environment_says(void **state)
{
    struct identity *one = identity_root(IDENTITY_P256, "one");
    struct identity *two = identity_root(IDENTITY_P256, "two");
    char text[16384];

    (void)state;
    snprintf(text, sizeof text, "%s%s", one->cert_pem, one->cert_pem); /* counts once */
    char *file = identity_write(folder(), "anchors.pem", text);
    char *hashed = identity_write(folder(), "0123abcd.0", two->cert_pem);
    setenv("SSL_CERT_FILE", file, 1);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    assert_int_equal(anchors_n(0), 1);
    setenv("SSL_CERT_DIR", folder(), 1);
    assert_int_equal(anchors_n(0), 2);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    assert_int_equal(anchors_n(0), 1); /* anchors.pem is not a name that is looked for */
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    assert_int_equal(anchors_n(MILGI_EFILE), 0);
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    unlink(hashed);
    free(file);
    free(hashed);
    identity_free(one);
    identity_free(two);
}

static void a_bad_entry_of_the_systems_store_hides_none_behind_it(void **state)
{
    static const char *const bad[] = { "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nMAA=\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICAT-----\n", "-----BEGIN X509 CRL-----\nMAA=\n"
                                                                         "-----END X509 CRL-----\n",
        "-----BEGIN \n", "-----BEGIN CERTIFICATE-----" };
    struct identity *one = identity_root(IDENTITY_P256, "one");
    struct identity *two = identity_root(IDENTITY_P256, "two");

    (void)state;
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    for (size_t i = 0; i < MILGI__COUNT(bad); i++) {
        char text[16384];
        snprintf(text, sizeof text, "%s%s%s\n%s%s", bad[i], one->cert_pem, bad[i], two->cert_pem, bad[i]);
        char *file = identity_write(folder(), "anchors.pem", text);
        setenv("SSL_CERT_FILE", file, 1);
        unsigned n = anchors_n(0);
        if (n < 2 && i != 6) /* which is glued to what follows it */
            fail_msg("%zu: %u anchors", i, n);
        assert_true(n >= 1);
        unlink(file);
        free(file);
    }
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    identity_free(one);
    identity_free(two);
}

static void malformed_anchors_make_no_store(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    struct milgi__cert_list list = { .data = NULL };

    (void)state;
    assert_int_equal(milgi__cert_list_add_pem(&list, id->cert_pem, strlen(id->cert_pem), &fault), 0);
    struct milgi__store *store = milgi__store_new(list.data, list.len);
    assert_non_null(store);
    milgi__store_free(store);
    assert_null(milgi__store_new(list.data, list.len - 1));
    list.data[3] ^= 1;
    assert_null(milgi__store_new(list.data, list.len));
    milgi__cert_list_clear(&list);
    identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(info_tells_key_type_usage_signer_and_subject),
        crypto_test(the_digest_of_a_pss_signature_is_told),
        crypto_test(the_end_point_of_a_certificate_is_its_hash),
        crypto_test(info_of_a_key_that_may_not_sign_says_so),
        crypto_test(info_is_the_same_as_often_as_it_is_asked_for),
        crypto_test(info_of_half_a_certificate_is_refused),
        crypto_test(a_key_that_may_not_sign_says_so_in_any_encoding),
        crypto_test(an_rsa_exponent_that_costs_too_much_is_told),
        crypto_test(names_match_by_alternative_names_and_whole_label_wildcards),
        crypto_test(private_keys_are_read_in_all_three_forms),
        crypto_test(encrypted_keys_are_refused_without_asking),
        crypto_test(private_keys_of_other_kinds_or_sizes_are_refused),
        crypto_test(certificates_are_read_among_other_things),
        crypto_test(a_malformed_certificate_fails_the_whole),
        crypto_test(system_anchors_come_from_where_the_environment_says),
        crypto_test(a_bad_entry_of_the_systems_store_hides_none_behind_it),
        crypto_test(malformed_anchors_make_no_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
