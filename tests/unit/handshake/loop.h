/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client and a server handshake that talk to each other directly: no records, no engine. Ops are performed at once,
 * or queued and finished one by one in any order.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "handshake/hs.h"
#include "identity.h"

#define LOOP_MESSAGES 32
#define LOOP_OPS 8

struct loop_message {
    enum milgi__level level;
    uint8_t *data;
    size_t len;
};

struct loop_op {
    struct milgi_op *op;
    unsigned slot;
};

struct loop_end {
    struct loop *loop;
    struct milgi__hs *hs;
    enum milgi__hs_wait wait;
    uint64_t random;
    struct loop_message sent[LOOP_MESSAGES]; /* all, one by one */
    unsigned sent_n, taken;                  /* taken by the peer */
    struct loop_op ops[LOOP_OPS];
    unsigned ops_n, ops_started;
    uint32_t slots_seen; /* started, whatever became of them */
    enum milgi__level level[2];
    const uint8_t *installed[4]; /* unused levels: NULL */
    uint8_t secret[2][4][MILGI__SECRET_MAX];
    unsigned compat_n;
    uint32_t record_most[2]; /* by enum milgi__dir; 0: nothing was said */
    uint32_t asked;          /* decisions that were asked */
    unsigned rooms_refused;  /* how often room() is to say no */
    unsigned room_asked;
    size_t room_most;             /* bytes that were asked for at once */
    unsigned ops_left, keys_left; /* the last of so many cannot be had, in spite of room(); 0: all can */
    unsigned ops_held, keys_held; /* made and not yet given back; freeing the loop demands none */
};

struct loop {
    struct milgi__crypto *cx;
    struct milgi__pool *pool;
    struct loop_end client, server;
    bool queued;       /* ops wait for loop_finish() */
    bool silent;       /* loop_pump() delivers nothing */
    unsigned fragment; /* bytes given at once; 0: whole messages */
    unsigned keys_n;
    struct milgi_key *keys[8];
    void *loaded[8];
    /* May change a message before it is delivered (realloc it, set *len); false: it is lost. */
    bool (*tamper)(struct loop *loop, struct loop_end *from, struct loop_message *message);
    void *tamper_arg;
    int64_t later_s; /* than the clock says it is */
    unsigned lines;  /* of the key log */
    bool bad_ccs;    /* one was refused */
};

/* References on the configs are taken. */
struct loop *loop_new(struct milgi_config *client, struct milgi_config *server, const char *name);
void loop_free(struct loop *loop);
/* Runs both and delivers messages until nothing moves; with !queued to the end. */
void loop_pump(struct loop *loop);
void loop_run(struct loop_end *end);
/* Delivers the next message of |from|; false: there is none, or the other end does not wait for one. */
bool loop_deliver(struct loop *loop, struct loop_end *from);
/* Gives bytes to an end as if the peer had sent them. */
void loop_input(struct loop_end *end, enum milgi__level level, const void *data, size_t len);
/* Finishes the i-th op of the end: performed, or given back with |status|. */
void loop_finish(struct loop_end *end, unsigned i, enum milgi_op_status status);
struct loop_end *loop_peer(struct loop_end *end);
/* The alert with which an end has failed; -1: it has not. */
int loop_alert(const struct loop_end *end);
/* The i-th message of a type that an end has sent, or NULL. */
const struct loop_message *loop_sent(const struct loop_end *end, unsigned type, unsigned i);

/* Both are open and agree on everything. */
void assert_open(struct loop *loop);
/* This end has failed with this alert, and the other has not opened. */
void assert_alert(const struct loop_end *end, int alert);

/* --- configs that most tests start from ------------------------------------------------------------------------- */

struct fixture {
    struct identity *root, *leaf[IDENTITY_KEYS], *client[2]; /* clients: P-256, RSA */
    struct milgi_trust *trust;
    struct milgi_credential *credential[IDENTITY_KEYS], *client_credential[2];
};
extern struct fixture fixture;
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Not frozen yet; their groups are not hybrids. */
struct milgi_config *client_config(void);
struct milgi_config *server_config(enum identity_key key);
void freeze(struct milgi_config *config);
/* A loop of two frozen configs, which are given up; the name is "a.test". */
struct loop *loop_of(struct milgi_config *client, struct milgi_config *server);

#define MUST(call) assert_int_equal((call), 0)
