/* SPDX-License-Identifier: Apache-2.0 */
/* record_size_limit (RFC 8449 4): how much each side takes in a protected record. */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    milgi__write16(w, from->record_limit);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    to->record_limit = (uint16_t)milgi__read16(body);
    /*= RFC8449 4: "Endpoints MUST NOT send a "record_size_limit" extension with a value smaller than 64.  An endpoint
     *= MUST treat receipt of a smaller value as a fatal error and generate an "illegal_parameter" alert." */
    if (!body->bad && to->record_limit < MILGI__RECORD_LIMIT_MIN)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "record_size_limit below 64");
    return true;
}

const struct milgi__ext milgi__ext_record_limit = {
    .iana = 28,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED | MILGI__IN_SERVER_HELLO12,
    .misplaced = "record_size_limit in a wrong message",
    .malformed = "malformed record_size_limit",
    .encode = encode,
    .decode = decode,
};
