/* SPDX-License-Identifier: Apache-2.0 */
/* A device whose notification comes when its ops have been taken already, as a thread's may. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/device.h"
#include "engine/engine.h"
#include "submit.h"

/* --- the device: it ends ops, and writes its descriptor, when it is told to --------------------------------------- */

struct milgi_qp {
    struct milgi_op *op;
    bool ended;
    int fd;
    unsigned arms;
};

static struct milgi_qp only;

static struct milgi_qp *late_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    (void)device;
    (void)clock;
    only = (struct milgi_qp){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
    return only.fd < 0 ? NULL : &only;
}

static void late_close(struct milgi_qp *qp)
{
    close(qp->fd);
}

static unsigned late_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    if (n == 0 || qp->op)
        return 0;
    qp->op = ops[0];
    return 1;
}

static unsigned late_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    uint64_t count;
    ssize_t size = read(qp->fd, &count, sizeof count);
    (void)size;
    if (n == 0 || !qp->ended)
        return 0;
    ops[0] = qp->op;
    ops[0]->status = MILGI_OP_OK;
    qp->op = NULL;
    qp->ended = false;
    return 1;
}

static int late_fd(struct milgi_qp *qp)
{
    return qp->fd;
}

static int late_arm(struct milgi_qp *qp)
{
    qp->arms++;
    return qp->ended;
}

static int late_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)qp;
    (void)limit_ns;
    return 0;
}

static const struct milgi_device_ops late_ops = {
    .name = "late",
    .qp_open = late_open,
    .qp_close = late_close,
    .enqueue = late_enqueue,
    .dequeue = late_dequeue,
    .notify_fd = late_fd,
    .arm = late_arm,
    .quiesce = late_quiesce,
};

static struct milgi_device late = {
    .ops = &late_ops,
    .caps = { .ops = MILGI_OP_BIT(MILGI_OP_KEYGEN), .parallelism = 1, .max_in_flight = 1, .best_batch = 1 },
};

/* --- an owner ----------------------------------------------------------------------------------------------------- */

static unsigned done;

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    (void)owner;
    (void)budget_ns;
    *more = false;
    return 1000;
}

static void owner_done(struct milgi__owner *owner, struct milgi_op *op)
{
    (void)owner;
    (void)op;
    done++;
}

static void owner_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static const struct milgi__owner_ops owner_ops = { owner_turn, owner_done, owner_nothing, owner_nothing, owner_nothing,
    owner_nothing };

static void run(struct milgi_engine *engine)
{
    struct milgi_run_result result;
    do
        assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
    while (result.next == MILGI_RUN_AGAIN);
}

static bool readable(struct milgi_engine *engine)
{
    return poll(&(struct pollfd){ .fd = milgi_engine_fd(engine), .events = POLLIN }, 1, 0) == 1;
}

static void ring(void)
{
    static const uint64_t one = 1;
    assert_int_equal(write(only.fd, &one, sizeof one), (int)sizeof one);
}

/* --- what is seen of it ------------------------------------------------------------------------------------------- */

/* An engine whose ops go to the device; the device's index. */
static unsigned begin(struct milgi_engine **engine, struct milgi__owner *owner)
{
    done = 0;
    assert_int_equal(milgi_engine_new(NULL, engine), 0);
    int index = milgi_engine_add_device(*engine, &late);
    assert_true(index > 0);
    assert_int_equal(milgi_engine_route(*engine, UINT32_MAX, (unsigned)index, 1), 0);
    assert_int_equal(milgi__engine_attach(*engine, owner), 0);
    return (unsigned)index;
}

static void a_notification_that_comes_late_is_taken_back_by_one_run(void **state)
{
    struct milgi__owner owner = { .ops = &owner_ops };
    struct milgi_engine *engine;

    (void)state;
    begin(&engine, &owner);
    for (unsigned round = 1; round <= 3; round++) {
        submit_keygen(engine, &owner, MILGI_GROUP_X25519);
        run(engine);
        assert_int_equal(only.arms, round);
        only.ended = true; /* and the thread is stopped before it writes */
        run(engine);
        assert_int_equal(done, round);
        assert_false(readable(engine));
        ring();
        assert_true(readable(engine));
        run(engine); /* the host's answer */
        assert_false(readable(engine));
    }
    milgi__engine_detach(engine, &owner);
    assert_int_equal(milgi_engine_free(engine), 0);
}

static void a_device_that_was_removed_is_not_looked_at_for_notifications(void **state)
{
    struct milgi__owner owner = { .ops = &owner_ops };
    struct milgi_engine *engine;

    (void)state;
    unsigned index = begin(&engine, &owner);
    submit_keygen(engine, &owner, MILGI_GROUP_X25519);
    run(engine);
    assert_int_equal(only.arms, 1);
    only.ended = true;
    run(engine);
    assert_int_equal(done, 1);
    assert_int_equal(milgi_engine_remove_device(engine, index, 0), 0);
    run(engine);
    run(engine);
    assert_int_equal(only.arms, 1);
    milgi__engine_detach(engine, &owner);
    assert_int_equal(milgi_engine_free(engine), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notification_that_comes_late_is_taken_back_by_one_run),
        cmocka_unit_test(a_device_that_was_removed_is_not_looked_at_for_notifications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
