/* SPDX-License-Identifier: Apache-2.0 */
/* The session as it is kept, and what seals it into tickets. Both versions of TLS stand on it. */
#pragma once

#include <stdatomic.h>

#include <milgi/session.h>

#include "base/base.h"
#include "crypto/hash.h"

/* --- session.c -------------------------------------------------------------------------------------------------- */

#define MILGI__SESSION_SECRET_MAX 48   /* a PSK of TLS 1.3, or the master secret of TLS 1.2 */
#define MILGI__SESSION_NAME_MAX 255    /* of server name and protocol */
#define MILGI__SESSION_CHAIN_MAX 2048  /* bytes of certificates; of what is longer the leaf alone is kept */
#define MILGI__SESSION_CERT_MAX 8192   /* if it is no longer than this (ML-DSA); else its digest */
#define MILGI__SESSION_POLICY_LEN 16   /* milgi__config_policy() */
#define MILGI__SESSION_LIFE_MAX 604800 /* RFC 8446 4.6.1 */
#define MILGI__SESSION_BYTES_MAX 10240 /* encoded, without a ticket in it: certificates, and the rest */
#define MILGI__SESSION_ID_MAX 32       /* TLS 1.2 */

/* What is said of the peer's certificates. */
enum milgi__session_peer {
    MILGI__SESSION_NO_PEER,     /* it had none */
    MILGI__SESSION_PEER,        /* certificates, leaf first: all, or when that is too much the leaf alone */
    MILGI__SESSION_PEER_DIGEST, /* SHA-256 of the leaf, which is too long */
    MILGI__SESSION_PEER_PSK     /* the identity of an external PSK, of which |policy| holds something, too */
};

/* What the secret is. */
enum milgi__session_kind {
    MILGI__SESSION_OURS,     /* of a handshake: a PSK of a ticket, or the master secret of TLS 1.2 */
    MILGI__SESSION_EXTERNAL, /* a PSK from elsewhere: its Early Secret; the ticket is its identity (config/psk.c) */
    MILGI__SESSION_IMPORTED  /* the same, imported (RFC 9258) */
};

/* What fits into one block with the bytes behind it. */
struct milgi__session_fields {
    uint16_t version, suite;
    uint8_t secret_len;
    bool extended_master_secret : 1; /* TLS 1.2 */
    bool authenticated : 1;          /* the peer was, as the config demanded */
    bool by_id : 1;                  /* TLS 1.2: what stands for the ticket is a session ID */
    uint8_t kind : 2;                /* enum milgi__session_kind; has no bytes in the codec: only OURS are encoded */
    uint8_t peer;                    /* enum milgi__session_peer */
    uint8_t verdict;                 /* why it was not, and that was only reported; 0: else */
    uint32_t lifetime_s, age_add;
    int64_t created_s, authenticated_s;
    int64_t valid_from_s, valid_until_s; /* of all certificates that the peer showed together */
    uint8_t policy[MILGI__SESSION_POLICY_LEN];
    uint8_t secret[MILGI__SESSION_SECRET_MAX];
};

/* What the peer showed: one block for all sessions that go back to one handshake, and for the connections. */
struct milgi__session_shown {
    _Atomic uint32_t refs;
    uint16_t len;
    uint8_t bytes[];
};
/* NULL is fine for both. */
struct milgi__session_shown *milgi__session_shown_ref(struct milgi__session_shown *shown);
void milgi__session_shown_unref(struct milgi__session_shown *shown);

/* Immutable after it is made. */
struct milgi_session {
    _Atomic uint32_t refs;
    uint8_t name_len, alpn_len;
    uint16_t ticket_len;
    struct milgi__session_shown *shown; /* NULL: the peer showed nothing */
    struct milgi__session_fields f;
    uint8_t bytes[]; /* server name and protocol, each with a NUL, ticket */
};

/* What lies behind the fields: borrowed. */
struct milgi__session_parts {
    struct milgi_iov name, alpn, ticket;
    struct milgi_iov peer; /* certificates with a 3-byte length before each, or a digest */
    /* Where |peer| lies: a new session has a reference to that; or a copy, if it lies elsewhere. */
    struct milgi__session_shown *shown;
};
/* NULL: no memory, or a part that is too long. */
struct milgi_session *milgi__session_new(
    const struct milgi__session_fields *fields, const struct milgi__session_parts *parts);
struct milgi__session_parts milgi__session_parts(const struct milgi_session *session);
/* Of a PSK from elsewhere, or of a session that goes back to one, the identity; NULL: an empty one. */
static inline struct milgi_iov milgi__psk_identity(const struct milgi_session *session)
{
    if (!session)
        return (struct milgi_iov){ NULL, 0 };
    struct milgi__session_parts parts = milgi__session_parts(session);
    return session->f.kind == MILGI__SESSION_OURS ? parts.peer : parts.ticket;
}
const char *milgi__session_name(const struct milgi_session *session); /* "": none */
/* From when on it is not used; and whether it is good at |now_s|, its certificates, too. */
int64_t milgi__session_expires(const struct milgi_session *session);
bool milgi__session_good(const struct milgi_session *session, int64_t now_s);
/*
 * What is kept of |n| certificates with a 3-byte length before each, in |kept|, which has room for a digest. 0 or
 * MILGI_EINTERNAL.
 */
int milgi__session_peer(struct milgi__crypto *cx, const uint8_t *chain, size_t len, enum milgi__session_peer *kind,
    struct milgi_iov *kept, uint8_t digest[MILGI__HASH_MAX]);

/* --- cache.c ---------------------------------------------------------------------------------------------------- */

/* A server's, by session ID. As put(), and take(), which leaves what is good where it is. */
int milgi__session_cache_put_id(struct milgi_session_cache *cache, struct milgi_session *session);
struct milgi_session *milgi__session_cache_find_id(
    struct milgi_session_cache *cache, const uint8_t *id, size_t len, int64_t now_s);
/* Takes |session| out, wherever it is: a client's by its name, a server's by its ID. */
void milgi__session_cache_drop(struct milgi_session_cache *cache, const struct milgi_session *session, bool by_id);

/* --- ticket.c --------------------------------------------------------------------------------------------------- */

/* A ticket: the name of its period's key, random bytes, what is sealed, its tag. */
#define MILGI__TICKET_NAME_LEN 8
#define MILGI__TICKET_RANDOM_LEN 32
#define MILGI__TICKET_FRONT (MILGI__TICKET_NAME_LEN + MILGI__TICKET_RANDOM_LEN)
#define MILGI__TICKET_TAG_LEN 16
#define MILGI__TICKET_SUITE MILGI_SUITE_AES_256_GCM_SHA384
#define MILGI__TICKET_KEY_LEN 32

/* What one ticket is sealed with. */
struct milgi__ticket_key {
    uint8_t name[MILGI__TICKET_NAME_LEN];
    uint8_t key[MILGI__TICKET_KEY_LEN];
    uint8_t nonce[12];
};
/* For a new ticket, in the period of |now_s|. 0 or MILGI_EINTERNAL. */
int milgi__ticket_key_seal(struct milgi_ticket_keys *keys, struct milgi__crypto *cx, int64_t now_s,
    const uint8_t random[MILGI__TICKET_RANDOM_LEN], struct milgi__ticket_key *key);
/* Of a ticket that may be one of ours: 0; MILGI_ESTALE: it is not, or is too old; MILGI_EINTERNAL. */
int milgi__ticket_key_open(struct milgi_ticket_keys *keys, struct milgi__crypto *cx, int64_t now_s,
    const uint8_t *ticket, size_t len, struct milgi__ticket_key *key);
uint32_t milgi__ticket_lifetime(const struct milgi_ticket_keys *keys);
