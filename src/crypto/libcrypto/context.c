/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a thread's state, and randomness. */
#include <openssl/err.h>

#include "crypto/libcrypto/libcrypto.h"

int milgi__fail(int result)
{
    ERR_clear_error();
    return result;
}

struct milgi__crypto *milgi__crypto_new(void)
{
    struct milgi__crypto *cx = milgi__alloc(sizeof *cx);
    uint8_t first;

    if (!cx)
        return NULL;
    /* The generator is seeded here, not in the middle of the first handshake. */
    if (milgi__flavour_setup(cx) != 0 || milgi__kex_setup(cx) != 0 || milgi__flavour_random(&first, 1) != 0) {
        milgi__crypto_free(cx);
        ERR_clear_error();
        return NULL;
    }
    cx->kernel = milgi__kernel_new(milgi__kernel_up_to);
    return cx;
}

void milgi__crypto_free(struct milgi__crypto *cx)
{
    if (!cx)
        return;
    milgi__kernel_free(cx->kernel);
    milgi__flavour_teardown(cx);
    milgi__kex_teardown(cx);
    milgi__certs_forget(cx);
    milgi__spki_forget(cx);
    milgi__free_wiped(cx, sizeof *cx);
}

void milgi__crypto_idle(struct milgi__crypto *cx)
{
    milgi__kernel_wipe(cx->kernel);
    milgi__flavour_idle(cx);
    /* Its pool keeps intermediate values of scalar multiplications; it is made again when it is needed. */
    BN_CTX_free(cx->bn);
    cx->bn = NULL;
    milgi__wipe(cx->random, sizeof cx->random);
    cx->random_left = 0;
}

int milgi__crypto_random(void *store, uint8_t *out, size_t len)
{
    struct milgi__crypto *cx = store;

    if (!cx || len > sizeof cx->random / 4)
        return milgi__flavour_random(out, len);
    if (cx->random_left < len) {
        int result = milgi__flavour_random(cx->random, sizeof cx->random);
        if (result != 0)
            return result;
        cx->random_left = sizeof cx->random;
    }
    uint8_t *from = cx->random + sizeof cx->random - cx->random_left;
    memcpy(out, from, len);
    milgi__wipe(from, len);
    cx->random_left -= len;
    return 0;
}
