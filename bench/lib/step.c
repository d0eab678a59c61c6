/* SPDX-License-Identifier: Apache-2.0 */
/* The work of one side. A file of its own, so that these stay functions which a profiler can see. */
#include "ends.h"

void pair_work(struct pair *pair, enum side side, enum step step, const struct message *message)
{
    const struct subject *subject = pair->subject;
    struct end **end = &pair->end[side];

    switch (step) {
    case STEP_NEW: *end = subject->end_new(pair->world, side, &pair->wire[side], &pair->wire[!side]); break;
    case STEP_PROGRESS: subject->progress(*end, message->len * message->n); break;
    case STEP_SEND: subject->send(*end, message->way, message->len, message->n); break;
    case STEP_SETTLE:
        if (subject->settle)
            subject->settle(pair->world, side);
        break;
    case STEP_FREE: subject->end_free(*end); break;
    }
}

void profiled_client(struct pair *pair, enum step step, const struct message *message)
{
    pair_work(pair, CLIENT, step, message);
}

void profiled_server(struct pair *pair, enum step step, const struct message *message)
{
    pair_work(pair, SERVER, step, message);
}
