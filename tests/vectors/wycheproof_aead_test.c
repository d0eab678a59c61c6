/* SPDX-License-Identifier: Apache-2.0 */
/* AES-GCM and ChaCha20-Poly1305. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "wycheproof.h"

#define TAG_LEN 16
#define ROOM 2048

/* How an op is given its input. */
enum shape {
    APART,   /* one slice, another destination */
    PLACE,   /* in place */
    SCATTER, /* in four slices to another destination */
    SCATTER_PLACE
};

struct record {
    struct bytes key, iv, aad, msg, ct, tag;
};

static struct record record_of(const struct vector *v)
{
    const char *const fields[] = { "key", "iv", "aad", "msg", "ct", "tag" };
    struct bytes b[6];

    for (unsigned i = 0; i < 6; i++)
        b[i] = hex_of(v->test, fields[i], i);
    return (struct record){ b[0], b[1], b[2], b[3], b[4], b[5] };
}

static uint16_t suite_of(const struct vector *v, const struct record *r)
{
    if (v->arg)
        return MILGI_SUITE_CHACHA20_POLY1305_SHA256;
    return r->key.len == 16 ? MILGI_SUITE_AES_128_GCM_SHA256 : MILGI_SUITE_AES_256_GCM_SHA384;
}

static struct milgi_key key_of(const struct vector *v, const struct record *r)
{
    struct milgi_key key = { .serial = milgi__key_serial(), .refs = 1, .kind = MILGI_KEY_AEAD };

    key.alg = suite_of(v, r);
    key.raw_len = (uint8_t)r->key.len;
    memcpy(key.raw, r->key.data, r->key.len);
    return key;
}

static struct milgi_op op_of(const struct record *r, uint8_t type, struct milgi_key *key)
{
    struct milgi_op op = { .type = type, .alg = key->alg, .key = key };

    memcpy(op.u.aead.nonce, r->iv.data, 12);
    memcpy(op.u.aead.aad, r->aad.data, r->aad.len);
    op.u.aead.aad_len = (uint8_t)r->aad.len;
    return op;
}

/*
 * Gives |op| its input, which lies in |src|, and its destination, in the given shape. Returns where the result will
 * be.
 */
static uint8_t *arrange(struct milgi_op_aead *a, enum shape shape, bool open, uint8_t *src, size_t len, uint8_t *dst)
{
    unsigned n = shape == SCATTER || shape == SCATTER_PLACE ? 4 : 1;
    size_t at = 0;

    a->in_place = shape == PLACE || shape == SCATTER_PLACE;
    a->src_n = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        size_t end = i + 1 == n ? len : len * (i + 1) / 4;
        a->src[i] = (struct milgi_slice){ NULL, src + at, (uint32_t)(end - at) };
        at = end;
    }
    a->dst = a->in_place ? (open ? NULL : src) : dst;
    a->dst_len = (uint32_t)(len + (open ? 0 : TAG_LEN));
    return a->in_place ? src : dst;
}

static void check_open(const struct vector *v, const struct record *r, struct milgi_key *key, enum shape shape)
{
    static const uint8_t zeros[ROOM];
    uint8_t src[ROOM];
    uint8_t dst[ROOM];
    struct milgi_op op = op_of(r, MILGI_OP_OPEN, key);

    memcpy(src, r->ct.data, r->ct.len);
    memset(dst, 0xee, sizeof dst);
    memcpy(op.u.aead.tag, r->tag.data, TAG_LEN);
    const uint8_t *out = arrange(&op.u.aead, shape, true, src, r->ct.len, dst);
    rig_execute(v->rig, &op);
    if (v->invalid) {
        vector_assert(v, op.status == MILGI_OP_REJECTED);
        vector_assert(v, memcmp(out, zeros, r->ct.len) == 0);
        return;
    }
    vector_assert(v, op.status == MILGI_OP_OK);
    vector_assert(v, memcmp(out, r->msg.data, r->msg.len) == 0);
    if (!op.u.aead.in_place)
        vector_assert(v, memcmp(src, r->ct.data, r->ct.len) == 0);
}

static void check_seal(const struct vector *v, const struct record *r, struct milgi_key *key, enum shape shape)
{
    uint8_t src[ROOM];
    uint8_t dst[ROOM];
    struct milgi_op op = op_of(r, MILGI_OP_SEAL, key);

    memcpy(src, r->msg.data, r->msg.len);
    const uint8_t *out = arrange(&op.u.aead, shape, false, src, r->msg.len, dst);
    rig_execute(v->rig, &op);
    vector_assert(v, op.status == MILGI_OP_OK);
    bool same = memcmp(out, r->ct.data, r->ct.len) == 0 && memcmp(out + r->ct.len, r->tag.data, TAG_LEN) == 0;
    vector_assert(v, same == v->valid); /* of an invalid vector the message is the one that a broken check would give */
    if (!op.u.aead.in_place)
        vector_assert(v, memcmp(src, r->msg.data, r->msg.len) == 0);
}

/* Additional data that TLS does not have, and an op therefore no room for: below the ops. */
static void check_long_aad(const struct vector *v, const struct record *r, const struct milgi_key *key)
{
    struct milgi__aead_key raw = { key->serial, key->alg, key->raw_len, key->raw };
    struct milgi__piece src = { r->ct.data, r->ct.len };
    uint8_t dst[ROOM];

    int result = milgi__aead_open(
        v->rig->cx, &raw, r->iv.data, r->aad.data, r->aad.len, &src, 1, r->tag.data, dst);
    vector_assert(v, result == (v->valid ? 0 : MILGI__BAD));
    if (v->valid)
        vector_assert(v, memcmp(dst, r->msg.data, r->msg.len) == 0);
    milgi__aead_forget(v->rig->cx, key->serial);
}

/* --- several at once, of as many keys ----------------------------------------------------------------------------- */

#define BURST 16u

/* Records that are to be opened, with what comes of it. */
static struct burst {
    unsigned n;
    struct milgi_key key[BURST];
    struct milgi_op op[BURST];
    uint8_t src[BURST][ROOM], dst[BURST][ROOM], expected[BURST][ROOM];
    size_t len[BURST];
    bool invalid[BURST];
    unsigned id[BURST], bad;
} burst;

static void burst_run(struct rig *rig)
{
    struct milgi_op *ops[BURST];

    for (unsigned i = 0; i < burst.n; i++)
        ops[i] = &burst.op[i];
    rig_execute_all(rig, ops, burst.n);
    for (unsigned i = 0; i < burst.n; i++) {
        bool right = burst.op[i].status == (burst.invalid[i] ? MILGI_OP_REJECTED : MILGI_OP_OK) &&
            memcmp(burst.dst[i], burst.expected[i], burst.len[i]) == 0;
        if (!right)
            fail_msg("vector %u, among %u others", burst.id[i], burst.n - 1);
        burst.bad += burst.invalid[i];
        rig_forget(rig, &burst.key[i]);
    }
    burst.n = 0;
}

static void burst_add(const struct vector *v, const struct record *r)
{
    unsigned i = burst.n++;

    burst.key[i] = key_of(v, r);
    burst.op[i] = op_of(r, MILGI_OP_OPEN, &burst.key[i]);
    burst.len[i] = r->ct.len;
    burst.id[i] = v->id;
    burst.invalid[i] = v->invalid;
    memcpy(burst.src[i], r->ct.data, r->ct.len);
    memcpy(burst.op[i].u.aead.tag, r->tag.data, TAG_LEN);
    memset(burst.dst[i], 0xee, ROOM);
    memset(burst.expected[i], 0, ROOM);
    if (!v->invalid)
        memcpy(burst.expected[i], r->msg.data, r->msg.len);
    arrange(&burst.op[i].u.aead, APART, true, burst.src[i], r->ct.len, burst.dst[i]);
    if (burst.n == BURST)
        burst_run(v->rig);
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static enum ran aead(const struct vector *v)
{
    if (number_of(v->group, "ivSize") != 96 || number_of(v->group, "tagSize") != 128 ||
        number_of(v->group, "keySize") == 192)
        return FILTERED; /* TLS has none of these */
    struct record r = record_of(v);
    vector_assert(v, r.msg.len + TAG_LEN <= ROOM && r.ct.len == r.msg.len);
    struct milgi_key key = key_of(v, &r);
    if (r.aad.len > sizeof(((struct milgi_op_aead *)NULL)->aad)) {
        check_long_aad(v, &r, &key);
        return RAN;
    }
    for (enum shape shape = APART; shape <= SCATTER_PLACE; shape++) {
        check_open(v, &r, &key, shape);
        if (shape != SCATTER_PLACE)
            check_seal(v, &r, &key, shape);
    }
    rig_forget(v->rig, &key);
    burst_add(v, &r);
    return RAN;
}

static void aes_gcm_seals_and_opens_as_wycheproof_says(void **state)
{
    vectors_run(*state, "aes_gcm_test.json", 183, aead, NULL);
    burst_run(*state);
    assert_true(burst.bad > 20);
}

static void chacha20_poly1305_seals_and_opens_as_wycheproof_says(void **state)
{
    vectors_run(*state, "chacha20_poly1305_test.json", 9, aead, "chacha");
    burst_run(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_gcm_seals_and_opens_as_wycheproof_says),
        cmocka_unit_test(chacha20_poly1305_seals_and_opens_as_wycheproof_says),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
