/* SPDX-License-Identifier: Apache-2.0 */
/* signature_algorithms and signature_algorithms_cert (RFC 8446 4.2.3): the same body twice. */
#include "handshake/ext/ext.h"

static void encode_list(struct milgi__writer *w, struct milgi__bytes schemes)
{
    size_t list = milgi__write_begin(w, 2);
    milgi__write_bytes(w, schemes.p, schemes.len);
    milgi__write_end(w, list, 2);
}

static bool decode_list(struct milgi__reader *body, struct milgi__bytes *schemes, struct milgi__failure *failure)
{
    struct milgi__reader list = milgi__read_vec(body, 2, 2, 0xfffe);
    *schemes = milgi__rest(&list);
    if (schemes->len % 2 != 0)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed list of signature algorithms");
    return true;
}

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    encode_list(w, from->schemes);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    return decode_list(body, &to->schemes, failure);
}

static void encode_cert(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    encode_list(w, from->cert_schemes);
}

static bool decode_cert(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    return decode_list(body, &to->cert_schemes, failure);
}

const struct milgi__ext milgi__ext_schemes = {
    .iana = 13,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_REQUEST,
    .misplaced = "signature_algorithms in a wrong message",
    .malformed = "malformed signature_algorithms",
    .encode = encode,
    .decode = decode,
};

const struct milgi__ext milgi__ext_cert_schemes = {
    .iana = 50,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_REQUEST,
    .misplaced = "signature_algorithms_cert in a wrong message",
    .malformed = "malformed signature_algorithms_cert",
    .encode = encode_cert,
    .decode = decode_cert,
};
