/* SPDX-License-Identifier: Apache-2.0 */
#include "device/worker/bed.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* 0, or the error */
static int futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0) < 0 ? errno : 0;
}

static bool take_token(struct milgi__bed *bed)
{
    uint32_t tokens = atomic_load(&bed->tokens);

    while (tokens > 0) {
        if (atomic_compare_exchange_weak(&bed->tokens, &tokens, tokens - 1))
            return true;
    }
    return false;
}

void milgi__bed_lie(struct milgi__bed *bed)
{
    (void)atomic_fetch_add(&bed->parked, 1);
}

void milgi__bed_rise(struct milgi__bed *bed)
{
    uint32_t parked = atomic_load(&bed->parked);

    while (parked > 0) {
        if (atomic_compare_exchange_weak(&bed->parked, &parked, parked - 1))
            return;
    }
    /* Called meanwhile: the token is there, or its waker is just about to leave it. */
    (void)milgi__bed_sleep(bed, UINT64_MAX);
}

bool milgi__bed_sleep(struct milgi__bed *bed, uint64_t ns)
{
    struct timespec timeout = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

    while (!take_token(bed)) {
        if (futex(&bed->tokens, FUTEX_WAIT, 0, ns == UINT64_MAX ? NULL : &timeout) == ETIMEDOUT)
            return take_token(bed);
    }
    return true;
}

void milgi__bed_call(struct milgi__bed *bed, uint32_t n)
{
    uint32_t parked = atomic_fetch_add(&bed->parked, 0), called;

    do {
        called = parked < n ? parked : n;
        if (called == 0)
            return;
    } while (!atomic_compare_exchange_weak(&bed->parked, &parked, parked - called));
    (void)atomic_fetch_add(&bed->tokens, called);
    (void)futex(&bed->tokens, FUTEX_WAKE, called > INT_MAX ? INT_MAX : called, NULL);
}
