/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anchors, and chains against them. libcrypto validates a path; which paths there are is found here, since libcrypto
 * builds one: where several certificates could be an issuer it takes one and stays with it.
 */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/cert_list.h"
#include "crypto/libcrypto/libcrypto.h"

#define SECURITY_BITS 112 /* RSA of 2048, curves of 224, no SHA-1 */
#define RSA_BITS 2048
#define CURVE_BITS 224
/*
 * What a verification may cost. How many certificates are sent is not bounded here, only how often one is looked at as
 * an issuer, how much of a path is built, and how many signatures are checked.
 */
#define PATH_MAX_LEN 16 /* certificates between leaf and anchor */
#define PATHS_MAX 32
#define SIGNATURES_MAX 64
#define STEPS_MAX 10000
#define RSA_ISSUER_MAX 8192

/* --- anchors ---------------------------------------------------------------------------------------------------- */

struct milgi__store {
    X509_STORE *x509;
    enum milgi_crl_check crl_check;
    struct anchor {
        X509 *x;
        uint32_t place; /* among those that the store was made of */
    } * anchors;        /* by their subjects */
    size_t n;
};

static int by_subject(const void *a, const void *b)
{
    const struct anchor *one = a, *two = b;

    return X509_NAME_cmp(X509_get_subject_name(one->x), X509_get_subject_name(two->x));
}

static bool store_fill(struct milgi__store *store, struct milgi__cert_walk *walk, size_t n)
{
    store->x509 = X509_STORE_new();
    store->anchors = milgi__alloc((n + 1) * sizeof *store->anchors);
    if (!store->x509 || !store->anchors)
        return false;
    while (milgi__cert_walk_next(walk)) {
        X509 *x = milgi__cert_decode(NULL, walk->der, walk->der_len);
        if (!x)
            return false;
        store->anchors[store->n] = (struct anchor){ x, (uint32_t)store->n };
        store->n++;
        if (X509_STORE_add_cert(store->x509, x) != 1)
            return false;
    }
    qsort(store->anchors, store->n, sizeof *store->anchors, by_subject);
    return true;
}

struct milgi__store *milgi__store_new(const uint8_t *anchors, size_t len)
{
    const struct milgi__cert_walk begin = { .p = anchors, .left = len };
    struct milgi__cert_walk walk = begin;
    struct milgi__store *store = milgi__alloc(sizeof *store);
    size_t n = 0;

    while (milgi__cert_walk_next(&walk))
        n++;
    bool bad = walk.bad;
    walk = begin;
    if (store && !bad && store_fill(store, &walk, n)) {
        ERR_clear_error();
        return store;
    }
    milgi__store_free(store);
    ERR_clear_error();
    return NULL;
}

void milgi__store_free(struct milgi__store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->n; i++)
        X509_free(store->anchors[i].x);
    milgi__free(store->anchors);
    X509_STORE_free(store->x509);
    milgi__free(store);
}

int milgi__store_add_crls(struct milgi__store *store, int check, const uint8_t *crls, size_t len)
{
    store->crl_check = (enum milgi_crl_check)check;
    return milgi__crls_to_store(store->x509, crls, len);
}

/* The first anchor of that name; |*n|: how many there are. */
static const struct anchor *anchors_named(const struct milgi__store *store, const X509_NAME *name, size_t *n)
{
    size_t low = 0, high = store->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (X509_NAME_cmp(X509_get_subject_name(store->anchors[middle].x), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (high < store->n && X509_NAME_cmp(X509_get_subject_name(store->anchors[high].x), name) == 0)
        high++;
    *n = high - low;
    return store->anchors + low;
}

/* The anchor that is this certificate; NULL: there is none. */
static const struct anchor *anchor_of(const struct milgi__store *store, const X509 *x)
{
    size_t n;
    const struct anchor *anchor = anchors_named(store, X509_get_subject_name(x), &n);

    for (; n > 0; n--, anchor++) {
        if (X509_cmp(anchor->x, x) == 0)
            return anchor;
    }
    return NULL;
}

/* --- one path --------------------------------------------------------------------------------------------------- */

/* What is known of the search for a path. The first path's fault is the one that is reported. */
struct search {
    struct milgi__crypto *cx;
    const struct milgi__store *store;
    const struct milgi__chain_query *query;
    X509 **others; /* that were sent, but for the leaf */
    size_t others_n;
    struct link {
        X509 *x;
        const struct anchor *anchors; /* of its issuer's name */
        size_t anchors_n;
        size_t next;                                      /* candidate for its issuer */
    } path[PATH_MAX_LEN + 1], dead_end[PATH_MAX_LEN + 1]; /* from the leaf; and the first that led nowhere */
    unsigned n, dead_end_n;
    unsigned steps, paths, signatures;
    int first;     /* what is wrong with the first path */
    bool costly;   /* an issuer was left out, since its key is one that is not verified with */
    bool no_ca;    /* another one, which is not to sign certificates */
    bool too_long; /* there was more of a path than is looked at */
    X509 *issuer;  /* of the leaf, on the path that was accepted */
    struct milgi__chain_answer *answer;
};

static bool set_policy(X509_STORE_CTX *ctx, const struct milgi__chain_query *query)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    int purpose = query->purpose == MILGI_PURPOSE_SERVER ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;

    if (X509_STORE_CTX_set_purpose(ctx, purpose) != 1)
        return false;
    /* An anchor is a name and a key (RFC 5280 6.1.1): it need not have signed itself. */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_ALT_CHAINS);
    X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_TRUSTED_FIRST); /* the path as it is given */
    X509_VERIFY_PARAM_set_time(param, (time_t)query->now_s);
    X509_VERIFY_PARAM_set_depth(param, PATH_MAX_LEN);
    X509_VERIFY_PARAM_set_hostflags(param, MILGI__HOST_FLAGS);
    if (!query->name)
        return true;
    if (query->name_is_ip)
        return X509_VERIFY_PARAM_set1_ip(param, query->name, query->name_len) == 1;
    return X509_VERIFY_PARAM_set1_host(param, (const char *)query->name, query->name_len) == 1;
}

static bool key_is_strong(X509 *x)
{
    EVP_PKEY *key = X509_get0_pubkey(x);

    if (!key) /* for libcrypto to complain of */
        return true;
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS: return EVP_PKEY_bits(key) >= RSA_BITS;
    case EVP_PKEY_EC: return EVP_PKEY_bits(key) >= CURVE_BITS;
    case EVP_PKEY_ED25519:
    case NID_ED448: return true;
    default: return milgi__evp_mldsa(key) != MILGI__KEY_NONE;
    }
}

/* What libcryptos see differently, or do not look at: X509_V_OK, or what is wrong with the path's certificate |*at|. */
static int check_strength(const struct search *search, X509 *anchor, int *at)
{
    for (unsigned i = 0; i < search->n; i++) {
        X509 *x = search->path[i].x;
        *at = (int)i;
        if (!key_is_strong(x))
            return i == 0 ? MILGI__V_EE_KEY_TOO_SMALL : MILGI__V_CA_KEY_TOO_SMALL;
        if (x != anchor && milgi__cert_signature_bits(search->cx, x) < SECURITY_BITS)
            return MILGI__V_CA_MD_TOO_WEAK;
    }
    *at = (int)search->n;
    return anchor && !key_is_strong(anchor) ? MILGI__V_CA_KEY_TOO_SMALL : X509_V_OK;
}

/* The path as libcrypto wants it: what is between leaf and anchor, and the anchor. */
static bool fill(const struct search *search, X509 *anchor, STACK_OF(X509) * between, STACK_OF(X509) * trusted)
{
    for (unsigned i = 1; i < search->n; i++) {
        X509 *x = search->path[i].x;
        if (x != anchor && sk_X509_push(between, x) == 0)
            return false;
    }
    return !anchor || sk_X509_push(trusted, anchor) > 0;
}

/* Where it stands in what was sent; behind all: nowhere. */
static size_t place_of(const struct search *search, const X509 *x)
{
    size_t at = 0;

    if (x == search->path[0].x)
        return 0;
    while (at < search->others_n && search->others[at] != x)
        at++;
    return at + 1;
}

/* One more of the path; false: it is none that it could be. */
static bool add_to_path(struct search *search, const X509 *x, bool last)
{
    struct milgi__chain_answer *answer = search->answer;
    const struct anchor *anchor = last ? anchor_of(search->store, x) : NULL;
    size_t at = last ? 0 : place_of(search, x);

    if (answer->path_n == MILGI_PATH_MAX || at > search->others_n || (last && !anchor))
        return false;
    answer->path[answer->path_n++] = anchor ? MILGI_PATH_ANCHOR | anchor->place : (uint32_t)at;
    return true;
}

/* The path that libcrypto has accepted. X509_V_OK, or why it cannot be told. */
static int tell_path(struct search *search, X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *path = X509_STORE_CTX_get1_chain(ctx);
    X509 *x = path ? sk_X509_shift(path) : NULL, *next;
    bool ok = true;

    if (!x)
        return X509_V_ERR_OUT_OF_MEM;
    for (; x; x = next) {
        next = sk_X509_shift(path);
        ok = ok && add_to_path(search, x, !next);
        X509_free(x);
    }
    sk_X509_free(path);
    return ok ? X509_V_OK : X509_V_ERR_UNSPECIFIED;
}

/* X509_V_OK or what is wrong with the path, by libcrypto; |crls|: looked up in CRLs, too. */
static int validate(struct search *search, X509 *anchor, bool crls, int *at)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null(), *trusted = sk_X509_new_null();
    int verdict = X509_V_ERR_OUT_OF_MEM;

    *at = 0;
    if (!ctx || !between || !trusted || !fill(search, anchor, between, trusted) ||
        X509_STORE_CTX_init(ctx, search->store->x509, search->path[0].x, between) != 1)
        goto out;
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    if (!set_policy(ctx, search->query))
        goto out;
    if (crls)
        milgi__crls_to_check(ctx, search->store->crl_check == MILGI_CRL_CHECK_ALL);
    int result = X509_verify_cert(ctx);
    verdict = milgi__verdict_number(X509_STORE_CTX_get_error(ctx));
    *at = X509_STORE_CTX_get_error_depth(ctx);
    if (result != 1 && verdict == X509_V_OK)
        verdict = X509_V_ERR_UNSPECIFIED;
    if (verdict == X509_V_OK && crls == (search->store->crl_check != MILGI_CRL_CHECK_NONE))
        verdict = tell_path(search, ctx);
out:
    X509_STORE_CTX_free(ctx);
    sk_X509_free(between);
    sk_X509_free(trusted);
    return verdict;
}

/*
 * X509_V_OK or what is wrong with the path, which ends with |anchor| (or NULL: in no anchor). |*at|: the certificate
 * that it is wrong with. CRLs are looked at once it is good but for them, since they are long, and whoever likes sends
 * what has no good signature.
 */
static int verify_path(struct search *search, X509 *anchor, int *at)
{
    int verdict = check_strength(search, anchor, at);

    if (verdict == X509_V_OK)
        verdict = validate(search, anchor, false, at);
    if (verdict == X509_V_OK && search->store->crl_check != MILGI_CRL_CHECK_NONE)
        verdict = validate(search, anchor, true, at);
    return verdict;
}

/* --- all paths -------------------------------------------------------------------------------------------------- */

/* Bounds what an issuer's key can cost, as milgi__verify() does with a leaf's. */
static bool key_acceptable(const X509 *issuer)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    unsigned bits;

    if (!key) {
        ASN1_OBJECT *algorithm = NULL;
        ERR_clear_error();
        X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(issuer));
        return OBJ_obj2nid(algorithm) != NID_rsaEncryption; /* others are for libcrypto to complain of */
    }
    enum milgi__key_type type = milgi__evp_type(key, &bits);
    if (type != MILGI__KEY_RSA && type != MILGI__KEY_RSA_PSS)
        return true;
    return bits <= RSA_ISSUER_MAX && milgi__evp_exponent_acceptable(key);
}

static bool in_time(const X509 *x, time_t now)
{
    return X509_cmp_time(X509_get0_notBefore(x), &now) < 0 && X509_cmp_time(X509_get0_notAfter(x), &now) > 0;
}

static bool on_path(const struct search *search, const X509 *x)
{
    for (unsigned i = 0; i < search->n; i++) {
        if (X509_cmp(search->path[i].x, x) == 0)
            return true;
    }
    return false;
}

static bool may_be_issuer(struct search *search, X509 *subject, X509 *issuer)
{
    int issued = X509_check_issued(issuer, subject);

    if (issued == X509_V_ERR_KEYUSAGE_NO_CERTSIGN)
        search->no_ca = true;
    if (issued != X509_V_OK || on_path(search, issuer))
        return false;
    if (key_acceptable(issuer))
        return true;
    search->costly = true;
    return false;
}

/* The next issuer for the end of the path: anchors before others, and what is in its time before what is not. */
static X509 *next_issuer(struct search *search, bool *anchor)
{
    struct link *link = &search->path[search->n - 1];
    size_t n = link->anchors_n + search->others_n;

    while (link->next < 2 * n && search->steps < STEPS_MAX) {
        size_t i = link->next % n;
        bool timely = link->next < n;
        link->next++;
        search->steps++;
        *anchor = i < link->anchors_n;
        X509 *x = *anchor ? link->anchors[i].x : search->others[i - link->anchors_n];
        if (may_be_issuer(search, link->x, x) && in_time(x, (time_t)search->query->now_s) == timely)
            return x;
    }
    return NULL;
}

static void lengthen(struct search *search, X509 *x)
{
    struct link *link = &search->path[search->n++];

    *link = (struct link){ .x = x };
    link->anchors = anchors_named(search->store, X509_get_issuer_name(x), &link->anchors_n);
}

/* A name is forbidden by somebody above it. */
static bool is_constraint(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
    case X509_V_ERR_SUBTREE_MINMAX:
    case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE:
    case X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX:
    case X509_V_ERR_UNSUPPORTED_NAME_SYNTAX: return true;
    default: return false;
    }
}

/* Judges the path. True: the search is over. Else it goes on from before what is wrong. */
static bool judge(struct search *search, X509 *anchor)
{
    int at;
    int verdict = verify_path(search, anchor, &at);

    if (verdict == X509_V_OK || search->paths == 0)
        search->first = verdict;
    if (verdict == X509_V_OK)
        search->issuer = search->n > 1 ? search->path[1].x : anchor;
    search->paths++;
    search->signatures += search->n;
    if (verdict == X509_V_OK || verdict == X509_V_ERR_OUT_OF_MEM)
        return true;
    /* A signature that does not verify: perhaps another issuer of that name made it. */
    if (verdict == X509_V_ERR_CERT_SIGNATURE_FAILURE)
        at++;
    /* By whom is not told: any other path may do. */
    if (is_constraint(verdict))
        at = (int)search->n;
    if (at < 1 || search->paths == PATHS_MAX || search->signatures > SIGNATURES_MAX)
        return true;
    search->n = MILGI__MIN(search->n, (unsigned)at);
    return false;
}

/* Depth first; false: there is no other path. */
static bool step(struct search *search)
{
    bool anchor;
    X509 *issuer = next_issuer(search, &anchor);

    if (issuer && anchor)
        return !judge(search, issuer);
    if (issuer && search->n == MILGI__COUNT(search->path)) {
        search->too_long = true;
    } else if (issuer) {
        lengthen(search, issuer);
    } else {
        if (search->dead_end_n == 0) {
            memcpy(search->dead_end, search->path, sizeof search->path);
            search->dead_end_n = search->n;
        }
        search->n--;
    }
    return search->n > 0;
}

/* X509_V_OK or what is wrong. */
static int verify(struct search *search, X509 *leaf)
{
    int at;

    lengthen(search, leaf);
    if (anchor_of(search->store, leaf) && judge(search, leaf))
        return search->first;
    while (step(search))
        ;
    if (search->paths > 0 && search->first == X509_V_OK)
        return X509_V_OK;
    if (search->costly)
        return X509_V_ERR_CERT_REJECTED;
    if (search->paths > 0)
        return search->first;
    if (search->too_long)
        return X509_V_ERR_CERT_CHAIN_TOO_LONG;
    if (search->no_ca)
        return MILGI__V_INVALID_CA;
    int own = X509_check_issued(leaf, leaf);
    if (search->dead_end_n == 1 && (own == X509_V_OK || own == X509_V_ERR_KEYUSAGE_NO_CERTSIGN))
        return X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
    memcpy(search->path, search->dead_end, sizeof search->path);
    search->n = search->dead_end_n;
    return verify_path(search, NULL, &at);
}

/* --- chains ----------------------------------------------------------------------------------------------------- */

/* The certificates that were sent, in fresh memory; X509_V_OK or what is wrong. *n of them, even then. */
static int decode_chain(struct milgi__crypto *cx, const struct milgi__chain_query *query, X509 ***sent, size_t *n)
{
    const struct milgi__cert_walk begin = { .p = query->chain, .left = query->chain_len };
    struct milgi__cert_walk walk = begin;
    size_t all = 0;

    while (milgi__cert_walk_next(&walk))
        all++;
    if (walk.bad || all == 0)
        return X509_V_ERR_UNSPECIFIED;
    *sent = milgi__alloc(all * sizeof(X509 *));
    if (!*sent)
        return X509_V_ERR_OUT_OF_MEM;
    walk = begin;
    while (milgi__cert_walk_next(&walk)) {
        X509 *x = milgi__cert_decode(cx, walk.der, walk.der_len);
        if (!x)
            return X509_V_ERR_UNSPECIFIED;
        (*sent)[(*n)++] = x;
    }
    return X509_V_OK;
}

static uint16_t alert_of(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        /*= RFC8446 6.2: "certificate_expired:  A certificate has expired or is not currently valid." */
        return MILGI_ALERT_CERTIFICATE_EXPIRED;
    /*= RFC6066 8: "Clients requesting an OCSP response and receiving an OCSP response in a "CertificateStatus" message
     *= MUST check the OCSP response and abort the handshake if the response is not satisfactory with
     *= bad_certificate_status_response(113) alert." */
    case MILGI__V_OCSP_NEEDED:
    case MILGI__V_OCSP_FAILED:
    case MILGI__V_OCSP_UNKNOWN: return MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE;
    /*= RFC8446 6.2: "certificate_revoked:  A certificate was revoked by its signer." */
    case X509_V_ERR_CERT_REVOKED: return MILGI_ALERT_CERTIFICATE_REVOKED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case MILGI__V_INVALID_CA:
    case X509_V_ERR_CERT_UNTRUSTED: return MILGI_ALERT_UNKNOWN_CA;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
    case MILGI__V_UNSUPPORTED_SIGNATURE_ALGORITHM: return MILGI_ALERT_UNSUPPORTED_CERTIFICATE;
    case X509_V_ERR_UNSPECIFIED:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
    case X509_V_ERR_INVALID_EXTENSION:
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
    case MILGI__V_EE_KEY_TOO_SMALL:
    case MILGI__V_CA_KEY_TOO_SMALL:
    case MILGI__V_CA_MD_TOO_WEAK:
    case X509_V_ERR_CERT_REJECTED: return MILGI_ALERT_BAD_CERTIFICATE;
    default: return MILGI_ALERT_CERTIFICATE_UNKNOWN; /* as when no CRL says whether it is revoked */
    }
}

int milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store, const struct milgi__chain_query *query,
    struct milgi__chain_answer *answer)
{
    X509 **sent = NULL;
    size_t n = 0;

    *answer = (struct milgi__chain_answer){ .alert = MILGI_ALERT_NONE };
    int result = decode_chain(cx, query, &sent, &n);
    if (result == X509_V_OK) {
        struct search search = {
            .cx = cx, .store = store, .query = query, .others = sent + 1, .others_n = n - 1, .answer = answer
        };
        result = verify(&search, sent[0]);
        if (result == X509_V_OK)
            result = milgi__ocsp_check(query, sent[0], search.issuer);
    }
    for (size_t i = 0; i < n; i++)
        X509_free(sent[i]);
    milgi__free(sent);
    ERR_clear_error();
    answer->verdict = result;
    if (result == X509_V_OK)
        return 0;
    answer->path_n = 0;
    answer->alert = alert_of(result);
    return result == X509_V_ERR_OUT_OF_MEM || result == MILGI__V_INVALID_CALL ? MILGI__BROKEN : MILGI__BAD;
}
