/* SPDX-License-Identifier: Apache-2.0 */
/* DER, as far as certificates are looked into: elements of one byte of tag and at most three bytes of length. */
#include "shim.h"

bool milgi__ssl_der_next(struct der *in, uint8_t *tag, struct der *contents, struct der *whole)
{
    size_t at = 2, len;
    if (in->len < 2 || (in->data[0] & 0x1f) == 0x1f)
        return false;
    len = in->data[1];
    if (len & 0x80) {
        size_t n = len & 0x7f;
        if (n == 0 || n > 3 || in->len < 2 + n)
            return false;
        len = 0;
        while (n-- > 0)
            len = len << 8 | in->data[at++];
    }
    if (in->len - at < len)
        return false;
    *tag = in->data[0];
    *contents = (struct der){ in->data + at, len };
    if (whole)
        *whole = (struct der){ in->data, at + len };
    in->data += at + len;
    in->len -= at + len;
    return true;
}

bool milgi__ssl_der_take(struct der *in, uint8_t tag, struct der *contents)
{
    uint8_t is;
    return milgi__ssl_der_next(in, &is, contents, NULL) && is == tag;
}
