/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, trust (op/material.h has their structs), signature schemes. */
#pragma once

#include <milgi/config.h>

#include "crypto/cert_list.h"
#include "crypto/x509.h"
#include "op/material.h"
#include "op/op.h"

/*
 * What the credential signs with in TLS 1.3, or 1.2: the first of what it is told to that |peer| has; if it is told
 * nothing, the first of |peer| (the peer's order) that |own| allows, one of its own curve before others. 0: nothing.
 */
uint16_t milgi__credential_scheme(const struct milgi_credential *credential, bool tls13, const uint16_t *own,
    size_t own_n, const uint16_t *peer, size_t peer_n);
/* Whether there can be anything at all. */
bool milgi__credential_usable(
    const struct milgi_credential *credential, bool tls13, const uint16_t *own, size_t own_n);
/*
 * True if the version, which is TLS 1.3 or 1.2, lets this key type sign with the scheme. RFC 8446 4.2.3: curve and hash
 * go together in TLS 1.3; in TLS 1.2 they do not.
 */
bool milgi__scheme_fits(uint16_t scheme, enum milgi__key_type type, bool tls13);
/*
 * The schemes that a key signs with, those that it has in TLS 1.3 first; those of ECDSA that name other curves are for
 * TLS 1.2. Returns how many; 0: not even one that is the key's own.
 */
unsigned milgi__key_schemes(
    const uint8_t *spki, size_t spki_len, enum milgi__key_type type, uint16_t out[MILGI__KEY_SCHEMES_MAX]);
/* "ECDSA P-256", "RSA 2048" ... into |out|. */
void milgi__key_type_text(enum milgi__key_type type, unsigned bits, char *out, size_t cap);

/* What goes with the leaf, with a reference for the caller; NULL: nothing, or what is not good any more at |now_s|. */
struct milgi__staple *milgi__credential_staple(
    struct milgi_credential *credential, enum milgi__staple_kind kind, int64_t now_s);
void milgi__staple_unref(struct milgi__staple *staple);
void milgi__credential_forget_staples(struct milgi_credential *credential);
/* Whether one of the chain's issuers is among |names|, of which each has a 2-byte length before it. */
bool milgi__credential_issued_by(const struct milgi_credential *credential, const uint8_t *names, size_t len);

/* When the first of the CRLs that are good at |now_s| is so no more; INT64_MAX: there is none. */
int64_t milgi__trust_good_until(const struct milgi_trust *trust, int64_t now_s);

/*
 * What is wrong with texts of PEM, in words (problem.c). |problem| may be NULL; all return |error|.
 */
int milgi__problem(
    struct milgi_problem *problem, int error, enum milgi_problem_kind kind, enum milgi_problem_file file);
int milgi__problem_of_uri(struct milgi_problem *problem, const char *what);
int milgi__problem_of_pem(struct milgi_problem *problem, int error, enum milgi_problem_file file,
    const struct milgi__pem_fault *fault, const void *pem, size_t len);
/* What libcrypto would pass over in silence: 0, or MILGI_EPARSE. Steps over a byte order mark. */
int milgi__pem_lines(struct milgi_problem *problem, enum milgi_problem_file file, const void **pem, size_t *len);

/*
 * What is signed (RFC 8446 4.4.3): 64 spaces, context string, 0, hash. Returns the length, at most
 * MILGI_SIGN_INPUT_MAX.
 */
size_t milgi__certificate_verify_input(
    bool by_server, const uint8_t *transcript_hash, size_t hash_len, uint8_t out[MILGI_SIGN_INPUT_MAX]);
