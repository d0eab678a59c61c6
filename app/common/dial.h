/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting to a name by all of its addresses: one after the other, the next as soon as one fails or has not answered
 * for a moment, until one answers or the time is over (after RFC 8305).
 */
#pragma once

#include <uv.h>

#include "common/address.h"

struct dial;

/*
 * Once, unless dial_stop() comes before, from the loop and never from dial_start(): |fd| is connected and the
 * callee's; or it is -1, and |error| (of libuv) says why the last of them, |where|, could not be had.
 */
typedef void (*dial_done)(void *arg, int fd, int error, const struct app_address *where);

/*
 * |to|, of at least one, is borrowed until the end; whoever answers is the first to be asked the next time. 0 ms: no
 * limit but the system's. When the first answers at once, as one on this machine does, it is over at once: |*now| is
 * connected and the caller's, and NULL is returned. NULL and |*now| -1: no memory.
 */
struct dial *dial_start(
    uv_loop_t *loop, struct app_addresses *to, uint32_t timeout_ms, dial_done done, void *arg, int *now);
void dial_stop(struct dial *d);
