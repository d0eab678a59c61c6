/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: a chain and its key, read and checked once. */
#include "cert/cert.h"

#include "base/port.h"
#include "crypto/list.h"

/* The first scheme that a key of this type signs with; 0: there is none. */
static uint16_t any_scheme(enum milgi__key_type type)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512 };

    for (size_t i = 0; i < MILGI__COUNT(schemes); i++) {
        if (milgi__scheme_fits(schemes[i], type))
            return schemes[i];
    }
    return 0;
}

/* The private key makes signatures that the certificate's key verifies: a file may hold any two numbers. */
static int check_signing(const struct milgi_credential *c)
{
    static const uint8_t message[] = "one half of a key and the other";
    uint8_t sig[MILGI_SIGNATURE_MAX];
    size_t sig_len = sizeof(sig);
    int error = 0;

    struct milgi__crypto *cx = milgi__crypto_new();
    if (cx == NULL)
        return MILGI_ENOMEM;
    struct milgi__pkey *key = milgi__pkey_new(cx, c->pkcs8, c->pkcs8_len);
    uint16_t scheme = any_scheme(c->type);
    if (key == NULL) /* the crypto library has just written what it cannot read here */
        error = MILGI_ENOMEM;
    else if (milgi__pkey_sign(cx, key, scheme, message, sizeof(message), sig, &sig_len) != 0)
        error = MILGI_EUNSUPPORTED;
    else if (milgi__verify(cx, c->spki, c->spki_len, scheme, message, sizeof(message), sig, sig_len) != 0)
        error = MILGI_EMISMATCH;
    milgi__pkey_free(key);
    milgi__crypto_free(cx);
    return error;
}

static int read_leaf(struct milgi_credential *c)
{
    struct milgi__cert_walk walk = { .p = c->chain, .left = c->chain_len };
    struct milgi__cert_info info;

    if (!milgi__cert_walk_next(&walk) || milgi__cert_info(NULL, walk.der, walk.der_len, &info) != 0)
        return MILGI_EPARSE;
    if (info.spki_len != c->spki_len || memcmp(info.spki, c->spki, c->spki_len) != 0)
        return MILGI_EMISMATCH;
    c->leaf_signed_with = info.signed_with;
    memcpy(c->subject, info.subject, sizeof(c->subject));
    milgi__key_type_text(c->type, c->bits, c->key_type, sizeof(c->key_type));
    return 0;
}

static int read_parts(
    struct milgi_credential *c, const void *chain, size_t chain_len, const void *key, size_t key_len)
{
    struct milgi__cert_list list = { .data = NULL };

    int error = milgi__cert_list_add_pem(&list, chain, chain_len);
    c->chain = list.data;
    c->chain_len = list.len;
    c->chain_n = list.n;
    if (error == 0)
        error = milgi__pem_private_key(
            key, key_len, &c->pkcs8, &c->pkcs8_len, &c->spki, &c->spki_len, &c->type, &c->bits);
    if (error == 0)
        error = read_leaf(c);
    return error != 0 ? error : check_signing(c);
}

int milgi_credential_new_pem(
    const void *chain, size_t chain_len, const void *key, size_t key_len, struct milgi_credential **credential)
{
    if (credential == NULL)
        return MILGI_EINVAL;
    *credential = NULL;
    if (chain == NULL || key == NULL)
        return MILGI_EINVAL;
    struct milgi_credential *c = milgi__alloc(sizeof(*c));
    if (c == NULL)
        return MILGI_ENOMEM;
    atomic_init(&c->refs, 1);
    c->serial = milgi__key_serial();
    int error = read_parts(c, chain, chain_len, key, key_len);
    if (error != 0)
        milgi_credential_unref(c);
    else
        *credential = c;
    return error;
}

int milgi_credential_new_file(const char *chain_file, const char *key_file, struct milgi_credential **credential)
{
    size_t chain_len;
    size_t key_len;
    int error = MILGI_EFILE;

    if (credential == NULL)
        return MILGI_EINVAL;
    *credential = NULL;
    if (chain_file == NULL || key_file == NULL)
        return MILGI_EINVAL;
    uint8_t *chain = milgi__port_read_file(chain_file, &chain_len);
    uint8_t *key = milgi__port_read_file(key_file, &key_len);
    if (chain != NULL && key != NULL)
        error = milgi_credential_new_pem(chain, chain_len, key, key_len, credential);
    milgi__free_wiped(chain, chain_len);
    milgi__free_wiped(key, key_len);
    return error;
}

struct milgi_credential *milgi_credential_ref(struct milgi_credential *credential)
{
    atomic_fetch_add_explicit(&credential->refs, 1, memory_order_relaxed);
    return credential;
}

void milgi_credential_unref(struct milgi_credential *credential)
{
    if (credential == NULL || atomic_fetch_sub_explicit(&credential->refs, 1, memory_order_acq_rel) != 1)
        return;
    milgi__free(credential->chain);
    milgi__free(credential->spki);
    milgi__free_wiped(credential->pkcs8, credential->pkcs8_len);
    milgi__free(credential);
}

const char *milgi_credential_subject(const struct milgi_credential *credential)
{
    return credential->subject;
}

const char *milgi_credential_key_type(const struct milgi_credential *credential)
{
    return credential->key_type;
}

bool milgi__credential_fits_name(const struct milgi_credential *credential, const char *name)
{
    struct milgi__cert_walk walk = { .p = credential->chain, .left = credential->chain_len };

    return milgi__cert_walk_next(&walk) && milgi__cert_matches_name(walk.der, walk.der_len, name) == 1;
}
