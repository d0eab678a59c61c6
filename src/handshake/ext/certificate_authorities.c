/* SPDX-License-Identifier: Apache-2.0 */
/* certificate_authorities (RFC 8446 4.2.4): by whom a certificate should be issued. */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    size_t list = milgi__write_begin(w, 2);
    milgi__write_bytes(w, from->authorities.p, from->authorities.len);
    milgi__write_end(w, list, 2);
}

bool milgi__authority_next(struct milgi__reader *list, struct milgi__bytes *name)
{
    if (milgi__left(list) == 0)
        return false;
    struct milgi__reader one = milgi__read_vec(list, 2, 1, 0xffff);
    *name = milgi__rest(&one);
    return !list->bad;
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    struct milgi__reader list = milgi__read_vec(body, 2, 3, 0xffff);
    struct milgi__bytes name;
    to->authorities = (struct milgi__bytes){ list.p, milgi__left(&list) };
    while (milgi__authority_next(&list, &name))
        continue;
    if (list.bad)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed certificate_authorities");
    return true;
}

const struct milgi__ext milgi__ext_authorities = {
    .iana = 47,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_REQUEST,
    .misplaced = "certificate_authorities in a wrong message",
    .malformed = "malformed certificate_authorities",
    .encode = encode,
    .decode = decode,
};
