/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of a handshake by what OpenSSL, AWS-LC and BoringSSL have in common, contexts and keys made once.
 * Nothing that uses this libcrypto can be faster than their sum.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "peer.h"

static struct {
    EVP_PKEY_CTX *keygen, *derive, *sign[BENCH_KEYS], *verify[BENCH_KEYS];
    uint8_t digest[32], signature[BENCH_KEYS][512];
    size_t signature_len[BENCH_KEYS];
} f;

static void must(bool ok)
{
    if (!ok)
        bench_die("libcrypto: a primitive failed");
}

static void keygen(void)
{
    EVP_PKEY *key = NULL;

    must(EVP_PKEY_keygen(f.keygen, &key) == 1);
    EVP_PKEY_free(key);
}

static void derive(void)
{
    uint8_t secret[32];
    size_t len = sizeof secret;

    must(EVP_PKEY_derive(f.derive, secret, &len) == 1);
}

static void sign(enum bench_key key)
{
    f.signature_len[key] = sizeof f.signature[key];
    must(EVP_PKEY_sign(f.sign[key], f.signature[key], &f.signature_len[key], f.digest, sizeof f.digest) == 1);
}

static void verify(enum bench_key key)
{
    must(EVP_PKEY_verify(f.verify[key], f.signature[key], f.signature_len[key], f.digest, sizeof f.digest) == 1);
}

static void sign_ecdsa(void)
{
    sign(BENCH_ECDSA_P256);
}

static void sign_rsa(void)
{
    sign(BENCH_RSA_2048);
}

static void verify_ecdsa(void)
{
    verify(BENCH_ECDSA_P256);
}

static void verify_rsa(void)
{
    verify(BENCH_RSA_2048);
}

/* --- set up ----------------------------------------------------------------------------------------------------- */

static EVP_PKEY_CTX *generator(int type)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(type, NULL);

    must(ctx && EVP_PKEY_keygen_init(ctx) == 1);
    if (type == EVP_PKEY_EC)
        must(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) == 1);
    if (type == EVP_PKEY_RSA)
        must(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1);
    return ctx;
}

static EVP_PKEY *generated(int type)
{
    EVP_PKEY_CTX *ctx = generator(type);
    EVP_PKEY *key = NULL;

    must(EVP_PKEY_keygen(ctx, &key) == 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY_CTX *signer(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

    must(ctx && init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1);
    if (EVP_PKEY_id(key) == EVP_PKEY_RSA)
        must(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, -1) == 1);
    return ctx;
}

static void set_up(void)
{
    static const int types[BENCH_KEYS] = { EVP_PKEY_EC, EVP_PKEY_RSA };

    f.keygen = generator(EVP_PKEY_X25519);
    f.derive = EVP_PKEY_CTX_new(generated(EVP_PKEY_X25519), NULL);
    must(f.derive && EVP_PKEY_derive_init(f.derive) == 1 &&
        EVP_PKEY_derive_set_peer(f.derive, generated(EVP_PKEY_X25519)) == 1);
    for (int key = 0; key < BENCH_KEYS; key++) {
        EVP_PKEY *made = generated(types[key]);
        f.sign[key] = signer(made, EVP_PKEY_sign_init);
        f.verify[key] = signer(made, EVP_PKEY_verify_init);
        sign((enum bench_key)key);
    }
}

peer_primitive peer_primitive_at(unsigned i, const char **name)
{
    static const struct {
        const char *name;
        peer_primitive run;
    } all[] = { { "keygen", keygen }, { "derive", derive }, { "sign-ecdsa", sign_ecdsa },
        { "verify-ecdsa", verify_ecdsa }, { "sign-rsa", sign_rsa }, { "verify-rsa", verify_rsa } };

    if (!f.keygen)
        set_up();
    if (i >= sizeof all / sizeof all[0])
        return NULL;
    *name = all[i].name;
    return all[i].run;
}
