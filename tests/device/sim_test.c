/* SPDX-License-Identifier: Apache-2.0 */
/* The modelled accelerator, on time that passes only when it is told to. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/port.h"
#include "device/sim/manual.h"
#include "alone.h"

#define US UINT64_C(1000)

static void put(struct job *job)
{
    assert_int_equal(alone_put(job), 1);
}

/* |job|, and nothing before it, comes back at |at_ns| from the start, and not a nanosecond earlier. */
static void expect_at(struct job *job, uint64_t start_ns, uint64_t at_ns)
{
    assert_true(rig.ops->next_event(rig.qp) == start_ns + at_ns);
    if (rig.virtual_ns < start_ns + at_ns) {
        rig.virtual_ns = start_ns + at_ns - 1;
        assert_null(alone_get());
        rig.virtual_ns++;
    }
    assert_ptr_equal(alone_get(), job);
    assert_fine(job_check(job));
}

static void free_all(struct job **jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        job_free(jobs[i]);
}

static void an_op_takes_exactly_its_latency(void **state)
{
    struct job *job;

    (void)state;
    alone_begin("sim:latency=20ms", true);
    assert_true(rig.ops->next_event(rig.qp) == UINT64_MAX);
    job = job_small(&rig);
    put(job);
    expect_at(job, rig.virtual_ns, 20000 * US);
    assert_true(rig.ops->next_event(rig.qp) == UINT64_MAX);
    job_free(job);
    alone_end();
}

static void each_unit_runs_one_op_at_a_time(void **state)
{
    static const uint64_t at[5] = { 10, 10, 20, 20, 30 };
    struct job *jobs[5];

    (void)state;
    alone_begin("sim:latency=10us,units=2", true);
    uint64_t start = rig.virtual_ns;
    for (int i = 0; i < 5; i++)
        put(jobs[i] = job_small(&rig));
    for (int i = 0; i < 5; i++)
        expect_at(jobs[i], start, at[i] * US);
    free_all(jobs, 5);
    alone_end();
}

static void a_late_poll_changes_no_times(void **state)
{
    struct job *jobs[4];

    (void)state;
    alone_begin("sim:latency=10us,units=1", true);
    uint64_t start = rig.virtual_ns;
    for (int i = 0; i < 4; i++)
        put(jobs[i] = job_small(&rig));
    rig.virtual_ns = start + 35 * US; /* three are done, the fourth began at 30 us */
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(alone_get(), jobs[i]);
    assert_null(alone_get());
    expect_at(jobs[3], start, 40 * US);
    free_all(jobs, 4);
    alone_end();
}

static void it_is_full_at_its_depth_until_ops_are_taken_back(void **state)
{
    struct job *jobs[4];
    struct milgi_op *ops[4];

    (void)state;
    alone_begin("sim:latency=10us,units=8,depth=3", true);
    for (int i = 0; i < 4; i++) {
        jobs[i] = job_small(&rig);
        ops[i] = &jobs[i]->op;
    }
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, 4), 3);
    assert_fine(job_untouched(jobs[3]));
    rig.virtual_ns += 10 * US;
    assert_int_equal(rig.ops->enqueue(rig.qp, ops + 3, 1), 0);
    assert_ptr_equal(alone_get(), jobs[0]);
    assert_int_equal(rig.ops->enqueue(rig.qp, ops + 3, 1), 1);
    assert_ptr_equal(alone_get(), jobs[1]);
    assert_ptr_equal(alone_get(), jobs[2]);
    assert_null(alone_get());
    rig.virtual_ns += 10 * US;
    assert_ptr_equal(alone_get(), jobs[3]);
    free_all(jobs, 4);
    alone_end();
}

static void slow_then_quick(struct job *jobs[2])
{
    put(jobs[0] = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256));
    put(jobs[1] = job_small(&rig));
}

static void out_of_order_ops_come_as_they_finish(void **state)
{
    struct job *jobs[2];

    (void)state;
    alone_begin("sim:latency=10us,latency.sign=50us,units=2,order=out", true);
    uint64_t start = rig.virtual_ns;
    slow_then_quick(jobs);
    expect_at(jobs[1], start, 10 * US);
    expect_at(jobs[0], start, 50 * US);
    free_all(jobs, 2);
    alone_end();
}

static void in_order_ops_come_as_they_went(void **state)
{
    struct job *jobs[2];

    (void)state;
    alone_begin("sim:latency=10us,latency.sign=50us,units=2,order=in", true);
    uint64_t start = rig.virtual_ns;
    slow_then_quick(jobs);
    expect_at(jobs[0], start, 50 * US);
    expect_at(jobs[1], start, 50 * US);
    free_all(jobs, 2);
    alone_end();
}

static void every_type_has_its_latency(void **state)
{
    struct job *jobs[7];

    (void)state;
    static const char spec[] =
        "sim:units=7,latency.seal=1us,latency.open=2us,latency.keygen=3us,latency.derive=4us,latency=9us";
    alone_begin(spec, true);
    uint64_t start = rig.virtual_ns;
    put(jobs[0] = job_small(&rig));
    put(jobs[1] = job_open(&rig, &(struct job_aead){ .len = 9 }));
    put(jobs[2] = job_keygen(&rig, MILGI_GROUP_X25519));
    put(jobs[3] = job_derive(&rig, MILGI_GROUP_X25519, SHARE_GOOD));
    put(jobs[4] = job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, false));
    for (unsigned i = 0; i < 4; i++)
        expect_at(jobs[i], start, (i + 1) * US);
    expect_at(jobs[4], start, 9 * US);
    free_all(jobs, 5);
    alone_end();
    alone_begin("sim:units=7,latency.sign=5us,latency.verify=6us,latency.verify_chain=7us", true);
    start = rig.virtual_ns;
    put(jobs[4] = job_sign(&rig, RIG_ED25519, MILGI_SIG_ED25519));
    put(jobs[5] = job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, true));
    put(jobs[6] = job_chain(&rig, "server.test"));
    for (unsigned i = 4; i < 7; i++)
        expect_at(jobs[i], start, (i + 1) * US);
    free_all(jobs + 4, 3);
    alone_end();
}

/* When 20 ops that were put in at once come back. */
static void times_of(const char *spec, uint64_t times[20])
{
    struct job *jobs[20];

    alone_begin(spec, true);
    uint64_t start = rig.virtual_ns;
    for (int i = 0; i < 20; i++)
        put(jobs[i] = job_small(&rig));
    for (int i = 0; i < 20; i++) {
        rig.virtual_ns = rig.ops->next_event(rig.qp);
        assert_non_null(alone_get());
        times[i] = rig.virtual_ns - start;
    }
    free_all(jobs, 20);
    alone_end();
}

static void jitter_is_bounded_and_repeats_with_the_seed(void **state)
{
    uint64_t first[20], again[20], other[20];
    bool differ = false;

    (void)state;
    times_of("sim:latency=10us,jitter=5us,units=20,seed=1", first);
    times_of("sim:latency=10us,jitter=5us,units=20,seed=1", again);
    times_of("sim:latency=10us,jitter=5us,units=20,seed=2", other);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
    for (int i = 0; i < 20; i++) {
        assert_in_range(first[i], 10 * US, 15 * US);
        differ = differ || first[i] != first[0];
    }
    assert_true(differ);
}

static void ops_wait_for_their_key_and_others_pass(void **state)
{
    struct job *jobs[2];

    (void)state;
    alone_begin("sim:latency=10us,load=100us,units=2", true);
    uint64_t start = rig.virtual_ns; /* the keys' load begins here */
    slow_then_quick(jobs);
    expect_at(jobs[1], start, 10 * US);
    assert_true(rig.ops->next_event(rig.qp) <= start + 110 * US);
    rig.virtual_ns = start + 110 * US - 1;
    assert_null(alone_get());
    expect_at(jobs[0], start, 110 * US);
    free_all(jobs, 2);
    slow_then_quick(jobs); /* loaded once */
    start = rig.virtual_ns;
    expect_at(jobs[0], start, 10 * US);
    expect_at(jobs[1], start, 10 * US);
    free_all(jobs, 2);
    alone_end();
}

static void what_has_not_begun_can_be_cancelled(void **state)
{
    struct job *jobs[3];

    (void)state;
    alone_begin("sim:latency=10us,units=1", true);
    uint64_t start = rig.virtual_ns;
    for (int i = 0; i < 3; i++)
        put(jobs[i] = job_small(&rig));
    rig.ops->cancel(rig.qp, &jobs[0]->op);
    rig.ops->cancel(rig.qp, &jobs[1]->op);
    jobs[1]->want = MILGI_OP_CANCELLED;
    assert_ptr_equal(alone_get(), jobs[1]);
    assert_fine(job_check(jobs[1]));
    expect_at(jobs[0], start, 10 * US);
    expect_at(jobs[2], start, 20 * US);
    free_all(jobs, 3);
    alone_end();
}

static void quiesce_ends_what_runs_and_cancels_what_waits(void **state)
{
    struct job *jobs[3];

    (void)state;
    alone_begin("sim:latency=10us,units=1,order=in", true);
    for (int i = 0; i < 3; i++)
        put(jobs[i] = job_small(&rig));
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    for (int i = 0; i < 3; i++) {
        jobs[i]->want = i == 0 ? MILGI_OP_OK : MILGI_OP_CANCELLED;
        assert_ptr_equal(alone_get(), jobs[i]);
        assert_fine(job_check(jobs[i]));
    }
    free_all(jobs, 3);
    alone_end();
}

static void canned_signatures_are_made_once_per_key_and_scheme(void **state)
{
    struct job *jobs[4];

    (void)state;
    alone_begin("sim:latency=0,canned,units=1,order=in", true);
    put(jobs[0] = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256));
    put(jobs[1] = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256));
    put(jobs[2] = job_sign(&rig, RIG_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256));
    put(jobs[3] = job_sign(&rig, RIG_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA384));
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(alone_get(), jobs[i]);
    assert_fine(job_check(jobs[0]));
    assert_int_equal(jobs[1]->op.status, MILGI_OP_OK);
    assert_int_equal(jobs[1]->op.u.sign.sig_len, jobs[0]->op.u.sign.sig_len);
    assert_memory_equal(jobs[1]->op.u.sign.sig, jobs[0]->op.u.sign.sig, jobs[0]->op.u.sign.sig_len);
    assert_fine(job_check(jobs[2]));
    assert_fine(job_check(jobs[3]));
    free_all(jobs, 4);
    alone_end();
}

/* --- by hand ---------------------------------------------------------------------------------------------------- */

static void manual_nothing_ends_by_itself(void **state)
{
    struct job *jobs[3];
    struct milgi_op *ops[5];

    (void)state;
    alone_begin("sim:manual,depth=3", true);
    for (int i = 0; i < 3; i++)
        put(jobs[i] = job_small(&rig));
    rig.virtual_ns += 3600 * (1000000 * US);
    assert_null(alone_get());
    assert_true(rig.ops->next_event(rig.qp) == UINT64_MAX);
    assert_int_equal(milgi__sim_pending(device, ops, 5), 3);
    assert_int_equal(milgi__sim_pending(device, ops, 2), 2);
    for (int i = 0; i < 2; i++)
        assert_ptr_equal(ops[i], &jobs[i]->op);
    milgi__sim_finish(device, 2, MILGI_OP_OK);
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    assert_int_equal(milgi__sim_pending(device, ops, 5), 1);
    assert_ptr_equal(alone_get(), jobs[2]);
    assert_ptr_equal(alone_get(), jobs[0]);
    milgi__sim_finish(device, 7, MILGI_OP_OK); /* there is no such op */
    assert_null(alone_get());
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    assert_ptr_equal(alone_get(), jobs[1]);
    for (int i = 0; i < 3; i++)
        assert_fine(job_check(jobs[i]));
    free_all(jobs, 3);
    alone_end();
}

static void manual_ops_end_as_they_are_told(void **state)
{
    static const enum milgi_op_status ends[] = { MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_CANCELLED };
    struct job *job;

    (void)state;
    alone_begin("sim:manual", true);
    for (unsigned i = 0; i < MILGI__COUNT(ends); i++) {
        put(job = job_small(&rig));
        milgi__sim_finish(device, 0, ends[i]);
        assert_ptr_equal(alone_get(), job);
        assert_int_equal(job->op.status, ends[i]);
        assert_memory_equal(job->src, job->src_before, job->size); /* not performed */
        job_free(job);
    }
    /* Performed, and so found to be forged. */
    put(job = job_open(&rig, &(struct job_aead){ .len = 50, .forged = true }));
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    assert_ptr_equal(alone_get(), job);
    assert_fine(job_check(job));
    job_free(job);
    alone_end();
}

static void manual_a_rejected_open_is_wiped_like_any_other(void **state)
{
    struct job *job;

    (void)state;
    alone_begin("sim:manual", true);
    for (unsigned pieces = 1; pieces <= MILGI_OP_SLICES; pieces++) {
        put(job = job_open(&rig, &(struct job_aead){ .len = 50, .pieces = pieces }));
        job->want = MILGI_OP_REJECTED;
        memset(job->result, 0, job->result_len);
        milgi__sim_finish(device, 0, MILGI_OP_REJECTED);
        assert_ptr_equal(alone_get(), job);
        assert_fine(job_check(job));
        job_free(job);
    }
    put(job = job_chain(&rig, "server.test"));
    job->want = MILGI_OP_REJECTED;
    milgi__sim_finish(device, 0, MILGI_OP_REJECTED);
    assert_ptr_equal(alone_get(), job);
    assert_fine(job_check(job));
    assert_int_not_equal(job->op.u.chain.verdict, 0);
    job_free(job);
    alone_end();
}

static void manual_a_lost_op_comes_late_or_at_quiesce(void **state)
{
    struct job *jobs[2];
    struct milgi_op *ops[2];

    (void)state;
    alone_begin("sim:manual", true);
    for (int i = 0; i < 2; i++) {
        put(jobs[i] = job_small(&rig));
        milgi__sim_finish(device, (unsigned)i, MILGI_OP_LOST);
    }
    assert_null(alone_get());
    assert_int_equal(milgi__sim_pending(device, ops, 2), 2);
    milgi__sim_finish(device, 1, MILGI_OP_OK);
    assert_ptr_equal(alone_get(), jobs[1]);
    assert_fine(job_check(jobs[1]));
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    assert_ptr_equal(alone_get(), jobs[0]);
    jobs[0]->want = MILGI_OP_CANCELLED;
    assert_fine(job_check(jobs[0]));
    free_all(jobs, 2);
    alone_end();
}

static void manual_it_can_be_full(void **state)
{
    struct job *job;
    struct milgi_op *op;

    (void)state;
    alone_begin("sim:manual", true);
    job = job_small(&rig);
    op = &job->op;
    milgi__sim_refuse(device, true);
    assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 0);
    assert_fine(job_untouched(job));
    milgi__sim_refuse(device, false);
    assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 1);
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    assert_ptr_equal(alone_get(), job);
    assert_fine(job_check(job));
    job_free(job);
    alone_end();
}

/* --- memory of its own ------------------------------------------------------------------------------------------ */

static struct job *run_to_its_end(struct job *job)
{
    put(job);
    rig.virtual_ns += 1000 * US;
    assert_ptr_equal(alone_get(), job);
    return job;
}

/* |p| of a job's op leads elsewhere: to the same bytes in ordinary memory. */
static void expect_out_of_reach(struct job *job, uint8_t **p, size_t len)
{
    uint8_t *inside = *p, *outside = malloc(len + 1);
    assert_non_null(outside);
    memcpy(outside, inside, len);
    *p = outside;
    run_to_its_end(job);
    assert_int_equal(job->op.status, MILGI_OP_BROKEN);
    assert_int_equal(job->op.device_code, 16);
    assert_memory_equal(outside, inside, len);
    free(outside);
    job_free(job);
}

static void what_its_memory_does_not_hold_it_does_not_touch(void **state)
{
    const struct job_aead record = { .suite = RIG_AES_128_GCM, .len = 1000, .inner = 23, .pieces = 2 };
    struct job *job;

    (void)state;
    alone_begin("sim:latency=1us,memory=own:2m", true);
    assert_fine(job_check(run_to_its_end(job = job_seal(&rig, &record))));
    assert_true(milgi__sim_reaches(device, job->src, job->size));
    assert_false(milgi__sim_reaches(device, &rig, 1));
    assert_false(milgi__sim_reaches(device, job->src, MILGI_MEMORY_SLAB + 1));
    job_free(job);
    for (unsigned piece = 0; piece < 2; piece++) {
        job = job_seal(&rig, &record);
        expect_out_of_reach(job, &job->op.u.aead.src[piece].data, job->op.u.aead.src[piece].len);
        job = job_open(&rig, &record);
        expect_out_of_reach(job, &job->op.u.aead.src[piece].data, job->op.u.aead.src[piece].len);
    }
    job = job_seal(&rig, &record);
    expect_out_of_reach(job, &job->op.u.aead.dst, job->op.u.aead.dst_len);
    job = job_open(&rig, &record);
    expect_out_of_reach(job, &job->op.u.aead.dst, job->op.u.aead.dst_len);
    job = job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, false);
    expect_out_of_reach(job, &job->op.u.sign.blob.data, job->op.u.sign.blob.len);
    job = job_chain(&rig, "server.test");
    expect_out_of_reach(job, &job->op.u.chain.chain.data, job->op.u.chain.chain.len);
    alone_end();
}

static void its_memory_ends_and_comes_back(void **state)
{
    void *slab[3];

    (void)state;
    assert_int_equal(milgi_device_new("sim:memory=own:4m", &device, NULL), 0);
    for (int i = 0; i < 2; i++) {
        slab[i] = device->ops->chunk_alloc(device, MILGI_MEMORY_SLAB);
        assert_non_null(slab[i]);
        assert_int_equal((uintptr_t)slab[i] % MILGI_MEMORY_SLAB, 0); /* a huge page, if there are some */
        memset(slab[i], 0x5e, MILGI_MEMORY_SLAB);
    }
    assert_ptr_not_equal(slab[0], slab[1]);
    assert_null(device->ops->chunk_alloc(device, MILGI_MEMORY_SLAB));
    device->ops->chunk_free(device, slab[0], MILGI_MEMORY_SLAB);
    slab[2] = device->ops->chunk_alloc(device, MILGI_MEMORY_SLAB);
    assert_ptr_equal(slab[2], slab[0]);
    assert_int_equal(((uint8_t *)slab[1])[MILGI_MEMORY_SLAB - 1], 0x5e);
    device->ops->chunk_free(device, slab[1], MILGI_MEMORY_SLAB);
    device->ops->chunk_free(device, slab[2], MILGI_MEMORY_SLAB);
    milgi_device_free(device);
}

/* More threads than slabs: each slab that one of them has is its own. */
static void *take_and_give(void *arg)
{
    intptr_t wrong = 0;

    for (unsigned i = 0; i < 3000; i++) {
        uint64_t *slab = device->ops->chunk_alloc(device, MILGI_MEMORY_SLAB), mine = (uintptr_t)arg + i;
        if (!slab)
            continue;
        __atomic_store_n(slab, mine, __ATOMIC_RELAXED);
        sched_yield();
        wrong += __atomic_load_n(slab, __ATOMIC_RELAXED) != mine;
        device->ops->chunk_free(device, slab, MILGI_MEMORY_SLAB);
    }
    return (void *)wrong;
}

static void its_memory_is_for_engines_in_several_threads(void **state)
{
    pthread_t thread[6];
    void *wrong;

    (void)state;
    assert_int_equal(milgi_device_new("sim:memory=own:6m", &device, NULL), 0);
    for (size_t i = 0; i < MILGI__COUNT(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, (void *)((i + 1) << 32)), 0);
    for (size_t i = 0; i < MILGI__COUNT(thread); i++) {
        pthread_join(thread[i], &wrong);
        assert_null(wrong);
    }
    milgi_device_free(device); /* all is back, which it asserts */
}

/* --- real time -------------------------------------------------------------------------------------------------- */

static void in_real_time_the_descriptor_tells_to_the_microsecond(void **state)
{
    uint64_t quickest = UINT64_MAX;

    (void)state;
    assert_int_equal(milgi_device_new("sim:latency=300us", &device, NULL), 0);
    assert_fine(rig_open(&rig, device, false, 5));
    struct pollfd fd = { .fd = rig.ops->notify_fd(rig.qp), .events = POLLIN };
    for (int i = 0; i < 10; i++) {
        struct job *job = job_small(&rig);
        uint64_t start = rig_now(&rig);
        put(job);
        assert_int_equal(rig.ops->arm(rig.qp), 0);
        assert_int_equal(poll(&fd, 1, 10000), 1);
        uint64_t took = rig_now(&rig) - start;
        assert_true(took >= 300 * US);
        quickest = MILGI__MIN(quickest, took);
        assert_ptr_equal(alone_get(), job);
        assert_int_equal(poll(&fd, 1, 0), 0); /* taken back */
        job_free(job);
    }
    assert_true(quickest < 1000 * US); /* a host that only had millisecond timers could not */
    alone_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_op_takes_exactly_its_latency),
        cmocka_unit_test(each_unit_runs_one_op_at_a_time),
        cmocka_unit_test(a_late_poll_changes_no_times),
        cmocka_unit_test(it_is_full_at_its_depth_until_ops_are_taken_back),
        cmocka_unit_test(out_of_order_ops_come_as_they_finish),
        cmocka_unit_test(in_order_ops_come_as_they_went),
        cmocka_unit_test(every_type_has_its_latency),
        cmocka_unit_test(jitter_is_bounded_and_repeats_with_the_seed),
        cmocka_unit_test(ops_wait_for_their_key_and_others_pass),
        cmocka_unit_test(what_has_not_begun_can_be_cancelled),
        cmocka_unit_test(quiesce_ends_what_runs_and_cancels_what_waits),
        cmocka_unit_test(canned_signatures_are_made_once_per_key_and_scheme),
        cmocka_unit_test(manual_nothing_ends_by_itself),
        cmocka_unit_test(manual_ops_end_as_they_are_told),
        cmocka_unit_test(manual_a_rejected_open_is_wiped_like_any_other),
        cmocka_unit_test(manual_a_lost_op_comes_late_or_at_quiesce),
        cmocka_unit_test(manual_it_can_be_full),
        cmocka_unit_test(what_its_memory_does_not_hold_it_does_not_touch),
        cmocka_unit_test(its_memory_ends_and_comes_back),
        cmocka_unit_test(its_memory_is_for_engines_in_several_threads),
        cmocka_unit_test(in_real_time_the_descriptor_tells_to_the_microsecond),
    };

    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
