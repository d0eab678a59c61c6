/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: made by the engine, counted by it alone, loaded into a device at the first op that is routed there. */
#include "engine/keys.h"
#include "op/material.h"

#define CACHE 256u /* private and trust keys kept without an op that uses them */

/* A private or trust key, and its place among them. */
struct kept {
    struct milgi_key key;
    void *dev[MILGI_DEVICES_MAX];
    struct milgi__link link;
};

void milgi__keys_init(struct milgi__keys *keys)
{
    *keys = (struct milgi__keys){ 0 };
    milgi__list_init(&keys->all);
}

static struct milgi_key *key_init(struct milgi_key *key, uint8_t kind)
{
    key->serial = milgi__key_serial();
    key->refs = 1;
    key->kind = kind;
    return key;
}

static void unload(struct milgi_engine *e, struct milgi_key *key, unsigned index)
{
    const struct milgi__dev *d = &e->dev[index];
    if (!(key->used & 1u << index) || !d->device)
        return;
    bool loaded = key->kind != MILGI_KEY_AEAD;
    if (d->device->ops->key_free)
        d->device->ops->key_free(d->qp, key, loaded ? key->loaded.dev[index] : NULL);
    key->used &= ~(1u << index);
    if (loaded)
        key->loaded.dev[index] = NULL;
}

void milgi__key_free(struct milgi_engine *e, struct milgi_key *key)
{
    for (unsigned i = 0; i < e->devs_n; i++)
        unload(e, key, i);
    if (key->kind == MILGI_KEY_AEAD) {
        milgi__block_give_wiped(milgi__pool_blocks(e->pool), key, sizeof *key);
        return;
    }
    struct kept *kept = MILGI__ENTRY(key, struct kept, key);
    if (key->kind == MILGI_KEY_PRIVATE)
        milgi__credential_unref((struct milgi_credential *)(uintptr_t)key->loaded.credential);
    else
        milgi__trust_unref((struct milgi_trust *)(uintptr_t)key->loaded.trust);
    milgi__list_remove(&kept->link);
    milgi__free_wiped(kept, sizeof *kept);
}

struct milgi_key *milgi__engine_key_aead(struct milgi_engine *e, uint16_t suite, const uint8_t *raw, size_t len)
{
    struct milgi_key *key =
        len <= sizeof key->raw ? milgi__block_zeroed(milgi__pool_blocks(e->pool), sizeof *key) : NULL;
    if (!key)
        return NULL;
    key_init(key, MILGI_KEY_AEAD);
    key->alg = suite;
    key->raw_len = (uint8_t)len;
    memcpy(key->raw, raw, len);
    return key;
}

void milgi__engine_key_unref(struct milgi_engine *e, struct milgi_key *key)
{
    if (key && --key->refs == 0)
        milgi__key_free(e, key);
}

/* Makes room in the cache by dropping the oldest key that nobody uses. */
static bool cache_room(struct milgi_engine *e)
{
    if (e->keys.n < CACHE) {
        if (e->keys.cached)
            return true;
        e->keys.cached = milgi__alloc(CACHE * sizeof(struct milgi_key *));
        return e->keys.cached != NULL;
    }
    for (uint32_t i = 0; i < e->keys.n; i++) {
        if (e->keys.cached[i]->refs > 1)
            continue;
        milgi__key_free(e, e->keys.cached[i]);
        memmove(e->keys.cached + i, e->keys.cached + i + 1, (--e->keys.n - i) * sizeof(struct milgi_key *));
        return true;
    }
    return false;
}

/* The engine's key for a credential or trust, with a reference for the caller. Recently used ones stand at the end. */
static struct milgi_key *cached(struct milgi_engine *e, uint8_t kind, const struct milgi_credential *credential,
    const struct milgi_trust *trust)
{
    for (uint32_t i = e->keys.n; i-- > 0;) {
        struct milgi_key *key = e->keys.cached[i];
        if (key->kind != kind || key->loaded.credential != credential || key->loaded.trust != trust)
            continue;
        memmove(e->keys.cached + i, e->keys.cached + i + 1, (e->keys.n - 1 - i) * sizeof(struct milgi_key *));
        e->keys.cached[e->keys.n - 1] = key;
        return milgi__key_ref(key);
    }
    struct kept *kept = milgi__alloc(sizeof *kept);
    if (!kept)
        return NULL;
    struct milgi_key *key = key_init(&kept->key, kind);
    milgi__list_append(&e->keys.all, &kept->link);
    key->loaded = (struct milgi_loaded_key){ credential, trust, kept->dev };
    /* A reference: what it was made from is immutable but for the count. */
    if (credential)
        atomic_fetch_add(&((struct milgi_credential *)(uintptr_t)credential)->refs, 1);
    else
        atomic_fetch_add(&((struct milgi_trust *)(uintptr_t)trust)->refs, 1);
    if (cache_room(e)) {
        e->keys.cached[e->keys.n++] = key;
        key->refs++;
    }
    return key;
}

struct milgi_key *milgi__engine_key_private(struct milgi_engine *e, const struct milgi_credential *credential)
{
    return cached(e, MILGI_KEY_PRIVATE, credential, NULL);
}

struct milgi_key *milgi__engine_key_trust(struct milgi_engine *e, const struct milgi_trust *trust)
{
    return cached(e, MILGI_KEY_TRUST, NULL, trust);
}

bool milgi__key_ready(struct milgi__dev *d, struct milgi_key *key)
{
    unsigned index = d->index;
    if (key->kind != MILGI_KEY_AEAD && (d->flags & MILGI_CAP_KEY_LOAD) && !key->loaded.dev[index]) {
        key->loaded.dev[index] = d->device->ops->key_load(d->qp, key);
        if (!key->loaded.dev[index])
            return false;
    }
    key->used |= 1u << index;
    return true;
}

/* True if the cache is all that keeps what the key was made from. */
static bool forgotten(const struct milgi_key *key)
{
    if (key->refs > 1)
        return false;
    const _Atomic uint32_t *refs = key->loaded.credential ? &key->loaded.credential->refs : &key->loaded.trust->refs;
    return atomic_load(refs) == 1;
}

void milgi__keys_sweep(struct milgi_engine *e)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->keys.n; i++) {
        if (forgotten(e->keys.cached[i]))
            milgi__key_free(e, e->keys.cached[i]);
        else
            e->keys.cached[kept++] = e->keys.cached[i];
    }
    e->keys.n = kept;
}

/* Keys of records need no such care: a device that goes forgets them, and there is nothing in dev[] for them. */
void milgi__keys_forget(struct milgi_engine *e, unsigned index)
{
    for (struct milgi__link *at = e->keys.all.next; at != &e->keys.all; at = at->next)
        unload(e, &MILGI__ENTRY(at, struct kept, link)->key, index);
}

void milgi__keys_leave(struct milgi_engine *e, unsigned index)
{
    for (struct milgi__link *at = e->keys.all.next; at != &e->keys.all; at = at->next)
        MILGI__ENTRY(at, struct kept, link)->key.used &= ~(1u << index);
}

void milgi__keys_fini(struct milgi_engine *e)
{
    for (uint32_t i = 0; i < e->keys.n; i++)
        milgi__engine_key_unref(e, e->keys.cached[i]);
    milgi__free(e->keys.cached);
}
