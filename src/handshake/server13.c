/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS 1.3 server, from top to bottom (RFC 8446 4, A.2). The ClientHello was read by negotiate.c.
 *
 * KEYGEN starts as soon as the group is known, and ENCAPS with it if that is a hybrid. When they are back, all up to
 * our Certificate is known: DERIVE, which the keys wait for, and SIGN run together; ServerHello .. Certificate leave
 * when DERIVE is back, before SIGN is.
 */
#include "handshake/hs.h"

/* --- ClientHello ------------------------------------------------------------------------------------------------ */

static bool choose_suite(struct milgi__hs *hs, struct milgi__bytes offered)
{
    /*= RFC8446 4.2.11: "The server MUST ensure that it selects a compatible PSK (if any) and cipher suite." */
    hs->suite = milgi__psk_suite(hs, offered);
    for (unsigned i = 0; i < hs->config->suites.n && !hs->suite; i++) {
        const struct milgi__suite *suite = milgi__suite(hs->config->suites.v[i]);
        if (suite->tls13 && milgi__u16_has(offered, suite->id))
            hs->suite = suite;
    }
    /*= RFC8446 4.1.1: "If the server is unable to negotiate a supported set of parameters [...], it MUST abort the
     *= handshake with either a "handshake_failure" or "insufficient_security" fatal alert" */
    if (!hs->suite) {
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE, "no cipher suite in common");
        return false;
    }
    hs->result.suite = hs->suite->id;
    return true;
}

static bool find_share(const struct milgi__exts *ext, uint16_t group, struct milgi__bytes *found)
{
    struct milgi__reader shares = milgi__reader_of(ext->shares);
    uint16_t of;
    while (milgi__share_next(&shares, &of, found)) {
        if (of == group)
            return true;
    }
    return false;
}

/* The first of our groups that came with a share; else the first that the client has, which costs a round trip. */
static bool choose_group(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    const struct milgi__u16_list *own = &hs->config->groups;
    struct milgi__bytes share;
    for (unsigned i = 0; i < own->n; i++) {
        if (!find_share(ext, own->v[i], &share))
            continue;
        hs->result.group = own->v[i];
        return milgi__take_client_share(hs, share);
    }
    for (unsigned i = 0; i < own->n && !hs->retried; i++) {
        hs->retried = milgi__u16_has(ext->groups, own->v[i]);
        hs->result.group = own->v[i];
    }
    /*= RFC8446 4.1.1: "If there is no overlap between the received "supported_groups" and the groups supported by the
     *= server, then the server MUST abort the handshake with a "handshake_failure" or an "insufficient_security"
     *= alert." */
    if (!hs->retried)
        milgi__hs_fail(hs, MILGI_ENEGOTIATE, MILGI_ALERT_HANDSHAKE_FAILURE, "no group in common");
    return hs->retried;
}

/* The list is read where it lies in the message, unless the answer may come later. */
static bool take_protocols(struct milgi__hs *hs, const struct milgi__client_hello *hello)
{
    hs->peer_alpn = hello->ext.alpn;
    if (hs->config->ask == 0)
        return true;
    if (!hs->shown && !milgi__show_hello(hs, hello))
        return false;
    hs->peer_alpn = hs->shown->protocols;
    return true;
}

bool milgi__server_take_hello(struct milgi__hs *hs, const struct milgi__client_hello *hello)
{
    const struct milgi__exts *ext = &hello->ext;
    memcpy(hs->client_random, hello->random, sizeof hs->client_random);
    hs->session_id_len = (uint8_t)hello->session_id.len;
    if (hello->session_id.len != 0)
        memcpy(hs->session_id, hello->session_id.p, hello->session_id.len);
    hs->offered = ext->present;
    hs->psk_tickets = milgi__psk_mode(hs, ext) != MILGI__PSK_NO_MODE;
    hs->tickets_full = ext->tickets_full;
    hs->tickets_resumed = ext->tickets_resumed;
    hs->peer_record_limit = ext->record_limit;
    hs->asks_status = ext->asks_status;
    hs->early_data =
        (ext->present & MILGI__EXT(MILGI__EXT_EARLY_DATA)) != 0 && hs->result.version == MILGI__TLS13;
    if (!milgi__take_server_name(hs, ext))
        return false;
    milgi__hs_take_schemes(hs, ext);
    return milgi__strict_hello(hs, ext) && take_protocols(hs, hello) && milgi__take_authorities(hs, ext->authorities);
}

/*= RFC8446 9.2: "If not containing a "pre_shared_key" extension, it MUST contain both a "signature_algorithms"
 *= extension and a "supported_groups" extension." As one that holds no PSK for us. */
static bool needs_schemes(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    if (hs->session)
        return true;
    if (!hs->retried && !milgi__may_do_without_psk(hs, ext))
        return false;
    if ((ext->present & MILGI__EXT(MILGI__EXT_SCHEMES)) != 0)
        return true;
    milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_MISSING_EXTENSION, "ClientHello without signature_algorithms");
    return false;
}

static bool find_group(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    if ((ext->present & MILGI__EXT(MILGI__EXT_GROUPS)) != 0)
        return choose_group(hs, ext);
    milgi__hs_fail(hs, MILGI_EPROTO, MILGI_ALERT_MISSING_EXTENSION, "ClientHello without supported_groups");
    return false;
}

static enum milgi__step answer_of(const struct milgi__hs *hs)
{
    return hs->session ? MILGI__S13_START_RESUMED : MILGI__S13_START_FLIGHT;
}

/* What is to be known of us besides a group: asked, or found, while keys are made. */
static void start_decisions(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    if (!hs->session)
        milgi__start_decision(hs, MILGI__CREDENTIAL, true);
    if (hs->session || (hs->done & MILGI__ON(MILGI__CREDENTIAL)) != 0)
        hs->peer_authorities = (struct milgi__bytes){ NULL, 0 };
    if (!hs->session)
        milgi__start_decision(hs, MILGI__OCSP, true);
    milgi__start_decision(hs, MILGI__ALPN, (ext->present & MILGI__EXT(MILGI__EXT_ALPN)) != 0);
    if ((hs->done & MILGI__ON(MILGI__ALPN)) != 0)
        hs->peer_alpn = (struct milgi__bytes){ NULL, 0 }; /* it may go with the message */
}

/* Before a group is looked for: a client that wants psk_ke need not have one. */
static bool try_plain_psk(struct milgi__hs *hs, const struct milgi__exts *ext)
{
    if (!milgi__choose_session(hs, ext, false))
        return false;
    return hs->session ? milgi__no_exchange(hs) : find_group(hs, ext);
}

enum milgi__step milgi__server13_hello(struct milgi__hs *hs, struct milgi__client_hello *hello)
{
    const struct milgi__exts *ext = &hello->ext;
    bool plain = hs->psk_mode == MILGI__PSK_PLAIN;
    if (!milgi__begin_exchange(hs, 1) || !choose_suite(hs, hello->suites) || (!plain && !find_group(hs, ext)) ||
        !milgi__server_take_hello(hs, hello))
        return MILGI__FAILED;
    int rv = milgi__transcript_start(&hs->transcript, hs->host.cx, hs->suite->hash);
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    if (plain && !try_plain_psk(hs, ext))
        return MILGI__FAILED;
    if (hs->retried) {
        hs->first_hello = milgi__arena_alloc(&hs->arena, MILGI__HASH_MAX);
        rv = hs->first_hello ? milgi__client_hello_digest(hs->host.cx, hello, hs->first_hello) : MILGI_ENOMEM;
    }
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    hs->result.hello_retry = hs->retried;
    bool ok = true;
    if (!plain)
        ok = hs->retried ? milgi__keep_identities(hs, ext) : milgi__choose_session(hs, ext, false);
    if (!ok || !needs_schemes(hs, ext))
        return MILGI__FAILED;
    if (plain && hs->session) {
        start_decisions(hs, ext);
        return MILGI__S13_SEND_PSK;
    }
    if (!milgi__start_server_share(hs))
        return MILGI__FAILED;
    start_decisions(hs, ext);
    return hs->retried ? MILGI__S13_SEND_RETRY : answer_of(hs);
}

/* --- HelloRetryRequest and the second ClientHello --------------------------------------------------------------- */

/*= RFC8446 D.4: "if the client sends a non-empty session ID, the server MUST send the change_cipher_spec", "immediately
 *= after its first handshake message" */
static void please_middleboxes(struct milgi__hs *hs)
{
    if (hs->session_id_len != 0)
        (void)hs->host.calls->send_ccs(hs->host.ctx);
}

static enum milgi__step send_retry(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    uint8_t message[256];
    struct milgi__writer w = milgi__writer(message, sizeof message);
    struct milgi__server_hello retry = {
        .retry = true,
        .session_id = { hs->session_id, hs->session_id_len },
        .suite = hs->suite->id,
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
            .version = MILGI__TLS13,
            .group = hs->result.group,
        },
    };
    milgi__server_hello_encode(&w, &retry);
    int rv = milgi__transcript_retry(&hs->transcript, hs->host.cx);
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    if (!milgi__hs_send(hs, (struct milgi__bytes){ message, milgi__written(&w) }))
        return MILGI__FAILED;
    please_middleboxes(hs);
    return MILGI__S13_RECV_HELLO_AGAIN;
}

static enum milgi__step recv_hello_again(struct milgi__hs *hs, struct milgi__reader *body)
{
    struct milgi__failure failure;
    struct milgi__client_hello hello;
    uint8_t digest[MILGI__HASH_MAX];
    if (!milgi__client_hello_decode(body, &hello, &failure) || !milgi__client_hello_decode13(&hello, &failure))
        return milgi__hs_refuse(hs, &failure);
    int rv = milgi__client_hello_digest(hs->host.cx, &hello, digest);
    if (rv != 0)
        return milgi__hs_broken(hs, rv);
    /*= RFC8446 4.1.2: "In that case, the client MUST send the same ClientHello without modification, except as
     *= follows" */
    if (memcmp(digest, hs->first_hello, milgi__hash_len(MILGI__SHA256)) != 0)
        return milgi__hs_illegal(hs, "the second ClientHello differs from the first");
    /*= RFC8446 4.1.2: "Including a "cookie" extension if one was provided in the HelloRetryRequest." We give none. */
    if ((hello.ext.present & MILGI__EXT(MILGI__EXT_COOKIE)) != 0)
        return milgi__hs_illegal(hs, "the second ClientHello has a cookie that was never given");
    /*= RFC8446 4.1.2: "Updating the "pre_shared_key" extension if present" */
    if ((hello.ext.present & ~hs->offered & MILGI__EXT(MILGI__EXT_PSK)) != 0)
        return milgi__hs_illegal(hs, "the second ClientHello has a pre_shared_key that the first had not");
    /*= RFC8446 4.2.10: "A client MUST NOT include the "early_data" extension in its followup ClientHello." */
    if ((hello.ext.present & MILGI__EXT(MILGI__EXT_EARLY_DATA)) != 0)
        return milgi__hs_illegal(hs, "the second ClientHello offers early data");
    /*= RFC8446 4.1.2: "replacing the list of shares with a list containing a single KeyShareEntry from the indicated
     *= group" */
    struct milgi__reader shares = milgi__reader_of(hello.ext.shares);
    struct milgi__bytes share;
    uint16_t group = 0;
    if (!milgi__share_next(&shares, &group, &share) || group != hs->result.group || milgi__left(&shares) != 0)
        return milgi__hs_illegal(hs, "the second ClientHello does not hold the one key share that was asked for");
    if (!milgi__take_client_share(hs, share))
        return MILGI__FAILED;
    hs->early_data = false;
    if (!milgi__choose_session(hs, &hello.ext, true) ||
        (!hs->session && !milgi__may_do_without_psk(hs, &hello.ext)))
        return MILGI__FAILED;
    return answer_of(hs);
}

/* --- ServerHello .. Certificate --------------------------------------------------------------------------------- */

/*
 * Of a ServerHello without its share, and of EncryptedExtensions without the protocol and a CertificateRequest without
 * lists: what the flight is written into is no larger than it has to be, since malloc() takes much longer from 1 KiB
 * on.
 */
#define HELLO_MAX 128u
#define EXTENSIONS_MAX 32u
#define REQUEST_MAX 32u

static bool write_hello(struct milgi__hs *hs)
{
    bool plain = hs->session && hs->psk_mode == MILGI__PSK_PLAIN;
    struct milgi__bytes share = { hs->client_random, 0 };
    if (!plain)
        share = milgi__server_share(hs);
    size_t cap = HELLO_MAX + share.len;
    uint8_t random[32];
    uint8_t *message = milgi__arena_alloc(&hs->unsent, cap);
    bool memory = message && share.p;
    if (!memory || hs->host.calls->random(hs->host.ctx, random, sizeof random) != 0) {
        milgi__hs_broken(hs, !memory ? MILGI_ENOMEM : MILGI_EINTERNAL);
        return false;
    }
    struct milgi__writer w = milgi__writer(message, cap);
    struct milgi__server_hello hello = {
        .random = random,
        .session_id = { hs->session_id, hs->session_id_len },
        .suite = hs->suite->id,
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
            .version = MILGI__TLS13,
            .group = hs->result.group,
            .share = share,
            .psk = hs->psk_at,
        },
    };
    if (hs->session)
        hello.ext.present |= MILGI__EXT(MILGI__EXT_PSK);
    /*= RFC8446 4.2.9: "psk_ke: PSK-only key establishment. In this mode, the server MUST NOT supply a "key_share"
     *= value." */
    if (plain)
        hello.ext.present &= ~MILGI__EXT(MILGI__EXT_KEY_SHARE);
    milgi__server_hello_encode(&w, &hello);
    hs->hello = (struct milgi__bytes){ message, milgi__written(&w) };
    if (!milgi__hs_record(hs, hs->hello))
        return false;
    int rv = milgi__transcript_hash(&hs->transcript, hs->host.cx, hs->kex->hello_hash);
    if (rv != 0)
        milgi__hs_broken(hs, rv);
    return rv == 0;
}

static void write_extensions(struct milgi__hs *hs, struct milgi__writer *w)
{
    uint8_t chosen[256];
    size_t len = strlen(hs->result.alpn);
    struct milgi__exts ext = { .alpn = { chosen, len + 1 } };
    chosen[0] = (uint8_t)len;
    memcpy(chosen + 1, hs->result.alpn, len);
    if (len != 0)
        ext.present |= MILGI__EXT(MILGI__EXT_ALPN);
    /*= RFC6066 3: "In this event, the server SHALL include an extension of type "server_name"", and: "When resuming a
     *= session, the server MUST NOT include a server_name extension in the server hello." */
    if (hs->result.server_name && !hs->session)
        ext.present |= MILGI__EXT(MILGI__EXT_SERVER_NAME);
    /*= RFC8449 4: "In TLS 1.3, the server sends the "record_size_limit" extension in the EncryptedExtensions
     *= message." */
    ext.record_limit = milgi__hs_record_limit(hs);
    if (hs->peer_record_limit != 0)
        ext.present |= MILGI__EXT(MILGI__EXT_RECORD_LIMIT);
    milgi__encrypted_extensions_encode(w, &ext);
}

static bool write_request(struct milgi__hs *hs, struct milgi__writer *w)
{
    struct milgi__certificate_request request = {
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_SCHEMES) | MILGI__EXT(MILGI__EXT_CERT_SCHEMES),
            .schemes = milgi__hs_wire(hs, &hs->config->schemes),
            .cert_schemes = milgi__hs_wire(hs, &hs->config->cert_schemes),
        },
    };
    if (hs->config->cert_schemes.n == 0)
        request.ext.present = MILGI__EXT(MILGI__EXT_SCHEMES);
    request.ext.authorities = (struct milgi__bytes){ hs->config->authorities, hs->config->authorities_len };
    if (hs->config->authorities_len != 0)
        request.ext.present |= MILGI__EXT(MILGI__EXT_AUTHORITIES);
    if (!request.ext.schemes.p || !request.ext.cert_schemes.p)
        return false;
    milgi__certificate_request_encode(w, &request);
    return true;
}

/* The rest of it, behind EncryptedExtensions. */
static void write_certificate(struct milgi__hs *hs, struct milgi__writer *w, const struct milgi__exts *leaf)
{
    const struct milgi_credential *credential = hs->credential;
    struct milgi__bytes none = { NULL, 0 }, chain = { credential->chain, credential->chain_len };
    milgi__certificate_encode_with(w, none, chain, leaf);
    if (w->bad)
        milgi__hs_broken(hs, MILGI_EINTERNAL);
}

static size_t flight_cap(const struct milgi__hs *hs, const struct milgi__exts *leaf)
{
    const struct milgi_credential *credential = hs->credential;
    struct milgi__bytes none = { NULL, 0 }, chain = { credential->chain, credential->chain_len };
    size_t cap = EXTENSIONS_MAX + strlen(hs->result.alpn) + milgi__certificate_len(none, chain, credential->chain_n);
    if (hs->config->client_auth != MILGI_CLIENT_AUTH_NONE)
        cap += REQUEST_MAX + sizeof(uint16_t) * (hs->config->schemes.n + hs->config->cert_schemes.n) +
            hs->config->authorities_len;
    /* Type and length of each extension, of its list, and the type of the status. */
    return cap + leaf->status.len + leaf->timestamps.len + 16;
}

static bool write_flight(struct milgi__hs *hs)
{
    struct milgi__beside beside = milgi__hs_beside_leaf(hs);
    size_t cap = flight_cap(hs, &beside.ext);
    uint8_t *messages = milgi__arena_alloc(&hs->unsent, cap);
    struct milgi__writer w = milgi__writer(messages, messages ? cap : 0);
    if (messages)
        write_extensions(hs, &w);
    if (!messages || (hs->config->client_auth != MILGI_CLIENT_AUTH_NONE && !write_request(hs, &w)))
        milgi__hs_broken(hs, MILGI_ENOMEM);
    else
        write_certificate(hs, &w, &beside.ext);
    milgi__beside_fini(&beside);
    if (hs->step == MILGI__FAILED)
        return false;
    hs->flight = (struct milgi__bytes){ messages, milgi__written(&w) };
    return milgi__hs_record(hs, hs->flight);
}

static enum milgi__step start_flight(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!write_hello(hs) || !milgi__start_server_derive(hs))
        return MILGI__FAILED;
    if (!write_flight(hs) || !milgi__hs_sign_transcript(hs))
        return MILGI__FAILED;
    return MILGI__S13_SEND_CERTIFICATE;
}

/* With DERIVE back: all that was written leaves, under its keys. */
static bool send_flight(struct milgi__hs *hs)
{
    if (!milgi__hs_handshake_secrets(hs) || !milgi__hs_emit(hs, hs->hello))
        return false;
    if (!hs->retried)
        please_middleboxes(hs);
    if (!milgi__hs_install(hs, MILGI__LEVEL_HANDSHAKE, MILGI__WRITE, hs->schedule.server_hs) ||
        !milgi__hs_install(hs, MILGI__LEVEL_HANDSHAKE, MILGI__READ, hs->schedule.client_hs))
        return false;
    if (hs->peer_record_limit != 0)
        milgi__hs_limit_records(hs, hs->peer_record_limit);
    if (!milgi__hs_emit(hs, hs->flight))
        return false;
    milgi__arena_wipe(&hs->unsent);
    hs->hello = hs->flight = (struct milgi__bytes){ NULL, 0 };
    return true;
}

static enum milgi__step send_certificate(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return send_flight(hs) ? MILGI__S13_SEND_VERIFY : MILGI__FAILED;
}

/* Our Finished; then we write under the application's keys. */
static bool finish_flight(struct milgi__hs *hs)
{
    if (!milgi__hs_send_finished(hs, hs->schedule.server_hs) || !milgi__hs_app_secrets(hs) ||
        !milgi__hs_install(hs, MILGI__LEVEL_APP, MILGI__WRITE, hs->schedule.server_app))
        return false;
    hs->half_open = true;
    return true;
}

/* --- on a session ----------------------------------------------------------------------------------------------- */

/* Neither certificate nor signature: the client has shown that it has the session's secret, and we do the same. */
static bool write_resumed(struct milgi__hs *hs)
{
    size_t cap = 512;
    uint8_t *message = milgi__arena_alloc(&hs->unsent, cap);
    struct milgi__writer w = milgi__writer(message, message ? cap : 0);
    if (message)
        write_extensions(hs, &w);
    if (!message || w.bad) {
        milgi__hs_broken(hs, message ? MILGI_EINTERNAL : MILGI_ENOMEM);
        return false;
    }
    hs->flight = (struct milgi__bytes){ message, milgi__written(&w) };
    return milgi__hs_record(hs, hs->flight);
}

static enum milgi__step start_resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->session)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    if (!write_hello(hs) || !milgi__start_server_derive(hs))
        return MILGI__FAILED;
    return write_resumed(hs) ? MILGI__S13_SEND_RESUMED : MILGI__FAILED;
}

/* psk_ke: nothing is to be derived, so all of it leaves at once. */
static enum milgi__step send_psk(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!hs->session || hs->psk_mode != MILGI__PSK_PLAIN)
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    return write_hello(hs) && write_resumed(hs) && send_flight(hs) && finish_flight(hs)
        ? MILGI__S13_RECV_FINISHED_RESUMED
        : MILGI__FAILED;
}

static enum milgi__step send_resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    return send_flight(hs) && finish_flight(hs) ? MILGI__S13_RECV_FINISHED_RESUMED : MILGI__FAILED;
}

static enum milgi__step recv_finished_resumed(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_finished(hs, body, hs->schedule.client_hs))
        return MILGI__FAILED;
    /* Whom the session knows is judged again; where nobody was asked for a certificate there is nobody to judge. */
    milgi__start_decision(hs, MILGI__PEER, hs->config->client_auth != MILGI_CLIENT_AUTH_NONE || hs->result.psk);
    return MILGI__S13_RESUMED;
}

/* --- CertificateVerify, Finished -------------------------------------------------------------------------------- */

static enum milgi__step send_verify(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    if (!milgi__hs_send_verify(hs) || !finish_flight(hs))
        return MILGI__FAILED;
    if (hs->config->client_auth == MILGI_CLIENT_AUTH_NONE)
        return MILGI__S13_RECV_FINISHED_ANONYMOUS;
    return MILGI__S13_RECV_CERTIFICATE;
}

/* --- the client's flight ---------------------------------------------------------------------------------------- */

static enum milgi__step recv_certificate(struct milgi__hs *hs, struct milgi__reader *body)
{
    if (!milgi__hs_take_certificate(hs, body))
        return MILGI__FAILED;
    if (hs->peer_chain.len != 0)
        return milgi__start_chain(hs) ? MILGI__S13_RECV_VERIFY : MILGI__FAILED;
    /*= RFC8446 4.4.2.4: "the server MAY at its discretion either continue the handshake without client authentication
     *= or abort the handshake with a "certificate_required" alert" */
    if (hs->config->client_auth == MILGI_CLIENT_AUTH_REQUIRED)
        return milgi__hs_fail(
            hs, MILGI_EVERIFY, MILGI_ALERT_CERTIFICATE_REQUIRED, "the client has sent no certificate");
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__S13_RECV_FINISHED_EMPTY;
}

static enum milgi__step recv_verify(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_verify(hs, body) ? MILGI__S13_RECV_FINISHED : MILGI__FAILED;
}

static enum milgi__step recv_finished(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_finished(hs, body, hs->schedule.client_hs) ? MILGI__S13_JUDGE : MILGI__FAILED;
}

static enum milgi__step recv_finished_empty(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_finished(hs, body, hs->schedule.client_hs) ? MILGI__S13_AUTHENTICATED_EMPTY : MILGI__FAILED;
}

static enum milgi__step recv_finished_anonymous(struct milgi__hs *hs, struct milgi__reader *body)
{
    return milgi__hs_take_finished(hs, body, hs->schedule.client_hs) ? MILGI__S13_ANONYMOUS : MILGI__FAILED;
}

/* The chain was accepted: only now the application is asked, so that it can refuse but not overrule. */
static enum milgi__step judge(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    milgi__start_decision(hs, MILGI__PEER, true);
    return MILGI__S13_AUTHENTICATED;
}

/* --- the barrier ------------------------------------------------------------------------------------------------ */

static enum milgi__step open_connection(struct milgi__hs *hs)
{
    if (!milgi__hs_install(hs, MILGI__LEVEL_APP, MILGI__READ, hs->schedule.client_app))
        return MILGI__FAILED;
    return milgi__issues_tickets(hs) ? MILGI__S13_SEAL_TICKETS : MILGI__OPEN;
}

/* The session's secret, and Finished: the client is the one of the full handshake that it goes back to. */
static enum milgi__step resumed(struct milgi__hs *hs, struct milgi__reader *none)
{
    (void)none;
    bool demanded = hs->config->client_auth == MILGI_CLIENT_AUTH_REQUIRED;
    if (hs->result.psk)
        demanded = demanded && !hs->config->psk_without_certificate;
    if (!hs->session || (demanded && !hs->session->f.authenticated && hs->session->f.verdict == 0))
        return milgi__hs_broken(hs, MILGI_EINTERNAL);
    hs->result.peer_authenticated = hs->session->f.authenticated;
    hs->result.credential = NULL; /* one that was chosen before a retry was not used */
    hs->result.scheme = 0;
    return open_connection(hs);
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

/* --- the table -------------------------------------------------------------------------------------------------- */

#define FIRST MILGI__S13_FIRST

/* clang-format off */
const struct milgi__row milgi__server13_rows[] = {
    [MILGI__S13_SEND_RETRY - FIRST] = {
        .name = "send_retry", .run = send_retry, .message = NONE,
        .next = TO(S13_RECV_HELLO_AGAIN),
        .sends = { MSG(SERVER_HELLO) },
        KEYS(INITIAL, INITIAL), .takes_ccs = true,
    },
    [MILGI__S13_RECV_HELLO_AGAIN - FIRST] = {
        .name = "recv_hello_again", .run = recv_hello_again, .message = MSG(CLIENT_HELLO),
        .starts = ON(CAPSULE),
        .next = TO(S13_START_RESUMED) | TO(S13_START_FLIGHT),
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_START_RESUMED - FIRST] = {
        .name = "start_resumed", .run = start_resumed, .message = NONE,
        .needs = ON(KEYGEN_1) | ON(CAPSULE) | ON(ALPN), .starts = ON(DERIVE),
        .next = TO(S13_SEND_RESUMED),
        KEYS(INITIAL, INITIAL), .takes_ccs = true,
    },
    [MILGI__S13_SEND_RESUMED - FIRST] = {
        .name = "send_resumed", .run = send_resumed, .message = NONE,
        .needs = ON(DERIVE),
        .next = TO(S13_RECV_FINISHED_RESUMED),
        .sends = { MSG(SERVER_HELLO), MSG(ENCRYPTED_EXTENSIONS), MSG(FINISHED) },
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_SEND_PSK - FIRST] = {
        .name = "send_psk", .run = send_psk, .message = NONE,
        .needs = ON(ALPN),
        .next = TO(S13_RECV_FINISHED_RESUMED),
        .sends = { MSG(SERVER_HELLO), MSG(ENCRYPTED_EXTENSIONS), MSG(FINISHED) },
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_RECV_FINISHED_RESUMED - FIRST] = {
        .name = "recv_finished_resumed", .run = recv_finished_resumed, .message = MSG(FINISHED),
        .starts = ON(PEER),
        .next = TO(S13_RESUMED),
        KEYS(HANDSHAKE, APP), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_RESUMED - FIRST] = {
        .name = "resumed", .run = resumed, .message = NONE,
        .needs = ON(PEER),
        .next = TO(S13_SEAL_TICKETS) | TO(OPEN),
        KEYS(HANDSHAKE, APP), .flight_ends = true,
    },
    [MILGI__S13_START_FLIGHT - FIRST] = {
        .name = "start_flight", .run = start_flight, .message = NONE,
        .needs = ON(KEYGEN_1) | ON(CAPSULE) | ON(CREDENTIAL) | ON(ALPN) | ON(OCSP), .starts = ON(DERIVE) | ON(SIGN),
        .next = TO(S13_SEND_CERTIFICATE),
        KEYS(INITIAL, INITIAL), .takes_ccs = true,
    },
    [MILGI__S13_SEND_CERTIFICATE - FIRST] = {
        .name = "send_certificate", .run = send_certificate, .message = NONE,
        .needs = ON(DERIVE),
        .next = TO(S13_SEND_VERIFY),
        .sends = { MSG(SERVER_HELLO), MSG(ENCRYPTED_EXTENSIONS), MSG(CERTIFICATE_REQUEST), MSG(CERTIFICATE) },
        .sends_maybe = 1 << 2,
        KEYS(INITIAL, INITIAL), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_SEND_VERIFY - FIRST] = {
        .name = "send_verify", .run = send_verify, .message = NONE,
        .needs = ON(SIGN),
        .next = TO(S13_RECV_CERTIFICATE) | TO(S13_RECV_FINISHED_ANONYMOUS),
        .sends = { MSG(CERTIFICATE_VERIFY), MSG(FINISHED) },
        KEYS(HANDSHAKE, HANDSHAKE), .takes_ccs = true,
    },
    [MILGI__S13_RECV_CERTIFICATE - FIRST] = {
        .name = "recv_certificate", .run = recv_certificate, .message = MSG(CERTIFICATE),
        .starts = ON(CHAIN) | ON(PEER),
        .next = TO(S13_RECV_VERIFY) | TO(S13_RECV_FINISHED_EMPTY),
        KEYS(HANDSHAKE, APP), .takes_ccs = true,
    },
    [MILGI__S13_RECV_VERIFY - FIRST] = {
        .name = "recv_verify", .run = recv_verify, .message = MSG(CERTIFICATE_VERIFY),
        .starts = ON(VERIFY),
        .next = TO(S13_RECV_FINISHED),
        KEYS(HANDSHAKE, APP), .takes_ccs = true,
    },
    [MILGI__S13_RECV_FINISHED - FIRST] = {
        .name = "recv_finished", .run = recv_finished, .message = MSG(FINISHED),
        .next = TO(S13_JUDGE),
        KEYS(HANDSHAKE, APP), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_RECV_FINISHED_EMPTY - FIRST] = {
        .name = "recv_finished_empty", .run = recv_finished_empty, .message = MSG(FINISHED),
        .next = TO(S13_AUTHENTICATED_EMPTY),
        KEYS(HANDSHAKE, APP), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_RECV_FINISHED_ANONYMOUS - FIRST] = {
        .name = "recv_finished_anonymous", .run = recv_finished_anonymous, .message = MSG(FINISHED),
        .next = TO(S13_ANONYMOUS),
        KEYS(HANDSHAKE, APP), .flight_ends = true, .takes_ccs = true,
    },
    [MILGI__S13_JUDGE - FIRST] = {
        .name = "judge", .run = judge, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY), .starts = ON(PEER),
        .next = TO(S13_AUTHENTICATED),
        KEYS(HANDSHAKE, APP),
    },
    [MILGI__S13_AUTHENTICATED - FIRST] = {
        .name = "authenticated", .run = authenticated, .message = NONE,
        .needs = ON(CHAIN) | ON(VERIFY) | ON(PEER),
        .next = TO(S13_SEAL_TICKETS) | TO(OPEN),
        KEYS(HANDSHAKE, APP), .flight_ends = true,
    },
    [MILGI__S13_AUTHENTICATED_EMPTY - FIRST] = {
        .name = "authenticated_empty", .run = authenticated_empty, .message = NONE,
        .needs = ON(PEER),
        .next = TO(S13_SEAL_TICKETS) | TO(OPEN),
        KEYS(HANDSHAKE, APP), .flight_ends = true,
    },
    [MILGI__S13_ANONYMOUS - FIRST] = {
        .name = "anonymous", .run = anonymous, .message = NONE,
        .next = TO(S13_SEAL_TICKETS) | TO(OPEN),
        KEYS(HANDSHAKE, APP), .flight_ends = true,
    },
    [MILGI__S13_SEAL_TICKETS - FIRST] = {
        .name = "seal_tickets", .run = milgi__seal_tickets, .message = NONE,
        .starts = ON(SEAL_1) | ON(SEAL_2) | ON(SEAL_3) | ON(SEAL_4) | ON(TICKET_SEAL),
        .next = TO(S13_SEND_TICKETS),
        KEYS(APP, APP),
    },
    [MILGI__S13_SEND_TICKETS - FIRST] = {
        .name = "send_tickets", .run = milgi__send_tickets, .message = NONE,
        .needs = ON(SEAL_1) | ON(SEAL_2) | ON(SEAL_3) | ON(SEAL_4) | ON(TICKET_SEAL),
        .next = TO(OPEN),
        .sends = { MSG(NEW_SESSION_TICKET) },
        .sends_maybe = 1 << 0,
        KEYS(APP, APP),
    },
};
/* clang-format on */
