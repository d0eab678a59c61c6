/* SPDX-License-Identifier: Apache-2.0 */
/* cookie (RFC 8446 4.2.2): from a HelloRetryRequest into the second ClientHello. */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    size_t mark = milgi__write_begin(w, 2);
    milgi__write_bytes(w, from->cookie.p, from->cookie.len);
    milgi__write_end(w, mark, 2);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    (void)failure;
    struct milgi__reader cookie = milgi__read_vec(body, 2, 1, 0xffff);
    to->cookie = milgi__rest(&cookie);
    return true;
}

const struct milgi__ext milgi__ext_cookie = {
    .iana = 44,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_RETRY,
    .misplaced = "cookie in a wrong message",
    .malformed = "malformed cookie",
    .encode = encode,
    .decode = decode,
};
