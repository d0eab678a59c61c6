/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, or CRLs, in DER, each with a 3-byte length before it: how chains and anchors are kept, and sent. */
#pragma once

#include "base/base.h"

/* All zeros: empty. */
struct milgi__cert_list {
    uint8_t *data;
    size_t len, cap;
    unsigned n;
};

/* Both return 0 or an error; the list stays the caller's to clear. */
int milgi__cert_list_add(struct milgi__cert_list *list, const uint8_t *der, size_t len);
struct milgi__pem_fault;
/* All certificates of |pem|: MILGI_EPARSE (as |fault| says) or MILGI_ENOMEM. */
int milgi__cert_list_add_pem(
    struct milgi__cert_list *list, const void *pem, size_t pem_len, struct milgi__pem_fault *fault);
/* All CRLs in the same way; or MILGI_EUNSUPPORTED. */
int milgi__cert_list_add_crls(
    struct milgi__cert_list *list, const void *pem, size_t pem_len, struct milgi__pem_fault *fault);
void milgi__cert_list_clear(struct milgi__cert_list *list);
bool milgi__cert_list_has(const struct milgi__cert_list *list, const uint8_t *der, size_t len);

/* Walks through such a list. */
struct milgi__cert_walk {
    const uint8_t *p;
    size_t left;
    bool bad; /* what follows is no certificate with its length */
    const uint8_t *der;
    size_t der_len;
};
/* The next one, in |der|; false: at the end, or bad. */
bool milgi__cert_walk_next(struct milgi__cert_walk *walk);
