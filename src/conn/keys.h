/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "conn/over.h"

/* Makes the key of a traffic secret and installs it. 0 or an error. */
int milgi__conn_install(struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite,
    const uint8_t *secret);
/* The peer's KeyUpdate was the last message handed on: its next key. False: it failed. */
bool milgi__conn_update_read(struct milgi_conn *c);
/*
 * Our own, behind what is queued or, |first|, before what is not framed; when sending was handed over: before what is
 * handed out next, by milgi__conn_hand_update(). 0 or an error: the connection has failed.
 */
int milgi__conn_update_write(struct milgi_conn *c, bool ask_peer, bool first);
/* The peer's key is at its limit, and the peer does not change it by itself: it is asked. */
bool milgi__conn_wants_update(const struct milgi_conn *c);
/* Sending was handed over: the KeyUpdate that is due, and the keys behind it. False: no memory, or it has failed. */
bool milgi__conn_hand_update(struct milgi_conn *c);
