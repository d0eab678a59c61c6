/* SPDX-License-Identifier: Apache-2.0 */
/* signed_certificate_timestamp (RFC 6962 3.3): carried, and left to the application to judge. */
#include "handshake/ext/ext.h"

#define HAS_LIST (MILGI__IN_CERTIFICATE | MILGI__IN_SERVER_HELLO12)

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    /*= RFC6962 3.3.1: "Clients that support the extension SHOULD send a ClientHello extension with the appropriate type
     *= and empty "extension_data"." */
    if ((place & HAS_LIST) != 0)
        milgi__write_bytes(w, from->timestamps.p, from->timestamps.len);
}

bool milgi__timestamps_ok(struct milgi__bytes list)
{
    struct milgi__reader body = milgi__reader_of(list);
    struct milgi__reader r = milgi__read_vec(&body, 2, 1, 0xffff);
    while (milgi__left(&r) != 0)
        milgi__read_vec(&r, 2, 1, 0xffff);
    return !r.bad && milgi__reader_done(&body);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    if ((place & HAS_LIST) == 0)
        return true;
    to->timestamps = milgi__rest(body);
    if (!milgi__timestamps_ok(to->timestamps))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed signed_certificate_timestamp");
    return true;
}

const struct milgi__ext milgi__ext_timestamps = {
    .iana = 18,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_REQUEST | HAS_LIST,
    .misplaced = "signed_certificate_timestamp in a wrong message",
    .malformed = "malformed signed_certificate_timestamp",
    .encode = encode,
    .decode = decode,
};
