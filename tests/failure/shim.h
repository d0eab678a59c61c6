/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device around another one: it counts what goes in and comes out, knows which ops are inside, and gets ill and well
 * again when it is told to. Public API only.
 */
#pragma once

#include <stdbool.h>

#include <milgi/device.h>

enum shim_mode {
    SHIM_WELL,
    SHIM_FAILS,  /* every op comes back BROKEN, records with garbage where their result was to be */
    SHIM_STALLS, /* takes ops until it is full and gives nothing back; when that is over it does them */
    SHIM_LOSES,  /* every |lose_every|-th op does not come back before quiesce() */
    SHIM_SLOW    /* ops come back |slow_ns| later than they would */
};

struct shim_counts {
    uint64_t in, out, failed, lost, wrong; /* wrong: came back without having been in, or went in twice */
};

struct shim {
    struct milgi_device device;
    struct milgi_device *inner;
    enum shim_mode mode;
    unsigned lose_every;
    uint64_t slow_ns;
    struct shim_counts n; /* of all queue pairs so far */
    uint32_t inside;
};

/* NULL: it cannot be made, and the program says why. */
struct shim *shim_new(const char *spec);
/* No engine uses it any more. */
void shim_free(struct shim *shim);
