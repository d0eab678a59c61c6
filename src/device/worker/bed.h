/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where workers sleep, and how engines wake them.
 *
 * |parked| counts the sleepers that nobody has called. A waker takes as many as it wants off that count and leaves as
 * many tokens; a sleeper goes when it has got a token. So every sleeper is called once, a burst costs one system call
 * at most, and none when all are awake.
 *
 * No call is lost: a worker first joins |parked|, then looks at the lanes once more; an engine first publishes its ops,
 * then looks at |parked|. All four are sequentially consistent read-modify-writes, so that at least one sees the other.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct milgi__bed {
    _Atomic uint32_t parked;
    _Atomic uint32_t tokens;
};

/* Worker: lies down. Then it must look for work again, and call milgi__bed_rise() or milgi__bed_sleep(). */
void milgi__bed_lie(struct milgi__bed *bed);
/* There was work after all. Takes the call that may have come meanwhile. */
void milgi__bed_rise(struct milgi__bed *bed);
/* Sleeps until called (true) or for |ns| (false: it still lies there); UINT64_MAX: without end. */
bool milgi__bed_sleep(struct milgi__bed *bed, uint64_t ns);
/* Engine: calls up to |n| sleepers. */
void milgi__bed_call(struct milgi__bed *bed, uint32_t n);
