/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: a chain and its key, read and checked once. */
#include "cert/cert.h"

#include "base/port.h"
#include "crypto/cert_list.h"

#define URI_MAX 4096
/* The same bounds as for keys that are read. */
#define RSA_MIN 2048
#define RSA_MAX 4096

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

/* Of a key that is elsewhere the certificate says all that is known here. */
static int public_half(struct milgi_credential *c, const struct milgi__cert_info *info)
{
    bool rsa = info->type == MILGI__KEY_RSA || info->type == MILGI__KEY_RSA_PSS;

    if (any_scheme(info->type) == 0 || (rsa && info->bits > RSA_MAX))
        return MILGI_EUNSUPPORTED;
    if (rsa && info->bits < RSA_MIN)
        return MILGI_EWEAK;
    c->spki = milgi__alloc_raw(info->spki_len);
    if (c->spki == NULL)
        return MILGI_ENOMEM;
    memcpy(c->spki, info->spki, info->spki_len);
    c->spki_len = info->spki_len;
    c->type = info->type;
    c->bits = info->bits;
    return 0;
}

static int read_leaf(struct milgi_credential *c)
{
    struct milgi__cert_walk walk = { .p = c->chain, .left = c->chain_len };
    struct milgi__cert_info info;

    if (!milgi__cert_walk_next(&walk) || milgi__cert_info(NULL, walk.der, walk.der_len, &info) != 0)
        return MILGI_EPARSE;
    if (c->uri != NULL) {
        int error = public_half(c, &info);
        if (error != 0)
            return error;
    }
    if (info.spki_len != c->spki_len || memcmp(info.spki, c->spki, c->spki_len) != 0)
        return MILGI_EMISMATCH;
    c->leaf_signed_with = info.signed_with;
    if (milgi__cert_subject(walk.der, walk.der_len, c->subject, sizeof(c->subject)) != 0)
        return MILGI_EPARSE;
    milgi__key_type_text(c->type, c->bits, c->key_type, sizeof(c->key_type));
    return 0;
}

static int read_chain(struct milgi_credential *c, const void *chain, size_t chain_len)
{
    struct milgi__cert_list list = { .data = NULL };

    int error = milgi__cert_list_add_pem(&list, chain, chain_len);
    c->chain = list.data;
    c->chain_len = list.len;
    c->chain_n = list.n;
    return error;
}

static int read_key(struct milgi_credential *c, const void *key, size_t key_len)
{
    int error = milgi__pem_private_key(
        key, key_len, &c->pkcs8, &c->pkcs8_len, &c->spki, &c->spki_len, &c->type, &c->bits);
    if (error == 0)
        error = read_leaf(c);
    return error != 0 ? error : check_signing(c);
}

/* "scheme:" and printable characters behind it (RFC 3986 3.1, 2); what they mean is for devices to say. */
static bool is_uri(const char *uri)
{
    static const char others[] = "+-.0123456789";
    size_t len = strlen(uri), scheme = 0;

    while ((uri[scheme] >= 'a' && uri[scheme] <= 'z') || (uri[scheme] >= 'A' && uri[scheme] <= 'Z') ||
        (scheme > 0 && uri[scheme] != '\0' && strchr(others, uri[scheme]) != NULL))
        scheme++;
    if (scheme == 0 || uri[scheme] != ':' || uri[scheme + 1] == '\0' || len > URI_MAX)
        return false;
    for (size_t i = scheme; i < len; i++) {
        if (uri[i] <= ' ' || uri[i] > '~')
            return false;
    }
    return true;
}

static int copy_uri(struct milgi_credential *c, const char *uri)
{
    size_t size = strlen(uri) + 1;

    c->uri = milgi__alloc_raw(size);
    if (c->uri == NULL)
        return MILGI_ENOMEM;
    memcpy(c->uri, uri, size);
    return 0;
}

static void destroy(struct milgi_credential *credential)
{
    milgi__free(credential->chain);
    milgi__free(credential->spki);
    milgi__free_wiped(credential->pkcs8, credential->pkcs8_len);
    if (credential->uri != NULL)
        milgi__free_wiped(credential->uri, strlen(credential->uri));
    milgi__free(credential);
}

static struct milgi_credential *credential_new(void)
{
    struct milgi_credential *c = milgi__alloc(sizeof(*c));

    if (c == NULL)
        return NULL;
    atomic_init(&c->refs, 1);
    c->destroy = destroy;
    c->serial = milgi__key_serial();
    return c;
}

/* The caller gets it if there was no error. */
static int hand_out(struct milgi_credential *c, int error, struct milgi_credential **credential)
{
    if (error != 0)
        milgi_credential_unref(c);
    else
        *credential = c;
    return error;
}

int milgi_credential_new_pem(
    const void *chain, size_t chain_len, const void *key, size_t key_len, struct milgi_credential **credential)
{
    if (credential == NULL)
        return MILGI_EINVAL;
    *credential = NULL;
    if (chain == NULL || key == NULL)
        return MILGI_EINVAL;
    struct milgi_credential *c = credential_new();
    if (c == NULL)
        return MILGI_ENOMEM;
    int error = read_chain(c, chain, chain_len);
    if (error == 0)
        error = read_key(c, key, key_len);
    return hand_out(c, error, credential);
}

int milgi_credential_new_uri(
    const void *chain, size_t chain_len, const char *uri, struct milgi_credential **credential)
{
    if (credential == NULL)
        return MILGI_EINVAL;
    *credential = NULL;
    if (chain == NULL || uri == NULL || !is_uri(uri))
        return MILGI_EINVAL;
    struct milgi_credential *c = credential_new();
    if (c == NULL)
        return MILGI_ENOMEM;
    int error = copy_uri(c, uri);
    if (error == 0)
        error = read_chain(c, chain, chain_len);
    if (error == 0)
        error = read_leaf(c);
    return hand_out(c, error, credential);
}

bool milgi_credential_is_uri(const char *key_file)
{
    static const char scheme[] = "pkcs11:";

    return key_file != NULL && strncmp(key_file, scheme, sizeof(scheme) - 1) == 0;
}

int milgi_credential_new_file(const char *chain_file, const char *key_file, struct milgi_credential **credential)
{
    size_t chain_len;
    size_t key_len = 0;
    int error = MILGI_EFILE;

    if (credential == NULL)
        return MILGI_EINVAL;
    *credential = NULL;
    if (chain_file == NULL || key_file == NULL)
        return MILGI_EINVAL;
    bool elsewhere = milgi_credential_is_uri(key_file);
    uint8_t *chain = milgi__port_read_file(chain_file, &chain_len);
    uint8_t *key = elsewhere ? NULL : milgi__port_read_file(key_file, &key_len);
    if (chain != NULL && elsewhere)
        error = milgi_credential_new_uri(chain, chain_len, key_file, credential);
    else if (chain != NULL && key != NULL)
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
    if (credential)
        milgi__credential_unref(credential);
}

const char *milgi_credential_subject(const struct milgi_credential *credential)
{
    return credential->subject;
}

const char *milgi_credential_key_uri(const struct milgi_credential *credential)
{
    return credential->uri;
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
