/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets that the shim seals and opens itself: the session as it is, and behind it a checksum, which will do here. */
#include "shim.h"

#include <string.h>

#define SUM_LEN 8u

static void sum(const uint8_t *data, size_t len, uint8_t out[SUM_LEN])
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ data[i]) * 1099511628211u;
    memcpy(out, &hash, SUM_LEN);
}

static int seal(struct shim_exchange *x, const struct milgi_decision *d, const struct milgi_decision_info *info)
{
    static uint8_t room[MILGI_TICKETS_MAX][MILGI_TICKET_MAX];
    struct milgi_tickets_sealed sealed = { .ticket = { { NULL, 0 } } };
    if (x->options->skip_ticket)
        return milgi_decide(x->late->engine, *d, MILGI_REFUSE, NULL);
    for (size_t i = 0; i < info->sessions_n; i++) {
        size_t len = milgi_session_encode(info->sessions[i], room[i], sizeof room[i] - SUM_LEN);
        if (len > sizeof room[i] - SUM_LEN)
            continue;
        sum(room[i], len, room[i] + len);
        sealed.ticket[i] = (struct milgi_iov){ room[i], len + SUM_LEN };
    }
    return milgi_decide(x->late->engine, *d, MILGI_ACCEPT, &sealed);
}

static int open_one(struct shim_exchange *x, const struct milgi_decision *d, const struct milgi_decision_info *info)
{
    for (size_t i = 0; i < info->psk_identities_n; i++) {
        const uint8_t *ticket = info->psk_identities[i].data;
        size_t len = info->psk_identities[i].len;
        uint8_t wanted[SUM_LEN];
        struct milgi_ticket_opened opened = { .at = i };
        if (len <= SUM_LEN)
            continue;
        sum(ticket, len - SUM_LEN, wanted);
        if (memcmp(wanted, ticket + len - SUM_LEN, SUM_LEN) != 0 ||
            milgi_session_decode(ticket, len - SUM_LEN, &opened.session) != 0)
            continue;
        int rv = milgi_decide(x->late->engine, *d, MILGI_ACCEPT, &opened);
        milgi_session_unref(opened.session);
        return rv;
    }
    return milgi_decide(x->late->engine, *d, MILGI_REFUSE, NULL);
}

bool shim_answer_tickets(
    struct shim_exchange *x, const struct milgi_decision *decision, const struct milgi_decision_info *info)
{
    bool seals = decision->kind == MILGI_DECIDE_TICKET_SEAL;
    if (!seals && decision->kind != MILGI_DECIDE_TICKET_OPEN)
        return false;
    int rv = seals ? seal(x, decision, info) : open_one(x, decision, info);
    if (rv)
        shim_complain(x, "a decision about tickets was not taken: %s", milgi_error_text(rv));
    return true;
}
