/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate (RFC 8446 4.4.2). */
#include "handshake/msg/msg.h"

void milgi__certificate_encode_with(struct milgi__writer *w, struct milgi__bytes context, struct milgi__bytes chain,
    const struct milgi__exts *leaf)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CERTIFICATE);
    milgi__write8(w, (unsigned)context.len);
    milgi__write_bytes(w, context.p, context.len);
    size_t list = milgi__write_begin(w, 3);
    struct milgi__reader r = milgi__reader_of(chain);
    while (milgi__left(&r) != 0) {
        struct milgi__reader der = milgi__read_vec(&r, 3, 1, 0xffffff);
        struct milgi__bytes bytes = milgi__rest(&der);
        milgi__write24(w, (unsigned)bytes.len);
        milgi__write_bytes(w, bytes.p, bytes.len);
        size_t block = milgi__write_begin(w, 2);
        if (leaf)
            milgi__exts_encode(w, MILGI__IN_CERTIFICATE, leaf);
        milgi__write_end(w, block, 2);
        leaf = NULL;
    }
    milgi__write_end(w, list, 3);
    milgi__message_end(w, message);
}

size_t milgi__certificate_len(struct milgi__bytes context, struct milgi__bytes chain, unsigned chain_n)
{
    return MILGI__MSG_HEADER + 1 + context.len + 3 + chain.len + 2 * (size_t)chain_n;
}

bool milgi__certificate_decode(
    struct milgi__reader *body, uint32_t offered, struct milgi__certificates *certs, struct milgi__failure *failure)
{
    *certs = (struct milgi__certificates){ 0 };
    struct milgi__reader context = milgi__read_vec(body, 1, 0, 255);
    struct milgi__reader list = milgi__read_vec(body, 3, 0, 0xffffff);
    certs->context = milgi__rest(&context);
    certs->list = (struct milgi__bytes){ list.p, milgi__left(&list) };
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed Certificate");
    while (milgi__left(&list) != 0) {
        struct milgi__exts ext = { 0 };
        struct milgi__reader der = milgi__read_vec(&list, 3, 1, 0xffffff);
        struct milgi__reader block = milgi__read_vec(&list, 2, 0, 0xffff);
        if (list.bad)
            return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed entry in Certificate");
        if (!milgi__exts_decode(milgi__rest(&block), MILGI__IN_CERTIFICATE, offered, &ext, failure))
            return false;
        if (certs->n == 0)
            certs->leaf = ext;
        certs->shortest = certs->n == 0 ? milgi__left(&der) : MILGI__MIN(certs->shortest, milgi__left(&der));
        certs->n++;
        certs->der_len += milgi__left(&der);
    }
    return true;
}

bool milgi__certificate_next(
    const struct milgi__certificates *certs, struct milgi__reader *list, struct milgi__bytes *der)
{
    if (milgi__left(list) == 0)
        return false;
    struct milgi__reader one = milgi__read_vec(list, 3, 1, 0xffffff);
    if (!certs->bare)
        milgi__read_vec(list, 2, 0, 0xffff);
    *der = milgi__rest(&one);
    return !list->bad;
}
