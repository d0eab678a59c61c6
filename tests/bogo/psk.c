/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs from the flags. Each is imported for both hashes, as BoringSSL does. */
#include "shim.h"

#include <string.h>

bool shim_has_psks(const struct shim_options *o)
{
    bool some = false;
    for (size_t i = 1; i <= o->credentials_n; i++)
        some |= o->credential[i].is_psk;
    return some;
}

static int import(struct shim_config *made, const struct shim_options *o, size_t i)
{
    const struct shim_credential *from = &o->credential[i];
    struct milgi_psk_source source = {
        .role = o->server ? MILGI_SERVER : MILGI_CLIENT,
        .hash = from->psk_sha384 ? MILGI_PSK_SHA384 : MILGI_PSK_SHA256,
        .identity = from->psk_identity.data,
        .identity_len = from->psk_identity.len,
        .secret = from->psk_key.data,
        .secret_len = from->psk_key.len,
    };
    for (unsigned target = MILGI_PSK_SHA256; target <= MILGI_PSK_SHA384; target++) {
        struct milgi_psk **psk = &made->psk[i][target];
        int rv = milgi_psk_import(
            &source, from->psk_context.data, from->psk_context.len, (enum milgi_psk_hash)target, psk);
        if (!rv)
            rv = milgi_config_add_psk(made->config, *psk);
        if (rv)
            return rv;
    }
    return 0;
}

/* A client with PSKs takes nothing else, unless it is to verify servers. */
int shim_add_psks(struct shim_config *made, const struct shim_options *o, const char **why)
{
    struct milgi_config *config = made->config;
    int rv = 0;
    if (!shim_has_psks(o))
        return 0;
    for (size_t i = 1; i <= o->credentials_n && !rv; i++)
        rv = o->credential[i].is_psk ? import(made, o, i) : 0;
    if (!rv && o->server)
        rv = milgi_config_set_psk_without_certificate(config, true);
    if (!rv && !o->server && !o->verify_peer) {
        rv = milgi_config_set_versions(config, MILGI_TLS_1_3, MILGI_TLS_1_3);
        rv = rv ? rv : milgi_config_set_psk_only(config, true);
    }
    *why = rv ? milgi_error_text(rv) : *why;
    return rv ? 1 : 0;
}

int shim_psk_of(const struct shim_config *made, const struct shim_options *o, struct milgi_iov identity)
{
    for (size_t i = 1; i <= o->credentials_n; i++) {
        for (unsigned target = 0; target < 2 && made->psk[i][target]; target++) {
            struct milgi_iov known = milgi_psk_identity(made->psk[i][target]);
            if (known.len == identity.len && !memcmp(known.data, identity.data, known.len))
                return (int)i;
        }
    }
    return 0;
}

void shim_psks_fini(struct shim_config *made)
{
    for (size_t i = 0; i <= SHIM_CREDENTIALS_MAX; i++) {
        milgi_psk_unref(made->psk[i][0]);
        milgi_psk_unref(made->psk[i][1]);
    }
}
