/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_request (RFC 6066 8, RFC 8446 4.4.2.1): a client asks for an OCSP response, which stands beside the leaf; in
 * TLS 1.2 it comes in a message of its own.
 */
#include "handshake/ext/ext.h"

#define OCSP 1

static void encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    if (place == MILGI__IN_SERVER_HELLO12)
        return;
    milgi__write8(w, OCSP);
    if (place == MILGI__IN_CLIENT_HELLO) {
        /*= RFC6066 8: "A zero-length "responder_id_list" sequence has the special meaning that the responders are
         *= implicitly known to the server", "A zero-length "request_extensions" value means that there are no
         *= extensions" */
        milgi__write16(w, 0);
        milgi__write16(w, 0);
        return;
    }
    size_t response = milgi__write_begin(w, 3);
    milgi__write_bytes(w, from->status.p, from->status.len);
    milgi__write_end(w, response, 3);
}

static bool decode(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    /*= RFC8446 4.4.2.1: "by sending an empty "status_request" extension in its CertificateRequest message" */
    /*= RFC6066 8: "the server MUST have included an extension of type "status_request" with empty "extension_data" in
     *= the extended server hello" */
    if (place == MILGI__IN_REQUEST || place == MILGI__IN_SERVER_HELLO12)
        return true;
    unsigned type = milgi__read8(body);
    if (place == MILGI__IN_CLIENT_HELLO && type != OCSP) {
        milgi__rest(body); /* what somebody else may have a use for */
        return true;
    }
    if (place == MILGI__IN_CLIENT_HELLO) {
        milgi__read_vec(body, 2, 0, 0xffff);
        milgi__read_vec(body, 2, 0, 0xffff);
        to->asks_status = true;
        return true;
    }
    if (!body->bad && type != OCSP)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "a certificate status that was not asked for");
    struct milgi__reader response = milgi__read_vec(body, 3, 1, 0xffffff);
    to->status = milgi__rest(&response);
    return true;
}

const struct milgi__ext milgi__ext_status_request = {
    .iana = 5,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_REQUEST | MILGI__IN_CERTIFICATE | MILGI__IN_SERVER_HELLO12,
    .misplaced = "status_request in a wrong message",
    .malformed = "malformed status_request",
    .encode = encode,
    .decode = decode,
};
