/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate and CertificateRequest of TLS 1.2 (RFC 5246 7.4.2, 7.4.4). */
#include "handshake/msg/msg.h"

void milgi__certificate12_encode(struct milgi__writer *w, struct milgi__bytes chain)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CERTIFICATE);
    size_t list = milgi__write_begin(w, 3);
    milgi__write_bytes(w, chain.p, chain.len);
    milgi__write_end(w, list, 3);
    milgi__message_end(w, message);
}

bool milgi__certificate12_decode(
    struct milgi__reader *body, struct milgi__certificates *certs, struct milgi__failure *failure)
{
    *certs = (struct milgi__certificates){ .bare = true };
    struct milgi__reader list = milgi__read_vec(body, 3, 0, 0xffffff);
    certs->list = (struct milgi__bytes){ list.p, milgi__left(&list) };
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed Certificate");
    while (milgi__left(&list) != 0) {
        struct milgi__reader der = milgi__read_vec(&list, 3, 1, 0xffffff);
        if (list.bad)
            return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed entry in Certificate");
        certs->shortest = certs->n == 0 ? milgi__left(&der) : MILGI__MIN(certs->shortest, milgi__left(&der));
        certs->n++;
        certs->der_len += milgi__left(&der);
    }
    return true;
}

#define OCSP 1

void milgi__certificate_status_encode(struct milgi__writer *w, struct milgi__bytes status)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CERTIFICATE_STATUS);
    milgi__write8(w, OCSP);
    size_t response = milgi__write_begin(w, 3);
    milgi__write_bytes(w, status.p, status.len);
    milgi__write_end(w, response, 3);
    milgi__message_end(w, message);
}

bool milgi__certificate_status_decode(
    struct milgi__reader *body, struct milgi__bytes *status, struct milgi__failure *failure)
{
    unsigned type = milgi__read8(body);
    if (!body->bad && type != OCSP)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "a certificate status that was not asked for");
    struct milgi__reader response = milgi__read_vec(body, 3, 1, 0xffffff);
    *status = milgi__rest(&response);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed CertificateStatus");
    return true;
}

void milgi__certificate_request12_encode(
    struct milgi__writer *w, struct milgi__bytes schemes, struct milgi__bytes authorities)
{
    static const uint8_t types[] = { MILGI__SIGNS_ECDSA, MILGI__SIGNS_RSA };
    size_t message = milgi__message_begin(w, MILGI__MSG_CERTIFICATE_REQUEST);
    milgi__write8(w, sizeof types);
    milgi__write_bytes(w, types, sizeof types);
    milgi__write16(w, (unsigned)schemes.len);
    milgi__write_bytes(w, schemes.p, schemes.len);
    /*= RFC5246 7.4.4: "If the certificate_authorities list is empty, then the client MAY send any certificate of the
     *= appropriate ClientCertificateType, unless there is some external arrangement to the contrary." */
    milgi__write16(w, (unsigned)authorities.len);
    milgi__write_bytes(w, authorities.p, authorities.len);
    milgi__message_end(w, message);
}

bool milgi__certificate_request12_decode(
    struct milgi__reader *body, struct milgi__certificate_request12 *request, struct milgi__failure *failure)
{
    struct milgi__reader types = milgi__read_vec(body, 1, 1, 255);
    struct milgi__reader schemes = milgi__read_vec(body, 2, 2, 0xfffe);
    struct milgi__reader authorities = milgi__read_vec(body, 2, 0, 0xffff);
    request->types = milgi__rest(&types);
    request->schemes = milgi__rest(&schemes);
    request->authorities = (struct milgi__bytes){ authorities.p, milgi__left(&authorities) };
    while (milgi__left(&authorities) != 0)
        milgi__read_vec(&authorities, 2, 1, 0xffff);
    if (authorities.bad || !milgi__reader_done(body) || request->schemes.len % 2 != 0)
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed CertificateRequest");
    return true;
}
