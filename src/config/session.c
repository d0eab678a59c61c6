/* SPDX-License-Identifier: Apache-2.0 */
/* What a config has to do with sessions. */
#include "config/config.h"

int milgi_config_set_ticket_keys(struct milgi_config *config, struct milgi_ticket_keys *keys)
{
    if (config->frozen || config->role != MILGI_SERVER)
        return MILGI_EINVAL;
    milgi_ticket_keys_ref(keys);
    milgi_ticket_keys_unref(config->ticket_keys);
    config->ticket_keys = keys;
    return 0;
}

int milgi_config_set_tickets(struct milgi_config *config, size_t n)
{
    if (config->frozen || n > MILGI_TICKETS_MAX)
        return MILGI_EINVAL;
    config->tickets = (uint8_t)n;
    return 0;
}

int milgi_config_set_session_cache(struct milgi_config *config, struct milgi_session_cache *cache)
{
    if (config->frozen)
        return MILGI_EINVAL;
    milgi_session_cache_ref(cache);
    milgi_session_cache_unref(config->session_cache);
    config->session_cache = cache;
    return 0;
}

static int add(struct milgi__digest *digest, const void *data, size_t len)
{
    uint8_t length[4];
    milgi__put16(length, (unsigned)(len >> 16));
    milgi__put16(length + 2, (unsigned)len & 0xffff);
    if (milgi__digest_update(digest, length, sizeof length) != 0)
        return MILGI_EINTERNAL;
    return len == 0 || milgi__digest_update(digest, data, len) == 0 ? 0 : MILGI_EINTERNAL;
}

static int peek(struct milgi__crypto *cx, struct milgi__digest *digest, uint8_t policy[MILGI__SESSION_POLICY_LEN])
{
    uint8_t hash[MILGI__HASH_MAX];
    if (milgi__digest_peek(cx, digest, hash) != 0)
        return MILGI_EINTERNAL;
    memcpy(policy, hash, MILGI__SESSION_POLICY_LEN);
    return 0;
}

/*
 * As whom a client speaks, for the server takes it for the one of the session: one with another certificate, or
 * without, does not speak in its name; nor does one that is not asked for it in that of one that is. A server's
 * certificates may be renewed while its sessions go on.
 */
static int add_identities(struct milgi__digest *digest, const struct milgi_config *config)
{
    uint8_t asks = (config->ask & MILGI_DECIDE_CREDENTIAL) != 0; /* shorter than any certificate */
    int rv = asks && config->role == MILGI_CLIENT ? add(digest, &asks, sizeof asks) : 0;
    for (size_t i = 0; i < config->credentials_n && config->role == MILGI_CLIENT && rv == 0; i++)
        rv = add(digest, config->credentials[i]->chain, config->credentials[i]->chain_len);
    return rv;
}

int milgi__config_policy(struct milgi_config *config)
{
    const struct milgi_trust *trust = config->trust;
    uint8_t modes[] = { (uint8_t)config->role, (uint8_t)config->client_auth, config->accept_any_server, config->ocsp,
        config->report_peer, trust != NULL, (uint8_t)(config->rsa_min >> 8), (uint8_t)config->rsa_min };
    struct milgi__crypto *cx = milgi__crypto_new();
    struct milgi__digest *digest = cx ? milgi__digest_new(cx, MILGI__SHA256) : NULL;
    int rv = digest ? add(digest, modes, sizeof modes) : MILGI_ENOMEM;
    if (rv == 0)
        rv = add(digest, config->schemes.v, config->schemes.n * sizeof config->schemes.v[0]);
    if (rv == 0)
        rv = add(digest, config->schemes12.v, config->schemes12.n * sizeof config->schemes12.v[0]);
    if (rv == 0)
        rv = add(digest, config->cert_schemes.v, config->cert_schemes.n * sizeof config->cert_schemes.v[0]);
    if (rv == 0)
        rv = add(digest, trust ? trust->anchors : NULL, trust ? trust->anchors_len : 0);
    /* Whoever was accepted under other CRLs may be in these. */
    if (rv == 0 && trust)
        rv = add(digest, &trust->crl_check, sizeof trust->crl_check);
    if (rv == 0 && trust)
        rv = add(digest, trust->crls, trust->crls_len);
    if (rv == 0)
        rv = add_identities(digest, config);
    if (rv == 0)
        rv = peek(cx, digest, config->policy);
    /* What stands on a session of TLS 1.2 has the key exchange of long ago, and no other. */
    if (rv == 0)
        rv = add(digest, config->groups.v, config->groups.n * sizeof config->groups.v[0]);
    if (rv == 0)
        rv = peek(cx, digest, config->policy12);
    if (digest)
        milgi__digest_free(digest);
    milgi__crypto_free(cx);
    return rv;
}
