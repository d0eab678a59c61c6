/* SPDX-License-Identifier: Apache-2.0 */
/* key_share (RFC 8446 4.2.8): the client's shares, the server's share, the group that a retry asks for. */
#include "handshake/ext/ext.h"

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    if (place == MILGI__IN_CLIENT_HELLO) {
        size_t list = milgi__write_begin(w, 2);
        milgi__write_bytes(w, from->shares.p, from->shares.len);
        milgi__write_end(w, list, 2);
        return;
    }
    milgi__write16(w, from->group);
    if (place == MILGI__IN_RETRY)
        return;
    size_t share = milgi__write_begin(w, 2);
    milgi__write_bytes(w, from->share.p, from->share.len);
    milgi__write_end(w, share, 2);
}

static void read_share(struct milgi__reader *r, uint16_t *group, struct milgi__bytes *share)
{
    *group = (uint16_t)milgi__read16(r);
    struct milgi__reader key = milgi__read_vec(r, 2, 1, 0xffff);
    *share = milgi__rest(&key);
}

bool milgi__share_next(struct milgi__reader *shares, uint16_t *group, struct milgi__bytes *share)
{
    if (milgi__left(shares) == 0)
        return false;
    read_share(shares, group, share);
    return !shares->bad;
}

static bool decode_shares(struct milgi__reader list, struct milgi__exts *to, struct milgi__failure *failure)
{
    struct milgi__u16_set seen;
    uint16_t group;
    struct milgi__bytes share;
    to->shares = (struct milgi__bytes){ list.p, milgi__left(&list) };
    milgi__u16_set_init(&seen);
    while (milgi__share_next(&list, &group, &share)) {
        /*= RFC8446 4.2.8: "Clients MUST NOT offer multiple KeyShareEntry values for the same group." */
        if (!milgi__u16_set_add(&seen, group))
            return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "two key shares of one group");
    }
    if (list.bad)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed key_share");
    return true;
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    if (place == MILGI__IN_CLIENT_HELLO)
        return decode_shares(milgi__read_vec(body, 2, 0, 0xffff), to, failure);
    if (place == MILGI__IN_RETRY)
        to->group = (uint16_t)milgi__read16(body);
    else
        read_share(body, &to->group, &to->share);
    return true;
}

const struct milgi__ext milgi__ext_key_share = {
    .iana = 51,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO | MILGI__IN_RETRY,
    .misplaced = "key_share in a wrong message",
    .malformed = "malformed key_share",
    .encode = encode,
    .decode = decode,
};
