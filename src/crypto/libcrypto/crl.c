/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs (RFC 5280 5): which can be used, and what a path that is good otherwise is checked against. */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "crypto/cert_list.h"
#include "crypto/libcrypto/libcrypto.h"

#define SECURITY_BITS 112 /* as of certificates: no SHA-1 */

static X509_CRL *decode(const uint8_t *der, size_t len)
{
    const uint8_t *p = der;
    X509_CRL *crl = len <= LONG_MAX ? d2i_X509_CRL(NULL, &p, (long)len) : NULL;

    if (crl && p == der + len)
        return crl;
    X509_CRL_free(crl);
    ERR_clear_error();
    return NULL;
}

const char *milgi__crl_fault(const uint8_t *der, size_t len)
{
    X509_CRL *crl = decode(der, len);
    const X509_ALGOR *algorithm;
    const char *fault = NULL;

    if (!crl)
        return "";
    X509_CRL_get0_signature(crl, NULL, &algorithm);
    /*= RFC5280 5.1.2.5: "Conforming CRL issuers MUST include the nextUpdate field in all CRLs." */
    if (!X509_CRL_get0_nextUpdate(crl))
        fault = "does not say until when it is good";
    /* Changes since another one, which has to be there, too, and be put together with it. */
    else if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
        fault = "is a delta CRL: it takes a complete one";
    else if (milgi__signature_bits(algorithm) < SECURITY_BITS)
        fault = "is signed with a digest that is weak or not known";
    X509_CRL_free(crl);
    ERR_clear_error();
    return fault;
}

int64_t milgi__crl_until(const uint8_t *der, size_t len)
{
    X509_CRL *crl = decode(der, len);
    int64_t until_s = crl ? milgi__seconds_of(X509_CRL_get0_nextUpdate(crl)) : -1;

    X509_CRL_free(crl);
    ERR_clear_error();
    return until_s;
}

int milgi__crls_to_store(X509_STORE *store, const uint8_t *crls, size_t len)
{
    struct milgi__cert_walk walk = { .p = crls, .left = len };
    bool ok = true;

    while (ok && milgi__cert_walk_next(&walk)) {
        X509_CRL *crl = decode(walk.der, walk.der_len);
        ok = crl && X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
    }
    return milgi__fail(ok && !walk.bad ? 0 : MILGI_ENOMEM);
}

/* That there is no CRL, or that it is of no use. */
static bool is_of_crl(int verdict)
{
    switch (verdict) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE: return true;
    default: return false;
    }
}

/*= RFC5280 6.1: "When the trust anchor is provided in the form of a self-signed certificate, this self-signed
 *= certificate is not included as part of the prospective certification path." */
/* So nobody has to say of an anchor that it is good; who says that it is revoked is heard. */
static int overlook(int ok, X509_STORE_CTX *ctx)
{
    int last = (int)sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;

    if (ok || X509_STORE_CTX_get_error_depth(ctx) != last || !is_of_crl(X509_STORE_CTX_get_error(ctx)))
        return ok;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/*
 * libcrypto goes by RFC 5280 6.3.3: the CRL's issuer, its right to sign CRLs, its signature, times and scope.
 */
/*= RFC5280 5.2: "If a CRL contains a critical extension that the application cannot process, then the application MUST
 *= NOT use that CRL to determine the status of certificates." */
void milgi__crls_to_check(X509_STORE_CTX *ctx, bool all)
{
    unsigned long flags = X509_V_FLAG_CRL_CHECK | (all ? X509_V_FLAG_CRL_CHECK_ALL : 0);

    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), flags);
    X509_STORE_CTX_set_verify_cb(ctx, overlook);
}
