/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors, and the verification of chains against them: libcrypto's path validation. */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <openssl/x509_vfy.h>

#include "base/port.h"
#include "crypto/cert_list.h"
#include "crypto/openssl3/openssl3.h"

#define AUTH_LEVEL 2 /* 112 bits: RSA and DH of 2048, curves of 224, no SHA-1 */
/*
 * What a verification may cost. How many certificates are sent is not bounded here, only how much of a path is built of
 * them, and how many signatures are checked.
 */
#define PATH_MAX_LEN 16
#define PATHS_MAX 32
#define SIGNATURES_MAX 64
#define RSA_ISSUER_MAX 8192

struct milgi__store {
    X509_STORE *x509;
};

/* Whether |issuer| may stand above |subject| in a path. */
static int may_be_issuer(X509_STORE_CTX *ctx, X509 *subject, X509 *issuer);

/* --- anchors ---------------------------------------------------------------------------------------------------- */

struct milgi__store *milgi__store_new(const uint8_t *anchors, size_t len)
{
    struct milgi__cert_walk walk = { .p = anchors, .left = len };
    struct milgi__store *store = milgi__alloc(sizeof *store);

    if (!store)
        return NULL;
    store->x509 = X509_STORE_new();
    bool ok = store->x509 != NULL;
    if (ok)
        X509_STORE_set_check_issued(store->x509, may_be_issuer);
    while (ok && milgi__cert_walk_next(&walk)) {
        X509 *x = milgi__cert_decode(NULL, walk.der, walk.der_len);
        ok = x && X509_STORE_add_cert(store->x509, x) == 1;
        X509_free(x);
    }
    ERR_clear_error();
    if (ok && !walk.bad)
        return store;
    milgi__store_free(store);
    return NULL;
}

void milgi__store_free(struct milgi__store *store)
{
    if (!store)
        return;
    X509_STORE_free(store->x509);
    milgi__free(store);
}

/* Directories hold certificates under several names. */
static int add_new(void *arg, const uint8_t *der, size_t len)
{
    return milgi__cert_list_has(arg, der, len) ? 0 : milgi__cert_list_add(arg, der, len);
}

/* What cannot be read, or is malformed, is passed over, as libcrypto does it with its defaults. */
static int add_file(struct milgi__cert_list *list, const char *path)
{
    size_t len;
    uint8_t *pem = milgi__port_read_file(path, &len);

    if (!pem)
        return 0;
    int error = milgi__pem_good_certificates(pem, len, add_new, list);
    milgi__free_wiped(pem, len);
    return error;
}

/* "4f06f81d.0": what libcrypto looks for in a directory of anchors. */
static bool is_hash_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] != '\0' &&
        strspn(name + 9, "0123456789") == strlen(name + 9);
}

static int add_directory(struct milgi__cert_list *list, const char *path)
{
    OSSL_STORE_CTX *directory = OSSL_STORE_open(path, NULL, NULL, NULL, NULL);
    int error = 0;

    while (directory && error == 0 && !OSSL_STORE_eof(directory)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(directory);
        if (!info && OSSL_STORE_error(directory))
            break;
        if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_NAME) {
            const char *name = OSSL_STORE_INFO_get0_NAME(info);
            if (is_hash_name(name))
                error = add_file(list, name);
        }
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(directory);
    return error;
}

int milgi__system_anchors(uint8_t **anchors, size_t *len)
{
    const char *file = secure_getenv(X509_get_default_cert_file_env());
    const char *directory = secure_getenv(X509_get_default_cert_dir_env());
    struct milgi__cert_list list = { .data = NULL };

    int error = add_file(&list, file ? file : X509_get_default_cert_file());
    if (error == 0)
        error = add_directory(&list, directory ? directory : X509_get_default_cert_dir());
    if (error == 0 && list.len == 0)
        error = MILGI_EFILE;
    if (error != 0)
        milgi__cert_list_clear(&list);
    *anchors = list.data;
    *len = list.len;
    return milgi__fail(error);
}

/* --- chains ----------------------------------------------------------------------------------------------------- */

static uint16_t alert_of(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        /*= RFC8446 6.2: "certificate_expired:  A certificate has expired or is not currently valid." */
        return MILGI_ALERT_CERTIFICATE_EXPIRED;
    case X509_V_ERR_CERT_REVOKED: return MILGI_ALERT_CERTIFICATE_REVOKED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_CERT_UNTRUSTED: return MILGI_ALERT_UNKNOWN_CA;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
    case X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM: return MILGI_ALERT_UNSUPPORTED_CERTIFICATE;
    case X509_V_ERR_UNSPECIFIED:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
    case X509_V_ERR_INVALID_EXTENSION:
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
    case X509_V_ERR_CERT_REJECTED: return MILGI_ALERT_BAD_CERTIFICATE;
    default: return MILGI_ALERT_CERTIFICATE_UNKNOWN;
    }
}

/*
 * The chain decoded: the leaf, and the others for path building. X509_V_OK or what is wrong; leaf NULL: it is
 * malformed.
 */
static int decode_chain(
    struct milgi__crypto *cx, const struct milgi__chain_query *query, X509 **leaf, STACK_OF(X509) * others)
{
    struct milgi__cert_walk walk = { .p = query->chain, .left = query->chain_len };

    while (milgi__cert_walk_next(&walk)) {
        X509 *x = milgi__cert_decode(cx, walk.der, walk.der_len);
        if (!x)
            return X509_V_ERR_UNSPECIFIED;
        if (!*leaf) {
            *leaf = x;
        } else if (sk_X509_push(others, x) == 0) {
            X509_free(x);
            return X509_V_ERR_OUT_OF_MEM;
        }
    }
    return walk.bad || !*leaf ? X509_V_ERR_UNSPECIFIED : X509_V_OK;
}

static bool set_policy(X509_STORE_CTX *ctx, const struct milgi__chain_query *query)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    int purpose = query->purpose == MILGI_PURPOSE_SERVER ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;

    if (X509_STORE_CTX_set_purpose(ctx, purpose) != 1)
        return false;
    /* An anchor is a name and a key (RFC 5280 6.1.1): it need not have signed itself. */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_time(param, (time_t)query->now_s);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, PATH_MAX_LEN);
    X509_VERIFY_PARAM_set_hostflags(param, MILGI__HOST_FLAGS);
    if (!query->name)
        return true;
    if (query->name_is_ip)
        return X509_VERIFY_PARAM_set1_ip(param, query->name, query->name_len) == 1;
    return X509_VERIFY_PARAM_set1_host(param, (const char *)query->name, query->name_len) == 1;
}

/* --- other paths ------------------------------------------------------------------------------------------------ */

/*
 * libcrypto builds one path: where several certificates could be an issuer it takes one and stays with it. When that
 * path fails above the leaf, the step that led there is barred and another path is built, as long as there is one and
 * the work stays bounded. The first path's fault is the one that is reported.
 */
struct search {
    struct step {
        X509 *subject, *issuer; /* of the path that failed, which holds them */
    } barred[PATHS_MAX];
    unsigned barred_n;
    unsigned signatures; /* that were to be checked */
    bool costly;         /* an issuer was left out, since its key is one that is not verified with */
};

/* Bounds what an issuer's key can cost, as milgi__verify() does with a leaf's. */
static bool key_acceptable(X509 *issuer)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    unsigned bits;

    if (!key) /* for libcrypto to complain of */
        return true;
    enum milgi__key_type type = milgi__evp_type(key, &bits);
    if (type != MILGI__KEY_RSA && type != MILGI__KEY_RSA_PSS)
        return true;
    return bits <= RSA_ISSUER_MAX && milgi__evp_exponent_acceptable(key);
}

static int may_be_issuer(X509_STORE_CTX *ctx, X509 *subject, X509 *issuer)
{
    struct search *search = X509_STORE_CTX_get_app_data(ctx);

    int issued = X509_check_issued(issuer, subject);
    if (issued != X509_V_OK && issued != X509_V_ERR_KEYUSAGE_NO_CERTSIGN) /* which is for the path to fail by */
        return 0;
    for (unsigned i = 0; search && i < search->barred_n; i++) {
        const struct step *step = &search->barred[i];
        if (X509_cmp(step->subject, subject) == 0 && X509_cmp(step->issuer, issuer) == 0)
            return 0;
    }
    if (key_acceptable(issuer))
        return 1;
    if (search)
        search->costly = true;
    return 0;
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

/* Bars the step of the path in |ctx| that led to what is wrong; false: none did. */
static bool bar(struct search *search, X509_STORE_CTX *ctx, int verdict)
{
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
    int at = X509_STORE_CTX_get_error_depth(ctx), n = sk_X509_num(path);

    search->signatures += n > 1 ? (unsigned)n - 1 : 0; /* an anchor's own is not looked at */
    if (search->barred_n == PATHS_MAX || search->signatures > SIGNATURES_MAX)
        return false;
    /* A signature that does not verify: perhaps another issuer of that name made it. */
    if (verdict == X509_V_ERR_CERT_SIGNATURE_FAILURE)
        at++;
    /* By whom is not told: it is the last, or else one of those that have no other issuer in the end. */
    if (is_constraint(verdict))
        at = n - 1;
    if (at < 1 || at >= n)
        return false;
    struct step *step = &search->barred[search->barred_n];
    *step = (struct step){ sk_X509_value(path, at - 1), sk_X509_value(path, at) };
    if (X509_up_ref(step->subject) != 1)
        return false;
    if (X509_up_ref(step->issuer) != 1) {
        X509_free(step->subject);
        return false;
    }
    search->barred_n++;
    return true;
}

/* X509_V_OK or what is wrong with one path; *again: there may be another. */
static int verify_path(X509_STORE *store, const struct milgi__chain_query *query, X509 *leaf,
    STACK_OF(X509) * others, struct search *search, bool *again)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int verdict = X509_V_ERR_OUT_OF_MEM;

    *again = false;
    if (ctx && X509_STORE_CTX_init(ctx, store, leaf, others) == 1 && X509_STORE_CTX_set_app_data(ctx, search) == 1 &&
        set_policy(ctx, query)) {
        int result = X509_verify_cert(ctx);
        verdict = X509_STORE_CTX_get_error(ctx);
        if (result != 1 && verdict == X509_V_OK)
            verdict = X509_V_ERR_UNSPECIFIED;
        *again = verdict != X509_V_OK && verdict != X509_V_ERR_OUT_OF_MEM && bar(search, ctx, verdict);
    }
    X509_STORE_CTX_free(ctx);
    return verdict;
}

/* X509_V_OK or what is wrong. */
static int verify(X509_STORE *store, const struct milgi__chain_query *query, X509 *leaf, STACK_OF(X509) * others)
{
    struct search search = { .barred_n = 0 };
    bool again;
    int first = verify_path(store, query, leaf, others, &search, &again);

    for (int verdict = first; again && verdict != X509_V_OK;) {
        verdict = verify_path(store, query, leaf, others, &search, &again);
        if (verdict == X509_V_OK)
            first = X509_V_OK;
    }
    for (unsigned i = 0; i < search.barred_n; i++) {
        X509_free(search.barred[i].subject);
        X509_free(search.barred[i].issuer);
    }
    return first != X509_V_OK && search.costly ? X509_V_ERR_CERT_REJECTED : first;
}

int milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store, const struct milgi__chain_query *query,
    int32_t *verdict, uint16_t *alert)
{
    STACK_OF(X509) *others = sk_X509_new_null();
    X509 *leaf = NULL;

    *verdict = others ? decode_chain(cx, query, &leaf, others) : X509_V_ERR_OUT_OF_MEM;
    if (*verdict == X509_V_OK)
        *verdict = verify(store->x509, query, leaf, others);
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    if (*verdict == X509_V_OK) {
        *alert = MILGI_ALERT_NONE;
        return 0;
    }
    *alert = alert_of(*verdict);
    return *verdict == X509_V_ERR_OUT_OF_MEM || *verdict == X509_V_ERR_INVALID_CALL ? MILGI__BROKEN : MILGI__BAD;
}

const char *milgi__verdict_text(int32_t verdict)
{
    return X509_verify_cert_error_string(verdict);
}
