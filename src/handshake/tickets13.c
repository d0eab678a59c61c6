/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that a server gives (RFC 8446 4.6.1): behind the barrier, so that nobody gets one who has not shown all that
 * was asked for. Each is sealed by an op of its own; one that cannot be sealed is not sent.
 */
#include "handshake/hs.h"

#define LIFETIME_S 7200u /* where there are no keys that say it */

static unsigned how_many(const struct milgi__hs *hs)
{
    unsigned n = hs->result.resumed ? 1 : hs->config->tickets;
    n = MILGI__MIN(n, hs->config->tickets);
    /*= RFC9149 3: "Servers SHOULD NOT send more tickets than requested for the handshake type selected by the
     *= server" */
    if ((hs->offered & MILGI__EXT(MILGI__EXT_TICKET_REQUEST)) != 0)
        n = MILGI__MIN(n, hs->result.resumed ? hs->tickets_resumed : hs->tickets_full);
    return n;
}

bool milgi__issues_tickets(const struct milgi__hs *hs)
{
    /* No ticket for a client that could not use it, nor on a PSK that could not be found again (psk.h). */
    bool sealed = hs->config->ticket_keys || (hs->config->ask & MILGI_DECIDE_TICKET_SEAL) != 0;
    if (milgi__on_external(hs)) {
        struct milgi_iov identity = milgi__psk_identity(hs->session);
        sealed = sealed && milgi__psk_find(hs->config, identity.data, identity.len) == hs->session;
    }
    return sealed && hs->psk_tickets && how_many(hs) > 0;
}

uint32_t milgi__ticket_life(const struct milgi__hs *hs, const struct milgi_session *session)
{
    int64_t left = session->f.authenticated_s + MILGI__SESSION_LIFE_MAX - session->f.created_s;
    int64_t valid = session->f.valid_until_s - session->f.created_s;
    uint32_t lifetime = LIFETIME_S;
    if (hs->config->ticket_keys)
        lifetime = milgi__ticket_lifetime(hs->config->ticket_keys);
    left = MILGI__MIN(left, session->f.valid_until_s == INT64_MAX ? left : valid);
    return left <= 0 ? 0 : (uint32_t)MILGI__MIN(left, lifetime);
}

static int random_bytes(struct milgi__hs *hs, void *out, size_t len)
{
    return hs->host.calls->random(hs->host.ctx, out, len);
}

/* The ticket is laid out with what is to be sealed in its middle. */
int milgi__seal_session(struct milgi__hs *hs, const struct milgi_session *session, unsigned i)
{
    struct milgi__ticket_key key;
    size_t len = milgi_session_encode(session, NULL, 0);
    if (len > MILGI__SESSION_BYTES_MAX)
        return MILGI_EINTERNAL;
    uint8_t *ticket = milgi__arena_alloc(&hs->scratch, MILGI__TICKET_FRONT + len);
    if (!ticket || random_bytes(hs, ticket + MILGI__TICKET_NAME_LEN, MILGI__TICKET_RANDOM_LEN) != 0)
        return MILGI_EINTERNAL;
    (void)milgi_session_encode(session, ticket + MILGI__TICKET_FRONT, len);
    int rv = milgi__ticket_key_seal(
        hs->config->ticket_keys, hs->host.cx, session->f.created_s, ticket + MILGI__TICKET_NAME_LEN, &key);
    if (rv == 0) {
        memcpy(ticket, key.name, sizeof key.name);
        struct milgi__bytes whole = { ticket, MILGI__TICKET_FRONT + len };
        if (!milgi__start_ticket(hs, (enum milgi__slot)(MILGI__SEAL_1 + i), &key, whole))
            rv = MILGI_ENOMEM;
    }
    milgi__wipe(&key, sizeof key);
    return rv;
}

/* The session of the i-th ticket of |base|; NULL: it cannot be had. */
static struct milgi_session *session_for(struct milgi__hs *hs, const struct milgi_session *base, unsigned i)
{
    const uint8_t nonce = (uint8_t)i; /* unique among those of this connection */
    struct milgi__session_fields f = base->f;
    struct milgi__session_parts parts = milgi__session_parts(base);
    uint8_t age_add[4];
    if (random_bytes(hs, age_add, sizeof age_add) != 0)
        return NULL;
    hs->issue->age_add[i] = (uint32_t)milgi__get16(age_add) << 16 | milgi__get16(age_add + 2);
    f.lifetime_s = hs->issue->lifetime_s;
    f.age_add = hs->issue->age_add[i];
    int rv = milgi__resumption_psk(
        hs->host.cx, hs->suite->hash, hs->schedule.resumption, &nonce, sizeof nonce, f.secret);
    struct milgi_session *session = rv == 0 ? milgi__session_new(&f, &parts) : NULL;
    milgi__wipe(&f, sizeof f);
    return session;
}

/* The i-th ticket of |base|: 0 when its op was started. */
static int seal_one(struct milgi__hs *hs, const struct milgi_session *base, unsigned i)
{
    struct milgi_session *session = session_for(hs, base, i);
    if (!session)
        return MILGI_ENOMEM;
    int rv = milgi__seal_session(hs, session, i);
    milgi_session_unref(session);
    return rv;
}

/* --- by a decision ---------------------------------------------------------------------------------------------- */

void milgi__forget_shown(struct milgi__issue *issue)
{
    for (unsigned i = 0; issue && i < MILGI_TICKETS_MAX; i++) {
        milgi_session_unref(issue->shown[i]);
        issue->shown[i] = NULL;
    }
}

int milgi__use_sealed(struct milgi__hs *hs, const struct milgi_tickets_sealed *sealed)
{
    struct milgi__issue *issue = hs->issue;
    for (unsigned i = 0; sealed && i < MILGI_TICKETS_MAX; i++) {
        size_t len = sealed->ticket[i].len;
        if (len > MILGI_TICKET_MAX || (len != 0 && (!sealed->ticket[i].data || !issue->shown[i])))
            return MILGI_EINVAL;
    }
    for (unsigned i = 0; sealed && i < MILGI_TICKETS_MAX; i++) {
        struct milgi__bytes ticket = { sealed->ticket[i].data, sealed->ticket[i].len };
        if (ticket.len != 0)
            issue->sealed[i] = milgi__arena_copy(&hs->arena, ticket);
        if (!issue->sealed[i].p)
            issue->sealed[i].len = 0;
    }
    milgi__forget_shown(issue);
    return 0;
}

/* Makes |n| sessions of |base| for whoever seals them. False: there are none. */
static bool show(struct milgi__hs *hs, const struct milgi_session *base, unsigned n)
{
    if (n == 0 || hs->issue->lifetime_s == 0)
        return false;
    for (unsigned i = 0; i < n; i++) {
        hs->issue->shown[i] = session_for(hs, base, i);
        if (!hs->issue->shown[i])
            break;
    }
    return hs->issue->shown[0] != NULL;
}

/* No ticket is worth a connection: what cannot be had is left out. */
enum milgi__step milgi__seal_tickets(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    uint8_t hash[MILGI__HASH_MAX];
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv == 0)
        rv = milgi__schedule13_resumption(&hs->schedule, hs->host.cx, hash);
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    hs->issue = milgi__arena_alloc(&hs->arena, sizeof *hs->issue);
    struct milgi_session *base = hs->issue ? milgi__session_of(hs) : NULL;
    unsigned n = base ? how_many(hs) : 0;
    if (base)
        hs->issue->lifetime_s = milgi__ticket_life(hs, base);
    bool elsewhere = (hs->config->ask & MILGI_DECIDE_TICKET_SEAL) != 0;
    for (unsigned i = 0; i < MILGI_TICKETS_MAX; i++) {
        enum milgi__slot slot = (enum milgi__slot)(MILGI__SEAL_1 + i);
        if (i < n && hs->issue->lifetime_s != 0 && !elsewhere)
            (void)seal_one(hs, base, i);
        if ((hs->started & MILGI__ON(slot)) == 0)
            milgi__settle(hs, slot);
    }
    bool shown = elsewhere && show(hs, base, n);
    milgi_session_unref(base);
    milgi__start_decision(hs, MILGI__TICKET_SEAL, shown);
    return MILGI__S13_SEND_TICKETS;
}

void milgi__take_sealed(struct milgi__hs *hs, unsigned at, const struct milgi_op *op)
{
    const struct milgi_slice *src = &op->u.aead.src[0];
    if (op->status != MILGI_OP_OK || op->u.aead.src_n != 1) {
        milgi__wipe(src->data, op->u.aead.src_n != 0 ? src->len : 0); /* it was to be sealed in place */
        return;
    }
    struct milgi__bytes whole = { src->data - MILGI__TICKET_FRONT,
        MILGI__TICKET_FRONT + src->len + MILGI__TICKET_TAG_LEN };
    hs->issue->sealed[at] = milgi__arena_copy(&hs->arena, whole);
    if (!hs->issue->sealed[at].p)
        hs->issue->sealed[at].len = 0;
}

enum milgi__step milgi__send_tickets(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    const struct milgi__issue *issue = hs->issue;
    for (uint8_t i = 0; issue && i < MILGI_TICKETS_MAX; i++) {
        size_t cap = 64 + issue->sealed[i].len;
        if (issue->sealed[i].len == 0)
            continue;
        uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
        if (!message)
            return MILGI__OPEN;
        struct milgi__writer w = milgi__writer(message, cap);
        milgi__new_session_ticket_encode(&w,
            &(struct milgi__new_session_ticket){
                .lifetime = issue->lifetime_s,
                .age_add = issue->age_add[i],
                .nonce = { &i, 1 },
                .ticket = issue->sealed[i],
            });
        if (w.bad)
            return milgi__hs_broken(hs, MILGI_EINTERNAL);
        if (!milgi__hs_emit(hs, (struct milgi__bytes){ message, milgi__written(&w) }))
            return MILGI__FAILED;
    }
    return MILGI__OPEN;
}
