/* SPDX-License-Identifier: Apache-2.0 */
/* EVP's digests, and BN, by libcrypto.c. */
#include "shim.h"

#include <ctype.h>

#include <openssl/bn.h>

#include "libcrypto.h"

/* An EVP_MD is the libcrypto's. */
struct evp_md_ctx_st {
    struct running_md *running;
    const EVP_MD *md;
    bool begun;
};

static const char not_begun[] = "a digest that has not begun, or has ended";

static int failed(const char *detail)
{
    LIB_ERR(ERR_LIB_EVP, ERR_R_PASSED_INVALID_ARGUMENT, detail);
    return 0;
}

const EVP_MD *EVP_sha1(void)
{
    return milgi__ssl_md("sha1");
}

const EVP_MD *EVP_sha224(void)
{
    return milgi__ssl_md("sha224");
}

const EVP_MD *EVP_sha256(void)
{
    return milgi__ssl_md("sha256");
}

const EVP_MD *EVP_sha384(void)
{
    return milgi__ssl_md("sha384");
}

const EVP_MD *EVP_sha512(void)
{
    return milgi__ssl_md("sha512");
}

/* "SHA256", "sha-256", "SHA2-256" are one. */
const EVP_MD *EVP_get_digestbyname(const char *name)
{
    char plain[8];
    size_t n = 0;
    if (name && strncasecmp(name, "sha2-", 5) == 0)
        n = (size_t)snprintf(plain, sizeof plain, "sha"), name += 5;
    else if (name && strncasecmp(name, "sha-", 4) == 0)
        n = (size_t)snprintf(plain, sizeof plain, "sha"), name += 4;
    for (; name && *name && n < sizeof plain - 1; name++)
        plain[n++] = (char)tolower((unsigned char)*name);
    plain[n] = 0;
    return name && !*name ? milgi__ssl_md(plain) : NULL;
}

int EVP_MD_get_size(const EVP_MD *md)
{
    if (!md) {
        failed("no digest");
        return -1;
    }
    return (int)milgi__ssl_md_size(md);
}

int EVP_MD_get_block_size(const EVP_MD *md)
{
    if (!md) {
        failed("no digest");
        return -1;
    }
    return (int)milgi__ssl_md_block_size(md);
}

EVP_MD_CTX *EVP_MD_CTX_new(void)
{
    EVP_MD_CTX *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        LIB_ERR(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE, NULL);
    return ctx;
}

int EVP_MD_CTX_reset(EVP_MD_CTX *ctx)
{
    if (ctx) {
        milgi__ssl_md_free(ctx->running);
        *ctx = (EVP_MD_CTX){ 0 };
    }
    return 1;
}

void EVP_MD_CTX_free(EVP_MD_CTX *ctx)
{
    EVP_MD_CTX_reset(ctx);
    free(ctx);
}

static bool has_room(EVP_MD_CTX *ctx)
{
    if (!ctx->running && !(ctx->running = milgi__ssl_md_new()))
        LIB_ERR(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE, NULL);
    return ctx->running != NULL;
}

int EVP_MD_CTX_copy_ex(EVP_MD_CTX *to, const EVP_MD_CTX *from)
{
    if (!from->begun)
        return failed("a digest that has not begun is not copied");
    if (to == from)
        return 1;
    if (!has_room(to) || !milgi__ssl_md_copy(to->running, from->running))
        return failed("the digest is not copied");
    to->md = from->md;
    to->begun = true;
    return 1;
}

int EVP_DigestInit_ex(EVP_MD_CTX *ctx, const EVP_MD *md, ENGINE *engine)
{
    (void)engine;
    md = md ? md : ctx->md;
    ctx->begun = false;
    if (!md)
        return failed("no digest");
    if (!has_room(ctx) || !milgi__ssl_md_begin(ctx->running, md))
        return failed("the digest does not begin");
    ctx->md = md;
    ctx->begun = true;
    return 1;
}

int EVP_DigestInit(EVP_MD_CTX *ctx, const EVP_MD *md)
{
    return EVP_MD_CTX_reset(ctx) && EVP_DigestInit_ex(ctx, md, NULL);
}

int EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *data, size_t n)
{
    if (n == 0)
        return 1;
    return (ctx->begun && milgi__ssl_md_add(ctx->running, data, n)) || failed(not_begun);
}

int EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *out, unsigned *n)
{
    bool begun = ctx->begun;
    ctx->begun = false;
    if (!begun || !milgi__ssl_md_end(ctx->running, out))
        return failed(not_begun);
    if (n)
        *n = (unsigned)milgi__ssl_md_size(ctx->md);
    return 1;
}

int EVP_DigestFinal(EVP_MD_CTX *ctx, unsigned char *out, unsigned *n)
{
    int rv = EVP_DigestFinal_ex(ctx, out, n);
    EVP_MD_CTX_reset(ctx);
    return rv;
}

int EVP_Digest(const void *data, size_t n, unsigned char *out, unsigned *out_n, const EVP_MD *md, ENGINE *engine)
{
    EVP_MD_CTX ctx = { 0 };
    int rv = EVP_DigestInit_ex(&ctx, md, engine) && EVP_DigestUpdate(&ctx, data, n) &&
        EVP_DigestFinal_ex(&ctx, out, out_n);
    EVP_MD_CTX_reset(&ctx);
    return rv;
}

int X509_digest(const X509 *x, const EVP_MD *md, unsigned char *out, unsigned *n)
{
    return EVP_Digest(x->der, x->len, out, n, md, NULL);
}

int PKCS5_PBKDF2_HMAC(const char *password, int password_n, const unsigned char *salt, int salt_n, int iterations,
    const EVP_MD *md, int n, unsigned char *out)
{
    size_t len = !password ? 0 : password_n < 0 ? strlen(password)
                                                : (size_t)password_n;
    if (!md || iterations < 1 || salt_n < 0 || n < 0)
        return failed("PBKDF2");
    return milgi__ssl_pbkdf2(md, password ? password : "", len, salt, (size_t)salt_n, (uint32_t)iterations, out,
               (size_t)n) ||
        failed("PBKDF2");
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

int BN_hex2bn(BIGNUM **number, const char *text)
{
    void *bn = number ? *number : NULL;
    int n = text ? milgi__ssl_bn_from_hex(&bn, text) : 0;
    if (number)
        *number = bn;
    else
        milgi__ssl_bn_free(bn);
    return n;
}

BIGNUM *BN_bin2bn(const unsigned char *bytes, int n, BIGNUM *into)
{
    BIGNUM *number = n < 0 ? NULL : milgi__ssl_bn_from_bytes(bytes, (size_t)n, into);
    if (!number)
        failed("a number");
    return number;
}

int BN_num_bits(const BIGNUM *number)
{
    return (int)milgi__ssl_bn_bits(number);
}

int BN_bn2bin(const BIGNUM *number, unsigned char *out)
{
    return (int)milgi__ssl_bn_bytes(number, out);
}

void BN_free(BIGNUM *number)
{
    milgi__ssl_bn_free(number);
}
