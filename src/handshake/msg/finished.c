/* SPDX-License-Identifier: Apache-2.0 */
/* Finished (RFC 8446 4.4.4). */
#include "handshake/msg/msg.h"

void milgi__finished_encode(struct milgi__writer *w, const uint8_t *mac, size_t mac_len)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_FINISHED);
    milgi__write_bytes(w, mac, mac_len);
    milgi__message_end(w, message);
}

bool milgi__finished_decode(
    struct milgi__reader *body, size_t mac_len, const uint8_t **mac, struct milgi__fault *fault)
{
    *mac = milgi__read_bytes(body, mac_len);
    if (!milgi__reader_done(body))
        return milgi__refuse(fault, MILGI_ALERT_DECODE_ERROR, "malformed Finished");
    return true;
}
