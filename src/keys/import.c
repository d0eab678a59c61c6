/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs made fit for one protocol and hash (RFC 9258). */
#include "keys/keys.h"

#include "buf/codec.h"

/* IANA's: of KDFs, and the protocol that a PSK is imported for. */
#define HKDF_SHA256 0x0001u
#define HKDF_SHA384 0x0002u
#define TLS13 0x0304u

/*
 * RFC 9258 5.1: opaque external_identity<1...2^16-1>; opaque context<0..2^16-1>; uint16 target_protocol; uint16
 * target_kdf.
 */
size_t milgi__imported_identity(const void *identity, size_t identity_len, const void *context, size_t context_len,
    enum milgi__hash target, uint8_t *out)
{
    size_t len = 2 + identity_len + 2 + context_len + 2 + 2;
    if (!out)
        return len;
    struct milgi__writer w = milgi__writer(out, len);
    milgi__write16(&w, (unsigned)identity_len);
    milgi__write_bytes(&w, identity, identity_len);
    milgi__write16(&w, (unsigned)context_len);
    milgi__write_bytes(&w, context, context_len);
    milgi__write16(&w, TLS13);
    milgi__write16(&w, target == MILGI__SHA384 ? HKDF_SHA384 : HKDF_SHA256);
    return milgi__written(&w);
}

/*
 * RFC 9258 5.1: epskx = HKDF-Extract(0, epsk), ipskx = HKDF-Expand-Label(epskx, "derived psk", Hash(ImportedIdentity),
 * L). HKDF and Hash are of the hash that the PSK itself has; only L is of the one that it is imported for.
 */
int milgi__imported_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, size_t secret_len,
    const uint8_t *identity, size_t identity_len, enum milgi__hash target, uint8_t psk[MILGI__HASH_MAX])
{
    static const uint8_t zeros[MILGI__HASH_MAX];
    uint8_t extracted[MILGI__HASH_MAX], digest[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hash);
    int e = milgi__hmac(cx, hash, zeros, len, secret, secret_len, extracted);
    if (e == 0)
        e = milgi__hash(cx, hash, identity, identity_len, digest);
    if (e == 0)
        e = milgi__hkdf_expand_label(
            cx, hash, extracted, "derived psk", digest, len, psk, milgi__hash_len(target));
    milgi__wipe(extracted, sizeof extracted);
    return e == 0 ? 0 : MILGI_EINTERNAL;
}
