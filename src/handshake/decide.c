/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions: questions to the outside, with the answers that the library gives itself. */
#include "handshake/hs.h"

static enum milgi__slot slot_of(uint32_t kind)
{
    switch (kind) {
    case MILGI_DECIDE_CREDENTIAL: return MILGI__CREDENTIAL;
    case MILGI_DECIDE_ALPN: return MILGI__ALPN;
    case MILGI_DECIDE_PEER: return MILGI__PEER;
    default: return MILGI__SLOTS;
    }
}

static uint32_t kind_of(enum milgi__slot slot)
{
    if (slot == MILGI__CREDENTIAL)
        return MILGI_DECIDE_CREDENTIAL;
    return slot == MILGI__ALPN ? MILGI_DECIDE_ALPN : MILGI_DECIDE_PEER;
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

static void settle_no(struct milgi__hs *hs, enum milgi__slot slot, int error, int alert, const char *detail)
{
    milgi__hs_fails(hs, slot, milgi__failure(error, alert, detail));
    hs->done |= MILGI__ON(slot);
}

/* --- credential ------------------------------------------------------------------------------------------------- */

static uint16_t scheme_for(const struct milgi__hs *hs, const struct milgi_credential *credential)
{
    const struct milgi__u16_list *own = milgi__hs_schemes(hs), *peer = &hs->peer_schemes;
    if (hs->result.version == MILGI__TLS12 && !milgi__hs_key_allowed(hs, credential->type))
        return 0;
    return milgi__credential_scheme(credential, own->v, own->n, peer->v, peer->n);
}

static bool use_credential(struct milgi__hs *hs, struct milgi_credential *credential)
{
    uint16_t scheme = scheme_for(hs, credential);
    if (scheme == 0)
        return false;
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
    while (milgi__fits_next(&fits, &i)) {
        struct milgi_credential *credential = hs->config->credentials[i];
        /*= RFC8446 4.4.2.2: "All certificates provided by the server MUST be signed by a signature algorithm
         *= advertised by the client if it is able to provide such a chain" */
        if (by_signature && !milgi__list_has(&hs->peer_cert_schemes, credential->leaf_signed_with))
            continue;
        if (use_credential(hs, credential))
            return true;
    }
    return false;
}

/*
 * The first that fits the name and is signed as the peer wishes; then the first that fits the name; then without
 * regard to the name the same way. It must be able to sign as the peer wishes in any case.
 */
bool milgi__choose_credential(struct milgi__hs *hs)
{
    const char *name = milgi__hs_role(hs) == MILGI_SERVER ? hs->result.server_name : NULL;
    const struct milgi__names *names = &hs->config->names;
    if (name) {
        struct milgi__fits fits = milgi__names_find(names, name);
        if (choose_of(hs, fits, true) || choose_of(hs, fits, false))
            return true;
    }
    return choose_of(hs, milgi__names_any(names), true) || choose_of(hs, milgi__names_any(names), false);
}

static void default_credential(struct milgi__hs *hs)
{
    /*= RFC8446 4.4.2: "If the server requests client authentication but no suitable certificate is available, the
     *= client MUST send a Certificate message containing no certificates" */
    if (milgi__choose_credential(hs) || milgi__hs_role(hs) == MILGI_CLIENT)
        settle_ok(hs, MILGI__CREDENTIAL);
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
        settle_ok(hs, MILGI__PEER);
}

void milgi__start_decision(struct milgi__hs *hs, enum milgi__slot slot, bool asks)
{
    hs->started |= MILGI__ON(slot);
    if (!asks)
        settle_ok(hs, slot);
    else if ((hs->config->ask & kind_of(slot)) != 0)
        hs->host.calls->decide(hs->host.ctx, kind_of(slot)); /* the answer may come from inside */
    else
        answer_default(hs, slot);
}

static int accept(struct milgi__hs *hs, enum milgi__slot slot, void *result)
{
    if (slot == MILGI__PEER) {
        settle_ok(hs, slot);
        return 0;
    }
    if (!result)
        return MILGI_EINVAL;
    if (slot == MILGI__CREDENTIAL) {
        if (!use_credential(hs, result))
            return MILGI_EINVAL;
        settle_ok(hs, slot);
        return 0;
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
    if (slot == MILGI__CREDENTIAL) {
        alert = MILGI_ALERT_HANDSHAKE_FAILURE;
        detail = "a credential was refused by a decision";
    } else if (slot == MILGI__ALPN) {
        alert = MILGI_ALERT_NO_APPLICATION_PROTOCOL;
        detail = "the client's application protocols were refused by a decision";
    }
    settle_no(hs, slot, MILGI_EREFUSED, alert, detail);
}

static bool is_asked(const struct milgi__hs *hs, enum milgi__slot slot)
{
    return (hs->started & ~hs->done & MILGI__ON(slot)) != 0 && hs->step != MILGI__FAILED;
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
        .alpn = hs->alpn_shown,
        .alpn_n = hs->alpn_shown_n,
        .chain = hs->result.peer_chain,
        .chain_n = hs->result.peer_chain_n,
    };
    return 0;
}
