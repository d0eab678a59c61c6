/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of Diffie-Hellman in finite fields: read, handed about, and never used. */
#include "shim.h"

#include <openssl/bn.h>

struct evp_pkey_st {
    uint8_t *der;
    size_t len;
};

struct ossl_decoder_ctx_st {
    EVP_PKEY **key;
    bool wanted; /* it is what can be read */
};

void EVP_PKEY_free(EVP_PKEY *key)
{
    if (key)
        free(key->der);
    free(key);
}

DH *DH_new(void)
{
    DH *dh = calloc(1, sizeof *dh);
    if (!dh)
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
    return dh;
}

int DH_set0_pqg(DH *dh, BIGNUM *p, BIGNUM *q, BIGNUM *g)
{
    if (!dh || !p || !g)
        return 0;
    BN_free(p);
    BN_free(q);
    BN_free(g);
    return 1;
}

OSSL_DECODER_CTX *OSSL_DECODER_CTX_new_for_pkey(EVP_PKEY **key, const char *input, const char *structure,
    const char *type, int selection, OSSL_LIB_CTX *lib, const char *properties)
{
    OSSL_DECODER_CTX *ctx = calloc(1, sizeof *ctx);
    (void)structure;
    (void)lib;
    (void)properties;
    if (!ctx) {
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
        return NULL;
    }
    ctx->key = key;
    ctx->wanted = (!input || strcasecmp(input, "PEM") == 0) && (!type || strcasecmp(type, "DH") == 0) &&
        (selection == 0 || selection == OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS);
    return ctx;
}

void OSSL_DECODER_CTX_free(OSSL_DECODER_CTX *ctx)
{
    free(ctx);
}

/* DHParameter of PKCS #3: a prime, a base, and perhaps a length. */
static bool is_dh(const uint8_t *bytes, size_t len)
{
    struct der in = { bytes, len }, all, prime, base;
    return milgi__ssl_der_take(&in, 0x30, &all) && in.len == 0 && milgi__ssl_der_take(&all, 2, &prime) &&
        milgi__ssl_der_take(&all, 2, &base) && prime.len > 1 && base.len > 0;
}

static EVP_PKEY *parameters(const struct text *text)
{
    static const char head[] = "-----BEGIN DH PARAMETERS-----";
    size_t at = 0, begin, end;
    EVP_PKEY *key = calloc(1, sizeof *key);

    while (key && milgi__ssl_pem_next(text, &at, "DH PARAMETERS", &begin, &end)) {
        bool fits = end - begin > sizeof head && memcmp(text->data + begin, head, sizeof head - 1) == 0;
        if (fits && milgi__ssl_pem_decode(text->data + begin, end - begin, &key->der, &key->len)) {
            if (is_dh(key->der, key->len))
                return key;
            free(key->der);
            key->der = NULL;
        }
    }
    EVP_PKEY_free(key);
    return NULL;
}

/* What |bio| has to its end; NULL with an error in the queue. */
static EVP_PKEY *read_parameters(BIO *bio)
{
    struct text text = { 0 };
    char block[4096];
    int n;
    bool ok = true;

    while (ok && (n = BIO_read(bio, block, sizeof block)) > 0)
        ok = text.len <= FILE_LIMIT && milgi__ssl_append(&text, block, (size_t)n);
    EVP_PKEY *key = ok && text.len ? parameters(&text) : NULL;
    milgi__ssl_text_free(&text);
    if (!key)
        LIB_ERR(ERR_LIB_PEM, PEM_R_NO_START_LINE, "no parameters of Diffie-Hellman");
    return key;
}

DH *PEM_read_bio_DHparams(BIO *bio, DH **dh, pem_password_cb *cb, void *arg)
{
    EVP_PKEY *key = read_parameters(bio);
    (void)cb;
    (void)arg;
    if (key && dh) {
        EVP_PKEY_free(*dh);
        *dh = key;
    }
    return key;
}

DH *PEM_read_DHparams(FILE *file, DH **dh, pem_password_cb *cb, void *arg)
{
    BIO *bio = BIO_new_fp(file, BIO_NOCLOSE);
    DH *read = bio ? PEM_read_bio_DHparams(bio, dh, cb, arg) : NULL;
    BIO_free(bio);
    return read;
}

int OSSL_DECODER_from_fp(OSSL_DECODER_CTX *ctx, FILE *file)
{
    EVP_PKEY *key = NULL;
    if (ctx->wanted)
        key = PEM_read_DHparams(file, NULL, NULL, NULL);
    else
        LIB_ERR(ERR_LIB_PEM, ERR_R_UNSUPPORTED, "nothing but parameters of Diffie-Hellman is read");
    if (key)
        *ctx->key = key;
    return key != NULL;
}

/* There are no suites that would use them. */
int SSL_CTX_set0_tmp_dh_pkey(SSL_CTX *ctx, EVP_PKEY *key)
{
    (void)ctx;
    EVP_PKEY_free(key);
    return 1;
}

long SSL_CTX_set_tmp_dh(SSL_CTX *ctx, DH *dh)
{
    (void)ctx;
    if (!dh)
        SSL_ERR(ERR_R_PASSED_NULL_PARAMETER, NULL);
    return dh != NULL;
}
