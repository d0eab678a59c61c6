/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening records, in terms of vectors: included once by each kernel, behind one of lanes128.h, lanes256.h
 * and lanes512.h. docs/internals/aesgcm.md has the outline.
 */
#pragma once

#include "base/port.h"

#define VECTOR ((size_t)LANES * 16)
#define BATCH ((size_t)VECTORS * VECTOR)
#define BATCH_BLOCKS (VECTORS * LANES)

_Static_assert(BATCH <= MILGI__GCM_BATCH, "the key has powers enough");
_Static_assert(BATCH_BLOCKS + 2 <= MILGI__GCM_POWERS, "for additional data, a full batch and the lengths");

/* --- constants that depend on where a vector is ------------------------------------------------------------------ */

/* What is added to the counter in each lane of a batch's vectors. */
static const uint32_t steps[20][4] = { { 0 }, { 1 }, { 2 }, { 3 }, { 4 }, { 5 }, { 6 }, { 7 }, { 8 }, { 9 }, { 10 },
    { 11 }, { 12 }, { 13 }, { 14 }, { 15 }, { 16 }, { 17 }, { 18 }, { 19 } };
static const uint64_t one_lane[14] = { [6] = UINT64_MAX, [7] = UINT64_MAX };
static const uint8_t one_byte[128] = { [64] = 0xff };
static const uint64_t low_bytes[16] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
    UINT64_MAX, UINT64_MAX };

MILGI__INLINE vec mask_of_lane(unsigned lane)
{
    return v_load(one_lane + 6 - 2 * lane);
}

MILGI__INLINE vec mask_of_byte(size_t at)
{
    return v_load(one_byte + 64 - at);
}

MILGI__INLINE vec mask_of_bytes(size_t n)
{
    return v_load((const uint8_t *)low_bytes + 64 - n);
}

/* --- GHASH ------------------------------------------------------------------------------------------------------- */

MILGI__INLINE struct products products_of(vec x, const uint8_t *power)
{
    vec h = v_load(power);

    return (struct products){ v_multiply_low(x, h), v_multiply_high(x, h),
        v_multiply_low(v_halves(x), v_load(halves_of(power))) };
}

MILGI__INLINE void products_add(struct products *sum, vec x, const uint8_t *power)
{
    struct products p = products_of(x, power);

    sum->low = v_now(v_xor(sum->low, p.low));
    sum->high = v_now(v_xor(sum->high, p.high));
    sum->middle = v_now(v_xor(sum->middle, p.middle));
}

MILGI__INLINE __m128i products_reduce(struct products p)
{
    return product_reduce((struct product){ v_sum(p.low), v_sum(p.high), v_sum(p.middle) });
}

/* H^|n| and the powers behind it. */
MILGI__INLINE const uint8_t *power_of(const struct milgi__gcm_key *key, size_t n)
{
    return key->power[MILGI__GCM_POWERS - n];
}

/* --- a record on its way ----------------------------------------------------------------------------------------- */

struct run {
    const struct milgi__gcm_key *key;
    __m128i nonce;  /* the counter block, reversed, with a counter of 0 */
    uint32_t block; /* the next block's counter */
    /*
     * The hash of what there was, with |ahead| 1 not multiplied yet: so additional data begin, which are one block in
     * TLS.
     */
    __m128i hash;
    unsigned ahead;
};

/* More than a block of additional data: all but the last. */
static __m128i hash_additional(const struct milgi__gcm_key *key, const uint8_t *aad, size_t len)
{
    __m128i hash = _mm_setzero_si128();

    for (; len > 16; aad += 16, len -= 16) {
        hash = _mm_xor_si128(hash, block_reverse(block_load(aad)));
        hash = block_multiply(hash, block_load(power_of(key, 1)));
    }
    return hash;
}

MILGI__INLINE struct run run_begin(const struct milgi__gcm_record *r)
{
    __m128i nonce = _mm_set_epi64x((int64_t)bytes_load4(r->nonce + 8), (int64_t)bytes_load8(r->nonce));
    __m128i hash = _mm_setzero_si128();
    const uint8_t *aad = r->aad;
    size_t len = r->aad_len;

    if (len > 16) {
        size_t before = (len - 1) / 16 * 16;
        hash = hash_additional(r->key, aad, len);
        aad += before;
        len -= before;
    }
    __m128i last = len == 16 ? block_load(aad) : block_load_part(aad, len);
    return (struct run){ r->key, block_reverse(nonce), 2, _mm_xor_si128(hash, block_reverse(last)), 1 };
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

MILGI__INLINE vec counter_at(const struct run *run)
{
    return v_each(_mm_add_epi32(run->nonce, _mm_cvtsi32_si128((int)run->block)));
}

MILGI__INLINE void batch_begin(vec b[VECTORS], vec counter, const struct milgi__gcm_key *key)
{
    vec k = v_load_each(key->round[0]);

    MILGI__UNROLL
    for (unsigned j = 0; j < VECTORS; j++)
        b[j] = v_xor(v_reverse(v_add32(counter, v_load(steps[j * LANES]))), k);
}

MILGI__INLINE void batch_round(vec b[VECTORS], const struct milgi__gcm_key *key, unsigned r)
{
    vec k = v_load_each(key->round[r]);

    MILGI__UNROLL
    for (unsigned j = 0; j < VECTORS; j++)
        b[j] = v_round(b[j], k);
}

/* The rounds behind the ninth, and the data. */
MILGI__INLINE void batch_end(vec b[VECTORS], const struct milgi__gcm_key *key, const uint8_t *src, uint8_t *dst)
{
    if (key->rounds > 10) {
        MILGI__UNROLL
        for (unsigned r = 10; r < MILGI__GCM_ROUNDS; r++)
            batch_round(b, key, r);
    }
    vec k = v_load_each(key->round[key->rounds]);
    MILGI__UNROLL
    for (unsigned j = 0; j < VECTORS; j++)
        v_store(dst + j * VECTOR, v_round_last(b[j], v_xor(k, v_load(src + j * VECTOR))));
}

MILGI__INLINE void hash_vector(
    struct products *sum, const struct milgi__gcm_key *key, const uint8_t *hashed, unsigned j)
{
    products_add(sum, v_reverse(v_load(hashed + j * VECTOR)), power_of(key, BATCH_BLOCKS) + j * VECTOR);
}

MILGI__INLINE struct products hash_first(const struct milgi__gcm_key *key, const uint8_t *hashed, __m128i hash)
{
    vec x = v_xor(v_reverse(v_load(hashed)), v_first(hash));

    return products_of(x, power_of(key, BATCH_BLOCKS));
}

static void batch_cipher(
    const struct milgi__gcm_key *key, vec counter, const uint8_t *src, uint8_t *dst)
{
    vec b[VECTORS];

    batch_begin(b, counter, key);
    MILGI__UNROLL
    for (unsigned r = 1; r < 10; r++)
        batch_round(b, key, r);
    batch_end(b, key, src, dst);
}

static __m128i batch_hash(const struct milgi__gcm_key *key, const uint8_t *hashed, __m128i hash)
{
    struct products sum = hash_first(key, hashed, hash);

    MILGI__UNROLL
    for (unsigned j = 1; j < VECTORS; j++)
        hash_vector(&sum, key, hashed, j);
    return products_reduce(sum);
}

/* |n| batches, with each of which one of those at |hashed| is hashed. Between two rounds stands a vector of these. */
static __m128i batches_mixed(const struct milgi__gcm_key *key, vec counter, const uint8_t *src, uint8_t *dst,
    const uint8_t *hashed, size_t n, __m128i hash)
{
    const vec step = v_each(_mm_cvtsi32_si128(BATCH_BLOCKS));

    for (; n > 0; n--, src += BATCH, dst += BATCH, hashed += BATCH) {
        vec b[VECTORS];
        batch_begin(b, counter, key);
        counter = v_add32(counter, step);
        struct products sum = hash_first(key, hashed, hash);
        MILGI__UNROLL
        for (unsigned r = 1; r < 10; r++) {
            batch_round(b, key, r);
            if (r % (8 / VECTORS) == 0 && r / (8 / VECTORS) < VECTORS)
                hash_vector(&sum, key, hashed, r / (8 / VECTORS));
        }
        batch_end(b, key, src, dst);
        hash = products_reduce(sum);
    }
    return hash;
}

MILGI__INLINE void batches_begin(struct run *run)
{
    if (run->ahead)
        run->hash = block_multiply(run->hash, block_load(power_of(run->key, 1)));
    run->ahead = 0;
}

static void batches_seal(struct run *run, const uint8_t *src, uint8_t *dst, size_t n)
{
    const struct milgi__gcm_key *key = run->key;
    vec counter = counter_at(run);

    batches_begin(run);
    batch_cipher(key, counter, src, dst);
    counter = v_add32(counter, v_each(_mm_cvtsi32_si128(BATCH_BLOCKS)));
    run->hash = batches_mixed(key, counter, src + BATCH, dst + BATCH, dst, n - 1, run->hash);
    run->hash = batch_hash(key, dst + (n - 1) * BATCH, run->hash);
    run->block += (uint32_t)(n * BATCH_BLOCKS);
}

static void batches_open(struct run *run, const uint8_t *src, uint8_t *dst, size_t n)
{
    batches_begin(run);
    run->hash = batches_mixed(run->key, counter_at(run), src, dst, src, n, run->hash);
    run->block += (uint32_t)(n * BATCH_BLOCKS);
}

/* --- the end of a record ----------------------------------------------------------------------------------------- */

/* |n| is a constant, at most 9: a batch and one more. */
MILGI__INLINE void encrypt(vec *blocks, unsigned n, const struct milgi__gcm_key *key)
{
    vec k = v_load_each(key->round[0]);

    MILGI__UNROLL
    for (unsigned j = 0; j < n; j++)
        blocks[j] = v_xor(blocks[j], k);
    MILGI__UNROLL
    for (unsigned r = 1; r < 10; r++) {
        k = v_load_each(key->round[r]);
        MILGI__UNROLL
        for (unsigned j = 0; j < n; j++)
            blocks[j] = v_round(blocks[j], k);
    }
    if (key->rounds > 10) {
        MILGI__UNROLL
        for (unsigned r = 10; r < MILGI__GCM_ROUNDS; r++) {
            k = v_load_each(key->round[r]);
            MILGI__UNROLL
            for (unsigned j = 0; j < n; j++)
                blocks[j] = v_round(blocks[j], k);
        }
    }
    k = v_load_each(key->round[key->rounds]);
    MILGI__UNROLL
    for (unsigned j = 0; j < n; j++)
        blocks[j] = v_round_last(blocks[j], k);
}

/* What is left of a record: at most a batch. All vectors but the last are full. */
struct end {
    const uint8_t *src;
    uint8_t *dst;
    unsigned blocks; /* also those that are not full */
    size_t last_len; /* 1 to a vector; 0: there is nothing left */
    vec last;        /* zeros behind last_len */
    __m128i lengths;
};

MILGI__INLINE void end_full(
    const struct end *e, bool sealing, unsigned j, vec stream, struct products *sum, const uint8_t *power)
{
    vec in = v_load(e->src + j * VECTOR);
    vec out = v_xor(in, stream);

    v_store(e->dst + j * VECTOR, out);
    products_add(sum, v_reverse(sealing ? out : in), power + j * VECTOR);
}

MILGI__INLINE void end_last(
    const struct end *e, bool sealing, unsigned j, vec stream, struct products *sum, const uint8_t *power)
{
    vec out = v_xor(e->last, v_and(stream, mask_of_bytes(e->last_len)));

    if (sealing)
        v_store_blocks(e->dst + j * VECTOR, out, e->last_len); /* the tag has room behind */
    else if (e->last_len == VECTOR)
        v_store(e->dst + j * VECTOR, out);
    else
        v_store_part(e->dst + j * VECTOR, out, e->last_len);
    products_add(sum, v_reverse(sealing ? out : e->last), power + j * VECTOR);
}

/*
 * Encrypts or decrypts an end and returns the tag. The block that masks the tag, of counter 1, is encrypted in the lane
 * behind the others, which is in the last of |n| vectors, |n| being a constant: either behind the last data or alone.
 */
MILGI__INLINE __m128i end_fixed(const struct end *e, bool sealing, unsigned n, const struct run *run)
{
    vec stream[9];
    uint8_t lanes[VECTOR];
    unsigned lane = e->blocks % LANES;
    vec counter = counter_at(run);
    vec first = v_each(block_reverse(_mm_add_epi32(run->nonce, _mm_cvtsi32_si128(1))));
    const uint8_t *power = power_of(run->key, e->blocks + 1);

    MILGI__UNROLL
    for (unsigned j = 0; j < n; j++)
        stream[j] = v_reverse(v_add32(counter, v_load(steps[j * LANES])));
    stream[n - 1] = v_choose(stream[n - 1], first, mask_of_lane(lane));
    encrypt(stream, n, run->key);
    v_store(lanes, stream[n - 1]);

    struct products sum = v_two_products(run->hash, power - 16 * run->ahead, e->lengths, power_of(run->key, 1));
    MILGI__UNROLL
    for (unsigned j = 0; j + 2 < n; j++)
        end_full(e, sealing, j, stream[j], &sum, power);
    if (lane != 0) {
        if (n >= 2)
            end_full(e, sealing, n - 2, stream[n - 2], &sum, power);
        end_last(e, sealing, n - 1, stream[n - 1], &sum, power);
    } else if (n >= 2) {
        end_last(e, sealing, n - 2, stream[n - 2], &sum, power);
    }
    return _mm_xor_si128(block_reverse(products_reduce(sum)), block_load(lanes + 16 * lane));
}

MILGI__INLINE __m128i end_any(const struct end *e, bool sealing, const struct run *run)
{
    unsigned n = e->blocks / LANES + 1;

    if (n > VECTORS + 1)
        __builtin_unreachable();
    switch (n) {
    case 1: return end_fixed(e, sealing, 1, run);
    case 2: return end_fixed(e, sealing, 2, run);
    case 3: return end_fixed(e, sealing, 3, run);
    case 4: return end_fixed(e, sealing, 4, run);
    case 5: return end_fixed(e, sealing, 5, run);
    case 6: return end_fixed(e, sealing, 6, run);
    case 7: return end_fixed(e, sealing, 7, run);
    case 8: return end_fixed(e, sealing, 8, run);
    default: return end_fixed(e, sealing, 9, run);
    }
}

MILGI__INLINE __m128i lengths_of(size_t aad_len, size_t len)
{
    return _mm_set_epi64x((int64_t)(aad_len * 8), (int64_t)(len * 8));
}

/* --- sealing ----------------------------------------------------------------------------------------------------- */

/* Where the last vector of |len| bytes begins. */
MILGI__INLINE size_t last_at(size_t len)
{
    return len > 0 ? (len - 1) / VECTOR * VECTOR : 0;
}

MILGI__INLINE vec load_up_to(const uint8_t *src, size_t n)
{
    return n == VECTOR ? v_load(src) : v_load_part(src, n);
}

/* Where a record's input in several pieces is read. */
struct cursor {
    const struct milgi__piece *piece;
    size_t left; /* pieces, with this one */
    size_t at;   /* in this one */
};

static const uint8_t *cursor_at(const struct cursor *c)
{
    return c->piece->data + c->at;
}

/* How much lies in one piece from here. */
static size_t cursor_run(struct cursor *c)
{
    while (c->left > 0 && c->at == c->piece->len) {
        c->piece++;
        c->left--;
        c->at = 0;
    }
    return c->left > 0 ? c->piece->len - c->at : 0;
}

/* Up to |n| bytes to |dst|, where they may be already. Returns how many there were. */
static size_t cursor_read(struct cursor *c, uint8_t *dst, size_t n)
{
    size_t done = 0;
    size_t run;

    while (done < n && (run = cursor_run(c)) > 0) {
        run = MILGI__MIN(run, n - done);
        if (cursor_at(c) != dst + done)
            memmove(dst + done, cursor_at(c), run);
        c->at += run;
        done += run;
    }
    return done;
}

static void cursor_write(struct cursor *c, const uint8_t *src, size_t n)
{
    size_t run;

    while (n > 0 && (run = cursor_run(c)) > 0) {
        run = MILGI__MIN(run, n);
        memcpy(c->piece->data + c->at, src, run);
        c->at += run;
        src += run;
        n -= run;
    }
}

/* A record that is ready to be ended: |plain| bytes at |src|, then |type|, if it is not 0, and zeros, |len| bytes. */
struct tail {
    const uint8_t *src;
    size_t plain, len;
    uint8_t type;
};

static struct tail seal_pieces(struct run *run, const struct milgi__gcm_record *r, size_t plain, size_t len)
{
    struct cursor c = { r->src, r->src_n, 0 };
    size_t at = 0;

    for (;;) {
        size_t n = cursor_run(&c) / BATCH;
        if (n > 0) {
            batches_seal(run, cursor_at(&c), r->dst + at, n);
            c.at += n * BATCH;
            at += n * BATCH;
            continue;
        }
        n = MILGI__MIN(len - at, BATCH);
        size_t have = cursor_read(&c, r->dst + at, n);
        if (have < n) {
            memset(r->dst + at + have, 0, n - have);
            if (at + have == plain)
                r->dst[plain] = r->type;
        }
        if (n < BATCH)
            return (struct tail){ r->dst + at, n, n, 0 };
        batches_seal(run, r->dst + at, r->dst + at, 1);
        at += BATCH;
    }
}

static size_t total(const struct milgi__piece *src, size_t src_n)
{
    size_t len = 0;

    for (size_t i = 0; i < src_n; i++)
        len += src[i].len;
    return len;
}

static void seal_one(const struct milgi__gcm_record *r)
{
    struct run run = run_begin(r);
    size_t plain = r->src_n == 1 ? r->src[0].len : total(r->src, r->src_n);
    size_t len = plain + (r->type != 0 ? 1 + r->pad : 0);
    size_t done = plain / BATCH * BATCH;
    struct tail t = { NULL, plain - done, len - done, r->type };

    if (r->src_n == 1 && t.len <= BATCH && t.plain >= last_at(t.len)) {
        t.src = r->src[0].data + done;
        if (done > 0)
            batches_seal(&run, r->src[0].data, r->dst, done / BATCH);
    } else {
        t = seal_pieces(&run, r, plain, len);
        done = len - t.len;
    }
    size_t at = last_at(t.len);
    struct end e = { t.src, r->dst + done, (unsigned)((t.len + 15) / 16), t.len - at,
        load_up_to(t.src + at, t.plain - at), lengths_of(r->aad_len, len) };
    e.last = v_xor(e.last, v_and(v_bytes(t.type), mask_of_byte(t.plain - at)));
    block_store(r->dst + len, end_any(&e, true, &run));
}

static void seal(struct milgi__gcm_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seal_one(&records[i]);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* All but the end, which is put together at |end_of|, less than a batch; the cursor stands before it. */
static size_t open_pieces(struct run *run, const struct milgi__gcm_record *r, struct cursor *c, size_t len,
    uint8_t between[BATCH])
{
    size_t at = 0;

    while (len - at >= BATCH) {
        size_t n = cursor_run(c) / BATCH;
        if (n > 0) {
            uint8_t *in = c->piece->data + c->at;
            batches_open(run, in, r->dst ? r->dst + at : in, n);
            c->at += n * BATCH;
            at += n * BATCH;
            continue;
        }
        struct cursor back = *c;
        uint8_t *work = r->dst ? r->dst + at : between;
        cursor_read(c, work, BATCH);
        batches_open(run, work, work, 1);
        if (!r->dst)
            cursor_write(&back, between, BATCH);
        at += BATCH;
    }
    return at;
}

MILGI__INLINE __m128i end_open(
    const struct run *run, const uint8_t *src, size_t len, uint8_t *dst, __m128i lengths)
{
    size_t at = last_at(len);
    vec last = load_up_to(src + at, len - at);
    struct end e = { src, dst, (unsigned)((len + 15) / 16), len - at, last, lengths };

    return end_any(&e, false, run);
}

static __m128i open_one(const struct milgi__gcm_record *r)
{
    struct run run = run_begin(r);
    struct cursor c = { r->src, r->src_n, 0 };
    uint8_t between[BATCH];
    bool whole = r->src_n == 1;
    size_t len = whole ? r->src[0].len : total(r->src, r->src_n);
    size_t at = len / BATCH * BATCH;
    const uint8_t *src;
    uint8_t *dst;

    if (whole) {
        src = r->src[0].data + at;
        dst = (r->dst ? r->dst : r->src[0].data) + at;
        if (at > 0)
            batches_open(&run, src - at, dst - at, at / BATCH);
    } else {
        open_pieces(&run, r, &c, len, between);
        dst = r->dst ? r->dst + at : between;
        struct cursor read = c;
        cursor_read(&read, dst, len - at);
        src = dst;
    }
    __m128i tag = end_open(&run, src, len - at, dst, lengths_of(r->aad_len, len));
    if (!whole && !r->dst) {
        cursor_write(&c, between, len - at);
        milgi__wipe(between, sizeof between);
    }
    return tag;
}

static void open(struct milgi__gcm_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __m128i tag = open_one(&records[i]);
        block_store(records[i].diff, _mm_xor_si128(tag, block_load(records[i].tag)));
    }
}
