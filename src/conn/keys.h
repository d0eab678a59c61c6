/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/state.h"

/* Makes the key of a traffic secret and installs it. 0 or an error. */
int milgi__conn_install(struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite,
    const uint8_t *secret);
/* The peer's KeyUpdate was the last message handed on: its next key. False: it failed. */
bool milgi__conn_update_read(struct milgi_conn *c);
/* Our own, behind what is queued or, |first|, before what is not framed. 0 or an error: the connection has failed. */
int milgi__conn_update_write(struct milgi_conn *c, bool ask_peer, bool first);
