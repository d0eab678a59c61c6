/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of every scheme, made, verified and forged. */
#include "fixture.h"

#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <milgi/op.h>

#include "identity.h"

static const uint8_t message[130] = "what is signed";

static const struct {
    enum identity_key key;
    enum milgi__key_type type;
    unsigned bits;
    uint16_t schemes[4];
} keys[] = {
    { IDENTITY_P256, MILGI__KEY_P256, 256, { MILGI_SIG_ECDSA_SECP256R1_SHA256 } },
    { IDENTITY_P384, MILGI__KEY_P384, 384, { MILGI_SIG_ECDSA_SECP384R1_SHA384 } },
    { IDENTITY_P521, MILGI__KEY_P521, 521, { MILGI_SIG_ECDSA_SECP521R1_SHA512 } },
    { IDENTITY_ED25519, MILGI__KEY_ED25519, 256, { MILGI_SIG_ED25519 } },
    { IDENTITY_RSA, MILGI__KEY_RSA, 2048,
        { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA512 } },
    { IDENTITY_RSA_PSS, MILGI__KEY_RSA_PSS, 2048,
        { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512 } },
};

/* A private key in the forms that the library has it in. */
struct pair {
    struct identity *identity;
    uint8_t *pkcs8, *spki;
    size_t pkcs8_len, spki_len;
    struct milgi__pkey *key;
};

static struct pair pair_new(struct milgi__crypto *cx, unsigned i)
{
    struct pair p = { .identity = identity_root(keys[i].key, "signer") };
    struct milgi__private_key key;
    struct milgi__pem_fault fault;

    assert_int_equal(
        milgi__pem_private_key(p.identity->key_pem, strlen(p.identity->key_pem), NULL, 0, &key, &fault), 0);
    assert_int_equal(key.type, keys[i].type);
    assert_int_equal(key.bits, keys[i].bits);
    p.pkcs8 = key.pkcs8;
    p.pkcs8_len = key.pkcs8_len;
    p.spki = key.spki;
    p.spki_len = key.spki_len;
    p.key = milgi__pkey_new(cx, p.pkcs8, p.pkcs8_len);
    assert_non_null(p.key);
    return p;
}

static void pair_free(struct pair *p)
{
    milgi__pkey_free(p->key);
    milgi__free_wiped(p->pkcs8, p->pkcs8_len);
    milgi__free(p->spki);
    identity_free(p->identity);
}

static int verify(struct milgi__crypto *cx, const struct pair *p, uint16_t scheme, const uint8_t *sig, size_t sig_len)
{
    return milgi__verify(cx, p->spki, p->spki_len, scheme, message, sizeof message, sig, sig_len);
}

static void check_signatures(struct milgi__crypto *cx, const struct pair *p, uint16_t scheme)
{
    uint8_t sig[MILGI_SIGNATURE_MAX], other[sizeof message];
    size_t len = sizeof sig;

    assert_int_equal(milgi__pkey_sign(cx, p->key, scheme, message, sizeof message, sig, &len), 0);
    assert_int_equal(verify(cx, p, scheme, sig, len), 0);
    assert_int_equal(verify(cx, p, scheme, sig, len - 1), MILGI__BAD);
    assert_int_equal(verify(cx, p, scheme, sig, 0), MILGI__BAD);
    memcpy(other, message, sizeof message);
    other[100] ^= 1;
    assert_int_equal(milgi__verify(cx, p->spki, p->spki_len, scheme, other, sizeof other, sig, len), MILGI__BAD);
    sig[len / 2] ^= 1;
    assert_int_equal(verify(cx, p, scheme, sig, len), MILGI__BAD);
    sig[len / 2] ^= 1;
    assert_int_equal(verify(cx, p, scheme, sig, len), 0);
}

static void every_key_signs_with_its_schemes_and_no_others(void **state)
{
    for (unsigned i = 0; i < MILGI__COUNT(keys); i++) {
        struct pair p = pair_new(*state, i);
        for (unsigned j = 0; j < MILGI__COUNT(keys) * 4; j++) {
            uint16_t scheme = keys[j / 4].schemes[j % 4];
            uint8_t sig[MILGI_SIGNATURE_MAX];
            size_t len = sizeof sig;
            if (scheme == 0)
                continue;
            if (j / 4 == i) {
                check_signatures(*state, &p, scheme);
                check_signatures(*state, &p, scheme); /* with what was kept of the first time */
                continue;
            }
            int result = milgi__pkey_sign(*state, p.key, scheme, message, sizeof message, sig, &len);
            assert_int_equal(result, MILGI__BROKEN);
            assert_int_equal(verify(*state, &p, scheme, sig, 64), MILGI__BAD);
        }
        pair_free(&p);
    }
}

/*= RFC8446 4.2.3: "ECDSA signature schemes align with TLS 1.2's ECDSA hash/signature pairs.  However, the old
 *= semantics did not constrain the signing curve." */
static void told_so_a_curve_goes_with_every_hash_of_ecdsa(void **state)
{
    for (unsigned i = 0; i < MILGI__COUNT(keys); i++) {
        struct pair p = pair_new(*state, i);
        for (unsigned j = 0; j < 4; j++) {
            uint16_t scheme = keys[j].schemes[0];
            uint8_t sig[MILGI_SIGNATURE_MAX];
            size_t len = sizeof sig;
            bool fits = i == j || (i < 3 && j < 3);
            int result = milgi__pkey_sign_any_curve(*state, p.key, scheme, message, sizeof message, sig, &len);
            assert_int_equal(result, fits ? 0 : MILGI__BROKEN);
            if (!fits)
                continue;
            result = milgi__verify_any_curve(
                *state, p.spki, p.spki_len, scheme, message, sizeof message, sig, len);
            assert_int_equal(result, 0);
            assert_int_equal(verify(*state, &p, scheme, sig, len), i == j ? 0 : MILGI__BAD);
        }
        pair_free(&p);
    }
}

/* One key after the other in the same context: none may be verified with what was left of the last. */
/* As a key server does for somebody who has made the hash. */
static void a_hash_is_signed_as_its_message_would_be(void **state)
{
    struct milgi__crypto *cx = *state;
    uint8_t hash[MILGI__SIGN_HASH_MAX], sig[MILGI_SIGNATURE_MAX];

    for (unsigned i = 0; i < MILGI__COUNT(keys); i++) {
        struct pair p = pair_new(cx, i);
        for (const uint16_t *scheme = keys[i].schemes; *scheme != 0; scheme++) {
            size_t hash_len, len = sizeof sig;
            assert_int_equal(milgi__sign_hash(cx, *scheme, message, sizeof message, hash, &hash_len), 0);
            int made = milgi__pkey_sign_hashed(cx, p.key, *scheme, hash, hash_len, sig, &len);
            if (keys[i].key == IDENTITY_ED25519) { /* which signs messages */
                assert_int_equal(made, MILGI__BROKEN);
                assert_int_equal(milgi__pkey_sign_hashed(cx, p.key, *scheme, message, 64, sig, &len), MILGI__BROKEN);
                continue;
            }
            assert_int_equal(made, 0);
            assert_int_equal(verify(cx, &p, *scheme, sig, len), 0);
            assert_int_equal(
                milgi__verify_hashed(cx, p.spki, p.spki_len, *scheme, hash, hash_len, sig, len), 0);
            hash[0] ^= 1;
            assert_int_equal(
                milgi__verify_hashed(cx, p.spki, p.spki_len, *scheme, hash, hash_len, sig, len), MILGI__BAD);
            for (size_t wrong = 0; wrong <= sizeof message; wrong += 13) {
                len = sizeof sig;
                assert_int_equal(milgi__pkey_sign_hashed(cx, p.key, *scheme, message, wrong, sig, &len), MILGI__BROKEN);
            }
        }
        pair_free(&p);
    }
}

static void a_curve_goes_with_every_hash_that_is_given(void **state)
{
    struct milgi__crypto *cx = *state;
    struct pair p = pair_new(cx, 1);
    uint8_t hash[32] = { 1 }, sig[MILGI_SIGNATURE_MAX];
    size_t len = sizeof sig;

    assert_int_equal(
        milgi__pkey_sign_hashed(cx, p.key, MILGI_SIG_ECDSA_SECP256R1_SHA256, hash, sizeof hash, sig, &len), 0);
    assert_int_equal(milgi__verify_hashed(
                         cx, p.spki, p.spki_len, MILGI_SIG_ECDSA_SECP256R1_SHA256, hash, sizeof hash, sig, len),
        0);
    assert_int_equal(
        milgi__pkey_sign_hashed(cx, p.key, MILGI_SIG_RSA_PSS_RSAE_SHA256, hash, sizeof hash, sig, &len), MILGI__BROKEN);
    pair_free(&p);
}

/* As other software makes it of a certificate's key (RFC 5280 4.2.1.2, method 1). */
static void a_key_has_the_identifier_that_others_give_it(void **state)
{
    struct milgi__crypto *cx = *state;
    uint8_t id[20], expected[EVP_MAX_MD_SIZE];
    unsigned len;

    for (unsigned i = 0; i < MILGI__COUNT(keys); i++) {
        struct pair p = pair_new(cx, i);
        assert_int_equal(milgi__key_id(p.spki, p.spki_len, id), 0);
        assert_int_equal(X509_pubkey_digest(p.identity->certificate, EVP_sha1(), expected, &len), 1);
        assert_int_equal(len, sizeof id);
        assert_memory_equal(id, expected, len);
        assert_int_equal(milgi__key_id(p.spki, p.spki_len - 1, id), MILGI__BROKEN);
        pair_free(&p);
    }
}

static void keys_do_not_mix(void **state)
{
    struct pair p[3] = { pair_new(*state, 0), pair_new(*state, 0), pair_new(*state, 3) };
    uint16_t schemes[3] = { keys[0].schemes[0], keys[0].schemes[0], keys[3].schemes[0] };
    uint8_t sig[3][MILGI_SIGNATURE_MAX];
    size_t len[3];

    for (unsigned i = 0; i < 3; i++) {
        len[i] = sizeof sig[i];
        assert_int_equal(
            milgi__pkey_sign(*state, p[i].key, schemes[i], message, sizeof message, sig[i], &len[i]), 0);
    }
    for (unsigned i = 0; i < 9; i++) {
        int result = verify(*state, &p[i / 3], schemes[i / 3], sig[i % 3], len[i % 3]);
        assert_int_equal(result, i / 3 == i % 3 ? 0 : MILGI__BAD);
    }
    p[1].spki[p[1].spki_len - 1] ^= 1; /* off the curve */
    assert_int_equal(verify(*state, &p[1], schemes[1], sig[1], len[1]), MILGI__BAD);
    assert_int_equal(verify(*state, &p[1], schemes[1], sig[0], len[0]), MILGI__BAD);
    assert_int_equal(verify(*state, &p[0], schemes[0], sig[0], len[0]), 0);
    for (unsigned i = 0; i < 3; i++)
        pair_free(&p[i]);
}

static void a_damaged_public_key_is_refused(void **state)
{
    for (unsigned i = 0; i < MILGI__COUNT(keys); i++) {
        struct pair p = pair_new(*state, i);
        uint8_t sig[MILGI_SIGNATURE_MAX];
        size_t len = sizeof sig;
        uint16_t scheme = keys[i].schemes[0];
        assert_int_equal(milgi__pkey_sign(*state, p.key, scheme, message, sizeof message, sig, &len), 0);
        size_t whole = p.spki_len;
        for (p.spki_len = 0; p.spki_len < whole; p.spki_len++)
            assert_int_equal(verify(*state, &p, scheme, sig, len), MILGI__BAD);
        for (size_t at = 0; at < 40; at++) { /* lengths, tags, identifiers */
            p.spki[at] ^= 0x20;
            assert_int_equal(verify(*state, &p, scheme, sig, len), MILGI__BAD);
            p.spki[at] ^= 0x20;
        }
        assert_int_equal(verify(*state, &p, scheme, sig, len), 0);
        uint8_t *longer = milgi__alloc(p.spki_len + 1);
        memcpy(longer, p.spki, p.spki_len);
        assert_int_equal(milgi__verify(*state, longer, p.spki_len + 1, scheme, message, sizeof message, sig, len),
            MILGI__BAD);
        if (keys[i].key == IDENTITY_ED25519) { /* one byte more where its forms say so */
            longer[1]++;
            longer[10]++;
            assert_int_equal(milgi__verify(*state, longer, p.spki_len + 1, scheme, message, sizeof message, sig, len),
                MILGI__BAD);
        }
        milgi__free(longer);
        pair_free(&p);
    }
}

static uint8_t *spki_of(EVP_PKEY *key, size_t *len)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(key, &der);

    assert_true(n > 0);
    *len = (size_t)n;
    return der;
}

static void short_rsa_keys_are_refused(void **state)
{
    const unsigned sizes[] = { 1024, 2040, 2048 };

    for (unsigned i = 0; i < MILGI__COUNT(sizes); i++) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)sizes[i]);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        uint8_t hash[MILGI__HASH_MAX], sig[256];
        size_t sig_len = sizeof sig, len;
        uint8_t *spki = spki_of(key, &len);
        milgi__hash(*state, MILGI__SHA256, message, sizeof message, hash);
        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
        assert_int_equal(EVP_PKEY_sign(ctx, sig, &sig_len, hash, 32), 1);
        int result = milgi__verify(
            *state, spki, len, MILGI_SIG_RSA_PKCS1_SHA256, message, sizeof message, sig, sig_len);
        assert_int_equal(result, sizes[i] < 2048 ? MILGI__BAD : 0);
        OPENSSL_free(spki);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(key);
    }
}

/*
 * Signs |message| with rsa_pkcs1_sha256 and a new key of any length and exponent: its modulus has so many small factors
 * that it is made in no time. Returns what milgi__verify() says.
 */
static int verdict_on_rsa(struct milgi__crypto *cx, unsigned bits, uint64_t exponent)
{
    static const uint8_t prefix[] = { 0, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
        0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
    static uint8_t sig[2048];
    BN_CTX *bn = BN_CTX_new();
    BIGNUM *n = BN_new(), *e = BN_new(), *phi = BN_new(), *p = BN_new(), *em = BN_new();
    uint8_t hash[MILGI__HASH_MAX];

    assert_int_equal(BN_hex2bn(&e, "0"), 1);
    assert_int_equal(BN_add_word(e, exponent), 1);
    BN_one(n);
    BN_one(phi);
    for (unsigned i = 0; BN_num_bits(n) < (int)bits; i++) {
        int left = (int)bits - BN_num_bits(n);
        bool last = left < 400;
        int part = last ? left + (int)(i & 1) : 200; /* the product is shorter than both by a bit, or not */
        assert_int_equal(BN_generate_prime_ex(p, part, 0, NULL, NULL, NULL), 1);
        BIGNUM *product = BN_new(), *inverse;
        assert_int_equal(BN_mul(product, n, p, bn), 1);
        BN_sub_word(p, 1);
        inverse = BN_mod_inverse(NULL, e, p, bn);
        if (inverse && (!last || BN_num_bits(product) == (int)bits)) {
            BN_copy(n, product);
            BN_mul(phi, phi, p, bn);
        }
        BN_free(inverse);
        BN_free(product);
    }
    size_t len = (bits + 7) / 8;
    memset(sig, 0xff, len);
    sig[0] = 0;
    sig[1] = 1;
    milgi__hash(cx, MILGI__SHA256, message, sizeof message, hash);
    memcpy(sig + len - 32 - sizeof prefix, prefix, sizeof prefix);
    memcpy(sig + len - 32, hash, 32);
    BN_bin2bn(sig, (int)len, em);
    BIGNUM *d = BN_mod_inverse(NULL, e, phi, bn);
    assert_int_equal(BN_mod_exp(em, em, d, n, bn), 1);
    BN_bn2binpad(em, sig, (int)len);

    uint8_t n_bytes[1100], e_bytes[8];
    assert_int_equal(BN_bn2nativepad(n, n_bytes, (int)len), len);
    assert_int_equal(BN_bn2nativepad(e, e_bytes, sizeof e_bytes), sizeof e_bytes);
    OSSL_PARAM params[] = { OSSL_PARAM_construct_BN("n", n_bytes, len),
        OSSL_PARAM_construct_BN("e", e_bytes, sizeof e_bytes), OSSL_PARAM_construct_end() };
    EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(import), 1);
    assert_int_equal(EVP_PKEY_fromdata(import, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    size_t spki_len;
    uint8_t *spki = spki_of(key, &spki_len);
    int result = milgi__verify(cx, spki, spki_len, MILGI_SIG_RSA_PKCS1_SHA256, message, sizeof message, sig, len);
    OPENSSL_free(spki);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(import);
    BIGNUM *const all[] = { n, e, phi, p, em, d };
    for (unsigned i = 0; i < MILGI__COUNT(all); i++)
        BN_free(all[i]);
    BN_CTX_free(bn);
    return result;
}

static void long_rsa_keys_are_refused(void **state)
{
    assert_int_equal(verdict_on_rsa(*state, 8192, 65537), 0);
    assert_int_equal(verdict_on_rsa(*state, 8200, 65537), MILGI__BAD);
}

/* A signature costs its verifier as many multiplications as the exponent has bits. */
static void rsa_exponents_are_bounded(void **state)
{
    assert_int_equal(verdict_on_rsa(*state, 2048, 3), 0);
    assert_int_equal(verdict_on_rsa(*state, 2048, 0x10000000f), 0);
    assert_int_equal(verdict_on_rsa(*state, 2048, 0x200000011), MILGI__BAD);
    assert_int_equal(verdict_on_rsa(*state, 2048, 1), MILGI__BAD);
}

static void a_key_verifies_nothing_of_a_scheme_that_is_not_its_own(void **state)
{
    static const uint16_t others[] = { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256 };

    for (unsigned i = 0; i < 2; i++) {
        struct pair p = pair_new(*state, i + 4);
        uint8_t sig[MILGI_SIGNATURE_MAX];
        size_t len = sizeof sig;
        assert_int_equal(
            milgi__pkey_sign(*state, p.key, keys[i + 4].schemes[0], message, sizeof message, sig, &len), 0);
        assert_int_equal(verify(*state, &p, keys[i + 4].schemes[0], sig, len), 0);
        assert_int_equal(verify(*state, &p, others[i], sig, len), MILGI__BAD);
        pair_free(&p);
    }
}

/*= RFC8446 4.2.3: "The length of the Salt MUST be equal to the length of the output of the digest algorithm." */
static void a_salt_of_another_length_is_refused(void **state)
{
    struct pair p = pair_new(*state, 4);
    uint8_t sig[MILGI_SIGNATURE_MAX], hash[MILGI__HASH_MAX];

    milgi__hash(*state, MILGI__SHA256, message, sizeof message, hash);
    for (int salt = 0; salt <= 64; salt += 32) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, p.identity->private_key, NULL);
        size_t len = sizeof sig;
        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt), 1);
        assert_int_equal(EVP_PKEY_sign(ctx, sig, &len, hash, 32), 1);
        assert_int_equal(verify(*state, &p, MILGI_SIG_RSA_PSS_RSAE_SHA256, sig, len), salt == 32 ? 0 : MILGI__BAD);
        EVP_PKEY_CTX_free(ctx);
    }
    pair_free(&p);
}

/* Anybody can sign for the key that is the point at infinity: with k = 1, r is the generator's x and s the hash. */
static void the_point_at_infinity_is_no_key(void **state)
{
    static const uint8_t generator_x[32] = { 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
        0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
        0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96 };
    struct pair p = pair_new(*state, 0);
    uint8_t raw[64], sig[MILGI_SIGNATURE_MAX], hash[MILGI__HASH_MAX];
    size_t len = sizeof sig;

    milgi__hash(*state, MILGI__SHA256, message, sizeof message, hash);
    memcpy(raw, generator_x, 32);
    memcpy(raw + 32, hash, 32);
    assert_int_equal(milgi__ecdsa_der(raw, sizeof raw, sig, &len), 0);
    size_t head = p.spki_len - 68; /* the algorithm; then BIT STRING, its length, no unused bits, the point */
    p.spki[1] = (uint8_t)(head - 2 + 4);
    p.spki[head + 1] = 2;
    p.spki[head + 3] = 0;
    p.spki_len = head + 4;
    assert_int_equal(verify(*state, &p, keys[0].schemes[0], sig, len), MILGI__BAD);
    pair_free(&p);
}

/* Zeros in front, a first bit that is set, numbers of one byte, a body that wants two bytes of length. */
static void signatures_are_written_as_libcrypto_writes_them(void **state)
{
    static const uint8_t firsts[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

    (void)state;
    for (size_t half = 1; half <= 66; half++) {
        for (unsigned shape = 0; shape < 5 * 5 * 3; shape++) {
            uint8_t raw[132], ours[160], theirs[160], *p = theirs;
            size_t zeros = shape / 25 * (half / 2), len = sizeof ours;
            memset(raw, 0x5a, sizeof raw);
            memset(raw, 0, zeros < half ? zeros : half - 1);
            raw[zeros < half ? zeros : half - 1] = firsts[shape % 5];
            raw[half] = firsts[shape / 5 % 5];
            ECDSA_SIG *sig = ECDSA_SIG_new();
            ECDSA_SIG_set0(sig, BN_bin2bn(raw, (int)half, NULL), BN_bin2bn(raw + half, (int)half, NULL));
            int want = i2d_ECDSA_SIG(sig, &p);
            ECDSA_SIG_free(sig);
            assert_int_equal(milgi__ecdsa_der(raw, 2 * half, ours, &len), 0);
            assert_int_equal(len, want);
            assert_memory_equal(ours, theirs, len);
            len--;
            assert_int_not_equal(milgi__ecdsa_der(raw, 2 * half, ours, &len), 0);
        }
    }
    size_t len = 160;
    uint8_t raw[134] = { 0 }, out[160];
    assert_int_not_equal(milgi__ecdsa_der(raw, 0, out, &len), 0);
    assert_int_not_equal(milgi__ecdsa_der(raw, 63, out, &len), 0);
    assert_int_not_equal(milgi__ecdsa_der(raw, 134, out, &len), 0);
}

static void explicit_curve_parameters_are_refused(void **state)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    uint8_t sig[MILGI_SIGNATURE_MAX], hash[MILGI__HASH_MAX];
    size_t sig_len = sizeof sig, len;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1), 1);
    assert_int_equal(EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    uint8_t *spki = spki_of(key, &len);
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    milgi__hash(*state, MILGI__SHA256, message, sizeof message, hash);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, sig, &sig_len, hash, 32), 1);
    int result = milgi__verify(
        *state, spki, len, MILGI_SIG_ECDSA_SECP256R1_SHA256, message, sizeof message, sig, sig_len);
    assert_int_equal(result, MILGI__BAD);
    OPENSSL_free(spki);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void a_damaged_private_key_is_no_key(void **state)
{
    struct pair p = pair_new(*state, 0);

    for (size_t len = 0; len < p.pkcs8_len; len++)
        assert_null(milgi__pkey_new(*state, p.pkcs8, len));
    uint8_t *longer = calloc(1, p.pkcs8_len + 1);
    memcpy(longer, p.pkcs8, p.pkcs8_len);
    assert_null(milgi__pkey_new(*state, longer, p.pkcs8_len + 1));
    free(longer);
    pair_free(&p);
}

/* Public keys are kept as they were taken apart, more of them come here than are kept. */
static void a_key_is_not_taken_for_one_that_was_seen(void **state)
{
    enum {
        KEYS_N = 20
    };
    struct pair p[KEYS_N];
    uint8_t sig[KEYS_N][MILGI_SIGNATURE_MAX];
    size_t len[KEYS_N];

    for (unsigned i = 0; i < KEYS_N; i++) {
        p[i] = pair_new(*state, 0);
        len[i] = sizeof sig[i];
        assert_int_equal(milgi__pkey_sign(*state, p[i].key, MILGI_SIG_ECDSA_SECP256R1_SHA256, message, sizeof message,
                             sig[i], &len[i]),
            0);
    }
    for (unsigned i = 0; i < KEYS_N * KEYS_N; i++) {
        unsigned by = i / KEYS_N, of = i % KEYS_N;
        assert_int_equal(verify(*state, &p[by], MILGI_SIG_ECDSA_SECP256R1_SHA256, sig[of], len[of]),
            by == of ? 0 : MILGI__BAD);
    }
    for (unsigned i = 0; i < KEYS_N; i++) {
        assert_int_equal(verify(*state, &p[i], MILGI_SIG_ECDSA_SECP256R1_SHA256, sig[i], len[i]), 0);
        pair_free(&p[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(a_key_is_not_taken_for_one_that_was_seen),
        crypto_test(every_key_signs_with_its_schemes_and_no_others),
        crypto_test(told_so_a_curve_goes_with_every_hash_of_ecdsa),
        crypto_test(a_hash_is_signed_as_its_message_would_be),
        crypto_test(a_curve_goes_with_every_hash_that_is_given),
        crypto_test(a_key_has_the_identifier_that_others_give_it),
        crypto_test(keys_do_not_mix),
        crypto_test(a_damaged_public_key_is_refused),
        crypto_test(short_rsa_keys_are_refused),
        crypto_test(long_rsa_keys_are_refused),
        crypto_test(rsa_exponents_are_bounded),
        crypto_test(a_key_verifies_nothing_of_a_scheme_that_is_not_its_own),
        crypto_test(a_salt_of_another_length_is_refused),
        crypto_test(the_point_at_infinity_is_no_key),
        crypto_test(signatures_are_written_as_libcrypto_writes_them),
        crypto_test(explicit_curve_parameters_are_refused),
        crypto_test(a_damaged_private_key_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
