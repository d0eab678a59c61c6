/* SPDX-License-Identifier: Apache-2.0 */
/* Verification with keys that are put together from their parts, since OpenSSL 3.0 is slow to decode one. */
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "crypto/openssl3/openssl3.h"

static const char ec_names[MILGI__NIST_CURVES][6] = { "P-256", "P-384", "P-521" };

int milgi__verify_setup(struct milgi__flavour *own)
{
    EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    bool ok = import && EVP_PKEY_fromdata_init(import) == 1;

    for (size_t i = 0; ok && i < MILGI__NIST_CURVES; i++) {
        char name[sizeof ec_names[i]];
        memcpy(name, ec_names[i], sizeof name);
        OSSL_PARAM params[2] = { OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
            OSSL_PARAM_construct_end() };
        ok = EVP_PKEY_fromdata(import, &own->ec_key[i], EVP_PKEY_KEY_PARAMETERS, params) == 1;
        if (ok)
            own->ec_verify[i] = EVP_PKEY_CTX_new_from_pkey(NULL, own->ec_key[i], NULL);
        ok = ok && own->ec_verify[i];
    }
    EVP_PKEY_CTX_free(import);
    own->rsa_import = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    own->eddsa = EVP_MD_CTX_new();
    ok = ok && own->eddsa && own->rsa_import && EVP_PKEY_fromdata_init(own->rsa_import) == 1;
    return ok ? 0 : MILGI__BROKEN;
}

void milgi__verify_teardown(struct milgi__flavour *own)
{
    for (size_t i = 0; i < MILGI__NIST_CURVES; i++) {
        EVP_PKEY_CTX_free(own->ec_verify[i]);
        EVP_PKEY_free(own->ec_key[i]);
    }
    EVP_PKEY_CTX_free(own->rsa_import);
    EVP_MD_CTX_free(own->eddsa);
}

/* EVP's answers: 1 good, 0 or negative not; it does not tell malformed signatures from failures of its own. */
static int verdict(int result)
{
    return result == 1 ? 0 : milgi__fail(MILGI__BAD);
}

int milgi__verify_ec(struct milgi__crypto *cx, const struct milgi__spki *spki, const struct milgi__scheme_hash *hash,
    const uint8_t *sig, size_t sig_len)
{
    size_t i = (size_t)(spki->type - MILGI__KEY_P256);

    /* Checks that the point is on the curve, but takes infinity, whose form is one byte. When it fails, what the key
     * then holds is not used. */
    if (spki->key_len <= 1 ||
        EVP_PKEY_set1_encoded_public_key(cx->own->ec_key[i], spki->key, spki->key_len) != 1)
        return milgi__fail(MILGI__BAD);
    if (EVP_PKEY_verify_init(cx->own->ec_verify[i]) != 1)
        return milgi__fail(MILGI__BROKEN);
    return verdict(EVP_PKEY_verify(cx->own->ec_verify[i], sig, sig_len, hash->value, hash->len));
}

static EVP_PKEY *import_rsa(struct milgi__crypto *cx, const struct milgi__spki *spki)
{
    uint8_t n[MILGI__RSA_VERIFY_MAX / 8], e[sizeof(uint64_t)];
    EVP_PKEY *key = NULL;
    int n_len = BN_num_bytes(spki->n), e_len = BN_num_bytes(spki->e);

    if (BN_bn2nativepad(spki->n, n, n_len) < 0 || BN_bn2nativepad(spki->e, e, e_len) < 0)
        return NULL;
    OSSL_PARAM params[3] = { OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, (size_t)n_len),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e, (size_t)e_len), OSSL_PARAM_construct_end() };
    return EVP_PKEY_fromdata(cx->own->rsa_import, &key, EVP_PKEY_PUBLIC_KEY, params) == 1 ? key : NULL;
}

int milgi__verify_rsa(struct milgi__crypto *cx, const struct milgi__spki *spki, uint16_t scheme,
    const struct milgi__scheme_hash *hash, const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY *key = import_rsa(cx, spki);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    int result = MILGI__BAD;

    if (ctx && EVP_PKEY_verify_init(ctx) == 1 && milgi__scheme_configure(ctx, scheme, hash->md))
        result = verdict(EVP_PKEY_verify(ctx, sig, sig_len, hash->value, hash->len));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return milgi__fail(result);
}

/* By a key that is some bytes, over the input itself. */
static int verify_raw(struct milgi__crypto *cx, const char *name, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, spki->key, spki->key_len);
    int result = MILGI__BROKEN;

    if (key && EVP_DigestVerifyInit_ex(cx->own->eddsa, NULL, NULL, NULL, NULL, key, NULL) == 1)
        result = verdict(EVP_DigestVerify(cx->own->eddsa, sig, sig_len, input, input_len));
    EVP_MD_CTX_reset(cx->own->eddsa);
    EVP_PKEY_free(key);
    return result == 0 ? 0 : milgi__fail(result);
}

/* draft-ietf-tls-mldsa: the context of FIPS 204 is empty. */
int milgi__verify_mldsa(struct milgi__crypto *cx, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    return verify_raw(cx, milgi__mldsa_name(spki->type), spki, input, input_len, sig, sig_len);
}

int milgi__verify_ed25519(struct milgi__crypto *cx, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    return verify_raw(cx, "ED25519", spki, input, input_len, sig, sig_len);
}
