/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that a client's connection is given, takes and passes on. */
#pragma once

#include "conn/state.h"
#include "handshake/handshake.h"

/* Tells the handshake, which has not run yet, what to offer. */
void milgi__conn_offer(struct milgi_conn *c);
/*
 * Open: |base|, which is taken, becomes part of the outcome, behind its texts: what a client's sessions are made from,
 * if it |keeps| any; with |psk| what has the identity of the external PSK that the connection stands on.
 */
void milgi__conn_keep_session(struct milgi_conn *c, struct milgi_session *base, bool keeps, bool psk,
    struct milgi_session_cache *cache);
/* The room that it takes in the outcome: there, and among the secrets. */
struct milgi__conn_session_room {
    size_t part, secret;
};
struct milgi__conn_session_room milgi__conn_session_room(const struct milgi_session *base, bool keeps);
/* The identity of that PSK. */
struct milgi_iov milgi__conn_psk(const struct milgi_conn *c);
void milgi__conn_forget_session(struct milgi_conn *c);
/* The same, when it is a session already (TLS 1.2), is given to whom wants it. */
void milgi__conn_session(struct milgi_conn *c);
/* Behind that: a client keeps no session that there is no cache to take out of. */
void milgi__conn_session_done(struct milgi_conn *c);
/* Server, established: the ID by which the session is kept; len 0: none. */
struct milgi_iov milgi__conn_session_id(const struct milgi_conn *c);
/* A fatal alert: the session is not used any more. */
void milgi__conn_spoil_session(struct milgi_conn *c);
/* The body of a NewSessionTicket, which was checked. */
void milgi__conn_ticket(struct milgi_conn *c, struct milgi__bytes body);
