/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: a chain and its key, read and checked once. */
#include "cert/cert.h"

#include <stdio.h>

#include "base/port.h"
#include "crypto/cert_list.h"

#define URI_MAX 4096
/* The same bounds as for keys that are read. */
#define RSA_MIN 2048
#define RSA_MAX 4096

/* The private key makes signatures that the certificate's key verifies: a file may hold any two numbers. */
static int check_signing(const struct milgi_credential *c)
{
    static const uint8_t message[] = "one half of a key and the other";
    uint8_t sig[MILGI_SIGNATURE_LONG_MAX];
    size_t sig_len = sizeof sig;
    int error = 0;

    struct milgi__crypto *cx = milgi__crypto_new();
    if (!cx)
        return MILGI_ENOMEM;
    struct milgi__pkey *key = milgi__pkey_new(cx, c->pkcs8, c->pkcs8_len);
    if (!key) /* the crypto library has just written what it cannot read here */
        error = MILGI_ENOMEM;
    else if (milgi__pkey_sign(cx, key, c->schemes[0], message, sizeof message, sig, &sig_len) != 0)
        error = MILGI_EUNSUPPORTED;
    else if (milgi__verify(cx, c->spki, c->spki_len, c->schemes[0], message, sizeof message, sig, sig_len) != 0)
        error = MILGI_EMISMATCH;
    milgi__pkey_free(key);
    milgi__crypto_free(cx);
    return error;
}

/* Whether the leaf's key is one that signs, as far as the leaf tells. */
static int check_public(const struct milgi__cert_info *info, enum milgi_problem_kind *kind)
{
    bool rsa = info->type == MILGI__KEY_RSA || info->type == MILGI__KEY_RSA_PSS;

    *kind = MILGI_PROBLEM_KEY_KIND;
    if (info->type == MILGI__KEY_NONE || info->costly || info->spki_len == 0)
        return MILGI_EUNSUPPORTED;
    *kind = MILGI_PROBLEM_KEY_LARGE;
    if (rsa && info->bits > RSA_MAX)
        return MILGI_EUNSUPPORTED;
    *kind = MILGI_PROBLEM_KEY_WEAK;
    return rsa && info->bits < RSA_MIN ? MILGI_EWEAK : 0;
}

static int take_public(struct milgi_credential *c, const struct milgi__cert_info *info)
{
    c->spki = milgi__alloc_raw(info->spki_len);
    if (!c->spki)
        return MILGI_ENOMEM;
    memcpy(c->spki, info->spki, info->spki_len);
    c->spki_len = info->spki_len;
    c->type = info->type;
    c->bits = info->bits;
    c->schemes_n = milgi__key_schemes(c->spki, c->spki_len, c->type, c->schemes);
    c->leaf_signed_with = info->signed_with;
    milgi__key_type_text(c->type, c->bits, c->key_type, sizeof c->key_type);
    return c->schemes_n != 0 ? 0 : MILGI_EUNSUPPORTED;
}

/* The names of all issuers, which peers may ask for. */
static int take_issuers(struct milgi_credential *c)
{
    struct milgi__cert_walk walk = { .p = c->chain, .left = c->chain_len };

    c->issuers = milgi__alloc_raw(c->chain_len); /* a name is shorter than its certificate */
    if (!c->issuers)
        return MILGI_ENOMEM;
    while (milgi__cert_walk_next(&walk)) {
        uint8_t *name;
        size_t len = 0;
        int rv = milgi__cert_name_der(walk.der, walk.der_len, true, &name, &len);
        if (rv == MILGI_ENOMEM)
            return rv;
        if (rv == 0 && len <= UINT16_MAX && len < walk.der_len) {
            milgi__put16(c->issuers + c->issuers_len, (unsigned)len);
            memcpy(c->issuers + c->issuers_len + 2, name, len);
            c->issuers_len += 2 + len;
        }
        milgi__free(name);
    }
    return 0;
}

/* The leaf's key is of no use: which it is, and what is in the way. */
static int blame_leaf(
    const struct milgi__cert_info *info, int error, enum milgi_problem_kind kind, struct milgi_problem *problem)
{
    struct milgi__pem_fault fault = { .kind = kind };
    /* It is of a kind that signs, and no signature scheme is left: what its parameters ask for is in none. */
    bool restricted = kind == MILGI_PROBLEM_KEY_WEAK && error == MILGI_EUNSUPPORTED;
    char type[24] = "";

    if (restricted)
        fault.kind = MILGI_PROBLEM_KEY_KIND;
    if (info->type != MILGI__KEY_NONE)
        milgi__key_type_text(info->type, info->bits, type, sizeof type);
    snprintf(fault.what, sizeof fault.what, "%s%s", *type ? type : "of a kind that is not known",
        restricted ? ", its hash or salt not TLS 1.3's" : "");
    return milgi__problem_of_pem(problem, error, MILGI_FILE_CHAIN, &fault, "", 0);
}

static int read_leaf(struct milgi_credential *c, struct milgi_problem *problem)
{
    struct milgi__cert_walk walk = { .p = c->chain, .left = c->chain_len };
    struct milgi__cert_info info;
    enum milgi_problem_kind kind;

    if (!milgi__cert_walk_next(&walk) || milgi__cert_info(NULL, walk.der, walk.der_len, &info) != 0 ||
        milgi__cert_subject(walk.der, walk.der_len, c->subject, sizeof c->subject) != 0)
        return milgi__problem_of_pem(problem, MILGI_EPARSE, MILGI_FILE_CHAIN,
            &(struct milgi__pem_fault){ .kind = MILGI_PROBLEM_CONTENT, .what = "CERTIFICATE" }, "", 0);
    int error = check_public(&info, &kind);
    if (error == 0)
        error = take_public(c, &info);
    if (error == 0)
        error = take_issuers(c);
    if (error == MILGI_ENOMEM)
        return milgi__problem(problem, error, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    return error == 0 ? 0 : blame_leaf(&info, error, kind, problem);
}

static int read_chain(
    struct milgi_credential *c, const void *chain, size_t chain_len, struct milgi_problem *problem)
{
    struct milgi__cert_list list = { .data = NULL };
    struct milgi__pem_fault fault;

    int error = milgi__pem_lines(problem, MILGI_FILE_CHAIN, &chain, &chain_len);
    if (error != 0)
        return error;
    error = milgi__cert_list_add_pem(&list, chain, chain_len, &fault);
    c->chain = list.data;
    c->chain_len = list.len;
    c->chain_n = list.n;
    return error == 0 ? 0 : milgi__problem_of_pem(problem, error, MILGI_FILE_CHAIN, &fault, chain, chain_len);
}

/* The key is the first certificate's. */
static int check_order(
    const struct milgi_credential *c, const struct milgi__private_key *key, struct milgi_problem *problem)
{
    struct milgi__cert_walk walk = { .p = c->chain, .left = c->chain_len };

    for (unsigned i = 0; milgi__cert_walk_next(&walk); i++) {
        if (!milgi__cert_has_key(walk.der, walk.der_len, key->spki, key->spki_len))
            continue;
        return i == 0 ? 0 : milgi__problem(problem, MILGI_EMISMATCH, MILGI_PROBLEM_ORDER, MILGI_FILE_CHAIN);
    }
    return milgi__problem(problem, MILGI_EMISMATCH, MILGI_PROBLEM_MISMATCH, MILGI_FILE_KEY);
}

struct passphrase {
    const char *text; /* NULL: there is none */
    size_t len;
};

static int read_key(struct milgi_credential *c, const void *key, size_t key_len, const struct passphrase *passphrase,
    struct milgi_problem *problem)
{
    struct milgi__private_key private;
    struct milgi__pem_fault fault;

    int error = milgi__pem_lines(problem, MILGI_FILE_KEY, &key, &key_len);
    if (error != 0)
        return error;
    error = milgi__pem_private_key(key, key_len, passphrase->text, passphrase->len, &private, &fault);
    if (error != 0)
        return milgi__problem_of_pem(problem, error, MILGI_FILE_KEY, &fault, key, key_len);
    error = check_order(c, &private, problem);
    if (error == 0)
        error = read_leaf(c, problem);
    if (error == 0) {
        c->pkcs8 = private.pkcs8;
        c->pkcs8_len = private.pkcs8_len;
        private.pkcs8 = NULL;
        error = check_signing(c);
        if (error != 0)
            (void)milgi__problem(problem, error,
                error == MILGI_ENOMEM ? MILGI_PROBLEM_OTHER : MILGI_PROBLEM_MISMATCH,
                error == MILGI_ENOMEM ? MILGI_FILE_NONE : MILGI_FILE_KEY);
    }
    milgi__private_key_clear(&private);
    return error;
}

/* |scheme|, in small letters with its colon. */
static bool has_scheme(const char *uri, const char *scheme)
{
    /*= RFC3986 3.1: "schemes are case-insensitive" */
    for (size_t i = 0; scheme[i] != '\0'; i++) {
        if (uri[i] != scheme[i] && (scheme[i] < 'a' || scheme[i] > 'z' || uri[i] != scheme[i] - 'a' + 'A'))
            return false;
    }
    return true;
}

/*
 * NULL for "scheme:" and printable characters behind it (RFC 3986 3.1, 2), of which devices say what they mean; or what
 * is wrong, without the URI itself: there may be a PIN in it.
 */
static const char *uri_fault(const char *uri)
{
    static const char others[] = "+-.0123456789";
    size_t len = strlen(uri), scheme = 0;

    while ((uri[scheme] >= 'a' && uri[scheme] <= 'z') || (uri[scheme] >= 'A' && uri[scheme] <= 'Z') ||
        (scheme > 0 && uri[scheme] != '\0' && strchr(others, uri[scheme])))
        scheme++;
    if (scheme == 0 || uri[scheme] != ':')
        return "is no URI of a key: that begins with a scheme, as in \"pkcs11:token=web;object=www\"";
    if (uri[scheme + 1] == '\0' && !has_scheme(uri, "keyless:")) /* there the certificate says which key */
        return "names no key: at least its object is needed, as in \"pkcs11:token=web;object=www\"";
    if (len > URI_MAX)
        return "is too long for the URI of a key";
    for (size_t i = scheme; i < len; i++) {
        if (uri[i] <= ' ' || uri[i] > '~')
            return "has a character that no URI has: spaces and the like are written as in \"%20\"";
    }
    return NULL;
}

static int copy_uri(struct milgi_credential *c, const char *uri)
{
    size_t size = strlen(uri) + 1;

    c->uri = milgi__alloc_raw(size);
    if (!c->uri)
        return MILGI_ENOMEM;
    memcpy(c->uri, uri, size);
    return 0;
}

static void destroy(struct milgi_credential *credential)
{
    milgi__free(credential->chain);
    milgi__free(credential->spki);
    milgi__free(credential->issuers);
    milgi__credential_forget_staples(credential);
    milgi__free_wiped(credential->pkcs8, credential->pkcs8_len);
    if (credential->uri)
        milgi__free_wiped(credential->uri, strlen(credential->uri));
    milgi__free(credential);
}

static struct milgi_credential *credential_new(void)
{
    struct milgi_credential *c = milgi__alloc(sizeof *c);

    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    atomic_flag_clear(&c->staple_lock);
    atomic_init(&c->given, false);
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

int milgi_credential_load_pem_encrypted(const void *chain, size_t chain_len, const void *key, size_t key_len,
    const char *passphrase, size_t passphrase_len, struct milgi_credential **credential,
    struct milgi_problem *problem)
{
    const struct passphrase word = { passphrase, passphrase_len };

    if (!credential)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    *credential = NULL;
    if (!chain || !key || passphrase_len > MILGI_PASSPHRASE_MAX)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    struct milgi_credential *c = credential_new();
    if (!c)
        return milgi__problem(problem, MILGI_ENOMEM, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    int error = read_chain(c, chain, chain_len, problem);
    if (error == 0)
        error = read_key(c, key, key_len, &word, problem);
    return hand_out(c, error, credential);
}

int milgi_credential_load_pem(const void *chain, size_t chain_len, const void *key, size_t key_len,
    struct milgi_credential **credential, struct milgi_problem *problem)
{
    return milgi_credential_load_pem_encrypted(chain, chain_len, key, key_len, NULL, 0, credential, problem);
}

int milgi_credential_new_pem(
    const void *chain, size_t chain_len, const void *key, size_t key_len, struct milgi_credential **credential)
{
    return milgi_credential_load_pem(chain, chain_len, key, key_len, credential, NULL);
}

int milgi_credential_load_uri(const void *chain, size_t chain_len, const char *uri,
    struct milgi_credential **credential, struct milgi_problem *problem)
{
    if (!credential)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    *credential = NULL;
    if (!chain || !uri)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    const char *fault = uri_fault(uri);
    if (fault)
        return milgi__problem_of_uri(problem, fault);
    struct milgi_credential *c = credential_new();
    if (!c)
        return milgi__problem(problem, MILGI_ENOMEM, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    int error = copy_uri(c, uri);
    if (error != 0)
        (void)milgi__problem(problem, error, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    if (error == 0)
        error = read_chain(c, chain, chain_len, problem);
    if (error == 0)
        error = read_leaf(c, problem);
    return hand_out(c, error, credential);
}

int milgi_credential_new_uri(
    const void *chain, size_t chain_len, const char *uri, struct milgi_credential **credential)
{
    return milgi_credential_load_uri(chain, chain_len, uri, credential, NULL);
}

bool milgi_credential_is_uri(const char *key_file)
{
    return key_file && (has_scheme(key_file, "pkcs11:") || has_scheme(key_file, "keyless:"));
}

int milgi_credential_load_encrypted(const char *chain_file, const char *key_file, const char *passphrase,
    size_t passphrase_len, struct milgi_credential **credential, struct milgi_problem *problem)
{
    size_t chain_len;
    size_t key_len = 0;
    int error;

    if (!credential)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    *credential = NULL;
    if (!chain_file || !key_file)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    bool elsewhere = milgi_credential_is_uri(key_file);
    uint8_t *chain = milgi__port_read_file(chain_file, &chain_len);
    uint8_t *key = elsewhere || !chain ? NULL : milgi__port_read_file(key_file, &key_len);
    if (!chain)
        error = milgi__problem(problem, MILGI_EFILE, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_CHAIN);
    else if (elsewhere)
        error = milgi_credential_load_uri(chain, chain_len, key_file, credential, problem);
    else if (!key)
        error = milgi__problem(problem, MILGI_EFILE, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_KEY);
    else
        error = milgi_credential_load_pem_encrypted(
            chain, chain_len, key, key_len, passphrase, passphrase_len, credential, problem);
    milgi__free_wiped(chain, chain_len);
    milgi__free_wiped(key, key_len);
    return error;
}

int milgi_credential_load(const char *chain_file, const char *key_file, struct milgi_credential **credential,
    struct milgi_problem *problem)
{
    return milgi_credential_load_encrypted(chain_file, key_file, NULL, 0, credential, problem);
}

int milgi_credential_new_file(const char *chain_file, const char *key_file, struct milgi_credential **credential)
{
    return milgi_credential_load(chain_file, key_file, credential, NULL);
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

int milgi_credential_key_id(const struct milgi_credential *credential, uint8_t id[MILGI_KEY_ID_LEN])
{
    return milgi__key_id(credential->spki, credential->spki_len, id) == 0 ? 0 : MILGI_EUNSUPPORTED;
}

const char *milgi_credential_key_type(const struct milgi_credential *credential)
{
    return credential->key_type;
}
