/* SPDX-License-Identifier: Apache-2.0 */
/* A crew whose workers do not come out of an op: everything that waits for them ends in bounded time. */
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

#define MS UINT64_C(1000000)

static _Atomic bool hangs;
static _Atomic unsigned begun, ended;

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
    (void)worker;
    begun++;
    while (hangs)
        nap();
    op->status = MILGI_OP_OK;
    ended++;
}

static const struct milgi__crew_ops crew_ops = { "test", worker_new, worker_nothing, worker_perform, worker_forget,
    worker_nothing };

static struct milgi__crew *crew;
static struct milgi_op op[8], more[8]; /* those of a queue pair that was abandoned are never used again */

static int begin(void **state)
{
    struct milgi__crew_options options = { .ops = &crew_ops, .ctx = op, .workers = 2, .depth = MILGI__COUNT(op) };

    (void)state;
    hangs = false;
    begun = ended = 0;
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
        CASE(quiesce_gives_up_at_its_limit_and_gives_back_what_was_not_begun),
        CASE(an_abandoned_queue_pair_is_used_again_when_all_is_back_and_not_before),
        CASE(a_crew_that_hangs_is_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
