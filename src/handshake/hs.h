/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a handshake: what must survive a pause, the form of a step table, and what steps call.
 *
 * A step runs exactly once, to completion, and never waits. It may start ops and decisions (slots); a later row needs
 * them. A pause is always a return to the driver (machine.c), so that nothing can live in a local across one.
 */
#pragma once

#include "buf/buf.h"
#include "handshake/handshake.h"
#include "handshake/msg/msg.h"

#define MILGI__PAIRS_MAX 5 /* of the groups that there are, hybrids being made of the others */

/* What a step may start and a later row needs: ops, then decisions. Verdicts are judged in this order. */
enum milgi__slot {
    MILGI__KEYGEN_1,
    MILGI__KEYGEN_2,
    MILGI__KEYGEN_3,
    MILGI__KEYGEN_4,
    MILGI__KEYGEN_5,
    MILGI__KEYGEN_RETRY,   /* the group that a HelloRetryRequest asked for, */
    MILGI__KEYGEN_RETRY_2, /* if it is a hybrid its other half; settled where there is none, like those that follow */
    MILGI__DERIVE,
    MILGI__CAPSULE, /* ENCAPS of a server, DECAPS of a client */
    MILGI__SIGN,
    MILGI__CHAIN,
    MILGI__VERIFY,
    MILGI__TICKET_1, /* server: opens those that a client brings; it may fail: then there is no session in them */
    MILGI__TICKET_2,
    MILGI__TICKET_3,
    MILGI__TICKET_4,
    MILGI__SEAL_1, /* server: seals those that it gives; if that fails, there is one less */
    MILGI__SEAL_2,
    MILGI__SEAL_3,
    MILGI__SEAL_4,
    MILGI__CREDENTIAL, /* decisions */
    MILGI__ALPN,
    MILGI__PEER,
    MILGI__OCSP,
    MILGI__PSK,
    MILGI__TICKET_OPEN,
    MILGI__TICKET_SEAL,
    MILGI__SESSION_LOOKUP,
    MILGI__SESSION_STORE,
    MILGI__CONFIG,
    MILGI__SLOTS
};
#define MILGI__ON(slot_or_step) (1u << (slot_or_step))
#define MILGI__TO(step) ((uint64_t)1 << (step))
#define MILGI__IDENTITIES_MAX 4 /* of a client's PSKs are looked at */
#define MILGI__OFFERS_MAX (1 + MILGI_PSKS_OFFERED)
#define MILGI__OPS (MILGI__ON(MILGI__CREDENTIAL) - 1u)

enum milgi__step {
    MILGI__FAILED,
    MILGI__OPEN,
    MILGI__STEPS_COMMON,

    /* client: negotiate.c */
    MILGI__C_START = MILGI__STEPS_COMMON,
    MILGI__C_TAKE_SHARE_1,
    MILGI__C_TAKE_SHARE_2,
    MILGI__C_TAKE_SHARE_3,
    MILGI__C_TAKE_SHARE_4,
    MILGI__C_TAKE_SHARE_5,
    MILGI__C_SEND_HELLO,
    MILGI__C_RECV_HELLO,
    /* client13.c */
    MILGI__C13_FIRST,
    MILGI__C13_SEND_HELLO_SHARE = MILGI__C13_FIRST,
    MILGI__C13_SEND_HELLO_COOKIE,
    MILGI__C13_RECV_HELLO_AGAIN,
    MILGI__C13_INSTALL_KEYS,
    MILGI__C13_RECV_EXTENSIONS,
    MILGI__C13_RECV_FINISHED_RESUMED,
    MILGI__C13_RESUMED,
    MILGI__C13_RECV_REQUEST,
    MILGI__C13_RECV_CERTIFICATE,
    MILGI__C13_RECV_VERIFY,
    MILGI__C13_RECV_FINISHED,
    MILGI__C13_JUDGE,
    MILGI__C13_JUDGE_ANY,
    MILGI__C13_AUTHENTICATED,
    MILGI__C13_AUTHENTICATED_ANY,
    MILGI__C13_SEND_CERTIFICATE,
    MILGI__C13_SEND_VERIFY,
    MILGI__C13_SEND_FINISHED,
    /* client12.c */
    MILGI__C12_FIRST,
    MILGI__C12_RECV_TICKET_RESUMED = MILGI__C12_FIRST,
    MILGI__C12_RECV_CHANGE_RESUMED,
    MILGI__C12_RECV_FINISHED_RESUMED,
    MILGI__C12_RESUMED,
    MILGI__C12_RECV_CERTIFICATE,
    MILGI__C12_RECV_STATUS,
    MILGI__C12_NO_STATUS,
    MILGI__C12_RECV_EXCHANGE,
    MILGI__C12_RECV_REQUEST,
    MILGI__C12_RECV_DONE,
    MILGI__C12_START_DERIVE,
    MILGI__C12_JUDGE,
    MILGI__C12_JUDGE_ANY,
    MILGI__C12_AUTHENTICATED,
    MILGI__C12_AUTHENTICATED_ANY,
    MILGI__C12_SEND_CERTIFICATE,
    MILGI__C12_SEND_EXCHANGE,
    MILGI__C12_SEND_EXCHANGE_ALONE,
    MILGI__C12_SEND_VERIFY,
    MILGI__C12_SEND_FINISHED,
    MILGI__C12_RECV_TICKET,
    MILGI__C12_RECV_CHANGE,
    MILGI__C12_RECV_FINISHED,
    MILGI__C_END,

    /* server: negotiate.c */
    MILGI__S_ASK_HELLO = MILGI__STEPS_COMMON,
    MILGI__S_TAKE_CONFIG,
    MILGI__S_LOOK_HELLO,
    MILGI__S_RECV_HELLO_SEEN,
    MILGI__S_RECV_HELLO,
    /* server13.c */
    MILGI__S13_FIRST,
    MILGI__S13_SEND_RETRY = MILGI__S13_FIRST,
    MILGI__S13_RECV_HELLO_AGAIN,
    MILGI__S13_START_RESUMED,
    MILGI__S13_SEND_RESUMED,
    MILGI__S13_SEND_PSK,
    MILGI__S13_RECV_FINISHED_RESUMED,
    MILGI__S13_RESUMED,
    MILGI__S13_START_FLIGHT,
    MILGI__S13_SEND_CERTIFICATE,
    MILGI__S13_SEND_VERIFY,
    MILGI__S13_RECV_CERTIFICATE,
    MILGI__S13_RECV_VERIFY,
    MILGI__S13_RECV_FINISHED,
    MILGI__S13_RECV_FINISHED_EMPTY,
    MILGI__S13_RECV_FINISHED_ANONYMOUS,
    MILGI__S13_JUDGE,
    MILGI__S13_AUTHENTICATED,
    MILGI__S13_AUTHENTICATED_EMPTY,
    MILGI__S13_ANONYMOUS,
    MILGI__S13_SEAL_TICKETS,
    MILGI__S13_SEND_TICKETS,
    /* server12.c */
    MILGI__S12_FIRST,
    MILGI__S12_START_RESUMED = MILGI__S12_FIRST,
    MILGI__S12_SEND_RESUMED,
    MILGI__S12_RECV_CHANGE_RESUMED,
    MILGI__S12_RECV_FINISHED_RESUMED,
    MILGI__S12_RESUMED,
    MILGI__S12_START_FLIGHT,
    MILGI__S12_SEND_EXCHANGE,
    MILGI__S12_RECV_CERTIFICATE,
    MILGI__S12_RECV_EXCHANGE,
    MILGI__S12_START_DERIVE,
    MILGI__S12_RECV_VERIFY,
    MILGI__S12_RECV_CHANGE,
    MILGI__S12_RECV_FINISHED,
    MILGI__S12_RECV_EXCHANGE_ALONE,
    MILGI__S12_START_DERIVE_ALONE,
    MILGI__S12_RECV_CHANGE_ALONE,
    MILGI__S12_RECV_FINISHED_ALONE,
    MILGI__S12_JUDGE,
    MILGI__S12_JUDGE_EMPTY,
    MILGI__S12_AUTHENTICATED,
    MILGI__S12_AUTHENTICATED_EMPTY,
    MILGI__S12_ANONYMOUS,
    MILGI__S12_SEAL_TICKET,
    MILGI__S12_SEND_TICKET,
    MILGI__S12_STORE_SESSION,
    MILGI__S12_STORED_SESSION,
    MILGI__S12_SEND_FINISHED,
    MILGI__S_END
};
_Static_assert(MILGI__C_END <= 64 && MILGI__S_END <= 64, "successors are bits of a word");

#define MILGI__NO_MESSAGE (-1)

/* How tables are written. */
#define ON(slot) MILGI__ON(MILGI__##slot)
#define TO(step) MILGI__TO(MILGI__##step)
#define MSG(type) MILGI__MSG_##type
#define NONE MILGI__NO_MESSAGE
#define KEYS(read, write) .read_level = MILGI__LEVEL_##read, .write_level = MILGI__LEVEL_##write

struct milgi__row {
    const char *name;
    /* NULL: an end. |body|: of the message awaited; the step reads all of it. */
    enum milgi__step (*run)(struct milgi__hs *hs, struct milgi__reader *body);
    int message;                /* enum milgi__msg that must have arrived, or MILGI__NO_MESSAGE */
    enum milgi__step otherwise; /* where to go, with the message unread, when it is another one; 0: it must be this */
    uint32_t needs;             /* slots that must have come back OK */
    uint32_t starts;            /* slots that it may start */
    uint64_t next;              /* legal successors; MILGI__FAILED always is */
    uint8_t sends[4];           /* enum milgi__msg in order, */
    uint8_t sends_maybe;        /* those with their bit set only sometimes */
    uint8_t read_level, write_level;
    bool flight_ends; /* nothing may be left behind its message, or (no message) when it runs: the key changes */
    bool peeks;       /* sees its message, whole, and leaves it to the next row, which awaits it, too */
    bool takes_ccs;
};

extern const struct milgi__row milgi__client_hello_rows[MILGI__C13_FIRST - MILGI__STEPS_COMMON];
extern const struct milgi__row milgi__client13_rows[MILGI__C12_FIRST - MILGI__C13_FIRST];
extern const struct milgi__row milgi__client12_rows[MILGI__C_END - MILGI__C12_FIRST];
extern const struct milgi__row milgi__server_hello_rows[MILGI__S13_FIRST - MILGI__STEPS_COMMON];
extern const struct milgi__row milgi__server13_rows[MILGI__S12_FIRST - MILGI__S13_FIRST];
extern const struct milgi__row milgi__server12_rows[MILGI__S_END - MILGI__S12_FIRST];

/* Where a version takes over: the row of the hello has read the message, its successor is the answer. */
enum milgi__step milgi__client13_hello(struct milgi__hs *hs, struct milgi__server_hello *hello);
enum milgi__step milgi__server13_hello(struct milgi__hs *hs, struct milgi__client_hello *hello);
enum milgi__step milgi__client12_hello(struct milgi__hs *hs, struct milgi__server_hello *hello);
enum milgi__step milgi__server12_hello(struct milgi__hs *hs, struct milgi__client_hello *hello);
/* What a server needs later than the ClientHello, whatever the version (server13.c). */
bool milgi__server_take_hello(struct milgi__hs *hs, const struct milgi__client_hello *hello);
/* The protocol that the server chose, if it chose one (client13.c). */
bool milgi__client_take_protocol(struct milgi__hs *hs, const struct milgi__exts *ext);

/* The row that a server begins with: those that only look at the ClientHello are for what the config has them do. */
enum milgi__step milgi__server_first(const struct milgi_config *config);

/* What came of a slot. */
struct milgi__key_pair {
    uint16_t group;
    uint16_t secret_len;
    uint8_t secret[MILGI_KEX_SECRET_MAX];
    struct milgi__bytes pub; /* in hs->unsent */
};

/*
 * What the key exchange needs: freed as soon as the secrets are derived, since a handshake may have to wait for long
 * afterwards. A share is of one key pair, or of a hybrid's two; those of a client may have one in common. The private
 * key of a KEM is its seed, which is as short as the others'.
 */
struct milgi__exchange {
    uint8_t hello_hash[MILGI__HASH_MAX]; /* ClientHello .. ServerHello; in TLS 1.2 .. ClientKeyExchange */
    /* the peer's share, of a hybrid but its KEM's half, in hs->arena; not of a client of TLS 1.3 */
    struct milgi__bytes peer;
    struct milgi__bytes ciphertext; /* server: of the KEM, in hs->unsent */
    uint8_t shared[MILGI_KEX_SECRET_MAX];
    uint16_t shared_len;               /* of a hybrid: of the halves that are there */
    uint16_t share[MILGI__SHARES_MAX]; /* client: groups that shares of ours are of */
    uint8_t shares_n;
    uint8_t pairs_n; /* that are in use */
    uint8_t room;    /* that there is memory for */
    struct milgi__key_pair pair[];
};

/* psk_key_exchange_modes (RFC 8446 4.2.9). */
enum milgi__psk_mode {
    MILGI__PSK_NO_MODE, /* that both sides have */
    MILGI__PSK_DHE,
    MILGI__PSK_PLAIN /* psk_ke */
};

/* Tickets on their way to the client: in the handshake's arena. */
struct milgi__issue {
    unsigned n;
    uint32_t lifetime_s, age_add[MILGI_TICKETS_MAX];
    struct milgi__bytes sealed[MILGI_TICKETS_MAX]; /* empty: it could not be sealed */
    /* For a decision: references, until it is answered. */
    struct milgi_session *shown[MILGI_TICKETS_MAX];
};

/* early_exporter_master_secret. */
struct milgi__early {
    enum milgi__hash hash;
    uint8_t secret[MILGI__HASH_MAX];
};

/* The certificates of a path, leaf first: the peer's lie in the handshake's arena, the anchor in the trust. */
struct milgi__path {
    size_t n;
    struct milgi_iov certificate[];
};

/* What decisions are shown of a ClientHello: in the handshake's arena. */
struct milgi__shown {
    struct milgi__bytes protocols; /* as they came, whole; */
    struct milgi_iov *alpn;        /* the first of them */
    size_t alpn_n;
    uint16_t suites_n, groups_n, versions_n;
    uint16_t numbers[]; /* in this order */
};

struct milgi__arena_block;
struct milgi__arena {
    struct milgi__blocks *blocks;
    struct milgi__arena_block *first;
};
/* NULL: no memory. Zeroed; lives until the arena is wiped. */
void *milgi__arena_alloc(struct milgi__arena *arena, size_t size);
struct milgi__bytes milgi__arena_copy(struct milgi__arena *arena, struct milgi__bytes from); /* p NULL: no memory */
/* The list as it goes to the wire; p NULL: no memory. */
struct milgi__bytes milgi__arena_u16(struct milgi__arena *arena, const uint16_t *list, size_t n);
void milgi__arena_wipe(struct milgi__arena *arena);

/* What came of a slot that failed. */
struct milgi__refused {
    struct milgi__refused *next;
    struct milgi__failure failure;
    enum milgi__slot slot;
};

struct milgi__hs {
    struct milgi_config *config; /* a server may choose another by the ClientHello; */
    uint32_t message_max;        /* limits are the first's */
    uint16_t record_in;
    struct milgi__hs_host host;
    struct milgi__arena arena;   /* as long as the handshake */
    struct milgi__arena scratch; /* until the step has run */
    struct milgi__arena unsent;  /* what is sent until ServerHello: a server's flight, a client's shares and cookie */

    enum milgi__step step;
    uint32_t started, done;          /* slots; in flight: started & ~done */
    uint32_t failed;                 /* of those that are done; each has its place among */
    struct milgi__refused *refusals; /* these, in |arena|, or there was no memory for it */
    uint32_t offered;                /* client: extensions of its ClientHello; of its first */
    uint64_t sampled_ns;             /* when a sampled op came back that had no turn yet; 0: none did */
    uint8_t sampled_dev, sampled_slot;
    bool running;
    bool chain_accepted; /* by VERIFY_CHAIN */
    bool changes;        /* TLS 1.2: the change_cipher_spec that is awaited has come */
    bool dropped_ccs;    /* one has come that is nothing in TLS 1.3 */
    bool status_comes;   /* client, TLS 1.2: the server has said that it may send a CertificateStatus */
    uint8_t read_level, write_level;
    struct milgi__failure failure;
    struct milgi__hs_result result;

    /* unread messages: in[in_from .. in_to); NULL: there are none */
    uint8_t *in;
    size_t in_cap, in_from, in_to;

    const struct milgi__suite *suite;
    struct milgi__transcript transcript;
    union { /* nothing is derived before the version is known */
        struct milgi__schedule13 schedule;
        struct milgi__schedule12 schedule12;
    };
    uint8_t client_random[32];
    uint8_t grease[12]; /* client: what its values that mean nothing are made of */
    uint8_t session_id[32];
    uint8_t session_id_len;

    struct milgi__exchange *kex; /* NULL: not begun, or over */

    /* what the peer said */
    struct milgi__u16_list peer_schemes;  /* those that we know, */
    uint32_t peer_cert_schemes;           /* and those for signatures in certificates, by milgi__scheme_bit() */
    struct milgi__bytes peer_alpn;        /* client's list, until ALPN is settled */
    struct milgi__shown *shown;           /* server: for decisions; NULL: nobody is asked */
    struct milgi__bytes peer_authorities; /* names, each with its length, until the credential is settled */
    struct milgi_iov *authorities_shown;  /* for decisions: the first of them as pieces */
    size_t authorities_shown_n;

    /* ourselves */
    struct milgi_credential *credential; /* a reference */
    struct milgi__bytes signature;
    struct milgi__bytes staple; /* server: an OCSP response that a decision gave */
    struct milgi__bytes hello;  /* server: ServerHello, until DERIVE is back */
    struct milgi__bytes flight; /* server: EncryptedExtensions .. Certificate, until then, too */

    /* the peer's certificate */
    struct milgi__bytes peer_chain; /* with lengths, as VERIFY_CHAIN takes them */
    struct milgi__path *path;       /* that was accepted, if somebody is to be asked; in |arena|. NULL: not known */
    struct milgi__bytes peer_spki;
    enum milgi__key_type peer_key;
    uint16_t own_scheme; /* what our credential signs with */

    struct milgi__early *early; /* of the first PSK that is, or was, offered; in |arena|. NULL: none, or not wanted */
    /* sessions: references */
    struct milgi_session *session; /* that this handshake stands on; NULL: a full one */
    union {
        struct milgi_session *offer[MILGI__OFFERS_MAX];      /* client: in its ClientHello, in this order */
        struct milgi_session *opened[MILGI__IDENTITIES_MAX]; /* server: what its identities are of, by their place */
    };
    struct milgi_session *offer12;                /* client: one of TLS 1.2 */
    struct milgi_iov *psks_shown;                 /* server, for a decision: identities; in the arena */
    uint8_t psks_shown_at[MILGI__IDENTITIES_MAX]; /* their places among the client's */
    uint8_t psks_shown_n;
    uint8_t offers_n;
    uint8_t (*identities)[MILGI__HASH_MAX]; /* their hashes, between two ClientHellos: in the arena */
    struct milgi__issue *issue;
    bool keeps_sessions; /* client: somebody wants them */
    bool psk_tickets;    /* server: the client takes tickets */
    uint8_t psk_mode;    /* server, enum milgi__psk_mode: with which it would stand on one of the client's PSKs */
    uint8_t psk_at;      /* server: the place of the one that was accepted */
    uint8_t tickets_full, tickets_resumed;
    bool ticket_promised;       /* TLS 1.2: the ServerHello says that a NewSessionTicket comes, */
    bool id_given;              /* or has the ID of a session that one may come back to */
    struct milgi_session *made; /* server, TLS 1.2: that is to be kept by its ID */
    /* TLS 1.2, client: */
    struct milgi__bytes ticket; /* that came */
    uint32_t ticket_lifetime;   /* 0: the server does not say */

    /* client */
    bool requested; /* a CertificateRequest came */
    uint8_t hello_requests;
    bool no_ecdsa, no_rsa; /* TLS 1.2: it does not name such keys */
    const char *server_name;
    struct milgi__bytes cookie;

    /* server */
    struct milgi__client_hello *seen; /* by a row that looked at it; as long as the message lies unread */
    uint8_t *first_hello;             /* a hash of what a second ClientHello must repeat; in |arena| */
    bool retried;
    /* TLS 1.2: the suite for each kind of key; 0: none */
    uint16_t suite_ecdsa, suite_rsa;
    uint16_t curves;            /* of the client's keys of ECDSA, by enum milgi__key_type */
    bool asks_status;           /* the client, for an OCSP response, */
    bool staple_asked;          /* and so do we, for what to answer, */
    bool no_staple;             /* and it is none */
    uint16_t peer_record_limit; /* of record_size_limit; 0: none came */
    bool early_data;            /* was offered, and the client has not said anything since that takes it back */
    bool half_open;
};

static inline enum milgi_role milgi__hs_role(const struct milgi__hs *hs)
{
    return hs->config->role;
}

/* What signatures of the handshake may be, ours and the peer's. */
static inline const struct milgi__u16_list *milgi__hs_schemes(const struct milgi__hs *hs)
{
    return hs->result.version == MILGI__TLS12 ? &hs->config->schemes12 : &hs->config->schemes;
}

/* --- failing (machine.c) ---------------------------------------------------------------------------------------- */

/* The first failure stays. Always MILGI__FAILED. */
enum milgi__step milgi__hs_fail(struct milgi__hs *hs, int error, int alert, const char *detail);
enum milgi__step milgi__hs_refuse(struct milgi__hs *hs, const struct milgi__failure *failure);
enum milgi__step milgi__hs_illegal(struct milgi__hs *hs, const char *detail);
/* |rv| of something of ours: no memory, or a bug. */
enum milgi__step milgi__hs_broken(struct milgi__hs *hs, int rv);

/* --- starting ops (start.c): false: the handshake has failed ---------------------------------------------------- */

/* Memory for |pairs| key pairs, in the place of what there was. */
bool milgi__begin_exchange(struct milgi__hs *hs, unsigned pairs);
/* psk_ke: there is none. */
bool milgi__no_exchange(struct milgi__hs *hs);
void milgi__end_exchange(struct milgi__hs *hs); /* wipes it */
bool milgi__start_keygen(struct milgi__hs *hs, enum milgi__slot slot, uint16_t group);
/* |pair| and the peer's share. */
bool milgi__start_derive(struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes share);
/* To the peer's |key| of the KEM |group|; from the peer's |ciphertext|, with our |pair|. */
bool milgi__start_encaps(struct milgi__hs *hs, uint16_t group, struct milgi__bytes key);
bool milgi__start_decaps(struct milgi__hs *hs, const struct milgi__key_pair *pair, struct milgi__bytes ciphertext);
/* Our signature over |input|. */
bool milgi__start_sign(struct milgi__hs *hs, struct milgi__bytes input);
/* The peer's signature over |input|. */
bool milgi__start_verify(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input);
bool milgi__start_chain(struct milgi__hs *hs);
/* |ticket|, whole: opened, or (its middle is the session) sealed. False: it was not started. */
bool milgi__start_ticket(struct milgi__hs *hs, enum milgi__slot slot, const struct milgi__ticket_key *key,
    struct milgi__bytes ticket);

/* What came of |slot| is a failure; without memory to keep it, that. */
void milgi__hs_fails(struct milgi__hs *hs, enum milgi__slot slot, struct milgi__failure failure);
/* Why |slot|, which is one of hs->failed, did. */
const struct milgi__failure *milgi__hs_why(const struct milgi__hs *hs, enum milgi__slot slot);

/* --- key exchange, hybrid or not (exchange.c); bool: false: the handshake has failed ----------------------------- */

/* Client: begins an exchange with a share of each of |groups|; KEYGENs take the slots from |first| on. */
bool milgi__start_shares(struct milgi__hs *hs, const uint16_t *groups, unsigned n, enum milgi__slot first);
/* KeyShareEntries of them, until the step has run; p NULL: no memory. */
struct milgi__bytes milgi__client_shares(struct milgi__hs *hs);
bool milgi__has_share(const struct milgi__hs *hs, uint16_t group);
/* Client: the server's share of the group in hs->result: starts DERIVE and CAPSULE, or settles one of them. */
bool milgi__take_server_share(struct milgi__hs *hs, struct milgi__bytes share);
/* Server: the client's share of the group in hs->result: kept, and CAPSULE started or settled. */
bool milgi__take_client_share(struct milgi__hs *hs, struct milgi__bytes share);
/* Server: KEYGEN and DERIVE for that group, which a KEM alone does not need. */
bool milgi__start_server_share(struct milgi__hs *hs);
bool milgi__start_server_derive(struct milgi__hs *hs);
/* Server: the key_exchange of its share; p NULL: no memory. */
struct milgi__bytes milgi__server_share(struct milgi__hs *hs);

/* --- decisions (decide.c) --------------------------------------------------------------------------------------- */

/* Asks the outside if the config says so, else answers at once; |asks| false: there is nothing to ask. */
void milgi__start_decision(struct milgi__hs *hs, enum milgi__slot slot, bool asks);
/* Keeps of a ClientHello what decisions show. False: no memory. (shown.c) */
bool milgi__show_hello(struct milgi__hs *hs, const struct milgi__client_hello *hello);
void milgi__show(const struct milgi__hs *hs, struct milgi_decision_info *info);
/* The name that the client wants becomes the result's. False: no memory. */
bool milgi__take_server_name(struct milgi__hs *hs, const struct milgi__exts *ext);
/* There is nothing to wait for. */
void milgi__settle(struct milgi__hs *hs, enum milgi__slot slot);
/*
 * A ClientHello that was read has what a strict config demands, whatever else comes of it; |ext| of it. False: the
 * handshake has failed.
 */
bool milgi__strict_hello(struct milgi__hs *hs, const struct milgi__exts *ext);
/* A server has selected no application protocol: false if it has to. */
bool milgi__strict_answer(struct milgi__hs *hs);
/*
 * Keeps what a peer wishes of the issuers of a certificate: the list where it lies, or if somebody is asked, the first
 * of it. False: no memory.
 */
bool milgi__take_authorities(struct milgi__hs *hs, struct milgi__bytes list);
/* The default answers. False: there is none. */
bool milgi__choose_credential(struct milgi__hs *hs);
/* Server: whether a credential is for the name that a client wants. */
bool milgi__knows_name(const struct milgi__hs *hs, const char *name);

/* --- steps that both roles have (auth.c) ------------------------------------------------------------------------ */

/* A list of a config as it goes to the wire, until the step has run. */
struct milgi__bytes milgi__hs_wire(struct milgi__hs *hs, const struct milgi__u16_list *list);
/* Takes the known ones of a peer's signature_algorithms(_cert). */
void milgi__hs_take_schemes(struct milgi__hs *hs, const struct milgi__exts *ext);
/* Adds what means nothing to a ClientHello, if the config says so. False: no memory. (grease.c) */
bool milgi__grease(struct milgi__hs *hs, struct milgi__client_hello *hello);
/* Sends messages; adds them to the transcript; both. */
bool milgi__hs_emit(struct milgi__hs *hs, struct milgi__bytes messages);
bool milgi__hs_record(struct milgi__hs *hs, struct milgi__bytes messages);
bool milgi__hs_send(struct milgi__hs *hs, struct milgi__bytes messages);
/* The client's ClientHello, first or second. (negotiate.c) */
bool milgi__send_client_hello(struct milgi__hs *hs);
bool milgi__hs_install(
    struct milgi__hs *hs, enum milgi__level level, enum milgi__dir dir, const uint8_t *secret);
void milgi__hs_log(const struct milgi__hs *hs, const char *label, const uint8_t *secret, size_t len);
/* What goes with our leaf and the client has asked for, as far as there is any: in |ext|, which is borrowed from it. */
struct milgi__beside {
    struct milgi__exts ext;
    struct milgi__staple *ocsp, *timestamps;
};
struct milgi__beside milgi__hs_beside_leaf(struct milgi__hs *hs);
void milgi__beside_fini(struct milgi__beside *beside);
/* Copies what stands beside the peer's leaf to one of the result's; nothing, if it is empty. */
bool milgi__hs_keep_beside(struct milgi__hs *hs, struct milgi__bytes from, struct milgi_iov *to);
/* VERIFY_CHAIN has accepted the peer, or what it says is only reported: it is authenticated, or not. False: failed. */
bool milgi__hs_take_peer(struct milgi__hs *hs);
/*
 * The end of a server's handshake whose client has shown no certificate and need not, and of one that has not asked for
 * any. False: it has failed.
 */
bool milgi__hs_may_be_empty(struct milgi__hs *hs);
bool milgi__hs_may_be_anonymous(struct milgi__hs *hs);
/* What goes into record_size_limit; both sides have said it: it holds from here on. */
uint16_t milgi__hs_record_limit(const struct milgi__hs *hs);
void milgi__hs_limit_records(struct milgi__hs *hs, uint16_t peers);
/* Those of a Certificate that has some: into peer_chain, peer_spki and result. */
bool milgi__hs_keep_certificates(struct milgi__hs *hs, const struct milgi__certificates *certs);

/* --- in TLS 1.3 (auth13.c) -------------------------------------------------------------------------------------- */

/* With the shared secret: handshake secrets, logged. */
bool milgi__hs_handshake_secrets(struct milgi__hs *hs);
/* After the server's Finished: application secrets, logged, and in the result. */
bool milgi__hs_app_secrets(struct milgi__hs *hs);
/* Reads a Certificate into peer_chain and result; empty: peer_chain.len is 0. */
bool milgi__hs_take_certificate(struct milgi__hs *hs, struct milgi__reader *body);
/* Checks a CertificateVerify as far as it goes without the op, and starts the op. */
bool milgi__hs_take_verify(struct milgi__hs *hs, struct milgi__reader *body);
/* Starts our signature over the transcript. */
bool milgi__hs_sign_transcript(struct milgi__hs *hs);
bool milgi__hs_take_finished(struct milgi__hs *hs, struct milgi__reader *body, const uint8_t *secret);
/* Sends our CertificateVerify; our Finished. */
bool milgi__hs_send_verify(struct milgi__hs *hs);
bool milgi__hs_send_finished(struct milgi__hs *hs, const uint8_t *secret);

/* --- sessions (resume13.c) -------------------------------------------------------------------------------------- */

/* Client: what its ClientHello says of them; room for it; and how much it takes there. */
struct milgi__offers {
    struct milgi__psk_offer psk[MILGI__OFFERS_MAX];
    unsigned n;
    size_t len;
};
void milgi__offer_session(struct milgi__hs *hs, struct milgi__exts *ext, struct milgi__offers *offers);
/* Fills in the binders of a ClientHello that is written but for them. */
bool milgi__fill_binders(struct milgi__hs *hs, struct milgi__bytes message, const struct milgi__offers *offers);
/* Client: what the ServerHello says of them. False: the handshake has failed. */
bool milgi__take_psk(struct milgi__hs *hs, const struct milgi__exts *ext);
/* Server: starts to open what may be our tickets, and looks up, or asks, what the other identities are of. */
bool milgi__open_tickets(struct milgi__hs *hs, const struct milgi__exts *ext);
/* One: |at| is its place. */
void milgi__open_ticket(struct milgi__hs *hs, unsigned at, struct milgi__bytes ticket);
/* What came of opening one. */
void milgi__take_ticket(struct milgi__hs *hs, unsigned at, const struct milgi_op *op);
/*
 * Server: the first session that fits, hs->session, whose binder is right; none: a full handshake. False: the handshake
 * has failed. |again|: of the second ClientHello.
 */
bool milgi__choose_session(struct milgi__hs *hs, const struct milgi__exts *ext, bool again);
/* Server: the mode of a PSK that both sides have. */
enum milgi__psk_mode milgi__psk_mode(const struct milgi__hs *hs, const struct milgi__exts *ext);
/* Server: an identity that is no ticket of ours: the config's, or one to be asked for. False: no memory. (psk13.c) */
bool milgi__look_up_psk(struct milgi__hs *hs, unsigned at, struct milgi__bytes identity);
/* Server: whoever is asked about PSKs and tickets sees this one, which lies at |at|. False: no memory. */
bool milgi__show_identity(struct milgi__hs *hs, unsigned at, struct milgi__bytes identity);
/* Server: the suite that goes with the first PSK from elsewhere that fits; NULL: there is none. */
const struct milgi__suite *milgi__psk_suite(const struct milgi__hs *hs, struct milgi__bytes offered);
/*
 * Server, no PSK was chosen: whether there can be certificates instead. False: the handshake has failed, as if a binder
 * had been wrong.
 */
bool milgi__may_do_without_psk(struct milgi__hs *hs, const struct milgi__exts *ext);
/* Server: the answer to the question of PSKs: what was known is dropped, and |psk| (NULL: none) is it. MILGI_EINVAL. */
int milgi__use_psk(struct milgi__hs *hs, const struct milgi_psk *psk);
/* Server: the answer to the question of tickets. MILGI_EINVAL. */
int milgi__use_ticket(struct milgi__hs *hs, const struct milgi_ticket_opened *opened);
/*
 * Sessions that go back to an external PSK are bound to it beside the config's policy: |policy| of those of |psk|; and
 * whether that of |session| is there still, with the same secret. False: no, or it could not be computed. (psk13.c)
 */
bool milgi__psk_policy(
    const struct milgi__hs *hs, const struct milgi_session *psk, uint8_t policy[MILGI__SESSION_POLICY_LEN]);
bool milgi__psk_stands(const struct milgi__hs *hs, const struct milgi_session *session);
/* The peer's PSK is from elsewhere. */
static inline bool milgi__on_external(const struct milgi__hs *hs)
{
    return hs->session && hs->session->f.kind != MILGI__SESSION_OURS;
}
/* Server: remembers what the second ClientHello may bring again. */
bool milgi__keep_identities(struct milgi__hs *hs, const struct milgi__exts *ext);
/*
 * What both roles and versions ask of a session, besides its suite: its version, its server name, whose word it stands
 * for and since when.
 */
bool milgi__session_usable(
    const struct milgi__hs *hs, const struct milgi_session *session, uint16_t version, const char *name);
/*
 * What the early exporter needs of a PSK and the whole ClientHello, if the config wants it; and that the two sides do
 * not mean the same any more. False: the handshake has failed.
 */
bool milgi__keep_early(struct milgi__hs *hs, const struct milgi_session *psk, struct milgi__bytes hello);
void milgi__forget_early(struct milgi__hs *hs);
/* What the session says of the peer becomes the result's. */
bool milgi__resume_peer(struct milgi__hs *hs);
/*
 * A session of this handshake with a secret from which those of its tickets are made; NULL: no memory, or it cannot
 * be.
 */
struct milgi_session *milgi__session_of(struct milgi__hs *hs);

/* --- sessions of TLS 1.2 (resume12.c) --------------------------------------------------------------------------- */

/* Client: whether |session| may be offered; what is said of the one that is. */
bool milgi__can_offer12(const struct milgi__hs *hs, const struct milgi_session *session);
void milgi__offer_session12(const struct milgi__hs *hs, struct milgi__exts *ext);
/* Client: whether the ServerHello, which was read, resumes the session. False: it must not. */
bool milgi__take_session12(struct milgi__hs *hs, const struct milgi__server_hello *hello);
bool milgi__take_ticket12(struct milgi__hs *hs, struct milgi__reader *body);
/* Client, open: see milgi__hs_session(). */
struct milgi_session *milgi__session12(struct milgi__hs *hs);
/* Server: starts to open the ticket that the ClientHello, hs->seen, brings, or to look its session ID up. */
bool milgi__look_up12(struct milgi__hs *hs);
/* Server: the session that fits, hs->session; none: a full handshake. False: the handshake has failed. */
bool milgi__choose_session12(struct milgi__hs *hs, const struct milgi__client_hello *hello);
/* With the session, its suite, and both randoms: keys. */
bool milgi__resume_keys12(struct milgi__hs *hs);
/* Server: whether it gives a ticket; a session ID. */
bool milgi__issues_ticket12(const struct milgi__hs *hs);
bool milgi__issues_id12(const struct milgi__hs *hs);
/* Answers that are not the application's: what the cache has of the ID; the session is put there. */
void milgi__find_session12(struct milgi__hs *hs);
void milgi__store_session12(struct milgi__hs *hs);
/* Starts to seal it, or settles that there is none; sends it. */
void milgi__seal_ticket12(struct milgi__hs *hs);
/* Starts to have the session kept, or settles that there is none. */
void milgi__keep_session12(struct milgi__hs *hs);
bool milgi__send_ticket12(struct milgi__hs *hs);

/* --- tickets of a server (tickets13.c) -------------------------------------------------------------------------- */

/* How long those of |session| are good for; 0: not at all. Starts to seal the i-th. 0: its op was started. */
uint32_t milgi__ticket_life(const struct milgi__hs *hs, const struct milgi_session *session);
int milgi__seal_session(struct milgi__hs *hs, const struct milgi_session *session, unsigned i);

/* Whether there are any to give. */
bool milgi__issues_tickets(const struct milgi__hs *hs);
/* Those that a decision has sealed; NULL: there are none. MILGI_EINVAL. */
int milgi__use_sealed(struct milgi__hs *hs, const struct milgi_tickets_sealed *sealed);
void milgi__forget_shown(struct milgi__issue *issue); /* |issue| may be NULL */
void milgi__take_sealed(struct milgi__hs *hs, unsigned at, const struct milgi_op *op);
enum milgi__step milgi__seal_tickets(struct milgi__hs *hs, struct milgi__reader *none);
enum milgi__step milgi__send_tickets(struct milgi__hs *hs, struct milgi__reader *none);
/* --- in TLS 1.2 (auth12.c) -------------------------------------------------------------------------------------- */

/* Of a key's suites: ECDSA's or RSA's. */
enum milgi__auth milgi__auth_of(enum milgi__key_type type);
/* The groups that it has. */
bool milgi__group_in12(uint16_t group);
/* Whether the key may be used: a suite (server), or the request (client), allows it. */
bool milgi__hs_key_allowed(const struct milgi__hs *hs, enum milgi__key_type type);
/* What is behind the messages so far, the ClientKeyExchange the last of them: for the extended master secret. */
bool milgi__hs_session_hash(struct milgi__hs *hs);
/* With the shared secret: master secret, logged, and keys; with the master secret the keys. */
bool milgi__hs_master_secret(struct milgi__hs *hs);
bool milgi__hs_keys12(struct milgi__hs *hs);
bool milgi__hs_take_certificate12(struct milgi__hs *hs, struct milgi__reader *body);
bool milgi__hs_send_certificate12(struct milgi__hs *hs, const struct milgi_credential *credential);
/* Checks a signature as far as it goes without the op, and starts the op. */
bool milgi__hs_check_signature12(
    struct milgi__hs *hs, const struct milgi__certificate_verify *verify, struct milgi__bytes input);
/* What ServerKeyExchange is signed over, in |out|; p NULL: failed. */
#define MILGI__SIGNED_PARAMS_MAX (64 + MILGI__ECDH_PARAMS_MAX)
struct milgi__bytes milgi__hs_signed_params(
    const struct milgi__hs *hs, struct milgi__bytes params, uint8_t out[MILGI__SIGNED_PARAMS_MAX]);
/* change_cipher_spec, the write key, Finished. */
bool milgi__hs_send_finished12(struct milgi__hs *hs);
/* The change_cipher_spec has come: the read key. */
bool milgi__hs_take_change(struct milgi__hs *hs);
bool milgi__hs_take_finished12(struct milgi__hs *hs, struct milgi__reader *body);
