/* SPDX-License-Identifier: Apache-2.0 */
/* ServerKeyExchange, ServerHelloDone and ClientKeyExchange (RFC 8422 5.4, 5.7; RFC 5246 7.4.5). */
#include "handshake/msg/msg.h"

#define NAMED_CURVE 3

size_t milgi__ecdh_params(uint8_t out[MILGI__ECDH_PARAMS_MAX], uint16_t group, struct milgi__bytes share)
{
    struct milgi__writer w = milgi__writer(out, MILGI__ECDH_PARAMS_MAX);
    milgi__write8(&w, NAMED_CURVE);
    milgi__write16(&w, group);
    milgi__write8(&w, (unsigned)share.len);
    milgi__write_bytes(&w, share.p, share.len);
    return milgi__written(&w);
}

void milgi__server_exchange_encode(struct milgi__writer *w, const struct milgi__server_exchange *exchange)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_SERVER_KEY_EXCHANGE);
    milgi__write_bytes(w, exchange->params.p, exchange->params.len);
    milgi__write16(w, exchange->verify.scheme);
    size_t signature = milgi__write_begin(w, 2);
    milgi__write_bytes(w, exchange->verify.signature.p, exchange->verify.signature.len);
    milgi__write_end(w, signature, 2);
    milgi__message_end(w, message);
}

bool milgi__server_exchange_decode(
    struct milgi__reader *body, struct milgi__server_exchange *exchange, struct milgi__failure *failure)
{
    const uint8_t *params = body->p;
    unsigned type = milgi__read8(body);
    /* The other types are deprecated (RFC 8422 5.4), and nothing is known of what would follow. */
    if (!body->bad && type != NAMED_CURVE)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "ServerKeyExchange without a named curve");
    exchange->group = (uint16_t)milgi__read16(body);
    struct milgi__reader point = milgi__read_vec(body, 1, 1, 255);
    exchange->share = milgi__rest(&point);
    exchange->params = (struct milgi__bytes){ params, body->bad ? 0 : (size_t)(body->p - params) };
    exchange->verify.scheme = (uint16_t)milgi__read16(body);
    struct milgi__reader signature = milgi__read_vec(body, 2, 0, 0xffff);
    exchange->verify.signature = milgi__rest(&signature);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed ServerKeyExchange");
    return true;
}

void milgi__hello_done_encode(struct milgi__writer *w)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_SERVER_HELLO_DONE);
    milgi__message_end(w, message);
}

void milgi__client_exchange_encode(struct milgi__writer *w, struct milgi__bytes share)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CLIENT_KEY_EXCHANGE);
    milgi__write8(w, (unsigned)share.len);
    milgi__write_bytes(w, share.p, share.len);
    milgi__message_end(w, message);
}

bool milgi__client_exchange_decode(
    struct milgi__reader *body, struct milgi__bytes *share, struct milgi__failure *failure)
{
    struct milgi__reader point = milgi__read_vec(body, 1, 1, 255);
    *share = milgi__rest(&point);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed ClientKeyExchange");
    return true;
}
