/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of TLS 1.2: tickets (RFC 5077), and session IDs where there are none (RFC 5246 F.1.4); neither is without
 * the extended master secret (RFC 7627 5.3, 5.4). A session is good for its own suite and no other; all else that it is
 * bound to is the same in both versions.
 */
#include "handshake/hs.h"

/* Of a ticket whose server does not say how long it is good for; of a server's own session by ID, without keys. */
#define LIFETIME_UNSAID 7200u
/*= RFC5246 F.1.4: "An upper limit of 24 hours is suggested for session ID lifetimes" */
#define LIFETIME_ID 86400u

/* The suite of a session that these configs could have made; NULL: there is none. */
static const struct milgi__suite *suite_of(const struct milgi__hs *hs, const struct milgi_session *session)
{
    const struct milgi__suite *suite = milgi__suite(session->f.suite);
    return suite && !suite->tls13 && milgi__list_has(&hs->config->suites, suite->id) ? suite : NULL;
}

/*= RFC7627 5.3: "The client SHOULD NOT offer an abbreviated handshake to resume a session that does not use an extended
 *= master secret.", "If the original session did not use the "extended_master_secret" extension but the new ClientHello
 *= contains the extension, then the server MUST NOT perform the abbreviated handshake." */
static bool is_usable(const struct milgi__hs *hs, const struct milgi_session *session, const char *name)
{
    return milgi__session_usable(hs, session, MILGI__TLS12, name) && session->f.extended_master_secret &&
        suite_of(hs, session);
}

/* The session of this handshake, with what the next one will have of it; NULL: no memory, or it cannot be. */
static struct milgi_session *made_with(
    struct milgi__hs *hs, struct milgi__bytes ticket, bool by_id, uint32_t lifetime_s)
{
    struct milgi_session *base = milgi__session_of(hs);
    if (!base)
        return NULL;
    struct milgi__session_fields f = base->f;
    struct milgi__session_parts parts = milgi__session_parts(base);
    parts.ticket = (struct milgi_iov){ ticket.p, ticket.len };
    f.by_id = by_id;
    f.lifetime_s = lifetime_s;
    struct milgi_session *session = lifetime_s != 0 ? milgi__session_new(&f, &parts) : NULL;
    milgi__wipe(&f, sizeof f);
    milgi_session_unref(base);
    return session;
}

/* --- client ----------------------------------------------------------------------------------------------------- */

bool milgi__can_offer12(const struct milgi__hs *hs, const struct milgi_session *session)
{
    return hs->config->version_min <= MILGI__TLS12 && is_usable(hs, session, hs->server_name);
}

/*= RFC5077 3.2: "If the client possesses a ticket that it wants to use to resume a session, then it includes the ticket
 *= in the SessionTicket extension in the ClientHello. If the client does not have a ticket and is prepared to receive
 *= one in the NewSessionTicket handshake message, then it MUST include a zero-length ticket in the SessionTicket
 *= extension." */
void milgi__offer_session12(const struct milgi__hs *hs, struct milgi__exts *ext)
{
    bool ticket = hs->offer12 && !hs->offer12->f.by_id;
    if (hs->config->version_min > MILGI__TLS12 || !(ticket || hs->keeps_sessions))
        return;
    ext->present |= MILGI__EXT(MILGI__EXT_SESSION_TICKET);
    if (!ticket)
        return;
    struct milgi_iov bytes = milgi__session_parts(hs->offer12).ticket;
    ext->session_ticket = (struct milgi__bytes){ bytes.data, bytes.len };
}

bool milgi__take_session12(struct milgi__hs *hs, const struct milgi__server_hello *hello)
{
    /*= RFC5077 3.4: "If the server accepts the ticket and the Session ID is not empty, then it MUST respond with the
     *= same Session ID present in the ClientHello. This allows the client to easily differentiate when the server is
     *= resuming a session from when it is falling back to a full handshake." */
    if (hello->session_id.len == 0 || hello->session_id.len != hs->session_id_len ||
        memcmp(hello->session_id.p, hs->session_id, hs->session_id_len) != 0)
        return true;
    /* Ours may be of no session, so that there is none that the server could mean. */
    if (!hs->offer12) {
        milgi__hs_illegal(hs, "the server resumes a session that there is not");
        return false;
    }
    /*= RFC5246 7.4.1.3: "For resumed sessions, this field is the value from the state of the session being resumed." */
    if (hello->suite != hs->offer12->f.suite) {
        milgi__hs_illegal(hs, "the server resumes a session with another cipher suite");
        return false;
    }
    /*= RFC7627 5.3: "If the original session used the extension but the new ServerHello does not contain the extension,
     *= the client MUST abort the handshake." */
    if ((hello->ext.present & MILGI__EXT(MILGI__EXT_MASTER_SECRET)) == 0) {
        milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_HANDSHAKE_FAILURE,
            "the server resumes a session without its extended master secret");
        return false;
    }
    hs->session = milgi_session_ref(hs->offer12);
    return milgi__resume_peer(hs);
}

bool milgi__take_ticket12(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__bytes ticket;
    if (!milgi__new_session_ticket12_decode(body, &hs->ticket_lifetime, &ticket, &failure)) {
        milgi__hs_refuse(hs, &failure);
        return false;
    }
    /*= RFC5077 3.3: "If the server determines that it does not want to include a ticket after it has included the
     *= SessionTicket extension in the ServerHello, then it sends a zero-length ticket" */
    if (ticket.len == 0 || !hs->keeps_sessions)
        return true;
    /* Nor is the session one by its ID then. */
    if (ticket.len > MILGI_TICKET_MAX) {
        hs->id_given = false;
        return true;
    }
    hs->ticket = milgi__arena_copy(&hs->arena, ticket);
    if (!hs->ticket.p)
        milgi__hs_broken(hs, MILGI_ENOMEM);
    return hs->ticket.p != NULL;
}

/*= RFC5077 3.3: "The client MUST NOT treat the ticket as valid until it has verified the server's Finished message."
 *= It has: the handshake is open. */
struct milgi_session *milgi__session12(struct milgi__hs *hs)
{
    /*= RFC7627 5.4: "If a client or server chooses to continue with a full handshake without the extended master secret
     *= extension, then the new session becomes vulnerable to the man-in-the-middle key synchronization attack" */
    if (!hs->result.exports)
        return NULL;
    if (!milgi__hs_session_came(hs))
        return milgi_session_ref(hs->session);
    /*= RFC5077 3.4: "If the client receives a session ticket from the server, then it discards any Session ID that was
     *= sent in the ServerHello." */
    if (hs->ticket.len == 0)
        return made_with(hs, (struct milgi__bytes){ hs->session_id, hs->session_id_len }, true, LIFETIME_ID);
    /*= RFC5077 3.3: "A value of zero is reserved to indicate that the lifetime of the ticket is unspecified." */
    return made_with(hs, hs->ticket, false, hs->ticket_lifetime != 0 ? hs->ticket_lifetime : LIFETIME_UNSAID);
}

bool milgi__hs_session_came(const struct milgi__hs *hs)
{
    bool client = milgi__hs_role(hs) == MILGI_CLIENT, of12 = hs->result.version == MILGI__TLS12;
    return client && of12 && hs->result.exports && (hs->ticket.len != 0 || hs->id_given);
}

/* --- server ----------------------------------------------------------------------------------------------------- */

bool milgi__look_up12(struct milgi__hs *hs)
{
    const struct milgi__client_hello *hello = hs->seen;
    bool ticket = hello->ext.session_ticket.len != 0;
    if (ticket)
        milgi__open_ticket(hs, 0, hello->ext.session_ticket);
    bool elsewhere = ticket && (hs->started & MILGI__ON(MILGI__TICKET_1)) == 0;
    for (unsigned slot = MILGI__TICKET_1; slot <= MILGI__TICKET_4; slot++) {
        if ((hs->started & MILGI__ON(slot)) == 0)
            milgi__settle(hs, (enum milgi__slot)slot);
    }
    if (elsewhere && !milgi__show_identity(hs, 0, hello->ext.session_ticket))
        return false;
    milgi__settle(hs, MILGI__PSK);
    milgi__start_decision(hs, MILGI__TICKET_OPEN, elsewhere);
    /*= RFC5077 3.4: "If a ticket is presented by the client, the server MUST NOT attempt to use the Session ID in the
     *= ClientHello for stateful session resumption." */
    bool asks = !ticket && hello->session_id.len != 0 && milgi__take_server_name(hs, &hello->ext);
    milgi__start_decision(hs, MILGI__SESSION_LOOKUP, asks);
    return hs->step != MILGI__FAILED;
}

void milgi__find_session12(struct milgi__hs *hs)
{
    struct milgi__bytes id = hs->seen->session_id;
    int64_t now_s = hs->host.calls->wall_s(hs->host.ctx);
    if (hs->config->session_cache)
        hs->opened[1] = milgi__session_cache_find_id(hs->config->session_cache, id.p, id.len, now_s);
}

bool milgi__choose_session12(struct milgi__hs *hs, const struct milgi__client_hello *hello)
{
    struct milgi_session *session = hs->opened[0] ? hs->opened[0] : hs->opened[1];
    /*= RFC5246 7.4.1.2: "If the session_id field is not empty (implying a session resumption request), this vector MUST
     *= include at least the cipher_suite from that session." */
    if (!session || !is_usable(hs, session, hs->result.server_name) ||
        !milgi__u16_has(hello->suites, session->f.suite))
        return true;
    /*= RFC7627 5.3: "If the original session used the "extended_master_secret" extension but the new ClientHello does
     *= not contain it, the server MUST abort the abbreviated handshake." */
    if (!hs->result.exports) {
        milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_HANDSHAKE_FAILURE,
            "the client resumes a session without its extended master secret");
        return false;
    }
    hs->session = milgi_session_ref(session);
    return milgi__resume_peer(hs);
}

static uint32_t lifetime_of(const struct milgi__hs *hs)
{
    const struct milgi_ticket_keys *keys = hs->config->ticket_keys;
    return keys ? milgi__ticket_lifetime(keys) : LIFETIME_UNSAID;
}

/* Tickets may be used more than once: on a session there is a new one when half the time of the old one is over. */
bool milgi__issues_ticket12(const struct milgi__hs *hs)
{
    bool sealed = hs->config->ticket_keys || (hs->config->ask & MILGI_DECIDE_TICKET_SEAL) != 0;
    if (!sealed || hs->config->tickets == 0 || !hs->result.exports ||
        (hs->offered & MILGI__EXT(MILGI__EXT_SESSION_TICKET)) == 0)
        return false;
    if (!hs->session)
        return true;
    int64_t age_s = hs->host.calls->wall_s(hs->host.ctx) - hs->session->f.created_s;
    return 2 * age_s >= lifetime_of(hs);
}

static int start_seal(struct milgi__hs *hs)
{
    static const struct milgi__bytes none;
    hs->issue = milgi__arena_alloc(&hs->arena, sizeof *hs->issue);
    struct milgi_session *base = hs->issue ? milgi__session_of(hs) : NULL;
    if (!base)
        return MILGI_ENOMEM;
    hs->issue->lifetime_s = milgi__ticket_life(hs, base);
    milgi_session_unref(base);
    struct milgi_session *session = made_with(hs, none, false, hs->issue->lifetime_s);
    if (session && (hs->config->ask & MILGI_DECIDE_TICKET_SEAL) != 0) {
        hs->issue->shown[0] = session; /* until it is answered */
        return 0;
    }
    int rv = session ? milgi__seal_session(hs, session, 0) : MILGI_ENOMEM;
    milgi_session_unref(session);
    return rv;
}

/* No ticket is worth a connection: what cannot be had is left out. */
void milgi__seal_ticket12(struct milgi__hs *hs)
{
    if (hs->ticket_promised)
        (void)start_seal(hs);
    if ((hs->started & MILGI__ON(MILGI__SEAL_1)) == 0)
        milgi__settle(hs, MILGI__SEAL_1);
    milgi__start_decision(hs, MILGI__TICKET_SEAL, hs->issue && hs->issue->shown[0]);
}

/*= RFC5077 3.3: "This message MUST be sent if the server included a SessionTicket extension in the ServerHello. This
 *= message MUST NOT be sent if the server did not include a SessionTicket extension in the ServerHello." */
bool milgi__send_ticket12(struct milgi__hs *hs)
{
    if (!hs->ticket_promised)
        return true;
    struct milgi__bytes ticket = hs->issue ? hs->issue->sealed[0] : (struct milgi__bytes){ NULL, 0 };
    size_t cap = 16 + ticket.len;
    uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
    if (!message) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    struct milgi__writer w = milgi__writer(message, cap);
    milgi__new_session_ticket12_encode(&w, ticket.len != 0 ? hs->issue->lifetime_s : 0, ticket);
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}

/* --- server: session IDs ---------------------------------------------------------------------------------------- */

/* For clients that take no tickets, in full handshakes. */
bool milgi__issues_id12(const struct milgi__hs *hs)
{
    bool kept = hs->config->session_cache || (hs->config->ask & MILGI_DECIDE_SESSION_STORE) != 0;
    return kept && !hs->session && !hs->ticket_promised && hs->result.exports;
}

void milgi__keep_session12(struct milgi__hs *hs)
{
    struct milgi__bytes id = { hs->session_id, hs->session_id_len };
    hs->made = made_with(hs, id, true, lifetime_of(hs));
    milgi__start_decision(hs, MILGI__SESSION_STORE, hs->made != NULL);
}

/* Without memory for it there is one less. */
void milgi__store_session12(struct milgi__hs *hs)
{
    if (hs->config->session_cache)
        (void)milgi__session_cache_put_id(hs->config->session_cache, hs->made);
}

/* --- both ------------------------------------------------------------------------------------------------------- */

bool milgi__resume_keys12(struct milgi__hs *hs)
{
    /*= RFC5246 F.1.4: "When a connection is established by resuming a session, new ClientHello.random and
     *= ServerHello.random values are hashed with the session's master_secret." */
    hs->schedule12.hash = hs->suite->hash;
    memcpy(hs->schedule12.master, hs->session->f.secret, sizeof hs->schedule12.master);
    return milgi__hs_keys12(hs);
}

const struct milgi_session *milgi__hs_resumed12(const struct milgi__hs *hs)
{
    const struct milgi_session *own = hs->made ? hs->made : hs->session;
    return hs->offer12 ? hs->offer12 : hs->result.version == MILGI__TLS12 ? own
                                                                          : NULL;
}

struct milgi_iov milgi__hs_session_id(const struct milgi__hs *hs)
{
    const struct milgi_session *session = hs->session ? hs->session : hs->made;
    bool by_id = milgi__hs_role(hs) == MILGI_SERVER && session && session->f.by_id;
    return by_id ? milgi__session_parts(session).ticket : (struct milgi_iov){ NULL, 0 };
}

struct milgi_session_cache *milgi__hs_cache(const struct milgi__hs *hs)
{
    return hs->config->session_cache;
}
