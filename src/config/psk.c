/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External PSKs, and what a config has to do with them. Inside, one is a session that was never made by a handshake:
 * its ticket is the identity, its secret the Early Secret, which is as long as the hash whatever the PSK's length.
 */
#include "config/config.h"

#include <stdlib.h>

#include "keys/keys.h"

#define CONTEXT_NAME_MAX 255u
#define PSKS_MAX (1u << 20)

/* --- making them ------------------------------------------------------------------------------------------------ */

static enum milgi__hash hash_of(enum milgi_psk_hash hash)
{
    return hash == MILGI_PSK_SHA384 ? MILGI__SHA384 : MILGI__SHA256;
}

static int check(const struct milgi_psk_source *s)
{
    if ((s->role != MILGI_CLIENT && s->role != MILGI_SERVER) || (unsigned)s->hash > MILGI_PSK_SHA384 || !s->identity ||
        s->identity_len == 0 || s->identity_len > MILGI_PSK_IDENTITY_MAX || !s->secret ||
        s->secret_len > MILGI_PSK_SECRET_MAX)
        return MILGI_EINVAL;
    /* RFC 9257 6: a PSK must have 128 bits. */
    return s->secret_len < MILGI_PSK_SECRET_MIN ? MILGI_EWEAK : 0;
}

/* The PSK as it is used: |secret| for suites of |hash|. */
static int make(struct milgi__crypto *cx, enum milgi_role role, enum milgi__session_kind kind, enum milgi__hash hash,
    struct milgi_iov identity, struct milgi_iov secret, struct milgi_psk **psk)
{
    struct milgi__schedule13 s;
    struct milgi__session_fields f = {
        .version = MILGI_TLS_1_3,
        .suite = hash == MILGI__SHA384 ? MILGI_SUITE_AES_256_GCM_SHA384 : MILGI_SUITE_AES_128_GCM_SHA256,
        .secret_len = (uint8_t)milgi__hash_len(hash),
        .peer = MILGI__SESSION_NO_PEER,
        .kind = kind & 3u, /* which has two bits */
        .valid_from_s = INT64_MIN,
        .valid_until_s = INT64_MAX,
    };
    int rv = milgi__schedule13_early(&s, cx, hash, secret.data, secret.len);
    struct milgi_psk *made = rv == 0 ? milgi__alloc(sizeof *made) : NULL;
    if (made) {
        memcpy(f.secret, s.current, f.secret_len);
        made->session = milgi__session_new(&f, &(struct milgi__session_parts){ .ticket = identity });
    }
    milgi__wipe(&s, sizeof s);
    milgi__wipe(&f, sizeof f);
    if (rv == 0 && (!made || !made->session))
        rv = MILGI_ENOMEM;
    if (rv != 0) {
        milgi__free(made);
        return rv;
    }
    atomic_init(&made->refs, 1);
    made->role = role;
    *psk = made;
    return 0;
}

int milgi_psk_new(const struct milgi_psk_source *source, struct milgi_psk **psk)
{
    *psk = NULL;
    int rv = check(source);
    struct milgi__crypto *cx = rv == 0 ? milgi__crypto_new() : NULL;
    if (rv == 0 && !cx)
        rv = MILGI_ENOMEM;
    if (rv == 0)
        rv = make(cx, source->role, MILGI__SESSION_EXTERNAL, hash_of(source->hash),
            (struct milgi_iov){ source->identity, source->identity_len },
            (struct milgi_iov){ source->secret, source->secret_len }, psk);
    milgi__crypto_free(cx);
    return rv;
}

int milgi_psk_import(const struct milgi_psk_source *source, const void *context, size_t context_len,
    enum milgi_psk_hash target, struct milgi_psk **psk)
{
    uint8_t secret[MILGI__HASH_MAX], identity[MILGI_PSK_IDENTITY_MAX];
    enum milgi__hash hash = hash_of(target);
    *psk = NULL;
    int rv = check(source);
    if (rv != 0)
        return rv;
    if ((unsigned)target > MILGI_PSK_SHA384 || (!context && context_len != 0) ||
        context_len > MILGI_PSK_IDENTITY_MAX ||
        milgi__imported_identity(source->identity, source->identity_len, context, context_len, hash, NULL) >
            sizeof identity)
        return MILGI_EINVAL;
    size_t len =
        milgi__imported_identity(source->identity, source->identity_len, context, context_len, hash, identity);
    struct milgi__crypto *cx = milgi__crypto_new();
    if (!cx)
        return MILGI_ENOMEM;
    rv = milgi__imported_psk(
        cx, hash_of(source->hash), source->secret, source->secret_len, identity, len, hash, secret);
    if (rv == 0)
        rv = make(cx, source->role, MILGI__SESSION_IMPORTED, hash, (struct milgi_iov){ identity, len },
            (struct milgi_iov){ secret, milgi__hash_len(hash) }, psk);
    milgi__wipe(secret, sizeof secret);
    milgi__crypto_free(cx);
    return rv;
}

static uint8_t *put_name(uint8_t *to, const char *name, size_t len)
{
    *to = (uint8_t)len;
    memcpy(to + 1, name, len);
    return to + 1 + len;
}

/* RFC 9258 Appendix A: a context of the client's name and the server's, each with its length in a byte. */
int milgi_psk_import_between(const struct milgi_psk_source *source, const char *own, const char *peer,
    enum milgi_psk_hash target, struct milgi_psk **psk)
{
    uint8_t context[2 * (1 + CONTEXT_NAME_MAX)];
    size_t own_len = own ? strlen(own) : 0, peer_len = peer ? strlen(peer) : 0;
    *psk = NULL;
    /* Who has the peer's name, too, is its own peer. */
    if (own_len == 0 || own_len > CONTEXT_NAME_MAX || peer_len == 0 || peer_len > CONTEXT_NAME_MAX ||
        strcmp(own, peer) == 0)
        return MILGI_EINVAL;
    bool client = source->role == MILGI_CLIENT;
    uint8_t *p = put_name(context, client ? own : peer, client ? own_len : peer_len);
    p = put_name(p, client ? peer : own, client ? peer_len : own_len);
    return milgi_psk_import(source, context, (size_t)(p - context), target, psk);
}

struct milgi_psk *milgi_psk_ref(struct milgi_psk *psk)
{
    if (psk)
        atomic_fetch_add_explicit(&psk->refs, 1, memory_order_relaxed);
    return psk;
}

void milgi_psk_unref(struct milgi_psk *psk)
{
    if (!psk || atomic_fetch_sub_explicit(&psk->refs, 1, memory_order_acq_rel) != 1)
        return;
    milgi_session_unref(psk->session);
    milgi__free(psk);
}

struct milgi_iov milgi_psk_identity(const struct milgi_psk *psk)
{
    return milgi__session_parts(psk->session).ticket;
}

/* --- a config's ------------------------------------------------------------------------------------------------- */

int milgi_config_add_psk(struct milgi_config *config, struct milgi_psk *psk)
{
    size_t n = config->psks_n;
    /* RFC 9257 6: of one client and one server. */
    if (config->frozen || !psk || psk->role != config->role ||
        n >= (config->role == MILGI_CLIENT ? MILGI_PSKS_OFFERED : PSKS_MAX))
        return MILGI_EINVAL;
    if ((n & (n - 1)) == 0) { /* full: room grows by doubling */
        struct milgi_psk **grown = milgi__alloc((n > 0 ? 2 * n : 1) * sizeof(struct milgi_psk *));
        if (!grown)
            return MILGI_ENOMEM;
        if (n > 0)
            memcpy(grown, config->psks, n * sizeof(struct milgi_psk *));
        milgi__free(config->psks);
        config->psks = grown;
    }
    config->psks[config->psks_n++] = milgi_psk_ref(psk);
    return 0;
}

int milgi_config_set_psk_only(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_CLIENT)
        return MILGI_EINVAL;
    config->psk_only = on;
    return 0;
}

int milgi_config_set_psk_ke(struct milgi_config *config, enum milgi_psk_ke mode)
{
    if (config->frozen || (unsigned)mode > MILGI_PSK_KE_ONLY)
        return MILGI_EINVAL;
    config->psk_ke = (uint8_t)mode;
    return 0;
}

int milgi_config_set_psk_without_certificate(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_SERVER)
        return MILGI_EINVAL;
    config->psk_without_certificate = on;
    return 0;
}

/* By length, then bytes: any order will do. */
static int compare(struct milgi_iov a, struct milgi_iov b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return memcmp(a.data, b.data, a.len);
}

static int compare_psks(const void *a, const void *b)
{
    struct milgi_psk *const *left = a, *const *right = b;
    return compare(milgi_psk_identity(*left), milgi_psk_identity(*right));
}

int milgi__psks_freeze(struct milgi_config *config, const char **why)
{
    if (config->psk_only && config->version_min < MILGI_TLS_1_3) {
        *why = "with PSKs alone there is TLS 1.3 alone";
        return MILGI_EINVAL;
    }
    /* A client's are offered in their order; there are few of them. */
    if (config->role == MILGI_SERVER && config->psks_n > 1)
        qsort(config->psks, config->psks_n, sizeof(struct milgi_psk *), compare_psks);
    for (size_t i = 1; i < config->psks_n; i++) {
        size_t first = config->role == MILGI_SERVER ? i - 1 : 0;
        for (size_t k = first; k < i; k++) {
            if (compare_psks(&config->psks[k], &config->psks[i]) == 0) {
                *why = "two PSKs have one identity";
                return MILGI_EINVAL;
            }
        }
    }
    return 0;
}

struct milgi_session *milgi__psk_find(const struct milgi_config *config, const uint8_t *identity, size_t len)
{
    size_t from = 0, to = config->psks_n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = compare(milgi_psk_identity(config->psks[middle]), (struct milgi_iov){ identity, len });
        if (order == 0)
            return config->psks[middle]->session;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}
