/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that a client's connection is given, takes and passes on. */
#pragma once

#include "conn/state.h"
#include "handshake/handshake.h"

/* Tells the handshake, which has not run yet, what to offer. */
void milgi__conn_offer(struct milgi_conn *c);
/* The body of a NewSessionTicket, which was checked. */
void milgi__conn_ticket(struct milgi_conn *c, struct milgi__bytes body);
