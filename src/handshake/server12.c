/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS 1.2 server, from top to bottom (RFC 5246 7.3). The ClientHello was read by negotiate.c.
 *
 * KEYGEN starts as soon as the group is known, SIGN when it is back; ServerHello and Certificate leave before that.
 * What the client sends is judged as it comes: VERIFY_CHAIN, DERIVE and VERIFY are out together. On a session the
 * server's Finished comes first, and nothing is computed but keys.
 */
#include "handshake/hs.h"

/* --- ClientHello ------------------------------------------------------------------------------------------------ */

/* The first of our suites that the client offers, for each kind of key. */
static bool choose_suites(struct milgi__hs *hs, struct milgi__bytes offered)
{
    const struct milgi__u16_list *own = &hs->config->suites;
    for (unsigned i = 0; i < own->n; i++) {
        const struct milgi__suite *suite = milgi__suite(own->v[i]);
        if (suite->tls13 || !milgi__u16_has(offered, suite->id))
            continue;
        uint16_t *chosen = suite->auth == MILGI__AUTH_RSA ? &hs->suite_rsa : &hs->suite_ecdsa;
        if (*chosen == 0)
            *chosen = suite->id;
    }
    /*= RFC5246 7.4.1.3: "If it cannot find such a match, it will respond with a handshake failure alert." */
    if (hs->suite_rsa == 0 && hs->suite_ecdsa == 0)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE, "no cipher suite in common");
    return hs->suite_rsa != 0 || hs->suite_ecdsa != 0;
}

/* Whether the client knows a group; one that names none is taken to know P-256, which all do. */
static bool knows_group(const struct milgi__exts *ext, uint16_t group)
{
    if ((ext->present & MILGI__EXT(MILGI__EXT_GROUPS)) == 0)
        return group == MILGI_GROUP_SECP256R1;
    return milgi__u16_has(ext->groups, group);
}

static bool choose_group(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    const struct milgi__u16_list *own = &hs->config->groups;
    for (unsigned i = 0; i < own->n && hs->result.group == 0; i++) {
        if (milgi__group_in12(own->v[i]) && knows_group(ext, own->v[i]))
            hs->result.group = own->v[i];
    }
    /*= RFC8422 5.1: "If a server [...] is unable to complete the ECC handshake while restricting itself to the
     *= enumerated curves [...], it MUST NOT negotiate the use of an ECC cipher suite." There is no other. */
    if (hs->result.group == 0)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE, "no group in common");
    return hs->result.group != 0;
}

/* Those of ECDSA keys that the client can verify with. */
static uint16_t curves_of(const struct milgi__exts *ext)
{
    static const struct {
        uint16_t group, scheme;
        enum milgi__key_type key;
    } curves[] = { { MILGI_GROUP_SECP256R1, MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI__KEY_P256 },
        { MILGI_GROUP_SECP384R1, MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI__KEY_P384 },
        { MILGI_GROUP_SECP521R1, MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI__KEY_P521 } };
    uint16_t found = 0;
    bool named = (ext->present & MILGI__EXT(MILGI__EXT_GROUPS)) != 0;
    bool tls13 = milgi__u16_has(ext->versions, MILGI__TLS13);
    for (unsigned i = 0; i < MILGI__COUNT(curves); i++) {
        /* One that names no groups leaves it to us (RFC 8422 4). */
        bool by_group = !named || milgi__u16_has(ext->groups, curves[i].group);
        /*= RFC8446 4.2.7: "This extension was also used to negotiate ECDSA curves.  Signature algorithms are now
         *= negotiated independently (see Section 4.2.3)." A client of both versions means what it says in the newer. */
        if (by_group || (tls13 && milgi__u16_has(ext->schemes, curves[i].scheme)))
            found |= (uint16_t)(1u << curves[i].key);
    }
    return found;
}

/* What may be wrong with a hello of TLS 1.2 that is well formed. */
static bool check_hello(struct milgi__hs *hs, const struct milgi__client_hello *hello)
{
    /*= RFC7507 3: "If TLS_FALLBACK_SCSV appears in ClientHello.cipher_suites and the highest protocol version supported
     *= by the server is higher than the version indicated in ClientHello.client_version, the server MUST respond with a
     *= fatal inappropriate_fallback alert" */
    if (hs->config->version_max > MILGI__TLS12 && milgi__u16_has(hello->suites, MILGI__FALLBACK_SCSV)) {
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_INAPPROPRIATE_FALLBACK,
            "the client has fallen back to TLS 1.2, and need not have");
        return false;
    }
    hs->result.exports = (hello->ext.present & MILGI__EXT(MILGI__EXT_MASTER_SECRET)) != 0;
    /*= RFC7627 5.2: "If the server receives a ClientHello without the extension, it SHOULD abort the handshake if it
     *= does not wish to interoperate with legacy clients." */
    if (!hs->result.exports && !hs->config->plain_master) {
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE,
            "the client does not offer the extended master secret");
        return false;
    }
    return true;
}

/* What a full handshake begins with. */
static bool start_full(struct milgi__hs *hs, struct milgi__client_hello *hello)
{
    if (!milgi__begin_exchange(hs, 1) || !choose_suites(hs, hello->suites) || !choose_group(hs, &hello->ext))
        return false;
    hs->curves = curves_of(&hello->ext);
    /* A client's CertificateVerify is over the messages themselves. */
    hs->transcript.keeps = hs->config->client_auth != MILGI_CLIENT_AUTH_NONE;
    if (!milgi__start_keygen(hs, MILGI__KEYGEN_1, hs->result.group))
        return false;
    milgi__start_decision(hs, MILGI__CREDENTIAL, true);
    milgi__start_decision(hs, MILGI__OCSP, true);
    return true;
}

enum milgi__step milgi__server12_hello(struct milgi__hs *hs, struct milgi__client_hello *hello)
{
    if (!check_hello(hs, hello) || !milgi__server_take_hello(hs, hello) || !milgi__choose_session12(hs, hello))
        return MILGI__FAILED;
    if (!hs->session && !start_full(hs, hello))
        return MILGI__FAILED;
    memcpy(hs->schedule12.randoms, hello->random, 32);
    if (hs->session || (hs->done & MILGI__ON(MILGI__CREDENTIAL)) != 0)
        hs->peer_authorities = (struct milgi__bytes){ NULL, 0 }; /* it may go with the message */
    milgi__start_decision(hs, MILGI__ALPN, (hello->ext.present & MILGI__EXT(MILGI__EXT_ALPN)) != 0);
    if ((hs->done & MILGI__ON(MILGI__ALPN)) != 0)
        hs->peer_alpn = (struct milgi__bytes){ NULL, 0 }; /* it may go with the message */
    return hs->session ? MILGI__S12_START_RESUMED : MILGI__S12_START_FLIGHT;
}

/* --- ServerHello, Certificate ----------------------------------------------------------------------------------- */

static bool use_suite(struct milgi__hs *hs, uint16_t id)
{
    hs->suite = milgi__suite(id);
    int rv = hs->suite ? milgi__transcript_start(&hs->transcript, hs->host.cx, hs->suite->hash) : MILGI_EINTERNAL;
    if (rv != 0) {
        milgi__hs_broken(hs, rv);
        return false;
    }
    hs->result.suite = hs->suite->id;
    return true;
}

/* Answers to what was offered. */
static uint32_t extensions_of(const struct milgi__hs *hs)
{
    const uint32_t alike = MILGI__EXT(MILGI__EXT_MASTER_SECRET) | MILGI__EXT(MILGI__EXT_RENEGOTIATION) |
        MILGI__EXT(MILGI__EXT_POINT_FORMATS) | MILGI__EXT(MILGI__EXT_RECORD_LIMIT);
    uint32_t present = hs->offered & alike;
    if (hs->result.alpn[0])
        present |= MILGI__EXT(MILGI__EXT_ALPN);
    /*= RFC6066 3: "In this event, the server SHALL include an extension of type "server_name"", and: "When resuming a
     *= session, the server MUST NOT include a server_name extension in the server hello." */
    if (hs->result.server_name && !hs->session)
        present |= MILGI__EXT(MILGI__EXT_SERVER_NAME);
    if (hs->ticket_promised)
        present |= MILGI__EXT(MILGI__EXT_SESSION_TICKET);
    return present;
}

static bool send_hello(struct milgi__hs *hs, const struct milgi__exts *beside)
{
    uint8_t alpn[256], *random = hs->schedule12.randoms + 32;
    size_t len = strlen(hs->result.alpn), cap = 512 + beside->timestamps.len;
    uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
    if (!message || hs->host.calls->random(hs->host.ctx, random, 32) != 0) {
        milgi__hs_broken(hs, !message ? MILGI_ENOMEM : MILGI_EINTERNAL);
        return false;
    }
    /*= RFC8446 4.1.3: "TLS 1.3 servers which negotiate TLS 1.2 or below in response to a ClientHello MUST set the last
     *= 8 bytes of their Random value specially" */
    if (hs->config->version_max > MILGI__TLS12)
        milgi__mark_downgraded(random);
    alpn[0] = (uint8_t)len;
    memcpy(alpn + 1, hs->result.alpn, len);
    hs->ticket_promised = milgi__issues_ticket12(hs);
    hs->id_given = milgi__issues_id12(hs);
    if (!hs->session)
        hs->session_id_len = hs->id_given ? sizeof hs->session_id : 0;
    if (hs->id_given && hs->host.calls->random(hs->host.ctx, hs->session_id, sizeof hs->session_id) != 0) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return false;
    }
    struct milgi__writer w = milgi__writer(message, cap);
    milgi__server_hello_encode(&w,
        &(struct milgi__server_hello){
            .tls12 = true,
            .random = random,
            .session_id = { hs->session_id, hs->session_id_len },
            .suite = hs->suite->id,
            .ext = {
                .present = extensions_of(hs) | beside->present,
                .alpn = { alpn, len + 1 },
                .record_limit = milgi__hs_record_limit(hs),
                .timestamps = beside->timestamps,
            },
        });
    if (w.bad) {
        milgi__hs_broken(hs, MILGI_EINTERNAL);
        return false;
    }
    if (hs->peer_record_limit != 0)
        milgi__hs_limit_records(hs, hs->peer_record_limit);
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}

/*= RFC6066 8: "Servers return a certificate response along with their certificate by sending a "CertificateStatus"
 *= message immediately after the "Certificate" message (and before any "ServerKeyExchange" or "CertificateRequest"
 *= messages)." */
static bool send_status(struct milgi__hs *hs, struct milgi__bytes status)
{
    size_t cap = MILGI__MSG_HEADER + 4 + status.len;
    uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
    if (!message) {
        milgi__hs_broken(hs, MILGI_ENOMEM);
        return false;
    }
    struct milgi__writer w = milgi__writer(message, cap);
    milgi__certificate_status_encode(&w, status);
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) });
}

static bool start_sign(struct milgi__hs *hs)
{
    uint8_t params[MILGI__ECDH_PARAMS_MAX], input[MILGI__SIGNED_PARAMS_MAX];
    size_t len = milgi__ecdh_params(params, hs->result.group, hs->kex->pair[0].pub);
    return milgi__start_sign(hs, milgi__hs_signed_params(hs, (struct milgi__bytes){ params, len }, input));
}

static enum milgi__step start_flight(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    struct milgi__beside beside = milgi__hs_beside_leaf(hs);
    bool rsa = milgi__auth_of(hs->credential->type) == MILGI__AUTH_RSA;
    bool sent = use_suite(hs, rsa ? hs->suite_rsa : hs->suite_ecdsa) && send_hello(hs, &beside.ext) && start_sign(hs) &&
        milgi__hs_send_certificate12(hs, hs->credential) &&
        (beside.ext.status.len == 0 || send_status(hs, beside.ext.status));
    milgi__beside_fini(&beside);
    return sent ? MILGI__S12_SEND_EXCHANGE : MILGI__FAILED;
}

/* --- on a session ----------------------------------------------------------------------------------------------- */

static enum milgi__step start_resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->session)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    static const struct milgi__exts none_beside;
    if (!use_suite(hs, hs->session->f.suite) || !send_hello(hs, &none_beside) || !milgi__resume_keys12(hs))
        return MILGI__FAILED;
    milgi__seal_ticket12(hs);
    return MILGI__S12_SEND_RESUMED;
}

static enum milgi__step send_resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    bool sent = milgi__send_ticket12(hs) && milgi__hs_send_finished12(hs);
    return sent ? MILGI__S12_RECV_CHANGE_RESUMED : MILGI__FAILED;
}

static enum milgi__step recv_change_resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_take_change(hs) ? MILGI__S12_RECV_FINISHED_RESUMED : MILGI__FAILED;
}

static enum milgi__step recv_finished_resumed(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_finished12(hs, body))
        return MILGI__FAILED;
    /* Whom the session knows is judged again; where nobody was asked for a certificate there is nobody to judge. */
    milgi__start_decision(hs, MILGI__PEER, hs->config->client_auth != MILGI_CLIENT_AUTH_NONE);
    return MILGI__S12_RESUMED;
}

/* The session's secret, and Finished: the client is the one of the full handshake that it goes back to. */
static enum milgi__step resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    bool demanded = hs->config->client_auth == MILGI_CLIENT_AUTH_REQUIRED;
    if (!hs->session || (demanded && !hs->session->f.authenticated && hs->session->f.verdict == 0))
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    hs->result.peer_authenticated = hs->session->f.authenticated;
    return MILGI__OPEN;
}

/* --- ServerKeyExchange .. ServerHelloDone ----------------------------------------------------------------------- */

static enum milgi__step send_exchange(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    uint8_t params[MILGI__ECDH_PARAMS_MAX];
    bool asks = hs->config->client_auth != MILGI_CLIENT_AUTH_NONE;
    struct milgi__bytes schemes = milgi__hs_wire(hs, &hs->config->schemes12);
    struct milgi__bytes authorities = { hs->config->authorities, asks ? hs->config->authorities_len : 0 };
    size_t cap = 512 + MILGI__ECDH_PARAMS_MAX + MILGI_SIGNATURE_MAX + authorities.len;
    uint8_t *messages = milgi__arena_alloc(&hs->scratch, cap);
    struct milgi__server_exchange exchange = {
        .params = { params, milgi__ecdh_params(params, hs->result.group, hs->kex->pair[0].pub) },
        .verify = { hs->own_scheme, hs->signature },
    };
    if (!schemes.p || !messages)
        return milgi__hs_broken(hs, MILGI_ENOMEM);
    struct milgi__writer w = milgi__writer(messages, cap);
    milgi__server_exchange_encode(&w, &exchange);
    if (asks)
        milgi__certificate_request12_encode(&w, schemes, authorities);
    milgi__hello_done_encode(&w);
    if (w.bad)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    if (!milgi__hs_send(hs, (struct milgi__bytes){ messages, milgi__written(&w) }))
        return MILGI__FAILED;
    return asks ? MILGI__S12_RECV_CERTIFICATE : MILGI__S12_RECV_EXCHANGE_ALONE;
}

/* --- the client's flight ---------------------------------------------------------------------------------------- */

static enum milgi__step recv_certificate(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_certificate12(hs, body))
        return MILGI__FAILED;
    if (hs->peer_chain.len != 0)
        return milgi__start_chain(hs) ? MILGI__S12_RECV_EXCHANGE : MILGI__FAILED;
    /*= RFC5246 7.4.6: "If the client does not send any certificates, the server MAY at its discretion either continue
     *= the handshake without client authentication, or respond with a fatal handshake_failure alert." */
    if (hs->config->client_auth == MILGI_CLIENT_AUTH_REQUIRED)
        return milgi__hs_fail(
            hs, MILGI_EVERIFY, MILGI_ALERT_HANDSHAKE_FAILURE, "the client has sent no certificate");
    milgi__transcript_forget(&hs->transcript);
    return MILGI__S12_RECV_EXCHANGE_ALONE;
}

static enum milgi__step take_share(struct milgi__hs *hs, struct milgi__reader *body, enum milgi__step next)
{
    struct milgi__failure failure;
    struct milgi__bytes share;
    if (!milgi__client_exchange_decode(body, &share, &failure))
        return milgi__hs_refuse(hs, &failure);
    if (share.len != milgi__kex_public_len(hs->result.group))
        return milgi__hs_illegal(hs, "a key share of a wrong length");
    hs->kex->peer = milgi__arena_copy(&hs->arena, share);
    return hs->kex->peer.p ? next : milgi__hs_broken(hs, MILGI_ENOMEM);
}

static enum milgi__step recv_exchange(struct milgi__hs *hs, struct milgi__reader *body)
{
    return take_share(hs, body, MILGI__S12_START_DERIVE);
}

static enum milgi__step recv_exchange_alone(struct milgi__hs *hs, struct milgi__reader *body)
{
    return take_share(hs, body, MILGI__S12_START_DERIVE_ALONE);
}

static bool derive(struct milgi__hs *hs)
{
    return milgi__hs_session_hash(hs) && milgi__start_derive(hs, &hs->kex->pair[0], hs->kex->peer);
}

static enum milgi__step start_derive(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return derive(hs) ? MILGI__S12_RECV_VERIFY : MILGI__FAILED;
}

static enum milgi__step start_derive_alone(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return derive(hs) ? MILGI__S12_RECV_CHANGE_ALONE : MILGI__FAILED;
}

static enum milgi__step recv_verify(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificate_verify verify;
    if (!milgi__certificate_verify_decode(body, &verify, &failure))
        return milgi__hs_refuse(hs, &failure);
    /*= RFC5246 7.4.8: "Here handshake_messages refers to all handshake messages sent or received, starting at client
     *= hello and up to, but not including, this message" */
    struct milgi__bytes messages = { hs->transcript.early, hs->transcript.early_len };
    if (!hs->transcript.keeps || !milgi__hs_check_signature12(hs, &verify, messages))
        return hs->step == MILGI__FAILED ? MILGI__FAILED : milgi__hs_broken(hs, MILGI_EINTERNAL);
    milgi__transcript_forget(&hs->transcript);
    return MILGI__S12_RECV_CHANGE;
}

static enum milgi__step recv_change(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_master_secret(hs) && milgi__hs_take_change(hs) ? MILGI__S12_RECV_FINISHED : MILGI__FAILED;
}

static enum milgi__step recv_change_alone(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_master_secret(hs) && milgi__hs_take_change(hs) ? MILGI__S12_RECV_FINISHED_ALONE : MILGI__FAILED;
}

static enum milgi__step recv_finished(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_finished12(hs, body) ? MILGI__S12_JUDGE : MILGI__FAILED;
}

static enum milgi__step recv_finished_alone(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_finished12(hs, body))
        return MILGI__FAILED;
    return hs->config->client_auth != MILGI_CLIENT_AUTH_NONE ? MILGI__S12_JUDGE_EMPTY : MILGI__S12_ANONYMOUS;
}

/* The chain was accepted: only now the application is asked, so that it can refuse but not overrule. */
static enum milgi__step judge(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__S12_AUTHENTICATED;
}

/* It was asked for a certificate, and has none. */
static enum milgi__step judge_empty(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__S12_AUTHENTICATED_EMPTY;
}

/* --- the barrier, and our Finished ------------------------------------------------------------------------------ */

static enum milgi__step open_connection(const struct milgi__hs *hs)
{
    if (hs->id_given)
        return MILGI__S12_STORE_SESSION;
    return hs->ticket_promised ? MILGI__S12_SEAL_TICKET : MILGI__S12_SEND_FINISHED;
}

/* Everything that can be demanded of a client: chain, signature, decision (all needs of the row) and Finished. */
static enum milgi__step authenticated(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_take_peer(hs) ? open_connection(hs) : MILGI__FAILED;
}

static enum milgi__step authenticated_empty(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_may_be_empty(hs) ? open_connection(hs) : MILGI__FAILED;
}

static enum milgi__step anonymous(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_may_be_anonymous(hs) ? open_connection(hs) : MILGI__FAILED;
}

/*= RFC5077 3.3: "In the case of a full handshake, the server MUST verify the client's Finished message before sending
 *= the ticket." */
static enum milgi__step seal_ticket(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__seal_ticket12(hs);
    return MILGI__S12_SEND_TICKET;
}

static enum milgi__step send_ticket(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__send_ticket12(hs) ? MILGI__S12_SEND_FINISHED : MILGI__FAILED;
}

static enum milgi__step store_session(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__keep_session12(hs);
    return MILGI__S12_STORED_SESSION;
}

/* Or not: the client finds out when it comes back. */
static enum milgi__step stored_session(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)hs;
    (void)none;
    return MILGI__S12_SEND_FINISHED;
}

static enum milgi__step send_finished(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_send_finished12(hs) ? MILGI__OPEN : MILGI__FAILED;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

#define FIRST MILGI__S12_FIRST

/* clang-format off */
const struct milgi__row milgi__server12_rows[] = {
    [MILGI__S12_START_RESUMED - FIRST] = {
        .name = "start_resumed12", .run = start_resumed, .message = NONE,
        .needs = ON(ALPN), .starts = ON(SEAL_1) | ON(TICKET_SEAL),
        .next = TO(S12_SEND_RESUMED),
        .sends = { MSG(SERVER_HELLO) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_SEND_RESUMED - FIRST] = {
        .name = "send_resumed12", .run = send_resumed, .message = NONE,
        .needs = ON(SEAL_1) | ON(TICKET_SEAL),
        .next = TO(S12_RECV_CHANGE_RESUMED),
        .sends = { MSG(NEW_SESSION_TICKET), MSG(CHANGE_CIPHER_SPEC), MSG(FINISHED) },
        .sends_maybe = 1 << 0,
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_RECV_CHANGE_RESUMED - FIRST] = {
        .name = "recv_change_resumed12", .run = recv_change_resumed, .message = MSG(CHANGE_CIPHER_SPEC),
        .next = TO(S12_RECV_FINISHED_RESUMED),
        KEYS(INITIAL, APP), .flight_ends = true,
    },
    [MILGI__S12_RECV_FINISHED_RESUMED - FIRST] = {
        .name = "recv_finished_resumed12", .run = recv_finished_resumed, .message = MSG(FINISHED),
        .starts = ON(PEER),
        .next = TO(S12_RESUMED),
        KEYS(APP, APP), .flight_ends = true,
    },
    [MILGI__S12_RESUMED - FIRST] = {
        .name = "resumed12", .run = resumed, .message = NONE,
        .needs = ON(PEER),
        .next = TO(OPEN),
        KEYS(APP, APP),
    },
    [MILGI__S12_START_FLIGHT - FIRST] = {
        .name = "start_flight12", .run = start_flight, .message = NONE,
        .needs = ON(KEYGEN_1) | ON(CREDENTIAL) | ON(ALPN) | ON(OCSP), .starts = ON(SIGN),
        .next = TO(S12_SEND_EXCHANGE),
        .sends = { MSG(SERVER_HELLO), MSG(CERTIFICATE), MSG(CERTIFICATE_STATUS) },
        .sends_maybe = 1 << 2,
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_SEND_EXCHANGE - FIRST] = {
        .name = "send_exchange12", .run = send_exchange, .message = NONE,
        .needs = ON(SIGN),
        .next = TO(S12_RECV_CERTIFICATE) | TO(S12_RECV_EXCHANGE_ALONE),
        .sends = { MSG(SERVER_KEY_EXCHANGE), MSG(CERTIFICATE_REQUEST), MSG(SERVER_HELLO_DONE) },
        .sends_maybe = 1 << 1,
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_RECV_CERTIFICATE - FIRST] = {
        .name = "recv_certificate12", .run = recv_certificate, .message = MSG(CERTIFICATE),
        .starts = ON(CHAIN),
        .next = TO(S12_RECV_EXCHANGE) | TO(S12_RECV_EXCHANGE_ALONE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_RECV_EXCHANGE - FIRST] = {
        .name = "recv_exchange12", .run = recv_exchange, .message = MSG(CLIENT_KEY_EXCHANGE),
        .next = TO(S12_START_DERIVE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_START_DERIVE - FIRST] = {
        .name = "start_derive12", .run = start_derive, .message = NONE,
        .starts = ON(DERIVE),
        .next = TO(S12_RECV_VERIFY),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_RECV_VERIFY - FIRST] = {
        .name = "recv_verify12", .run = recv_verify, .message = MSG(CERTIFICATE_VERIFY),
        .starts = ON(VERIFY),
        .next = TO(S12_RECV_CHANGE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_RECV_CHANGE - FIRST] = {
        .name = "recv_change12", .run = recv_change, .message = MSG(CHANGE_CIPHER_SPEC),
        .needs = ON(DERIVE),
        .next = TO(S12_RECV_FINISHED),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
    [MILGI__S12_RECV_FINISHED - FIRST] = {
        .name = "recv_finished12", .run = recv_finished, .message = MSG(FINISHED),
        .next = TO(S12_JUDGE),
        KEYS(APP, INITIAL), .flight_ends = true,
    },
    [MILGI__S12_RECV_EXCHANGE_ALONE - FIRST] = {
        .name = "recv_exchange_alone12", .run = recv_exchange_alone, .message = MSG(CLIENT_KEY_EXCHANGE),
        .next = TO(S12_START_DERIVE_ALONE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_START_DERIVE_ALONE - FIRST] = {
        .name = "start_derive_alone12", .run = start_derive_alone, .message = NONE,
        .starts = ON(DERIVE),
        .next = TO(S12_RECV_CHANGE_ALONE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__S12_RECV_CHANGE_ALONE - FIRST] = {
        .name = "recv_change_alone12", .run = recv_change_alone, .message = MSG(CHANGE_CIPHER_SPEC),
        .needs = ON(DERIVE),
        .next = TO(S12_RECV_FINISHED_ALONE),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
    [MILGI__S12_RECV_FINISHED_ALONE - FIRST] = {
        .name = "recv_finished_alone12", .run = recv_finished_alone, .message = MSG(FINISHED),
        .next = TO(S12_JUDGE_EMPTY) | TO(S12_ANONYMOUS),
        KEYS(APP, INITIAL), .flight_ends = true,
    },
    [MILGI__S12_JUDGE - FIRST] = {
        .name = "judge12", .run = judge, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY), .starts = ON(PEER),
        .next = TO(S12_AUTHENTICATED),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_JUDGE_EMPTY - FIRST] = {
        .name = "judge_empty12", .run = judge_empty, .message = NONE,
        .starts = ON(PEER),
        .next = TO(S12_AUTHENTICATED_EMPTY),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_AUTHENTICATED - FIRST] = {
        .name = "authenticated12", .run = authenticated, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY) | ON(PEER),
        .next = TO(S12_SEAL_TICKET) | TO(S12_STORE_SESSION) | TO(S12_SEND_FINISHED),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_AUTHENTICATED_EMPTY - FIRST] = {
        .name = "authenticated_empty12", .run = authenticated_empty, .message = NONE,
        .needs = ON(PEER),
        .next = TO(S12_SEAL_TICKET) | TO(S12_STORE_SESSION) | TO(S12_SEND_FINISHED),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_ANONYMOUS - FIRST] = {
        .name = "anonymous12", .run = anonymous, .message = NONE,
        .next = TO(S12_SEAL_TICKET) | TO(S12_STORE_SESSION) | TO(S12_SEND_FINISHED),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_SEAL_TICKET - FIRST] = {
        .name = "seal_ticket12", .run = seal_ticket, .message = NONE,
        .starts = ON(SEAL_1) | ON(TICKET_SEAL),
        .next = TO(S12_SEND_TICKET),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_SEND_TICKET - FIRST] = {
        .name = "send_ticket12", .run = send_ticket, .message = NONE,
        .needs = ON(SEAL_1) | ON(TICKET_SEAL),
        .next = TO(S12_SEND_FINISHED),
        .sends = { MSG(NEW_SESSION_TICKET) },
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_STORE_SESSION - FIRST] = {
        .name = "store_session12", .run = store_session, .message = NONE,
        .starts = ON(SESSION_STORE),
        .next = TO(S12_STORED_SESSION),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_STORED_SESSION - FIRST] = {
        .name = "stored_session12", .run = stored_session, .message = NONE,
        .needs = ON(SESSION_STORE),
        .next = TO(S12_SEND_FINISHED),
        KEYS(APP, INITIAL),
    },
    [MILGI__S12_SEND_FINISHED - FIRST] = {
        .name = "send_finished12", .run = send_finished, .message = NONE,
        .next = TO(OPEN),
        .sends = { MSG(CHANGE_CIPHER_SPEC), MSG(FINISHED) },
        KEYS(APP, INITIAL),
    },
};
/* clang-format on */
