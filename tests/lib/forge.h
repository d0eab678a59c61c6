/* SPDX-License-Identifier: Apache-2.0 */
/* What a liar shows instead of its credential: any certificates, and signatures of any key. Real backend only. */
#pragma once

#include "identity.h"
#include "liar.h"

/* A Certificate message with these. */
void forge_certificate(struct pair_bytes *m, const struct identity *const *chain, size_t n);
/* A CertificateVerify of |whose| key over what |liar| has said and heard; made as |how| demands, called |scheme|. */
void forge_verify(
    struct liar *liar, struct pair_bytes *m, const struct identity *whose, uint16_t how, uint16_t scheme);
