/* SPDX-License-Identifier: Apache-2.0 */
/* Directions that somebody else opens or seals, from the application's side: see milgi/handover.h. */
#include <milgi/handover.h>

#include "conn/fail.h"
#include "conn/input.h"
#include "conn/keys.h"

static enum milgi__dir dir_of(enum milgi_direction direction)
{
    return direction == MILGI_SEND ? MILGI__WRITE : MILGI__READ;
}

/* What is under way would be opened, or sealed, twice or not at all. */
static bool is_busy(const struct milgi_conn *c, enum milgi__dir dir)
{
    if (c->hs)
        return true;
    if (dir == MILGI__READ)
        return milgi__transport_in_busy(c->transport);
    return !c->app_open || c->owes_update || c->output.n || milgi__transport_out_busy(c->transport);
}

/* Whether the direction can be handed over now: as milgi_conn_keys(). */
static int check(const struct milgi_conn *c, enum milgi__dir dir)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!c->config->hand_over || !c->events->on_record || !c->events->on_keys || c->busy ||
        milgi__conn_is_over(c, dir))
        return MILGI_EINVAL;
    bool ended = dir == MILGI__READ ? c->in != MILGI__IN_OPEN : c->out != MILGI__OUT_OPEN;
    if (!milgi__conn_live(c) || ended)
        return MILGI_ECLOSED;
    if (c->phase != MILGI__ESTABLISHED)
        return MILGI_EINVAL;
    /*= RFC8449 4: "an endpoint MUST NOT generate a protected record with plaintext that is larger than the
     *= RecordSizeLimit value it receives from its peer." */
    if (milgi__transport_is_limited(c->transport, dir))
        return MILGI_EUNSUPPORTED;
    return is_busy(c, dir) ? MILGI_PAUSE : 0;
}

/* The next record of this direction. */
static struct milgi__shown shown_now(const struct milgi_conn *c, enum milgi__dir dir)
{
    return (struct milgi__shown){ milgi__conn_epoch(c, dir), milgi__transport_records(c->transport, dir) };
}

/* Whether the keys that were shown are still those of the next record: else it would be sealed twice. */
static bool is_shown(const struct milgi_conn *c, enum milgi__dir dir)
{
    struct milgi__shown now = shown_now(c, dir);
    return c->over && c->over->shown[dir].epoch == now.epoch && c->over->shown[dir].sequence == now.sequence;
}

int milgi_conn_keys(
    struct milgi_conn *c, enum milgi_direction direction, struct milgi_traffic_keys *keys)
{
    int rv = check(c, dir_of(direction));
    if (rv != 0)
        return rv;
    /* Here, so that it does not fail when the keys have been given away. */
    if (!c->over)
        c->over = milgi__block_zeroed(milgi__pool_blocks(milgi__engine_pool(c->engine)), sizeof *c->over);
    if (!c->over)
        return MILGI_ENOMEM;
    *keys = (struct milgi_traffic_keys){
        .version = milgi__conn_version(c)->id,
        .suite = c->outcome->suite->id,
    };
    milgi__transport_keys(c->transport, dir_of(direction), keys);
    c->over->shown[dir_of(direction)] = shown_now(c, dir_of(direction));
    return 0;
}

int milgi_conn_hand_over(struct milgi_conn *c, enum milgi_direction direction, unsigned flags)
{
    enum milgi__dir dir = dir_of(direction);
    int rv = check(c, dir);
    if (rv != 0)
        return rv;
    if (!is_shown(c, dir))
        return MILGI_EINVAL;
    c->over->dirs |= (uint8_t)(1u << dir);
    c->handed = true;
    if (flags & MILGI_REKEYS && milgi__conn_version(c)->updates)
        c->over->rekeys |= (uint8_t)(1u << dir);
    milgi__transport_hand_over(c->transport, dir);
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

bool milgi_conn_handed_over(const struct milgi_conn *c, enum milgi_direction direction)
{
    return milgi__conn_is_over(c, dir_of(direction));
}

size_t milgi_conn_record_rest(const struct milgi_conn *c)
{
    return milgi__conn_is_over(c, MILGI__READ) ? 0 : milgi__transport_rest(c->transport);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* Room for |len| bytes of |type| in the list of what is staged. False: there is none. */
static bool add_run(struct milgi__over *over, uint8_t type, uint32_t len)
{
    struct milgi__run *last = over->n ? milgi__over_run(over, over->n - 1u) : NULL;
    /* Empty records are counted one by one. */
    if (last && len && last->len && type == MILGI__DATA && last->type == type) {
        last->len += len;
        return true;
    }
    if (over->n == MILGI__OVER_RUNS)
        return false;
    *milgi__over_run(over, over->n++) = (struct milgi__run){ .len = len, .type = type };
    return true;
}

int milgi_conn_receive_record(struct milgi_conn *c, uint8_t type, struct milgi_slice slice)
{
    struct milgi__over *over = milgi__conn_over(c);
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_is_over(c, MILGI__READ) || (slice.len && !slice.chunk))
        return MILGI_EINVAL;
    int rv = 0;
    /*= RFC8446 6.1: "Any data received after a closure alert has been received MUST be ignored." */
    if (!milgi__conn_live(c) || c->in != MILGI__IN_OPEN || over->alert) {
        rv = MILGI_ECLOSED;
    } else if (!add_run(over, type, slice.len)) {
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR, "input was pushed in spite of PAUSE");
        rv = MILGI_PAUSE;
    } else if (slice.len) {
        rv = milgi__conn_stage(c, slice);
        slice.chunk = NULL;
    } else {
        milgi__transport_keep_busy(c->transport, true);
        milgi__engine_ready(c->engine, &c->owner);
    }
    milgi_chunk_unref(slice.chunk);
    if (rv == 0 && over->n >= MILGI__OVER_PAUSE) {
        c->in_paused = true;
        rv = MILGI_PAUSE;
    }
    return rv;
}

int milgi_conn_receive_failed(struct milgi_conn *c, int alert)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_is_over(c, MILGI__READ) ||
        (alert != MILGI_ALERT_BAD_RECORD_MAC && alert != MILGI_ALERT_RECORD_OVERFLOW &&
            alert != MILGI_ALERT_UNEXPECTED_MESSAGE))
        return MILGI_EINVAL;
    if (!milgi__conn_live(c) || c->in != MILGI__IN_OPEN || c->over->alert)
        return MILGI_ECLOSED;
    c->over->alert = (uint8_t)alert;
    milgi__transport_keep_busy(c->transport, true);
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

int milgi_conn_receive_blocked(struct milgi_conn *c)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_is_over(c, MILGI__READ))
        return MILGI_EINVAL;
    if (!milgi__conn_live(c) || c->in != MILGI__IN_OPEN || c->over->alert)
        return MILGI_ECLOSED;
    c->over->blocked = c->in_paused = true;
    milgi__transport_keep_busy(c->transport, true);
    milgi__engine_ready(c->engine, &c->owner);
    return MILGI_PAUSE;
}

/* --- what a key is used for --------------------------------------------------------------------------------------- */

/*= RFC8446 5.5: "Implementations SHOULD do a key update as described in Section 4.6.3 prior to reaching these limits."
 */
static int sealed(struct milgi_conn *c)
{
    uint64_t most = MILGI__MIN(milgi__conn_limit(c, MILGI_LIMIT_REKEY_RECORDS),
        milgi__transport_records_max(c->transport));
    /* The last has been handed out: nothing is behind it, neither a KeyUpdate nor a failure. */
    if (c->out == MILGI__OUT_CLOSED && milgi__transport_next_type(c->transport) != MILGI__DATA)
        return 0;
    if (milgi__transport_records(c->transport, MILGI__WRITE) < most)
        return c->owes_update ? MILGI_PAUSE : 0;
    if (milgi__conn_version(c)->updates && milgi__conn_rekeys(c, MILGI__WRITE))
        milgi__conn_update_write(c, false, true);
    else
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR,
            "the write key has sealed as many records as it may, and cannot be changed");
    return MILGI_PAUSE;
}

static void opened(struct milgi_conn *c)
{
    if (milgi__transport_records(c->transport, MILGI__READ) >= milgi__transport_opens_max(c->transport))
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR,
            "the read key has opened as many records as it may");
    else if (milgi__conn_wants_update(c) && milgi__conn_update_write(c, true, false) == 0)
        milgi__engine_ready(c->engine, &c->owner);
}

int milgi_conn_passed(struct milgi_conn *c, enum milgi_direction direction, uint64_t bytes, uint64_t records)
{
    enum milgi__dir dir = dir_of(direction);
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_is_over(c, dir))
        return MILGI_EINVAL;
    if (!milgi__conn_live(c))
        return MILGI_ECLOSED;
    if (bytes)
        milgi__conn_data_moves(c, (size_t)bytes);
    milgi__transport_count(c->transport, dir, records);
    if (dir == MILGI__WRITE) {
        c->bytes_out += bytes;
        int rv = sealed(c);
        return c->out == MILGI__OUT_OPEN ? rv : MILGI_ECLOSED;
    }
    c->bytes_in += bytes;
    opened(c);
    if (c->in != MILGI__IN_OPEN)
        return MILGI_ECLOSED;
    return c->in_paused || milgi__transport_in_busy(c->transport) ? MILGI_PAUSE : 0;
}
