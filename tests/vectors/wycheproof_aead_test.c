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
    return RAN;
}

static void aes_gcm_seals_and_opens_as_wycheproof_says(void **state)
{
    vectors_run(*state, "aes_gcm_test.json", 183, aead, NULL);
}

static void chacha20_poly1305_seals_and_opens_as_wycheproof_says(void **state)
{
    vectors_run(*state, "chacha20_poly1305_test.json", 9, aead, "chacha");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_gcm_seals_and_opens_as_wycheproof_says),
        cmocka_unit_test(chacha20_poly1305_seals_and_opens_as_wycheproof_says),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
