/* SPDX-License-Identifier: Apache-2.0 */
/* `--device keyless:HOST:PORT,...`: private keys on other machines. */
#pragma once

#include "common/options.h"

/* The servers that |spec| names, NULL: it is no such description. */
const char *app_keyless_servers(const char *spec);
/* What is wrong with the options that belong to it; NULL: nothing. */
const char *app_keyless_fault(const struct app_options *options);
/*
 * What was told of a key server. One that changes often is told of eight times in a minute: the last time with the word
 * that it changes often, and then not before the minute is over.
 */
struct app_keyless_told {
    char part[280];
    uint64_t since_ms;
    unsigned n, kept; /* told since then; not told */
};
/* False: it is kept to ourselves. |*kept|: so many before it were; |*last|: of this minute. */
bool app_keyless_may_tell(
    struct app_keyless_told table[16], const char *part, uint64_t now_ms, unsigned *kept, bool *last);
/* Makes the device, in this process. False: it has complained. */
bool app_keyless_new(const struct app_options *options, struct milgi_device **device);
