/* SPDX-License-Identifier: Apache-2.0 */
/* Channel bindings (RFC 5056) of a connection. */
#include "conn/state.h"

#include "crypto/cert_list.h"
#include "crypto/x509.h"

#define EXPORTER_LEN 32
#define UNIQUE_LEN 12 /* of a Finished of TLS 1.2 */

/* The server's certificate in DER; false: there is none at hand. */
static bool server_leaf(const struct milgi_conn *c, const uint8_t **der, size_t *len)
{
    if (c->config->role == MILGI_SERVER) {
        const struct milgi_credential *own = c->outcome->credential;
        struct milgi__cert_walk walk = { .p = own ? own->chain : NULL, .left = own ? own->chain_len : 0 };
        bool found = milgi__cert_walk_next(&walk);
        *der = walk.der;
        *len = walk.der_len;
        return found;
    }
    if (!c->hs || !c->hs->hs)
        return false;
    const struct milgi__hs_result *r = milgi__hs_result(c->hs->hs);
    if (r->peer_chain_n == 0)
        return false;
    *der = r->peer_chain[0].data;
    *len = r->peer_chain[0].len;
    return true;
}

static int end_point(const struct milgi_conn *c, uint8_t *out, size_t *out_len)
{
    const uint8_t *der;
    uint8_t hash[MILGI_CHANNEL_BINDING_MAX];
    size_t len, hash_len;
    if (!server_leaf(c, &der, &len))
        return MILGI_EINVAL;
    if (milgi__cert_end_point(milgi__engine_crypto(c->engine), der, len, hash, &hash_len) != 0)
        return MILGI_EUNSUPPORTED;
    if (hash_len > *out_len)
        return MILGI_EINVAL;
    memcpy(out, hash, hash_len);
    *out_len = hash_len;
    return 0;
}

/*
 * Without the extended master secret two connections of somebody in between can have the same one, once it was resumed
 * (RFC 7627 1): then there is none.
 */
static int unique(const struct milgi_conn *c, uint8_t *out, size_t *out_len)
{
    if (c->outcome->suite->tls13 || !c->outcome->exports)
        return MILGI_EUNSUPPORTED;
    if (*out_len < UNIQUE_LEN)
        return MILGI_EINVAL;
    memcpy(out, c->outcome->kept + MILGI__KEPT12_FIRST, UNIQUE_LEN);
    *out_len = UNIQUE_LEN;
    return 0;
}

int milgi_conn_channel_binding(
    struct milgi_conn *c, enum milgi_channel_binding kind, uint8_t *out, size_t *out_len)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!c->outcome || (unsigned)kind > MILGI_BINDING_UNIQUE)
        return MILGI_EINVAL;
    if (c->phase >= MILGI__CLOSED)
        return MILGI_ECLOSED;
    if (kind == MILGI_BINDING_SERVER_END_POINT)
        return end_point(c, out, out_len);
    if (kind == MILGI_BINDING_UNIQUE)
        return unique(c, out, out_len);
    if (*out_len < EXPORTER_LEN)
        return MILGI_EINVAL;
    /*= RFC9266 2: "Label: The ASCII string "EXPORTER-Channel-Binding" with no terminating NUL.  Context value:
     *= Zero-length string.  Length: 32 bytes." */
    int rv = milgi_conn_export(c, "EXPORTER-Channel-Binding", NULL, 0, out, EXPORTER_LEN);
    if (rv == 0)
        *out_len = EXPORTER_LEN;
    return rv;
}
