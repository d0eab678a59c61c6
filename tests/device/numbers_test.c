/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that are taken apart into numbers, done in lanes, and put together again. The arithmetic is OpenSSL's here, one
 * lane behind the other, so all but the vectors themselves is tried on any processor. ctest-wrap: milgi__crypto_random
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arithmetic.h"
#include "base/base.h"
#include "device/batch/batch.h"
#include "device/device.h"
#include "device/lanes/numbers.h"
#include "op/material.h"
#include "alone.h"

/* --- lanes of it ------------------------------------------------------------------------------------------------- */

static const char *usable(void)
{
    return NULL;
}

static uint32_t all_rows(void)
{
    return MILGI__ROWS_ALL;
}

static bool run(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    return milgi__numbers_run(&arithmetic, cx, row, lane, n);
}

static const struct milgi__lanes_kind numbers = {
    .name = "numbers",
    .caps = MILGI_CAP_TESTED,
    .raw = true,
    .unusable = usable,
    .rows = all_rows,
    .run = run,
};

/* With rows of any number of ops in lanes. */
static int begin(void **state)
{
    const char *why = NULL;

    (void)state;
    assert_int_equal(milgi__batch_make(&numbers, 0, 1, &device, &why), 0);
    assert_null(device->note); /* it gives the known answers, in all rows */
    why = rig_open(&rig, device, false, 3);
    if (why)
        fail_msg("%s", why);
    memset(&seen, 0, sizeof seen);
    return 0;
}

/* --- what goes through it ---------------------------------------------------------------------------------------- */

static struct job *make(enum milgi__row row, bool bad)
{
    return alone_job(row, bad, MILGI_SIG_RSA_PSS_RSAE_SHA512);
}

static void go(struct job *const *jobs, unsigned n)
{
    alone_enqueue(jobs, n);
    alone_finish(jobs, n);
}

static void any_number_of_lanes_gives_right_results(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned row = 0; row <= MILGI__ROW_RSA2048_SIGN; row++) {
        for (unsigned n = 1; n <= MILGI__LANES; n++) {
            unsigned calls = seen.calls;
            for (unsigned i = 0; i < n; i++)
                jobs[i] = make((enum milgi__row)row, false);
            go(jobs, n);
            assert_int_equal(seen.calls, calls + 1);
            assert_int_equal(seen.last_n, n);
        }
    }
}

/* A lane that fails: whether the input is bad, libcrypto says. */
static void a_lane_that_fails_is_judged_by_libcrypto(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned row = 0; row <= MILGI__ROW_RSA2048_SIGN; row++) {
        for (unsigned bad = 0; bad < MILGI__LANES; bad += row < MILGI__ROW_P384_SIGN ? 1 : 3) {
            seen.fail = 1u << bad;
            for (unsigned i = 0; i < MILGI__LANES; i++)
                jobs[i] = make((enum milgi__row)row, false);
            go(jobs, MILGI__LANES); /* right in all lanes */
        }
    }
}

static void bad_input_is_rejected_in_its_lane(void **state)
{
    static const enum milgi__row judging[] = { MILGI__ROW_X25519_DERIVE, MILGI__ROW_P256_VERIFY };
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        seen.zeros = k == 2;
        for (unsigned bad = 0; bad < MILGI__LANES; bad++) {
            for (unsigned i = 0; i < MILGI__LANES; i++)
                jobs[i] = make(judging[k % 2], i == bad || i == (bad + 3) % MILGI__LANES);
            go(jobs, MILGI__LANES);
        }
    }
}

/* Keys and signatures of which there are no numbers never come to a lane. */
static void what_cannot_be_taken_apart_is_rejected(void **state)
{
    (void)state;
    for (unsigned fault = 0; fault < 5; fault++) {
        struct job *jobs[MILGI__LANES];
        for (unsigned i = 0; i < MILGI__LANES; i++)
            jobs[i] = make(MILGI__ROW_P256_VERIFY, false);
        struct job *job = jobs[fault];
        struct milgi_op_sign *sign = &job->op.u.sign;
        uint8_t *sig = sign->blob.data + sign->spki_len;
        switch (fault) {
        case 0: sig[1]--; break;                                 /* shorter than it is */
        case 1: sign->sig_len--; break;                          /* cut */
        case 2: sign->blob.data[sign->spki_len - 1] ^= 1; break; /* off the curve */
        case 3: sign->blob.data[1]--; break;                     /* no key */
        default: sign->blob.data[sign->spki_len - 65] = 5;       /* no such form */
        }
        memcpy(job->src_before, job->src, job->size);
        job->before = job->op;
        job->want = MILGI_OP_REJECTED;
        go(jobs, MILGI__LANES);
        assert_int_equal(seen.last_n, MILGI__LANES - 1);
    }
}

static void no_nonce_comes_twice(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < MILGI__LANES; i++)
            jobs[i] = make(MILGI__ROW_P256_SIGN, false);
        go(jobs, MILGI__LANES);
    }
    assert_int_equal(seen.nonces, 64);
    for (unsigned i = 0; i < seen.nonces; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(seen.nonce[i], seen.nonce[k], 32);
    }
}

/* What the generator gives first: zero, the order of P-256, and more than that. */
static unsigned bad_draws, draws;

int __real_milgi__crypto_random(void *store, uint8_t *out, size_t len);
int __wrap_milgi__crypto_random(void *store, uint8_t *out, size_t len);

int __wrap_milgi__crypto_random(void *store, uint8_t *out, size_t len)
{
    static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };

    draws++;
    if (draws > bad_draws || len != 32)
        return __real_milgi__crypto_random(store, out, len);
    memset(out, draws % 3 == 0 ? 0xff : 0, len);
    if (draws % 3 == 1)
        memcpy(out, order, len);
    return 0;
}

/* One is out of range once in 2^32 times; a generator that gives nothing else is not asked for ever. */
static void nonces_out_of_range_are_drawn_anew(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MILGI__LANES; i++)
            jobs[i] = make(MILGI__ROW_P256_SIGN, false);
        draws = 0;
        bad_draws = round == 0 ? 7 : 1000;
        go(jobs, MILGI__LANES); /* by libcrypto, if there is no nonce */
        bad_draws = 0;
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.nonces, MILGI__LANES);
    }
}

/* A key whose numbers are of another length than its certificate says, or that has no numbers. */
static void a_key_without_its_numbers_is_used_with_libcrypto(void **state)
{
    struct job *jobs[MILGI__LANES];
    struct milgi__lanes_key *key = rig.signer[RIG_RSA].loaded.dev[RIG_DEV];

    (void)state;
    key->raw->bits = 3072;
    for (unsigned i = 0; i < MILGI__LANES; i++)
        jobs[i] = make(MILGI__ROW_RSA2048_SIGN, false);
    go(jobs, MILGI__LANES);
    assert_int_equal(seen.calls, 0);
    key = rig.signer[RIG_P521].loaded.dev[RIG_DEV];
    assert_null(key->raw);
    key = rig.signer[RIG_RSA_PSS].loaded.dev[RIG_DEV];
    assert_int_equal(key->raw->bits, 2048);
}

/* Its numbers mean something else, so they never get into lanes. */
static void a_key_of_another_type_than_the_scheme_is_refused(void **state)
{
    static const enum rig_signer others[] = { RIG_P384, RIG_RSA, RIG_ED25519 };

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(others); i++) {
        struct job *job = job_sign(&rig, others[i], MILGI_SIG_ECDSA_SECP256R1_SHA256);
        struct milgi_op *op = &job->op, *back = NULL;
        op->status = MILGI_OP_PENDING;
        assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 1);
        assert_int_equal(rig.ops->dequeue(rig.qp, &back, 1), 1);
        assert_ptr_equal(back, op);
        assert_int_equal(op->status, MILGI_OP_BROKEN);
        assert_int_equal(seen.calls, 0);
        job_free(job);
    }
}

/* --- without memory ---------------------------------------------------------------------------------------------- */

static unsigned allocations, fails_at;

static bool fail_one(void)
{
    return ++allocations == fails_at;
}

/* Each allocation once: there is a device, or there is none and nothing is lost. */
static void any_allocation_may_fail(void **state)
{
    struct milgi_device *made;
    const char *why;

    (void)state;
    for (fails_at = 1;; fails_at++) {
        allocations = 0;
        made = NULL;
        milgi__mem_fail = fail_one;
        int rv = milgi__batch_make(&numbers, 0, 1, &made, &why);
        struct milgi_qp *qp = rv == 0 ? made->ops->qp_open(made, &rig.clock) : NULL;
        struct milgi_key key = rig.signer[RIG_P256];
        struct milgi__lanes_key *loaded = qp ? made->ops->key_load(qp, &key) : NULL;
        milgi__mem_fail = NULL;
        assert_true(rv == 0 || rv == MILGI_ENOMEM);
        bool all = loaded && loaded->raw && !made->note && allocations < fails_at;
        if (qp) {
            made->ops->key_free(qp, &key, loaded);
            made->ops->qp_close(qp);
        }
        if (rv == 0)
            milgi_device_free(made);
        if (all)
            return;
        assert_true(fails_at < 2000);
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, alone_teardown)
    const struct CMUnitTest tests[] = {
        CASE(any_number_of_lanes_gives_right_results),
        CASE(a_lane_that_fails_is_judged_by_libcrypto),
        CASE(bad_input_is_rejected_in_its_lane),
        CASE(what_cannot_be_taken_apart_is_rejected),
        CASE(no_nonce_comes_twice),
        CASE(nonces_out_of_range_are_drawn_anew),
        CASE(a_key_without_its_numbers_is_used_with_libcrypto),
        CASE(a_key_of_another_type_than_the_scheme_is_refused),
        CASE(any_allocation_may_fail),
    };
    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
