/* SPDX-License-Identifier: Apache-2.0 */
/* Loops whose handshakes leave sessions behind and stand on them. */
#pragma once

#include "loop.h"
#include "session/session.h"

#define LIFETIME 7200

extern struct milgi_ticket_keys *resume_keys;
static const uint16_t p384[] = { MILGI_GROUP_SECP384R1 };

/* With the fixture. */
int resume_setup(void **state);
int resume_teardown(void **state);

struct milgi_config *ticket_config(void);
/* The session of the i-th ticket that the server has sent; NULL: there is none. */
struct milgi_session *session_in(struct loop *loop, unsigned i);
unsigned tickets_of(struct loop *loop);
/* A session of a full handshake of these configs, which are given up. */
struct milgi_session *session_of(struct milgi_config *client, struct milgi_config *server);
struct milgi_session *usual_session(void);
/* A loop whose client is given |session|, which is given up. */
struct loop *loop_with(struct milgi_session *session, struct milgi_config *client, struct milgi_config *server);
/* Open, and on a session or not: both ends say the same, and so does the wire. */
void assert_resumed(struct loop *loop, bool resumed);
/* In any case, whether it fits or not; the reference is taken. */
void offer_any(struct loop *loop, struct milgi_session *session);
/*
 * Runs it with queued ops: at each point the one that |pick| says is finished; the |victim|-th of them ends with
 * |status|.
 */
struct loop *resume_play(struct loop *loop, uint64_t pick, unsigned victim, enum milgi_op_status status);
void resume_run(
    struct milgi_session *session, struct milgi_config *client, struct milgi_config *server, bool resumed);
/* The client offers it in any case: what the server makes of it. */
void offer(struct milgi_config *client, struct milgi_config *server, struct milgi_session *session, int64_t later_s,
    bool resumed);

/* The same in TLS 1.2. */
struct milgi_config *client12(void);
struct milgi_config *server12(void);
/* What a full handshake of these configs, which are given up, leaves behind. */
struct milgi_session *session_by(struct milgi_config *client, struct milgi_config *server);
struct milgi_session *session12(void);
