/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing on a session (RFC 8446 2.2, 4.2.11): the client offers one, the server judges what it is offered. Whatever
 * is wrong with a session, there is a full handshake; a binder that is wrong is another matter: who has the ticket
 * has not the secret.
 */
#include "handshake/hs.h"

#include "cert/cert.h"
#include "crypto/x509.h"

#define PSK_KE 0
#define PSK_DHE_KE 1

/* Of a session of TLS 1.3: there is one. */
static const struct milgi__suite *suite_of(const struct milgi_session *session)
{
    return milgi__suite(session->f.suite);
}

/* As texts, or the lack of them. */
static bool same_name(const struct milgi_session *session, const char *name)
{
    return strcmp(milgi__session_name(session), name ? name : "") == 0;
}

bool milgi__session_usable(
    const struct milgi__hs *hs, const struct milgi_session *session, uint16_t version, const char *name)
{
    const struct milgi__session_fields *f = &session->f;
    bool good = milgi__session_good(session, hs->host.calls->wall_s(hs->host.ctx));
    if (f->kind != MILGI__SESSION_OURS || f->version != version || !good || !same_name(session, name))
        return false;
    /* A session without a client certificate is none where one is demanded. */
    bool demanded = hs->config->client_auth == MILGI_CLIENT_AUTH_REQUIRED;
    if (f->peer == MILGI__SESSION_PEER_PSK)
        return milgi__psk_stands(hs, session) && (!demanded || hs->config->psk_without_certificate);
    if (!f->authenticated && demanded && f->verdict == 0)
        return false;
    /* Whose word is taken for what: sessions do not get around a change of that. */
    if (memcmp(f->policy, milgi__policy_of(hs->config, version), sizeof f->policy) != 0)
        return false;
    /* For a server that knows its names there is no more to be had by a session than by a full handshake. */
    bool strict = hs->config->strict_sni && (hs->config->ask & MILGI_DECIDE_CREDENTIAL) == 0;
    if (strict && !(name && milgi__knows_name(hs, name)))
        return false;
    /* Who judges peers must see them. */
    bool judged = (hs->config->ask & MILGI_DECIDE_PEER) != 0;
    return !(judged && f->peer == MILGI__SESSION_PEER_DIGEST);
}

/* --- client ----------------------------------------------------------------------------------------------------- */

static bool has_hash(const struct milgi__hs *hs, enum milgi__hash hash)
{
    for (unsigned i = 0; i < hs->config->suites.n; i++) {
        const struct milgi__suite *suite = milgi__suite(hs->config->suites.v[i]);
        if (suite && suite->tls13 && suite->hash == hash)
            return true;
    }
    return false;
}

static bool can_offer(const struct milgi__hs *hs, const struct milgi_session *session)
{
    /* One that is longer than any server's should be does not stand in the way of a full handshake. */
    if (session->ticket_len == 0 || session->ticket_len > MILGI_TICKET_MAX)
        return false;
    if (session->f.version == MILGI__TLS12)
        return milgi__can_offer12(hs, session);
    return hs->config->version_max >= MILGI__TLS13 &&
        milgi__session_usable(hs, session, MILGI__TLS13, hs->server_name) && has_hash(hs, suite_of(session)->hash);
}

void milgi__hs_resume(struct milgi__hs *hs, struct milgi_session *session, bool keeps)
{
    hs->keeps_sessions = keeps;
    if (!session || !can_offer(hs, session) ||
        (hs->config->psk_only && session->f.peer != MILGI__SESSION_PEER_PSK))
        return;
    if (session->f.version == MILGI__TLS12) {
        hs->offer12 = milgi_session_ref(session);
        return;
    }
    for (unsigned i = hs->offers_n++; i > 0; i--) /* before PSKs from elsewhere */
        hs->offer[i] = hs->offer[i - 1];
    hs->offer[0] = milgi_session_ref(session);
}

static void offer_psk(struct milgi__hs *hs, const struct milgi_psk *psk)
{
    if (psk->role == MILGI_CLIENT && has_hash(hs, suite_of(psk->session)->hash))
        hs->offer[hs->offers_n++] = milgi_session_ref(psk->session);
}

void milgi__hs_offer_psks(struct milgi__hs *hs, const struct milgi_psk *psk, bool given)
{
    const struct milgi_config *config = hs->config;
    if (config->version_max < MILGI__TLS13)
        return;
    if (given && psk)
        offer_psk(hs, psk);
    for (size_t i = 0; !given && i < config->psks_n; i++)
        offer_psk(hs, config->psks[i]);
}

/*= RFC8446 4.1.4: "the client SHOULD NOT offer any pre-shared keys associated with a hash other than that of the
 *= selected cipher suite" */
static void drop_unfit(struct milgi__hs *hs)
{
    uint8_t kept = 0;
    for (uint8_t i = 0; i < hs->offers_n; i++) {
        if (suite_of(hs->offer[i])->hash == hs->suite->hash)
            hs->offer[kept++] = hs->offer[i];
        else
            milgi_session_unref(hs->offer[i]);
    }
    hs->offers_n = kept;
}

static struct milgi__psk_offer offer_of(const struct milgi__hs *hs, const struct milgi_session *session)
{
    struct milgi_iov ticket = milgi__session_parts(session).ticket;
    int64_t age_s = hs->host.calls->wall_s(hs->host.ctx) - session->f.created_s;
    struct milgi__psk_offer offer = {
        .identity = { ticket.data, ticket.len },
        .binder_len = (uint8_t)milgi__hash_len(suite_of(session)->hash),
    };
    /*= RFC8446 4.2.11: "For identities established externally, an obfuscated_ticket_age of 0 SHOULD be used" */
    /*= RFC8446 4.2.11.1: "The "obfuscated_ticket_age" field of each PskIdentity contains an obfuscated version of the
     *= ticket age formed by taking the age in milliseconds and adding the "ticket_age_add" value that was included with
     *= the ticket [...], modulo 2^32." Our clock counts seconds. */
    if (session->f.kind == MILGI__SESSION_OURS)
        offer.age = (uint32_t)(1000 * (uint64_t)MILGI__MAX(age_s, 0)) + session->f.age_add;
    return offer;
}

void milgi__offer_session(struct milgi__hs *hs, struct milgi__exts *ext, struct milgi__offers *offers)
{
    static const uint8_t modes[] = { PSK_DHE_KE, PSK_KE };
    offers->n = 0;
    offers->len = 0;
    milgi__offer_session12(hs, ext);
    if (hs->config->version_max < MILGI__TLS13)
        return;
    if (hs->offers_n != 0 || hs->keeps_sessions) {
        ext->present |= MILGI__EXT(MILGI__EXT_PSK_MODES);
        ext->psk_modes = (struct milgi__bytes){ modes, hs->config->psk_ke == MILGI_PSK_KE_TOO ? 2 : 1 };
        if (hs->config->psk_ke == MILGI_PSK_KE_ONLY)
            ext->psk_modes.p = modes + 1;
    }
    if (hs->keeps_sessions && hs->config->tickets != 0) {
        ext->present |= MILGI__EXT(MILGI__EXT_TICKET_REQUEST);
        ext->tickets_full = hs->config->tickets;
        ext->tickets_resumed = 1;
    }
    if (hs->suite)
        drop_unfit(hs);
    for (unsigned i = 0; i < hs->offers_n; i++) {
        offers->psk[i] = offer_of(hs, hs->offer[i]);
        offers->len += 64 + offers->psk[i].identity.len;
    }
    if (hs->offers_n == 0)
        return;
    offers->n = hs->offers_n;
    ext->present |= MILGI__EXT(MILGI__EXT_PSK);
    ext->psk_offers = offers->psk;
    ext->psk_offers_n = offers->n;
}

/* The binder of |session| over a ClientHello up to its binders. */
static bool make_binder(struct milgi__hs *hs, const struct milgi_session *session, struct milgi__bytes truncated,
    uint8_t binder[MILGI__HASH_MAX])
{
    enum milgi__hash hash = suite_of(session)->hash;
    uint8_t hello[MILGI__HASH_MAX];
    int rv = milgi__transcript_hash_with(
        &hs->transcript, hs->host.cx, hash, truncated.p, truncated.len, hello);
    if (rv == 0 && session->f.kind != MILGI__SESSION_OURS)
        rv = milgi__binder_of_early(hs->host.cx, hash,
            session->f.kind == MILGI__SESSION_IMPORTED ? MILGI__BINDER_IMPORTED : MILGI__BINDER_EXTERNAL,
            session->f.secret, hello, binder);
    else if (rv == 0)
        rv = milgi__binder(hs->host.cx, hash, MILGI__BINDER_RESUMPTION, session->f.secret, session->f.secret_len,
            hello, binder);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

/*= RFC8446 7.5: "The early_exporter_master_secret is defined for use in settings where an exporter is needed for 0-RTT
 *= data." */
bool milgi__keep_early(struct milgi__hs *hs, const struct milgi_session *psk, struct milgi__bytes hello)
{
    uint8_t hello_hash[MILGI__HASH_MAX];
    enum milgi__hash hash = suite_of(psk)->hash;
    bool ours = psk->f.kind == MILGI__SESSION_OURS; /* of others the secret is the Early Secret */
    if (!hs->config->early_exporter)
        return true;
    struct milgi__early *early = milgi__arena_alloc(&hs->arena, sizeof *early);
    int rv = early ? 0 : MILGI_ENOMEM;
    if (rv == 0)
        rv = milgi__transcript_hash_with(&hs->transcript, hs->host.cx, hash, hello.p, hello.len, hello_hash);
    if (rv == 0)
        rv = milgi__early_exporter(hs->host.cx, hash, ours ? psk->f.secret : NULL, psk->f.secret_len, psk->f.secret,
            hello_hash, early->secret);
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    early->hash = hash;
    hs->early = early;
    milgi__hs_log(hs, "EARLY_EXPORTER_SECRET", early->secret, milgi__hash_len(hash));
    return true;
}

void milgi__forget_early(struct milgi__hs *hs)
{
    if (hs->early)
        milgi__wipe(hs->early, sizeof *hs->early);
    hs->early = NULL;
}

const uint8_t *milgi__hs_early(const struct milgi__hs *hs, enum milgi__hash *hash)
{
    if (hs->early)
        *hash = hs->early->hash;
    return hs->early ? hs->early->secret : NULL;
}

bool milgi__fill_binders(struct milgi__hs *hs, struct milgi__bytes message, const struct milgi__offers *offers)
{
    uint8_t binder[MILGI__HASH_MAX];
    if (offers->n == 0)
        return true;
    struct milgi__bytes truncated = { message.p, message.len - milgi__psk_binders_len(offers->psk, offers->n) };
    uint8_t *to = (uint8_t *)(uintptr_t)message.p + truncated.len + 2;
    for (unsigned i = 0; i < offers->n; i++) {
        if (!make_binder(hs, hs->offer[i], truncated, binder))
            return false;
        memcpy(to + 1, binder, offers->psk[i].binder_len);
        to += 1 + offers->psk[i].binder_len;
    }
    return hs->result.hello_retry || milgi__keep_early(hs, hs->offer[0], message);
}

bool milgi__take_psk(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    bool chosen = (ext->present & MILGI__EXT(MILGI__EXT_PSK)) != 0;
    if (!chosen || ext->psk != 0)
        milgi__forget_early(hs);
    if (!chosen && hs->config->psk_only)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE, "the server takes none of the PSKs");
    if (!chosen)
        return hs->step != MILGI__FAILED;
    /*= RFC8446 4.2.11: "Clients MUST verify that the server's selected_identity is within the range supplied by the
     *= client, that the server selected a cipher suite indicating a Hash associated with the PSK, and that a server
     *= "key_share" extension is present if required by the ClientHello "psk_key_exchange_modes" extension. If these
     *= values are not consistent, the client MUST abort the handshake with an "illegal_parameter" alert." */
    if (ext->psk >= hs->offers_n) {
        milgi__hs_illegal(hs, "the server selected a PSK that was not offered");
        return false;
    }
    struct milgi_session *offer = hs->offer[ext->psk];
    if (suite_of(offer)->hash != hs->suite->hash) {
        milgi__hs_illegal(hs, "the server selected a PSK and a cipher suite that do not fit");
        return false;
    }
    hs->session = milgi_session_ref(offer);
    return milgi__resume_peer(hs);
}

/* --- server: what is in the tickets ----------------------------------------------------------------------------- */

static bool has_mode(struct milgi__bytes modes, uint8_t mode)
{
    return modes.len != 0 && memchr(modes.p, mode, modes.len);
}

enum milgi__psk_mode milgi__psk_mode(const struct milgi__hs *hs, const struct milgi__exts *ext)
{
    /*= RFC8446 4.2.9: "Servers MUST NOT select a key exchange mode that is not listed by the client." */
    if (hs->config->psk_ke != MILGI_PSK_KE_ONLY && has_mode(ext->psk_modes, PSK_DHE_KE))
        return MILGI__PSK_DHE;
    bool plain = hs->config->psk_ke != MILGI_PSK_KE_OFF && has_mode(ext->psk_modes, PSK_KE);
    return plain ? MILGI__PSK_PLAIN : MILGI__PSK_NO_MODE;
}

void milgi__open_ticket(struct milgi__hs *hs, unsigned at, struct milgi__bytes ticket)
{
    struct milgi__ticket_key key;
    if (!hs->config->ticket_keys || ticket.len > MILGI__SESSION_BYTES_MAX + MILGI__TICKET_FRONT)
        return;
    int64_t now_s = hs->host.calls->wall_s(hs->host.ctx);
    int rv = milgi__ticket_key_open(
        hs->config->ticket_keys, hs->host.cx, now_s, ticket.p, ticket.len, &key);
    if (rv == 0)
        milgi__start_ticket(hs, (enum milgi__slot)(MILGI__TICKET_1 + at), &key, ticket);
    milgi__wipe(&key, sizeof key);
}

bool milgi__open_tickets(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    struct milgi__reader list = milgi__reader_of(ext->psk_identities);
    struct milgi__bytes identity;
    uint32_t age;
    hs->psk_mode = (uint8_t)milgi__psk_mode(hs, ext);
    for (unsigned at = 0; at < MILGI__IDENTITIES_MAX; at++) {
        enum milgi__slot slot = (enum milgi__slot)(MILGI__TICKET_1 + at);
        bool more = hs->psk_mode != MILGI__PSK_NO_MODE && milgi__psk_identity_next(&list, &identity, &age);
        if (more)
            milgi__open_ticket(hs, at, identity);
        if ((hs->started & MILGI__ON(slot)) != 0)
            continue;
        milgi__settle(hs, slot);
        if (more && !milgi__look_up_psk(hs, at, identity))
            return false;
    }
    milgi__start_decision(hs, MILGI__PSK, hs->psks_shown_n != 0);
    milgi__start_decision(hs, MILGI__TICKET_OPEN, hs->psks_shown_n != 0);
    milgi__settle(hs, MILGI__SESSION_LOOKUP);
    return hs->step != MILGI__FAILED;
}

void milgi__take_ticket(struct milgi__hs *hs, unsigned at, const struct milgi_op *op)
{
    const struct milgi_slice *plain = &op->u.aead.src[0];
    if (op->status != MILGI_OP_OK || op->u.aead.src_n != 1)
        return;
    /* What cannot be read, or kept, is no session. */
    if (milgi_session_decode(plain->data, plain->len, &hs->opened[at]) != 0)
        hs->opened[at] = NULL;
    milgi__wipe(plain->data, plain->len);
}

/* --- server: which one ------------------------------------------------------------------------------------------ */

static bool fits(const struct milgi__hs *hs, const struct milgi_session *session)
{
    if (suite_of(session)->hash != hs->suite->hash)
        return false;
    if (session->f.kind != MILGI__SESSION_OURS)
        return hs->config->client_auth != MILGI_CLIENT_AUTH_REQUIRED || hs->config->psk_without_certificate;
    return milgi__session_usable(hs, session, MILGI__TLS13, hs->result.server_name);
}

bool milgi__keep_identities(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    struct milgi__reader list = milgi__reader_of(ext->psk_identities);
    struct milgi__bytes identity;
    uint32_t age;
    bool any = false;
    for (unsigned i = 0; i < MILGI__IDENTITIES_MAX; i++)
        any = any || hs->opened[i];
    if (!any)
        return true;
    hs->identities = milgi__arena_alloc(&hs->arena, MILGI__IDENTITIES_MAX * sizeof *hs->identities);
    if (!hs->identities) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    for (unsigned at = 0; at < MILGI__IDENTITIES_MAX && milgi__psk_identity_next(&list, &identity, &age); at++) {
        if (milgi__hash(hs->host.cx, MILGI__SHA256, identity.p, identity.len, hs->identities[at]) != 0) {
            milgi__hs_broken(hs, MILGI_EINTERNAL);
            return false;
        }
    }
    return true;
}

/* What was in this identity when it was in the first ClientHello. */
static struct milgi_session *opened_before(struct milgi__hs *hs, struct milgi__bytes identity)
{
    uint8_t hash[MILGI__HASH_MAX];
    if (!hs->identities || milgi__hash(hs->host.cx, MILGI__SHA256, identity.p, identity.len, hash) != 0)
        return NULL;
    for (unsigned i = 0; i < MILGI__IDENTITIES_MAX; i++) {
        if (hs->opened[i] && memcmp(hash, hs->identities[i], milgi__hash_len(MILGI__SHA256)) == 0)
            return hs->opened[i];
    }
    return NULL;
}

/*= RFC8446 4.2.11: "Prior to accepting PSK key establishment, the server MUST validate the corresponding binder value
 *= (see Section 4.2.11.2 below). If this value is not present or does not validate, the server MUST abort the
 *= handshake. Servers SHOULD NOT attempt to validate multiple binders; rather, they SHOULD select a single PSK and
 *= validate solely the binder that corresponds to that PSK." */
static bool check_binder(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    struct milgi__reader list = milgi__reader_of(ext->psk_binders);
    struct milgi__bytes received = { NULL, 0 };
    uint8_t binder[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hs->suite->hash);
    for (unsigned i = 0; i <= hs->psk_at; i++)
        milgi__psk_binder_next(&list, &received);
    /* The message lies unread; its binders are the list with its length. */
    const uint8_t *message = hs->in + hs->in_from;
    struct milgi__bytes truncated = { message, (size_t)(ext->psk_binders.p - 2 - message) };
    if (!make_binder(hs, hs->session, truncated, binder))
        return false;
    bool equal = received.len == len && milgi__ct_equal(binder, received.p, len) == 1;
    if (!equal)
        milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECRYPT_ERROR, "the binder of a PSK is wrong");
    return equal;
}

const struct milgi__suite *milgi__psk_suite(const struct milgi__hs *hs, struct milgi__bytes offered)
{
    for (unsigned at = 0; at < MILGI__IDENTITIES_MAX; at++) {
        const struct milgi_session *session = hs->opened[at];
        bool ours = session && session->f.kind == MILGI__SESSION_OURS;
        if (!session ||
            (ours && !milgi__session_usable(hs, session, MILGI__TLS13, milgi__session_name(session))))
            continue;
        if (ours)
            return NULL;
        for (unsigned i = 0; i < hs->config->suites.n; i++) {
            const struct milgi__suite *suite = milgi__suite(hs->config->suites.v[i]);
            if (suite->tls13 && suite->hash == suite_of(session)->hash && milgi__u16_has(offered, suite->id))
                return suite;
        }
    }
    return NULL;
}

bool milgi__choose_session(struct milgi__hs *hs, const struct milgi__exts *ext, bool again)
{
    if (again && hs->psk_mode != MILGI__PSK_DHE)
        return true;
    struct milgi__reader list = milgi__reader_of(ext->psk_identities);
    struct milgi__bytes identity;
    uint32_t age;
    for (uint8_t at = 0; at < MILGI__IDENTITIES_MAX; at++) {
        if (!milgi__psk_identity_next(&list, &identity, &age))
            return true;
        struct milgi_session *session = again ? opened_before(hs, identity) : hs->opened[at];
        if (!session || !fits(hs, session))
            continue;
        hs->session = milgi_session_ref(session);
        hs->psk_at = at;
        if (!check_binder(hs, ext) || !milgi__resume_peer(hs))
            return false;
        /* Of the first alone: the client does not know yet which one it will be. */
        const uint8_t *message = hs->in + hs->in_from;
        struct milgi__bytes whole = { message, MILGI__MSG_HEADER + milgi__get24(message + 1) };
        return at != 0 || again || milgi__keep_early(hs, session, whole);
    }
    return true;
}

/* --- the peer --------------------------------------------------------------------------------------------------- */

bool milgi__resume_peer(struct milgi__hs *hs)
{
    struct milgi_iov peer = milgi__session_parts(hs->session).peer;
    unsigned n = 0;
    hs->result.resumed = !milgi__on_external(hs);
    hs->result.verdict = hs->session->f.verdict;
    if (!hs->result.resumed || hs->session->f.peer == MILGI__SESSION_PEER_PSK)
        hs->result.psk = hs->session;
    if (hs->session->f.peer != MILGI__SESSION_PEER)
        return true;
    for (struct milgi__reader r = milgi__reader(peer.data, peer.len); milgi__left(&r) != 0; n++)
        milgi__read_vec(&r, 3, 1, MILGI__SESSION_CERT_MAX);
    struct milgi_iov *pieces = milgi__arena_alloc(&hs->arena, n * sizeof *pieces);
    if (!pieces) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    struct milgi__reader r = milgi__reader(peer.data, peer.len); /* the session lives as long as the handshake */
    for (unsigned i = 0; i < n; i++) {
        struct milgi__reader one = milgi__read_vec(&r, 3, 1, MILGI__SESSION_CERT_MAX);
        struct milgi__bytes der = milgi__rest(&one);
        pieces[i] = (struct milgi_iov){ der.p, der.len };
    }
    hs->result.peer_chain = pieces;
    hs->result.peer_chain_n = n;
    return true;
}

/* --- a session of this handshake -------------------------------------------------------------------------------- */

/* Of the certificates that the peer has just shown: when they are all valid, and what says that none is revoked is. */
static bool validity(const struct milgi__hs *hs, int64_t now_s, struct milgi__session_fields *f)
{
    f->valid_from_s = INT64_MIN;
    f->valid_until_s = INT64_MAX;
    for (size_t i = 0; i < hs->result.peer_chain_n; i++) {
        const struct milgi_iov *der = &hs->result.peer_chain[i];
        int64_t from_s, until_s;
        if (milgi_certificate_validity(der->data, der->len, &from_s, &until_s) != 0)
            return false;
        f->valid_from_s = MILGI__MAX(f->valid_from_s, from_s);
        f->valid_until_s = MILGI__MIN(f->valid_until_s, until_s);
    }
    /*= RFC8446 4.6.1: "these limits should take into account the lifetime of the peer's certificate, the likelihood of
     *= intervening revocation" */
    const struct milgi_iov *ocsp = &hs->result.ocsp_response;
    if (ocsp->len != 0 && !hs->config->accept_any_server)
        f->valid_until_s = MILGI__MIN(f->valid_until_s, milgi__ocsp_good_until(ocsp->data, ocsp->len));
    if (hs->result.peer_chain_n != 0 && hs->config->trust && !hs->config->accept_any_server)
        f->valid_until_s = MILGI__MIN(f->valid_until_s, milgi__trust_good_until(hs->config->trust, now_s));
    return true;
}

struct milgi_session *milgi__session_of(struct milgi__hs *hs)
{
    const char *name = hs->result.server_name ? hs->result.server_name : "";
    int64_t now_s = hs->host.calls->wall_s(hs->host.ctx);
    struct milgi__session_fields f = { .created_s = now_s, .authenticated_s = now_s };
    static const struct milgi_iov none;
    struct milgi__session_parts parts = { .ticket = none };
    uint8_t digest[MILGI__HASH_MAX];
    memcpy(f.policy, milgi__policy_of(hs->config, hs->result.version), sizeof f.policy);
    if (milgi__on_external(hs)) {
        if (!milgi__psk_policy(hs, hs->session, f.policy))
            return NULL;
        f.peer = MILGI__SESSION_PEER_PSK;
        f.valid_from_s = INT64_MIN;
        f.valid_until_s = INT64_MAX;
        parts.peer = milgi__psk_identity(hs->session);
    } else if (hs->session) {
        /*= RFC8446 4.6.1: "It is RECOMMENDED that implementations place limits on the total lifetime of such keying
         *= material; these limits should take into account the lifetime of the peer's certificate [...] and the time
         *= since the peer's online CertificateVerify signature." */
        f = hs->session->f;
        f.created_s = now_s;
        parts = milgi__session_parts(hs->session);
        parts.ticket = none;
    } else {
        enum milgi__session_peer kind;
        if (!validity(hs, now_s, &f) ||
            milgi__session_peer(hs->host.cx, hs->peer_chain.p, hs->peer_chain.len, &kind, &parts.peer, digest) != 0)
            return NULL;
        f.peer = (uint8_t)kind;
        f.verdict = hs->result.verdict;
        f.authenticated = hs->result.peer_authenticated; /* on a session it may not yet be known to be that one's */
    }
    f.version = hs->result.version;
    f.suite = hs->suite->id;
    bool tls13 = hs->suite->tls13;
    f.secret_len = tls13 ? (uint8_t)milgi__hash_len(hs->suite->hash) : sizeof hs->schedule12.master;
    memcpy(f.secret, tls13 ? hs->schedule.resumption : hs->schedule12.master, f.secret_len);
    f.extended_master_secret = !tls13; /* there is no session without it */
    parts.name = (struct milgi_iov){ name, strlen(name) };
    parts.alpn = (struct milgi_iov){ hs->result.alpn, strlen(hs->result.alpn) };
    struct milgi_session *session = milgi__session_new(&f, &parts);
    milgi__wipe(&f, sizeof f);
    return session;
}

struct milgi_session *milgi__hs_session(struct milgi__hs *hs)
{
    /* Of a server: one that is kept by its ID. */
    bool kept = hs->session && hs->session->f.by_id;
    if (milgi__hs_role(hs) == MILGI_SERVER)
        return milgi_session_ref(kept ? hs->session : hs->made);
    if (!hs->keeps_sessions)
        return NULL;
    return hs->suite->tls13 ? milgi__session_of(hs) : milgi__session12(hs);
}

struct milgi_session *milgi__session_of_ticket(
    struct milgi__crypto *cx, const struct milgi_session *base, struct milgi__bytes body, int64_t now_s)
{
    struct milgi__new_session_ticket ticket;
    struct milgi__failure failure;
    struct milgi__reader r = milgi__reader_of(body);
    struct milgi__session_parts parts = milgi__session_parts(base);
    struct milgi__session_fields f = base->f;
    /*= RFC8446 4.6.1: "The value of zero indicates that the ticket should be discarded immediately." */
    if (!milgi__new_session_ticket_decode(&r, &ticket, &failure) || ticket.lifetime == 0 ||
        ticket.ticket.len > MILGI_TICKET_MAX)
        return NULL;
    f.created_s = MILGI__MAX(now_s, f.authenticated_s);
    f.lifetime_s = ticket.lifetime;
    f.age_add = ticket.age_add;
    parts.ticket = (struct milgi_iov){ ticket.ticket.p, ticket.ticket.len };
    int rv = milgi__resumption_psk(
        cx, suite_of(base)->hash, base->f.secret, ticket.nonce.p, ticket.nonce.len, f.secret);
    struct milgi_session *session = rv == 0 ? milgi__session_new(&f, &parts) : NULL;
    milgi__wipe(&f, sizeof f);
    return session;
}
