/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: what a handshake leaves behind so that the next one with the same peer needs no certificate and no
 * signature (RFC 8446 2.2; RFC 5077). A server hands its own out as tickets, sealed under keys that it keeps for a
 * while; a client keeps what it was given.
 *
 * A session is good for what it was made for and nothing else: its version, its hash (in TLS 1.2: its cipher suite, the
 * config's groups, and the extended master secret, without which there are no sessions [RFC 7627 5.3]), its server
 * name, and the authentication policy of the config it was made under (whose certificates are accepted, whether clients
 * must have one, whether verification is off; of a client, its own certificates, or that it is asked for one). A
 * server with milgi_config_set_strict_sni() must still have a certificate for the name; not where
 * MILGI_DECIDE_CREDENTIAL gives it, which on a session is not asked: whoever gives up a name there takes other ticket
 * keys and another cache. Where anything of that differs, where a certificate in it, or an OCSP response that came with
 * it, is no longer valid, and where it is too old or cannot be read, there is a full handshake: never an error, and
 * never less than a full handshake would have asked for.
 *
 * Any thread may use sessions, ticket keys and caches; they count their references atomically.
 */
#pragma once

#include <milgi/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- sessions --------------------------------------------------------------------------------------------------- */

struct milgi_session;

/* One more, one fewer reference; the last one wipes it. */
MILGI_API struct milgi_session *milgi_session_ref(struct milgi_session *session);
MILGI_API void milgi_session_unref(struct milgi_session *session);

/*
 * The session as bytes, to keep it elsewhere. WHOEVER HAS THEM CAN TAKE PART IN CONNECTIONS MADE WITH IT, so they are
 * worth as much care as a private key. Writes at most |cap| bytes to |out|. Returns how many there are; if that is more
 * than |cap|, nothing was written.
 */
MILGI_API size_t milgi_session_encode(const struct milgi_session *session, uint8_t *out, size_t cap);
/*
 * And back. The reference is the caller's. 0; MILGI_EPARSE (not what was written, or by a later version),
 * MILGI_ENOMEM.
 */
MILGI_API MILGI_MUST_CHECK int milgi_session_decode(
    const void *data, size_t len, struct milgi_session **session);

/* Pointers are valid as long as the session. Times are seconds since 1970. */
struct milgi_session_info {
    uint16_t version, suite;
    bool peer_authenticated;
    bool by_id;              /* TLS 1.2: the server keeps it, and knows it by its ID; else it is in its ticket */
    const char *server_name; /* NULL: there is none */
    const char *alpn;        /* of the connection that it comes from; NULL: none */
    int64_t created_s;       /* when it was given out */
    int64_t authenticated_s; /* when the full handshake was that it goes back to */
    int64_t expires_s;       /* from then on it is not used */
};
MILGI_API void milgi_session_info(const struct milgi_session *session, struct milgi_session_info *info);

/* --- ticket keys ------------------------------------------------------------------------------------------------ */

/*
 * What a server seals its tickets with. Tickets of one period of a third of |lifetime_s| are sealed under keys that are
 * made, each with 32 random bytes of its own, from the key of that period; the key of the next period follows from it,
 * but not the reverse; and one that no valid ticket can need any more is wiped. So processes that were forked after
 * this was made open each other's tickets as long as their clocks agree, without talking to each other.
 *
 * |secret|: 32 bytes from a generator of random numbers, copied; not all zeros. |lifetime_s|: how long a ticket is good
 * for, 60 seconds to seven days [RFC 8446 4.6.1: no more]. The reference is the caller's. 0, MILGI_EINVAL,
 * MILGI_ENOMEM. No thread may be using it in a process that forks.
 */
#define MILGI_TICKET_SECRET_LEN 32
struct milgi_ticket_keys;
MILGI_API MILGI_MUST_CHECK int milgi_ticket_keys_new(const uint8_t secret[MILGI_TICKET_SECRET_LEN],
    uint32_t lifetime_s, int64_t now_s, struct milgi_ticket_keys **keys);
MILGI_API struct milgi_ticket_keys *milgi_ticket_keys_ref(struct milgi_ticket_keys *keys);
MILGI_API void milgi_ticket_keys_unref(struct milgi_ticket_keys *keys);
/*
 * Goes on to the period of |now_s| and wipes what is too old. Handshakes do it themselves: only a process that has keys
 * and no connections needs this. 0; MILGI_EINTERNAL: it could not be computed, and nothing has changed.
 */
MILGI_API int milgi_ticket_keys_renew(struct milgi_ticket_keys *keys, int64_t now_s);

/*
 * Server: issues tickets, and takes them back. Without this there are none. Takes a reference of its own; NULL takes
 * the keys away again.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_ticket_keys(
    struct milgi_config *config, struct milgi_ticket_keys *keys);
#define MILGI_TICKETS_MAX 4
/*
 * Server: how many tickets a client is given after a full handshake, 0 .. MILGI_TICKETS_MAX; 2 by default; after a
 * resumed one, one. A client that says how many it wants (RFC 9149) gets at most so many. In TLS 1.2 it is one, if this
 * is not 0; on a session only when half of its time is over, since there it may be used more than once [RFC 5077 3.3].
 * Client: how many it asks for; 0, the default: it does not say.
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_tickets(struct milgi_config *config, size_t n);

/* --- sessions that are kept ------------------------------------------------------------------------------------- */

/*
 * Sessions by name. At most |limit| of them, and eight of one name: the oldest goes. Looking one up takes as long
 * with a million as with a thousand; memory for the index is taken at once, 8 to 16 bytes for each of |limit|. The
 * reference is the caller's. 0, MILGI_EINVAL (|limit| 0 or above 2^28), MILGI_ENOMEM.
 */
struct milgi_session_cache;
MILGI_API MILGI_MUST_CHECK int milgi_session_cache_new(size_t limit, struct milgi_session_cache **cache);
MILGI_API struct milgi_session_cache *milgi_session_cache_ref(struct milgi_session_cache *cache);
MILGI_API void milgi_session_cache_unref(struct milgi_session_cache *cache);
/*
 * The same where sessions are kept elsewhere: in a file, in memory that processes share. put() and take() are called
 * for connections, from inside milgi_engine_run() in any thread that has one, and by whoever uses the cache; so they do
 * not wait. Who has to ask somebody for a session looks it up before the connection and gives it with
 * milgi_conn_set_session(), and takes the event on_session for put().
 *
 * put     a session of |name| has come; borrowed: milgi_session_ref() or milgi_session_encode() keep it
 * take    one of |name|, with a reference that is the library's then; NULL: there is none. One of TLS 1.3 is handed out
 *         ONCE, by whatever takes part [RFC 8446 C.4]. It need not be good: what does not fit is not offered
 * count   how many there are; may be NULL
 * free    the last reference is gone; may be NULL
 * drop    the sessions of TLS 1.2 of |name| are not to be used any more [RFC 5246 7.2.2]; may be NULL
 *
 * One of TLS 1.2 may stay there when it is taken. In a server's the names are session IDs, in hexadecimal digits.
 */
struct milgi_session_store {
    void (*put)(void *ctx, const char *name, struct milgi_session *session);
    struct milgi_session *(*take)(void *ctx, const char *name, int64_t now_s);
    size_t (*count)(void *ctx);
    void (*free)(void *ctx);
    void (*drop)(void *ctx, const char *name);
};
/* |store| is copied. 0, MILGI_EINVAL (without put() or take()), MILGI_ENOMEM. */
MILGI_API MILGI_MUST_CHECK int milgi_session_cache_new_store(
    const struct milgi_session_store *store, void *ctx, struct milgi_session_cache **cache);
/* Takes a reference of its own. 0; MILGI_EINVAL (no name, or one of more than 255 bytes), MILGI_ENOMEM. */
MILGI_API int milgi_session_cache_put(
    struct milgi_session_cache *cache, const char *name, struct milgi_session *session);
/*
 * The newest session of |name| that is still good at |now_s|, with a reference for the caller; NULL: none. It is not in
 * the cache any more: tickets are used once, so that nobody who listens can tell that two connections are one client's
 * [RFC 8446 C.4]. One of TLS 1.2 stays there until there is a newer one. A client neither keeps nor offers a ticket of
 * more than MILGI_TICKET_MAX bytes (conn.h).
 */
MILGI_API struct milgi_session *milgi_session_cache_take(
    struct milgi_session_cache *cache, const char *name, int64_t now_s);
/* How many there are. */
MILGI_API size_t milgi_session_cache_count(struct milgi_session_cache *cache);

/*
 * Client: connections look for a session of their server name in |cache|, and put there what they are given. One cache
 * may serve many configs. It knows names, not ports: where several servers share a name, give each a cache of its own.
 * The server takes a client that resumes for the one that it was: whoever answers MILGI_DECIDE_CREDENTIAL now with one
 * certificate, now with another, gives each a cache of its own, or milgi_conn_set_session(conn, NULL).
 *
 * Server: sessions of TLS 1.2 are kept in |cache| by their IDs, for clients that take no tickets: so many by so many
 * clients as fit, the oldest making room. One cache may serve many configs, but not clients, too. A session in it takes
 * less than 300 bytes beside the client's certificates, the index included.
 *
 * A session of TLS 1.2 whose connection has ended with a fatal alert, sent or received, is taken out of either
 * [RFC 5246 7.2.2]; a server cannot take back a ticket.
 *
 * Takes a reference of its own; NULL takes the cache away again.
 *
 * Sessions by ID are kept elsewhere by decisions (milgi_config_set_ask(), conn.h), which may be answered late:
 *
 *   on_decide(conn, arg, d):  milgi_decision_info(engine, *d, &info);
 *     SESSION_STORE:   len = milgi_session_encode(info.session, bytes, sizeof bytes);
 *                      the store is given them under info.session_id; when it has them:
 *                      milgi_decide(engine, *d, MILGI_ACCEPT, NULL);
 *     SESSION_LOOKUP:  the store is asked for info.session_id; when it has answered:
 *                      rv = milgi_session_decode(bytes, len, &session);
 *                      milgi_decide(engine, *d, rv == 0 ? MILGI_ACCEPT : MILGI_REFUSE, session);
 *                      milgi_session_unref(session);
 *   on_closed(conn, arg, reason):  milgi_conn_info(conn, &info);
 *                      if (reason->error && reason->alert != MILGI_ALERT_NONE) the store forgets info.session_id
 */
MILGI_API MILGI_MUST_CHECK int milgi_config_set_session_cache(
    struct milgi_config *config, struct milgi_session_cache *cache);

/*
 * Client: the session to offer; in the place of one from the config's cache. Before the connection's first turn.
 * Takes a reference of its own; NULL: none is offered. What does not fit the connection is not offered. 0;
 * MILGI_EINVAL (a server, or it has begun), MILGI_ENOMEM, MILGI_EFORK.
 */
MILGI_API int milgi_conn_set_session(struct milgi_conn *conn, struct milgi_session *session);

#ifdef __cplusplus
}
#endif
