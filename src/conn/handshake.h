/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

void milgi__conn_begin(struct milgi_conn *c);     /* makes the handshake */
bool milgi__conn_handshake(struct milgi_conn *c); /* runs it; true: something happened */
void milgi__conn_handshake_free(struct milgi_conn *c);
