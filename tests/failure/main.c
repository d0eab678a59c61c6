/* SPDX-License-Identifier: Apache-2.0 */
/*
 * milgi_failure [1.2] churn DEVICE CONNECTIONS keep|replace [small]
 * milgi_failure [1.2] transfer DEVICE ILLNESS TRANSFERS BYTES
 *
 * With TLS 1.3, or 1.2. pool and dpdk run on real time, all other devices on virtual time. small: resident memory is
 * not looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "host.h"

/*
 * A block is sealed, then opened: two ops that may each be lost once. Where ops are only slow they wait in line: behind
 * 256 of their class, which has half of a device that does 256 in 20 ms, and then 20 ms in it; what is more is spilled.
 * Records wait for those before them, so some of it twice. What comes late makes wait both ways, until the engine has
 * had enough of it.
 */
#define TIMEOUT (50 * HOST_MS)
#define LINES (4 * (40 + 20) * HOST_MS)
#define A_LITTLE (25 * HOST_MS)

static const struct illness illnesses[] = {
    { "well", SHIM_WELL, 0, 0, 0, 0 },
    { "fails", SHIM_FAILS, 0, 900 * HOST_MS, 500 * HOST_MS, A_LITTLE },
    { "stalls", SHIM_STALLS, 0, 900 * HOST_MS, 500 * HOST_MS, 2 * TIMEOUT + A_LITTLE },
    { "loses", SHIM_LOSES, 0, 900 * HOST_MS, 500 * HOST_MS, 2 * TIMEOUT + A_LITTLE },
    { "slow", SHIM_SLOW, 20 * HOST_MS, 900 * HOST_MS, 500 * HOST_MS, LINES + A_LITTLE },
    { "late", SHIM_SLOW, 80 * HOST_MS, 900 * HOST_MS, 500 * HOST_MS, 2 * TIMEOUT + LINES + A_LITTLE },
};

static const struct illness *illness_of(const char *name)
{
    for (size_t i = 0; i < sizeof illnesses / sizeof illnesses[0]; i++) {
        if (strcmp(illnesses[i].name, name) == 0)
            return &illnesses[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    host_tls12 = argc > 1 && strcmp(argv[1], "1.2") == 0;
    argc -= host_tls12;
    argv += host_tls12;
    bool real = argc > 2 && (strncmp(argv[2], "pool", 4) == 0 || strncmp(argv[2], "dpdk", 4) == 0);
    const struct illness *illness;
    if (argc >= 5 && strcmp(argv[1], "churn") == 0)
        return churn(argv[2], strtoull(argv[3], NULL, 10), real, strcmp(argv[4], "replace") == 0, argc == 5);
    if (argc == 6 && strcmp(argv[1], "transfer") == 0 && (illness = illness_of(argv[3])))
        return transfer(argv[2], illness, (unsigned)strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10), real);
    fprintf(stderr, "usage: milgi_failure [1.2] churn DEVICE CONNECTIONS keep|replace [small]\n"
                    "       milgi_failure [1.2] transfer DEVICE well|fails|stalls|loses|slow|late TRANSFERS BYTES\n");
    return 2;
}
