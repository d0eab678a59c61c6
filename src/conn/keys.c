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

bool milgi__conn_update_read(struct milgi_conn *c)
{
    const struct milgi__suite *suite = c->outcome->suite;
    uint8_t *secret = milgi__conn_secret(c, MILGI__READ);
    int rv = milgi__next_secret(milgi__engine_crypto(c->engine), suite->hash, secret);
    if (rv == 0)
        rv = milgi__conn_install(c, MILGI__READ, suite, secret);
    if (rv != 0)
        fail_of_ours(c, rv, "the read key could not be updated");
    return rv == 0;
}

int milgi__conn_update_write(struct milgi_conn *c, bool ask_peer, bool first)
{
    uint8_t message[5], iv[12];
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

int milgi_conn_update_keys(struct milgi_conn *c, bool ask_peer)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c) || c->out == MILGI__OUT_CLOSED)
        return MILGI_ECLOSED;
    if (c->phase != MILGI__ESTABLISHED)
        return MILGI_EINVAL;
    if (!milgi__conn_version(c)->updates)
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
