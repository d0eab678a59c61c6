/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS 1.3 peer in the hand of a test, against one connection of the library (the victim). By itself it is honest;
 * each message can be changed before it goes into the transcript, and records of any kind can be sent in between. It
 * keeps its own transcript and keys, so that what it says is consistent with what it has said, and it believes whatever
 * it hears. Failures of its own end the test program.
 */
#pragma once

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kex.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "handshake/msg/msg.h"
#include "keys/keys.h"
#include "pair.h"

/* One direction's keys. */
struct liar_keys {
    bool on;
    uint8_t secret[MILGI__SECRET_MAX], key[32], iv[12];
    uint64_t serial, seq;
    unsigned epoch; /* keys so far */
};

enum {
    LIAR_CCS = 20,
    LIAR_ALERT = 21,
    LIAR_HANDSHAKE = 22,
    LIAR_DATA = 23
};

struct liar;

/*
 * Changes what is about to be said, before it goes into the transcript; false: it is not said. The length in its header
 * is as the change leaves it.
 */
typedef bool (*liar_edit_cb)(struct liar *liar, struct pair_bytes *message);
/*
 * Told of each record that the victim has sent: its content, under the liar's read.epoch. When it cannot be understood:
 * what is on the wire behind its header, and the liar is deaf.
 */
typedef void (*liar_hear_cb)(struct liar *liar, unsigned type, const uint8_t *data, size_t len);

struct liar_setup {
    enum milgi_role role;                /* the liar's */
    struct milgi_config *victim;         /* the victim's config, of the other role */
    struct milgi_credential *credential; /* the liar's (borrowed); a client may have none */
    uint16_t suite, group;               /* 0: AES-128-GCM, X25519 */
    bool retry;                          /* server: it begins with a HelloRetryRequest; client: it offers no share */
    bool ask;                            /* server: it asks for a certificate */
    bool middlebox;                      /* client: sends a session id; both send a CCS where it belongs */
    const char *device;                  /* the victim's; NULL: inline */
    const struct milgi_engine_options *options;
    bool hurry; /* it says all of a flight before the victim runs */
    liar_edit_cb edit;
    liar_hear_cb hear;
    void *arg;
};

struct liar {
    struct liar_setup setup;
    struct pair pair;
    struct pair_side *victim;
    struct milgi__crypto *cx;
    const struct milgi__suite *suite;
    struct milgi__pkey *key;
    uint16_t scheme;
    struct milgi__transcript transcript;
    struct milgi__schedule13 schedule;
    struct liar_keys write, read;
    uint8_t secret[MILGI_KEX_SECRET_MAX], pub[MILGI_KEX_PUBLIC_MAX]; /* its key share */
    size_t secret_len, pub_len;
    uint16_t share_group;                   /* of its share */
    uint8_t peer_pub[MILGI_KEX_PUBLIC_MAX]; /* the victim's */
    size_t peer_pub_len;
    uint8_t session_id[32];
    size_t session_id_len;
    int due;         /* enum milgi__msg that an honest peer would say next; -1: none */
    unsigned said;   /* messages */
    size_t fragment; /* handshake bytes per record; 0: as many as fit */
    /* What lies behind the next message in its last record, as if it belonged to the one after that: as many bytes are
     * then left out there. */
    const uint8_t *early;
    size_t early_len, gone;
    bool asked; /* by the victim for a certificate */
    uint64_t random;
    struct pair_bytes waiting; /* said, and not yet taken by the victim: it has paused */
    /* what the victim has said */
    struct pair_bytes heard; /* of a message, the beginning */
    unsigned char types[64]; /* of its messages */
    unsigned types_n, ccs_n, records_n, updates_n;
    size_t updated_at;      /* bytes of data that had come before the last KeyUpdate */
    int alert_level, alert; /* -1: none */
    bool deaf;              /* it says something that cannot be understood: its keys are others */
    bool finished;          /* its Finished came and was right */
    bool retried;           /* a HelloRetryRequest was said or heard */
    struct pair_bytes got;  /* application data */
};

void liar_init(struct liar *liar, const struct liar_setup *setup);
/* Frees the victim, and asserts that nothing of it is left: no op, no chunk. */
void liar_fini(struct liar *liar);

/* Runs the victim until it rests (at most |ns| of virtual time), and hears what it says. */
void liar_listen_for(struct liar *liar, uint64_t ns);
void liar_listen(struct liar *liar); /* without letting time pass */
/* Listens, says what is due, listens. False: nothing is due. */
bool liar_step(struct liar *liar);
/* Steps until a message of this type is due (the nth, from 0), and listens. False: it never is. */
bool liar_step_to(struct liar *liar, int type, unsigned nth);
/* All steps; asserts that the victim is established. */
void liar_handshake(struct liar *liar);

/* A handshake message: into the transcript and out, in as many records as |fragment| says. */
void liar_say(struct liar *liar, const void *message, size_t len);
/* One record under the write key; |pad| zeros behind the content. Nothing is limited. */
void liar_record(struct liar *liar, unsigned type, const void *data, size_t len, size_t pad);
/* One record as its header says, in the clear. */
void liar_plain(struct liar *liar, unsigned type, const void *data, size_t len);
/* A protected record whose outer header and inner plaintext (content, type and padding) are the caller's. */
void liar_inner(struct liar *liar, unsigned outer_type, const void *inner, size_t len);
/* Anything at all. Waits while the victim says PAUSE; goes on when it is listened to. */
void liar_raw(struct liar *liar, const void *data, size_t len);
void liar_send_ccs(struct liar *liar);
void liar_send_alert(struct liar *liar, int level, int alert);
/* A KeyUpdate, padded, or in records as |fragment| says, and new keys for what follows. */
void liar_update(struct liar *liar, bool request, size_t pad);

/* The victim has ended with this alert, told us so (if it can be understood), and given nothing to its application. */
void liar_expect_alert(struct liar *liar, int alert);
/* One of several, ended by -1. */
void liar_expect_alerts(struct liar *liar, const int *alerts);
/* "alert (detail)" of the victim's end, or "open"; static until the next call. */
const char *liar_end(const struct liar *liar);

/* --- changing messages (liar_edit.c): lengths inside the message follow ------------------------------------------- */

/* Replaces |old_len| bytes at |at|; the header's length follows. */
void liar_splice(struct pair_bytes *m, size_t at, size_t old_len, const void *data, size_t len);
/* Where the extensions of a message begin, behind the length of their block. 0: it has none. */
size_t liar_block(const struct pair_bytes *m);
bool liar_ext_has(const struct pair_bytes *m, unsigned iana);
void liar_ext_remove(struct pair_bytes *m, unsigned iana);
void liar_ext_add(struct pair_bytes *m, unsigned iana, const void *body, size_t len, bool last);
void liar_ext_set(struct pair_bytes *m, unsigned iana, const void *body, size_t len);
size_t liar_at_session_id(const struct pair_bytes *m); /* its length byte, in hellos */
size_t liar_at_suites(const struct pair_bytes *m);     /* ClientHello: the length of the list; ServerHello: the suite */
