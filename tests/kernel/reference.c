/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

void reference_seal(const uint8_t *key, size_t key_len, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
    const uint8_t *plain, size_t len, uint8_t *out)
{
    static EVP_CIPHER_CTX *contexts[2]; /* kept until the program ends */
    EVP_CIPHER_CTX **kept = &contexts[key_len == 32];
    int n = 0;

    if (!*kept) {
        *kept = EVP_CIPHER_CTX_new();
        assert_int_equal(EVP_EncryptInit_ex(*kept, key_len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm(), NULL, NULL,
                             NULL),
            1);
    }
    assert_int_equal(EVP_EncryptInit_ex(*kept, NULL, NULL, key, nonce), 1);
    if (aad_len > 0)
        assert_int_equal(EVP_EncryptUpdate(*kept, NULL, &n, aad, (int)aad_len), 1);
    if (len > 0)
        assert_int_equal(EVP_EncryptUpdate(*kept, out, &n, plain, (int)len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(*kept, out + len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(*kept, EVP_CTRL_AEAD_GET_TAG, 16, out + len), 1);
}

static uint64_t state = 1;

void random_seed(uint64_t seed)
{
    state = seed;
}

uint64_t random_bits(void)
{
    /* splitmix64 */
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t random_below(size_t n)
{
    return (size_t)(random_bits() % n);
}

void random_fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t bits = random_bits();
        memcpy(p + i, &bits, len - i < 8 ? len - i : 8);
    }
}
