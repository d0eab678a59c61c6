/* SPDX-License-Identifier: Apache-2.0 */
/* Milgi as a peer. */
#include <stdio.h>

#include <milgi/milgi.h>

#include "peer.h"

const struct peer peers[] = { { "", &subject_milgi, true }, { NULL, NULL, false } };

const char *peer_version(void)
{
    static char text[128];

    snprintf(text, sizeof text, "Milgi %s (%s)", milgi_version(), MILGI_CRYPTO);
    return text;
}

/* Inside the library each allocation asks this whether it shall fail. */
extern bool (*milgi__mem_fail)(void);
static uint64_t own;

static bool count_own(void)
{
    own++;
    return false;
}

static uint64_t own_mallocs(void)
{
    milgi__mem_fail = count_own;
    return own;
}

uint64_t (*const peer_own_mallocs)(void) = own_mallocs;
