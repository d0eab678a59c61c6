/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: bytes are pushed in from the network and from the application; output, data and events are pushed
 * out from inside milgi_engine_run(). It has no socket, thread, clock or timer of its own.
 *
 *            network                          application
 *   milgi_conn_receive() ---->  conn  ----> on_data()  ... milgi_conn_consumed()
 *            on_output() <----  conn  <---- milgi_conn_send(), milgi_conn_write()
 *   milgi_conn_output_done()                on_room()
 *
 * MEMORY. What one connection holds is bounded by the limits of its config (enum milgi_limit), whatever the peer, the
 * network, the devices and the application do:
 *
 *   staged input    2 * INPUT + MILGI_CHUNK_MAX, then the connection fails; a host that heeds PAUSE: INPUT and a slice
 *   records         WINDOW of them in each direction, as ciphertext and as plaintext
 *   delivered       CREDIT + 16 KiB, until milgi_conn_consumed()
 *   output          OUTPUT + the larger of OUTPUT and 2 * (CREDIT + 16 KiB) given; OUTPUT and a record of it framed,
 *                   until milgi_conn_output_done()
 *   handshake       six times HANDSHAKE_MESSAGE and our own chain, until on_established
 *
 * in bytes of chunks that are pinned: up to four times as many, since a slice below a quarter of its chunk is copied
 * and a larger one is not. With the defaults and everything driven to its end at once that is below 12 MiB; with full
 * chunks, a host that heeds PAUSE and an application that reads nothing, below 1 MiB.
 *
 * When more than a quarter of the engine's chunks are in use, INPUT, CREDIT and OUTPUT shrink together for all its
 * connections alike, down to a record each way: PAUSE comes earlier, so that peers that never read, or that nobody
 * reads, cannot use up the memory of the others. milgi_conn_read_size() says how much to read at once.
 *
 * RELAY. What comes in on one connection can go out on another as it comes, however slow its peer is: withhold credit
 * from MILGI_PAUSE to on_room. What is delivered by then always fits, if both have the same CREDIT and OUTPUT:
 *
 *   on_data(from):  for each slice: { milgi_slice_keep(&slice); rv = milgi_conn_send(to, slice); }
 *                   owed += bytes;  if (rv == 0) { milgi_conn_consumed(from, owed); owed = 0; }
 *   on_room(to):    milgi_conn_consumed(from, owed); owed = 0;
 */
#pragma once

#include <stdbool.h>

#include <milgi/config.h>
#include <milgi/engine.h>
#include <milgi/psk.h>
#include <milgi/session.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_conn;
struct milgi_traffic_keys;

/* Why a connection ended. */
struct milgi_reason {
    int error; /* 0: both directions were closed in order; else MILGI_E* */
    enum milgi_error_class cls;
    enum milgi_fault fault;
    int alert;            /* enum milgi_alert; MILGI_ALERT_NONE: none */
    bool alert_from_peer; /* received, else sent */
    int op;               /* enum milgi_op_type that failed, or -1 */
    int device_code;      /* of the op's device, or X509_V_ERR_* for VERIFY_CHAIN; else 0 */
    const char *detail;   /* static text for people, never NULL */
};

/* A question that may be answered later; plain data, valid as a token for ever. */
struct milgi_decision {
    uint32_t index, generation; /* of the connection */
    uint32_t kind;              /* enum milgi_decision_kind */
};

#define MILGI_ALPN_SHOWN 64
#define MILGI_AUTHORITIES_SHOWN 64
#define MILGI_SUITES_SHOWN 128

/*
 * What a decision is about: read it with milgi_decision_info(). Pointers are valid until the decision is answered or
 * the connection is closed.
 */
struct milgi_decision_info {
    const char *server_name; /* SNI, or NULL */
    const uint16_t *schemes; /* signature schemes that the peer takes */
    size_t schemes_n;
    const struct milgi_iov *alpn; /* protocols that the client offers: the first MILGI_ALPN_SHOWN of them */
    size_t alpn_n;
    /*
     * Server: what else the client offers, known or not, as it came: the first MILGI_SUITES_SHOWN suites, 64 groups and
     * 16 versions (of a client that names none the highest). For decisions about its ClientHello.
     */
    const uint16_t *suites, *groups, *versions;
    size_t suites_n, groups_n, versions_n;
    /* PEER: the peer's certificates in DER, leaf first; none when an optional client certificate was not sent */
    const struct milgi_iov *chain;
    size_t chain_n;
    /*
     * PEER: the path that VERIFY_CHAIN has accepted, from the leaf to an anchor of the config's trust: those of |chain|
     * that it took, in the order of the path, and the anchor, whether it was sent or not; a leaf that is an anchor,
     * alone. None where nothing was verified: of a server that nobody verifies
     * (milgi_config_dangerously_accept_any_server()), a resumed connection, whose chain was accepted then, a PSK, no
     * certificate; and when a device does not tell (milgi/op.h). After the answer nobody keeps it: copy what is wanted
     * for longer.
     */
    const struct milgi_iov *path;
    size_t path_n;
    /*
     * PEER, under milgi_config_dangerously_only_report_peer(): why VERIFY_CHAIN has not accepted |chain|, now or in the
     * full handshake that a resumed connection goes back to: X509_V_ERR_*. 0: it has, or nothing was verified
     */
    int verdict;
    /*
     * CREDENTIAL: names in DER of authorities that the peer wishes its certificate to be issued by: the first
     * MILGI_AUTHORITIES_SHOWN of them, none longer than 1 KiB; n is 0 when it has no wish
     */
    const struct milgi_iov *authorities;
    size_t authorities_n;
    const struct milgi_credential *credential; /* OCSP: for whose leaf */
    /*
     * PSK, TICKET_OPEN: identities that the client offers, in its order: of the first four those that are no tickets
     * under the config's keys; in TLS 1.2 its ticket
     */
    const struct milgi_iov *psk_identities;
    size_t psk_identities_n;
    struct milgi_session *const *sessions; /* TICKET_SEAL: a ticket is wanted for each; see milgi_session_encode() */
    size_t sessions_n;
    struct milgi_iov psk_identity; /* PEER: of the external PSK that the peer has, which has no chain; len 0: none */
    struct milgi_iov session_id;   /* SESSION_LOOKUP, SESSION_STORE: at most 32 bytes */
    struct milgi_session *session; /* SESSION_STORE: which is to be kept; see milgi_session_encode() */
};

/* An answer to TICKET_OPEN: the session of psk_identities[at]. It is judged as if it had come out of our own ticket. */
struct milgi_ticket_opened {
    size_t at;
    struct milgi_session *session;
};
/* An answer to TICKET_SEAL: ticket[i] of sessions[i], of 1 to MILGI_TICKET_MAX bytes; len 0: none for this one. */
#define MILGI_TICKET_MAX 16384
struct milgi_tickets_sealed {
    struct milgi_iov ticket[MILGI_TICKETS_MAX];
};

/* The answers. */
enum milgi_verdict {
    /*
     * the connection fails: handshake_failure, no_application_protocol, or for PEER access_denied; OCSP: none is
     * sent; PSK, TICKET_OPEN, SESSION_LOOKUP: none of them, which leaves a full handshake; TICKET_SEAL: none is given
     * out; SESSION_STORE: it is not kept
     */
    MILGI_REFUSE,
    /*
     * with the result: CREDENTIAL: a struct milgi_credential * (it takes a reference of its own); ALPN: a string,
     * copied; PEER: NULL; OCSP: a const struct milgi_iov *, a response in DER of at most 65535 bytes, copied; PSK: a
     * struct milgi_psk * of one of the identities (it takes a reference of its own); TICKET_OPEN: a const struct
     * milgi_ticket_opened * (the same); TICKET_SEAL: a const struct milgi_tickets_sealed *, copied;
     * SESSION_LOOKUP: a struct milgi_session * (it takes a reference of its own), which is judged like one in a ticket;
     * SESSION_STORE: NULL, it is kept; CONFIG: a struct milgi_config *, frozen and a server's (it takes a reference)
     */
    MILGI_ACCEPT,
    MILGI_DEFAULT /* as if it had not been asked; for CREDENTIAL in a client: as the config says; result is NULL */
};

/*
 * The next layer. All callbacks come from inside milgi_engine_run(), in the engine's thread; none after
 * milgi_conn_free(). Each may be NULL except on_output. |arg| is the one given to milgi_conn_new().
 *
 * on_output       |iov_n| pieces for the network, in order, each byte once: the memory stays valid until
 *                 milgi_conn_output_done() has counted it. Once per connection and turn.
 * on_data         |slices_n| slices of plaintext, in order, at most one call per turn and pass. Borrowed:
 *                 milgi_slice_keep() for longer. Counts against the credit until milgi_conn_consumed().
 * on_pause        stop calling milgi_conn_receive() (it has answered or will answer MILGI_PAUSE); on_resume: go on.
 * on_room         milgi_conn_send() and milgi_conn_write() had answered MILGI_PAUSE; there is room again.
 * on_established  the handshake is complete and the peer authenticated as the config demands.
 * on_decide       a question (only those of milgi_config_set_ask()); answer now or later with milgi_decide().
 * on_alert        the peer sent this alert: close_notify (0) means that no more data comes (end of its half);
 *                 user_canceled; a fatal one is followed by on_closed.
 * on_session      client: the server has given out a session (session.h) for the next connection; borrowed: for longer
 *                 milgi_session_ref(). It is in the config's cache already, if there is one.
 * on_closed       the connection has ended; once; the last callback: all output, an alert too, has been handed out
 *                 before it. Free the connection when the network has taken the output, or it is given up: the memory
 *                 stays valid until milgi_conn_free().
 * on_record       instead of on_output when sending was handed over (handover.h): content of |type| for records that
 *                 somebody else seals. An alert is a record of its own; application data is as much as there is. The
 *                 memory is as that of on_output. May come several times in a turn.
 * on_keys         the keys of a direction (enum milgi_direction) that was handed over change here: sending, behind the
 *                 record that came last; receiving, behind the last that was handled. Borrowed: to be copied and wiped.
 */
struct milgi_events {
    void (*on_output)(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n);
    void (*on_data)(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t slices_n);
    void (*on_pause)(struct milgi_conn *conn, void *arg);
    void (*on_resume)(struct milgi_conn *conn, void *arg);
    void (*on_room)(struct milgi_conn *conn, void *arg);
    void (*on_established)(struct milgi_conn *conn, void *arg);
    void (*on_decide)(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision);
    void (*on_alert)(struct milgi_conn *conn, void *arg, int alert);
    void (*on_closed)(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason);
    void (*on_session)(struct milgi_conn *conn, void *arg, struct milgi_session *session);
    void (*on_record)(
        struct milgi_conn *conn, void *arg, uint8_t type, const struct milgi_iov *iov, size_t iov_n);
    void (*on_keys)(struct milgi_conn *conn, void *arg, int direction, const struct milgi_traffic_keys *keys);
};

/*
 * A new connection. A client begins its handshake at the next turn; |server_name| (copied) is the DNS name or IP
 * address literal that it wants: sent as SNI (names only) and checked against the certificate. It may be NULL for a
 * server, or for a client whose config accepts any server. |events| is borrowed until the connection is freed.
 * Returns 0; MILGI_EINVAL (not frozen; no name to check; a malformed name), MILGI_ENOMEM, MILGI_ELIMIT (conn_limit),
 * MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_new(struct milgi_engine *engine, struct milgi_config *config,
    const char *server_name, const struct milgi_events *events, void *arg, struct milgi_conn **conn);

/*
 * Frees the connection: O(1), at any time, from any callback. Ops that are in flight become the engine's orphans. No
 * close_notify is sent: milgi_conn_shutdown() does that. Memory handed to on_output is invalid from here on. In another
 * process nothing is freed.
 */
MILGI_API void milgi_conn_free(struct milgi_conn *conn);

/* The one that was given to milgi_conn_new(). */
MILGI_API void *milgi_conn_arg(const struct milgi_conn *conn);

/*
 * As milgi_chunk_new(), for bytes of this connection, to be received or sent. Memory whose last contents were this
 * connection's own need not be wiped for it, which milgi_chunk_new() has to do. NULL: the pool is empty. Then a |size|
 * of no more than milgi_conn_record_rest() may still be had, by a few at a time, from what is kept back: so those who
 * hold records that are begun, and are of no use before they are whole, do not wait for each other. Ask for that last.
 */
MILGI_API struct milgi_chunk *milgi_conn_chunk(struct milgi_conn *conn, size_t size);

/*
 * How many bytes to read at once, of at most |most|, for this connection: of its own, or of somebody whose bytes it is
 * to send. Less when more than a quarter of the engine's memory is used, so that who cannot pass on what was read
 * holds little.
 */
MILGI_API size_t milgi_conn_read_size(const struct milgi_conn *conn, size_t most);

/*
 * Ciphertext from the network. Takes the caller's reference on slice.chunk in any case but MILGI_EINVAL; the bytes
 * must not be touched from now on (they may be decrypted in place). Returns 0; MILGI_PAUSE: taken, but stop until
 * on_resume; MILGI_ECLOSED: the connection has ended, the bytes were dropped; MILGI_EINVAL (empty slice, or
 * somebody else opens, handover.h); MILGI_EFORK.
 */
MILGI_API int milgi_conn_receive(struct milgi_conn *conn, struct milgi_slice slice);

/*
 * The network has ended: |error| 0 for an orderly end, else any errno-like number for people (reason.device_code).
 * Without a close_notify before it this is MILGI_ETRUNCATED (or MILGI_ETRANSPORT): whoever reads the stream must be
 * told that it may have been cut. Returns 0 or MILGI_ECLOSED.
 */
MILGI_API int milgi_conn_receive_eof(struct milgi_conn *conn, int error);

/*
 * Application data. send() takes the reference on slice.chunk, whose bytes must not change until the library has
 * released it; write() copies. Data given before the handshake is complete waits for it. An empty slice or len 0
 * sends nothing. Records are framed at the end of the turn, so that small writes of one turn share records. Returns
 * 0; MILGI_PAUSE: taken, but stop until on_room; MILGI_ECLOSED (after milgi_conn_shutdown() or the end; nothing is
 * taken); MILGI_ENOMEM (there is no memory now; nothing is taken; engine's on_memory); MILGI_ELIMIT (more would be
 * waiting than is said under MEMORY, in spite of PAUSE or because one call gives so much; nothing is taken).
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_send(struct milgi_conn *conn, struct milgi_slice slice);
MILGI_API MILGI_MUST_CHECK int milgi_conn_write(struct milgi_conn *conn, const void *data, size_t len);

/* The application is done with |bytes| of what on_data gave it. More than was delivered counts as all. */
MILGI_API void milgi_conn_consumed(struct milgi_conn *conn, size_t bytes);
/* The network has taken |bytes| of what on_output handed out, in order. */
MILGI_API void milgi_conn_output_done(struct milgi_conn *conn, size_t bytes);

/*
 * Sends close_notify behind what was sent before; the peer may go on sending. Returns 0 or MILGI_ECLOSED. [RFC 8446
 * 6.1]
 */
MILGI_API int milgi_conn_shutdown(struct milgi_conn *conn);
/*
 * Ends at once with |alert| (internal_error, user_canceled ...; MILGI_ALERT_NONE: without one) as the last record, but
 * for the close_notify behind a user_canceled in the handshake; on_closed follows with MILGI_EREFUSED. Returns 0,
 * MILGI_ECLOSED, or MILGI_EINVAL (close_notify, or no alert at all). [RFC 8446 6.1]
 */
MILGI_API int milgi_conn_abort(struct milgi_conn *conn, int alert);
/*
 * New keys for our direction; with |ask_peer| for the peer's too, unless it has been asked and has not answered. As
 * long as the network has not taken such a change, another call adds nothing to it. Returns 0, MILGI_ECLOSED, or
 * MILGI_EINVAL before on_established. [RFC 8446 4.6.3; RFC 9846 4.7.3]
 */
MILGI_API int milgi_conn_update_keys(struct milgi_conn *conn, bool ask_peer);

/*
 * Answers a decision. |result| as enum milgi_verdict says. Returns 0; MILGI_ESTALE: answered before, or the
 * connection is gone: nothing happened, |result| stays the caller's; MILGI_EINVAL: the result does not fit the
 * question (it stays open).
 */
MILGI_API int milgi_decide(
    struct milgi_engine *engine, struct milgi_decision decision, enum milgi_verdict verdict, void *result);
/* 0, or MILGI_ESTALE. */
MILGI_API int milgi_decision_info(
    struct milgi_engine *engine, struct milgi_decision decision, struct milgi_decision_info *info);

/*
 * What was negotiated; fields are 0 or NULL while unknown. Pointers until the connection is freed; those that are taken
 * before on_established, until the callback returns. peer_chain lives shorter.
 */
struct milgi_conn_info {
    uint16_t version;                        /* 0x0304 */
    uint16_t suite, group, signature_scheme; /* scheme: of the peer's (client) or our own (server) CertificateVerify */
    bool established, hello_retry;
    /* by certificates, as the config demands; not by an external PSK, of which psk_identity tells */
    bool peer_authenticated;
    bool resumed; /* on a session: peer_authenticated is that of the full handshake that this goes back to */
    /*
     * Why the peer's certificate was not accepted, and only that was reported
     * (milgi_config_dangerously_only_report_peer()): X509_V_ERR_*; milgi_peer_verdict_text() has it in words. 0: it was
     * accepted, or there was none, or nothing was verified: peer_authenticated says whether.
     */
    int peer_verdict;
    const char *server_name; /* wanted (client) or received (server); of a handshake that has failed, too */
    const char *alpn;
    /*
     * What the peer sent: DER, leaf first; of a resumed connection, what the session has of it: all of it, the leaf, or
     * nothing (sessions keep 2 KiB of certificates, or one leaf of at most 8 KiB). Kept only until on_established
     * returns; of a handshake that has failed, until on_closed returns, and then nobody may have verified it.
     */
    const struct milgi_iov *peer_chain;
    size_t peer_chain_n;
    /*
     * What stood beside the first of them, as long: an OCSP response (judged by VERIFY_CHAIN), a
     * SignedCertificateTimestampList with its 2-byte length (not judged). len 0: none.
     */
    struct milgi_iov ocsp_response, scts;
    /* of the external PSK (psk.h) that authenticates both sides; len 0: none */
    struct milgi_iov psk_identity;
    /*
     * server, in TLS 1.2: of the session that a client may come back to by it; len 0: there is none. Of a handshake
     * that has failed, until on_closed returns: of the one that it stood on, or had just given out. Whoever keeps
     * sessions elsewhere forgets it when the connection ends with a fatal alert [RFC 5246 7.2.2].
     */
    struct milgi_iov session_id;
    const struct milgi_credential *credential; /* our own */
    /*
     * Application data; records of all types: of a direction that was handed over (handover.h) pieces that came or went
     * through the connection, not what has gone past it.
     */
    uint64_t bytes_in, bytes_out, records_in, records_out;
    uint32_t key_updates_in, key_updates_out, stale_opens;
};
MILGI_API void milgi_conn_info(const struct milgi_conn *conn, struct milgi_conn_info *info);
/* "self-signed certificate" ...: the words of the crypto library, static text; "ok" for 0. Any thread. */
MILGI_API const char *milgi_peer_verdict_text(int verdict);

/* Whether the library is holding back input (MILGI_PAUSE), or output room (as milgi_conn_send() would answer). */
MILGI_API bool milgi_conn_input_paused(const struct milgi_conn *conn);
MILGI_API bool milgi_conn_output_full(const struct milgi_conn *conn);
/*
 * Bytes on their way out: given by the application or made by the library, and not yet milgi_conn_output_done(). 0: all
 * is with the network.
 */
MILGI_API size_t milgi_conn_output_pending(const struct milgi_conn *conn);

/* What a connection waits for: bits. */
enum milgi_waits {
    MILGI_WAITS_TURN = 1 << 0,     /* milgi_engine_run(): something was staged or has come back; or its turn goes on */
    MILGI_WAITS_DEVICE = 1 << 1,   /* an op of its own, in a device or in line before one */
    MILGI_WAITS_DECISION = 1 << 2, /* milgi_decide(): a question that was asked is open */
    MILGI_WAITS_MEMORY = 1 << 3,   /* an op or a chunk that is free; it tries again by itself */
    MILGI_WAITS_CREDIT = 1 << 4,   /* milgi_conn_consumed(): more has come, and is held back until then */
    MILGI_WAITS_OUTPUT = 1 << 5,   /* milgi_conn_output_done(): output was handed out */
    MILGI_WAITS_PEER = 1 << 6      /* the peer: all that has come of it is used, and more, or the end, may come */
};
/*
 * What has to happen before the connection goes on, as of its last turn: several bits, since its directions, and ops of
 * its handshake, go on by themselves. Of its own alone: what other connections of the engine wait for is not in it. 0:
 * nothing but the application can move it (the peer has ended and we have not), or it has ended and its output was
 * taken. From callbacks too, where it has MILGI_WAITS_TURN.
 */
MILGI_API unsigned milgi_conn_waits_for(const struct milgi_conn *conn);

/*
 * What the connection is doing, as text for people: its phase, what its handshake waits for, keys (their epochs, no
 * secrets), windows, queues, credit, ops, why it failed. Writes up to |size| - 1 bytes and a NUL to |text| (NULL when
 * |size| is 0) and returns the length of the whole text, like snprintf(); a text that is cut ends behind a whole line.
 * Makes no promise about its form. From callbacks too.
 */
MILGI_API size_t milgi_conn_dump(const struct milgi_conn *conn, char *text, size_t size);

/*
 * Keying material for other protocols (RFC 8446 7.5, RFC 5705). |context| may be NULL with a length of 0: in TLS 1.2
 * that is another one than an empty one. Returns 0, MILGI_EINVAL (before on_established; label of more than 249 bytes,
 * or empty, which only TLS 1.2 has; context of more than 65535 bytes in TLS 1.2; out_len 0 or above 255 times the
 * hash's length), MILGI_EUNSUPPORTED (TLS 1.2 without the extended master secret), MILGI_ENOMEM, MILGI_ECLOSED (it has
 * ended, and its secrets are wiped), MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_export(
    struct milgi_conn *conn, const char *label, const void *context, size_t context_len, uint8_t *out, size_t out_len);

/*
 * The same of the first PSK of the ClientHello, a ticket's or an external one, before the peer is authenticated: for
 * protocols that ask for the early exporter by name [RFC 8446 7.5]. IT PROVES LESS: who replays the ClientHello has the
 * same, and who comes to know the PSK can compute it later. Only under a config that keeps it
 * (milgi_config_set_early_exporter()), in TLS 1.3. Client: from the turn on in which its ClientHello is made; the
 * server has the same if it chooses that PSK. Server: from when it has chosen it, which the decision about the peer
 * comes after. Both until on_established returns; after a HelloRetryRequest, with another PSK or with none there is
 * none (any more). Returns 0, MILGI_EINVAL (there is none, or as above; an empty label), MILGI_ECLOSED, MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_export_early(
    struct milgi_conn *conn, const char *label, const void *context, size_t context_len, uint8_t *out, size_t out_len);

/*
 * What ties an authentication above TLS to this very connection, so that nobody in between can pass it on.
 *
 * EXPORTER             "tls-exporter" (RFC 9266): 32 bytes, the same at both ends and in no other connection.
 * SERVER_END_POINT     "tls-server-end-point" (RFC 5929 4): a hash of the server's certificate, the same in all of its
 *                      connections. A client has it until on_established returns.
 * UNIQUE               "tls-unique" (RFC 5929 3): 12 bytes, in TLS 1.2 alone, for who cannot do without: EXPORTER is
 *                      better, and is there in both versions.
 */
enum milgi_channel_binding {
    MILGI_BINDING_EXPORTER,
    MILGI_BINDING_SERVER_END_POINT,
    MILGI_BINDING_UNIQUE
};
#define MILGI_CHANNEL_BINDING_MAX 64
/*
 * Writes it to |out|, which has *|out_len| bytes, and its length to *|out_len|. Returns 0; MILGI_EINVAL (before
 * on_established; behind it where that is said; too few bytes; no such kind); MILGI_EUNSUPPORTED (the certificate is
 * signed with a scheme for which it is not defined, as Ed25519; UNIQUE in TLS 1.3; EXPORTER and UNIQUE in TLS 1.2
 * without the extended master secret); MILGI_ENOMEM; MILGI_ECLOSED; MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_conn_channel_binding(
    struct milgi_conn *conn, enum milgi_channel_binding kind, uint8_t *out, size_t *out_len);

/*
 * "TLS_AES_128_GCM_SHA256", "x25519", "ecdsa_secp256r1_sha256"; NULL for an unknown number. And back: 0 for an
 * unknown name. Any thread.
 */
MILGI_API const char *milgi_suite_name(uint16_t suite);
MILGI_API const char *milgi_group_name(uint16_t group);
MILGI_API const char *milgi_scheme_name(uint16_t scheme);
MILGI_API uint16_t milgi_suite_by_name(const char *name);
MILGI_API uint16_t milgi_group_by_name(const char *name);
MILGI_API uint16_t milgi_scheme_by_name(const char *name);

#ifdef __cplusplus
}
#endif
