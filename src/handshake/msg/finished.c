/* SPDX-License-Identifier: Apache-2.0 */
/* Finished (RFC 8446 4.4.4). There is nothing to decode: all of the body is the MAC, or it does not verify. */
#include "handshake/msg/msg.h"

void milgi__finished_encode(struct milgi__writer *w, const uint8_t *mac, size_t mac_len)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_FINISHED);
    milgi__write_bytes(w, mac, mac_len);
    milgi__message_end(w, message);
}
