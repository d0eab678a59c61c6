/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

void milgi__conn_begin(struct milgi_conn *c);     /* makes the handshake */
bool milgi__conn_handshake(struct milgi_conn *c); /* runs it; true: something happened */
void milgi__conn_handshake_free(struct milgi_conn *c);
/* Of a handshake that has failed: whom the client had asked for, and what the peer showed, so that it can be told. */
void milgi__conn_keep_peer(struct milgi_conn *c);
void milgi__conn_forget_chain(struct milgi_conn *c);
void milgi__conn_forget_outcome(struct milgi_conn *c); /* frees it */
