/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that breaks its contract when it is told to: around another one, which does the work. For tests of whoever
 * has to find it out. Public API only.
 *
 *     struct rogue *rogue = rogue_new("sim:latency=10us");
 *     int index = milgi_engine_add_device(engine, &rogue->device);
 *     rogue->lie = ROGUE_TWICE;        (at any time, for what comes back from now on)
 *     ... rogue->told tells how often it has lied ...
 *     milgi_engine_free(engine);
 *     rogue_free(rogue);
 */
#pragma once

#include <stdbool.h>

#include <milgi/device.h>

enum rogue_lie {
    ROGUE_HONEST,
    ROGUE_TWICE,      /* an op that was given back comes back once more, at the next dequeue() */
    ROGUE_TWICE_NOW,  /* the same within one dequeue(): the op stands twice in the list */
    ROGUE_PENDING,    /* ops come back with the status PENDING */
    ROGUE_STATUS,     /* ops come back with a status that does not exist */
    ROGUE_LOST,       /* ops come back with the engine's own status LOST */
    ROGUE_FOREIGN,    /* besides, an op comes back that it was never given */
    ROGUE_TOO_MANY,   /* dequeue() says that it has written one more than it has */
    ROGUE_GREEDY,     /* enqueue() says that it has taken more than it was offered */
    ROGUE_KEEPS,      /* takes ops and gives none back; quiesce() answers MILGI_EBUSY */
    ROGUE_KEEPS_QUIET /* takes ops and gives none back; quiesce() ends all the same */
};

struct rogue {
    struct milgi_device device;
    struct milgi_device *inner;
    enum rogue_lie lie;
    unsigned told;     /* lies so far */
    unsigned inside;   /* accepted and not given back */
    unsigned quiesced; /* calls of quiesce() */
    int health;        /* what health() answers */
    struct milgi_op foreign;
};

/*
 * |spec| is a device of the library's. The caps are its, without INLINE; whoever wants it to lie about them changes
 * rogue->device.caps before it is added. NULL: the inner one cannot be made.
 */
struct rogue *rogue_new(const char *spec);
/* No engine uses it any more. */
void rogue_free(struct rogue *rogue);
