/* SPDX-License-Identifier: Apache-2.0 */
/* certificate_authorities (RFC 8446 4.2.4): a hint, read for its form only. */
#include "handshake/ext/ext.h"

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    (void)to;
    struct milgi__reader list = milgi__read_vec(body, 2, 3, 0xffff);
    while (milgi__left(&list) != 0)
        milgi__read_vec(&list, 2, 1, 0xffff);
    if (list.bad)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed certificate_authorities");
    return true;
}

const struct milgi__ext milgi__ext_authorities = {
    .iana = 47,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_REQUEST,
    .misplaced = "certificate_authorities in a wrong message",
    .malformed = "malformed certificate_authorities",
    .decode = decode,
};
