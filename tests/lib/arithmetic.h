/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of lanes by OpenSSL, one behind the other, for processors without the vectors; and what was asked. */
#pragma once

#include "device/lanes/numbers.h"

struct arithmetic_seen {
    unsigned calls, last_n;
    uint32_t fail;         /* lanes, as bits, that say they failed */
    bool zeros;            /* a shared secret is zeros, and the lane finds nothing in it */
    uint8_t nonce[64][48]; /* all that were used */
    unsigned nonces;
};
extern struct arithmetic_seen seen;
extern const struct milgi__vectors arithmetic;
