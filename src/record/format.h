/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How records look: all that differs between the versions of TLS, and between what is protected and what is not, as
 * rows of plain numbers. A direction has the row of its key; another version is another row, and the rest of the
 * pipeline does not know which one it works with.
 *
 *     | header | explicit | content, its type and padding | tag |       what is sealed: from content to padding
 *     <----- front ------>                <--- trailer -------->       body: all behind the header
 */
#pragma once

#include "op/op.h"
#include "record/content.h"

struct milgi__direction;

#define MILGI__FRONT_MAX 21u /* of any row: DTLS 1.2's header, and eight bytes of a nonce */
#define MILGI__TYPE(type) (1u << (type))

struct milgi__format {
    const struct milgi__format *clear; /* of what is not protected though there is a key */
    uint16_t version;                  /* what headers say */
    uint16_t hello_version;            /* the same of what is sent before anything has come */
    uint8_t header_len;                /* type and version first, the body's length last, */
    uint8_t number_len;                /* between them so many bytes of the sequence number */
    uint8_t explicit_len;              /* so many last bytes of the nonce stand before the ciphertext */
    uint8_t inner_len;                 /* 1: the content's type, and padding behind it, are sealed with the content */
    uint8_t tag_len;
    uint8_t outer_type; /* of all that is protected; 0: the content's own */
    /* sets of MILGI__TYPE: */
    uint32_t seals;                    /* content that is sealed when it is sent; the rest goes in the clear */
    uint32_t takes;                    /* records that may come */
    uint32_t protects;                 /* those of them that are protected */
    uint32_t until_open;               /* so may records of two bytes of these, until a protected one was opened */
    uint32_t clear_max, protected_max; /* of a received body */
    uint64_t seq_max;                  /* no record has this number, nor a greater one */
    /* What is authenticated besides the content, which is |len| bytes with type and padding; returns its length. */
    uint8_t (*aad)(const struct milgi__format *f, uint8_t out[13], const uint8_t *front, uint64_t seq, uint32_t len);
};

extern const struct milgi__format milgi__format_plain; /* before there is a key */
extern const struct milgi__format milgi__format_tls13; /* TLS 1.3, protected */
extern const struct milgi__format milgi__format_tls12_gcm, milgi__format_tls12_chacha;
/* Of records that this suite protects. */
const struct milgi__format *milgi__format_of(const struct milgi__suite *suite);

static inline bool milgi__format_has(uint32_t set, uint8_t type)
{
    return type < 32 && (set >> type & 1);
}
static inline uint32_t milgi__format_front(const struct milgi__format *f)
{
    return f->header_len + f->explicit_len;
}
/* Behind the content of an unpadded record. */
static inline uint32_t milgi__format_trailer(const struct milgi__format *f)
{
    return f->inner_len + f->tag_len;
}
static inline uint32_t milgi__format_overhead(const struct milgi__format *f)
{
    return milgi__format_front(f) + milgi__format_trailer(f);
}
/* Of the body behind a header. */
static inline uint32_t milgi__format_body(const struct milgi__format *f, const uint8_t *header)
{
    return milgi__get16(header + f->header_len - 2);
}

/* Records that may ever be sealed or opened with this key, and after how many to change it. */
uint64_t milgi__format_records_max(const struct milgi__format *f, const struct milgi_key *key);
uint64_t milgi__format_rekey_at(const struct milgi__format *f, const struct milgi_key *key);

/* Writes the header of a record with |len| bytes of body. |hello|: nothing has come yet. */
void milgi__format_header(
    const struct milgi__format *f, uint8_t *out, uint8_t type, bool hello, uint64_t seq, uint32_t len);
/*
 * What a seal or open op says of the next record of |d|, which has a key and |len| bytes that are or will be sealed:
 * key, nonce, additional data. The front of the record has its header; a seal's gets the explicit bytes, an open's has
 * them.
 */
void milgi__format_seal_op(
    struct milgi_op *op, const struct milgi__direction *d, uint8_t *front, uint32_t len, bool in_place);
void milgi__format_open_op(
    struct milgi_op *op, const struct milgi__direction *d, const uint8_t *front, uint32_t len, bool in_place);
/* The same for records that have no ops, of the number |seq|. */
void milgi__format_seal_record(struct milgi_op_record *record, const struct milgi__direction *d, uint64_t seq,
    uint8_t *front, uint32_t len);
void milgi__format_open_record(struct milgi_op_record *record, const struct milgi__direction *d, uint64_t seq,
    const uint8_t *front, uint32_t len);
