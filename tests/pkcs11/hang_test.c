/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that hang: in whatever call, they cost nobody but their own keys, everything that waits for them ends, and
 * they are used again when they answer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/port.h"
#include "bench.h"
#include "desk.h"

#define MS UINT64_C(1000000)
#define BOUNDED_NS (10000 * MS) /* what hangs here, hangs for ever */
#define SPEC "pkcs11:4,retry=0,timeout=300ms"

static struct milgi_device *device;
static struct milgi_credential *ill_key, *well_key;
static struct bench *ill, *well;

/* What was told of parts, in order. */
static struct {
    pthread_mutex_t lock;
    unsigned n;
    int code[16];
    char part[16][256];
} told = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_part(void *ctx, struct milgi_device *of, const char *part, int code)
{
    (void)of;
    assert_ptr_equal(ctx, &told);
    pthread_mutex_lock(&told.lock);
    if (told.n < 16) {
        snprintf(told.part[told.n], sizeof told.part[0], "%s", part);
        told.code[told.n++] = code;
    }
    pthread_mutex_unlock(&told.lock);
}

static unsigned told_n(void)
{
    pthread_mutex_lock(&told.lock);
    unsigned n = told.n;
    pthread_mutex_unlock(&told.lock);
    return n;
}

static void expect_told(unsigned i, int code)
{
    for (unsigned naps = 0; told_n() <= i; naps++) {
        assert_true(naps < 100000);
        usleep(100);
    }
    assert_int_equal(told.code[i], code);
    assert_non_null(strstr(told.part[i], "token=" DESK_TOKEN));
    assert_null(strstr(told.part[i], TOKEN_PIN));
}

static int begin(void **state)
{
    desk_calm();
    told.n = 0;
    device = desk_device(*state ? *state : SPEC);
    device->on_part = on_part;
    device->part_ctx = &told;
    ill_key = desk_usual(IDENTITY_P256);
    well_key = desk_credential(desk_stranger, "token=" DESK_OTHER ";object=stranger", "pin-value=" TOKEN_PIN);
    ill = bench_new(device, ill_key);
    well = bench_new(device, well_key);
    return 0;
}

static int end(void **state)
{
    (void)state;
    desk_shim->hang = 0;
    if (ill)
        bench_free(device, ill);
    if (well)
        bench_free(device, well);
    milgi_credential_unref(ill_key);
    milgi_credential_unref(well_key);
    milgi_device_free(device);
    for (unsigned naps = 0; milgi_devices_left() > 0 && naps < 100000; naps++)
        usleep(100);
    assert_int_equal(milgi_devices_left(), 0);
    return 0;
}

static void hang_in(unsigned functions)
{
    snprintf(desk_shim->hang_at, sizeof desk_shim->hang_at, "%s", DESK_TOKEN);
    desk_shim->hang = functions;
}

static void wait_hanging(unsigned n)
{
    while (desk_shim->hanging < n)
        usleep(100);
}

static void expect_signed(struct bench *bench, unsigned n)
{
    int code;
    bench_submit(device, bench, n);
    unsigned good = bench_collect(device, bench, n, &code);
    if (good != n)
        fail_msg("%u of %u, code %d", good, n, code);
}

static int fail_one(struct bench *bench)
{
    int code;
    bench_submit(device, bench, 1);
    assert_int_equal(bench_collect(device, bench, 1, &code), 0);
    return code;
}

static uint64_t now_ns(void)
{
    return milgi__port_monotonic_ns(NULL);
}

/* --- beside it ---------------------------------------------------------------------------------------------------- */

static void a_token_that_hangs_costs_only_its_own_keys(void **state)
{
    (void)state;
    expect_signed(ill, 1);
    expect_signed(well, 1);
    hang_in(SHIM_SIGN);
    bench_submit(device, ill, BENCH_OPS);
    wait_hanging(4); /* all the threads that one token has */
    uint64_t from_ns = now_ns();
    for (int i = 0; i < 10; i++)
        expect_signed(well, BENCH_OPS);
    /* With none of the hung one's given up, as far as this machine is not too slow to say so. */
    if (now_ns() - from_ns < 200 * MS)
        assert_int_equal(told_n(), 0);
    /* Those that hang have timed out; what waited for them is not tried at all. */
    unsigned timeouts = 0, left_alone = 0;
    for (unsigned n = 0; n < BENCH_OPS;) {
        struct milgi_op *op;
        if (device->ops->dequeue(ill->qp, &op, 1) != 1) {
            usleep(100);
            continue;
        }
        n++;
        assert_int_equal(op->status, MILGI_OP_BROKEN);
        timeouts += op->device_code == MILGI_CODE_PKCS11_TIMEOUT;
        left_alone += op->device_code == MILGI_CODE_PKCS11_HANGS;
    }
    assert_int_equal(timeouts, 4);
    assert_int_equal(left_alone, BENCH_OPS - 4);
    expect_told(0, MILGI_CODE_PKCS11_TIMEOUT);
    /* From now on they come back at once, until it is time to try again. */
    if (now_ns() - from_ns < 500 * MS)
        assert_int_equal(fail_one(ill), MILGI_CODE_PKCS11_HANGS);
    expect_signed(well, BENCH_OPS);
    assert_int_equal(told_n(), 1);
}

static void whatever_call_it_hangs_in_the_one_beside_it_is_found_and_signs(void **state)
{
    static const unsigned calls[] = { SHIM_SIGN, SHIM_SIGN_INIT, SHIM_LOGIN, SHIM_OPEN_SESSION, SHIM_FIND,
        SHIM_TOKEN_INFO };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        /* So that neither was found: but for who is in which slot, when it is that which cannot be asked. */
        assert_int_equal(end(state), 0);
        assert_int_equal(begin(state), 0);
        if (calls[i] == SHIM_TOKEN_INFO)
            expect_signed(ill, 1);
        struct bench *other = calls[i] == SHIM_TOKEN_INFO ? bench_new(device, ill_key) : ill;
        hang_in(calls[i]);
        bench_submit(device, other, 1);
        wait_hanging(1);
        usleep(150000);
        expect_signed(well, BENCH_OPS);
        int code;
        assert_int_equal(bench_collect(device, other, 1, &code), 0);
        assert_int_equal(code, MILGI_CODE_PKCS11_TIMEOUT);
        expect_signed(well, 1);
        if (other != ill)
            bench_free(device, other);
    }
}

static void the_module_is_not_started_anew_while_somebody_hangs_in_it(void **state)
{
    int code;

    (void)state;
    expect_signed(ill, 1);
    expect_signed(well, 1);
    hang_in(SHIM_SIGN);
    bench_submit(device, ill, 1);
    wait_hanging(1);
    assert_int_equal(bench_collect(device, ill, 1, &code), 0);
    usleep(2100000);
    unsigned lives = desk_shim->lives;
    desk_shim->absent = true;
    uint64_t from_ns = now_ns();
    bench_submit(device, well, 8);
    assert_int_equal(bench_collect(device, well, 8, &code), 0);
    assert_int_equal(code, MILGI_CODE_PKCS11_NO_TOKEN);
    assert_true(now_ns() - from_ns < BOUNDED_NS);
    desk_shim->absent = false;
    expect_signed(well, BENCH_OPS);
    assert_int_equal(desk_shim->lives, lives);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void quiesce_ends_and_the_late_result_is_written_nowhere(void **state)
{
    (void)state;
    expect_signed(ill, 1);
    hang_in(SHIM_SIGN);
    bench_submit(device, ill, BENCH_OPS);
    wait_hanging(4);
    uint64_t from_ns = now_ns();
    assert_int_equal(device->ops->quiesce(ill->qp, 20 * MS), 0);
    assert_true(now_ns() - from_ns < BOUNDED_NS);
    struct milgi_op *op;
    unsigned cancelled = 0, n = 0;
    for (; device->ops->dequeue(ill->qp, &op, 1) == 1; n++) /* all of them are there */
        cancelled += op->status == MILGI_OP_CANCELLED;
    assert_int_equal(n, BENCH_OPS);
    assert_int_equal(cancelled, BENCH_OPS); /* what hangs, too: nothing of it will be seen */
    bench_free(device, ill);                /* ops, key and queue pair go, as an engine's would */
    ill = NULL;
    desk_shim->hang = 0;
    while (desk_shim->hanging > 0)
        usleep(100);
    expect_signed(well, 1);
}

static void a_device_is_freed_while_its_token_hangs(void **state)
{
    static const unsigned calls[] = { SHIM_SIGN, SHIM_LOGIN, SHIM_TOKEN_INFO, SHIM_FINALIZE };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(end(state), 0);
        assert_int_equal(begin(state), 0);
        if (calls[i] == SHIM_FINALIZE)
            expect_signed(ill, 1);
        hang_in(calls[i]);
        desk_shim->hang_at[0] = '\0';
        if (calls[i] != SHIM_FINALIZE) {
            bench_submit(device, ill, 1);
            wait_hanging(1);
            (void)device->ops->quiesce(ill->qp, 0);
        }
        bench_free(device, ill);
        bench_free(device, well);
        ill = well = NULL;
        uint64_t from_ns = now_ns();
        milgi_device_free(device);
        assert_true(now_ns() - from_ns < BOUNDED_NS);
        assert_int_equal(milgi_devices_left(), 1);
        device = NULL;
        /* When the call returns after all, what was left goes. */
        desk_shim->hang = 0;
        while (milgi_devices_left() > 0)
            usleep(100);
    }
}

static void an_engine_is_freed_while_its_token_hangs(void **state)
{
    struct milgi_engine *engine;
    int code;

    (void)state;
    /* The engine has a queue pair of its own; that its ops come back is what the ones above show. */
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    assert_true(milgi_engine_add_device(engine, device) > 0);
    hang_in(SHIM_SIGN);
    bench_submit(device, ill, 4);
    wait_hanging(1);
    uint64_t from_ns = now_ns();
    assert_int_equal(milgi_engine_free(engine), 0);
    assert_true(now_ns() - from_ns < BOUNDED_NS);
    assert_int_equal(bench_collect(device, ill, 4, &code), 0);
}

static void trying_a_key_ends_too(void **state)
{
    (void)state;
    hang_in(SHIM_LOGIN);
    assert_int_equal(desk_try(device, ill_key), MILGI_CODE_PKCS11_TIMEOUT);
    assert_int_equal(desk_try(device, well_key), 0);
}

/* --- recovery ----------------------------------------------------------------------------------------------------- */

static void when_the_call_returns_the_token_is_used_again_at_once(void **state)
{
    int code;

    (void)state;
    expect_signed(ill, 1);
    hang_in(SHIM_SIGN);
    bench_submit(device, ill, 4);
    wait_hanging(4);
    assert_int_equal(bench_collect(device, ill, 4, &code), 0);
    assert_int_equal(code, MILGI_CODE_PKCS11_TIMEOUT);
    assert_int_equal(fail_one(ill), MILGI_CODE_PKCS11_HANGS);
    desk_shim->hang = 0;
    expect_told(0, MILGI_CODE_PKCS11_TIMEOUT);
    expect_told(1, 0);
    expect_signed(ill, BENCH_OPS);
    /* Threads: four that hang, and, as soon as the first of them is back, four that take the places of the others. */
    assert_true(desk_shim->sessions_most <= 8);
}

static void a_token_that_answers_others_is_tried_again_beside_the_call_that_does_not_return(void **state)
{
    int code;

    (void)state;
    expect_signed(ill, 1);
    hang_in(SHIM_SIGN);
    bench_submit(device, ill, 1);
    wait_hanging(1);
    assert_int_equal(bench_collect(device, ill, 1, &code), 0);
    desk_shim->hang_at[0] = '?'; /* that call goes on hanging, others do not */
    while (fail_one(ill) == MILGI_CODE_PKCS11_HANGS && told_n() < 2) {
        usleep(1000);
        bench_submit(device, ill, 1);
        if (bench_collect(device, ill, 1, &code) == 1)
            break;
    }
    expect_told(1, 0);
    assert_int_equal(desk_shim->hanging, 1);
    expect_signed(ill, BENCH_OPS);
}

static void a_token_that_goes_on_hanging_is_tried_by_few_and_holds_few_threads(void **state)
{
    (void)state;
    expect_signed(ill, 1);
    hang_in(SHIM_SIGN);
    unsigned tried = 0;
    for (uint64_t until_ns = now_ns() + 1500 * MS; now_ns() < until_ns;) {
        tried += fail_one(ill) == MILGI_CODE_PKCS11_TIMEOUT;
        usleep(1000);
    }
    assert_in_range(tried, 2, 4); /* after 0, 300 + 300, 300 + 600 ms ... */
    assert_int_equal(desk_shim->hanging, tried);
    assert_int_equal(told_n(), 1);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)
#define CASE_WITH(function, spec) cmocka_unit_test_prestate_setup_teardown(function, begin, end, spec)

int main(void)
{
    static char alone[] = "pkcs11:1,retry=0,timeout=200ms";
    static const struct CMUnitTest tests[] = {
        CASE(a_token_that_hangs_costs_only_its_own_keys),
        CASE(whatever_call_it_hangs_in_the_one_beside_it_is_found_and_signs),
        CASE(the_module_is_not_started_anew_while_somebody_hangs_in_it),
        CASE(quiesce_ends_and_the_late_result_is_written_nowhere),
        CASE(a_device_is_freed_while_its_token_hangs),
        CASE(an_engine_is_freed_while_its_token_hangs),
        CASE(trying_a_key_ends_too),
        CASE(when_the_call_returns_the_token_is_used_again_at_once),
        CASE_WITH(a_token_that_answers_others_is_tried_again_beside_the_call_that_does_not_return, alone),
        CASE(a_token_that_goes_on_hanging_is_tried_by_few_and_holds_few_threads),
    };

    if (!desk_set_up())
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    desk_tear_down();
    return failed;
}
