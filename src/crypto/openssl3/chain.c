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
#define CHAIN_MAX 16 /* certificates that a peer may send, and the depth of a path */

struct milgi__store {
    X509_STORE *x509;
};

/* --- anchors ---------------------------------------------------------------------------------------------------- */

struct milgi__store *milgi__store_new(const uint8_t *anchors, size_t len)
{
    struct milgi__cert_walk walk = { .p = anchors, .left = len };
    struct milgi__store *store = milgi__alloc(sizeof(*store));

    if (store == NULL)
        return NULL;
    store->x509 = X509_STORE_new();
    bool ok = store->x509 != NULL;
    while (ok && milgi__cert_walk_next(&walk)) {
        X509 *x = milgi__cert_decode(NULL, walk.der, walk.der_len);
        ok = x != NULL && X509_STORE_add_cert(store->x509, x) == 1;
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
    if (store == NULL)
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
    struct milgi__pem_fault fault;

    if (pem == NULL)
        return 0;
    int error = milgi__pem_certificates(pem, len, add_new, list, &fault);
    milgi__free_wiped(pem, len);
    return error == MILGI_ENOMEM ? error : 0;
}

/* "4f06f81d.0": what libcrypto looks for in a directory of anchors. */
static bool is_hash_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] != '\0' &&
        strspn(name + 9, "0123456789") == strlen(name + 9);
}

static int add_directory(struct milgi__cert_list *list, const char *path)
{
    OSSL_STORE_CTX *directory = OSSL_STORE_open(path, NULL, NULL, NULL, NULL);
    int error = 0;

    while (directory != NULL && error == 0 && !OSSL_STORE_eof(directory)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(directory);
        if (info == NULL && OSSL_STORE_error(directory))
            break;
        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_NAME) {
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

    int error = add_file(&list, file != NULL ? file : X509_get_default_cert_file());
    if (error == 0)
        error = add_directory(&list, directory != NULL ? directory : X509_get_default_cert_dir());
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
    int n = 0;

    while (milgi__cert_walk_next(&walk)) {
        if (++n > CHAIN_MAX)
            return X509_V_ERR_CERT_CHAIN_TOO_LONG;
        X509 *x = milgi__cert_decode(cx, walk.der, walk.der_len);
        if (x == NULL)
            return X509_V_ERR_UNSPECIFIED;
        if (*leaf == NULL) {
            *leaf = x;
        } else if (sk_X509_push(others, x) == 0) {
            X509_free(x);
            return X509_V_ERR_OUT_OF_MEM;
        }
    }
    return walk.bad || *leaf == NULL ? X509_V_ERR_UNSPECIFIED : X509_V_OK;
}

static bool set_policy(X509_STORE_CTX *ctx, const struct milgi__chain_query *query)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    int purpose = query->purpose == MILGI_PURPOSE_SERVER ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;

    if (X509_STORE_CTX_set_purpose(ctx, purpose) != 1)
        return false;
    X509_VERIFY_PARAM_set_time(param, (time_t)query->now_s);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX);
    X509_VERIFY_PARAM_set_hostflags(param, MILGI__HOST_FLAGS);
    if (query->name == NULL)
        return true;
    if (query->name_is_ip)
        return X509_VERIFY_PARAM_set1_ip(param, query->name, query->name_len) == 1;
    return X509_VERIFY_PARAM_set1_host(param, (const char *)query->name, query->name_len) == 1;
}

/* X509_V_OK or what is wrong. */
static int verify(X509_STORE *store, const struct milgi__chain_query *query, X509 *leaf, STACK_OF(X509) * others)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int verdict = X509_V_ERR_OUT_OF_MEM;

    if (ctx != NULL && X509_STORE_CTX_init(ctx, store, leaf, others) == 1 && set_policy(ctx, query)) {
        int result = X509_verify_cert(ctx);
        verdict = X509_STORE_CTX_get_error(ctx);
        if (result != 1 && verdict == X509_V_OK)
            verdict = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(ctx);
    return verdict;
}

int milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store, const struct milgi__chain_query *query,
    int32_t *verdict, uint16_t *alert)
{
    STACK_OF(X509) *others = sk_X509_new_null();
    X509 *leaf = NULL;

    *verdict = others != NULL ? decode_chain(cx, query, &leaf, others) : X509_V_ERR_OUT_OF_MEM;
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
