/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ticket keys: a ratchet that goes by the clock. Each period has a root; the name and the key of the period's tickets
 * follow from it, and so does the next root, which takes its place. Of earlier periods only names and keys are kept, as
 * long as a ticket of theirs can be good.
 */
#include "session/session.h"

#include "base/port.h"

#define KEPT 4u /* periods: this one, and those in which a ticket that is good may have been sealed */
#define ROOT_LEN 32u
#define LIFETIME_MIN 60u
/* A clock that jumps further than so many periods is followed in one step, by which nobody else may get there. */
#define STEPS_MAX 4096

struct period {
    int64_t number; /* -1: none */
    uint8_t name[MILGI__TICKET_NAME_LEN];
    uint8_t key[MILGI__TICKET_KEY_LEN];
};

struct milgi_ticket_keys {
    _Atomic uint32_t refs;
    uint32_t lifetime_s, period_s;
    struct milgi__port_lock *lock; /* of what follows */
    uint8_t root[ROOT_LEN];        /* of the current period */
    struct period period[KEPT];    /* by number modulo KEPT */
    int64_t now;                   /* the current period */
};

/* --- the ratchet ------------------------------------------------------------------------------------------------ */

static int expand(struct milgi__crypto *cx, const uint8_t *root, const char *label, const uint8_t *more,
    size_t more_len, uint8_t *out, size_t out_len)
{
    uint8_t info[32 + MILGI__TICKET_RANDOM_LEN];
    size_t len = strlen(label);
    for (size_t i = 0; i < len; i++)
        info[i] = (uint8_t)label[i];
    if (more_len != 0)
        memcpy(info + len, more, more_len);
    int rv = milgi__hkdf_expand(cx, MILGI__SHA256, root, ROOT_LEN, info, len + more_len, out, out_len);
    return rv == 0 ? 0 : MILGI_EINTERNAL;
}

static int make_period(struct milgi__crypto *cx, const uint8_t root[ROOT_LEN], int64_t number, struct period *period)
{
    uint8_t both[MILGI__TICKET_NAME_LEN + MILGI__TICKET_KEY_LEN];
    int rv = expand(cx, root, "milgi ticket period", NULL, 0, both, sizeof both);
    if (rv == 0) {
        period->number = number;
        memcpy(period->name, both, sizeof period->name);
        memcpy(period->key, both + sizeof period->name, sizeof period->key);
    }
    milgi__wipe(both, sizeof both);
    return rv;
}

static void jump_name(int64_t to, uint8_t out[8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)((uint64_t)to >> (56 - 8 * i));
}

/* From |root| of the current period to that of |to|, with what is between in |period|. */
static int climb(struct milgi_ticket_keys *k, struct milgi__crypto *cx, int64_t to, uint8_t root[ROOT_LEN],
    struct period period[KEPT])
{
    int rv = 0;
    int64_t at = k->now;
    if (to - at > STEPS_MAX) {
        uint8_t target[8];
        jump_name(to, target);
        rv = expand(cx, root, "milgi ticket jump", target, sizeof target, root, ROOT_LEN);
        at = to - 1;
    }
    while (rv == 0 && at < to) {
        rv = expand(cx, root, "milgi ticket next", NULL, 0, root, ROOT_LEN);
        at++;
        if (rv == 0)
            rv = make_period(cx, root, at, &period[at % KEPT]);
    }
    return rv;
}

/* With the lock. A clock that goes back is waited for. */
static int renew(struct milgi_ticket_keys *k, struct milgi__crypto *cx, int64_t now_s)
{
    int64_t to = now_s / k->period_s;
    if (to <= k->now)
        return 0;
    uint8_t root[ROOT_LEN];
    struct period period[KEPT];
    memcpy(root, k->root, sizeof root);
    memcpy(period, k->period, sizeof period);
    int rv = climb(k, cx, to, root, period);
    if (rv == 0) {
        memcpy(k->root, root, sizeof root);
        k->now = to;
        for (unsigned i = 0; i < KEPT; i++) {
            k->period[i] = period[i];
            if (k->period[i].number > to - (int64_t)KEPT)
                continue;
            milgi__wipe(&k->period[i], sizeof k->period[i]);
            k->period[i].number = -1;
        }
    }
    milgi__wipe(root, sizeof root);
    milgi__wipe(period, sizeof period);
    return rv;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static void keys_free(struct milgi_ticket_keys *k)
{
    milgi__port_lock_free(k->lock);
    milgi__free_wiped(k, sizeof *k);
}

int milgi_ticket_keys_new(const uint8_t secret[MILGI_TICKET_SECRET_LEN], uint32_t lifetime_s, int64_t now_s,
    struct milgi_ticket_keys **keys)
{
    static const uint8_t zeros[MILGI_TICKET_SECRET_LEN];
    if (!keys)
        return MILGI_EINVAL;
    *keys = NULL;
    /* Tickets under a key that everybody knows are worse than none. */
    if (!secret || milgi__ct_equal(secret, zeros, sizeof zeros) || now_s < 0 || lifetime_s < LIFETIME_MIN ||
        lifetime_s > MILGI__SESSION_LIFE_MAX)
        return MILGI_EINVAL;
    struct milgi_ticket_keys *k = milgi__alloc(sizeof *k);
    struct milgi__crypto *cx = milgi__crypto_new();
    if (k)
        k->lock = milgi__port_lock_new();
    if (!k || !cx || !k->lock) {
        milgi__crypto_free(cx);
        if (k)
            keys_free(k);
        return MILGI_ENOMEM;
    }
    atomic_init(&k->refs, 1);
    k->lifetime_s = lifetime_s;
    k->period_s = (lifetime_s + 2) / 3;
    k->now = now_s / k->period_s;
    for (unsigned i = 0; i < KEPT; i++)
        k->period[i].number = -1;
    memcpy(k->root, secret, ROOT_LEN);
    int rv = make_period(cx, k->root, k->now, &k->period[k->now % KEPT]);
    milgi__crypto_free(cx);
    if (rv == 0)
        *keys = k;
    else
        keys_free(k);
    return rv;
}

struct milgi_ticket_keys *milgi_ticket_keys_ref(struct milgi_ticket_keys *keys)
{
    if (keys)
        atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void milgi_ticket_keys_unref(struct milgi_ticket_keys *keys)
{
    if (keys && atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) == 1)
        keys_free(keys);
}

int milgi_ticket_keys_renew(struct milgi_ticket_keys *keys, int64_t now_s)
{
    struct milgi__crypto *cx = milgi__crypto_new();
    if (!cx)
        return MILGI_EINTERNAL;
    milgi__port_lock(keys->lock);
    int rv = renew(keys, cx, now_s);
    milgi__port_unlock(keys->lock);
    milgi__crypto_free(cx);
    return rv;
}

uint32_t milgi__ticket_lifetime(const struct milgi_ticket_keys *keys)
{
    return keys->lifetime_s;
}

/* --- of one ticket ---------------------------------------------------------------------------------------------- */

static int key_of(struct milgi__crypto *cx, const struct period *period, const uint8_t *random,
    struct milgi__ticket_key *key)
{
    uint8_t both[MILGI__TICKET_KEY_LEN + sizeof key->nonce];
    int rv = expand(cx, period->key, "milgi ticket", random, MILGI__TICKET_RANDOM_LEN, both, sizeof both);
    memcpy(key->name, period->name, sizeof key->name);
    memcpy(key->key, both, sizeof key->key);
    memcpy(key->nonce, both + sizeof key->key, sizeof key->nonce);
    milgi__wipe(both, sizeof both);
    return rv;
}

int milgi__ticket_key_seal(struct milgi_ticket_keys *k, struct milgi__crypto *cx, int64_t now_s,
    const uint8_t random[MILGI__TICKET_RANDOM_LEN], struct milgi__ticket_key *key)
{
    struct period period;
    milgi__port_lock(k->lock);
    int rv = renew(k, cx, now_s);
    period = k->period[k->now % KEPT];
    milgi__port_unlock(k->lock);
    if (rv == 0)
        rv = key_of(cx, &period, random, key);
    milgi__wipe(&period, sizeof period);
    return rv;
}

int milgi__ticket_key_open(struct milgi_ticket_keys *k, struct milgi__crypto *cx, int64_t now_s,
    const uint8_t *ticket, size_t len, struct milgi__ticket_key *key)
{
    struct period period = { .number = -1 };
    if (len <= MILGI__TICKET_FRONT + MILGI__TICKET_TAG_LEN)
        return MILGI_ESTALE;
    milgi__port_lock(k->lock);
    int rv = renew(k, cx, now_s);
    for (unsigned i = 0; rv == 0 && i < KEPT; i++) {
        if (k->period[i].number >= 0 && memcmp(k->period[i].name, ticket, MILGI__TICKET_NAME_LEN) == 0)
            period = k->period[i];
    }
    milgi__port_unlock(k->lock);
    if (rv == 0)
        rv = period.number < 0 ? MILGI_ESTALE : key_of(cx, &period, ticket + MILGI__TICKET_NAME_LEN, key);
    milgi__wipe(&period, sizeof period);
    return rv;
}
