/* SPDX-License-Identifier: Apache-2.0 */
/* CertificateRequest (RFC 8446 4.3.2). */
#include "handshake/msg/msg.h"

void milgi__certificate_request_encode(struct milgi__writer *w, const struct milgi__certificate_request *request)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CERTIFICATE_REQUEST);
    milgi__write8(w, (unsigned)request->context.len);
    milgi__write_bytes(w, request->context.p, request->context.len);
    size_t block = milgi__write_begin(w, 2);
    milgi__exts_encode(w, MILGI__IN_REQUEST, &request->ext);
    milgi__write_end(w, block, 2);
    milgi__message_end(w, message);
}

bool milgi__certificate_request_decode(
    struct milgi__reader *body, struct milgi__certificate_request *request, struct milgi__failure *failure)
{
    *request = (struct milgi__certificate_request){ 0 };
    struct milgi__reader context = milgi__read_vec(body, 1, 0, 255);
    struct milgi__reader block = milgi__read_vec(body, 2, 2, 0xffff);
    request->context = milgi__rest(&context);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed CertificateRequest");
    if (!milgi__exts_decode(milgi__rest(&block), MILGI__IN_REQUEST, 0, &request->ext, failure))
        return false;
    /*= RFC8446 4.3.2: "This field SHALL be zero length unless used for the post-handshake authentication exchanges" */
    if (request->context.len != 0)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "CertificateRequest with a context");
    /*= RFC8446 4.3.2: "The "signature_algorithms" extension MUST be specified" */
    if ((request->ext.present & MILGI__EXT(MILGI__EXT_SCHEMES)) == 0)
        return milgi__refuse(
            failure, MILGI_ALERT_MISSING_EXTENSION, "CertificateRequest without signature_algorithms");
    return true;
}
