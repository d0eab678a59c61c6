/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses (RFC 6960) that come with a certificate. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "crypto/libcrypto/libcrypto.h"

#define SKEW_S 300        /* by how much clocks may differ */
#define UNDATED_S 86400   /* a response that does not say until when it is good: so old at most */
#define STATUS_REQUEST 5u /* the TLS extension, as RFC 7633 has it */
#define TLS_FEATURE "1.3.6.1.5.5.7.1.24"

/* The response with its signature, if that is what |der| holds, all of it. */
static OCSP_BASICRESP *decode(const uint8_t *der, size_t len)
{
    const uint8_t *p = der;
    OCSP_RESPONSE *response = len <= LONG_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)len) : NULL;
    OCSP_BASICRESP *basic = NULL;

    if (response && p == der + len && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    OCSP_RESPONSE_free(response);
    return basic;
}

/* The status for |leaf|: by which hash the responder names certificates is its choice. */
static bool find(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, int *status, ASN1_GENERALIZEDTIME **from,
    ASN1_GENERALIZEDTIME **until)
{
    const EVP_MD *const hashes[] = { EVP_sha1(), EVP_sha256() };
    bool found = false;

    for (size_t i = 0; i < MILGI__COUNT(hashes) && !found; i++) {
        OCSP_CERTID *id = OCSP_cert_to_id(hashes[i], leaf, issuer);
        found = id && OCSP_resp_find_status(basic, id, status, NULL, NULL, from, until) == 1;
        OCSP_CERTID_free(id);
    }
    return found;
}

/* -1: |time| lies before |s| or at it, 1: behind it, 0: it is malformed. */
static int compare(const ASN1_GENERALIZEDTIME *time, int64_t s)
{
    time_t at = (time_t)s;

    return X509_cmp_time(time, &at);
}

/*= RFC6960 3.2: "The time at which the status being indicated is known to be correct (thisUpdate) is sufficiently
 *= recent", "When available, the time at or before which newer information will be available about the status of the
 *= certificate (nextUpdate) is greater than the current time." */
static bool timely(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *until, int64_t now_s)
{
    if (!from || compare(from, now_s + SKEW_S) >= 0)
        return false;
    return until ? compare(until, now_s - SKEW_S) > 0 : compare(from, now_s - UNDATED_S) > 0;
}

/*
 * Signed by |issuer| itself, or by somebody whom it has certified for that (RFC 6960 4.2.2.2), at |now_s|. Nobody else
 * is trusted here.
 */
static bool verify(OCSP_BASICRESP *basic, X509 *issuer, int64_t now_s)
{
    X509_STORE *store = X509_STORE_new();
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
    STACK_OF(X509) *certs = sk_X509_new_null();
    bool ok = false;

    if (store && param && certs && X509_STORE_add_cert(store, issuer) == 1 && sk_X509_push(certs, issuer) > 0) {
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
        ok = X509_STORE_set1_param(store, param) == 1 && OCSP_basic_verify(basic, certs, store, 0) == 1;
    }
    sk_X509_free(certs);
    X509_VERIFY_PARAM_free(param);
    X509_STORE_free(store);
    return ok;
}

/* The TLS feature status_request in a certificate says that a response must be stapled (RFC 7633 4). */
static bool must_staple(const X509 *x)
{
    ASN1_OBJECT *feature = OBJ_txt2obj(TLS_FEATURE, 1);
    int at = feature ? X509_get_ext_by_OBJ(x, feature, -1) : -1;
    bool found = false;

    ASN1_OBJECT_free(feature);
    if (at < 0)
        return false;
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(x, at));
    const uint8_t *p = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    /* SEQUENCE OF INTEGER: all that are known have one byte. */
    for (size_t i = 2; i + 3 <= len; i += 2 + (size_t)p[i + 1])
        found |= p[i] == V_ASN1_INTEGER && p[i + 1] == 1 && p[i + 2] == STATUS_REQUEST;
    return found;
}

int milgi__ocsp_check(const struct milgi__chain_query *query, X509 *leaf, X509 *issuer)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int status, verdict = MILGI__V_OCSP_FAILED;

    if (query->staple == 0)
        return X509_V_OK;
    if (query->ocsp_len == 0)
        return (query->staple & MILGI_STAPLE_REQUIRED) != 0 || must_staple(leaf) ? MILGI__V_OCSP_NEEDED : X509_V_OK;
    OCSP_BASICRESP *basic = decode(query->ocsp, query->ocsp_len);
    if (basic && find(basic, leaf, issuer, &status, &from, &until) && verify(basic, issuer, query->now_s) &&
        timely(from, until, query->now_s)) {
        verdict = status == V_OCSP_CERTSTATUS_GOOD ? X509_V_OK
            : status == V_OCSP_CERTSTATUS_REVOKED  ? X509_V_ERR_CERT_REVOKED
                                                   : MILGI__V_OCSP_UNKNOWN;
    }
    OCSP_BASICRESP_free(basic);
    return verdict;
}

static int64_t seconds_of(const ASN1_GENERALIZEDTIME *time)
{
    int days, seconds;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;

    ASN1_TIME_free(epoch);
    return ok ? (int64_t)days * 86400 + seconds : 0;
}

int milgi__ocsp_read(const uint8_t *response, size_t len, int64_t *until_s)
{
    ASN1_GENERALIZEDTIME *until = NULL;
    OCSP_BASICRESP *basic = decode(response, len);
    OCSP_SINGLERESP *single = basic ? OCSP_resp_get0(basic, 0) : NULL;

    if (single)
        OCSP_single_get0_status(single, NULL, NULL, NULL, &until);
    *until_s = until ? seconds_of(until) : INT64_MAX;
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
    return single ? 0 : MILGI__BAD;
}

/* Of several the earliest: which of them is the leaf's makes no difference worth the search. */
int64_t milgi__ocsp_good_until(const uint8_t *response, size_t len)
{
    OCSP_BASICRESP *basic = decode(response, len);
    int64_t n = basic ? (int64_t)OCSP_resp_count(basic) : 0;
    int64_t until_s = n > 0 && n < UINT16_MAX ? INT64_MAX : INT64_MIN;

    for (uint16_t i = 0; i < n && until_s != INT64_MIN; i++) { /* of a type that each library's index can hold */
        ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
        OCSP_single_get0_status(OCSP_resp_get0(basic, i), NULL, NULL, &from, &until);
        int64_t end_s = until ? seconds_of(until) : seconds_of(from) + UNDATED_S;
        until_s = MILGI__MIN(until_s, end_s + SKEW_S);
    }
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
    return until_s;
}
