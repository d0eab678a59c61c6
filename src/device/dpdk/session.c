/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cryptodev wants a session for each key, direction and length of additional data. They are made when an op first
 * needs one, and kept for those that were used last; one that an op is under way with is never ended.
 */
#include "device/dpdk/dpdk.h"

bool dpdk_sessions_init(struct dpdk_device *dpdk, struct dpdk_sessions *s)
{
    unsigned max = dpdk->sessions_max;

    s->max = max;
    s->pool = dpdk_session_pool(dpdk);
    s->buckets = rte_align32pow2(max);
    s->bucket = milgi__alloc(s->buckets * sizeof(struct dpdk_session *));
    s->all = milgi__alloc(max * sizeof *s->all);
    s->newest.newer = s->newest.older = &s->newest;
    if (!s->pool || !s->bucket || !s->all)
        return false;
    for (unsigned i = 0; i < max; i++) {
        s->all[i].next = s->free;
        s->free = &s->all[i];
    }
    return true;
}

static struct dpdk_session **bucket_of(const struct dpdk_sessions *s, uint64_t serial)
{
    return &s->bucket[(serial * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (s->buckets - 1)];
}

static void unlink_use(struct dpdk_session *session)
{
    session->newer->older = session->older;
    session->older->newer = session->newer;
}

static void link_newest(struct dpdk_sessions *s, struct dpdk_session *session)
{
    session->newer = &s->newest;
    session->older = s->newest.older;
    session->older->newer = session;
    s->newest.older = session;
}

static void end(struct dpdk_device *dpdk, struct dpdk_sessions *s, struct dpdk_session *session)
{
    struct dpdk_session **at = bucket_of(s, session->serial);

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    unlink_use(session);
    (void)rte_cryptodev_sym_session_free(dpdk->id, session->handle);
    atomic_fetch_sub_explicit(&dpdk->session_n, 1, memory_order_relaxed);
    session->next = s->free;
    s->free = session;
}

void dpdk_sessions_forget(struct dpdk_device *dpdk, struct dpdk_sessions *s, uint64_t serial)
{
    struct dpdk_session *next;

    for (struct dpdk_session *session = *bucket_of(s, serial); session; session = next) {
        next = session->next;
        if (session->serial == serial && session->in_flight == 0)
            end(dpdk, s, session);
    }
}

void dpdk_sessions_fini(struct dpdk_device *dpdk, struct dpdk_sessions *s)
{
    while (s->all && s->newest.older != &s->newest)
        end(dpdk, s, s->newest.older);
    rte_mempool_free(s->pool);
    milgi__free(s->all);
    milgi__free(s->bucket);
    s->all = NULL;
    s->bucket = NULL;
}

static void *make(struct dpdk_device *dpdk, struct rte_mempool *pool, const struct milgi_op *op)
{
    const struct milgi_key *key = op->key;
    bool gcm = op->alg != MILGI_SUITE_CHACHA20_POLY1305_SHA256;
    struct rte_crypto_sym_xform xform = {
        .type = RTE_CRYPTO_SYM_XFORM_AEAD,
        .aead = {
            .op = op->type == MILGI_OP_SEAL ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT,
            .algo = gcm ? RTE_CRYPTO_AEAD_AES_GCM : RTE_CRYPTO_AEAD_CHACHA20_POLY1305,
            .key = { .data = key->raw, .length = key->raw_len },
            .iv = { .offset = (uint16_t)(DPDK_SLOT_AT + offsetof(struct dpdk_slot, iv)), .length = DPDK_IV },
            .digest_length = DPDK_TAG,
            .aad_length = op->u.aead.aad_len,
        },
    };

    return rte_cryptodev_sym_session_create(dpdk->id, &xform, pool);
}

/* A place for one more, perhaps that of the one that was not used for longest. */
static struct dpdk_session *place(struct dpdk_device *dpdk, struct dpdk_sessions *s)
{
    struct dpdk_session *oldest = s->newest.newer;

    while (!s->free && oldest != &s->newest && oldest->in_flight > 0)
        oldest = oldest->newer;
    if (!s->free && oldest != &s->newest)
        end(dpdk, s, oldest);
    return s->free;
}

static bool is_for(const struct dpdk_session *session, const struct milgi_op *op)
{
    return session->serial == op->key->serial && session->type == op->type &&
        session->aad_len == op->u.aead.aad_len;
}

struct dpdk_session *dpdk_session_get(struct dpdk_device *dpdk, struct dpdk_sessions *s, const struct milgi_op *op)
{
    uint64_t serial = op->key->serial;
    struct dpdk_session *session = s->newest.older;

    /* Mostly the one before has had the same. */
    if (session != &s->newest && is_for(session, op)) {
        session->in_flight++;
        return session;
    }
    session = *bucket_of(s, serial);
    while (session && !is_for(session, op))
        session = session->next;
    if (session) {
        unlink_use(session);
    } else {
        session = place(dpdk, s);
        void *handle = session ? make(dpdk, s->pool, op) : NULL;
        if (!handle)
            return NULL;
        s->free = session->next;
        *session = (struct dpdk_session){ .next = *bucket_of(s, serial), .serial = serial, .handle = handle };
        session->type = op->type;
        session->aad_len = op->u.aead.aad_len;
        *bucket_of(s, serial) = session;
        atomic_fetch_add_explicit(&dpdk->session_n, 1, memory_order_relaxed);
    }
    link_newest(s, session);
    session->in_flight++;
    return session;
}
