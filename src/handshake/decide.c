/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions: questions to the outside, with the answers that the library gives itself. */
#include "handshake/hs.h"

#define AUTHORITY_MAX 1024u
#define STAPLE_MAX 0xffffu

static enum milgi__slot slot_of(uint32_t kind)
{
    switch (kind) {
    case MILGI_DECIDE_CREDENTIAL: return MILGI__CREDENTIAL;
    case MILGI_DECIDE_ALPN: return MILGI__ALPN;
    case MILGI_DECIDE_PEER: return MILGI__PEER;
    case MILGI_DECIDE_OCSP: return MILGI__OCSP;
    case MILGI_DECIDE_PSK: return MILGI__PSK;
    case MILGI_DECIDE_TICKET_OPEN: return MILGI__TICKET_OPEN;
    case MILGI_DECIDE_TICKET_SEAL: return MILGI__TICKET_SEAL;
    case MILGI_DECIDE_SESSION_LOOKUP: return MILGI__SESSION_LOOKUP;
    case MILGI_DECIDE_SESSION_STORE: return MILGI__SESSION_STORE;
    case MILGI_DECIDE_CONFIG: return MILGI__CONFIG;
    default: return MILGI__SLOTS;
    }
}

static uint32_t kind_of(enum milgi__slot slot)
{
    switch (slot) {
    case MILGI__CREDENTIAL: return MILGI_DECIDE_CREDENTIAL;
    case MILGI__ALPN: return MILGI_DECIDE_ALPN;
    case MILGI__OCSP: return MILGI_DECIDE_OCSP;
    case MILGI__PSK: return MILGI_DECIDE_PSK;
    case MILGI__TICKET_OPEN: return MILGI_DECIDE_TICKET_OPEN;
    case MILGI__TICKET_SEAL: return MILGI_DECIDE_TICKET_SEAL;
    case MILGI__SESSION_LOOKUP: return MILGI_DECIDE_SESSION_LOOKUP;
    case MILGI__SESSION_STORE: return MILGI_DECIDE_SESSION_STORE;
    case MILGI__CONFIG: return MILGI_DECIDE_CONFIG;
    default: return MILGI_DECIDE_PEER;
    }
}

static void settle_ok(struct milgi__hs *hs, enum milgi__slot slot)
{
    hs->done |= MILGI__ON(slot);
}

void milgi__settle(struct milgi__hs *hs, enum milgi__slot slot)
{
    hs->started |= MILGI__ON(slot);
    settle_ok(hs, slot);
}

/* Once the server's credential is settled, what stands beside its leaf is, or is asked for. */
static void go_on_to_staple(struct milgi__hs *hs)
{
    if ((hs->started & MILGI__ON(MILGI__OCSP)) == 0)
        return;
    hs->staple_asked = hs->asks_status && hs->credential && (hs->config->ask & MILGI_DECIDE_OCSP) != 0;
    if (!hs->staple_asked)
        settle_ok(hs, MILGI__OCSP);
    else
        hs->host.calls->decide(hs->host.ctx, MILGI_DECIDE_OCSP); /* the answer may come from inside */
}

static void settle_no(struct milgi__hs *hs, enum milgi__slot slot, int error, int alert, const char *detail)
{
    milgi__hs_fails(hs, slot, milgi__failure(error, alert, detail));
    hs->done |= MILGI__ON(slot);
}

/* --- credential ------------------------------------------------------------------------------------------------- */

static uint16_t scheme_for(const struct milgi__hs *hs, const struct milgi_credential *credential)
{
    bool tls13 = hs->result.version == MILGI__TLS13;
    const struct milgi__u16_list *own = tls13 ? &hs->config->signing : milgi__hs_schemes(hs), *peer = &hs->peer_schemes;
    if (hs->result.version == MILGI__TLS12 && !milgi__hs_key_allowed(hs, credential->type))
        return 0;
    return milgi__credential_scheme(credential, tls13, own->v, own->n, peer->v, peer->n);
}

static bool use_credential(struct milgi__hs *hs, struct milgi_credential *credential)
{
    uint16_t scheme = scheme_for(hs, credential);
    if (scheme == 0)
        return false;
    atomic_store(&credential->given, true);
    hs->credential = milgi_credential_ref(credential);
    hs->result.credential = credential;
    if (milgi__hs_role(hs) == MILGI_SERVER)
        hs->result.scheme = scheme;
    hs->own_scheme = scheme;
    return true;
}

/* The first of |fits| that can sign as the peer wishes; |by_signature|: and is signed so itself. */
static bool choose_of(struct milgi__hs *hs, struct milgi__fits fits, bool by_signature)
{
    size_t i;
    const struct milgi__bytes *wished = &hs->peer_authorities;
    while (milgi__fits_next(&fits, &i)) {
        struct milgi_credential *credential = hs->config->credentials[i];
        if (wished->len != 0 && !milgi__credential_issued_by(credential, wished->p, wished->len))
            continue;
        if (wished->len == 0 && credential->must_match)
            continue;
        /*= RFC8446 4.4.2.2: "All certificates provided by the server MUST be signed by a signature algorithm
         *= advertised by the client if it is able to provide such a chain" */
        if (by_signature && (hs->peer_cert_schemes & milgi__scheme_bit(credential->leaf_signed_with)) == 0)
            continue;
        if (use_credential(hs, credential))
            return true;
    }
    return false;
}

bool milgi__strict_hello(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    /*= RFC8446 9.2: "Servers requiring this extension SHOULD respond to a ClientHello lacking a "server_name" extension
     *= by terminating the connection with a "missing_extension" alert." */
    if (hs->config->strict_sni && ext->server_name.len == 0)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_MISSING_EXTENSION, "the client names no server");
    else if (hs->config->strict_alpn && ext->alpn.len == 0)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_NO_APPLICATION_PROTOCOL,
            "the client offers no application protocol");
    return hs->step != MILGI__FAILED;
}

bool milgi__strict_answer(struct milgi__hs *hs)
{
    if (hs->config->strict_alpn)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_NO_APPLICATION_PROTOCOL,
            "the server selected no application protocol");
    return hs->step != MILGI__FAILED;
}

/*
 * The first that fits the name and is signed as the peer wishes; then the first that fits the name; then without
 * regard to the name the same way. It must be able to sign as the peer wishes in any case.
 */
static bool choose(struct milgi__hs *hs)
{
    const char *name = milgi__hs_role(hs) == MILGI_SERVER ? hs->result.server_name : NULL;
    const struct milgi__names *names = &hs->config->names;
    if (name) {
        struct milgi__fits fits = milgi__names_find(names, name);
        if (choose_of(hs, fits, true) || choose_of(hs, fits, false))
            return true;
    }
    if (hs->config->strict_sni)
        return false;
    return choose_of(hs, milgi__names_any(names), true) || choose_of(hs, milgi__names_any(names), false);
}

/*= RFC8446 4.2.4: "The "certificate_authorities" extension is used to indicate the certificate authorities (CAs) which
 *= an endpoint supports and which SHOULD be used by the receiving endpoint to guide certificate selection." */
bool milgi__choose_credential(struct milgi__hs *hs)
{
    if (choose(hs))
        return true;
    /*= RFC8446 4.4.2.3: "If the "certificate_authorities" extension in the CertificateRequest message was present, at
     *= least one of the certificates in the certificate chain SHOULD be issued by one of the listed CAs." */
    if (hs->peer_authorities.len == 0)
        return false;
    hs->peer_authorities = (struct milgi__bytes){ NULL, 0 };
    return choose(hs);
}

bool milgi__take_authorities(struct milgi__hs *hs, struct milgi__bytes list)
{
    struct milgi__reader r = milgi__reader_of(list);
    struct milgi__bytes name;
    size_t n = 0, len = 0;
    hs->peer_authorities = list;
    if ((hs->config->ask & MILGI_DECIDE_CREDENTIAL) == 0 || list.len == 0)
        return true;
    while (n < MILGI_AUTHORITIES_SHOWN && milgi__authority_next(&r, &name) && name.len <= AUTHORITY_MAX) {
        n++;
        len += 2 + name.len;
    }
    hs->peer_authorities = milgi__arena_copy(&hs->arena, (struct milgi__bytes){ list.p, len });
    hs->authorities_shown = milgi__arena_alloc(&hs->arena, (n + 1) * sizeof *hs->authorities_shown);
    if (!hs->peer_authorities.p || !hs->authorities_shown) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    r = milgi__reader_of(hs->peer_authorities);
    while (hs->authorities_shown_n < n && milgi__authority_next(&r, &name))
        hs->authorities_shown[hs->authorities_shown_n++] = (struct milgi_iov){ name.p, name.len };
    return true;
}

bool milgi__knows_name(const struct milgi__hs *hs, const char *name)
{
    size_t i;
    struct milgi__fits fits = milgi__names_find(&hs->config->names, name);
    return milgi__fits_next(&fits, &i);
}

static void default_credential(struct milgi__hs *hs)
{
    /*= RFC8446 4.4.2: "If the server requests client authentication but no suitable certificate is available, the
     *= client MUST send a Certificate message containing no certificates" */
    if (milgi__choose_credential(hs) || milgi__hs_role(hs) == MILGI_CLIENT)
        settle_ok(hs, MILGI__CREDENTIAL);
    /*= RFC6066 3: "the server SHOULD take one of two actions: either abort the handshake by sending a fatal-level
     *= unrecognized_name(112) alert or continue the handshake" */
    else if (hs->config->strict_sni && !milgi__knows_name(hs, hs->result.server_name))
        settle_no(hs, MILGI__CREDENTIAL, MILGI_ENEGOTIATE, MILGI_ALERT_UNRECOGNIZED_NAME,
            "no credential is for the name that the client wants");
    else
        settle_no(hs, MILGI__CREDENTIAL, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE,
            "no credential fits the client's signature algorithms");
}

/* --- ALPN ------------------------------------------------------------------------------------------------------- */

static bool offers(const struct milgi__hs *hs, struct milgi__bytes protocol)
{
    struct milgi__reader list = milgi__reader_of(hs->peer_alpn);
    struct milgi__bytes name;
    while (milgi__alpn_next(&list, &name)) {
        if (name.len == protocol.len && memcmp(name.p, protocol.p, protocol.len) == 0)
            return true;
    }
    return false;
}

/* The slot is settled: with the protocol, or without memory for its name. */
static void use_protocol(struct milgi__hs *hs, struct milgi__bytes protocol)
{
    const char *name = (const char *)milgi__arena_copy(&hs->arena, protocol).p;
    if (!name) {
        settle_no(hs, MILGI__ALPN, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for the handshake");
        return;
    }
    hs->result.alpn = name;
    settle_ok(hs, MILGI__ALPN);
}

/*= RFC7301 3.2: "the server SHOULD select the most highly preferred protocol that it supports and that is also
 *= advertised by the client" */
static void default_alpn(struct milgi__hs *hs)
{
    struct milgi__reader own =
        milgi__reader_of((struct milgi__bytes){ hs->config->alpn, hs->config->alpn_len });
    struct milgi__bytes protocol;
    while (milgi__alpn_next(&own, &protocol)) {
        if (offers(hs, protocol)) {
            use_protocol(hs, protocol);
            return;
        }
    }
    /*= RFC7301 3.2: "In the event that the server supports no protocols that the client advertises, then the server
     *= SHALL respond with a fatal "no_application_protocol" alert." */
    if (hs->config->alpn_len == 0)
        settle_ok(hs, MILGI__ALPN);
    else
        settle_no(hs, MILGI__ALPN, MILGI_ENEGOTIATE, MILGI_ALERT_NO_APPLICATION_PROTOCOL,
            "no application protocol in common");
}

/* --- questions and answers -------------------------------------------------------------------------------------- */

static void answer_default(struct milgi__hs *hs, enum milgi__slot slot)
{
    if (slot == MILGI__CREDENTIAL)
        default_credential(hs);
    else if (slot == MILGI__ALPN)
        default_alpn(hs);
    else
        settle_ok(hs, slot);
    if (slot == MILGI__TICKET_SEAL)
        (void)milgi__use_sealed(hs, NULL);
    if (slot == MILGI__SESSION_LOOKUP)
        milgi__find_session12(hs);
    if (slot == MILGI__SESSION_STORE)
        milgi__store_session12(hs);
    if (slot == MILGI__CREDENTIAL)
        go_on_to_staple(hs);
}

void milgi__start_decision(struct milgi__hs *hs, enum milgi__slot slot, bool asks)
{
    hs->started |= MILGI__ON(slot);
    if (slot == MILGI__OCSP && (hs->done & MILGI__ON(MILGI__CREDENTIAL)) == 0)
        return; /* until it is known what for */
    if (slot == MILGI__OCSP)
        go_on_to_staple(hs);
    else if (!asks)
        settle_ok(hs, slot);
    else if ((hs->config->ask & kind_of(slot)) != 0)
        hs->host.calls->decide(hs->host.ctx, kind_of(slot)); /* the answer may come from inside */
    else
        answer_default(hs, slot);
}

static int use_staple(struct milgi__hs *hs, const struct milgi_iov *given)
{
    if (given->len == 0 || given->len > STAPLE_MAX)
        return MILGI_EINVAL;
    hs->staple = milgi__arena_copy(&hs->arena, (struct milgi__bytes){ given->data, given->len });
    if (hs->staple.p)
        settle_ok(hs, MILGI__OCSP);
    else
        settle_no(hs, MILGI__OCSP, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for the handshake");
    return 0;
}

/* Without an answer to these there is a PSK, or a ticket, less. */
static bool is_of_psks(enum milgi__slot slot)
{
    return slot == MILGI__PSK || slot == MILGI__TICKET_OPEN || slot == MILGI__TICKET_SEAL;
}

static int use_of_psks(struct milgi__hs *hs, enum milgi__slot slot, const void *result)
{
    if (slot == MILGI__PSK)
        return milgi__use_psk(hs, result);
    return slot == MILGI__TICKET_OPEN ? milgi__use_ticket(hs, result) : milgi__use_sealed(hs, result);
}

/* From here on it is as if the handshake had begun with it. */
static int use_config(struct milgi__hs *hs, struct milgi_config *config)
{
    if (!config->frozen || config->role != MILGI_SERVER)
        return MILGI_EINVAL;
    milgi_config_ref(config);
    milgi_config_unref(hs->config);
    hs->config = config;
    settle_ok(hs, MILGI__CONFIG);
    return 0;
}

static int accept(struct milgi__hs *hs, enum milgi__slot slot, void *result)
{
    if (slot == MILGI__PEER || slot == MILGI__SESSION_STORE) {
        settle_ok(hs, slot);
        return 0;
    }
    if (!result)
        return MILGI_EINVAL;
    if (slot == MILGI__CREDENTIAL) {
        if (!use_credential(hs, result))
            return MILGI_EINVAL;
        settle_ok(hs, slot);
        go_on_to_staple(hs);
        return 0;
    }
    if (slot == MILGI__CONFIG)
        return use_config(hs, result);
    if (slot == MILGI__OCSP)
        return use_staple(hs, result);
    if (slot == MILGI__SESSION_LOOKUP) {
        hs->opened[1] = milgi_session_ref(result);
        settle_ok(hs, slot);
        return 0;
    }
    if (is_of_psks(slot)) {
        int rv = use_of_psks(hs, slot, result);
        if (rv == 0)
            settle_ok(hs, slot);
        return rv;
    }
    struct milgi__bytes protocol = { result, strlen(result) };
    if (!offers(hs, protocol))
        return MILGI_EINVAL;
    use_protocol(hs, protocol);
    return 0;
}

static void refuse(struct milgi__hs *hs, enum milgi__slot slot)
{
    int alert = MILGI_ALERT_ACCESS_DENIED;
    const char *detail = "the peer's certificate was refused by a decision";
    if (slot == MILGI__PSK)
        (void)milgi__use_psk(hs, NULL);
    if (slot == MILGI__TICKET_SEAL)
        (void)milgi__use_sealed(hs, NULL);
    bool of_sessions = slot == MILGI__SESSION_LOOKUP || slot == MILGI__SESSION_STORE;
    if (slot == MILGI__OCSP || is_of_psks(slot) || of_sessions) {
        hs->no_staple = hs->no_staple || slot == MILGI__OCSP;
        settle_ok(hs, slot);
        return;
    }
    if (slot == MILGI__CREDENTIAL) {
        alert = MILGI_ALERT_HANDSHAKE_FAILURE;
        detail = "a credential was refused by a decision";
    } else if (slot == MILGI__ALPN) {
        alert = MILGI_ALERT_NO_APPLICATION_PROTOCOL;
        detail = "the client's application protocols were refused by a decision";
    } else if (slot == MILGI__CONFIG) {
        alert = MILGI_ALERT_HANDSHAKE_FAILURE;
        detail = "the client was refused by a decision";
    }
    settle_no(hs, slot, MILGI_EREFUSED, alert, detail);
    if (slot == MILGI__CREDENTIAL)
        go_on_to_staple(hs);
}

static bool is_asked(const struct milgi__hs *hs, enum milgi__slot slot)
{
    if (slot == MILGI__OCSP && !hs->staple_asked)
        return false;
    return (hs->started & ~hs->done & MILGI__ON(slot)) != 0 && hs->step != MILGI__FAILED;
}

bool milgi__hs_asks(const struct milgi__hs *hs)
{
    for (unsigned slot = MILGI__CREDENTIAL; slot < MILGI__SLOTS; slot++) {
        if (is_asked(hs, slot))
            return true;
    }
    return false;
}

int milgi__hs_decide(struct milgi__hs *hs, uint32_t kind, enum milgi_verdict verdict, void *result)
{
    enum milgi__slot slot = slot_of(kind);
    if (slot == MILGI__SLOTS)
        return MILGI_EINVAL;
    if (!is_asked(hs, slot))
        return MILGI_ESTALE;
    switch (verdict) {
    case MILGI_ACCEPT: return accept(hs, slot, result);
    case MILGI_REFUSE: refuse(hs, slot); return 0;
    case MILGI_DEFAULT: answer_default(hs, slot); return 0;
    default: return MILGI_EINVAL;
    }
}

int milgi__hs_decision_info(struct milgi__hs *hs, uint32_t kind, struct milgi_decision_info *info)
{
    enum milgi__slot slot = slot_of(kind);
    if (slot == MILGI__SLOTS || !is_asked(hs, slot))
        return MILGI_ESTALE;
    *info = (struct milgi_decision_info){
        .server_name = hs->result.server_name,
        .schemes = hs->peer_schemes.v,
        .schemes_n = hs->peer_schemes.n,
        .chain = hs->result.peer_chain,
        .chain_n = hs->result.peer_chain_n,
        .authorities = hs->authorities_shown,
        .authorities_n = hs->authorities_shown_n,
        .credential = hs->credential,
        .psk_identities = hs->psks_shown,
        .psk_identities_n = hs->psks_shown_n,
        .psk_identity = milgi__psk_identity(hs->result.psk),
    };
    info->verdict = slot == MILGI__PEER ? hs->result.verdict : 0;
    if (slot == MILGI__PEER && hs->path) {
        info->path = hs->path->certificate;
        info->path_n = hs->path->n;
    }
    milgi__show(hs, info);
    if (slot == MILGI__TICKET_SEAL) {
        info->sessions = hs->issue->shown;
        while (info->sessions_n < MILGI_TICKETS_MAX && hs->issue->shown[info->sessions_n])
            info->sessions_n++;
    }
    if (slot != MILGI__PSK && slot != MILGI__TICKET_OPEN) /* they went with the message */
        info->psk_identities_n = 0;
    if (slot == MILGI__SESSION_LOOKUP)
        info->session_id = (struct milgi_iov){ hs->seen->session_id.p, hs->seen->session_id.len };
    if (slot == MILGI__SESSION_STORE) {
        info->session_id = (struct milgi_iov){ hs->session_id, hs->session_id_len };
        info->session = hs->made;
    }
    return 0;
}
