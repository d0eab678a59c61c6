/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS 1.3 client, from top to bottom (RFC 8446 4, A.1). The first ClientHello was sent, and the ServerHello read,
 * by negotiate.c.
 *
 * VERIFY_CHAIN starts when the Certificate is there, VERIFY when CertificateVerify is: both are out together. Until
 * both, the decision and the server's Finished are there, nothing is sent.
 */
#include "handshake/hs.h"

/* --- ServerHello and HelloRetryRequest -------------------------------------------------------------------------- */

/* What a HelloRetryRequest and a ServerHello must have alike. */
static bool check_hello(struct milgi__hs *hs, const struct milgi__server_hello *hello)
{
    /*= RFC8446 4.1.3: "A client which receives a legacy_session_id_echo field that does not match what it sent in the
     *= ClientHello MUST abort the handshake with an "illegal_parameter" alert." */
    if (hello->session_id.len != hs->session_id_len ||
        memcmp(hello->session_id.p, hs->session_id, hs->session_id_len) != 0) {
        milgi__hs_illegal(hs, "the server does not echo the session id");
        return false;
    }
    /*= RFC8446 4.1.3: "A client which receives a cipher suite that was not offered MUST abort the handshake with an
     *= "illegal_parameter" alert." */
    const struct milgi__suite *suite = milgi__suite(hello->suite);
    if (!milgi__list_has(&hs->config->suites, hello->suite) || !suite || !suite->tls13) {
        milgi__hs_illegal(hs, "the server selected a cipher suite that was not offered");
        return false;
    }
    /*= RFC8446 4.1.4: "clients MUST check that the cipher suite supplied in the ServerHello is the same as that in the
     *= HelloRetryRequest and otherwise abort the handshake with an "illegal_parameter" alert" */
    if (hs->suite && hs->suite->id != hello->suite) {
        milgi__hs_illegal(hs, "the server changed the cipher suite after its HelloRetryRequest");
        return false;
    }
    if (hs->suite)
        return true;
    hs->suite = suite;
    hs->result.suite = hello->suite;
    int rv = milgi__transcript_start(&hs->transcript, hs->host.cx, hs->suite->hash);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

static enum milgi__step take_retry(struct milgi__hs *hs, const struct milgi__server_hello *hello)
{
    const struct milgi__exts *ext = &hello->ext;
    bool asks_group = (ext->present & MILGI__EXT(MILGI__EXT_KEY_SHARE)) != 0;
    bool has_cookie = (ext->present & MILGI__EXT(MILGI__EXT_COOKIE)) != 0;
    /*= RFC8446 4.1.4: "Clients MUST abort the handshake with an "illegal_parameter" alert if the HelloRetryRequest
     *= would not result in any change in the ClientHello." */
    if (!asks_group && !has_cookie)
        return milgi__hs_illegal(hs, "a HelloRetryRequest that asks for nothing");
    /*= RFC8446 4.2.8: "the client MUST verify that (1) the selected_group field corresponds to a group which was
     *= provided in the "supported_groups" extension in the original ClientHello and (2) the selected_group field does
     *= not correspond to a group which was provided in the "key_share" extension in the original ClientHello." */
    if (asks_group && (!milgi__list_has(&hs->config->groups, ext->group) || milgi__has_share(hs, ext->group)))
        return milgi__hs_illegal(hs, "a HelloRetryRequest for a group that was not offered or had a share");
    hs->result.hello_retry = true;
    milgi__forget_early(hs);
    int rv = milgi__transcript_retry(&hs->transcript, hs->host.cx);
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    if (has_cookie) {
        hs->cookie = milgi__arena_copy(&hs->unsent, ext->cookie);
        if (!hs->cookie.p)
            return milgi__hs_broken(hs, MILGI_ENOMEM);
    }
    if (!asks_group)
        return MILGI__C13_SEND_HELLO_COOKIE;
    if (!milgi__start_shares(hs, &ext->group, 1, MILGI__KEYGEN_RETRY))
        return MILGI__FAILED;
    if (hs->kex->pairs_n == 1)
        milgi__settle(hs, MILGI__KEYGEN_RETRY_2);
    return MILGI__C13_SEND_HELLO_SHARE;
}

static enum milgi__step take_hello(struct milgi__hs *hs, const struct milgi__server_hello *hello)
{
    const struct milgi__exts *ext = &hello->ext;
    bool shared = (ext->present & MILGI__EXT(MILGI__EXT_KEY_SHARE)) != 0;
    bool on_psk = (ext->present & MILGI__EXT(MILGI__EXT_PSK)) != 0;
    /*= RFC8446 4.2.9: "psk_ke: PSK-only key establishment. In this mode, the server MUST NOT supply a "key_share"
     *= value." */
    bool plain = !shared && on_psk && hs->config->psk_ke != MILGI_PSK_KE_OFF;
    if (shared && on_psk && hs->config->psk_ke == MILGI_PSK_KE_ONLY)
        return milgi__hs_illegal(hs, "a key share with a PSK that was to be used without");
    if (!shared && !plain && on_psk) /* milgi__take_psk() says why */
        return milgi__hs_illegal(hs, "the server selected a PSK without the key share that goes with it");
    if (!shared && !plain)
        return milgi__hs_fail(
            hs, MILGI_EPROTO, MILGI_ALERT_MISSING_EXTENSION, "ServerHello without key_share");
    /*= RFC8446 4.2.8: "This value MUST be in the same group as the KeyShareEntry value offered by the client", "the
     *= client MUST verify that the selected NamedGroup in the ServerHello is the same as that in the
     *= HelloRetryRequest" */
    if (!plain && !milgi__has_share(hs, ext->group))
        return milgi__hs_illegal(hs, "the server's key share is of a group that has no share of ours");
    if (!milgi__take_psk(hs, ext))
        return MILGI__FAILED;
    if (plain) {
        milgi__settle(hs, MILGI__DERIVE);
        milgi__settle(hs, MILGI__CAPSULE);
        return milgi__no_exchange(hs) ? MILGI__C13_INSTALL_KEYS : MILGI__FAILED;
    }
    hs->result.group = ext->group;
    return milgi__take_server_share(hs, ext->share) ? MILGI__C13_INSTALL_KEYS : MILGI__FAILED;
}

enum milgi__step milgi__client13_hello(struct milgi__hs *hs, struct milgi__server_hello *hello)
{
    struct milgi__failure failure;
    if (!milgi__server_hello_decode13(hello, hs->offered, &failure))
        return milgi__hs_refuse(hs, &failure);
    if (!check_hello(hs, hello))
        return MILGI__FAILED;
    return hello->retry ? take_retry(hs, hello) : take_hello(hs, hello);
}

/* The second ClientHello: everything as before but the share, or the cookie, or both. */
static enum milgi__step send_hello_again(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    /*= RFC8446 D.4: "the client sends a dummy change_cipher_spec record (see the third paragraph of Section 5)
     *= immediately before its second flight.  This may either be before its second ClientHello or before its
     *= encrypted handshake flight." */
    if (hs->config->middlebox)
        (void)hs->host.calls->send_ccs(hs->host.ctx);
    if (!milgi__send_client_hello(hs))
        return MILGI__FAILED;
    milgi__arena_wipe(&hs->unsent);
    hs->cookie = (struct milgi__bytes){ NULL, 0 };
    return MILGI__C13_RECV_HELLO_AGAIN;
}

static enum milgi__step recv_hello_again(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__server_hello hello;
    if (!milgi__server_hello_decode(body, &hello, &failure))
        return milgi__hs_refuse(hs, &failure);
    /*= RFC8446 4.1.4: "If a client receives a second HelloRetryRequest in the same connection [...], it MUST abort the
     *= handshake with an "unexpected_message" alert." */
    if (hello.retry)
        return milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "a second HelloRetryRequest");
    /*= RFC8446 4.1.4: "The value of selected_version in the HelloRetryRequest "supported_versions" extension MUST be
     *= retained in the ServerHello, and a client MUST abort the handshake with an "illegal_parameter" alert if the
     *= value changes." */
    if (milgi__server_hello_version(&hello) != MILGI__TLS13)
        return milgi__hs_illegal(hs, "the server changed the version after its HelloRetryRequest");
    if (!milgi__server_hello_decode13(&hello, hs->offered, &failure))
        return milgi__hs_refuse(hs, &failure);
    return check_hello(hs, &hello) ? take_hello(hs, &hello) : MILGI__FAILED;
}

static enum milgi__step install_keys(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hs->kex->hello_hash);
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    if (!milgi__hs_handshake_secrets(hs) ||
        !milgi__hs_install(hs, MILGI__LEVEL_HANDSHAKE, MILGI__READ, hs->schedule.server_hs))
        return MILGI__FAILED;
    if (hs->config->middlebox && !hs->result.hello_retry)
        (void)hs->host.calls->send_ccs(hs->host.ctx);
    /* Already now, so that alerts are protected (RFC 8446 A.1). */
    if (!milgi__hs_install(hs, MILGI__LEVEL_HANDSHAKE, MILGI__WRITE, hs->schedule.client_hs))
        return MILGI__FAILED;
    return MILGI__C13_RECV_EXTENSIONS;
}

/* --- the server's flight ---------------------------------------------------------------------------------------- */

static bool offered_protocol(const struct milgi_config *config, struct milgi__bytes chosen)
{
    struct milgi__reader own = milgi__reader_of((struct milgi__bytes){ config->alpn, config->alpn_len });
    struct milgi__bytes protocol;
    while (milgi__alpn_next(&own, &protocol)) {
        if (protocol.len == chosen.len && memcmp(protocol.p, chosen.p, chosen.len) == 0)
            return true;
    }
    return false;
}

bool milgi__client_take_protocol(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    if ((ext->present & MILGI__EXT(MILGI__EXT_ALPN)) == 0)
        return milgi__strict_answer(hs);
    struct milgi__reader list = milgi__reader_of(ext->alpn);
    struct milgi__bytes chosen;
    if (!milgi__alpn_next(&list, &chosen) || !offered_protocol(hs->config, chosen)) {
        milgi__hs_illegal(hs, "the server chose an application protocol that was not offered");
        return false;
    }
    hs->result.alpn = (const char *)milgi__arena_copy(&hs->arena, chosen).p;
    if (!hs->result.alpn)
        milgi__hs_broken(hs, MILGI_ENOMEM);
    return hs->result.alpn != NULL;
}

static enum milgi__step recv_extensions(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__exts ext;
    enum milgi__step next = hs->session ? MILGI__C13_RECV_FINISHED_RESUMED : MILGI__C13_RECV_REQUEST;
    if (!milgi__encrypted_extensions_decode(body, hs->offered, &ext, &failure))
        return milgi__hs_refuse(hs, &failure);
    if ((ext.present & MILGI__EXT(MILGI__EXT_RECORD_LIMIT)) != 0)
        milgi__hs_limit_records(hs, ext.record_limit);
    return milgi__client_take_protocol(hs, &ext) ? next : MILGI__FAILED;
}

static enum milgi__step recv_request(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__certificate_request request;
    if (!milgi__certificate_request_decode(body, &request, &failure))
        return milgi__hs_refuse(hs, &failure);
    milgi__hs_take_schemes(hs, &request.ext);
    hs->requested = true;
    if (!milgi__take_authorities(hs, request.ext.authorities))
        return MILGI__FAILED;
    milgi__start_decision(hs, MILGI__CREDENTIAL, true);
    if ((hs->done & MILGI__ON(MILGI__CREDENTIAL)) != 0)
        hs->peer_authorities = (struct milgi__bytes){ NULL, 0 }; /* it may go with the message */
    return MILGI__C13_RECV_CERTIFICATE;
}

static enum milgi__step recv_certificate(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_certificate(hs, body))
        return MILGI__FAILED;
    /*= RFC8446 4.4.2.4: "If the server supplies an empty Certificate message, the client MUST abort the handshake with
     *= a "decode_error" alert." */
    if (hs->peer_chain.len == 0)
        return milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR, "the server has sent no certificate");
    if (!hs->config->accept_any_server && !milgi__start_chain(hs))
        return MILGI__FAILED;
    return MILGI__C13_RECV_VERIFY;
}

static enum milgi__step recv_verify(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_verify(hs, body) ? MILGI__C13_RECV_FINISHED : MILGI__FAILED;
}

static enum milgi__step recv_finished(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_finished(hs, body, hs->schedule.server_hs))
        return MILGI__FAILED;
    return hs->config->accept_any_server ? MILGI__C13_JUDGE_ANY : MILGI__C13_JUDGE;
}

/* --- the barrier ------------------------------------------------------------------------------------------------ */

/* The chain was accepted: only now the application is asked, so that it can refuse but not overrule. */
static enum milgi__step judge(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__C13_AUTHENTICATED;
}

static enum milgi__step judge_any(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->config->accept_any_server)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__C13_AUTHENTICATED_ANY;
}

static enum milgi__step own_flight(struct milgi__hs *hs)
{
    if (!milgi__hs_app_secrets(hs))
        return MILGI__FAILED;
    return hs->requested ? MILGI__C13_SEND_CERTIFICATE : MILGI__C13_SEND_FINISHED;
}

/* Everything that can be demanded of a server: chain, signature, decision (all needs of the row) and Finished. */
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

/* --- on a session ----------------------------------------------------------------------------------------------- */

/*
 * The server has the session's secret, or its Finished would not be right: it is the one that was authenticated then.
 */
static enum milgi__step recv_finished_resumed(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!hs->session)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    if (!milgi__hs_take_finished(hs, body, hs->schedule.server_hs))
        return MILGI__FAILED;
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__C13_RESUMED;
}

static enum milgi__step resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->session)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    hs->result.peer_authenticated = hs->session->f.authenticated;
    return own_flight(hs);
}

/* --- our flight ------------------------------------------------------------------------------------------------- */

static enum milgi__step send_certificate(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    const struct milgi_credential *credential = hs->credential;
    struct milgi__bytes context = { NULL, 0 }, chain = { NULL, 0 };
    if (credential)
        chain = (struct milgi__bytes){ credential->chain, credential->chain_len };
    size_t cap = milgi__certificate_len(context, chain, credential ? credential->chain_n : 0);
    uint8_t *message = milgi__arena_alloc(&hs->scratch, cap);
    if (!message)
        return milgi__hs_broken(hs, MILGI_ENOMEM);
    struct milgi__writer w = milgi__writer(message, cap);
    milgi__certificate_encode(&w, context, chain);
    if (w.bad)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    if (!milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) }))
        return MILGI__FAILED;
    if (!credential)
        return MILGI__C13_SEND_FINISHED;
    return milgi__hs_sign_transcript(hs) ? MILGI__C13_SEND_VERIFY : MILGI__FAILED;
}

static enum milgi__step send_verify(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return milgi__hs_send_verify(hs) ? MILGI__C13_SEND_FINISHED : MILGI__FAILED;
}

/* With our Finished sent: what tickets to come are made from. */
static bool keep_secret(struct milgi__hs *hs)
{
    uint8_t hash[MILGI__HASH_MAX];
    if (!hs->keeps_sessions)
        return true;
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hash);
    if (rv == 0)
        rv = milgi__schedule13_resumption(&hs->schedule, hs->host.cx, hash);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

static enum milgi__step send_finished(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!milgi__hs_send_finished(hs, hs->schedule.client_hs) || !keep_secret(hs) ||
        !milgi__hs_install(hs, MILGI__LEVEL_APP, MILGI__WRITE, hs->schedule.client_app) ||
        !milgi__hs_install(hs, MILGI__LEVEL_APP, MILGI__READ, hs->schedule.server_app))
        return MILGI__FAILED;
    return MILGI__OPEN;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

#define FIRST MILGI__C13_FIRST

/* clang-format off */
const struct milgi__row milgi__client13_rows[] = {
    [MILGI__C13_SEND_HELLO_SHARE - FIRST] = {
        .name = "send_hello_share", .run = send_hello_again, .message = NONE,
        .needs = ON(KEYGEN_RETRY) | ON(KEYGEN_RETRY_2),
        .next = TO(C13_RECV_HELLO_AGAIN),
        .sends = { MSG(CLIENT_HELLO) },
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__C13_SEND_HELLO_COOKIE - FIRST] = {
        .name = "send_hello_cookie", .run = send_hello_again, .message = NONE,
        .next = TO(C13_RECV_HELLO_AGAIN),
        .sends = { MSG(CLIENT_HELLO) },
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__C13_RECV_HELLO_AGAIN - FIRST] = {
        .name = "recv_hello_again", .run = recv_hello_again, .message = MSG(SERVER_HELLO),
        .starts = ON(DERIVE) | ON(CAPSULE),
        .next = TO(C13_INSTALL_KEYS),
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__C13_INSTALL_KEYS - FIRST] = {
        .name = "install_keys", .run = install_keys, .message = NONE,
        .needs = ON(DERIVE) | ON(CAPSULE),
        .next = TO(C13_RECV_EXTENSIONS),
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__C13_RECV_EXTENSIONS - FIRST] = {
        .name = "recv_extensions", .run = recv_extensions, .message = MSG(ENCRYPTED_EXTENSIONS),
        .next = TO(C13_RECV_FINISHED_RESUMED) | TO(C13_RECV_REQUEST),
        KEYS(HANDSHAKE, HANDSHAKE), .takes_ccs = true,
    },
    [MILGI__C13_RECV_FINISHED_RESUMED - FIRST] = {
        .name = "recv_finished_resumed", .run = recv_finished_resumed, .message = MSG(FINISHED),
        .starts = ON(PEER),
        .next = TO(C13_RESUMED),
        KEYS(HANDSHAKE, HANDSHAKE), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__C13_RESUMED - FIRST] = {
        .name = "resumed", .run = resumed, .message = NONE,
        .needs = ON(PEER),
        .next = TO(C13_SEND_FINISHED),
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_RECV_REQUEST - FIRST] = {
        .name = "recv_request", .run = recv_request, .message = MSG(CERTIFICATE_REQUEST),
        .otherwise = MILGI__C13_RECV_CERTIFICATE, .starts = ON(CREDENTIAL),
        .next = TO(C13_RECV_CERTIFICATE),
        KEYS(HANDSHAKE, HANDSHAKE), .takes_ccs = true,
    },
    [MILGI__C13_RECV_CERTIFICATE - FIRST] = {
        .name = "recv_certificate", .run = recv_certificate, .message = MSG(CERTIFICATE),
        .starts = ON(CHAIN),
        .next = TO(C13_RECV_VERIFY),
        KEYS(HANDSHAKE, HANDSHAKE), .takes_ccs = true,
    },
    [MILGI__C13_RECV_VERIFY - FIRST] = {
        .name = "recv_verify", .run = recv_verify, .message = MSG(CERTIFICATE_VERIFY),
        .starts = ON(VERIFY),
        .next = TO(C13_RECV_FINISHED),
        KEYS(HANDSHAKE, HANDSHAKE), .takes_ccs = true,
    },
    [MILGI__C13_RECV_FINISHED - FIRST] = {
        .name = "recv_finished", .run = recv_finished, .message = MSG(FINISHED),
        .next = TO(C13_JUDGE) | TO(C13_JUDGE_ANY),
        KEYS(HANDSHAKE, HANDSHAKE), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__C13_JUDGE - FIRST] = {
        .name = "judge", .run = judge, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY), .starts = ON(PEER),
        .next = TO(C13_AUTHENTICATED),
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_JUDGE_ANY - FIRST] = {
        .name = "judge_any", .run = judge_any, .message = NONE,
        .needs = ON(VERIFY), .starts = ON(PEER),
        .next = TO(C13_AUTHENTICATED_ANY),
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_AUTHENTICATED - FIRST] = {
        .name = "authenticated", .run = authenticated, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY) | ON(PEER),
        .next = TO(C13_SEND_CERTIFICATE) | TO(C13_SEND_FINISHED),
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_AUTHENTICATED_ANY - FIRST] = {
        .name = "authenticated_any", .run = authenticated_any, .message = NONE,
        .needs = ON(VERIFY) | ON(PEER),
        .next = TO(C13_SEND_CERTIFICATE) | TO(C13_SEND_FINISHED),
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_SEND_CERTIFICATE - FIRST] = {
        .name = "send_certificate", .run = send_certificate, .message = NONE,
        .needs = ON(CREDENTIAL), .starts = ON(SIGN),
        .next = TO(C13_SEND_VERIFY) | TO(C13_SEND_FINISHED),
        .sends = { MSG(CERTIFICATE) },
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_SEND_VERIFY - FIRST] = {
        .name = "send_verify", .run = send_verify, .message = NONE,
        .needs = ON(SIGN),
        .next = TO(C13_SEND_FINISHED),
        .sends = { MSG(CERTIFICATE_VERIFY) },
        KEYS(HANDSHAKE, HANDSHAKE),
    },
    [MILGI__C13_SEND_FINISHED - FIRST] = {
        .name = "send_finished", .run = send_finished, .message = NONE,
        .next = TO(OPEN),
        .sends = { MSG(FINISHED) },
        KEYS(HANDSHAKE, HANDSHAKE), .flight_ends = true,
    },
};
/* clang-format on */
