/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The algorithms as rows: what the library knows of each code point. Another cipher suite, group or scheme is another
 * row here, and its arithmetic in crypto/.
 */
#pragma once

#include <milgi/op.h>

#include "base/base.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

enum {
    MILGI__AEADS = 3,
    MILGI__GROUPS = 6 /* that ops are of: all but the hybrids */
};

/* What a suite's key exchange is signed with. In TLS 1.3 that is negotiated apart. */
enum milgi__auth {
    MILGI__AUTH_ANY,
    MILGI__AUTH_ECDSA, /* and Ed25519 (RFC 8422 5.10) */
    MILGI__AUTH_RSA
};

struct milgi__suite {
    uint16_t id;
    uint16_t aead; /* the number that its AEAD has in ops and keys: the suite of TLS 1.3 with it */
    bool tls13;    /* else of TLS 1.2 */
    enum milgi__auth auth;
    enum milgi__hash hash; /* of the key schedule */
    uint8_t key_len;
    uint64_t record_limit;        /* records under one key (RFC 8446 5.5), less a margin */
    uint32_t record_ns, kbyte_ns; /* estimates: of any record, and of each 1024 bytes in it */
    const char *name, *alias;     /* alias NULL: it has none */
};
const struct milgi__suite *milgi__suite(uint16_t id); /* NULL: unknown */

struct milgi__scheme {
    uint16_t id;
    enum milgi__key_type key;
    bool tls12, tls13;           /* in ServerKeyExchange and CertificateVerify of which version */
    uint16_t long_len;           /* of its signatures, when they are longer than MILGI_SIGNATURE_MAX; else 0 */
    uint32_t sign_ns, verify_ns; /* estimates; sign_ns 0: it goes by the length of the key */
    const char *name;
};
const struct milgi__scheme *milgi__scheme(uint16_t id);
/* For sets of schemes: a bit of its own; of one that we do not know: 0. */
uint32_t milgi__scheme_bit(uint16_t id);
/* Whether it can be offered: the crypto library has it. */
bool milgi__scheme_usable(uint16_t id);

/*
 * A group in which both make a key pair and derive (DH); or in which the server encapsulates (a KEM); or a hybrid of
 * one of each.
 */
enum milgi__group_kind {
    MILGI__DH,
    MILGI__KEM,
    MILGI__HYBRID
};
struct milgi__group {
    uint16_t id;
    uint8_t kind;            /* enum milgi__group_kind */
    uint8_t encaps_seed_len; /* 0: no KEM */
    uint8_t shared_len;
    uint16_t seed_len;                        /* 0: a hybrid */
    uint16_t client_len, server_len;          /* of the shares; of a KEM: of its key, of its ciphertext */
    uint16_t half[2];                         /* a hybrid's, in their order in shares and in the secret */
    uint32_t keygen_ns, derive_ns, encaps_ns; /* estimates; derive_ns of a KEM: of DECAPS */
    const char *name, *alias;
};
const struct milgi__group *milgi__group(uint16_t id);
/* 0: unknown group, or a hybrid. The share that KEYGEN makes. */
size_t milgi__kex_seed_len(uint16_t group);
size_t milgi__kex_public_len(uint16_t group);
/* Of a hybrid the half of that kind; the group itself if it is of that kind; 0: neither. */
uint16_t milgi__group_part(const struct milgi__group *group, enum milgi__group_kind kind);
/* Whether connections can agree on it: the crypto library has what it is made of. */
bool milgi__group_usable(uint16_t id);

/*
 * A guess at the service time of an op on one unit, for budgets, fairness and the model: refined by measurement
 * elsewhere.
 */
uint32_t milgi__op_estimate_ns(const struct milgi_op *op);

/*
 * Ops whose service time is measured together: an op type with a row of its table (of signature schemes: with a type
 * of key, since the estimate knows an RSA key's length), records by their size too. Those of records come first, all
 * sizes of one AEAD and direction together.
 */
#define MILGI__SIZES 8u /* of records: each twice as long as the one before */
#define MILGI__RECORD_KINDS (2u * MILGI__AEADS * MILGI__SIZES)
#define MILGI__HANDSHAKE_KINDS (4u * MILGI__GROUPS + 2u * MILGI__KEY_TYPES + 2u)
#define MILGI__KINDS (MILGI__RECORD_KINDS + MILGI__HANDSHAKE_KINDS)
/* |size|: of a record. An algorithm that is in no table has a kind of its own. */
unsigned milgi__op_kind(int type, uint16_t alg, uint32_t size);
/* Both, of |op|, which is about to be given to somebody. */
void milgi__op_describe(struct milgi_op *op);
