/* SPDX-License-Identifier: Apache-2.0 */
/* A device whose caps or functions make no sense is refused before anybody works with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <milgi/engine.h>

#include "base/base.h"
#include "device/device.h"
#include "rogue.h"

static struct milgi_engine *engine;
static struct rogue *rogue;
static struct milgi_device_ops ops;

static int begin(void **state)
{
    (void)state;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    rogue = rogue_new("sim");
    assert_non_null(rogue);
    ops = *rogue->device.ops;
    rogue->device.ops = &ops;
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(milgi_engine_free(engine), 0);
    rogue_free(rogue);
    return 0;
}

static void other_free(struct milgi_device *device, void *memory, size_t size)
{
    (void)device;
    (void)memory;
    (void)size;
}

static void expect_refused(void)
{
    assert_non_null(milgi__device_complaint(&rogue->device));
    assert_int_equal(milgi_engine_add_device(engine, &rogue->device), MILGI_EINVAL);
    rogue->device.caps = rogue->inner->caps;
}

static void every_built_in_device_makes_sense(void **state)
{
    (void)state;
    for (const char *const *name = milgi_device_names(); *name; name++) {
        struct milgi_device *device;
        const char *why;
        int rv = milgi_device_new(*name, &device, &why);
        if (rv == MILGI_EUNSUPPORTED) { /* not on this processor, and it says so */
            assert_non_null(why);
            continue;
        }
        assert_int_equal(rv, 0);
        assert_null(milgi__device_complaint(device));
        milgi_device_free(device);
    }
    assert_null(milgi__device_complaint(&rogue->device));
    assert_true(milgi_engine_add_device(engine, &rogue->device) > 0);
}

static void counts_of_zero_are_refused(void **state)
{
    struct milgi_device_caps *caps = &rogue->device.caps;

    (void)state;
    caps->parallelism = 0;
    expect_refused();
    caps->max_in_flight = 0;
    expect_refused();
    caps->best_batch = 0;
    expect_refused();
    caps->ops = 0;
    expect_refused();
    *caps = (struct milgi_device_caps){ 0 };
    expect_refused();
}

static void what_does_not_exist_is_refused(void **state)
{
    (void)state;
    rogue->device.caps.ops |= MILGI_OP_BIT(MILGI_OP_TYPES);
    expect_refused();
    rogue->device.caps.flags |= 2 * MILGI_CAP_VERIFIES;
    expect_refused();
}

static void a_remote_device_that_claims_to_be_this_process_is_refused(void **state)
{
    (void)state;
    rogue->device.caps.flags |= MILGI_CAP_REMOTE | MILGI_CAP_LIBCRYPTO;
    expect_refused();
    rogue->device.caps.flags &= ~MILGI_CAP_LIBCRYPTO;
    rogue->device.caps.flags |= MILGI_CAP_REMOTE | MILGI_CAP_INLINE;
    expect_refused();
}

static void functions_that_its_caps_promise_have_to_be_there(void **state)
{
    struct milgi_device_ops all = ops;

    (void)state;
    ops.key_load = NULL;
    expect_refused();
    ops = all;
    ops.dequeue = NULL;
    expect_refused();
    ops = all;
    ops.name = NULL;
    expect_refused();
    ops = all;
    ops.arm = NULL;
    rogue->device.caps.flags |= MILGI_CAP_REMOTE;
    rogue->device.caps.ops = MILGI_OP_BIT(MILGI_OP_SIGN);
    expect_refused();
    ops = all;
    ops.chunk_alloc = NULL;
    ops.chunk_free = other_free;
    expect_refused();
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(every_built_in_device_makes_sense),
        CASE(counts_of_zero_are_refused),
        CASE(what_does_not_exist_is_refused),
        CASE(a_remote_device_that_claims_to_be_this_process_is_refused),
        CASE(functions_that_its_caps_promise_have_to_be_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
