/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange. */
#pragma once

#include "crypto/context.h"

/* As MILGI_OP_KEYGEN and MILGI_OP_DERIVE say (milgi/op.h). |*secret_len| in and out where it is a pointer. */
int milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len, uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len);
int milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len);
