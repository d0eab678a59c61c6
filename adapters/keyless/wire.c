/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <string.h>

#include <milgi/op.h>

#define MAJOR 1u
#define ITEM 3u /* tag and length */

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint8_t *put16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* What an item says; false: its length cannot be. */
static bool take(struct milgi__keyless_message *m, unsigned tag, const uint8_t *data, size_t len)
{
    switch (tag) {
    case MILGI__KEYLESS_TAG_OPCODE:
        m->opcode = len == 1 ? data[0] : 0;
        return len == 1;
    case MILGI__KEYLESS_TAG_PAYLOAD:
        m->payload = data;
        m->payload_len = len;
        return true;
    case MILGI__KEYLESS_TAG_SKI:
        if (len != MILGI__KEYLESS_SKI)
            return false;
        memcpy(m->ski, data, len);
        m->has_ski = true;
        return true;
    case MILGI__KEYLESS_TAG_SNI:
        m->sni = data;
        m->sni_len = len;
        return len <= MILGI__KEYLESS_NAME;
    case MILGI__KEYLESS_TAG_DIGEST: return len == 32;
    case MILGI__KEYLESS_TAG_CLIENT_IP:
    case MILGI__KEYLESS_TAG_SERVER_IP: return len == 4 || len == 16;
    default: return true;
    }
}

/* Items that may stand there once; others are not known, and passed over. */
static bool is_known(unsigned tag)
{
    return (tag >= MILGI__KEYLESS_TAG_DIGEST && tag <= MILGI__KEYLESS_TAG_CERT_ID) ||
        tag == MILGI__KEYLESS_TAG_OPCODE || tag == MILGI__KEYLESS_TAG_PAYLOAD || tag == MILGI__KEYLESS_TAG_PADDING;
}

static bool take_items(struct milgi__keyless_message *m, const uint8_t *data, size_t len)
{
    uint64_t seen = 0;
    while (len) {
        if (len < ITEM || len - ITEM < get16(data + 1))
            return false;
        unsigned tag = data[0], item = get16(data + 1);
        if (is_known(tag) && (seen >> tag & 1))
            return false;
        if (is_known(tag))
            seen |= UINT64_C(1) << tag;
        if (!take(m, tag, data + ITEM, item))
            return false;
        data += ITEM + item;
        len -= ITEM + item;
    }
    return seen >> MILGI__KEYLESS_TAG_OPCODE & 1;
}

int milgi__keyless_parse(const uint8_t *data, size_t len, struct milgi__keyless_message *message, size_t *whole)
{
    *message = (struct milgi__keyless_message){ 0 };
    *whole = 0;
    if (len && data[0] != MAJOR) {
        message->id = len >= MILGI__KEYLESS_HEADER ? get32(data + 4) : 0;
        return -MILGI__KEYLESS_E_VERSION;
    }
    if (len < MILGI__KEYLESS_HEADER || len - MILGI__KEYLESS_HEADER < get16(data + 2))
        return 0;
    size_t body = get16(data + 2);
    message->id = get32(data + 4);
    *whole = MILGI__KEYLESS_HEADER + body;
    return take_items(message, data + MILGI__KEYLESS_HEADER, body) ? (int)*whole : -MILGI__KEYLESS_E_FORMAT;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* Without padding. */
static size_t items_length(const struct milgi__keyless_message *m)
{
    return ITEM + 1 + (m->payload_len ? ITEM + m->payload_len : 0) + (m->has_ski ? ITEM + sizeof m->ski : 0) +
        (m->sni_len ? ITEM + m->sni_len : 0);
}

size_t milgi__keyless_length(const struct milgi__keyless_message *message)
{
    if (message->payload_len > MILGI__KEYLESS_PAYLOAD_MAX || message->sni_len > MILGI__KEYLESS_NAME)
        return 0;
    size_t len = MILGI__KEYLESS_HEADER + items_length(message);
    if (len >= MILGI__KEYLESS_PADDED)
        return len;
    return len + ITEM > MILGI__KEYLESS_PADDED ? len + ITEM : MILGI__KEYLESS_PADDED;
}

static uint8_t *put_item(uint8_t *p, unsigned tag, const void *data, size_t len)
{
    *p = (uint8_t)tag;
    p = put16(p + 1, len);
    if (len)
        memcpy(p, data, len);
    return p + len;
}

size_t milgi__keyless_write(const struct milgi__keyless_message *message, uint8_t *out)
{
    size_t len = milgi__keyless_length(message);
    uint8_t *p = out, *end = out + len;
    *p++ = MAJOR;
    *p++ = 0;
    p = put16(p, len - MILGI__KEYLESS_HEADER);
    p = put16(p, message->id >> 16);
    p = put16(p, message->id & 0xffff);
    p = put_item(p, MILGI__KEYLESS_TAG_OPCODE, &message->opcode, 1);
    if (message->payload_len)
        p = put_item(p, MILGI__KEYLESS_TAG_PAYLOAD, message->payload, message->payload_len);
    if (message->has_ski)
        p = put_item(p, MILGI__KEYLESS_TAG_SKI, message->ski, sizeof message->ski);
    if (message->sni_len)
        p = put_item(p, MILGI__KEYLESS_TAG_SNI, message->sni, message->sni_len);
    if (p < end) {
        size_t pad = (size_t)(end - p) - ITEM;
        *p = MILGI__KEYLESS_TAG_PADDING;
        memset(put16(p + 1, pad), 0, pad);
    }
    return len;
}

/* --- what signs --------------------------------------------------------------------------------------------------- */

static const struct {
    uint16_t scheme;
    uint8_t opcode;
} signs[] = {
    { MILGI_SIG_RSA_PKCS1_SHA256, MILGI__KEYLESS_RSA_SHA256 },
    { MILGI_SIG_RSA_PKCS1_SHA384, MILGI__KEYLESS_RSA_SHA384 },
    { MILGI_SIG_RSA_PKCS1_SHA512, MILGI__KEYLESS_RSA_SHA512 },
    { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI__KEYLESS_ECDSA_SHA256 },
    { MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI__KEYLESS_ECDSA_SHA384 },
    { MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI__KEYLESS_ECDSA_SHA512 },
    { MILGI_SIG_ED25519, MILGI__KEYLESS_ED25519 },
    { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI__KEYLESS_PSS_SHA256 },
    { MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI__KEYLESS_PSS_SHA384 },
    { MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI__KEYLESS_PSS_SHA512 },
    { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI__KEYLESS_PSS_SHA256 },
    { MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI__KEYLESS_PSS_SHA384 },
    { MILGI_SIG_RSA_PSS_PSS_SHA512, MILGI__KEYLESS_PSS_SHA512 },
};
#define SIGNS (sizeof signs / sizeof signs[0])

uint8_t milgi__keyless_opcode(uint16_t scheme)
{
    for (size_t i = 0; i < SIGNS; i++)
        if (signs[i].scheme == scheme)
            return signs[i].opcode;
    return 0;
}

uint16_t milgi__keyless_scheme(uint8_t opcode)
{
    for (size_t i = 0; i < SIGNS; i++)
        if (signs[i].opcode == opcode)
            return signs[i].scheme;
    return 0;
}
