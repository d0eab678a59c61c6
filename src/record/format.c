/* SPDX-License-Identifier: Apache-2.0 */
/* The rows, and what is made by them: headers, nonces, additional data; how many records a key may be used for. */
#include "record/format.h"

#include "record/record.h"

/*= RFC8446 5.2: "the additional data input is the record header" */
static uint8_t aad_header(
    const struct milgi__format *f, uint8_t out[13], const uint8_t *front, uint64_t seq, uint32_t len)
{
    (void)seq;
    (void)len;
    memcpy(out, front, f->header_len);
    return f->header_len;
}

const struct milgi__format milgi__format_plain = {
    .clear = &milgi__format_plain,
    .version = 0x0303,
    /*= RFC8446 5.1: "In order to maximize backward compatibility, a record containing an initial ClientHello SHOULD
     *= have version 0x0301 (reflecting TLS 1.0)" */
    .hello_version = 0x0301,
    .header_len = MILGI__RECORD_HEADER,
    .takes = MILGI__TYPE(MILGI__CCS) | MILGI__TYPE(MILGI__ALERT) | MILGI__TYPE(MILGI__HANDSHAKE),
    /*= RFC8446 5.1: "Application Data messages are always protected." */
    .protects = MILGI__TYPE(MILGI__DATA),
    .clear_max = MILGI__PLAINTEXT_MAX,
    .protected_max = MILGI__CIPHERTEXT_MAX,
    .seq_max = UINT64_MAX,
};

const struct milgi__format milgi__format_tls13 = {
    .clear = &milgi__format_plain,
    .version = 0x0303,
    .hello_version = 0x0303,
    .header_len = MILGI__RECORD_HEADER,
    .inner_len = 1,
    .tag_len = MILGI__TAG,
    /*= RFC8446 5.2: "The outer opaque_type field of a TLSCiphertext record is always set to the value 23" */
    .outer_type = MILGI__DATA,
    .seals = MILGI__TYPE(MILGI__ALERT) | MILGI__TYPE(MILGI__HANDSHAKE) | MILGI__TYPE(MILGI__DATA),
    .takes = MILGI__TYPE(MILGI__CCS) | MILGI__TYPE(MILGI__DATA),
    .protects = MILGI__TYPE(MILGI__DATA),
    /* A peer that could not make its keys tells us so in the clear. Nobody can have forged away what was opened. */
    .until_open = MILGI__TYPE(MILGI__ALERT),
    /*= RFC8446 5.1: "The length MUST NOT exceed 2^14 bytes." */
    .clear_max = MILGI__PLAINTEXT_MAX,
    /*= RFC8446 5.2: "The length MUST NOT exceed 2^14 + 256 bytes." */
    .protected_max = MILGI__CIPHERTEXT_MAX,
    /*= RFC8446 5.3: "If a TLS implementation would need to wrap a sequence number, it MUST either rekey (Section 4.6.3)
     *= or terminate the connection." */
    .seq_max = UINT64_MAX,
    .aad = aad_header,
};

/*= RFC5246 6.2.3.3: "additional_data = seq_num + TLSCompressed.type + TLSCompressed.version +
 *= TLSCompressed.length;" */
static uint8_t aad_numbered(
    const struct milgi__format *f, uint8_t out[13], const uint8_t *front, uint64_t seq, uint32_t len)
{
    (void)f;
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(seq >> (56 - 8 * i));
    memcpy(out + 8, front, 3);
    milgi__put16(out + 11, len);
    return 13;
}

#define PROTECTED12 (MILGI__TYPE(MILGI__ALERT) | MILGI__TYPE(MILGI__HANDSHAKE) | MILGI__TYPE(MILGI__DATA))
/* No change_cipher_spec: there is no second key in TLS 1.2 without renegotiation. */
#define FORMAT12(explicit) \
    .clear = &milgi__format_plain, .version = 0x0303, .hello_version = 0x0303, .header_len = MILGI__RECORD_HEADER, \
    .explicit_len = (explicit), .tag_len = MILGI__TAG, .seals = PROTECTED12, .takes = PROTECTED12, \
    .protects = PROTECTED12, .clear_max = MILGI__PLAINTEXT_MAX, .protected_max = MILGI__CIPHERTEXT_MAX, \
    .seq_max = UINT64_MAX, .aad = aad_numbered

/*= RFC5288 3: "The nonce_explicit MAY be the 64-bit sequence number." It is, in what we send. */
const struct milgi__format milgi__format_tls12_gcm = { FORMAT12(8) };
/*= RFC7905 2: "The padded sequence number is XORed with the client_write_IV [...] or server_write_IV" */
const struct milgi__format milgi__format_tls12_chacha = { FORMAT12(0) };

const struct milgi__format *milgi__format_of(const struct milgi__suite *suite)
{
    if (suite->tls13)
        return &milgi__format_tls13;
    bool chacha = suite->aead == MILGI_SUITE_CHACHA20_POLY1305_SHA256;
    return chacha ? &milgi__format_tls12_chacha : &milgi__format_tls12_gcm;
}

void milgi__format_header(
    const struct milgi__format *f, uint8_t *out, uint8_t type, bool hello, uint64_t seq, uint32_t len)
{
    out[0] = f->outer_type ? f->outer_type : type;
    milgi__put16(out + 1, hello ? f->hello_version : f->version);
    for (unsigned i = 0; i < f->number_len; i++)
        out[3 + i] = (uint8_t)(seq >> 8 * (f->number_len - 1 - i));
    milgi__put16(out + f->header_len - 2, len);
}

static inline uint64_t network_order(uint64_t v)
{
    uint8_t p[8] = { (uint8_t)(v >> 56), (uint8_t)(v >> 48), (uint8_t)(v >> 40), (uint8_t)(v >> 32), (uint8_t)(v >> 24),
        (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    memcpy(&v, p, sizeof v);
    return v;
}

/*= RFC8446 5.3: "The padded sequence number is XORed with either the static client_write_iv or server_write_iv" */
static void make_nonce(const struct milgi__direction *d, uint64_t number, uint8_t nonce[12])
{
    uint64_t iv, seq = network_order(number);
    memcpy(&iv, d->iv + 4, sizeof iv);
    iv ^= seq;
    memcpy(nonce, d->iv, 4);
    memcpy(nonce + 4, &iv, sizeof iv);
}

/* The last bytes of a nonce, where they are told and where they are read. */
static inline void put_explicit(const struct milgi__format *f, uint8_t *front, const uint8_t nonce[12])
{
    memcpy(front + f->header_len, nonce + 12 - f->explicit_len, f->explicit_len);
}

static inline void take_explicit(const struct milgi__format *f, const uint8_t *front, uint8_t nonce[12])
{
    memcpy(nonce + 12 - f->explicit_len, front + f->header_len, f->explicit_len);
}

static inline void fill_record(struct milgi_op_record *record, const struct milgi__direction *d, uint64_t seq,
    const uint8_t *front, uint32_t len)
{
    make_nonce(d, seq, record->nonce);
    if (d->format == &milgi__format_tls13) { /* as its row says, without asking it */
        memcpy(record->aad, front, MILGI__RECORD_HEADER);
        record->aad_len = MILGI__RECORD_HEADER;
    } else {
        record->aad_len = d->format->aad(d->format, record->aad, front, seq, len);
    }
}

void milgi__format_seal_record(struct milgi_op_record *record, const struct milgi__direction *d, uint64_t seq,
    uint8_t *front, uint32_t len)
{
    fill_record(record, d, seq, front, len);
    if (d->format->explicit_len)
        put_explicit(d->format, front, record->nonce);
}

void milgi__format_open_record(struct milgi_op_record *record, const struct milgi__direction *d, uint64_t seq,
    const uint8_t *front, uint32_t len)
{
    fill_record(record, d, seq, front, len);
    if (d->format->explicit_len)
        take_explicit(d->format, front, record->nonce);
}

static void fill(struct milgi_op *op, enum milgi_op_type type, const struct milgi__direction *d, const uint8_t *front,
    uint32_t len, bool in_place)
{
    op->type = (uint8_t)type;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = d->key->alg;
    op->key = d->key;
    op->key->refs++;
    if (!in_place)
        op->flags |= MILGI__OP_RERUN;
    struct milgi_op_aead *a = &op->u.aead;
    make_nonce(d, d->seq, a->nonce);
    a->aad_len = d->format->aad(d->format, a->aad, front, d->seq, len);
    a->in_place = in_place;
}

void milgi__format_seal_op(
    struct milgi_op *op, const struct milgi__direction *d, uint8_t *front, uint32_t len, bool in_place)
{
    const struct milgi__format *f = d->format;
    fill(op, MILGI_OP_SEAL, d, front, len, in_place);
    put_explicit(f, front, op->u.aead.nonce);
}

void milgi__format_open_op(
    struct milgi_op *op, const struct milgi__direction *d, const uint8_t *front, uint32_t len, bool in_place)
{
    const struct milgi__format *f = d->format;
    fill(op, MILGI_OP_OPEN, d, front, len, in_place);
    take_explicit(f, front, op->u.aead.nonce);
}

uint64_t milgi__format_records_max(const struct milgi__format *f, const struct milgi_key *key)
{
    /*= RFC8446 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
     *= connection while keeping a safety margin" */
    if (key->alg == MILGI_SUITE_AES_128_GCM_SHA256 || key->alg == MILGI_SUITE_AES_256_GCM_SHA384)
        return MILGI__MIN(UINT64_C(23726566), f->seq_max);
    return f->seq_max;
}

uint64_t milgi__format_rekey_at(const struct milgi__format *f, const struct milgi_key *key)
{
    const struct milgi__suite *suite = milgi__suite(key->alg);
    uint64_t hard = milgi__format_records_max(f, key);
    return suite ? MILGI__MIN(suite->record_limit, hard) : hard;
}
