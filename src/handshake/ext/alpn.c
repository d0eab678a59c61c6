/* SPDX-License-Identifier: Apache-2.0 */
/* application_layer_protocol_negotiation (RFC 7301 3.1). */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    size_t list = milgi__write_begin(w, 2);
    milgi__write_bytes(w, from->alpn.p, from->alpn.len);
    milgi__write_end(w, list, 2);
}

bool milgi__alpn_next(struct milgi__reader *list, struct milgi__bytes *name)
{
    if (milgi__left(list) == 0)
        return false;
    /*= RFC7301 3.1: "Empty strings MUST NOT be included and byte strings MUST NOT be truncated." */
    struct milgi__reader one = milgi__read_vec(list, 1, 1, 255);
    *name = milgi__rest(&one);
    return !list->bad;
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    struct milgi__reader list = milgi__read_vec(body, 2, 2, 0xffff);
    to->alpn = (struct milgi__bytes){ list.p, milgi__left(&list) };
    struct milgi__bytes name;
    unsigned n = 0;
    while (milgi__alpn_next(&list, &name))
        n++;
    if (list.bad)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed list of protocols");
    /*= RFC7301 3.1: "except that the "ProtocolNameList" MUST contain exactly one "ProtocolName"." */
    if (place != MILGI__IN_CLIENT_HELLO && n > 1)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "the server chose more than one protocol");
    return true;
}

const struct milgi__ext milgi__ext_alpn = {
    .iana = 16,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED | MILGI__IN_SERVER_HELLO12,
    .misplaced = "application_layer_protocol_negotiation in a wrong message",
    .malformed = "malformed application_layer_protocol_negotiation",
    .encode = encode,
    .decode = decode,
};
