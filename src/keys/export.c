/* SPDX-License-Identifier: Apache-2.0 */
/* Exporters (RFC 8446 7.5). */
#include "keys/keys.h"

/*= RFC8446 7.5: "TLS-Exporter(label, context_value, key_length) = HKDF-Expand-Label(Derive-Secret(Secret, label, ""),
 *  "exporter", Hash(context_value), key_length)" */
int milgi__export13(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *exporter, const char *label,
    const void *context, size_t context_len, uint8_t *out, size_t out_len)
{
    uint8_t secret[MILGI__HASH_MAX], digest[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hash);
    /* RFC 5869 2.3: not more than 255 blocks. */
    if (out_len == 0 || out_len > 255 * len)
        return MILGI_EINVAL;
    if (milgi__hash(cx, hash, NULL, 0, digest) != 0)
        return MILGI_EINTERNAL;
    int e = milgi__hkdf_expand_label(cx, hash, exporter, label, digest, len, secret, len);
    if (e == 0 && milgi__hash(cx, hash, context, context_len, digest) != 0)
        e = MILGI_EINTERNAL;
    if (e == 0)
        e = milgi__hkdf_expand_label(cx, hash, secret, "exporter", digest, len, out, out_len);
    milgi__wipe(secret, sizeof secret);
    return e;
}
