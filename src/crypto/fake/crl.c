/* SPDX-License-Identifier: Apache-2.0 */
/* There are no CRLs: where one is asked for, it is missing (cert.c). */
#include "crypto/x509.h"

int milgi__pem_crls(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg,
    struct milgi__pem_fault *fault)
{
    (void)pem;
    (void)pem_len;
    (void)each;
    (void)arg;
    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NO_BLOCK };
    return MILGI_EPARSE;
}

int64_t milgi__crl_until(const uint8_t *der, size_t len)
{
    (void)der;
    (void)len;
    return -1;
}
