/* SPDX-License-Identifier: Apache-2.0 */
/* EncryptedExtensions (RFC 8446 4.3.1). */
#include "handshake/msg/msg.h"

void milgi__encrypted_extensions_encode(struct milgi__writer *w, const struct milgi__exts *ext)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_ENCRYPTED_EXTENSIONS);
    size_t block = milgi__write_begin(w, 2);
    milgi__exts_encode(w, MILGI__IN_ENCRYPTED, ext);
    milgi__write_end(w, block, 2);
    milgi__message_end(w, message);
}

bool milgi__encrypted_extensions_decode(
    struct milgi__reader *body, uint32_t offered, struct milgi__exts *ext, struct milgi__failure *failure)
{
    *ext = (struct milgi__exts){ 0 };
    struct milgi__reader block = milgi__read_vec(body, 2, 0, 0xffff);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed EncryptedExtensions");
    return milgi__exts_decode(milgi__rest(&block), MILGI__IN_ENCRYPTED, offered, ext, failure);
}
