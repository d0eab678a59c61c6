/* SPDX-License-Identifier: Apache-2.0 */
/* The transport side on records: the pipeline, its surroundings, and its ops on their way to the engine. */
#include "conn/records.h"

#define SLOT_OPEN MILGI__SLOT_TRANSPORT
#define SLOT_SEAL (MILGI__SLOT_TRANSPORT + 1u)

#define RECORD_NS 300u   /* estimated work per record */
#define BYTE_NS_SHIFT 2u /* and per four bytes */

/* --- surroundings of the pipeline ------------------------------------------------------------------------------- */

static struct milgi_op *env_op_new(void *ctx, bool reserve)
{
    return milgi__engine_op_new(((struct milgi__transport *)ctx)->engine, reserve);
}

static bool env_inline(void *ctx, int op_type, uint32_t size)
{
    return milgi__engine_inline(((struct milgi__transport *)ctx)->engine, op_type, size);
}

static void env_key_release(void *ctx, struct milgi_key *key)
{
    milgi__engine_key_unref(((struct milgi__transport *)ctx)->engine, key);
}

static void env_in_turn(void *ctx, unsigned dev, uint64_t back_ns)
{
    milgi__engine_reorder(((struct milgi__transport *)ctx)->engine, dev, MILGI_OP_CLASS_RECORDS, back_ns);
}

static size_t env_padding(void *ctx, size_t content_len)
{
    const struct milgi_config *config = ((struct milgi__transport *)ctx)->config;
    return config->padding ? config->padding(config->padding_ctx, content_len) : 0;
}

static void env_process(
    void *ctx, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n)
{
    milgi__engine_process(((struct milgi__transport *)ctx)->engine, type, key, records, n);
}

static void env_unprocess(void *ctx, int type, const struct milgi_op_record *records, unsigned n)
{
    milgi__engine_unprocess(((struct milgi__transport *)ctx)->engine, type, records, n);
}

static const struct milgi__record_calls calls = {
    .op_new = env_op_new,
    .route_inline = env_inline,
    .key_release = env_key_release,
    .padding = env_padding,
    .process = env_process,
    .unprocess = env_unprocess,
    .in_turn = env_in_turn,
};

/* --- life ------------------------------------------------------------------------------------------------------- */

size_t milgi__transport_place(void)
{
    return sizeof(struct milgi__transport);
}

struct milgi__transport *milgi__transport_init(
    void *place, struct milgi_engine *engine, struct milgi__owner *owner, const struct milgi_config *config)
{
    struct milgi__transport *t = place;
    t->engine = engine;
    t->owner = owner;
    t->config = config;
    struct milgi__record_env env = {
        .ctx = t,
        .pool = milgi__engine_pool(engine),
        .owner = milgi__owner_id(owner),
        .calls = &calls,
    };
    milgi__record_init(&t->rec, &env, (uint32_t)config->limit[MILGI_LIMIT_WINDOW],
        (uint32_t)config->limit[MILGI_LIMIT_RECORD]);
    if (config->limit[MILGI_LIMIT_RECORD_FIRST] < MILGI__PLAINTEXT_MAX)
        milgi__record_first(&t->rec, (uint32_t)config->limit[MILGI_LIMIT_RECORD_FIRST]);
    return t;
}

void milgi__transport_fini(struct milgi__transport *t)
{
    milgi__record_fini(&t->rec);
}

void milgi__transport_prefetch(const struct milgi__transport *t)
{
    milgi__prefetch(t->rec.in.key, sizeof *t->rec.in.key);
    milgi__prefetch(t->rec.out.key, sizeof *t->rec.out.key);
}

void milgi__transport_idle(struct milgi__transport *t)
{
    milgi__record_idle(&t->rec);
}

void milgi__transport_op_done(struct milgi__transport *t, struct milgi_op *op)
{
    if (op->e.slot == SLOT_OPEN)
        milgi__record_opened(&t->rec, op);
    else
        milgi__record_sealed(&t->rec, op);
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

int milgi__transport_install(struct milgi__transport *t, enum milgi__dir dir, const struct milgi__suite *suite,
    struct milgi_key *key, const uint8_t iv[12])
{
    const struct milgi__format *format = milgi__format_of(suite);
    if (dir == MILGI__WRITE)
        return milgi__record_install_write(&t->rec, format, key, iv);
    milgi__record_install_read(&t->rec, format, key, iv);
    return 0;
}

int milgi__transport_update_write(struct milgi__transport *t, const void *message, size_t len, struct milgi_key *key,
    const uint8_t iv[12], bool first)
{
    return milgi__record_update_write(&t->rec, message, len, key, iv, first);
}

bool milgi__transport_updating(const struct milgi__transport *t)
{
    return t->rec.rekeying;
}

uint64_t milgi__transport_records(const struct milgi__transport *t, enum milgi__dir dir)
{
    return dir == MILGI__READ ? t->rec.in.seq : milgi__record_write_seq(&t->rec);
}

uint64_t milgi__transport_records_max(const struct milgi__transport *t)
{
    return t->rec.out.epoch_records_max;
}

void milgi__transport_keys(const struct milgi__transport *t, enum milgi__dir dir, struct milgi_traffic_keys *keys)
{
    const struct milgi__direction *d = dir == MILGI__READ ? &t->rec.in : &t->rec.out;
    keys->key_len = d->key->raw_len;
    memcpy(keys->key, d->key->raw, d->key->raw_len);
    memcpy(keys->iv, d->iv, sizeof keys->iv);
    keys->sequence = d->seq;
}

void milgi__transport_hand_over(struct milgi__transport *t, enum milgi__dir dir)
{
    milgi__record_hand_over(&t->rec, dir == MILGI__READ ? &t->rec.in : &t->rec.out);
}

void milgi__transport_count(struct milgi__transport *t, enum milgi__dir dir, uint64_t records)
{
    struct milgi__direction *d = dir == MILGI__READ ? &t->rec.in : &t->rec.out;
    d->seq += records;
}

void milgi__transport_recount(struct milgi__transport *t, enum milgi__dir dir)
{
    struct milgi__direction *d = dir == MILGI__READ ? &t->rec.in : &t->rec.out;
    d->seq = 0;
}

uint64_t milgi__transport_opens_max(const struct milgi__transport *t)
{
    return t->rec.in.epoch_records_max;
}

bool milgi__transport_is_limited(const struct milgi__transport *t, enum milgi__dir dir)
{
    if (dir == MILGI__WRITE)
        return t->rec.out_most < MILGI__PLAINTEXT_MAX || t->config->padding;
    return t->rec.in_most < MILGI__PLAINTEXT_MAX;
}

void milgi__transport_speculate(struct milgi__transport *t)
{
    milgi__record_speculate(&t->rec);
}

void milgi__transport_limit(struct milgi__transport *t, enum milgi__dir dir, uint32_t most)
{
    if (dir == MILGI__WRITE)
        milgi__record_limit_out(&t->rec, most);
    else
        milgi__record_limit_in(&t->rec, most);
}

/* --- in --------------------------------------------------------------------------------------------------------- */

int milgi__transport_feed(struct milgi__transport *t, struct milgi_slice slice)
{
    return milgi__record_feed(&t->rec, slice);
}

static size_t input_len(const struct milgi_op *op)
{
    size_t len = 0;
    for (unsigned i = 0; i < op->u.aead.src_n; i++)
        len += op->u.aead.src[i].len;
    return len;
}

enum milgi__start milgi__transport_open(
    struct milgi__transport *t, bool clear_data, uint64_t *work_ns, struct milgi__failure *failure)
{
    struct milgi_op *op;
    t->rec.clear_data = clear_data;
    enum milgi__start start = milgi__record_open(&t->rec, &op, failure);
    if (start == MILGI__START_READY)
        *work_ns += RECORD_NS;
    if (start != MILGI__START_OP)
        return start;
    *work_ns += RECORD_NS + (input_len(op) >> BYTE_NS_SHIFT);
    milgi__engine_count(t->engine, 0, 0, input_len(op));
    milgi__engine_submit(t->engine, t->owner, op, SLOT_OPEN);
    return MILGI__START_READY;
}

bool milgi__transport_open_data(struct milgi__transport *t, uint64_t credit, uint64_t budget_ns,
    struct milgi__opened *opened)
{
    uint32_t below = milgi__engine_short(t->engine, MILGI_OP_OPEN);
    return milgi__short_open(&t->rec, below, 1 + budget_ns / RECORD_NS, credit, opened);
}

bool milgi__transport_next_data(struct milgi__transport *t, struct milgi__opened *opened, uint64_t budget_ns,
    uint64_t *work_ns, struct milgi__message *message)
{
    uint32_t len = opened->record[opened->at].len;
    *work_ns += RECORD_NS + (len >> BYTE_NS_SHIFT);
    milgi__engine_count(t->engine, 0, 0, len);
    return milgi__short_next(&t->rec, opened, *work_ns >= budget_ns, message);
}

void milgi__transport_close_data(struct milgi__transport *t, struct milgi__opened *opened)
{
    milgi__short_close(&t->rec, opened);
}

enum milgi__pop milgi__transport_next(
    struct milgi__transport *t, struct milgi__message *message, struct milgi__failure *failure)
{
    return milgi__record_pop(&t->rec, message, failure);
}

bool milgi__transport_skip(struct milgi__transport *t, uint32_t *len)
{
    return milgi__record_unread(&t->rec, len);
}

struct milgi_slice milgi__transport_take_fed(struct milgi__transport *t, uint32_t len)
{
    struct milgi__bufq *q = &t->rec.input;
    struct milgi_slice slice = { .chunk = NULL };
    if (q->n)
        (void)milgi__bufq_take(q, MILGI__MIN(len, q->ring[q->head].len), &slice, 1);
    return slice;
}

void milgi__transport_keep_busy(struct milgi__transport *t, bool busy)
{
    t->rec.front_len = busy; /* of a record that is begun: there are none any more */
}

size_t milgi__transport_rest(const struct milgi__transport *t)
{
    return milgi__record_rest(&t->rec);
}

void milgi__transport_drop_input(struct milgi__transport *t)
{
    milgi__record_drop_input(&t->rec);
}

size_t milgi__transport_staged(const struct milgi__transport *t)
{
    return t->rec.input.len;
}

bool milgi__transport_in_flight(const struct milgi__transport *t)
{
    return milgi__record_in_started(&t->rec);
}

uint64_t milgi__transport_opening(const struct milgi__transport *t)
{
    return (uint64_t)(t->rec.in.next - t->rec.in.head) * MILGI__PLAINTEXT_MAX;
}

bool milgi__transport_in_busy(const struct milgi__transport *t)
{
    return milgi__record_in_busy(&t->rec);
}

/* --- out -------------------------------------------------------------------------------------------------------- */

int milgi__transport_send(struct milgi__transport *t, enum milgi__content type, struct milgi_slice slice)
{
    return milgi__record_push(&t->rec, type, slice);
}

int milgi__transport_write(
    struct milgi__transport *t, enum milgi__content type, const void *data, size_t len, bool reserve)
{
    return milgi__record_write(&t->rec, type, data, len, reserve);
}

void milgi__transport_first(struct milgi__transport *t, uint32_t most)
{
    milgi__record_first(&t->rec, most);
}

enum milgi__start milgi__transport_seal(struct milgi__transport *t, uint64_t *work_ns)
{
    struct milgi_op *op;
    enum milgi__start start = milgi__record_seal(&t->rec, &op);
    if (start != MILGI__START_OP)
        return start;
    uint32_t len = op->u.aead.dst_len;
    *work_ns += RECORD_NS + (len >> BYTE_NS_SHIFT);
    milgi__engine_count(t->engine, 0, len, 0);
    milgi__engine_submit(t->engine, t->owner, op, SLOT_SEAL);
    return MILGI__START_READY;
}

bool milgi__transport_seal_data(struct milgi__transport *t, const struct milgi__short_limits *limits,
    uint64_t *work_ns, struct milgi__sealed *sealed)
{
    uint64_t bytes = 0, quarters = 0;
    if (t->config->padding)
        return false;
    uint32_t below = milgi__engine_short(t->engine, MILGI_OP_SEAL);
    if (!below || !milgi__short_seal(&t->rec, below, limits, sealed))
        return false;
    for (unsigned i = 0; i < sealed->n; i++) {
        bytes += sealed->len[i];
        quarters += sealed->len[i] >> BYTE_NS_SHIFT;
    }
    *work_ns += (uint64_t)sealed->n * RECORD_NS + quarters;
    milgi__engine_count(t->engine, 0, bytes, 0);
    return true;
}

bool milgi__transport_take_given(struct milgi__transport *t, uint8_t *type, struct milgi_slice *slice)
{
    if (!milgi__record_take_unframed(&t->rec, type, slice))
        return false;
    t->rec.framed_bytes += slice->len;
    return true;
}

void milgi__transport_framed_more(struct milgi__transport *t, uint32_t len)
{
    t->rec.framed_bytes += len;
}

bool milgi__transport_finished(const struct milgi__transport *t)
{
    return t->rec.out.head != t->rec.out.next;
}

bool milgi__transport_take(struct milgi__transport *t, struct milgi_slice *slice)
{
    return milgi__record_take(&t->rec, slice);
}

void milgi__transport_flush(struct milgi__transport *t)
{
    milgi__record_flush(&t->rec);
}

void milgi__transport_drop_output(struct milgi__transport *t)
{
    milgi__record_drop_pending(&t->rec);
}

void milgi__transport_break(struct milgi__transport *t, const struct milgi__failure *failure)
{
    milgi__record_break_send(&t->rec, failure);
}

const struct milgi__failure *milgi__transport_broken(const struct milgi__transport *t)
{
    return milgi__record_send_broken(&t->rec) ? &t->rec.send_failure : NULL;
}

uint8_t milgi__transport_next_type(const struct milgi__transport *t)
{
    return milgi__record_next_type(&t->rec);
}

size_t milgi__transport_unframed(const struct milgi__transport *t)
{
    return t->rec.pending_len;
}

uint64_t milgi__transport_pieces_cost(const struct milgi__transport *t)
{
    return (uint64_t)t->rec.pending_n * MILGI__PENDING_COST;
}

uint64_t milgi__transport_framed(const struct milgi__transport *t)
{
    return t->rec.framed_bytes;
}

bool milgi__transport_out_busy(const struct milgi__transport *t)
{
    return milgi__record_out_busy(&t->rec);
}

/* --- for people ------------------------------------------------------------------------------------------------- */

struct milgi__transport_state milgi__transport_state(const struct milgi__transport *t, enum milgi__dir dir)
{
    const struct milgi__direction *d = dir == MILGI__READ ? &t->rec.in : &t->rec.out;
    return (struct milgi__transport_state){
        .records = d->seq,
        .window = d->window,
        .in_flight = d->tail - d->head,
        .has_key = d->key != NULL,
    };
}

/* --- what is counted -------------------------------------------------------------------------------------------- */

uint64_t milgi__transport_copied(struct milgi__transport *t)
{
    uint64_t copied = t->rec.bytes_copied;
    t->rec.bytes_copied = 0;
    return copied;
}

uint32_t milgi__transport_stale(const struct milgi__transport *t)
{
    return t->rec.stale;
}

size_t milgi__transport_size(unsigned window)
{
    return sizeof(struct milgi__transport) + 2 * window * (sizeof(struct milgi__entry) + sizeof(struct milgi_op));
}
