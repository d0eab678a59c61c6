/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device batch: which ops go into lanes together and which are done alone, what a lane that fails does to the
 * others, and lanes that do not give the known answers. The lanes are libcrypto's, watched and spoiled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "device/batch/batch.h"
#include "device/device.h"
#include "device/lanes/kinds.h"
#include "op/material.h"
#include "alone.h"

/* --- lanes that tell, and do what they are told ------------------------------------------------------------------ */

static struct {
    unsigned calls, last_n;
    enum milgi__row last_row;
    bool lenient;     /* they find nothing bad */
    bool cannot;      /* they leave it to libcrypto */
    uint32_t spoiled; /* rows, as bits, in which one lane errs */
    unsigned spoiled_lane;
    uint64_t call_ns; /* by which a call moves the clock */
} watched;

static const char *usable(void)
{
    return NULL;
}

static uint32_t all_rows(void)
{
    return MILGI__ROWS_ALL;
}

static void spoil(struct milgi_op *op)
{
    switch (op->type) {
    case MILGI_OP_KEYGEN: op->u.kex.share.data[31] ^= 1; break;
    case MILGI_OP_DERIVE: op->u.kex.shared[0] ^= 1; break;
    case MILGI_OP_SIGN: op->u.sign.sig[op->u.sign.sig_len - 1] ^= 1; break;
    default: op->status = op->status == MILGI_OP_OK ? MILGI_OP_REJECTED : MILGI_OP_OK;
    }
}

static bool watched_run(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    assert_in_range(n, 1, MILGI__LANES);
    watched.calls++;
    watched.last_n = n;
    watched.last_row = row;
    rig.virtual_ns += watched.call_ns;
    if (watched.cannot)
        return false;
    if (!milgi__lanes_libcrypto.run(cx, row, lane, n))
        return false;
    for (unsigned i = 0; watched.lenient && i < n; i++)
        lane[i].op->status = MILGI_OP_OK;
    if (watched.spoiled >> row & 1 && watched.spoiled_lane < n)
        spoil(lane[watched.spoiled_lane].op);
    return true;
}

static struct milgi__lanes_kind watching = {
    .name = "watched",
    .caps = MILGI_CAP_LIBCRYPTO,
    .unusable = usable,
    .rows = all_rows,
    .run = watched_run,
};

static void make(unsigned from)
{
    const char *why = NULL;

    memset(&watched, 0, sizeof watched);
    assert_int_equal(milgi__batch_make(&watching, 50000, from, &device, &why), 0);
    why = rig_open(&rig, device, true, 7);
    if (why)
        fail_msg("%s", why);
}

/* --- ops of a row ------------------------------------------------------------------------------------------------ */

/* The rows that the rig has keys for. */
static const struct row {
    enum milgi__row row;
    unsigned from; /* as many are done together */
} rows[] = {
    { MILGI__ROW_X25519_KEYGEN, 5 },
    { MILGI__ROW_X25519_DERIVE, 3 },
    { MILGI__ROW_P256_SIGN, 4 },
    { MILGI__ROW_P256_VERIFY, 4 },
    { MILGI__ROW_P384_SIGN, 2 },
    { MILGI__ROW_ED25519_SIGN, 4 },
    { MILGI__ROW_RSA2048_SIGN, 5 },
};

static struct job *job_of_row(enum milgi__row row, bool bad)
{
    return alone_job(row, bad, MILGI_SIG_RSA_PSS_RSAE_SHA384);
}

static void go(enum milgi__row row, unsigned n)
{
    struct job *jobs[32];

    for (unsigned i = 0; i < n; i++)
        jobs[i] = job_of_row(row, false);
    alone_enqueue(jobs, n);
    alone_finish(jobs, n);
}

/* --- what goes together ------------------------------------------------------------------------------------------ */

static void eight_of_a_row_are_done_at_once(void **state)
{
    struct job *jobs[9];

    (void)state;
    make(0);
    for (unsigned i = 0; i < 9; i++)
        jobs[i] = job_of_row(MILGI__ROW_P256_SIGN, false);
    alone_enqueue(jobs, 7);
    assert_int_equal(watched.calls, 0);
    assert_int_equal(rig.ops->next_event(rig.qp), 0);
    alone_enqueue(jobs + 7, 1);
    assert_int_equal(watched.calls, 1);
    assert_int_equal(watched.last_n, 8);
    alone_enqueue(jobs + 8, 1);
    alone_finish(jobs, 9);
    assert_int_equal(watched.calls, 1); /* the ninth was alone */
    assert_int_equal(rig.ops->next_event(rig.qp), UINT64_MAX);
}

static void fewer_than_pays_are_done_one_by_one(void **state)
{
    (void)state;
    make(0);
    for (unsigned i = 0; i < MILGI__COUNT(rows); i++) {
        const struct milgi__lanes *lanes = milgi__batch_lanes(rig.qp);
        enum milgi__row row = rows[i].row;
        for (unsigned n = 1; n <= MILGI__LANES; n++) {
            uint64_t together = lanes->in_lanes[row], alone = lanes->alone[row];
            unsigned calls = watched.calls;
            go(row, n);
            bool pays = n >= rows[i].from;
            assert_int_equal(watched.calls - calls, pays);
            assert_int_equal(lanes->in_lanes[row] - together, pays ? n : 0);
            assert_int_equal(lanes->alone[row] - alone, pays ? 0 : n);
            if (pays)
                assert_int_equal(watched.last_row, row);
        }
    }
}

static void how_many_pay_can_be_said(void **state)
{
    (void)state;
    make(1);
    go(MILGI__ROW_X25519_KEYGEN, 1);
    assert_int_equal(watched.calls, 1);
    alone_end();
    make(9);
    go(MILGI__ROW_X25519_KEYGEN, 8);
    assert_int_equal(watched.calls, 0);
}

static void rows_are_kept_apart(void **state)
{
    struct job *jobs[24];

    (void)state;
    make(0);
    for (unsigned i = 0; i < 24; i++)
        jobs[i] = job_of_row(rows[i % 3].row, false);
    alone_enqueue(jobs, 21);
    assert_int_equal(watched.calls, 0);
    alone_enqueue(jobs + 21, 3);
    assert_int_equal(watched.calls, 3);
    alone_finish(jobs, 24);
}

/* Another length of RSA, another curve, a key that is not there: what has no row is done at once. */
static void what_has_no_row_is_done_alone(void **state)
{
    (void)state;
    make(1);
    const struct milgi__lanes *lanes = milgi__batch_lanes(rig.qp);
    struct milgi_credential *credential = (struct milgi_credential *)(uintptr_t)rig.signer[RIG_RSA].loaded.credential;
    credential->bits = 2056;
    go(MILGI__ROW_RSA2048_SIGN, 8);
    credential->bits = 2048;
    struct job *job = job_sign(&rig, RIG_P521, MILGI_SIG_ECDSA_SECP521R1_SHA512);
    alone_enqueue(&job, 1);
    alone_finish(&job, 1);
    job = job_keygen(&rig, MILGI_GROUP_SECP256R1);
    alone_enqueue(&job, 1);
    alone_finish(&job, 1);
    job = job_derive(&rig, MILGI_GROUP_X25519, SHARE_SHORT);
    alone_enqueue(&job, 1);
    alone_finish(&job, 1);
    assert_int_equal(watched.calls, 0);
    for (unsigned row = 0; row < MILGI__ROWS; row++)
        assert_int_equal(lanes->alone[row], 0);
}

/* --- lanes that fail --------------------------------------------------------------------------------------------- */

static void a_lane_that_fails_fails_its_own_op(void **state)
{
    static const enum milgi__row judging[] = { MILGI__ROW_X25519_DERIVE, MILGI__ROW_P256_VERIFY };

    (void)state;
    make(0);
    for (unsigned i = 0; i < MILGI__COUNT(judging); i++) {
        for (unsigned bad = 0; bad < MILGI__LANES; bad++) {
            struct job *jobs[MILGI__LANES];
            unsigned calls = watched.calls;
            for (unsigned k = 0; k < MILGI__LANES; k++)
                jobs[k] = job_of_row(judging[i], k == bad);
            alone_enqueue(jobs, MILGI__LANES);
            alone_finish(jobs, MILGI__LANES); /* each is as it should be */
            assert_int_equal(watched.calls, calls + 1);
        }
    }
}

static void what_lanes_cannot_do_libcrypto_does(void **state)
{
    (void)state;
    make(0);
    watched.cannot = true;
    for (unsigned i = 0; i < MILGI__COUNT(rows); i++) {
        go(rows[i].row, 8);
        assert_int_equal(watched.calls, i + 1);
        assert_int_equal(milgi__batch_lanes(rig.qp)->alone[rows[i].row], 8);
    }
}

/* In whichever lane: nobody is given it. */
static void a_row_that_answers_wrong_is_not_used(void **state)
{
    const char *why;

    (void)state;
    watching.caps = MILGI_CAP_TESTED;
    for (unsigned row = 0; row < MILGI__ROWS; row++) {
        memset(&watched, 0, sizeof watched);
        watched.spoiled = 1u << row;
        watched.spoiled_lane = (row * 3 + 1) % MILGI__LANES;
        assert_int_equal(milgi__batch_make(&watching, 50000, 4, &device, &why), 0); /* also what gains nothing */
        assert_non_null(device->note);
        assert_non_null(strstr(device->note, milgi__row_name((enum milgi__row)row)));
        assert_int_equal(device->caps.flags & (MILGI_CAP_TESTED | MILGI_CAP_LIBCRYPTO), MILGI_CAP_TESTED);
        milgi_device_free(device);
    }
    device = NULL;
    watching.caps = MILGI_CAP_LIBCRYPTO;
}

static void every_lane_is_tried(void **state)
{
    uint32_t right;

    (void)state;
    for (unsigned lane = 0; lane < MILGI__LANES; lane++) {
        for (unsigned row = MILGI__ROW_X25519_KEYGEN; row <= MILGI__ROW_P256_VERIFY; row++) {
            memset(&watched, 0, sizeof watched);
            watched.spoiled = 1u << row;
            watched.spoiled_lane = lane;
            assert_int_equal(milgi__lanes_try(&watching, 1u << row, &right), 0);
            assert_int_equal(right, 0);
        }
    }
}

static void lanes_that_find_nothing_bad_are_found_out(void **state)
{
    static const enum milgi__row judging[] = { MILGI__ROW_X25519_DERIVE, MILGI__ROW_P256_VERIFY };
    uint32_t right;

    (void)state;
    memset(&watched, 0, sizeof watched);
    watched.lenient = true;
    for (unsigned i = 0; i < MILGI__COUNT(judging); i++) {
        assert_int_equal(milgi__lanes_try(&watching, 1u << judging[i], &right), 0);
        assert_int_equal(right, 0);
    }
}

static void right_answers_are_found_right(void **state)
{
    uint32_t right;

    (void)state;
    memset(&watched, 0, sizeof watched);
    assert_int_equal(milgi__lanes_try(&watching, MILGI__ROWS_ALL, &right), 0);
    assert_int_equal(right, MILGI__ROWS_ALL);
    assert_true(watched.calls >= MILGI__ROWS);
    assert_int_equal(milgi__lanes_try(&watching, 1u << MILGI__ROW_P256_SIGN, &right), 0);
    assert_int_equal(right, 1u << MILGI__ROW_P256_SIGN);
}

static void the_algorithm_of_a_wrong_row_is_turned_down(void **state)
{
    const char *why;

    (void)state;
    memset(&watched, 0, sizeof watched);
    watching.caps = MILGI_CAP_TESTED;
    watched.spoiled = 1u << MILGI__ROW_P256_SIGN;
    assert_int_equal(milgi__batch_make(&watching, 50000, 0, &device, &why), 0);
    watched.spoiled = 0;
    why = rig_open(&rig, device, true, 7);
    assert_null(why);
    assert_false(rig_can(&rig, MILGI_OP_SIGN, MILGI_SIG_ECDSA_SECP256R1_SHA256));
    assert_true(rig_can(&rig, MILGI_OP_VERIFY, MILGI_SIG_ECDSA_SECP256R1_SHA256));
    assert_true(rig_can(&rig, MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_PSS_SHA512));
    /* One that comes all the same is done, and not in lanes. */
    unsigned calls = watched.calls;
    go(MILGI__ROW_P256_SIGN, 8);
    assert_int_equal(watched.calls, calls);
    watching.caps = MILGI_CAP_LIBCRYPTO;
}

/* Nobody tries it either, unless it was said that it gains. */
static void a_row_that_gains_nothing_is_not_used(void **state)
{
    static const enum milgi__row idle[] = { MILGI__ROW_RSA3072_SIGN, MILGI__ROW_RSA4096_SIGN };
    char note[MILGI__LANES_NOTE];
    uint32_t kept, all;

    (void)state;
    memset(&watched, 0, sizeof watched);
    watching.caps = MILGI_CAP_TESTED;
    for (unsigned i = 0; i < MILGI__COUNT(idle); i++)
        watched.spoiled |= 1u << idle[i];
    assert_int_equal(milgi__lanes_prove(&watching, 0, &kept, note), 0);
    assert_string_equal(note, "");
    watched.spoiled = 0;
    assert_int_equal(milgi__lanes_prove(&watching, 8, &all, note), 0);
    assert_int_equal(all, MILGI__ROWS_ALL);
    watching.caps = MILGI_CAP_LIBCRYPTO;
    for (unsigned row = 0; row < MILGI__ROWS; row++)
        assert_int_equal(kept >> row & 1, milgi__row_from((enum milgi__row)row) <= MILGI__LANES);
    for (unsigned i = 0; i < MILGI__COUNT(idle); i++)
        assert_int_equal(kept >> idle[i] & 1, 0);
}

static void without_one_right_row_there_is_no_device(void **state)
{
    const char *why = NULL;

    (void)state;
    memset(&watched, 0, sizeof watched);
    watching.caps = MILGI_CAP_TESTED;
    watched.spoiled = MILGI__ROWS_ALL;
    device = NULL;
    assert_int_equal(milgi__batch_make(&watching, 50000, 0, &device, &why), MILGI_EUNSUPPORTED);
    assert_non_null(why);
    assert_null(device);
    watching.caps = MILGI_CAP_LIBCRYPTO;
}

/* --- time, cancelling, words ------------------------------------------------------------------------------------- */

static void each_op_tells_its_part_of_the_time(void **state)
{
    struct job *jobs[8];

    (void)state;
    make(0);
    watched.call_ns = 44000;
    for (unsigned i = 0; i < 8; i++)
        jobs[i] = job_of_row(MILGI__ROW_P256_SIGN, false);
    alone_enqueue(jobs, 8);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(jobs[i]->op.service_ns, 5500);
    alone_finish(jobs, 8);
}

static void what_waits_in_a_bin_can_be_cancelled(void **state)
{
    struct job *jobs[6];

    (void)state;
    for (unsigned at = 0; at < 5; at++) {
        make(0);
        for (unsigned i = 0; i < 5; i++)
            jobs[i] = job_of_row(MILGI__ROW_P256_SIGN, false);
        alone_enqueue(jobs, 5);
        rig.ops->cancel(rig.qp, &jobs[at]->op);
        jobs[at]->want = MILGI_OP_CANCELLED;
        jobs[5] = job_of_row(MILGI__ROW_X25519_KEYGEN, false); /* not there: it is nobody's business */
        rig.ops->cancel(rig.qp, &jobs[5]->op);
        job_free(jobs[5]);
        alone_finish(jobs, 5);
        assert_int_equal(watched.last_n, 4);
        alone_end();
    }
}

static void quiesce_gives_back_what_was_not_begun(void **state)
{
    struct job *jobs[11];
    struct milgi_op *ops[12];

    (void)state;
    make(0);
    for (unsigned i = 0; i < 11; i++)
        jobs[i] = job_of_row(MILGI__ROW_P256_SIGN, false);
    alone_enqueue(jobs, 11);
    assert_int_equal(rig.ops->quiesce(rig.qp, 0), 0);
    assert_int_equal(rig.ops->dequeue(rig.qp, ops, 12), 11);
    for (unsigned i = 0; i < 11; i++)
        assert_int_equal(ops[i]->status, i < 8 ? MILGI_OP_OK : MILGI_OP_CANCELLED);
    assert_int_equal(watched.calls, 1);
    for (unsigned i = 0; i < 11; i++)
        job_free(jobs[i]);
}

static void a_description_is_read(void **state)
{
    static const char *const wrong[] = { "batch:lanes", "batch:lanes=none", "batch:lanes=libcrypto,from=0",
        "batch:lanes=libcrypto,from=65", "batch:lanes=libcrypto,wait=2s", "batch:8" };
    const char *why = NULL;

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(wrong); i++) {
        assert_int_equal(milgi_device_new(wrong[i], &device, &why), MILGI_EINVAL);
        assert_memory_equal(why, "batch:", 6);
    }
    assert_int_equal(milgi_device_new("batch:lanes=libcrypto,wait=70us,from=2", &device, &why), 0);
    assert_int_equal(device->caps.gather_ns, 70000);
    assert_null(device->note);
    milgi_device_free(device);
    device = NULL;
}

/* Where vectors cannot do it, it says so and cannot be chosen by mistake. */
static void without_the_vectors_it_says_why_not(void **state)
{
    const struct milgi__lanes_kind *mb = milgi__lanes_kind("mb");
    const char *why = NULL;

    (void)state;
    if (mb && !mb->unusable())
        skip();
    assert_int_equal(milgi_device_new("batch", &device, &why), MILGI_EUNSUPPORTED);
    assert_non_null(why);
    assert_non_null(strstr(why, mb ? "AVX-512" : "crypto_mb"));
    assert_null(device);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_teardown(function, alone_teardown)
    const struct CMUnitTest tests[] = {
        CASE(eight_of_a_row_are_done_at_once),
        CASE(fewer_than_pays_are_done_one_by_one),
        CASE(how_many_pay_can_be_said),
        CASE(rows_are_kept_apart),
        CASE(what_has_no_row_is_done_alone),
        CASE(a_lane_that_fails_fails_its_own_op),
        CASE(what_lanes_cannot_do_libcrypto_does),
        CASE(a_row_that_answers_wrong_is_not_used),
        CASE(every_lane_is_tried),
        CASE(lanes_that_find_nothing_bad_are_found_out),
        CASE(right_answers_are_found_right),
        CASE(the_algorithm_of_a_wrong_row_is_turned_down),
        CASE(a_row_that_gains_nothing_is_not_used),
        CASE(without_one_right_row_there_is_no_device),
        CASE(each_op_tells_its_part_of_the_time),
        CASE(what_waits_in_a_bin_can_be_cancelled),
        CASE(quiesce_gives_back_what_was_not_begun),
        CASE(a_description_is_read),
        CASE(without_the_vectors_it_says_why_not),
    };
    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
