/* SPDX-License-Identifier: Apache-2.0 */
/* KeyUpdate (RFC 8446 4.6.3). */
#include "handshake/msg/msg.h"

void milgi__key_update_encode(struct milgi__writer *w, bool request)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_KEY_UPDATE);
    milgi__write8(w, request ? 1 : 0);
    milgi__message_end(w, message);
}

bool milgi__key_update_decode(struct milgi__reader *body, bool *request, struct milgi__failure *failure)
{
    unsigned value = milgi__read8(body);
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed KeyUpdate");
    /*= RFC8446 4.6.3: "If an implementation receives any other value, it MUST terminate the connection with an
     *= "illegal_parameter" alert." */
    if (value > 1)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "KeyUpdate with an unknown request");
    *request = value == 1;
    return true;
}
