/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

#include "reference.h"

#define ROOM 17500
#define LONGEST 16640
#define MANY 40
#define PIECES 4

/* --- one record in every form ------------------------------------------------------------------------------------ */

/* Sealed by libcrypto, and how it is to be given to a kernel. */
struct trial {
    size_t key_len, aad_len;
    size_t content, pad, len; /* len: of the ciphertext */
    uint8_t type;
    uint8_t raw[32], nonce[12], aad[64];
    uint8_t plain[ROOM];  /* with type and padding */
    uint8_t sealed[ROOM]; /* and the tag */
    struct milgi__gcm_key key;
};

struct shape {
    unsigned pieces;
    bool in_place;
    size_t src_at, dst_at; /* alignment */
};

static void trial_make(struct trial *t, size_t key_len, size_t content, uint8_t type, size_t pad, size_t aad_len)
{
    t->key_len = key_len;
    t->aad_len = aad_len;
    t->content = content;
    t->type = type;
    t->pad = pad;
    t->len = content + (type ? 1 + pad : 0);
    random_fill(t->raw, sizeof t->raw);
    random_fill(t->nonce, sizeof t->nonce);
    random_fill(t->aad, sizeof t->aad);
    random_fill(t->plain, content);
    memset(t->plain + content, 0, t->len - content);
    if (type)
        t->plain[content] = type;
    reference_seal(t->raw, key_len, t->nonce, t->aad, aad_len, t->plain, t->len, t->sealed);
    milgi__gcm_key_init(&t->key, t->raw, key_len);
}

/* As TLS has them: mostly with a type, seldom padded. */
static void trial_random(struct trial *t, size_t len)
{
    bool typed = len > 0 && random_below(4) != 0;
    size_t pad = typed && random_below(4) == 0 ? random_below(len) : 0;
    static const uint8_t aad_lens[] = { 5, 5, 5, 13, 0, 16, 17, 20, 48, 64 };

    trial_make(t, random_below(2) ? 16 : 32, typed ? len - 1 - pad : len, typed ? 23 : 0, pad,
        aad_lens[random_below(sizeof aad_lens)]);
}

static struct shape shape_random(bool sealing)
{
    struct shape s = { 1, random_below(2) == 0, random_below(65), random_below(65) };

    if (random_below(3) == 0 && !(sealing && s.in_place))
        s.pieces = (unsigned)random_below(PIECES + 1);
    return s;
}

/* In |n| pieces, of which some may be empty; 0: none at all, when there is nothing. */
static size_t cut(uint8_t *data, size_t len, unsigned n, struct milgi__piece out[PIECES])
{
    size_t at = 0;

    if (n == 0 && len > 0)
        n = PIECES;
    for (unsigned i = 0; i < n; i++) {
        size_t end = i + 1 == n ? len : at + random_below(len - at + 1);
        out[i] = (struct milgi__piece){ data + at, end - at };
        at = end;
    }
    return n;
}

static struct milgi__gcm_record record_of(const struct trial *t, const struct milgi__piece *src, size_t src_n)
{
    return (struct milgi__gcm_record){ .key = &t->key,
        .nonce = t->nonce,
        .aad = t->aad,
        .aad_len = t->aad_len,
        .src = src,
        .src_n = src_n };
}

/* Where one record of a call lies. What is around its output is looked at. */
struct slot {
    uint8_t src[ROOM + 128], dst[ROOM + 128];
    struct milgi__piece pieces[PIECES];
    uint8_t *in, *out;
};

static struct milgi__gcm_record seal_begin(const struct trial *t, const struct shape *s, struct slot *slot)
{
    memset(slot->src, 0xa5, sizeof slot->src);
    memset(slot->dst, 0xa5, sizeof slot->dst);
    slot->in = slot->src + s->src_at;
    slot->out = s->in_place ? slot->in : slot->dst + s->dst_at;
    memcpy(slot->in, t->plain, t->content);
    struct milgi__gcm_record r = record_of(t, slot->pieces, cut(slot->in, t->content, s->pieces, slot->pieces));
    r.dst = slot->out;
    r.type = t->type;
    r.pad = t->pad;
    return r;
}

static struct milgi__gcm_record open_begin(const struct trial *t, const struct shape *s, struct slot *slot)
{
    memset(slot->src, 0xa5, sizeof slot->src);
    memset(slot->dst, 0xa5, sizeof slot->dst);
    slot->in = slot->src + s->src_at;
    slot->out = s->in_place ? slot->in : slot->dst + s->dst_at;
    memcpy(slot->in, t->sealed, t->len);
    struct milgi__gcm_record r = record_of(t, slot->pieces, cut(slot->in, t->len, s->pieces, slot->pieces));
    r.dst = s->in_place ? NULL : slot->out;
    r.tag = t->sealed + t->len;
    return r;
}

static bool all_are(const uint8_t *from, const uint8_t *to, uint8_t byte)
{
    for (; from < to; from++) {
        if (*from != byte)
            return false;
    }
    return true;
}

/* |len| bytes at slot->out, and nothing else in that buffer was written. */
static bool wrote_only(const struct shape *s, const struct slot *slot, size_t len)
{
    const uint8_t *buffer = s->in_place ? slot->src : slot->dst;

    return all_are(buffer, slot->out, 0xa5) && all_are(slot->out + len, buffer + sizeof slot->dst, 0xa5);
}

static void seal_end(const struct trial *t, const struct shape *s, const struct slot *slot)
{
    if (memcmp(slot->out, t->sealed, t->len + 16) != 0 || !wrote_only(s, slot, t->len + 16))
        fail_msg("sealing %zu + %u + %zu bytes, AAD %zu, key %zu, %u pieces, %s: %s", t->content, t->type != 0, t->pad,
            t->aad_len, t->key_len, s->pieces, s->in_place ? "in place" : "apart",
            memcmp(slot->out, t->sealed, t->len) != 0            ? "other ciphertext"
                : memcmp(slot->out, t->sealed, t->len + 16) != 0 ? "other tag"
                                                                 : "it wrote around its output");
    if (!s->in_place)
        assert_memory_equal(slot->in, t->plain, t->content);
}

static void open_end(const struct trial *t, const struct shape *s, const struct slot *slot, int8_t verdict)
{
    if (verdict != 0 || memcmp(slot->out, t->plain, t->len) != 0 || !wrote_only(s, slot, t->len))
        fail_msg("opening %zu bytes, AAD %zu, key %zu, %u pieces, %s: %s", t->len, t->aad_len, t->key_len, s->pieces,
            s->in_place ? "in place" : "apart",
            verdict != 0                                   ? "rejected"
                : memcmp(slot->out, t->plain, t->len) != 0 ? "other plaintext"
                                                           : "it wrote around its output");
    if (!s->in_place)
        assert_memory_equal(slot->in, t->sealed, t->len);
}

static struct trial trials[MANY];
static struct slot slots[MANY];

/* |n| trials at once, sealed and opened in random shapes. */
static void agree(const struct milgi__gcm_kernel *kernel, size_t n)
{
    struct milgi__gcm_record records[MANY];
    struct shape shapes[MANY];
    int8_t verdicts[MANY];

    for (size_t i = 0; i < n; i++) {
        shapes[i] = shape_random(true);
        records[i] = seal_begin(&trials[i], &shapes[i], &slots[i]);
    }
    kernel->seal(records, n);
    for (size_t i = 0; i < n; i++)
        seal_end(&trials[i], &shapes[i], &slots[i]);
    for (size_t i = 0; i < n; i++) {
        shapes[i] = shape_random(false);
        records[i] = open_begin(&trials[i], &shapes[i], &slots[i]);
    }
    memset(verdicts, 0x55, sizeof verdicts);
    assert_int_equal(milgi__gcm_open(kernel, records, n, verdicts), 0);
    for (size_t i = 0; i < n; i++)
        open_end(&trials[i], &shapes[i], &slots[i], verdicts[i]);
}

/* --- the checks -------------------------------------------------------------------------------------------------- */

const struct milgi__gcm_kernel *kernel_of(void **state)
{
    const struct milgi__gcm_kernel *kernel = *state;
    const char *seed = getenv("MILGI_KERNEL_SEED");

    if (!kernel->usable()) {
        print_message("SKIPPED: this processor or system has not what %s needs\n", kernel->name);
        skip();
    }
    random_seed(seed ? strtoull(seed, NULL, 0) : 20);
    return kernel;
}

static void agrees_with_libcrypto_at_every_length(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);
    uint64_t bytes = 0;

    for (size_t len = 0; len <= LONGEST; len++) {
        trial_random(&trials[0], len);
        agree(kernel, 1);
        bytes += 2 * len;
    }
    print_message("%s: %llu bytes sealed and opened as libcrypto does\n", kernel->name, (unsigned long long)bytes);
}

/* Of the lengths around the edges of a few batches, each in many shapes, one record and several in a call. */
static void agrees_in_every_shape_of_short_records(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);

    for (size_t len = 0; len <= 800; len++) {
        for (unsigned i = 0; i < 12; i++)
            trial_random(&trials[i], len);
        agree(kernel, 12);
    }
}

static void agrees_when_records_of_many_keys_come_at_once(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);

    for (size_t n = 0; n <= MANY; n++) {
        for (unsigned round = 0; round < 10; round++) {
            for (size_t i = 0; i < n; i++)
                trial_random(&trials[i], random_below(random_below(10) == 0 ? 4000 : 300));
            agree(kernel, n);
        }
    }
}

static void agrees_at_random(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);
    const char *wanted = getenv("MILGI_KERNEL_BYTES");
    uint64_t bytes = wanted ? strtoull(wanted, NULL, 0) : 20000000;
    uint64_t done = 0;

    while (done < bytes) {
        size_t n = random_below(3) == 0 ? 1 + random_below(MANY) : 1;
        for (size_t i = 0; i < n; i++) {
            trial_random(&trials[i], random_below((size_t)1 << (4 + random_below(11))));
            done += 2 * trials[i].len;
        }
        agree(kernel, n);
    }
    print_message("%s: %llu bytes sealed and opened as libcrypto does\n", kernel->name, (unsigned long long)done);
}

/* A type and padding wherever they may begin and end. */
static void pads_as_libcrypto_seals_what_is_padded(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);

    for (size_t content = 0; content <= 300; content++) {
        for (unsigned i = 0; i < 8; i++)
            trial_make(&trials[i], 16, content, 22, i < 2 ? i : random_below(i < 6 ? 70 : 700), 5);
        agree(kernel, 8);
    }
}

/* --- forgeries --------------------------------------------------------------------------------------------------- */

/* Opens trials[0] with a fault between two that are right. */
static void rejects(const struct milgi__gcm_kernel *kernel, void (*fault)(struct milgi__gcm_record *, unsigned),
    unsigned bit)
{
    struct milgi__gcm_record records[3];
    struct shape shapes[3];
    int8_t verdicts[3];

    for (unsigned i = 0; i < 3; i++) {
        shapes[i] = shape_random(false);
        records[i] = open_begin(&trials[i], &shapes[i], &slots[i]);
    }
    fault(&records[1], bit);
    assert_int_equal(milgi__gcm_open(kernel, records, 3, verdicts), 1);
    assert_int_equal(verdicts[1], MILGI__BAD);
    if (!all_are(slots[1].out, slots[1].out + trials[1].len, 0) || !wrote_only(&shapes[1], &slots[1], trials[1].len))
        fail_msg("what was rejected is not wiped: %zu bytes", trials[1].len);
    open_end(&trials[0], &shapes[0], &slots[0], verdicts[0]);
    open_end(&trials[2], &shapes[2], &slots[2], verdicts[2]);
}

static uint8_t bad[ROOM];

static void bad_tag(struct milgi__gcm_record *r, unsigned bit)
{
    memcpy(bad, r->tag, 16);
    bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
    r->tag = bad;
}

static void bad_aad(struct milgi__gcm_record *r, unsigned bit)
{
    memcpy(bad, r->aad, r->aad_len);
    bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
    r->aad = bad;
}

static void bad_nonce(struct milgi__gcm_record *r, unsigned bit)
{
    memcpy(bad, r->nonce, 12);
    bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
    r->nonce = bad;
}

static void bad_ciphertext(struct milgi__gcm_record *r, unsigned bit)
{
    size_t at = bit / 8;

    for (size_t i = 0; i < r->src_n; at -= r->src[i].len, i++) {
        if (at < r->src[i].len) {
            r->src[i].data[at] ^= (uint8_t)(1u << bit % 8);
            return;
        }
    }
}

static void rejects_and_wipes_what_is_changed_in_any_bit(void **state)
{
    static const size_t lens[] = { 1, 15, 16, 17, 31, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 16385 };
    const struct milgi__gcm_kernel *kernel = kernel_of(state);

    for (size_t i = 0; i < MILGI__COUNT(lens); i++) {
        trial_random(&trials[0], 100);
        trial_make(&trials[1], i % 2 ? 16 : 32, lens[i], 0, 0, 13);
        trial_random(&trials[2], 70);
        for (unsigned bit = 0; bit < 128; bit++)
            rejects(kernel, bad_tag, bit);
        for (unsigned bit = 0; bit < 96; bit += 5)
            rejects(kernel, bad_nonce, bit);
        for (unsigned bit = 0; bit < 13 * 8; bit += 5)
            rejects(kernel, bad_aad, bit);
        unsigned step = lens[i] < 300 ? 5 : 999;
        for (unsigned bit = 0; bit < lens[i] * 8; bit += step)
            rejects(kernel, bad_ciphertext, bit);
        rejects(kernel, bad_ciphertext, (unsigned)(lens[i] * 8 - 1));
    }
}

/* Additional data of another length, and nothing but a tag. */
static void hashes_the_lengths(void **state)
{
    const struct milgi__gcm_kernel *kernel = kernel_of(state);
    int8_t verdict;

    for (size_t len = 0; len <= 40; len += 8) {
        for (size_t aad_len = 0; aad_len <= sizeof trials[0].aad; aad_len++) {
            trial_make(&trials[0], 16, len, 0, 0, aad_len);
            agree(kernel, 1);
            memset(trials[0].aad, 0, sizeof trials[0].aad);
            reference_seal(trials[0].raw, 16, trials[0].nonce, trials[0].aad, aad_len, trials[0].plain, len,
                trials[0].sealed);
            struct shape shape = { 1, true, 0, 0 };
            struct milgi__gcm_record r = open_begin(&trials[0], &shape, &slots[0]);
            r.aad_len = aad_len > 0 ? aad_len - 1 : 1; /* of zeros: only the lengths differ */
            assert_int_equal(milgi__gcm_open(kernel, &r, 1, &verdict), 1);
        }
    }
}

/* --- all --------------------------------------------------------------------------------------------------------- */

int kernel_checks_run(const struct milgi__gcm_kernel *kernel)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_libcrypto_at_every_length),
        cmocka_unit_test(agrees_in_every_shape_of_short_records),
        cmocka_unit_test(agrees_when_records_of_many_keys_come_at_once),
        cmocka_unit_test(agrees_at_random),
        cmocka_unit_test(pads_as_libcrypto_seals_what_is_padded),
        cmocka_unit_test(rejects_and_wipes_what_is_changed_in_any_bit),
        cmocka_unit_test(hashes_the_lengths),
        cmocka_unit_test(stays_inside_of_its_buffers),
    };

    for (size_t i = 0; i < MILGI__COUNT(tests); i++)
        tests[i].initial_state = (void *)(uintptr_t)kernel;
    return cmocka_run_group_tests_name(kernel->name, tests, NULL, NULL);
}
