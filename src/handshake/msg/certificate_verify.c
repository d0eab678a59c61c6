/* SPDX-License-Identifier: Apache-2.0 */
/* CertificateVerify (RFC 8446 4.4.3). */
#include "handshake/msg/msg.h"

void milgi__certificate_verify_encode(struct milgi__writer *w, const struct milgi__certificate_verify *verify)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CERTIFICATE_VERIFY);
    milgi__write16(w, verify->scheme);
    size_t signature = milgi__write_begin(w, 2);
    milgi__write_bytes(w, verify->signature.p, verify->signature.len);
    milgi__write_end(w, signature, 2);
    milgi__message_end(w, message);
}

bool milgi__certificate_verify_decode(
    struct milgi__reader *body, struct milgi__certificate_verify *verify, struct milgi__failure *failure)
{
    verify->scheme = (uint16_t)milgi__read16(body);
    struct milgi__reader signature = milgi__read_vec(body, 2, 0, 0xffff);
    verify->signature = milgi__rest(&signature);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed CertificateVerify");
    return true;
}
