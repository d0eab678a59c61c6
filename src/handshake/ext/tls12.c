/* SPDX-License-Identifier: Apache-2.0 */
/* What only TLS 1.2 has: extended_master_secret (RFC 7627), renegotiation_info (RFC 5746), ec_point_formats (RFC 8422
 * 5.1) and session_ticket (RFC 5077 3.2). */
#include "handshake/ext/ext.h"

#define UNCOMPRESSED 0

/* --- extended_master_secret ------------------------------------------------------------------------------------- */

static void encode_empty(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)w;
    (void)place;
    (void)from;
}

/*= RFC7627 5.1: "The "extension_data" field of this extension is empty." */
const struct milgi__ext milgi__ext_master_secret = {
    .iana = 23,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO12,
    .misplaced = "extended_master_secret in a wrong message",
    .malformed = "malformed extended_master_secret",
    .encode = encode_empty,
    .decode = milgi__ext_decode_empty,
};

/* --- renegotiation_info ----------------------------------------------------------------------------------------- */

static void encode_renegotiation(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    (void)from;
    milgi__write8(w, 0); /* of a first handshake */
}

static bool decode_renegotiation(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    (void)failure;
    struct milgi__reader verify_data = milgi__read_vec(body, 1, 0, 255);
    to->renegotiates = milgi__left(&verify_data) != 0;
    return true;
}

const struct milgi__ext milgi__ext_renegotiation = {
    .iana = 0xff01,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO12,
    .misplaced = "renegotiation_info in a wrong message",
    .malformed = "malformed renegotiation_info",
    .encode = encode_renegotiation,
    .decode = decode_renegotiation,
};

/* --- ec_point_formats ------------------------------------------------------------------------------------------- */

static void encode_formats(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    (void)place;
    (void)from;
    milgi__write8(w, 1);
    milgi__write8(w, UNCOMPRESSED);
}

static bool decode_formats(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)place;
    (void)failure;
    struct milgi__reader list = milgi__read_vec(body, 1, 1, 255);
    to->point_formats = milgi__rest(&list);
    return true;
}

const struct milgi__ext milgi__ext_point_formats = {
    .iana = 11,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO12,
    .misplaced = "ec_point_formats in a wrong message",
    .malformed = "malformed ec_point_formats",
    .encode = encode_formats,
    .decode = decode_formats,
};

/* --- session_ticket --------------------------------------------------------------------------------------------- */

static void encode_ticket(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    if (place == MILGI__IN_CLIENT_HELLO)
        milgi__write_bytes(w, from->session_ticket.p, from->session_ticket.len);
}

/* RFC 5077 3.2: a server's is empty, a client's the ticket itself, with no length before it. */
static bool decode_ticket(
    struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to, struct milgi__failure *failure)
{
    (void)failure;
    if (place == MILGI__IN_CLIENT_HELLO)
        to->session_ticket = milgi__rest(body);
    return true;
}

const struct milgi__ext milgi__ext_session_ticket = {
    .iana = 35,
    .places = MILGI__IN_CLIENT_HELLO | MILGI__IN_SERVER_HELLO12,
    .misplaced = "session_ticket in a wrong message",
    .malformed = "malformed session_ticket",
    .encode = encode_ticket,
    .decode = decode_ticket,
};

/* --- what they must say ----------------------------------------------------------------------------------------- */

bool milgi__exts_check12(const struct milgi__exts *ext, struct milgi__failure *failure)
{
    /*= RFC5746 3.4: "The client MUST then verify that the length of the "renegotiated_connection" field is zero, and if
     *= it is not, MUST abort the handshake (by sending a fatal handshake_failure alert)." 3.6 says it of the server. */
    if ((ext->present & MILGI__EXT(MILGI__EXT_RENEGOTIATION)) != 0 && ext->renegotiates)
        return milgi__refuse(failure, MILGI_ALERT_HANDSHAKE_FAILURE, "renegotiation_info of a handshake that was none");
    /*= RFC8422 5.1.2: "If the client sends the extension and the extension does not contain the uncompressed point
     *= format [...] then the server MUST abort the handshake and return an illegal_parameter alert." */
    if ((ext->present & MILGI__EXT(MILGI__EXT_POINT_FORMATS)) != 0 &&
        !memchr(ext->point_formats.p, UNCOMPRESSED, ext->point_formats.len))
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "ec_point_formats without uncompressed points");
    return true;
}
