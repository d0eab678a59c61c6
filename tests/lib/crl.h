/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs made at test time. Failures of libcrypto end the test program with a message. */
#pragma once

#include "identity.h"

#define CRL_REVOKED_MAX 4

struct crl_options {
    const struct identity *issuer;
    const struct identity *signer;                   /* whose key signs; NULL: the issuer's */
    const struct identity *revoked[CRL_REVOKED_MAX]; /* up to the first NULL */
    int64_t this_s, next_s;                          /* both 0: from an hour ago for a day */
    bool endless;                                    /* no nextUpdate */
    bool delta;                                      /* of the CRL with the number 1 */
    bool strange;                                    /* with a critical extension that nobody knows */
    bool strange_entry;                              /* the same, of the first entry */
    const char *scope;                               /* issuingDistributionPoint: "onlyuser:TRUE" ...; NULL: none */
    const char *digest;                              /* NULL: "SHA256" */
    unsigned others;                                 /* that many entries of other certificates, too */
};

/* In PEM, freed with free(). */
char *crl_new(const struct crl_options *options);
