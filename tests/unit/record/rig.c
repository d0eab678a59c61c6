/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

const struct milgi__format *rig_format = &milgi__format_tls13;

const uint8_t key_update[KEY_UPDATE_LEN] = { 24, 0, 0, 1, 0 };

static uint8_t wire[LOG_MAX], journal[LOG_MAX]; /* of the one rig that there is at a time */

/* --- surroundings ----------------------------------------------------------------------------------------------- */

static struct milgi_op *op_new(void *ctx, bool reserve)
{
    struct side *s = ctx;
    if (s->ops_alive >= s->ops_max || (s->reserve_only && !reserve))
        return NULL;
    struct milgi_op *op = malloc(sizeof *op);
    assert_non_null(op);
    memset(op, 0, offsetof(struct milgi_op, u));
    memset(&op->u, 0xa5, sizeof op->u); /* what is needed of it is filled in */
    op->e.id = ++s->started;
    op->e.generation = 7;
    s->ops_alive++;
    return op;
}

static bool inside(const struct side *s, unsigned i)
{
    return s->inline_mask >> (i % 64) & 1;
}

static bool route_inline(void *ctx, int op_type, uint32_t size)
{
    const struct side *s = ctx;
    assert_true(op_type == MILGI_OP_SEAL || op_type == MILGI_OP_OPEN);
    assert_true(size <= rig_format->protected_max + MILGI__TAG);
    return inside(s, s->started);
}

static void key_unref(struct rig *rig, struct milgi_key *key)
{
    assert_true(key->refs > 0);
    if (--key->refs == 0) {
        rig->keys_alive--;
        free(key);
    }
}

static void key_release(void *ctx, struct milgi_key *key)
{
    struct side *s = ctx;
    key_unref(s->rig, key);
}

static size_t padding(void *ctx, size_t content_len)
{
    struct side *s = ctx;
    (void)content_len;
    s->pad_asked++;
    return s->pad;
}

static void process(void *ctx, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n)
{
    struct side *s = ctx;
    milgi__op_records(s->rig->cx, type, key, records, n);
}

static void unprocess(void *ctx, int type, const struct milgi_op_record *records, unsigned n)
{
    (void)ctx;
    (void)type;
    (void)records;
    (void)n;
}

static const struct milgi__record_calls calls = {
    .op_new = op_new,
    .route_inline = route_inline,
    .key_release = key_release,
    .padding = padding,
    .process = process,
    .unprocess = unprocess,
};

void side_init(struct side *s, struct rig *rig, unsigned window, unsigned record_max)
{
    memset(s, 0, sizeof *s);
    s->rig = rig;
    s->ops_max = FLIGHT_MAX;
    uint64_t owner = s == &rig->a ? 11 : 22;
    s->env = (struct milgi__record_env){ s, rig->pool, owner, &calls };
    milgi__record_init(&s->rec, &s->env, window, record_max);
}

struct rig *rig_new(unsigned window, unsigned record_max, size_t pool_limit)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    struct milgi__pool_options options = { .limit = pool_limit };
    rig->pool = milgi__pool_new(&options);
    rig->cx = milgi__crypto_new();
    rig->wire = wire;
    rig->log = journal;
    rig->alert = -1;
    assert_non_null(rig->pool);
    assert_non_null(rig->cx);
    side_init(&rig->a, rig, window, record_max);
    side_init(&rig->b, rig, window, record_max);
    return rig;
}

static void side_fini(struct side *s)
{
    static const uint8_t zeros[12];
    milgi__record_fini(&s->rec);
    assert_memory_equal(s->rec.in.iv, zeros, sizeof zeros);
    assert_memory_equal(s->rec.out.iv, zeros, sizeof zeros);
    assert_null(s->rec.in.ring);
    assert_null(s->rec.out.ring);
    while (s->flight_n > 0) {
        struct milgi_op *op = side_pull(s, 0);
        milgi__op_perform(s->rig->cx, op, NULL); /* the device still has all that it needs */
        side_end(s, op);
    }
    assert_int_equal(s->ops_alive, 0);
}

void rig_free(struct rig *rig)
{
    side_fini(&rig->a);
    side_fini(&rig->b);
    assert_int_equal(milgi__pool_used(rig->pool), 0);
    assert_int_equal(rig->keys_alive, 0);
    milgi__pool_close(rig->pool);
    milgi__crypto_free(rig->cx);
    free(rig);
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

struct milgi_key *rig_key(struct rig *rig, unsigned epoch, uint8_t iv[12])
{
    struct milgi_key *key = calloc(1, sizeof *key);
    assert_non_null(key);
    key->serial = milgi__key_serial();
    key->refs = 1;
    key->alg = MILGI_SUITE_AES_128_GCM_SHA256;
    key->kind = MILGI_KEY_AEAD;
    key->raw_len = 16;
    memset(key->raw, (int)epoch, 16);
    memset(iv, (int)(0x40 + epoch), 12);
    rig->keys_alive++;
    return key;
}

void side_write_key(struct side *s)
{
    uint8_t iv[12];
    struct milgi_key *key = rig_key(s->rig, ++s->epoch, iv);
    assert_int_equal(milgi__record_install_write(&s->rec, rig_format, key, iv), 0);
}

void side_read_key(struct side *s)
{
    uint8_t iv[12];
    struct milgi_key *key = rig_key(s->rig, ++s->epoch, iv);
    milgi__record_install_read(&s->rec, rig_format, key, iv);
}

void rig_protect(struct rig *rig)
{
    side_write_key(&rig->a);
    side_read_key(&rig->b);
    milgi__record_speculate(&rig->b.rec);
}

void rig_key_update(struct rig *rig, bool first)
{
    uint8_t iv[12];
    struct milgi_key *key = rig_key(rig, ++rig->a.epoch, iv);
    assert_int_equal(milgi__record_update_write(&rig->a.rec, key_update, KEY_UPDATE_LEN, key, iv, first), 0);
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

void pattern(uint8_t *out, size_t len, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
}

struct milgi_slice rig_slice(struct rig *rig, const void *data, size_t len)
{
    struct milgi_chunk *chunk = milgi__chunk_alloc(rig->pool, len, 33, false);
    assert_non_null(chunk);
    memcpy(milgi_chunk_data(chunk), data, len);
    return (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)len };
}

void write_pattern(struct side *s, enum milgi__content type, size_t len, unsigned seed)
{
    uint8_t *data = malloc(len);
    assert_non_null(data);
    pattern(data, len, seed);
    if (type == MILGI__HANDSHAKE)
        data[0] = 11; /* no KeyUpdate */
    assert_int_equal(milgi__record_write(&s->rec, type, data, len, type != MILGI__DATA), 0);
    free(data);
}

/* --- ops -------------------------------------------------------------------------------------------------------- */

/* A nonce is used once under a key. */
static void check_nonce(struct rig *rig, const struct milgi_op *op)
{
    for (unsigned i = 0; i < rig->used_n; i++)
        assert_false(rig->used[i].serial == op->key->serial && memcmp(rig->used[i].nonce, op->u.aead.nonce, 12) == 0);
    assert_true(rig->used_n < MILGI__COUNT(rig->used));
    rig->used[rig->used_n].serial = op->key->serial;
    memcpy(rig->used[rig->used_n++].nonce, op->u.aead.nonce, 12);
}

static void check_op(const struct side *s, const struct milgi_op *op)
{
    const struct milgi_op_aead *a = &op->u.aead;
    size_t len = 0;
    for (unsigned i = 0; i < a->src_n; i++) {
        const struct milgi_slice *src = &a->src[i];
        assert_true(src->data >= milgi_chunk_data(src->chunk));
        assert_true(src->data + src->len <= milgi_chunk_data(src->chunk) + milgi_chunk_size(src->chunk));
        assert_true(src->len > 0);
        len += src->len;
    }
    if (op->type == MILGI_OP_SEAL)
        assert_int_equal(a->dst_len, len + (a->inner_type ? 1 + a->pad_len : 0) + MILGI__TAG);
    else
        assert_int_equal(a->dst_len, len);
    if (a->dst_chunk)
        assert_true(a->dst + a->dst_len <= milgi_chunk_data(a->dst_chunk) + milgi_chunk_size(a->dst_chunk));
    assert_int_equal(op->alg, op->key->alg);
    assert_int_equal(op->cls, MILGI_OP_CLASS_RECORDS);
    /* In place only where the op runs at once; run again only where it is not in place. */
    assert_true(!a->in_place || inside(s, op->e.id - 1));
    assert_int_equal(!!(op->flags & MILGI__OP_RERUN), !a->in_place);
}

static void give_back(struct side *s, struct milgi_op *op)
{
    if (op->type == MILGI_OP_SEAL)
        milgi__record_sealed(&s->rec, op);
    else
        milgi__record_opened(&s->rec, op);
}

void side_end(struct side *s, struct milgi_op *op)
{
    struct milgi_key *key = op->key;
    milgi__op_clear(op);
    if (key)
        key_unref(s->rig, key);
    free(op);
    s->ops_alive--;
}

void side_submit(struct side *s, struct milgi_op *op)
{
    check_op(s, op);
    if (op->type == MILGI_OP_SEAL)
        check_nonce(s->rig, op);
    s->in_place += op->u.aead.in_place;
    if (!inside(s, op->e.id - 1)) {
        assert_true(s->flight_n < FLIGHT_MAX);
        s->flight[s->flight_n++] = op;
        return;
    }
    milgi__op_perform(s->rig->cx, op, NULL);
    give_back(s, op);
    side_end(s, op);
}

struct milgi_op *side_pull(struct side *s, unsigned i)
{
    assert_true(i < s->flight_n);
    struct milgi_op *op = s->flight[i];
    memmove(&s->flight[i], &s->flight[i + 1], (--s->flight_n - i) * sizeof *s->flight);
    return op;
}

void side_finish(struct side *s, unsigned i, enum milgi_op_status status)
{
    struct milgi_op *op = side_pull(s, i);
    if (status == MILGI_OP_OK)
        milgi__op_perform(s->rig->cx, op, NULL);
    else
        op->status = (uint8_t)status;
    if (status == MILGI_OP_BROKEN)
        op->device_code = 42;
    give_back(s, op);
    side_end(s, op);
}

/* --- both ways -------------------------------------------------------------------------------------------------- */

enum milgi__start side_seal(struct side *s)
{
    for (;;) {
        struct milgi_op *op;
        enum milgi__start start = milgi__record_seal(&s->rec, &op);
        if (start == MILGI__START_OP)
            side_submit(s, op);
        else if (start != MILGI__START_READY)
            return start;
    }
}

unsigned rig_take(struct rig *rig)
{
    struct milgi_slice slice;
    unsigned n = 0;
    while (milgi__record_take(&rig->a.rec, &slice)) {
        assert_true(rig->wire_len + slice.len <= LOG_MAX);
        memcpy(rig->wire + rig->wire_len, slice.data, slice.len);
        rig->wire_len += slice.len;
        milgi_chunk_unref(slice.chunk);
        n++;
    }
    return n;
}

void rig_send(struct rig *rig)
{
    do {
        (void)side_seal(&rig->a);
        if (rig->a.flight_n > 0)
            side_finish(&rig->a, 0, MILGI_OP_OK);
        rig_take(rig);
    } while (milgi__record_out_busy(&rig->a.rec) && !milgi__record_send_broken(&rig->a.rec));
}

void rig_feed(struct rig *rig, size_t len)
{
    assert_true(rig->wire_fed + len <= rig->wire_len);
    struct milgi_slice slice = rig_slice(rig, rig->wire + rig->wire_fed, len);
    rig->wire_fed += len;
    assert_int_equal(milgi__record_feed(&rig->b.rec, slice), 0);
}

static void dispatch(struct rig *rig, struct milgi__message *m)
{
    assert_true(rig->log_len + m->len + 4 <= LOG_MAX);
    uint8_t *p = rig->log + rig->log_len, *content = p + 4;
    p[0] = m->type;
    p[1] = m->protected;
    milgi__put16(p + 2, m->len);
    size_t len = 0;
    for (unsigned i = 0; i < m->slices_n; i++) {
        memcpy(content + len, m->slice[i].data, m->slice[i].len);
        len += m->slice[i].len;
        milgi_chunk_unref(m->slice[i].chunk);
    }
    assert_int_equal(len, m->len);
    rig->log_len += 4 + len;
    rig->messages++;
    if (m->type == MILGI__HANDSHAKE && m->protected && len >= KEY_UPDATE_LEN &&
        memcmp(content + len - KEY_UPDATE_LEN, key_update, KEY_UPDATE_LEN) == 0)
        side_read_key(&rig->b);
}

/* True: one was popped. */
static bool pop(struct rig *rig)
{
    struct milgi__message m;
    struct milgi__failure failure;
    memset(&m, 0xa5, sizeof m);
    switch (milgi__record_pop(&rig->b.rec, &m, &failure)) {
    case MILGI__POP_MESSAGE: dispatch(rig, &m); return true;
    case MILGI__POP_FAILED:
        rig->broken = failure.error == MILGI_EDEVICE;
        assert_int_equal(failure.op, rig->broken ? MILGI_OP_OPEN : MILGI__NO_OP);
        assert_int_equal(failure.device_code, rig->broken ? 42 : 0);
        if (!rig->broken)
            rig->alert = failure.alert;
        return false;
    case MILGI__POP_NONE: break;
    }
    return false;
}

bool rig_receive(struct rig *rig)
{
    bool any = false;
    for (;;) {
        struct milgi_op *op;
        while (rig->alert < 0 && !rig->broken && pop(rig))
            any = true;
        if (rig->alert >= 0 || rig->broken)
            return any;
        struct milgi__failure failure;
        enum milgi__start start = milgi__record_open(&rig->b.rec, &op, &failure);
        if (start == MILGI__START_OP)
            side_submit(&rig->b, op);
        else if (start != MILGI__START_READY) {
            if (start == MILGI__START_FAILED)
                rig->alert = failure.alert;
            return any;
        }
        any = true;
    }
}

void rig_receive_all(struct rig *rig)
{
    while (rig_receive(rig) || rig->b.flight_n > 0)
        if (rig->b.flight_n > 0)
            side_finish(&rig->b, 0, MILGI_OP_OK);
}

/* --- what was received ------------------------------------------------------------------------------------------ */

bool rig_logged(const struct rig *rig, size_t *at, struct logged *message)
{
    if (*at >= rig->log_len)
        return false;
    const uint8_t *p = rig->log + *at;
    *message = (struct logged){ p[0], p[1], milgi__get16(p + 2), p + 4 };
    *at += 4 + message->len;
    return true;
}

size_t rig_data(const struct rig *rig, uint8_t *out, size_t cap)
{
    size_t at = 0, len = 0;
    struct logged m;
    while (rig_logged(rig, &at, &m)) {
        if (m.type != MILGI__DATA)
            continue;
        assert_true(len + m.len <= cap);
        memcpy(out + len, m.data, m.len);
        len += m.len;
    }
    return len;
}
