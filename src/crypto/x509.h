/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: what is in one, and whether a chain of them leads to an anchor. Keys and certificates in PEM. */
#pragma once

#include <milgi/config.h>
#include <milgi/op.h>

#include "crypto/sign.h"

/* What is wrong with a text of PEM. */
struct milgi__pem_fault {
    enum milgi_problem_kind kind; /* NONE: it is not the text's fault */
    size_t at;                    /* the block begins here, or behind it */
    char what[64];                /* the block's label, or what kind of key it is */
};

/* A private key in PKCS #8, and its public half (SubjectPublicKeyInfo), both in DER. */
struct milgi__private_key {
    uint8_t *pkcs8, *spki;
    size_t pkcs8_len, spki_len;
    enum milgi__key_type type;
    unsigned bits;
};
/*
 * The first private key of |pem|, which may be encrypted with |passphrase| (NULL: there is none), of at most
 * MILGI_PASSPHRASE_MAX bytes. 0; MILGI_EPARSE, MILGI_EWEAK, MILGI_EUNSUPPORTED, as |fault| says; MILGI_ENOMEM.
 */
int milgi__pem_private_key(const void *pem, size_t pem_len, const char *passphrase, size_t passphrase_len,
    struct milgi__private_key *out, struct milgi__pem_fault *fault);
void milgi__private_key_clear(struct milgi__private_key *key); /* wipes it */
/*
 * Calls |each| with the DER of every certificate in |pem|; it returns 0 or an error that ends the walk. 0,
 * MILGI_EPARSE (none, one malformed, or a block that belongs in no such text: |fault| says), or each's error.
 */
int milgi__pem_certificates(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len),
    void *arg, struct milgi__pem_fault *fault);

/*
 * The same with its CRLs, beside which there may be nothing else; MILGI_EPARSE or MILGI_EUNSUPPORTED: there is one that
 * cannot be used.
 */
int milgi__pem_crls(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg,
    struct milgi__pem_fault *fault);

#define MILGI__SPKI_MAX 2624 /* ML-DSA-87; RSA of 8192 bits, with parameters, is less than half of it */

/* The same, passing over whatever is malformed or of another kind. 0, MILGI_ENOMEM, or each's error. */
int milgi__pem_good_certificates(
    const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg);

struct milgi__cert_info {
    enum milgi__key_type type;
    unsigned bits;        /* RSA modulus; else of the curve */
    bool costly;          /* RSA with a public exponent that is not accepted */
    bool may_sign;        /* keyUsage is absent or has digitalSignature */
    uint16_t signed_with; /* signature scheme that the issuer used, 0: another one */
    size_t spki_len;
    uint8_t spki[MILGI__SPKI_MAX]; /* the public key, as milgi__verify() takes it; at the end, since it is long */
};
/* 0 or MILGI__BAD; |cx| may be NULL */
int milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info);
/* True if it is for this public key (SubjectPublicKeyInfo), in whatever form both are written. */
bool milgi__cert_has_key(const uint8_t *der, size_t len, const uint8_t *spki, size_t spki_len);
#define MILGI__END_POINT_MAX 64
/* What "tls-server-end-point" (RFC 5929 4.1) is for it. 0, or MILGI__BAD: it is not defined. |cx| may be NULL. */
int milgi__cert_end_point(
    struct milgi__crypto *cx, const uint8_t *der, size_t len, uint8_t out[MILGI__END_POINT_MAX], size_t *out_len);
/* Seconds since 1970. 0 or MILGI__BAD. */
int milgi__cert_validity(const uint8_t *der, size_t len, int64_t *not_before_s, int64_t *not_after_s);
/* The subject as RFC 2253 has it, cut when longer than |cap| - 1. 0 or MILGI__BAD. */
int milgi__cert_subject(const uint8_t *der, size_t len, char *out, size_t cap);
int milgi__cert_issuer(const uint8_t *der, size_t len, char *out, size_t cap);
/* Calls |each| with every name of the subjectAltName; what is not 0 ends the walk and is returned. */
typedef int (*milgi__cert_name_cb)(void *arg, enum milgi_name_kind kind, const uint8_t *name, size_t len);
int milgi__cert_names(const uint8_t *der, size_t len, milgi__cert_name_cb each, void *arg);
/* 1 if the certificate is valid for this DNS name (host name rules of RFC 6125). */
int milgi__cert_matches_name(const uint8_t *der, size_t len, const char *name);

/* A set of anchors, of one thread. Built from DER certificates, each with a 3-byte length before it. */
struct milgi__store;
struct milgi__store *milgi__store_new(const uint8_t *anchors, size_t len);
void milgi__store_free(struct milgi__store *store);
/*
 * What the store's anchors are asked about (enum milgi_crl_check), and CRLs, each with a 3-byte length before it; once,
 * before it is used. 0 or MILGI_ENOMEM.
 */
int milgi__store_add_crls(struct milgi__store *store, int check, const uint8_t *crls, size_t len);
/* Until when a CRL that can be used is good: seconds since 1970. */
int64_t milgi__crl_until(const uint8_t *der, size_t len);
/* The system's default store as such a list, in fresh memory. 0, MILGI_EFILE, MILGI_ENOMEM. */
int milgi__system_anchors(uint8_t **anchors, size_t *len);

struct milgi__chain_query {
    const uint8_t *chain; /* DER certificates, leaf first, each with a 3-byte length before it */
    size_t chain_len;
    int64_t now_s;
    int purpose;         /* enum milgi_purpose */
    const uint8_t *name; /* NULL: any */
    size_t name_len;
    bool name_is_ip;
    const uint8_t *ocsp; /* a response for the leaf; NULL: none */
    size_t ocsp_len;
    unsigned staple; /* enum milgi_staple */
};
struct milgi__chain_answer {
    int32_t verdict;               /* X509_V_ERR_* */
    uint16_t alert;                /* what to tell the peer */
    uint32_t path_n;               /* 0 unless accepted */
    uint32_t path[MILGI_PATH_MAX]; /* as VERIFY_CHAIN has it (milgi/op.h), of the store's anchors */
};
/* 0: accepted; MILGI__BAD, MILGI__BROKEN: not. |answer| says the rest, all of it. */
int milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store, const struct milgi__chain_query *query,
    struct milgi__chain_answer *answer);
/*
 * Whether it is an OCSP response that has a status; until when the first is good, INT64_MAX: it does not say. 0 or
 * MILGI__BAD.
 */
int milgi__ocsp_read(const uint8_t *response, size_t len, int64_t *until_s);
/* Until when one that was found good can be taken for that; INT64_MIN: it cannot be read. */
int64_t milgi__ocsp_good_until(const uint8_t *response, size_t len);
/* The subject's, or the issuer's, name in DER, in fresh memory. 0, MILGI__BAD, MILGI_ENOMEM. */
int milgi__cert_name_der(const uint8_t *der, size_t len, bool issuer, uint8_t **name, size_t *name_len);
/* Text for a verdict; static. */
const char *milgi__verdict_text(int32_t verdict);
