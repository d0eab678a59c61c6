/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys made at test time. Failures of libcrypto end the test program with a message. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum identity_key {
    IDENTITY_P256,
    IDENTITY_P384,
    IDENTITY_P521,
    IDENTITY_RSA,     /* rsaEncryption */
    IDENTITY_RSA_PSS, /* id-RSASSA-PSS */
    IDENTITY_ED25519,
    IDENTITY_KEYS,
    IDENTITY_ED448 = IDENTITY_KEYS /* a kind that the library does not have */
};

enum identity_purpose {
    IDENTITY_ANY, /* no extendedKeyUsage */
    IDENTITY_FOR_SERVER,
    IDENTITY_FOR_CLIENT
};

struct identity;

struct identity_options {
    enum identity_key key;
    unsigned rsa_bits;             /* 0: 2048; more than 4096 are made quickly, of many small factors */
    unsigned long rsa_exponent;    /* 0: 65537; with one or an even one the key cannot sign */
    const struct identity *key_of; /* has this one's key */
    bool no_key_ids;               /* neither subjectKeyIdentifier nor authorityKeyIdentifier */
    const char *common_name;       /* "": no subject at all */
    const char *names;             /* subjectAltName as "DNS:a.test,DNS:*.b.test,IP:127.0.0.1"; NULL: none */
    bool is_ca;
    enum identity_purpose purpose;
    const char *usage;                 /* keyUsage as "critical,keyAgreement"; NULL: what is usual; "": none */
    const char *constraints;           /* basicConstraints as "critical,CA:TRUE,pathlen:0"; in the same way */
    const char *limits;                /* nameConstraints as "critical,permitted;DNS:a.test"; NULL: none */
    int64_t not_before_s, not_after_s; /* both 0: from yesterday for a year */
    const struct identity *issuer;     /* NULL: self-signed */
    const struct identity *signer;     /* whose key signs; NULL: the issuer's */
};

struct identity {
    char *chain_pem; /* the certificate, then those of its issuers but the root's */
    char *cert_pem;  /* the certificate alone: of a root, what trusts it */
    char *key_pem;   /* PKCS#8; NULL: its key was made quickly, or cannot sign */
    uint8_t *cert_der;
    size_t cert_der_len;
    void *certificate, *private_key; /* X509 *, EVP_PKEY * */
    char *above_pem;                 /* the chain's tail for those it issues to */
};

struct identity *identity_new(const struct identity_options *options);
void identity_free(struct identity *identity);

/* Shorthands: a root, and a leaf below it. */
struct identity *identity_root(enum identity_key key, const char *common_name);
struct identity *identity_leaf(const struct identity *issuer, enum identity_key key, const char *names);

/* "p256", "rsa" ... */
const char *identity_key_name(enum identity_key key);

/* Writes |text| to a new file that its owner alone may read; the path is the result's, freed with free(). */
char *identity_write(const char *dir, const char *name, const char *text);
