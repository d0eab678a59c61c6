/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS 1.2 client, from top to bottom (RFC 5246 7.3). The ClientHello was sent, and the ServerHello read, by
 * negotiate.c.
 *
 * VERIFY_CHAIN starts when the Certificate is there (and the CertificateStatus, if one was announced), VERIFY and
 * KEYGEN when ServerKeyExchange is, DERIVE when KEYGEN is back: all of them are out together. Until the first two, and
 * the decision, are there nothing is sent; application data leaves when the server's Finished has come, and not before.
 */
#include "handshake/hs.h"

/* --- ServerHello ------------------------------------------------------------------------------------------------ */

static bool take_suite(struct milgi__hs *hs, uint16_t id)
{
    const struct milgi__suite *suite = milgi__suite(id);
    /*= RFC5246 7.4.1.3: "The single cipher suite selected by the server from the list in ClientHello.cipher_suites." */
    if (!milgi__list_has(&hs->config->suites, id) || !suite || suite->tls13) {
        milgi__hs_illegal(hs, "the server selected a cipher suite that was not offered");
        return false;
    }
    hs->suite = suite;
    hs->result.suite = id;
    /* Our CertificateVerify is over the messages themselves. */
    hs->transcript.keeps = hs->config->credentials_n != 0 || (hs->config->ask & MILGI_DECIDE_CREDENTIAL) != 0;
    int rv = milgi__transcript_start(&hs->transcript, hs->host.cx, suite->hash);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

/* What may be wrong with a ServerHello that is well formed. */
static bool check_hello(struct milgi__hs *hs, const struct milgi__server_hello *hello)
{
    /* What was dropped as the one that TLS 1.3 has for middleboxes was none. */
    if (hs->dropped_ccs) {
        milgi__hs_fail(
            hs, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "change_cipher_spec before the ServerHello");
        return false;
    }
    if (!milgi__take_session12(hs, hello))
        return false;
    hs->result.exports = (hello->ext.present & MILGI__EXT(MILGI__EXT_MASTER_SECRET)) != 0;
    /*= RFC7627 5.2: "If a client receives a ServerHello without the extension, it SHOULD abort the handshake if it does
     *= not wish to interoperate with legacy servers." */
    if (!hs->result.exports && !hs->config->plain_master) {
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE,
            "the server does not have the extended master secret");
        return false;
    }
    return true;
}

enum milgi__step milgi__client12_hello(struct milgi__hs *hs, struct milgi__server_hello *hello)
{
    struct milgi__failure failure;
    milgi__forget_early(hs);
    if (!milgi__server_hello_decode12(hello, hs->offered, &failure))
        return milgi__hs_refuse(hs, &failure);
    if (!check_hello(hs, hello) || !take_suite(hs, hello->suite) || !milgi__client_take_protocol(hs, &hello->ext))
        return MILGI__FAILED;
    if ((hello->ext.present & MILGI__EXT(MILGI__EXT_RECORD_LIMIT)) != 0)
        milgi__hs_limit_records(hs, hello->ext.record_limit);
    hs->status_comes = (hello->ext.present & MILGI__EXT(MILGI__EXT_STATUS_REQUEST)) != 0;
    if (!hs->session && !milgi__hs_keep_beside(hs, hello->ext.timestamps, &hs->result.scts))
        return MILGI__FAILED;
    memcpy(hs->schedule12.randoms, hs->client_random, 32);
    memcpy(hs->schedule12.randoms + 32, hello->random, 32);
    hs->ticket_promised = (hello->ext.present & MILGI__EXT(MILGI__EXT_SESSION_TICKET)) != 0;
    if (!hs->session) {
        /* What the server says is the ID of the session that this becomes; ours has done its work. */
        hs->session_id_len = (uint8_t)hello->session_id.len;
        if (hello->session_id.len != 0)
            memcpy(hs->session_id, hello->session_id.p, hello->session_id.len);
        hs->id_given = hs->keeps_sessions && hello->session_id.len != 0;
        return MILGI__C12_RECV_CERTIFICATE;
    }
    milgi__transcript_forget(&hs->transcript);
    if (!milgi__resume_keys12(hs))
        return MILGI__FAILED;
    return hs->ticket_promised ? MILGI__C12_RECV_TICKET_RESUMED : MILGI__C12_RECV_CHANGE_RESUMED;
}

/* --- on a session ----------------------------------------------------------------------------------------------- */

static enum milgi__step recv_ticket_resumed(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__take_ticket12(hs, body) ? MILGI__C12_RECV_CHANGE_RESUMED : MILGI__FAILED;
}

static enum milgi__step recv_change_resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_take_change(hs) ? MILGI__C12_RECV_FINISHED_RESUMED : MILGI__FAILED;
}

static enum milgi__step recv_finished_resumed(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_finished12(hs, body))
        return MILGI__FAILED;
    milgi__start_decision(hs, MILGI__PEER, true); /* whom the session knows is judged again */
    return MILGI__C12_RESUMED;
}

/* The session's secret, and Finished: the server is the one of the full handshake that it goes back to. */
static enum milgi__step resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->session)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    hs->result.peer_authenticated = hs->session->f.authenticated;
    return milgi__hs_send_finished12(hs) ? MILGI__OPEN : MILGI__FAILED;
}

/* --- the server's flight ---------------------------------------------------------------------------------------- */

/* With all that goes with the leaf. */
static enum milgi__step judge_certificate(struct milgi__hs *hs)
{
    if (!hs->config->accept_any_server && !milgi__start_chain(hs))
        return MILGI__FAILED;
    return MILGI__C12_RECV_EXCHANGE;
}

static enum milgi__step recv_certificate(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_certificate12(hs, body))
        return MILGI__FAILED;
    if (hs->peer_chain.len == 0)
        return milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR, "the server has sent no certificate");
    /*= RFC5246 7.4.2: "The end entity certificate's public key (and associated restrictions) MUST be compatible with
     *= the selected key exchange algorithm." */
    if (milgi__auth_of(hs->peer_key) != hs->suite->auth)
        return milgi__hs_illegal(hs, "the server's key does not go with the cipher suite");
    return hs->status_comes ? MILGI__C12_RECV_STATUS : judge_certificate(hs);
}

static enum milgi__step recv_status(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__bytes status;
    if (!milgi__certificate_status_decode(body, &status, &failure))
        return milgi__hs_refuse(hs, &failure);
    if (hs->peer_chain.len + status.len > MILGI_CHUNK_MAX)
        return milgi__hs_fail(
            hs, MILGI_ELIMIT, MILGI_ALERT_BAD_CERTIFICATE, "the peer's certificates are longer than the limit");
    return milgi__hs_keep_beside(hs, status, &hs->result.ocsp_response) ? judge_certificate(hs) : MILGI__FAILED;
}

/*= RFC6066 8: "Note that a server MAY also choose not to send a "CertificateStatus" message, even if has received a
 *= "status_request" extension in the client hello message and has sent a "status_request" extension in the server hello
 *= message." */
static enum milgi__step no_status(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return judge_certificate(hs);
}

static enum milgi__step recv_exchange(struct milgi__hs *hs, struct milgi__reader *body)
{
    uint8_t input[MILGI__SIGNED_PARAMS_MAX];
    struct milgi__failure failure;
    struct milgi__server_exchange exchange;
    if (!milgi__server_exchange_decode(body, &exchange, &failure))
        return milgi__hs_refuse(hs, &failure);
    /* One of those in our supported_groups (RFC 8422 5.1). */
    if (!milgi__list_has(&hs->config->groups, exchange.group) || !milgi__group_in12(exchange.group))
        return milgi__hs_illegal(hs, "the server's key share is of a group that was not offered");
    if (exchange.share.len != milgi__kex_public_len(exchange.group))
        return milgi__hs_illegal(hs, "a key share of a wrong length");
    if (!milgi__hs_check_signature12(hs, &exchange.verify, milgi__hs_signed_params(hs, exchange.params, input)) ||
        !milgi__start_shares(hs, &exchange.group, 1, MILGI__KEYGEN_RETRY))
        return MILGI__FAILED;
    hs->kex->peer = milgi__arena_copy(&hs->arena, exchange.share);
    hs->result.group = exchange.group;
    return hs->kex->peer.p ? MILGI__C12_RECV_REQUEST : milgi__hs_broken(hs, MILGI_ENOMEM);
}

static enum milgi__step recv_request(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificate_request12 request;
    if (!milgi__certificate_request12_decode(body, &request, &failure))
        return milgi__hs_refuse(hs, &failure);
    milgi__hs_take_schemes(hs, &(struct milgi__exts){ .schemes = request.schemes });
    hs->no_rsa = !memchr(request.types.p, MILGI__SIGNS_RSA, request.types.len);
    hs->no_ecdsa = !memchr(request.types.p, MILGI__SIGNS_ECDSA, request.types.len);
    hs->requested = true;
    if (!milgi__take_authorities(hs, request.authorities))
        return MILGI__FAILED;
    milgi__start_decision(hs, MILGI__CREDENTIAL, true);
    if ((hs->done & MILGI__ON(MILGI__CREDENTIAL)) != 0)
        hs->peer_authorities = (struct milgi__bytes){ NULL, 0 }; /* it may go with the message */
    return MILGI__C12_RECV_DONE;
}

static enum milgi__step recv_done(struct milgi__hs *hs, struct milgi__reader *body)
{
    (void)body; /* empty, or refused for what is in it */
    if (!hs->requested)
        milgi__transcript_forget(&hs->transcript);
    return MILGI__C12_START_DERIVE;
}

static enum milgi__step start_derive(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!milgi__start_derive(hs, &hs->kex->pair[0], hs->kex->peer))
        return MILGI__FAILED;
    return hs->config->accept_any_server ? MILGI__C12_JUDGE_ANY : MILGI__C12_JUDGE;
}

/* --- the barrier ------------------------------------------------------------------------------------------------ */

/* The chain was accepted: only now the application is asked, so that it can refuse but not overrule. */
static enum milgi__step judge(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__C12_AUTHENTICATED;
}

static enum milgi__step judge_any(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->config->accept_any_server)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__C12_AUTHENTICATED_ANY;
}

static enum milgi__step own_flight(const struct milgi__hs *hs)
{
    return hs->requested ? MILGI__C12_SEND_CERTIFICATE : MILGI__C12_SEND_EXCHANGE_ALONE;
}

/* Everything that can be demanded of a server before its Finished: chain, signature, decision (needs of the row). */
static enum milgi__step authenticated(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_take_peer(hs) ? own_flight(hs) : MILGI__FAILED;
}

/* The named opt-out: the signature alone. */
static enum milgi__step authenticated_any(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->config->accept_any_server)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    return own_flight(hs);
}

/* --- our flight ------------------------------------------------------------------------------------------------- */

static enum milgi__step send_certificate(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!milgi__hs_send_certificate12(hs, hs->credential))
        return MILGI__FAILED;
    return hs->credential ? MILGI__C12_SEND_EXCHANGE : MILGI__C12_SEND_EXCHANGE_ALONE;
}

static bool send_share(struct milgi__hs *hs)
{
    uint8_t message[MILGI__MSG_HEADER + 1 + 255];
    struct milgi__writer w = milgi__writer(message, sizeof message);
    milgi__client_exchange_encode(&w, hs->kex->pair[0].pub);
    return milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) }) && milgi__hs_session_hash(hs) &&
        milgi__hs_master_secret(hs);
}

static enum milgi__step send_exchange(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!send_share(hs))
        return MILGI__FAILED;
    if (!hs->transcript.keeps)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    struct milgi__bytes messages = { hs->transcript.early, hs->transcript.early_len };
    return milgi__start_sign(hs, messages) ? MILGI__C12_SEND_VERIFY : MILGI__FAILED;
}

static enum milgi__step send_exchange_alone(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__transcript_forget(&hs->transcript);
    return send_share(hs) ? MILGI__C12_SEND_FINISHED : MILGI__FAILED;
}

static enum milgi__step send_verify(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__transcript_forget(&hs->transcript);
    return milgi__hs_send_verify(hs) ? MILGI__C12_SEND_FINISHED : MILGI__FAILED;
}

static enum milgi__step send_finished(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!milgi__hs_send_finished12(hs))
        return MILGI__FAILED;
    return hs->ticket_promised ? MILGI__C12_RECV_TICKET : MILGI__C12_RECV_CHANGE;
}

static enum milgi__step recv_ticket(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__take_ticket12(hs, body) ? MILGI__C12_RECV_CHANGE : MILGI__FAILED;
}

/* --- the server's Finished -------------------------------------------------------------------------------------- */

static enum milgi__step recv_change(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_take_change(hs) ? MILGI__C12_RECV_FINISHED : MILGI__FAILED;
}

static enum milgi__step recv_finished(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_finished12(hs, body) ? MILGI__OPEN : MILGI__FAILED;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

#define FIRST MILGI__C12_FIRST

/* clang-format off */
const struct milgi__row milgi__client12_rows[] = {
    [MILGI__C12_RECV_TICKET_RESUMED - FIRST] = {
        .name = "recv_ticket_resumed12", .run = recv_ticket_resumed, .message = MSG(NEW_SESSION_TICKET),
        .next = TO(C12_RECV_CHANGE_RESUMED),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
    [MILGI__C12_RECV_CHANGE_RESUMED - FIRST] = {
        .name = "recv_change_resumed12", .run = recv_change_resumed, .message = MSG(CHANGE_CIPHER_SPEC),
        .next = TO(C12_RECV_FINISHED_RESUMED),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
    [MILGI__C12_RECV_FINISHED_RESUMED - FIRST] = {
        .name = "recv_finished_resumed12", .run = recv_finished_resumed, .message = MSG(FINISHED),
        .starts = ON(PEER),
        .next = TO(C12_RESUMED),
        KEYS(APP, INITIAL), .flight_ends = true,
    },
    [MILGI__C12_RESUMED - FIRST] = {
        .name = "resumed12", .run = resumed, .message = NONE,
        .needs = ON(PEER),
        .next = TO(OPEN),
        .sends = { MSG(CHANGE_CIPHER_SPEC), MSG(FINISHED) },
        KEYS(APP, INITIAL),
    },
    [MILGI__C12_RECV_CERTIFICATE - FIRST] = {
        .name = "recv_certificate12", .run = recv_certificate, .message = MSG(CERTIFICATE),
        .starts = ON(CHAIN),
        .next = TO(C12_RECV_STATUS) | TO(C12_RECV_EXCHANGE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_RECV_STATUS - FIRST] = {
        .name = "recv_status12", .run = recv_status, .message = MSG(CERTIFICATE_STATUS),
        .otherwise = MILGI__C12_NO_STATUS, .starts = ON(CHAIN),
        .next = TO(C12_RECV_EXCHANGE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_NO_STATUS - FIRST] = {
        .name = "no_status12", .run = no_status, .message = NONE,
        .starts = ON(CHAIN),
        .next = TO(C12_RECV_EXCHANGE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_RECV_EXCHANGE - FIRST] = {
        .name = "recv_exchange12", .run = recv_exchange, .message = MSG(SERVER_KEY_EXCHANGE),
        .starts = ON(VERIFY) | ON(KEYGEN_RETRY),
        .next = TO(C12_RECV_REQUEST),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_RECV_REQUEST - FIRST] = {
        .name = "recv_request12", .run = recv_request, .message = MSG(CERTIFICATE_REQUEST),
        .otherwise = MILGI__C12_RECV_DONE, .starts = ON(CREDENTIAL),
        .next = TO(C12_RECV_DONE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_RECV_DONE - FIRST] = {
        .name = "recv_done12", .run = recv_done, .message = MSG(SERVER_HELLO_DONE),
        .next = TO(C12_START_DERIVE),
        KEYS(INITIAL, INITIAL), .flight_ends = true,
    },
    [MILGI__C12_START_DERIVE - FIRST] = {
        .name = "start_derive12", .run = start_derive, .message = NONE,
        .needs = ON(KEYGEN_RETRY), .starts = ON(DERIVE),
        .next = TO(C12_JUDGE) | TO(C12_JUDGE_ANY),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_JUDGE - FIRST] = {
        .name = "judge12", .run = judge, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY), .starts = ON(PEER),
        .next = TO(C12_AUTHENTICATED),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_JUDGE_ANY - FIRST] = {
        .name = "judge_any12", .run = judge_any, .message = NONE,
        .needs = ON(VERIFY), .starts = ON(PEER),
        .next = TO(C12_AUTHENTICATED_ANY),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_AUTHENTICATED - FIRST] = {
        .name = "authenticated12", .run = authenticated, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY) | ON(PEER),
        .next = TO(C12_SEND_CERTIFICATE) | TO(C12_SEND_EXCHANGE_ALONE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_AUTHENTICATED_ANY - FIRST] = {
        .name = "authenticated_any12", .run = authenticated_any, .message = NONE,
        .needs = ON(VERIFY) | ON(PEER),
        .next = TO(C12_SEND_CERTIFICATE) | TO(C12_SEND_EXCHANGE_ALONE),
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_SEND_CERTIFICATE - FIRST] = {
        .name = "send_certificate12", .run = send_certificate, .message = NONE,
        .needs = ON(CREDENTIAL),
        .next = TO(C12_SEND_EXCHANGE) | TO(C12_SEND_EXCHANGE_ALONE),
        .sends = { MSG(CERTIFICATE) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_SEND_EXCHANGE - FIRST] = {
        .name = "send_exchange12", .run = send_exchange, .message = NONE,
        .needs = ON(DERIVE), .starts = ON(SIGN),
        .next = TO(C12_SEND_VERIFY),
        .sends = { MSG(CLIENT_KEY_EXCHANGE) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_SEND_EXCHANGE_ALONE - FIRST] = {
        .name = "send_exchange_alone12", .run = send_exchange_alone, .message = NONE,
        .needs = ON(DERIVE),
        .next = TO(C12_SEND_FINISHED),
        .sends = { MSG(CLIENT_KEY_EXCHANGE) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_SEND_VERIFY - FIRST] = {
        .name = "send_verify12", .run = send_verify, .message = NONE,
        .needs = ON(SIGN),
        .next = TO(C12_SEND_FINISHED),
        .sends = { MSG(CERTIFICATE_VERIFY) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_SEND_FINISHED - FIRST] = {
        .name = "send_finished12", .run = send_finished, .message = NONE,
        .next = TO(C12_RECV_TICKET) | TO(C12_RECV_CHANGE),
        .sends = { MSG(CHANGE_CIPHER_SPEC), MSG(FINISHED) },
        KEYS(INITIAL, INITIAL),
    },
    [MILGI__C12_RECV_TICKET - FIRST] = {
        .name = "recv_ticket12", .run = recv_ticket, .message = MSG(NEW_SESSION_TICKET),
        .next = TO(C12_RECV_CHANGE),
        KEYS(INITIAL, APP), .flight_ends = true,
    },
    [MILGI__C12_RECV_CHANGE - FIRST] = {
        .name = "recv_change12", .run = recv_change, .message = MSG(CHANGE_CIPHER_SPEC),
        .next = TO(C12_RECV_FINISHED),
        KEYS(INITIAL, APP), .flight_ends = true,
    },
    [MILGI__C12_RECV_FINISHED - FIRST] = {
        .name = "recv_finished12", .run = recv_finished, .message = MSG(FINISHED),
        .next = TO(OPEN),
        KEYS(APP, APP), .flight_ends = true,
    },
};
/* clang-format on */
