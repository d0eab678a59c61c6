/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crew's workers: how they share what there is to do, and that everything that waits for one that hangs ends in
 * bounded time.
 */
#include "device/worker/crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/port.h"
#include "op/op.h"

#define MS UINT64_C(1000000)

#define WORKERS 2

static _Atomic bool hangs;
static _Atomic unsigned begun, ended;
static _Atomic bool held[WORKERS]; /* this worker does not go on */

/* What each worker has begun, in order. */
static uint8_t classes[WORKERS][64];
static _Atomic unsigned classes_n[WORKERS];

static void nap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

static void *worker_new(void *ctx)
{
    return ctx;
}

static void worker_nothing(void *state)
{
    (void)state;
}

static void worker_forget(void *state, uint64_t serial)
{
    (void)state;
    (void)serial;
}

static void worker_perform(void *state, unsigned worker, struct milgi_op *op)
{
    (void)state;
    classes[worker][classes_n[worker]++] = op->cls;
    begun++;
    while (hangs || held[worker])
        nap();
    op->status = MILGI_OP_OK;
    ended++;
}

/* What is done together, and how many at once. */
#define TOGETHER 77 /* in op.alg */
static _Atomic unsigned together_n[64], togethers;

static bool is_together(void *ctx, const struct milgi_op *of)
{
    (void)ctx;
    return of->alg == TOGETHER;
}

static void worker_perform_together(void *state, unsigned worker, struct milgi_op *const *ops, unsigned n)
{
    (void)state;
    together_n[togethers] = n;
    togethers++;
    begun += n;
    classes[worker][classes_n[worker]++] = TOGETHER;
    while (hangs || held[worker])
        nap();
    for (unsigned i = 0; i < n; i++)
        ops[i]->status = MILGI_OP_OK;
    ended += n;
}

static _Atomic unsigned record_bursts, records_together;

static void worker_perform_records(void *state, struct milgi_op *const *ops, unsigned n)
{
    (void)state;
    for (unsigned i = 0; i < n; i++)
        ops[i]->status = MILGI_OP_OK;
    record_bursts++;
    records_together += n;
    begun += n;
    ended += n;
}

static const struct milgi__crew_ops crew_ops = {
    .thread_name = "test",
    .worker_new = worker_new,
    .worker_free = worker_nothing,
    .perform = worker_perform,
    .perform_records = worker_perform_records,
    .together = is_together,
    .perform_together = worker_perform_together,
    .forget = worker_forget,
    .forget_all = worker_nothing,
};

static struct milgi__crew *crew;
static struct milgi_op op[8], more[48]; /* those of a queue pair that was abandoned are never used again */

static int begin(void **state)
{
    struct milgi__crew_options options = { .ops = &crew_ops, .ctx = op, .workers = WORKERS, .depth = 64 };

    (void)state;
    hangs = false;
    begun = ended = togethers = record_bursts = records_together = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        held[i] = false;
        classes_n[i] = 0;
    }
    return milgi__crew_new(&options, &crew);
}

static void submit(struct milgi__crew_qp *qp, struct milgi_op *of)
{
    struct milgi_op *ops[MILGI__COUNT(op)];

    for (unsigned i = 0; i < MILGI__COUNT(op); i++) {
        of[i] = (struct milgi_op){ .cls = MILGI_OP_CLASS_HANDSHAKE };
        ops[i] = &of[i];
    }
    assert_int_equal(milgi__crew_enqueue(qp, ops, MILGI__COUNT(op)), MILGI__COUNT(op));
}

static bool comes(_Atomic unsigned *count, unsigned n)
{
    for (unsigned naps = 0; *count < n; naps++) {
        if (naps == 50000)
            return false;
        nap();
    }
    return true;
}

/* --- sharing ------------------------------------------------------------------------------------------------------ */

static void put(struct milgi__crew_qp *qp, struct milgi_op *of, unsigned n, uint8_t cls)
{
    struct milgi_op *ops[MILGI__COUNT(more)];

    for (unsigned i = 0; i < n; i++) {
        of[i] = (struct milgi_op){ .cls = cls };
        ops[i] = &of[i];
    }
    assert_int_equal(milgi__crew_enqueue(qp, ops, n), n);
}

static void finish(struct milgi__crew_qp *qp)
{
    for (unsigned i = 0; i < WORKERS; i++)
        held[i] = false;
    assert_int_equal(milgi__crew_quiesce(qp, UINT64_MAX), 0);
    milgi__crew_close(qp);
    assert_true(milgi__crew_free(crew));
}

static void no_worker_takes_all_of_a_burst_of_records(void **state)
{
    struct milgi__crew_qp *qp = milgi__crew_open(crew);

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct milgi_op *back;
        unsigned got = 0;
        begun = ended = 0;
        hangs = true;
        put(qp, more, 4, MILGI_OP_CLASS_RECORDS);
        assert_true(comes(&begun, 2)); /* each is at one: else one had all four */
        hangs = false;
        while (got < 4)
            got += milgi__crew_dequeue(qp, &back, 1);
        classes_n[0] = classes_n[1] = 0;
    }
    finish(qp);
}

/* Both workers are at a handshake op; meanwhile |n| come that are done together, and |alone| that are not. */
static struct milgi__crew_qp *both_at_work(unsigned n, unsigned alone)
{
    struct milgi__crew_qp *qp = milgi__crew_open(crew);
    struct milgi_op *ops[MILGI__COUNT(more)];

    held[0] = held[1] = true;
    put(qp, op, 2, MILGI_OP_CLASS_HANDSHAKE);
    assert_true(comes(&begun, 2));
    for (unsigned i = 0; i < n + alone; i++) {
        more[i] = (struct milgi_op){ .cls = MILGI_OP_CLASS_HANDSHAKE, .alg = i < n ? TOGETHER : 0 };
        ops[i] = &more[i];
    }
    assert_int_equal(milgi__crew_enqueue(qp, ops, n + alone), n + alone);
    return qp;
}

static void what_is_done_together_is_taken_at_once(void **state)
{
    struct milgi__crew_qp *qp = both_at_work(20, 0);

    (void)state;
    held[0] = false;
    assert_true(comes(&ended, 1 + 20));
    assert_int_equal(togethers, 2);
    assert_int_equal(together_n[0], MILGI__CREW_TOGETHER);
    assert_int_equal(together_n[1], 20 - MILGI__CREW_TOGETHER);
    finish(qp);
}

/* The worker is alone: each time that it takes some, it gets eight. */
static void short_records_are_done_together_and_those_that_are_timed_alone(void **state)
{
    struct milgi__crew_options options = { .ops = &crew_ops, .ctx = op, .workers = 1, .depth = 64 };
    struct milgi_op *ops[24], *back[MILGI__COUNT(ops)];

    (void)state;
    assert_true(milgi__crew_free(crew));
    assert_int_equal(milgi__crew_new(&options, &crew), 0);
    struct milgi__crew_qp *qp = milgi__crew_open(crew);
    held[0] = true;
    put(qp, op, 1, MILGI_OP_CLASS_HANDSHAKE);
    assert_true(comes(&begun, 1));
    for (unsigned i = 0; i < MILGI__COUNT(ops); i++) {
        ops[i] = &more[i];
        more[i] = (struct milgi_op){ .cls = MILGI_OP_CLASS_RECORDS, .type = i % 2 ? MILGI_OP_OPEN : MILGI_OP_SEAL };
        more[i].u.aead.src_n = 1;
        more[i].u.aead.src[0].len = i == 10 || i == 11 ? MILGI__OP_SHORT + 1 : MILGI__OP_SHORT;
    }
    assert_int_equal(milgi__crew_enqueue(qp, ops, MILGI__COUNT(ops)), MILGI__COUNT(ops));
    milgi__crew_cancel(qp, &more[5]);
    held[0] = false;
    for (unsigned got = 0, naps = 0; got < 1 + MILGI__COUNT(ops); naps++) {
        got += milgi__crew_dequeue(qp, back, MILGI__COUNT(back));
        assert_true(naps < 50000);
        nap();
    }
    for (unsigned i = 0; i < MILGI__COUNT(ops); i++)
        assert_int_equal(more[i].status, i == 5 ? MILGI_OP_CANCELLED : MILGI_OP_OK);
    /* All but the two that are long, the one that was cancelled, and two that were timed: the first, and the 17th. */
    assert_int_equal(record_bursts, 3);
    assert_int_equal(records_together, MILGI__COUNT(ops) - 5);
    finish(qp);
}

/* Whatever crowd comes of the one kind. */
static void neither_kind_of_handshake_ops_starves(void **state)
{
    struct milgi__crew_qp *qp = both_at_work(40, 8);

    (void)state;
    held[0] = false;
    assert_true(comes(&ended, 1 + 48));
    /* Some of them, then one of the others, as long as both wait. */
    for (unsigned i = 2; i < 6; i++)
        assert_int_not_equal(classes[0][i] == TOGETHER, classes[0][i - 1] == TOGETHER);
    finish(qp);
}

static void what_is_done_together_can_be_cancelled(void **state)
{
    struct milgi__crew_qp *qp = both_at_work(10, 0);
    struct milgi_op *back[16];
    unsigned got = 0, cancelled = 0;

    (void)state;
    milgi__crew_cancel(qp, &more[3]);
    milgi__crew_cancel(qp, &more[9]);
    held[0] = held[1] = false;
    for (unsigned naps = 0; got < 12 && naps < 50000; naps++) {
        got += milgi__crew_dequeue(qp, back + got, 16 - got);
        nap();
    }
    assert_int_equal(got, 12);
    for (unsigned i = 0; i < got; i++)
        cancelled += back[i]->status == MILGI_OP_CANCELLED;
    assert_int_equal(cancelled, 2);
    assert_int_equal(more[3].status, MILGI_OP_CANCELLED);
    assert_int_equal(together_n[0], 8);
    finish(qp);
}

static void quiesce_takes_back_what_is_done_together(void **state)
{
    struct milgi__crew_qp *qp = both_at_work(10, 0);
    struct milgi_op *back[16];

    (void)state;
    assert_int_equal(milgi__crew_quiesce(qp, 0), MILGI_EBUSY);
    assert_int_equal(milgi__crew_dequeue(qp, back, 16), 10);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(back[i]->status, MILGI_OP_CANCELLED);
    finish(qp);
    assert_int_equal(togethers, 0);
}

/* Both workers are at a handshake op; |who| alone goes on with 20 records and 10 handshake ops. */
static struct milgi__crew_qp *alone_with_both(unsigned who)
{
    struct milgi__crew_qp *qp = milgi__crew_open(crew);

    held[0] = held[1] = true;
    put(qp, op, 2, MILGI_OP_CLASS_HANDSHAKE);
    assert_true(comes(&begun, 2));
    put(qp, more, 20, MILGI_OP_CLASS_RECORDS);
    put(qp, more + 20, 10, MILGI_OP_CLASS_HANDSHAKE);
    held[who] = false;
    assert_true(comes(&classes_n[who], 31));
    return qp;
}

static void the_first_worker_takes_records_before_handshake_ops(void **state)
{
    struct milgi__crew_qp *qp = alone_with_both(0);

    (void)state;
    for (unsigned i = 1; i < 31; i++)
        assert_int_equal(classes[0][i], i <= 20 ? MILGI_OP_CLASS_RECORDS : MILGI_OP_CLASS_HANDSHAKE);
    finish(qp);
}

/* At most 8 records at once, then one handshake op. */
static void every_other_worker_takes_both_in_turn(void **state)
{
    struct milgi__crew_qp *qp = alone_with_both(1);
    unsigned records = 0;

    (void)state;
    assert_int_equal(classes[1][1], MILGI_OP_CLASS_RECORDS);
    for (unsigned i = 1, in_row = 0; i < 31 && records < 20; i++) {
        bool is_record = classes[1][i] == MILGI_OP_CLASS_RECORDS;
        records += is_record;
        in_row = is_record ? in_row + 1 : 0;
        assert_true(in_row <= 8);
        assert_true(is_record || classes[1][i - 1] == MILGI_OP_CLASS_RECORDS);
    }
    finish(qp);
}

/* --- hanging ------------------------------------------------------------------------------------------------------ */

static struct milgi__crew_qp *hang_both(void)
{
    struct milgi__crew_qp *qp = milgi__crew_open(crew);

    assert_non_null(qp);
    hangs = true;
    submit(qp, op);
    while (begun < 2)
        nap();
    return qp;
}

static unsigned take(struct milgi__crew_qp *qp, uint8_t status)
{
    struct milgi_op *back;
    unsigned n = 0;

    for (; milgi__crew_dequeue(qp, &back, 1) == 1; n++)
        assert_int_equal(back->status, status);
    return n;
}

static void quiesce_gives_up_at_its_limit_and_gives_back_what_was_not_begun(void **state)
{
    struct milgi__crew_qp *qp = hang_both();
    uint64_t from_ns = milgi__port_monotonic_ns(NULL);

    (void)state;
    assert_int_equal(milgi__crew_quiesce(qp, 0), MILGI_EBUSY);
    assert_int_equal(milgi__crew_quiesce(qp, 20 * MS), MILGI_EBUSY);
    assert_true(milgi__port_monotonic_ns(NULL) - from_ns >= 20 * MS);
    assert_int_equal(take(qp, MILGI_OP_CANCELLED), 6);
    hangs = false;
    assert_int_equal(milgi__crew_quiesce(qp, UINT64_MAX), 0);
    assert_int_equal(take(qp, MILGI_OP_OK), 2);
    /* And it goes on as before. */
    submit(qp, op);
    assert_int_equal(milgi__crew_quiesce(qp, UINT64_MAX), 0);
    milgi__crew_close(qp);
    assert_true(milgi__crew_free(crew));
}

static void an_abandoned_queue_pair_is_used_again_when_all_is_back_and_not_before(void **state)
{
    struct milgi__crew_qp *qp = hang_both(), *other, *again;

    (void)state;
    assert_int_equal(milgi__crew_quiesce(qp, 0), MILGI_EBUSY);
    milgi__crew_close(qp); /* what was cancelled is not dequeued either */
    other = milgi__crew_open(crew);
    assert_non_null(other);
    assert_ptr_not_equal(other, qp);
    hangs = false;
    while (ended < 2)
        nap();
    /* The workers push what they did after that. */
    submit(other, more);
    assert_int_equal(milgi__crew_quiesce(other, UINT64_MAX), 0);
    do {
        again = milgi__crew_open(crew);
        if (again != qp)
            milgi__crew_close(again);
        nap();
    } while (again != qp);
    assert_int_equal(take(again, 0), 0);
    hangs = false;
    milgi__crew_close(again);
    milgi__crew_close(other);
    assert_true(milgi__crew_free(crew));
}

/* The last one: it leaves the crew behind. */
static void a_crew_that_hangs_is_left_behind(void **state)
{
    struct milgi__crew_qp *qp = hang_both();
    uint64_t from_ns = milgi__port_monotonic_ns(NULL);

    (void)state;
    assert_int_equal(milgi__crew_quiesce(qp, MS), MILGI_EBUSY);
    milgi__crew_close(qp);
    assert_false(milgi__crew_free(crew));
    assert_true(milgi__port_monotonic_ns(NULL) - from_ns < 10000 * MS);
    hangs = false;
    while (ended < 2)
        nap();
}

#define CASE(function) cmocka_unit_test_setup(function, begin)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(no_worker_takes_all_of_a_burst_of_records),
        CASE(what_is_done_together_is_taken_at_once),
        CASE(short_records_are_done_together_and_those_that_are_timed_alone),
        CASE(neither_kind_of_handshake_ops_starves),
        CASE(what_is_done_together_can_be_cancelled),
        CASE(quiesce_takes_back_what_is_done_together),
        CASE(the_first_worker_takes_records_before_handshake_ops),
        CASE(every_other_worker_takes_both_in_turn),
        CASE(quiesce_gives_up_at_its_limit_and_gives_back_what_was_not_begun),
        CASE(an_abandoned_queue_pair_is_used_again_when_all_is_back_and_not_before),
        CASE(a_crew_that_hangs_is_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
