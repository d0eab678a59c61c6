/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions that we neither send nor use: known so that one in a wrong place, or malformed beyond use, is refused. */
#include "handshake/ext/ext.h"

#define REQUEST_AND_ANSWER (MILGI__IN_CLIENT_HELLO | MILGI__IN_ENCRYPTED)

const struct milgi__ext milgi__ext_known[8] = {
    { .iana = 1, .places = REQUEST_AND_ANSWER, .misplaced = "max_fragment_length in a wrong message" },
    { .iana = 14, .places = REQUEST_AND_ANSWER, .misplaced = "use_srtp in a wrong message" },
    { .iana = 15, .places = REQUEST_AND_ANSWER, .misplaced = "heartbeat in a wrong message" },
    { .iana = 19, .places = REQUEST_AND_ANSWER, .misplaced = "client_certificate_type in a wrong message" },
    { .iana = 20, .places = REQUEST_AND_ANSWER, .misplaced = "server_certificate_type in a wrong message" },
    { .iana = 21, .places = MILGI__IN_CLIENT_HELLO, .misplaced = "padding in a wrong message" },
    { .iana = 48, .places = MILGI__IN_REQUEST, .misplaced = "oid_filters in a wrong message" },
    /*= RFC8446 4.2.6: "The "extension_data" field of the "post_handshake_auth" extension is zero length." */
    { .iana = 49,
        .places = MILGI__IN_CLIENT_HELLO,
        .misplaced = "post_handshake_auth in a wrong message",
        .malformed = "malformed post_handshake_auth",
        .decode = milgi__ext_decode_empty },
};
