/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PRIVATE and TRUST keys are made of. cert/ makes these and says how they are freed; here, since ops are performed
 * with them and keys hold them.
 */
#pragma once

#include <stdatomic.h>

#include "crypto/sign.h"

#define MILGI__KEY_SCHEMES_MAX 6 /* of one key */

/* Bytes that stand beside a certificate; immutable. */
struct milgi__staple {
    _Atomic uint32_t refs;
    int64_t until_s; /* they are of no use any more */
    size_t len;
    uint8_t data[];
};
enum milgi__staple_kind {
    MILGI__STAPLE_OCSP,
    MILGI__STAPLE_TIMESTAMPS,
    MILGI__STAPLES
};

/* Immutable once it is in use, but for its staples; references are atomic. */
struct milgi_credential {
    _Atomic uint32_t refs;
    void (*destroy)(struct milgi_credential *credential);
    uint64_t serial;
    enum milgi__key_type type;
    unsigned bits;
    uint8_t *chain; /* DER certificates, leaf first, each with a 3-byte length before it */
    size_t chain_len;
    unsigned chain_n;
    uint8_t *pkcs8; /* NULL: the key lives elsewhere */
    size_t pkcs8_len;
    char *uri; /* where; may hold a PIN. NULL: it is here */
    uint8_t *spki;
    size_t spki_len;
    uint16_t schemes[MILGI__KEY_SCHEMES_MAX]; /* that the key signs with; which are of TLS 1.3 their rows say */
    unsigned schemes_n;
    uint16_t wanted[MILGI__KEY_SCHEMES_MAX]; /* those that it is to sign with, the most wanted first; */
    unsigned wanted_n;                       /* 0: as the peer likes it */
    bool must_match;                         /* it is shown only to who names one of its issuers */
    _Atomic bool given;                      /* in use: to be changed no more */
    uint16_t leaf_signed_with;
    uint8_t *issuers; /* of each certificate of the chain the issuer's name in DER, with a 2-byte length before it */
    size_t issuers_len;
    atomic_flag staple_lock; /* held for a few instructions */
    struct milgi__staple *staple[MILGI__STAPLES];
    char subject[256];
    char key_type[32];
};

/* The same, without staples. */
struct milgi_trust {
    _Atomic uint32_t refs;
    void (*destroy)(struct milgi_trust *trust);
    uint64_t serial;
    uint8_t *anchors; /* as milgi__store_new() takes them */
    size_t anchors_len;
    uint8_t *crls; /* as milgi__store_add_crls() takes them */
    size_t crls_len;
    int64_t *crls_until_s; /* of each */
    unsigned crls_n;
    uint8_t crl_check;  /* enum milgi_crl_check */
    _Atomic bool given; /* in use: to be changed no more */
};

static inline void milgi__credential_unref(struct milgi_credential *credential)
{
    if (atomic_fetch_sub_explicit(&credential->refs, 1, memory_order_acq_rel) == 1)
        credential->destroy(credential);
}

static inline void milgi__trust_unref(struct milgi_trust *trust)
{
    if (atomic_fetch_sub_explicit(&trust->refs, 1, memory_order_acq_rel) == 1)
        trust->destroy(trust);
}
