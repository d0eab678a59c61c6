/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline's life. */
#include "record/pending.h"
#include "record/record.h"

#define RECORD_MIN 64u /* as in RFC 8449 4; a KeyUpdate has to fit */

void milgi__record_init(
    struct milgi__record *r, const struct milgi__record_env *env, uint32_t window_max, uint32_t record_max)
{
    memset(r, 0, sizeof *r);
    r->env = *env;
    r->window_max = (uint16_t)MILGI__MAX(window_max, 1);
    bool less = record_max >= RECORD_MIN && record_max < MILGI__PLAINTEXT_MAX;
    r->clear_max = less ? (uint16_t)record_max : MILGI__PLAINTEXT_MAX;
    r->out_most = r->in_most = MILGI__PLAINTEXT_MAX;
    r->in.window = 1;
    r->out.window = r->window_max;
    r->in.format = r->out.format = r->queued_format = &milgi__format_plain;
    r->in.epoch_records_max = r->out.epoch_records_max = UINT64_MAX;
}

/*= RFC8449 4: "an endpoint MUST NOT generate a protected record with plaintext that is larger than the RecordSizeLimit
 *= value it receives from its peer.  Unprotected messages are not subject to this limit." */
void milgi__record_limit_out(struct milgi__record *r, uint32_t most)
{
    r->out_most = (uint16_t)MILGI__MIN(most, MILGI__PLAINTEXT_MAX);
}

#define FIRST_BYTES 65535u /* about what a sender of TCP has sent when its window is four times as large as at first */

void milgi__record_first(struct milgi__record *r, uint32_t most)
{
    r->first_max = (uint16_t)most;
    r->first_left = FIRST_BYTES;
}

void milgi__record_limit_in(struct milgi__record *r, uint32_t most)
{
    r->in_most = (uint16_t)MILGI__MIN(most, MILGI__PLAINTEXT_MAX);
}

static void fini_direction(struct milgi__record *r, struct milgi__direction *d)
{
    milgi__ring_fini(r, d);
    if (d->key)
        r->env.calls->key_release(r->env.ctx, d->key);
    d->key = NULL;
    milgi__wipe(d->iv, sizeof d->iv);
}

void milgi__record_hand_over(struct milgi__record *r, struct milgi__direction *d)
{
    fini_direction(r, d);
}

void milgi__record_fini(struct milgi__record *r)
{
    milgi__pending_clear(r);
    milgi__record_drop_input(r);
    fini_direction(r, &r->in);
    fini_direction(r, &r->out);
    milgi__record_idle(r);
}

void milgi__record_idle(struct milgi__record *r)
{
    if (r->input.n == 0)
        milgi__bufq_clear(&r->input, r->env.pool);
    if (r->in.head == r->in.tail)
        milgi__ring_fini(r, &r->in);
    if (r->out.head == r->out.tail)
        milgi__ring_fini(r, &r->out);
    if (!r->pending) {
        milgi_chunk_unref(r->out_chunk);
        r->out_chunk = NULL;
        r->out_used = 0;
    }
    while (r->spare) {
        struct milgi__pending *next = r->spare->next;
        milgi__block_give(milgi__pool_blocks(r->env.pool), r->spare, sizeof *r->spare);
        r->spare = next;
    }
}
