/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes, as many as a prime, over and over: a connection's text begins at a place of its own. Comparing with
 * them sees all that a checksum sees, and that the bytes are not another connection's.
 */
#include "load.h"

#include <string.h>

#define PERIOD 1048573u

static uint8_t text[PERIOD + TEXT_SPAN];

void text_init(void)
{
    uint64_t state = 1;
    for (size_t i = 0; i < PERIOD; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        text[i] = (uint8_t)(state >> 56);
    }
    memcpy(text + PERIOD, text, TEXT_SPAN);
}

const uint8_t *text_at(uint64_t start, uint64_t offset)
{
    return text + (start + offset) % PERIOD;
}

bool text_is(uint64_t start, uint64_t offset, const uint8_t *data, size_t len)
{
    while (len) {
        size_t n = len < TEXT_SPAN ? len : TEXT_SPAN;
        if (memcmp(data, text_at(start, offset), n))
            return false;
        data += n;
        offset += n;
        len -= n;
    }
    return true;
}
