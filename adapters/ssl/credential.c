/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys of our own, which become a credential when both are there. */
#include "shim.h"

static int bad_type(void)
{
    SSL_ERR(SSL_R_BAD_SSL_FILETYPE, NULL);
    return 0;
}

/* What kind of key DER holds (RFC 5958, RFC 5915, RFC 8017), for its label. */
static const char *key_label(const struct text *text)
{
    struct der in = { (const uint8_t *)text->data, text->len }, key, version, next;
    uint8_t tag;
    if (!milgi__ssl_der_take(&in, 0x30, &key) || !milgi__ssl_der_take(&key, 2, &version) || version.len != 1 ||
        !milgi__ssl_der_next(&key, &tag, &next, NULL))
        return NULL;
    return tag == 0x30 ? "PRIVATE KEY" : tag == 0x02 ? "RSA PRIVATE KEY"
        : tag == 0x04                                ? "EC PRIVATE KEY"
                                                     : NULL;
}

/* Blocks with this label: the first, or all. */
static int blocks(const struct text *from, const char *label, bool all, struct text *to, const char *file)
{
    size_t at = 0, begin, end, n = 0;
    while ((all || n == 0) && milgi__ssl_pem_next(from, &at, label, &begin, &end)) {
        if (!milgi__ssl_append(to, from->data + begin, end - begin) || !milgi__ssl_append(to, "\n", 1))
            return 0;
        n++;
    }
    if (!n)
        LIB_ERR(ERR_LIB_PEM, PEM_R_NO_START_LINE, file);
    return n > 0;
}

static int read_part(const char *file, int type, const char *label, bool all, struct text *part)
{
    struct text text;
    int rv;
    *part = (struct text){ 0 };
    if (type != SSL_FILETYPE_PEM && type != SSL_FILETYPE_ASN1)
        return bad_type();
    if (!milgi__ssl_read_file(file, &text))
        return 0;
    if (type == SSL_FILETYPE_PEM) {
        rv = blocks(&text, label, all, part, file);
    } else {
        const char *of = strcmp(label, "CERTIFICATE") == 0 ? label : key_label(&text);
        rv = of ? milgi__ssl_pem_write(part, of, (const uint8_t *)text.data, text.len) : bad_type();
    }
    milgi__ssl_text_free(&text);
    if (!rv)
        milgi__ssl_text_free(part);
    return rv;
}

/* Its kind of key, as the library names it: "ECDSA P-256", of which the first word counts. */
static bool same_kind(const struct milgi_credential *a, const struct milgi_credential *b)
{
    const char *x = milgi_credential_key_type(a), *y = milgi_credential_key_type(b);
    size_t len = strcspn(x, " ");
    return len == strcspn(y, " ") && memcmp(x, y, len) == 0;
}

struct identity *milgi__ssl_identity_ref(struct identity *identity)
{
    identity->refs++;
    return identity;
}

void milgi__ssl_identity_unref(struct identity *identity)
{
    if (!identity || --identity->refs != 0)
        return;
    milgi_credential_unref(identity->credential);
    milgi__ssl_text_free(&identity->chain);
    milgi__ssl_text_free(&identity->key);
    milgi__ssl_text_free(&identity->word);
    free(identity);
}

/* Takes |credential|; of the texts there are copies. NULL: no memory. */
static struct identity *identity_new(struct milgi_credential *credential, const struct text *chain,
    const struct text *key, const struct text *word)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (!identity) {
        milgi_credential_unref(credential);
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
        return NULL;
    }
    identity->refs = 1;
    identity->credential = credential;
    if (milgi__ssl_append(&identity->chain, chain->data, chain->len) &&
        milgi__ssl_append(&identity->key, key->data, key->len) &&
        (!word->len || milgi__ssl_append(&identity->word, word->data, word->len)))
        return identity;
    milgi__ssl_identity_unref(identity);
    return NULL;
}

/* One of each kind of key is kept. */
static int keep(struct settings *s, struct milgi_credential *credential)
{
    size_t i = 0;
    while (i < s->identities_n && !same_kind(s->identity[i]->credential, credential))
        i++;
    if (i == CREDENTIALS_MAX) {
        milgi_credential_unref(credential);
        SSL_ERR(ERR_R_UNSUPPORTED, "so many certificates");
        return 0;
    }
    struct identity *identity = identity_new(credential, &s->chain, &s->key, &s->word);
    if (!identity)
        return 0;
    if (i < s->identities_n)
        milgi__ssl_identity_unref(s->identity[i]);
    else
        s->identities_n++;
    s->identity[i] = identity;
    return 1;
}

static int load(const struct text *chain, const struct text *key, const struct text *word,
    struct milgi_credential **credential, struct milgi_problem *problem)
{
    return milgi_credential_load_pem_encrypted(
        chain->data, chain->len, key->data, key->len, word->data, word->len, credential, problem);
}

/* Both halves are there: |newer| is the one to be dropped if they do not belong together. */
static int complete(struct settings *s, struct text *newer)
{
    struct milgi_credential *credential;
    struct milgi_problem problem = { 0 };
    if (!s->chain.len || !s->key.len)
        return 1;
    int rv = load(&s->chain, &s->key, &s->word, &credential, &problem);
    if (!rv)
        return keep(s, credential);
    if (rv == MILGI_EMISMATCH && newer == &s->chain) {
        milgi__ssl_text_free(&s->key); /* a certificate drives out the key of another */
        return 1;
    }
    if (problem.kind == MILGI_PROBLEM_PASSPHRASE) {
        milgi__ssl_text_free(&s->key); /* whichever came first */
        LIB_ERR(ERR_LIB_PEM, PEM_R_BAD_DECRYPT, problem.text);
        return 0;
    }
    milgi__ssl_text_free(newer);
    LIB_ERR(rv == MILGI_EMISMATCH ? ERR_LIB_X509 : ERR_LIB_SSL,
        rv == MILGI_EMISMATCH ? X509_R_KEY_VALUES_MISMATCH : ERR_R_UNSUPPORTED, problem.text);
    return 0;
}

static int certificate_is_readable(const struct text *pem)
{
    struct milgi_trust *trust = NULL;
    struct milgi_problem problem = { 0 };
    if (!milgi_trust_load_pem(pem->data, pem->len, &trust, &problem)) {
        milgi_trust_unref(trust);
        return 1;
    }
    LIB_ERR(ERR_LIB_PEM, ERR_R_PASSED_INVALID_ARGUMENT, problem.text);
    return 0;
}

int milgi__ssl_use_certificate(struct settings *s, const char *file, int type, bool whole_chain)
{
    struct text part;
    if (!read_part(file, type, "CERTIFICATE", whole_chain, &part))
        return 0;
    if (!certificate_is_readable(&part)) {
        milgi__ssl_text_free(&part);
        return 0;
    }
    milgi__ssl_text_free(&s->chain);
    s->chain = part;
    return complete(s, &s->chain);
}

static bool is_encrypted(const struct text *key)
{
    static const char *const marks[] = { "-----BEGIN ENCRYPTED ", "Proc-Type: 4,ENCRYPTED" };
    return memmem(key->data, key->len, marks[0], strlen(marks[0])) ||
        memmem(key->data, key->len, marks[1], strlen(marks[1]));
}

/* Of the program, which is told of no terminal here. False: it has none. */
static bool ask_for_word(const struct settings *s, struct text *word)
{
    char buf[MILGI_PASSPHRASE_MAX];
    int n = -1;
    if (s->word_cb)
        n = s->word_cb(buf, (int)sizeof buf, 0, s->word_arg);
    else if (s->word_arg)
        n = snprintf(buf, sizeof buf, "%s", (const char *)s->word_arg);
    bool ok = n > 0 && n <= (int)sizeof buf - !s->word_cb && milgi__ssl_append(word, buf, (size_t)n);
    explicit_bzero(buf, sizeof buf);
    if (!ok)
        LIB_ERR(ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ, "the key is encrypted, and nobody says the passphrase");
    return ok;
}

int milgi__ssl_use_key(struct settings *s, const char *file, int type)
{
    struct text part, word = { 0 };
    if (!read_part(file, type, "PRIVATE KEY", false, &part))
        return 0;
    if (is_encrypted(&part) && !ask_for_word(s, &word)) {
        milgi__ssl_text_free(&part);
        return 0;
    }
    milgi__ssl_text_free(&s->key);
    milgi__ssl_text_free(&s->word);
    s->key = part;
    s->word = word;
    return complete(s, &s->key);
}

int milgi__ssl_check_key(const struct settings *s)
{
    if (s->identities_n && s->chain.len && s->key.len)
        return 1;
    SSL_ERR(s->chain.len ? SSL_R_NO_PRIVATE_KEY_ASSIGNED : SSL_R_NO_CERTIFICATE_ASSIGNED, NULL);
    return 0;
}

/* --- the chain of a certificate that was given alone ------------------------------------------------------------- */

static bool is_alone(const struct text *chain)
{
    size_t at = 0, begin, end;
    return milgi__ssl_pem_next(chain, &at, "CERTIFICATE", &begin, &end) &&
        !milgi__ssl_pem_next(chain, &at, "CERTIFICATE", &begin, &end);
}

/* With the certificates of |store| behind it; NULL: it cannot be, and the one that is there stays. */
static struct identity *with_issuers(const struct identity *from, const struct text *store)
{
    struct text chain = { 0 };
    struct milgi_credential *credential = NULL;
    struct identity *identity = NULL;

    if (milgi__ssl_append(&chain, from->chain.data, from->chain.len) &&
        (!store->len || milgi__ssl_add_issuers(&chain, store)) &&
        !load(&chain, &from->key, &from->word, &credential, NULL))
        identity = identity_new(credential, &from->chain, &from->key, &from->word);
    milgi__ssl_text_free(&chain);
    return identity;
}

void milgi__ssl_complete_chains(struct settings *s, const X509_STORE *store)
{
    static const struct text none = { 0 };
    const struct text *from = s->mode & SSL_MODE_NO_AUTO_CHAIN ? &none : &store->pem;

    for (size_t i = 0; i < s->identities_n; i++) {
        struct identity *old = s->identity[i];
        if ((old->store.data == from->data && old->store.len == from->len) || !is_alone(&old->chain))
            continue;
        struct identity *identity = with_issuers(old, from);
        if (!identity)
            continue;
        identity->store.data = from->data;
        identity->store.len = from->len;
        s->identity[i] = identity;
        milgi__ssl_identity_unref(old);
    }
}
