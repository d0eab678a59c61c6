/* SPDX-License-Identifier: Apache-2.0 */
#include "handshake/ext/ext.h"

const struct milgi__ext *milgi__ext_of(unsigned id)
{
    static const struct milgi__ext *const table[MILGI__EXT_N] = {
        [MILGI__EXT_SERVER_NAME] = &milgi__ext_server_name,
        [MILGI__EXT_GROUPS] = &milgi__ext_groups,
        [MILGI__EXT_SCHEMES] = &milgi__ext_schemes,
        [MILGI__EXT_CERT_SCHEMES] = &milgi__ext_cert_schemes,
        [MILGI__EXT_ALPN] = &milgi__ext_alpn,
        [MILGI__EXT_VERSIONS] = &milgi__ext_versions,
        [MILGI__EXT_RECORD_LIMIT] = &milgi__ext_record_limit,
        [MILGI__EXT_COOKIE] = &milgi__ext_cookie,
        [MILGI__EXT_KEY_SHARE] = &milgi__ext_key_share,
        [MILGI__EXT_AUTHORITIES] = &milgi__ext_authorities,
        [MILGI__EXT_PSK_MODES] = &milgi__ext_psk_modes,
        [MILGI__EXT_EARLY_DATA] = &milgi__ext_early_data,
        [MILGI__EXT_TICKET_REQUEST] = &milgi__ext_ticket_request,
        [MILGI__EXT_MASTER_SECRET] = &milgi__ext_master_secret,
        [MILGI__EXT_RENEGOTIATION] = &milgi__ext_renegotiation,
        [MILGI__EXT_POINT_FORMATS] = &milgi__ext_point_formats,
        [MILGI__EXT_SESSION_TICKET] = &milgi__ext_session_ticket,
        [MILGI__EXT_STATUS_REQUEST] = &milgi__ext_status_request,
        [MILGI__EXT_TIMESTAMPS] = &milgi__ext_timestamps,
        [MILGI__EXT_FRAGMENT_LENGTH] = &milgi__ext_known[0],
        [MILGI__EXT_SRTP] = &milgi__ext_known[1],
        [MILGI__EXT_HEARTBEAT] = &milgi__ext_known[2],
        [MILGI__EXT_CLIENT_TYPE] = &milgi__ext_known[3],
        [MILGI__EXT_SERVER_TYPE] = &milgi__ext_known[4],
        [MILGI__EXT_PADDING] = &milgi__ext_known[5],
        [MILGI__EXT_OID_FILTERS] = &milgi__ext_known[6],
        [MILGI__EXT_POST_AUTH] = &milgi__ext_known[7],
        [MILGI__EXT_PSK] = &milgi__ext_psk,
    };
    return table[id];
}

bool milgi__ext_decode_empty(struct milgi__reader *body, enum milgi__place place, struct milgi__exts *to,
    struct milgi__failure *failure)
{
    (void)body;
    (void)place;
    (void)to;
    (void)failure;
    return true;
}

unsigned milgi__ext_find(unsigned iana)
{
    enum {
        RENEGOTIATION_INFO = 0xff01
    };
    static const uint8_t next_of[] = {
        [0] = MILGI__EXT_SERVER_NAME + 1,
        [1] = MILGI__EXT_FRAGMENT_LENGTH + 1,
        [5] = MILGI__EXT_STATUS_REQUEST + 1,
        [10] = MILGI__EXT_GROUPS + 1,
        [11] = MILGI__EXT_POINT_FORMATS + 1,
        [13] = MILGI__EXT_SCHEMES + 1,
        [14] = MILGI__EXT_SRTP + 1,
        [15] = MILGI__EXT_HEARTBEAT + 1,
        [16] = MILGI__EXT_ALPN + 1,
        [18] = MILGI__EXT_TIMESTAMPS + 1,
        [19] = MILGI__EXT_CLIENT_TYPE + 1,
        [20] = MILGI__EXT_SERVER_TYPE + 1,
        [21] = MILGI__EXT_PADDING + 1,
        [23] = MILGI__EXT_MASTER_SECRET + 1,
        [28] = MILGI__EXT_RECORD_LIMIT + 1,
        [35] = MILGI__EXT_SESSION_TICKET + 1,
        [41] = MILGI__EXT_PSK + 1,
        [42] = MILGI__EXT_EARLY_DATA + 1,
        [43] = MILGI__EXT_VERSIONS + 1,
        [44] = MILGI__EXT_COOKIE + 1,
        [45] = MILGI__EXT_PSK_MODES + 1,
        [47] = MILGI__EXT_AUTHORITIES + 1,
        [48] = MILGI__EXT_OID_FILTERS + 1,
        [49] = MILGI__EXT_POST_AUTH + 1,
        [50] = MILGI__EXT_CERT_SCHEMES + 1,
        [51] = MILGI__EXT_KEY_SHARE + 1,
        [58] = MILGI__EXT_TICKET_REQUEST + 1,
    };
    if (iana == RENEGOTIATION_INFO)
        return MILGI__EXT_RENEGOTIATION;
    return iana < sizeof next_of && next_of[iana] ? next_of[iana] - 1u : MILGI__EXT_N;
}

void milgi__exts_encode(struct milgi__writer *w, enum milgi__place place, const struct milgi__exts *from)
{
    if (from->grease[0] != 0) {
        milgi__write16(w, from->grease[0]);
        milgi__write16(w, 0);
    }
    for (unsigned i = 0; i < MILGI__EXT_N; i++) {
        unsigned id = from->order ? from->order[i] : i;
        if (id == MILGI__EXT_PSK && from->grease[1] != 0) {
            milgi__write16(w, from->grease[1]);
            milgi__write16(w, 1);
            milgi__write8(w, 0);
        }
        if ((from->present & MILGI__EXT(id)) == 0)
            continue;
        milgi__write16(w, milgi__ext_of(id)->iana);
        size_t mark = milgi__write_begin(w, 2);
        milgi__ext_of(id)->encode(w, place, from);
        milgi__write_end(w, mark, 2);
    }
}

static bool is_answer(enum milgi__place place)
{
    const unsigned answers = MILGI__IN_SERVER_HELLO | MILGI__IN_RETRY | MILGI__IN_ENCRYPTED | MILGI__IN_CERTIFICATE |
        MILGI__IN_SERVER_HELLO12;
    return (place & answers) != 0;
}

static bool decode_one(unsigned iana, struct milgi__reader *body, enum milgi__place place, uint32_t offered,
    struct milgi__exts *to, struct milgi__failure *failure)
{
    unsigned id = milgi__ext_find(iana);
    /*= RFC8446 4.2: "If an implementation receives an extension which it recognizes and which is not specified for
     *= the message in which it appears, it MUST abort the handshake with an "illegal_parameter" alert." */
    if (id < MILGI__EXT_N && (milgi__ext_of(id)->places & place) == 0)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, milgi__ext_of(id)->misplaced);
    /*= RFC8446 4.2: "Implementations MUST NOT send extension responses if the remote endpoint did not send the
     *= corresponding extension requests [...] Upon receiving such an extension, an endpoint MUST abort the handshake
     *= with an "unsupported_extension" alert." */
    bool asked = id < MILGI__EXT_N && (offered & MILGI__EXT(id)) != 0;
    if (is_answer(place) && !asked)
        return milgi__refuse(failure, MILGI_ALERT_UNSUPPORTED_EXTENSION, "an extension that was not asked for");
    if (id == MILGI__EXT_N)
        return true;
    to->present |= MILGI__EXT(id);
    if (!milgi__ext_of(id)->decode)
        return true;
    if (!milgi__ext_of(id)->decode(body, place, to, failure))
        return false;
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, milgi__ext_of(id)->malformed);
    return true;
}

bool milgi__exts_decode(struct milgi__bytes block, enum milgi__place place, uint32_t offered, struct milgi__exts *to,
    struct milgi__failure *failure)
{
    struct milgi__u16_set seen;
    struct milgi__reader r = milgi__reader_of(block);
    bool psk = false, tls12 = place == MILGI__IN_CLIENT_HELLO12;
    place = tls12 ? MILGI__IN_CLIENT_HELLO : place;
    milgi__u16_set_init(&seen);
    while (milgi__left(&r) != 0) {
        unsigned iana = milgi__read16(&r);
        struct milgi__reader body = milgi__read_vec(&r, 2, 0, 0xffff);
        if (r.bad)
            return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed list of extensions");
        /*= RFC8446 4.2: "There MUST NOT be more than one extension of the same type in a given extension block." */
        if (!milgi__u16_set_add(&seen, iana))
            return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "an extension came twice");
        /* With which TLS 1.2 has nothing to do, whatever stands in it. */
        if (tls12 && iana == milgi__ext_psk.iana)
            continue;
        /*= RFC8446 4.2.11: "The "pre_shared_key" extension MUST be the last extension in the ClientHello" */
        if (psk && place == MILGI__IN_CLIENT_HELLO)
            return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "pre_shared_key is not the last extension");
        psk = iana == milgi__ext_psk.iana;
        if (!decode_one(iana, &body, place, offered, to, failure))
            return false;
    }
    return true;
}

bool milgi__exts_peek(struct milgi__bytes block, unsigned iana, struct milgi__bytes *body)
{
    struct milgi__reader r = milgi__reader_of(block);
    while (milgi__left(&r) != 0) {
        bool found = milgi__read16(&r) == iana;
        struct milgi__reader one = milgi__read_vec(&r, 2, 0, 0xffff);
        if (r.bad)
            return false;
        if (found) {
            *body = milgi__rest(&one);
            return true;
        }
    }
    return false;
}
