/* SPDX-License-Identifier: Apache-2.0 */
#include "forge.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "cert/cert.h"

#define SIGNATURE_MAX 2048 /* of an RSA key of 16384 bits */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "forge: %s\n", what);
    abort();
}

static void add24(struct pair_bytes *m, size_t v)
{
    uint8_t bytes[3] = { (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    pair_bytes_add(m, bytes, 3);
}

void forge_certificate(struct pair_bytes *m, const struct identity *const *chain, size_t n)
{
    struct pair_bytes list = { 0 };
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += 3 + chain[i]->cert_der_len + 2;
    pair_bytes_add(&list, "", 1); /* no context */
    add24(&list, len);
    for (size_t i = 0; i < n; i++) {
        add24(&list, chain[i]->cert_der_len);
        pair_bytes_add(&list, chain[i]->cert_der, chain[i]->cert_der_len);
        pair_bytes_add(&list, "\0", 2); /* no extensions */
    }
    liar_splice(m, 4, m->len - 4, list.p, list.len);
    free(list.p);
}

static const EVP_MD *hash_of(uint16_t how)
{
    switch (how) {
    case MILGI_SIG_ED25519: return NULL;
    case MILGI_SIG_ECDSA_SECP384R1_SHA384:
    case MILGI_SIG_RSA_PSS_RSAE_SHA384:
    case MILGI_SIG_RSA_PSS_PSS_SHA384:
    case MILGI_SIG_RSA_PKCS1_SHA384: return EVP_sha384();
    case MILGI_SIG_ECDSA_SECP521R1_SHA512:
    case MILGI_SIG_RSA_PSS_RSAE_SHA512:
    case MILGI_SIG_RSA_PSS_PSS_SHA512:
    case MILGI_SIG_RSA_PKCS1_SHA512: return EVP_sha512();
    default: return EVP_sha256();
    }
}

static size_t sign(EVP_PKEY *key, uint16_t how, const uint8_t *input, size_t len, uint8_t out[SIGNATURE_MAX])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    size_t out_len = SIGNATURE_MAX;
    must(ctx && EVP_DigestSignInit(ctx, &pctx, hash_of(how), NULL, key) == 1, "a key that cannot sign");
    bool pkcs1 = how == MILGI_SIG_RSA_PKCS1_SHA256 || how == MILGI_SIG_RSA_PKCS1_SHA384 ||
        how == MILGI_SIG_RSA_PKCS1_SHA512;
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        must(EVP_PKEY_CTX_set_rsa_padding(pctx, pkcs1 ? RSA_PKCS1_PADDING : RSA_PKCS1_PSS_PADDING) == 1 &&
                (pkcs1 || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1),
            "padding");
    must(EVP_DigestSign(ctx, out, &out_len, input, len) == 1, "sign");
    EVP_MD_CTX_free(ctx);
    return out_len;
}

void forge_verify(struct liar *liar, struct pair_bytes *m, const struct identity *whose, uint16_t how, uint16_t scheme)
{
    uint8_t hash[MILGI__HASH_MAX], input[MILGI_SIGN_INPUT_MAX], body[4 + SIGNATURE_MAX];
    must(milgi__transcript_hash(&liar->transcript, liar->cx, hash) == 0, "transcript");
    bool by_server = liar->setup.role == MILGI_SERVER;
    size_t len = milgi__certificate_verify_input(by_server, hash, milgi__hash_len(liar->suite->hash), input);
    size_t sig_len = sign(whose->private_key, how, input, len, body + 4);
    milgi__put16(body, scheme);
    milgi__put16(body + 2, (unsigned)sig_len);
    liar_splice(m, 4, m->len - 4, body, 4 + sig_len);
}
