/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the NSS key log format. */
#include "keys/keys.h"

static char *hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

size_t milgi__keylog_line(char *out, size_t cap, const char *label, const uint8_t client_random[32],
    const uint8_t *secret, size_t secret_len)
{
    size_t label_len = strlen(label), len = label_len + 1 + 64 + 1 + 2 * secret_len;
    if (len + 1 > cap)
        return 0;
    memcpy(out, label, label_len);
    out += label_len;
    *out++ = ' ';
    out = hex(out, client_random, 32);
    *out++ = ' ';
    *hex(out, secret, secret_len) = 0;
    return len;
}
