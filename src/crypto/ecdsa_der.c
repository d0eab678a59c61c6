/* SPDX-License-Identifier: Apache-2.0 */
/* The two forms of an ECDSA signature. */
#include "base/base.h"
#include "crypto/crypto.h"

#define NUMBER_MAX 66 /* of P-521 */
#define INTEGER 0x02
#define SEQUENCE 0x30

/* A positive INTEGER of the shortest form: X.690 8.3.2 and 10.1. Returns its length, at most |len| + 3. */
static size_t write_integer(const uint8_t *number, size_t len, uint8_t *out)
{
    size_t at = 0;

    while (len > 1 && number[0] == 0) {
        number++;
        len--;
    }
    bool padded = (number[0] & 0x80) != 0; /* else it would be negative */
    out[at++] = INTEGER;
    out[at++] = (uint8_t)(len + padded);
    if (padded)
        out[at++] = 0;
    memcpy(out + at, number, len);
    return at + len;
}

int milgi__ecdsa_der(const uint8_t *raw, size_t raw_len, uint8_t *out, size_t *out_len)
{
    uint8_t body[2 * (NUMBER_MAX + 3)];
    size_t half = raw_len / 2, at = 0;

    if (raw_len == 0 || raw_len % 2 != 0 || half > NUMBER_MAX)
        return MILGI__BROKEN;
    size_t len = write_integer(raw, half, body);
    len += write_integer(raw + half, half, body + len);
    if (*out_len < len + 3)
        return MILGI__BROKEN;
    out[at++] = SEQUENCE;
    if (len > 127)
        out[at++] = 0x81;
    out[at++] = (uint8_t)len;
    memcpy(out + at, body, len);
    *out_len = at + len;
    return 0;
}
