/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHello (RFC 8446 4.1.2). */
#include "handshake/msg/msg.h"

#define ENCRYPTED_CLIENT_HELLO 0xfe0d

void milgi__client_hello_encode(struct milgi__writer *w, const struct milgi__client_hello *hello)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_CLIENT_HELLO);
    milgi__write16(w, MILGI__TLS12);
    milgi__write_bytes(w, hello->random, 32);
    milgi__write8(w, (unsigned)hello->session_id.len);
    milgi__write_bytes(w, hello->session_id.p, hello->session_id.len);
    size_t suites = milgi__write_begin(w, 2);
    milgi__write_bytes(w, hello->suites.p, hello->suites.len);
    milgi__write_end(w, suites, 2);
    /*= RFC8446 4.1.2: "For every TLS 1.3 ClientHello, this vector MUST contain exactly one byte, set to zero" */
    milgi__write8(w, 1);
    milgi__write8(w, 0);
    size_t block = milgi__write_begin(w, 2);
    milgi__exts_encode(w, MILGI__IN_CLIENT_HELLO, &hello->ext);
    milgi__write_end(w, block, 2);
    milgi__message_end(w, message);
}

/* Whether a block is a list of extensions, whatever they are. */
static bool is_list(struct milgi__bytes block)
{
    struct milgi__reader r = milgi__reader_of(block);
    while (milgi__left(&r) != 0) {
        milgi__read16(&r);
        milgi__read_vec(&r, 2, 0, 0xffff);
    }
    return !r.bad;
}

bool milgi__client_hello_decode(
    struct milgi__reader *body, struct milgi__client_hello *hello, struct milgi__failure *failure)
{
    *hello = (struct milgi__client_hello){ .legacy_version = (uint16_t)milgi__read16(body) };
    hello->random = milgi__read_bytes(body, 32);
    struct milgi__reader session_id = milgi__read_vec(body, 1, 0, 32);
    struct milgi__reader suites = milgi__read_vec(body, 2, 2, 0xfffe);
    struct milgi__reader compressions = milgi__read_vec(body, 1, 1, 255);
    hello->session_id = milgi__rest(&session_id);
    hello->suites = milgi__rest(&suites);
    hello->compressions = milgi__rest(&compressions);
    /*= RFC8446 4.1.2: "TLS 1.3 servers might receive ClientHello messages without an extensions field from prior
     *= versions of TLS." */
    if (milgi__left(body) != 0) {
        struct milgi__reader block = milgi__read_vec(body, 2, 0, 0xffff);
        hello->block = milgi__rest(&block);
    }
    if (!milgi__reader_done(body) || hello->suites.len % 2 != 0 || !is_list(hello->block))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed ClientHello");
    /*= RFC8446 D.5: "Any endpoint receiving a Hello message with ClientHello.legacy_version or
     *= ServerHello.legacy_version set to 0x0300 MUST abort the handshake with a "protocol_version" alert." */
    if (hello->legacy_version <= MILGI__SSL3)
        return milgi__refuse(failure, MILGI_ALERT_PROTOCOL_VERSION, "ClientHello of SSL 3.0");
    return true;
}

bool milgi__client_hello_versions(
    const struct milgi__client_hello *hello, struct milgi__bytes *versions, struct milgi__failure *failure)
{
    struct milgi__bytes body;
    struct milgi__exts ext = { 0 };
    *versions = ext.versions;
    if (!milgi__exts_peek(hello->block, milgi__ext_versions.iana, &body))
        return true;
    struct milgi__reader r = milgi__reader_of(body);
    if (!milgi__ext_versions.decode(&r, MILGI__IN_CLIENT_HELLO, &ext, failure))
        return false;
    if (!milgi__reader_done(&r))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, milgi__ext_versions.malformed);
    *versions = ext.versions;
    return true;
}

/* Whether the group of every share is in supported_groups. */
static bool shares_fit_groups(const struct milgi__exts *ext)
{
    struct milgi__u16_set groups;
    milgi__u16_set_init(&groups);
    for (size_t i = 0; i < milgi__u16_n(ext->groups); i++)
        milgi__u16_set_add(&groups, milgi__u16_at(ext->groups, i));
    struct milgi__reader shares = milgi__reader_of(ext->shares);
    uint16_t group;
    struct milgi__bytes share;
    while (milgi__share_next(&shares, &group, &share)) {
        if (!milgi__u16_set_has(&groups, group))
            return false;
    }
    return true;
}

static bool is_complete(const struct milgi__exts *ext, struct milgi__failure *failure)
{
    bool psk = (ext->present & MILGI__EXT(MILGI__EXT_PSK)) != 0;
    bool groups = (ext->present & MILGI__EXT(MILGI__EXT_GROUPS)) != 0;
    const uint32_t demanded = MILGI__EXT(MILGI__EXT_SCHEMES) | MILGI__EXT(MILGI__EXT_GROUPS);
    /*= RFC8446 9.2: "If not containing a "pre_shared_key" extension, it MUST contain both a "signature_algorithms"
     *= extension and a "supported_groups" extension." A PSK that is not accepted is as good as none, which is seen when
     *= that is known. */
    if (!psk && (ext->present & demanded) != demanded)
        return milgi__refuse(
            failure, MILGI_ALERT_MISSING_EXTENSION, "ClientHello without signature_algorithms or supported_groups");
    /*= RFC8446 9.2: "If containing a "supported_groups" extension, it MUST also contain a "key_share" extension, and
     *= vice versa." */
    if (groups && (ext->present & MILGI__EXT(MILGI__EXT_KEY_SHARE)) == 0)
        return milgi__refuse(failure, MILGI_ALERT_MISSING_EXTENSION, "ClientHello without key_share");
    if (!groups && (ext->present & MILGI__EXT(MILGI__EXT_KEY_SHARE)) != 0)
        return milgi__refuse(failure, MILGI_ALERT_MISSING_EXTENSION, "key_share without supported_groups");
    /*= RFC8446 4.2.9: "If clients offer "pre_shared_key" without a "psk_key_exchange_modes" extension, servers MUST
     *= abort the handshake." */
    if (psk && (ext->present & MILGI__EXT(MILGI__EXT_PSK_MODES)) == 0)
        return milgi__refuse(failure, MILGI_ALERT_MISSING_EXTENSION, "pre_shared_key without psk_key_exchange_modes");
    return true;
}

bool milgi__client_hello_decode13(struct milgi__client_hello *hello, struct milgi__failure *failure)
{
    /*= RFC8446 4.1.2: "If a TLS 1.3 ClientHello is received with any other value in this field, the server MUST abort
     *= the handshake with an "illegal_parameter" alert." */
    if (hello->compressions.len != 1 || hello->compressions.p[0] != 0)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "ClientHello with compression");
    if (!milgi__exts_decode(hello->block, MILGI__IN_CLIENT_HELLO, 0, &hello->ext, failure))
        return false;
    if (!is_complete(&hello->ext, failure))
        return false;
    /*= RFC8446 4.2.8: "Clients MUST NOT offer any KeyShareEntry values for groups not listed in the client's
     *= "supported_groups" extension." */
    if (!shares_fit_groups(&hello->ext))
        return milgi__refuse(
            failure, MILGI_ALERT_ILLEGAL_PARAMETER, "a key share of a group that supported_groups does not have");
    return true;
}

bool milgi__client_hello_decode12(struct milgi__client_hello *hello, struct milgi__failure *failure)
{
    /*= RFC5246 7.4.1.2: "This vector MUST contain, and all implementations MUST support, CompressionMethod.null." */
    if (!memchr(hello->compressions.p, 0, hello->compressions.len))
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "ClientHello that demands compression");
    if (!milgi__exts_decode(hello->block, MILGI__IN_CLIENT_HELLO12, 0, &hello->ext, failure) ||
        !milgi__exts_check12(&hello->ext, failure))
        return false;
    /*= RFC5746 3.3: "Instead, it has the same semantics as an empty "renegotiation_info" extension" */
    if (milgi__u16_has(hello->suites, MILGI__EMPTY_RENEGOTIATION_SCSV))
        hello->ext.present |= MILGI__EXT(MILGI__EXT_RENEGOTIATION);
    return true;
}

/* Extensions that a second ClientHello may change, add or leave out. */
static bool may_change(unsigned iana)
{
    return iana == milgi__ext_key_share.iana || iana == milgi__ext_early_data.iana ||
        iana == milgi__ext_cookie.iana || iana == milgi__ext_psk.iana ||
        iana == milgi__ext_of(MILGI__EXT_PADDING)->iana || iana == ENCRYPTED_CLIENT_HELLO;
}

static int add_part(struct milgi__digest *digest, struct milgi__bytes part)
{
    uint8_t len[4] = { 0, (uint8_t)(part.len >> 16), (uint8_t)(part.len >> 8), (uint8_t)part.len };
    if (milgi__digest_update(digest, len, sizeof len) != 0)
        return MILGI_EINTERNAL;
    return part.len == 0 || milgi__digest_update(digest, part.p, part.len) == 0 ? 0 : MILGI_EINTERNAL;
}

static int add_extensions(struct milgi__digest *digest, struct milgi__bytes block)
{
    struct milgi__reader r = milgi__reader_of(block);
    while (milgi__left(&r) != 0) {
        struct milgi__bytes type = { r.p, 2 };
        unsigned iana = milgi__read16(&r);
        struct milgi__reader body = milgi__read_vec(&r, 2, 0, 0xffff);
        if (r.bad)
            return MILGI_EINTERNAL;
        if (may_change(iana))
            continue;
        if (add_part(digest, type) != 0 || add_part(digest, milgi__rest(&body)) != 0)
            return MILGI_EINTERNAL;
    }
    return 0;
}

int milgi__client_hello_digest(
    struct milgi__crypto *cx, const struct milgi__client_hello *hello, uint8_t out[MILGI__HASH_MAX])
{
    struct milgi__digest *digest = milgi__digest_new(cx, MILGI__SHA256);
    if (!digest)
        return MILGI_ENOMEM;
    uint8_t version[2];
    milgi__put16(version, hello->legacy_version);
    int rv = add_part(digest, (struct milgi__bytes){ version, sizeof version });
    rv = rv != 0 ? rv : add_part(digest, (struct milgi__bytes){ hello->random, 32 });
    rv = rv != 0 ? rv : add_part(digest, hello->session_id);
    rv = rv != 0 ? rv : add_part(digest, hello->suites);
    rv = rv != 0 ? rv : add_part(digest, hello->compressions);
    rv = rv != 0 ? rv : add_extensions(digest, hello->block);
    if (rv == 0 && milgi__digest_peek(cx, digest, out) != 0)
        rv = MILGI_EINTERNAL;
    milgi__digest_free(digest);
    return rv;
}
