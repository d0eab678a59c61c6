/* SPDX-License-Identifier: Apache-2.0 */
/* supported_versions (RFC 8446 4.2.1): the client's list, the server's choice. */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    if (place != MILGI__IN_CLIENT_HELLO) {
        milgi__write16(w, from->version);
        return;
    }
    size_t list = milgi__write_begin(w, 1);
    milgi__write_bytes(w, from->versions.p, from->versions.len);
    milgi__write_end(w, list, 1);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    if (place != MILGI__IN_CLIENT_HELLO) {
        to->version = (uint16_t)milgi__read16(body);
        return true;
    }
    struct milgi__reader list = milgi__read_vec(body, 1, 2, 254);
    to->versions = milgi__rest(&list);
    if (to->versions.len % 2 != 0)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed supported_versions");
    return true;
}

const struct milgi__ext milgi__ext_versions = {
    .iana = 43,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO | MILGI__IN_RETRY,
    .misplaced = "supported_versions in a wrong message",
    .malformed = "malformed supported_versions",
    .encode = encode,
    .decode = decode,
};
