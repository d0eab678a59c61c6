/* SPDX-License-Identifier: Apache-2.0 */
/* supported_groups (RFC 8446 4.2.7). */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    size_t list = milgi__write_begin(w, 2);
    milgi__write_bytes(w, from->groups.p, from->groups.len);
    milgi__write_end(w, list, 2);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    struct milgi__reader list = milgi__read_vec(body, 2, 2, 0xffff);
    to->groups = milgi__rest(&list);
    if (to->groups.len % 2 != 0)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed supported_groups");
    return true;
}

const struct milgi__ext milgi__ext_groups = {
    .iana = 10,
    /* Servers of TLS 1.2 have no reason to send it, but there are some. */
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED | MILGI__IN_SERVER_HELLO12,
    .misplaced = "supported_groups in a wrong message",
    .malformed = "malformed supported_groups",
    .encode = encode,
    .decode = decode,
};
