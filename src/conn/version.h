/* SPDX-License-Identifier: Apache-2.0 */
/* In what the versions of TLS differ for a connection, as rows. */
#pragma once

#include "keys/keys.h"

struct milgi__version {
    uint16_t id;
    bool updates;  /* keys can change while it is established; else it ends where they would have to */
    bool warnings; /* an alert's level counts */
    /* Key and IV from what the handshake installs. 0 or an error. */
    int (*traffic_keys)(struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret,
        uint8_t *key, uint8_t iv[12]);
    /* From what the handshake left (milgi__hs_kept()). 0 or an error. */
    int (*export)(struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *kept, const char *label,
        const void *context, size_t context_len, uint8_t *out, size_t out_len);
};
const struct milgi__version *milgi__version_of(const struct milgi__suite *suite);
