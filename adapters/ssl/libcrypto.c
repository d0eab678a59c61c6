/* SPDX-License-Identifier: Apache-2.0 */
/* The one file of the shim that is compiled with AWS-LC's headers, and without the shim's. */
#include "libcrypto.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

const void *milgi__ssl_md(const char *name)
{
    static const struct {
        const char *name;
        const EVP_MD *(*md)(void);
    } all[] = { { "sha1", EVP_sha1 }, { "sha224", EVP_sha224 }, { "sha256", EVP_sha256 }, { "sha384", EVP_sha384 },
        { "sha512", EVP_sha512 } };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].md();
    return NULL;
}

size_t milgi__ssl_md_size(const void *md)
{
    return EVP_MD_size(md);
}

size_t milgi__ssl_md_block_size(const void *md)
{
    return EVP_MD_block_size(md);
}

/* What AWS-LC has to say of a failure nobody here can ask for. */
static bool done(int rv)
{
    if (rv != 1)
        ERR_clear_error();
    return rv == 1;
}

struct running_md *milgi__ssl_md_new(void)
{
    return (struct running_md *)EVP_MD_CTX_new();
}

void milgi__ssl_md_free(struct running_md *running)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)running);
}

bool milgi__ssl_md_begin(struct running_md *running, const void *md)
{
    return done(EVP_DigestInit_ex((EVP_MD_CTX *)running, md, NULL));
}

bool milgi__ssl_md_add(struct running_md *running, const void *data, size_t len)
{
    return done(EVP_DigestUpdate((EVP_MD_CTX *)running, data, len));
}

bool milgi__ssl_md_end(struct running_md *running, uint8_t out[MD_MAX])
{
    return done(EVP_DigestFinal_ex((EVP_MD_CTX *)running, out, NULL));
}

bool milgi__ssl_md_copy(struct running_md *to, const struct running_md *from)
{
    return done(EVP_MD_CTX_copy_ex((EVP_MD_CTX *)to, (const EVP_MD_CTX *)from));
}

bool milgi__ssl_pbkdf2(const void *md, const char *password, size_t password_len, const uint8_t *salt, size_t salt_len,
    uint32_t iterations, uint8_t *out, size_t len)
{
    return done(PKCS5_PBKDF2_HMAC(password, password_len, salt, salt_len, iterations, md, len, out));
}

int milgi__ssl_bn_from_hex(void **number, const char *text)
{
    BIGNUM *bn = *number;
    int n = BN_hex2bn(&bn, text);
    if (n == 0)
        ERR_clear_error();
    *number = bn;
    return n;
}

void *milgi__ssl_bn_from_bytes(const uint8_t *bytes, size_t len, void *into)
{
    return BN_bin2bn(bytes, len, into);
}

unsigned milgi__ssl_bn_bits(const void *number)
{
    return BN_num_bits(number);
}

size_t milgi__ssl_bn_bytes(const void *number, uint8_t *out)
{
    return BN_bn2bin(number, out);
}

void milgi__ssl_bn_free(void *number)
{
    BN_clear_free(number);
}
