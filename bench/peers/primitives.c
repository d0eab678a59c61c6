/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of a handshake by what OpenSSL, AWS-LC and BoringSSL have in common, contexts and keys made once.
 * Nothing that uses this libcrypto can be faster than their sum.
 */
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "peer.h"

/*
 * Verified by turns, since a client sees a signature once: verification takes time that depends on the signature, and
 * the processor foretells each branch of one that it has just seen.
 */
#define SIGNATURES 256u

static struct {
    EVP_PKEY_CTX *keygen, *derive, *sign[BENCH_KEYS], *verify[BENCH_KEYS];
    uint8_t digest[32];
    struct signature {
        uint8_t bytes[256];
        size_t len;
    } made[BENCH_KEYS][SIGNATURES];
    unsigned next;
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
    struct signature *s = &f.made[key][f.next++ % SIGNATURES];

    s->len = sizeof s->bytes;
    must(EVP_PKEY_sign(f.sign[key], s->bytes, &s->len, f.digest, sizeof f.digest) == 1);
}

static void verify(enum bench_key key)
{
    const struct signature *s = &f.made[key][f.next++ % SIGNATURES];

    must(EVP_PKEY_verify(f.verify[key], s->bytes, s->len, f.digest, sizeof f.digest) == 1);
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

    memset(f.digest, 0xa5, sizeof f.digest); /* of zero libcrypto verifies half of what it verifies of others */
    f.keygen = generator(EVP_PKEY_X25519);
    f.derive = EVP_PKEY_CTX_new(generated(EVP_PKEY_X25519), NULL);
    must(f.derive && EVP_PKEY_derive_init(f.derive) == 1 &&
        EVP_PKEY_derive_set_peer(f.derive, generated(EVP_PKEY_X25519)) == 1);
    for (int key = 0; key < BENCH_KEYS; key++) {
        EVP_PKEY *made = generated(types[key]);
        f.sign[key] = signer(made, EVP_PKEY_sign_init);
        f.verify[key] = signer(made, EVP_PKEY_verify_init);
        for (unsigned i = 0; i < SIGNATURES; i++)
            sign((enum bench_key)key);
    }
}

peer_primitive peer_primitive_at(unsigned i, const char **name)
{
    static const struct {
        const char *name;
        peer_primitive run;
    } all[] = { { "keygen", keygen }, { "derive", derive }, { "verify-ecdsa", verify_ecdsa }, { "sign-rsa", sign_rsa },
        { "verify-rsa", verify_rsa }, { "sign-ecdsa", sign_ecdsa } };

    if (!f.keygen)
        set_up();
    if (i >= sizeof all / sizeof all[0])
        return NULL;
    *name = all[i].name;
    return all[i].run;
}
