/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine keeps of a busier time once it has nothing to do: next to nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "engine/engine.h"
#include "heap.h"
#include "submit.h"

#define OPS 2000u

static uint64_t now_ns;
static unsigned done;

static uint64_t clock_ns(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static int64_t clock_s(void *ctx)
{
    (void)ctx;
    return 1700000000;
}

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
    done += op->status == MILGI_OP_OK;
}

static void owner_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static const struct milgi__owner_ops owner_ops = { owner_turn, owner_done, owner_nothing, owner_nothing, owner_nothing,
    owner_nothing };

static void run_until_idle(struct milgi_engine *engine)
{
    struct milgi_run_result result;
    do {
        assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
        if (result.next == MILGI_RUN_WAIT && result.deadline_ns > now_ns)
            now_ns = result.deadline_ns;
    } while (result.next != MILGI_RUN_IDLE);
}

static void the_memory_of_many_ops_goes_when_there_are_none(void **state)
{
    struct milgi__owner owner = { .ops = &owner_ops };
    struct milgi_engine_options options;
    struct milgi_engine *engine;
    struct milgi_device *device;

    (void)state;
    now_ns = 1000000000;
    milgi_engine_options_init(&options);
    options.clock = (struct milgi_clock){ clock_ns, clock_s, NULL };
    assert_int_equal(milgi_engine_new(&options, &engine), 0);
    assert_int_equal(milgi_device_new("sim:latency=1ms,units=64,depth=256", &device, NULL), 0);
    int index = milgi_engine_add_device(engine, device);
    assert_true(index > 0);
    assert_int_equal(milgi_engine_route(engine, UINT32_MAX, (unsigned)index, 1), 0);
    assert_int_equal(milgi__engine_attach(engine, &owner), 0);
    submit_keygen(engine, &owner, MILGI_GROUP_X25519);
    run_until_idle(engine);
    size_t begin = heap_used();
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < OPS; i++)
            submit_keygen(engine, &owner, MILGI_GROUP_X25519);
        assert_true(heap_used() > begin + OPS * sizeof(struct milgi_op));
        run_until_idle(engine);
        assert_int_equal(done, 1 + round * OPS);
        assert_true(heap_used() < begin + OPS * sizeof(struct milgi_op) / 20);
    }
    milgi__engine_detach(engine, &owner);
    assert_int_equal(milgi_engine_free(engine), 0);
    milgi_device_free(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_memory_of_many_ops_goes_when_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
