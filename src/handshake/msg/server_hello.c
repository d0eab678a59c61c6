/* SPDX-License-Identifier: Apache-2.0 */
/* ServerHello and, in the same form, HelloRetryRequest (RFC 8446 4.1.3, 4.1.4). */
#include "handshake/msg/msg.h"

/* SHA-256 of "HelloRetryRequest". */
static const uint8_t retry_random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e,
    0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };

/* "DOWNGRD", followed by 1 (TLS 1.2) or 0 (below). */
static const uint8_t downgraded[7] = { 0x44, 0x4f, 0x57, 0x4e, 0x47, 0x52, 0x44 };

static enum milgi__place place_of(const struct milgi__server_hello *hello)
{
    if (hello->tls12)
        return MILGI__IN_SERVER_HELLO12;
    return hello->retry ? MILGI__IN_RETRY : MILGI__IN_SERVER_HELLO;
}

void milgi__server_hello_encode(struct milgi__writer *w, const struct milgi__server_hello *hello)
{
    size_t message = milgi__message_begin(w, MILGI__MSG_SERVER_HELLO);
    /*= RFC8446 4.1.3: "the legacy_version field MUST be set to 0x0303" */
    milgi__write16(w, MILGI__TLS12);
    milgi__write_bytes(w, hello->retry ? retry_random : hello->random, 32);
    milgi__write8(w, (unsigned)hello->session_id.len);
    milgi__write_bytes(w, hello->session_id.p, hello->session_id.len);
    milgi__write16(w, hello->suite);
    milgi__write8(w, 0);
    if (!hello->tls12 || hello->ext.present != 0) {
        size_t block = milgi__write_begin(w, 2);
        milgi__exts_encode(w, place_of(hello), &hello->ext);
        milgi__write_end(w, block, 2);
    }
    milgi__message_end(w, message);
}

bool milgi__server_hello_decode(
    struct milgi__reader *body, struct milgi__server_hello *hello, struct milgi__failure *failure)
{
    *hello = (struct milgi__server_hello){ .legacy_version = (uint16_t)milgi__read16(body) };
    hello->random = milgi__read_bytes(body, 32);
    struct milgi__reader session_id = milgi__read_vec(body, 1, 0, 32);
    hello->session_id = milgi__rest(&session_id);
    hello->suite = (uint16_t)milgi__read16(body);
    hello->compression = (uint8_t)milgi__read8(body);
    if (milgi__left(body) != 0) { /* older versions may send none */
        struct milgi__reader block = milgi__read_vec(body, 2, 0, 0xffff);
        hello->block = milgi__rest(&block);
    }
    if (!milgi__reader_done(body))
        return milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "malformed ServerHello");
    /*= RFC8446 D.5: "Any endpoint receiving a Hello message with ClientHello.legacy_version or
     *= ServerHello.legacy_version set to 0x0300 MUST abort the handshake with a "protocol_version" alert." */
    if (hello->legacy_version <= MILGI__SSL3)
        return milgi__refuse(failure, MILGI_ALERT_PROTOCOL_VERSION, "ServerHello of SSL 3.0");
    hello->retry = memcmp(hello->random, retry_random, sizeof retry_random) == 0;
    return true;
}

uint16_t milgi__server_hello_version(const struct milgi__server_hello *hello)
{
    struct milgi__bytes body;
    /*= RFC8446 4.2.1: "If this extension is present, clients MUST ignore the ServerHello.legacy_version value and MUST
     *= use only the "supported_versions" extension to determine the selected version." */
    if (hello->retry || milgi__exts_peek(hello->block, milgi__ext_versions.iana, &body))
        return MILGI__TLS13;
    return hello->legacy_version < MILGI__TLS12 ? hello->legacy_version : MILGI__TLS12;
}

void milgi__mark_downgraded(uint8_t random[32])
{
    memcpy(random + 32 - 8, downgraded, sizeof downgraded);
    random[31] = 1;
}

bool milgi__server_hello_downgraded(const struct milgi__server_hello *hello)
{
    const uint8_t *last = hello->random + 32 - 8;
    return memcmp(last, downgraded, sizeof downgraded) == 0 && last[7] <= 1;
}

bool milgi__server_hello_decode13(struct milgi__server_hello *hello, uint32_t offered, struct milgi__failure *failure)
{
    /* The one answer that needs no question (4.2.2). */
    if (hello->retry)
        offered |= MILGI__EXT(MILGI__EXT_COOKIE);
    if (!milgi__exts_decode(hello->block, place_of(hello), offered, &hello->ext, failure))
        return false;
    /*= RFC8446 4.1.4: "The server's extensions MUST contain "supported_versions"." */
    if ((hello->ext.present & MILGI__EXT(MILGI__EXT_VERSIONS)) == 0)
        return milgi__refuse(failure, MILGI_ALERT_MISSING_EXTENSION, "ServerHello without supported_versions");
    /*= RFC8446 4.2.1: "If the "supported_versions" extension in the ServerHello contains a version not offered by the
     *= client or contains a version prior to TLS 1.3, the client MUST abort the handshake with an "illegal_parameter"
     *= alert." */
    if (hello->ext.version != MILGI__TLS13)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "the server selected a version not offered");
    /*= RFC8446 4.1.3: "legacy_compression_method:  A single byte which MUST have the value 0." */
    if (hello->compression != 0)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "ServerHello with compression");
    return true;
}

bool milgi__server_hello_decode12(struct milgi__server_hello *hello, uint32_t offered, struct milgi__failure *failure)
{
    if (hello->legacy_version != MILGI__TLS12)
        return milgi__refuse(failure, MILGI_ALERT_PROTOCOL_VERSION, "the server selected a version not offered");
    if (!milgi__exts_decode(hello->block, MILGI__IN_SERVER_HELLO12, offered, &hello->ext, failure))
        return false;
    /*= RFC5246 7.4.1.3: "The single compression algorithm selected by the server from the list in
     *= ClientHello.compression_methods." */
    if (hello->compression != 0)
        return milgi__refuse(failure, MILGI_ALERT_ILLEGAL_PARAMETER, "ServerHello with compression");
    return milgi__exts_check12(&hello->ext, failure);
}
