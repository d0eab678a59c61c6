/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which credentials fit a server name: an index over all names of all leaves, made when the config is frozen, so that
 * a ClientHello costs the same whether there is one credential or a thousand.
 *
 * Choosing has a rule of its own, apart from how a client verifies: names are compared byte by byte without regard to
 * case (A-labels of IDNA, underscores and all), "*." stands for one whole label, one dot at the end of what a client
 * asks for is dropped, and a name with an empty label fits nothing.
 */
#pragma once

#include <milgi/config.h>

#include "cert/cert.h"

struct milgi__name {
    char *text;             /* in lower case; ".w.test" for "*.w.test" */
    uint32_t *fits, fits_n; /* credentials, in the config's order; of those that no handshake tells apart the first */
};

/* All zeros: empty. */
struct milgi__names {
    struct milgi__name *name; /* sorted by text */
    size_t n, cap;
    struct milgi__name any; /* whatever the name; text is NULL */
};

/* 0 or MILGI_ENOMEM. */
int milgi__names_build(struct milgi__names *names, struct milgi_credential *const *credentials, size_t n);
void milgi__names_clear(struct milgi__names *names);

/* A walk through those that fit, in the config's order. */
struct milgi__fits {
    const uint32_t *exact, *exact_end, *wild, *wild_end;
};
struct milgi__fits milgi__names_find(const struct milgi__names *names, const char *name);
struct milgi__fits milgi__names_any(const struct milgi__names *names);
/* The index of the next credential in |*i|; false: there is no more. */
bool milgi__fits_next(struct milgi__fits *fits, size_t *i);
