/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libcrypto alone takes for the primitives, called in the cheapest way that it has: contexts and keys made once.
 * Nothing that uses this libcrypto can be faster than the sum.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "first.h"

#define RECORD 16384
#define SMALL 64

static struct {
    EVP_PKEY_CTX *keygen, *derive, *sign[BENCH_KEYS], *verify[BENCH_KEYS];
    EVP_PKEY *x25519, *peer, *key[BENCH_KEYS];
    EVP_CIPHER_CTX *aead[3];
    uint8_t digest[32], signature[BENCH_KEYS][512];
    size_t signature_len[BENCH_KEYS];
    uint8_t in[RECORD + 64], out[RECORD + 64];
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

    must(EVP_PKEY_derive_set_peer_ex(f.derive, f.peer, 0) == 1 && EVP_PKEY_derive(f.derive, secret, &len) == 1);
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

static void seal(unsigned suite, int len)
{
    static const uint8_t nonce[12], aad[5];
    uint8_t tag[16];
    OSSL_PARAM params[2] = { OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof tag),
        OSSL_PARAM_construct_end() };
    int n;

    must(EVP_EncryptInit_ex2(f.aead[suite], NULL, NULL, nonce, NULL) == 1 &&
        EVP_EncryptUpdate(f.aead[suite], NULL, &n, aad, sizeof aad) == 1 &&
        EVP_EncryptUpdate(f.aead[suite], f.out, &n, f.in, len) == 1 &&
        EVP_EncryptFinal_ex(f.aead[suite], f.out + len, &n) == 1 &&
        EVP_CIPHER_CTX_get_params(f.aead[suite], params) == 1);
}

static void run(enum floor_id id)
{
    switch (id) {
    case FLOOR_KEYGEN: keygen(); break;
    case FLOOR_DERIVE: derive(); break;
    case FLOOR_ECDSA_SIGN: sign(BENCH_ECDSA_P256); break;
    case FLOOR_ECDSA_VERIFY: verify(BENCH_ECDSA_P256); break;
    case FLOOR_RSA_SIGN: sign(BENCH_RSA_2048); break;
    case FLOOR_RSA_VERIFY: verify(BENCH_RSA_2048); break;
    case FLOOR_AES_128: seal(0, RECORD); break;
    case FLOOR_AES_256: seal(1, RECORD); break;
    case FLOOR_CHACHA: seal(2, RECORD); break;
    default: seal(0, SMALL); break;
    }
}

void floor_setup(struct floor floors[FLOORS])
{
    static const char *const names[FLOORS] = { [FLOOR_KEYGEN] = "X25519 EVP_PKEY_keygen",
        [FLOOR_DERIVE] = "X25519 derive",
        [FLOOR_ECDSA_SIGN] = "ECDSA P-256 sign",
        [FLOOR_ECDSA_VERIFY] = "ECDSA P-256 verify",
        [FLOOR_RSA_SIGN] = "RSA-PSS 2048 sign",
        [FLOOR_RSA_VERIFY] = "RSA-PSS 2048 verify",
        [FLOOR_AES_128] = "AES-128-GCM 16 KiB",
        [FLOOR_AES_256] = "AES-256-GCM 16 KiB",
        [FLOOR_CHACHA] = "ChaCha20-Poly1305 16 KiB",
        [FLOOR_AES_128_SMALL] = "AES-128-GCM 64 B" };
    static const char *const ciphers[3] = { "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305" };

    f.x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    f.peer = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    f.keygen = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    f.derive = EVP_PKEY_CTX_new_from_pkey(NULL, f.x25519, NULL);
    must(EVP_PKEY_keygen_init(f.keygen) == 1 && EVP_PKEY_derive_init(f.derive) == 1);
    f.key[BENCH_ECDSA_P256] = EVP_EC_gen("P-256");
    f.key[BENCH_RSA_2048] = EVP_RSA_gen(2048u);
    for (int key = 0; key < BENCH_KEYS; key++) {
        f.sign[key] = EVP_PKEY_CTX_new_from_pkey(NULL, f.key[key], NULL);
        f.verify[key] = EVP_PKEY_CTX_new_from_pkey(NULL, f.key[key], NULL);
        must(EVP_PKEY_sign_init(f.sign[key]) == 1 && EVP_PKEY_verify_init(f.verify[key]) == 1 &&
            EVP_PKEY_CTX_set_signature_md(f.sign[key], EVP_sha256()) == 1 &&
            EVP_PKEY_CTX_set_signature_md(f.verify[key], EVP_sha256()) == 1);
    }
    must(EVP_PKEY_CTX_set_rsa_padding(f.sign[BENCH_RSA_2048], RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(f.verify[BENCH_RSA_2048], RSA_PKCS1_PSS_PADDING) == 1);
    for (int i = 0; i < 3; i++) {
        static const uint8_t key[32];
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, ciphers[i], NULL);
        f.aead[i] = EVP_CIPHER_CTX_new();
        must(EVP_EncryptInit_ex2(f.aead[i], cipher, key, key, NULL) == 1);
        EVP_CIPHER_free(cipher);
    }
    for (unsigned i = 0; i < FLOORS; i++) {
        floors[i] = (struct floor){ .name = names[i] };
        run(i);
    }
}

void floor_round(struct floor floors[FLOORS])
{
    for (unsigned i = 0; i < FLOORS; i++) {
        struct bench_samples one = { 0 };
        for (int k = 0; k < 15; k++) {
            bench_span_begin();
            run(i);
            bench_samples_add(&one, (double)bench_span_end().own_ns);
        }
        bench_samples_add(&floors[i].ns, bench_samples_median(&one));
        bench_samples_free(&one);
    }
}

void floor_end(struct floor floors[FLOORS])
{
    for (unsigned i = 0; i < FLOORS; i++)
        bench_samples_free(&floors[i].ns);
    for (int key = 0; key < BENCH_KEYS; key++) {
        EVP_PKEY_CTX_free(f.sign[key]);
        EVP_PKEY_CTX_free(f.verify[key]);
        EVP_PKEY_free(f.key[key]);
    }
    for (int i = 0; i < 3; i++)
        EVP_CIPHER_CTX_free(f.aead[i]);
    EVP_PKEY_CTX_free(f.keygen);
    EVP_PKEY_CTX_free(f.derive);
    EVP_PKEY_free(f.x25519);
    EVP_PKEY_free(f.peer);
}
