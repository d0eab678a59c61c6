/* SPDX-License-Identifier: Apache-2.0 */
/* Traffic keys, and when they change. */
#include "conn/keys.h"

#include "conn/fail.h"
#include "conn/trace.h"

/* The AEAD key of what the handshake installs, with a reference for the caller, and its IV. 0 or an error. */
static int make_key(struct milgi_conn *c, const struct milgi__suite *suite, const uint8_t *secret,
    struct milgi_key **key, uint8_t iv[12])
{
    uint8_t raw[32];
    int rv = milgi__version_of(suite)->traffic_keys(milgi__engine_crypto(c->engine), suite, secret, raw, iv);
    *key = rv == 0 ? milgi__engine_key_aead(c->engine, suite->aead, raw, suite->key_len) : NULL;
    milgi__wipe(raw, sizeof raw);
    if (rv != 0)
        return rv;
    return *key ? 0 : MILGI_ENOMEM;
}

static void tell_key(
    const struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite, uint32_t stale)
{
    milgi__conn_trace_key(c, dir, suite);
    if (stale)
        milgi__conn_trace_stale(c, stale);
}

int milgi__conn_install(struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite,
    const uint8_t *secret)
{
    uint8_t iv[12];
    struct milgi_key *key;
    int rv = make_key(c, suite, secret, &key, iv);
    uint32_t stale = milgi__transport_stale(c->transport);
    if (rv == 0)
        rv = milgi__transport_install(c->transport, dir, suite, key, iv);
    if (rv != 0)
        milgi__engine_key_unref(c->engine, key);
    else if (milgi__traced(milgi__conn_tracer(c)))
        tell_key(c, dir, suite, milgi__transport_stale(c->transport) - stale);
    milgi__wipe(iv, sizeof iv);
    return rv;
}

/* |rv| of something of ours: no memory, or a bug. */
static void fail_of_ours(struct milgi_conn *c, int rv, const char *detail)
{
    milgi__conn_fail(c, rv == MILGI_ENOMEM ? rv : MILGI_EINTERNAL, MILGI_ALERT_INTERNAL_ERROR, detail);
}

/* --- a direction that was handed over ---------------------------------------------------------------------------- */

/* What comes behind the secret of this direction. */
struct next {
    uint8_t secret[MILGI__HASH_MAX];
    struct milgi_traffic_keys keys;
};

/* 0 or an error. Changes nothing but |next|, which is to be wiped. */
static int make_next(const struct milgi_conn *c, enum milgi__dir dir, struct next *next)
{
    const struct milgi__suite *suite = c->outcome->suite;
    struct milgi__crypto *cx = milgi__engine_crypto(c->engine);
    next->keys = (struct milgi_traffic_keys){ 0x0304, suite->id, (uint8_t)suite->key_len, { 0 }, { 0 }, 0 };
    memcpy(next->secret, milgi__conn_secret(c, dir), milgi__hash_len(suite->hash));
    int rv = milgi__next_secret(cx, suite->hash, next->secret);
    return rv ? rv : milgi__conn_version(c)->traffic_keys(cx, suite, next->secret, next->keys.key, next->keys.iv);
}

/* From here on, for whoever has the direction. */
static void tell_next(struct milgi_conn *c, enum milgi__dir dir, const struct next *next)
{
    const struct milgi__suite *suite = c->outcome->suite;
    memcpy(milgi__conn_secret(c, dir), next->secret, milgi__hash_len(suite->hash));
    milgi__transport_recount(c->transport, dir);
    if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace_key(c, dir, suite);
    if (dir == MILGI__READ)
        c->over->blocked = false;
    c->events->on_keys(c, c->arg, dir == MILGI__READ ? MILGI_RECEIVE : MILGI_SEND, &next->keys);
}

/*= RFC8446 4.6.3: "the receiver MUST send a KeyUpdate of its own with request_update set to "update_not_requested"
 *= prior to sending its next Application Data record." */
/* Who cannot, and cannot take the direction back either, sends no more of it. */
static int cannot_update(struct milgi_conn *c, const char *detail)
{
    milgi__conn_fail(c, MILGI_EUNSUPPORTED, MILGI_ALERT_INTERNAL_ERROR, detail);
    return MILGI_EUNSUPPORTED;
}

static int update_later(struct milgi_conn *c, bool ask_peer)
{
    struct milgi__over *over = milgi__conn_over(c);
    if (!milgi__conn_rekeys(c, MILGI__WRITE))
        return cannot_update(c, "whoever has the write key cannot change it");
    over->update = c->owes_update = true; /* which the turn looks at */
    over->ask |= ask_peer;
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

/* The message to the network. False: no memory. */
static bool hand_message(struct milgi_conn *c, bool request)
{
    struct milgi__pool *pool = milgi__engine_pool(c->engine);
    struct milgi_chunk *chunk = milgi__bufq_room(&c->output, pool)
        ? milgi__chunk_alloc(pool, MILGI__KEY_UPDATE_LEN, milgi__owner_id(&c->owner), true)
        : NULL;
    if (!chunk)
        return false;
    size_t len = milgi__key_update_message(chunk->data, request);
    (void)milgi__bufq_push(&c->output, (struct milgi_slice){ chunk, chunk->data, (uint32_t)len }); /* there is room */
    c->out_handed++;
    milgi__transport_framed_more(c->transport, (uint32_t)len);
    c->records_out++;
    struct milgi_iov iov = { chunk->data, len };
    c->events->on_record(c, c->arg, MILGI__HANDSHAKE, &iov, 1);
    return true;
}

/* The message, and the keys behind it. False: no memory for it, and nothing has happened. */
static bool hand_update(struct milgi_conn *c, const struct next *next)
{
    struct milgi__over *over = milgi__conn_over(c);
    bool ask = over->ask && !c->asked_update;
    if (!hand_message(c, ask)) {
        c->blocked_room = true;
        return false;
    }
    if (c->phase == MILGI__FREED)
        return false;
    over->update = over->ask = c->owes_update = false;
    c->updates_out++;
    c->reply_until = c->done_bytes + milgi__conn_backlog(c);
    if (ask)
        c->asked_until = c->reply_until;
    c->asked_update = c->asked_update || ask;
    /* Behind the message, whatever has become of the connection: what follows is not understood without. */
    tell_next(c, MILGI__WRITE, next);
    return true;
}

bool milgi__conn_hand_update(struct milgi_conn *c)
{
    struct next next;
    /* Before the message: an alert behind it would be understood under the new key only. */
    int rv = make_next(c, MILGI__WRITE, &next);
    if (rv != 0)
        fail_of_ours(c, rv, "the write key could not be updated");
    bool any = rv == 0 && hand_update(c, &next);
    milgi__wipe(&next, sizeof next);
    return any;
}

/* --- updates ------------------------------------------------------------------------------------------------------ */

static int update_over_read(struct milgi_conn *c)
{
    struct next next;
    int rv = make_next(c, MILGI__READ, &next);
    if (rv == 0)
        tell_next(c, MILGI__READ, &next);
    milgi__wipe(&next, sizeof next);
    return rv;
}

static int update_own_read(struct milgi_conn *c)
{
    const struct milgi__suite *suite = c->outcome->suite;
    uint8_t *secret = milgi__conn_secret(c, MILGI__READ);
    int rv = milgi__next_secret(milgi__engine_crypto(c->engine), suite->hash, secret);
    return rv ? rv : milgi__conn_install(c, MILGI__READ, suite, secret);
}

bool milgi__conn_update_read(struct milgi_conn *c)
{
    if (!milgi__conn_rekeys(c, MILGI__READ))
        return cannot_update(c, "whoever has the read key cannot change it") == 0;
    int rv = milgi__conn_is_over(c, MILGI__READ) ? update_over_read(c) : update_own_read(c);
    if (rv != 0)
        fail_of_ours(c, rv, "the read key could not be updated");
    return rv == 0;
}

int milgi__conn_update_write(struct milgi_conn *c, bool ask_peer, bool first)
{
    uint8_t message[MILGI__KEY_UPDATE_LEN], iv[12];
    if (milgi__conn_is_over(c, MILGI__WRITE))
        return update_later(c, ask_peer);
    size_t len = milgi__key_update_message(message, ask_peer && !c->asked_update);
    const struct milgi__suite *suite = c->outcome->suite;
    uint8_t *secret = milgi__conn_secret(c, MILGI__WRITE);
    struct milgi_key *key = NULL;
    int rv = milgi__next_secret(milgi__engine_crypto(c->engine), suite->hash, secret);
    if (rv == 0)
        rv = make_key(c, suite, secret, &key, iv);
    /* The message and the switch are one unit, behind the last record of the old key. */
    if (rv == 0)
        rv = milgi__transport_update_write(c->transport, message, len, key, iv, first);
    milgi__wipe(iv, sizeof iv);
    if (rv != 0) {
        milgi__engine_key_unref(c->engine, key);
        fail_of_ours(c, rv, "the write key could not be updated");
        return rv;
    }
    c->updates_out++;
    c->owes_update = false;
    if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace_key(c, MILGI__WRITE, suite);
    c->reply_until = c->done_bytes + milgi__conn_backlog(c);
    if (ask_peer && !c->asked_update)
        c->asked_until = c->reply_until;
    c->asked_update = c->asked_update || ask_peer;
    return 0;
}

bool milgi__conn_wants_update(const struct milgi_conn *c)
{
    return c->phase == MILGI__ESTABLISHED && !c->asked_update && c->out != MILGI__OUT_CLOSED &&
        milgi__transport_records(c->transport, MILGI__READ) >= c->outcome->suite->record_limit &&
        milgi__conn_version(c)->updates && milgi__conn_rekeys(c, MILGI__READ) && milgi__conn_rekeys(c, MILGI__WRITE);
}

int milgi_conn_update_keys(struct milgi_conn *c, bool ask_peer)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c) || c->out == MILGI__OUT_CLOSED)
        return MILGI_ECLOSED;
    if (c->phase != MILGI__ESTABLISHED)
        return MILGI_EINVAL;
    if (!milgi__conn_version(c)->updates || !milgi__conn_rekeys(c, MILGI__WRITE) ||
        (ask_peer && !milgi__conn_rekeys(c, MILGI__READ)))
        return MILGI_EUNSUPPORTED;
    /* One that has not left serves this call too: else there would be no end to what piles up. */
    bool unsent = c->done_bytes < c->reply_until;
    bool asked = c->asked_update || c->done_bytes < c->asked_until;
    if (unsent && (asked || !ask_peer))
        return 0;
    int rv = milgi__conn_update_write(c, ask_peer, false);
    milgi__engine_ready(c->engine, &c->owner);
    return rv != 0 ? MILGI_ECLOSED : 0;
}
