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

/* Inside the library each call of malloc() tells this. */
extern void (*milgi__mem_made)(void);
static uint64_t own;

static void count_own(void)
{
    own++;
}

static uint64_t own_mallocs(void)
{
    milgi__mem_made = count_own;
    return own;
}

uint64_t (*const peer_own_mallocs)(void) = own_mallocs;
