/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions by name, or by session ID: a hash table that is as large as it will ever have to be, and a list by age. */
#include "session/session.h"

#include "base/port.h"

#define OF_ONE_NAME 8u
#define LIMIT_MAX (UINT32_C(1) << 28)
#define TLS12 0x0303

struct entry {
    struct entry *next;      /* in its bucket, newer before older */
    struct milgi__link link; /* among all, older before newer */
    struct milgi_session *session;
    uint32_t bucket;
    uint8_t name_len;
    char name[];
};

struct milgi_session_cache {
    _Atomic uint32_t refs;
    uint32_t mask; /* buckets - 1 */
    size_t limit;  /* 0: they are in |store|, and there is nothing of what follows */
    struct milgi_session_store store;
    void *store_ctx;
    struct milgi__port_lock *lock; /* of what follows */
    struct milgi__crypto *cx;
    size_t n;
    struct milgi__link all;
    uint8_t seed[16]; /* so that nobody can choose names that meet in one bucket */
    struct entry *bucket[];
};

/* --- life ------------------------------------------------------------------------------------------------------- */

static size_t size_for(uint32_t buckets)
{
    return sizeof(struct milgi_session_cache) + buckets * sizeof(struct entry *);
}

static void cache_free(struct milgi_session_cache *c)
{
    if (c->limit == 0) {
        if (c->store.free)
            c->store.free(c->store_ctx);
        milgi__free(c);
        return;
    }
    while (!milgi__list_empty(&c->all)) {
        struct entry *e = MILGI__ENTRY(c->all.next, struct entry, link);
        milgi__list_remove(&e->link);
        milgi_session_unref(e->session);
        milgi__free(e);
    }
    milgi__crypto_free(c->cx);
    milgi__port_lock_free(c->lock);
    milgi__free(c);
}

int milgi_session_cache_new(size_t limit, struct milgi_session_cache **cache)
{
    uint32_t buckets = 1;
    if (!cache)
        return MILGI_EINVAL;
    *cache = NULL;
    if (limit == 0 || limit > LIMIT_MAX)
        return MILGI_EINVAL;
    while (buckets < limit)
        buckets *= 2;
    struct milgi_session_cache *c = milgi__alloc(size_for(buckets));
    if (!c)
        return MILGI_ENOMEM;
    atomic_init(&c->refs, 1);
    c->mask = buckets - 1;
    c->limit = limit;
    milgi__list_init(&c->all);
    c->lock = milgi__port_lock_new();
    c->cx = milgi__crypto_new();
    if (!c->lock || !c->cx || milgi__crypto_random(c->cx, c->seed, sizeof c->seed) != 0) {
        cache_free(c);
        return MILGI_ENOMEM;
    }
    *cache = c;
    return 0;
}

int milgi_session_cache_new_store(
    const struct milgi_session_store *store, void *ctx, struct milgi_session_cache **cache)
{
    if (!cache)
        return MILGI_EINVAL;
    *cache = NULL;
    if (!store || !store->put || !store->take)
        return MILGI_EINVAL;
    struct milgi_session_cache *c = milgi__alloc(size_for(0));
    if (!c)
        return MILGI_ENOMEM;
    atomic_init(&c->refs, 1);
    c->store = *store;
    c->store_ctx = ctx;
    *cache = c;
    return 0;
}

struct milgi_session_cache *milgi_session_cache_ref(struct milgi_session_cache *cache)
{
    if (cache)
        atomic_fetch_add_explicit(&cache->refs, 1, memory_order_relaxed);
    return cache;
}

void milgi_session_cache_unref(struct milgi_session_cache *cache)
{
    if (cache && atomic_fetch_sub_explicit(&cache->refs, 1, memory_order_acq_rel) == 1)
        cache_free(cache);
}

/* --- with the lock ---------------------------------------------------------------------------------------------- */

/* False: it could not be computed. */
static bool bucket_of(struct milgi_session_cache *c, const void *name, size_t len, uint32_t *bucket)
{
    uint8_t text[sizeof c->seed + MILGI__SESSION_NAME_MAX], digest[MILGI__HASH_MAX];
    memcpy(text, c->seed, sizeof c->seed);
    memcpy(text + sizeof c->seed, name, len);
    if (milgi__hash(c->cx, MILGI__SHA256, text, sizeof c->seed + len, digest) != 0)
        return false;
    *bucket = ((uint32_t)milgi__get16(digest) << 16 | milgi__get16(digest + 2)) & c->mask;
    return true;
}

static bool is_of(const struct entry *e, const void *name, size_t len)
{
    return e->name_len == len && memcmp(e->name, name, len) == 0;
}

/* What |at| points to is out of the cache; its session, with the cache's reference. */
static struct milgi_session *pull(struct milgi_session_cache *c, struct entry **at)
{
    struct entry *e = *at;
    struct milgi_session *session = e->session;
    *at = e->next;
    milgi__list_remove(&e->link);
    c->n--;
    milgi__free(e);
    return session;
}

/* Sessions of TLS 1.2 may be used more than once (RFC 5246 F.1.4), so that the newest of a name is enough. */
static bool stays(const struct milgi_session *session)
{
    return session->f.version == TLS12;
}

/* Those of a name that the newest, and first, makes needless. */
static void thin(struct milgi_session_cache *c, uint32_t bucket, const void *name, size_t len)
{
    unsigned seen = 0;
    bool newest_stays = stays(c->bucket[bucket]->session);
    for (struct entry **at = &c->bucket[bucket]; *at;) {
        bool needless = is_of(*at, name, len) &&
            (++seen > OF_ONE_NAME || (seen > 1 && newest_stays && stays((*at)->session)));
        if (needless)
            milgi_session_unref(pull(c, at));
        else
            at = &(*at)->next;
    }
}

static void drop_oldest(struct milgi_session_cache *c)
{
    struct entry *oldest = MILGI__ENTRY(c->all.next, struct entry, link), **at = &c->bucket[oldest->bucket];
    while (*at != oldest)
        at = &(*at)->next;
    milgi_session_unref(pull(c, at));
}

static bool put(struct milgi_session_cache *c, struct entry *e)
{
    if (!bucket_of(c, e->name, e->name_len, &e->bucket))
        return false;
    e->next = c->bucket[e->bucket];
    c->bucket[e->bucket] = e;
    milgi__list_append(&c->all, &e->link);
    c->n++;
    thin(c, e->bucket, e->name, e->name_len);
    if (c->n > c->limit) /* only now: who comes in the place of another needs no room */
        drop_oldest(c);
    return true;
}

/* --- what can be asked ------------------------------------------------------------------------------------------ */

static size_t name_len(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    return len <= MILGI__SESSION_NAME_MAX ? len : 0;
}

static int put_by(struct milgi_session_cache *c, const void *name, size_t len, struct milgi_session *session)
{
    if (len == 0 || !session)
        return MILGI_EINVAL;
    if (c->limit == 0) {
        c->store.put(c->store_ctx, name, session);
        return 0;
    }
    struct entry *e = milgi__alloc(sizeof *e + len);
    if (!e)
        return MILGI_ENOMEM;
    e->name_len = (uint8_t)len;
    memcpy(e->name, name, len);
    e->session = milgi_session_ref(session);
    milgi__port_lock(c->lock);
    bool in = put(c, e);
    milgi__port_unlock(c->lock);
    if (in)
        return 0;
    milgi_session_unref(session);
    milgi__free(e);
    return MILGI_ENOMEM;
}

static struct milgi_session *take_by(struct milgi_session_cache *c, const void *name, size_t len, int64_t now_s)
{
    struct milgi_session *found = NULL;
    uint32_t bucket;
    if (len == 0)
        return NULL;
    if (c->limit == 0)
        return c->store.take(c->store_ctx, name, now_s);
    milgi__port_lock(c->lock);
    bool known = bucket_of(c, name, len, &bucket);
    for (struct entry **at = known ? &c->bucket[bucket] : NULL; at && *at && !found;) {
        if (!is_of(*at, name, len)) {
            at = &(*at)->next;
            continue;
        }
        bool good = milgi__session_good((*at)->session, now_s);
        found = good && stays((*at)->session) ? milgi_session_ref((*at)->session) : pull(c, at);
        if (good)
            continue;
        milgi_session_unref(found);
        found = NULL;
    }
    milgi__port_unlock(c->lock);
    return found;
}

int milgi_session_cache_put(struct milgi_session_cache *c, const char *name, struct milgi_session *session)
{
    return put_by(c, name, name_len(name), session);
}

struct milgi_session *milgi_session_cache_take(struct milgi_session_cache *c, const char *name, int64_t now_s)
{
    return take_by(c, name, name_len(name), now_s);
}

/* --- of servers ------------------------------------------------------------------------------------------------- */

/* As a store that is kept elsewhere knows it. */
static void spell(const uint8_t *id, size_t len, char name[2 * MILGI__SESSION_ID_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        name[2 * i] = digits[id[i] >> 4];
        name[2 * i + 1] = digits[id[i] & 15];
    }
    name[2 * len] = '\0';
}

int milgi__session_cache_put_id(struct milgi_session_cache *c, struct milgi_session *session)
{
    char name[2 * MILGI__SESSION_ID_MAX + 1];
    struct milgi_iov id = milgi__session_parts(session).ticket;
    spell(id.data, id.len, name);
    return c->limit == 0 ? put_by(c, name, 2 * id.len, session) : put_by(c, id.data, id.len, session);
}

struct milgi_session *milgi__session_cache_find_id(
    struct milgi_session_cache *c, const uint8_t *id, size_t len, int64_t now_s)
{
    char name[2 * MILGI__SESSION_ID_MAX + 1];
    if (len > MILGI__SESSION_ID_MAX)
        return NULL;
    spell(id, len, name);
    return c->limit == 0 ? take_by(c, name, 2 * len, now_s) : take_by(c, id, len, now_s);
}

/* A store that is kept elsewhere is told by what it calls it: what has no name, as a ticket's, is not there. */
static void drop_elsewhere(struct milgi_session_cache *c, struct milgi_iov name, bool by_id)
{
    char spelt[2 * MILGI__SESSION_ID_MAX + 1];
    if (!c->store.drop || name.len == 0)
        return;
    if (by_id)
        spell(name.data, name.len, spelt);
    c->store.drop(c->store_ctx, by_id ? spelt : (const char *)name.data);
}

void milgi__session_cache_drop(struct milgi_session_cache *c, const struct milgi_session *session, bool by_id)
{
    struct milgi__session_parts parts = milgi__session_parts(session);
    struct milgi_iov name = by_id ? parts.ticket : parts.name;
    struct milgi_session *dropped = NULL;
    uint32_t bucket;
    if (c->limit == 0) {
        drop_elsewhere(c, name, by_id);
        return;
    }
    milgi__port_lock(c->lock);
    bool known = name.len != 0 && bucket_of(c, name.data, name.len, &bucket);
    struct entry **at = known ? &c->bucket[bucket] : NULL;
    while (at && *at && !dropped) {
        if ((*at)->session == session && is_of(*at, name.data, name.len))
            dropped = pull(c, at);
        else
            at = &(*at)->next;
    }
    milgi__port_unlock(c->lock);
    milgi_session_unref(dropped);
}

/* --- how many --------------------------------------------------------------------------------------------------- */

size_t milgi_session_cache_count(struct milgi_session_cache *c)
{
    if (c->limit == 0)
        return c->store.count ? c->store.count(c->store_ctx) : 0;
    milgi__port_lock(c->lock);
    size_t n = c->n;
    milgi__port_unlock(c->lock);
    return n;
}
