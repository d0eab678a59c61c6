/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OPENSSL_NO_OCSP is defined; this is for programs that do not ask. What would begin with OCSP fails here
 * (SSL_set_tlsext_status_type(), d2i_OCSP_RESPONSE()), and so does all that would follow.
 */
#pragma once

#include <openssl/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OCSP_RESPONSE_STATUS_SUCCESSFUL 0
#define OCSP_RESPONSE_STATUS_INTERNALERROR 2
#define V_OCSP_CERTSTATUS_GOOD 0
#define V_OCSP_CERTSTATUS_REVOKED 1
#define V_OCSP_CERTSTATUS_UNKNOWN 2

typedef struct ocsp_response_st OCSP_RESPONSE;
typedef struct ocsp_basic_response_st OCSP_BASICRESP;
typedef struct ocsp_single_response_st OCSP_SINGLERESP;

MILGI_SSL_API OCSP_RESPONSE *d2i_OCSP_RESPONSE(OCSP_RESPONSE **response, const unsigned char **in, long len); /* NULL */

static inline int OCSP_response_status(OCSP_RESPONSE *response)
{
    (void)response;
    return OCSP_RESPONSE_STATUS_INTERNALERROR;
}
static inline OCSP_BASICRESP *OCSP_response_get1_basic(OCSP_RESPONSE *response)
{
    (void)response;
    return NULL;
}
static inline int OCSP_basic_verify(
    OCSP_BASICRESP *response, STACK_OF(X509) * certs, X509_STORE *store, unsigned long flags)
{
    (void)response;
    (void)certs;
    (void)store;
    (void)flags;
    return -1;
}
static inline int OCSP_resp_count(OCSP_BASICRESP *response)
{
    (void)response;
    return -1;
}
static inline OCSP_SINGLERESP *OCSP_resp_get0(OCSP_BASICRESP *response, int i)
{
    (void)response;
    (void)i;
    return NULL;
}
static inline int OCSP_single_get0_status(OCSP_SINGLERESP *single, int *reason, ASN1_GENERALIZEDTIME **revoked,
    ASN1_GENERALIZEDTIME **this_update, ASN1_GENERALIZEDTIME **next_update)
{
    (void)single;
    (void)reason;
    (void)revoked;
    (void)this_update;
    (void)next_update;
    return -1;
}
static inline int OCSP_check_validity(
    ASN1_GENERALIZEDTIME *this_update, ASN1_GENERALIZEDTIME *next_update, long seconds, long max_seconds)
{
    (void)this_update;
    (void)next_update;
    (void)seconds;
    (void)max_seconds;
    return 0;
}
static inline const char *OCSP_response_status_str(long status)
{
    (void)status;
    return "(UNKNOWN)";
}
#define OCSP_cert_status_str OCSP_response_status_str
#define OCSP_crl_reason_str OCSP_response_status_str
#define OCSP_RESPONSE_free(response) ((void)(response))
#define OCSP_BASICRESP_free(response) ((void)(response))

#ifdef __cplusplus
}
#endif
