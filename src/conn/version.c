/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/version.h"

#include "handshake/handshake.h"

static int export13(struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *kept, const char *label,
    const void *context, size_t context_len, uint8_t *out, size_t out_len)
{
    const uint8_t *exporter = kept + MILGI__KEPT_EXPORTER * milgi__hash_len(suite->hash);
    return milgi__export13(cx, suite->hash, exporter, label, context, context_len, out, out_len);
}

static int keys12(
    struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret, uint8_t *key, uint8_t iv[12])
{
    (void)cx;
    milgi__block_keys(suite, secret, key, iv);
    return 0;
}

static int export12(struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *kept, const char *label,
    const void *context, size_t context_len, uint8_t *out, size_t out_len)
{
    return milgi__export12(
        cx, suite->hash, kept + MILGI__KEPT12_MASTER, kept, label, context, context_len, out, out_len);
}

const struct milgi__version *milgi__version_of(const struct milgi__suite *suite)
{
    static const struct milgi__version tls13 = {
        .id = 0x0304,
        .updates = true,
        .traffic_keys = milgi__traffic_keys,
        .export = export13,
    };
    static const struct milgi__version tls12 = {
        .id = 0x0303,
        .warnings = true,
        .traffic_keys = keys12,
        .export = export12,
    };
    return suite->tls13 ? &tls13 : &tls12;
}
