/* SPDX-License-Identifier: Apache-2.0 */
/* Directions whose records somebody else makes: what the connection keeps for them (milgi/handover.h). */
#pragma once

#include <milgi/handover.h>

#include "conn/state.h"

#define MILGI__OVER_RUNS 32u  /* staged at most */
#define MILGI__OVER_PAUSE 16u /* a host that heeds PAUSE does not bring more */

/* Content of one type that was received and not taken up; its bytes are staged in the transport. */
struct milgi__run {
    uint32_t len;
    uint8_t type;
};

/* What milgi_conn_keys() has shown: the record that the keys are for. */
struct milgi__shown {
    uint64_t epoch, sequence; /* epoch 0: nothing yet */
};

struct milgi__over {
    uint8_t dirs;     /* 1 << enum milgi__dir: those that were handed over; */
    uint8_t rekeys;   /* of these, those whose keys can change */
    bool update, ask; /* a KeyUpdate is to go out before what comes next; it asks the peer for one */
    uint8_t alert;    /* behind all that is staged: the next record could not be opened; 0: it could */
    bool blocked;     /* whoever opens waits for a key, which what is staged has to bring */
    uint8_t first, n; /* of the ring: */
    struct milgi__run run[MILGI__OVER_RUNS];
    struct milgi__shown shown[2]; /* by enum milgi__dir */
};

/* NULL: none was handed over. */
static inline struct milgi__over *milgi__conn_over(const struct milgi_conn *c)
{
    return c->handed ? c->over : NULL;
}

static inline bool milgi__conn_is_over(const struct milgi_conn *c, enum milgi__dir dir)
{
    const struct milgi__over *over = milgi__conn_over(c);
    return over && over->dirs >> dir & 1;
}

/* Whether the key of this direction can change, as far as that depends on who has it. */
static inline bool milgi__conn_rekeys(const struct milgi_conn *c, enum milgi__dir dir)
{
    const struct milgi__over *over = milgi__conn_over(c);
    return !over || !(over->dirs >> dir & 1) || over->rekeys >> dir & 1;
}

static inline struct milgi__run *milgi__over_run(struct milgi__over *over, unsigned at)
{
    return &over->run[(over->first + at) % MILGI__OVER_RUNS];
}
