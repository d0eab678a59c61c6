/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device afalg on a kernel of the test's: what it says when something is missing, and what becomes of ops and keys
 * when sockets fail, run out or hang. tests/vm runs it on real ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <milgi/device_afalg.h>

#include "configs.h"
#include "device/afalg/kernel.h"
#include "device/device.h"
#include "fake_kernel.h"
#include "pair.h"
#include "alone.h"

#define SECOND 1000000000u

static void begin_with(const char *spec, unsigned most)
{
    fake_kernel_begin();
    fake_kernel.most = most;
    alone_begin(spec, false);
}

static void begin(const char *spec)
{
    begin_with(spec, 0);
}

static void end(void)
{
    alone_end();
    assert_int_equal(fake_kernel.keys + fake_kernel.operations + fake_kernel.held, 0);
    assert_fine(fake_kernel.complaint);
    fake_kernel_done();
}

static struct job *small(enum rig_suite suite)
{
    return job_seal(&rig, &(struct job_aead){ suite, .len = 100, .inner = 23, .pad = 7 });
}

static bool offer(struct job *job)
{
    return alone_put(job) == 1;
}

/* Takes one op back, which is |job|'s and BROKEN with that code. */
static void expect_broken(struct job *job, int code)
{
    struct milgi_op *op;

    assert_int_equal(rig.ops->dequeue(rig.qp, &op, 1), 1);
    assert_ptr_equal(op, &job->op);
    assert_int_equal(op->status, MILGI_OP_BROKEN);
    assert_int_equal(op->device_code, code);
    job_free(job);
}

/* --- what is missing ---------------------------------------------------------------------------------------------- */

static void expect_refused(const char *spec, const char *words)
{
    const char *why = NULL;

    assert_int_equal(milgi_device_new(spec, &device, &why), MILGI_EUNSUPPORTED);
    assert_null(device);
    if (!strstr(why, words))
        fail_msg("%s: '%s' does not say '%s'", spec, why, words);
    assert_int_equal(fake_kernel.keys + fake_kernel.operations + fake_kernel.held, 0);
    assert_fine(fake_kernel.complaint);
}

static void what_the_kernel_has_not_is_said(void **state)
{
    (void)state;
    fake_kernel_begin();
    fake_kernel.bind_error = -EAFNOSUPPORT;
    expect_refused("afalg", "this kernel has no AF_ALG");
    fake_kernel.bind_error = -EPERM;
    expect_refused("afalg", "may not use AF_ALG");
    fake_kernel.bind_error = -ENOENT;
    expect_refused("afalg", "none of the AEADs of TLS");
    fake_kernel.bind_error = -EMFILE;
    expect_refused("afalg", "no descriptor");
    fake_kernel.bind_error = 0;
    expect_refused("afalg:driver=nothing(at,all)", "by this driver");
    fake_kernel.garbles = true;
    expect_refused("afalg", "none of the AEADs of TLS");
    expect_refused("afalg:driver=card(gcm,aes)", "by this driver");
    fake_kernel.garbles = false;
    fake_kernel.ring_error[0] = -EPERM;
    expect_refused("afalg:by=io_uring", "refused here");
    expect_refused("afalg:workers=2", "io_uring's");
    fake_kernel.ring_error[1] = -EAGAIN;
    expect_refused("afalg", "both io_uring and Linux AIO");
    fake_kernel_done();
}

static void what_it_can_do_here_is_noted(void **state)
{
    static const struct {
        const char *spec, *words;
        bool late;
    } cases[] = {
        { "afalg", "by io_uring, on the loop's thread", false },
        { "afalg:by=aio", "by Linux AIO, on the loop's thread", false },
        { "afalg:workers=3", "on the kernel's workers", false },
        { "afalg:driver=card(gcm,aes)", "card(gcm,aes), no ChaCha20-Poly1305", false },
    };

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        begin(cases[i].spec);
        if (!strstr(device->note, cases[i].words))
            fail_msg("%s: '%s' does not say '%s'", cases[i].spec, device->note, cases[i].words);
        bool caller = (device->caps.flags & MILGI_CAP_CALLER) != 0;
        assert_int_equal(caller, !strstr(cases[i].spec, "workers"));
        assert_int_equal(rig_can(&rig, MILGI_OP_OPEN, MILGI_SUITE_CHACHA20_POLY1305_SHA256),
            !strstr(cases[i].spec, "driver"));
        end();
    }
    fake_kernel_begin();
    fake_kernel.no_chacha = -ENOENT;
    fake_kernel.ring_error[0] = -EPERM;
    assert_int_equal(milgi_device_new("afalg", &device, NULL), 0);
    assert_non_null(strstr(device->note, "by Linux AIO"));
    assert_non_null(strstr(device->note, "no ChaCha20-Poly1305"));
    milgi_device_free(device);
    fake_kernel_done();
}

/* --- what goes wrong ---------------------------------------------------------------------------------------------- */

static void a_socket_that_fails_takes_its_key_with_it(void **state)
{
    (void)state;
    begin("afalg");
    assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
    assert_int_equal(fake_kernel.keys, 1);
    struct job *job = small(RIG_AES_128_GCM);
    fake_kernel.work_error = -EBADF;
    assert_true(offer(job));
    expect_broken(job, MILGI_CODE_AFALG_CLOSED);
    assert_int_equal(fake_kernel.keys + fake_kernel.operations, 0);
    fake_kernel.work_error = -ENOBUFS;
    assert_true(offer(job = small(RIG_AES_256_GCM)));
    expect_broken(job, MILGI_CODE_AFALG_NO_ROOM);
    fake_kernel.work_error = -EINVAL;
    assert_true(offer(job = small(RIG_AES_256_GCM)));
    expect_broken(job, MILGI_CODE_AFALG_FAILED);
    fake_kernel.work_error = 7; /* not all of it */
    assert_true(offer(job = small(RIG_AES_256_GCM)));
    expect_broken(job, MILGI_CODE_AFALG_FAILED);
    fake_kernel.work_error = 0;
    unsigned bound = fake_kernel.bound;
    assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
    assert_int_equal(fake_kernel.bound, bound + 1);
    end();
}

/* A forgery is the peer's doing: the socket is as good as before. */
static void a_forgery_costs_no_socket(void **state)
{
    (void)state;
    begin("afalg");
    for (int suite = 0; suite < RIG_SUITES; suite++) {
        struct job_aead what = { (enum rig_suite)suite, .len = 500, .forged = true };
        assert_fine(rig_run(&rig, job_open(&rig, &what)));
        unsigned accepted = fake_kernel.accepted;
        what.forged = false;
        assert_fine(rig_run(&rig, job_open(&rig, &what)));
        assert_int_equal(fake_kernel.accepted, accepted);
    }
    end();
}

/* A read of nothing at all would not even be begun, and no tag be looked at. TLS has no such records. */
static void what_has_no_additional_data_is_not_for_it(void **state)
{
    (void)state;
    begin("afalg");
    struct job *job = job_open(&rig, &(struct job_aead){ RIG_AES_128_GCM, .len = 0 });
    job->op.u.aead.aad_len = 0;
    assert_true(offer(job));
    expect_broken(job, MILGI_CODE_MALFORMED);
    end();
}

static void a_cipher_that_went_is_no_verdict_on_the_peer(void **state)
{
    (void)state;
    begin("afalg");
    fake_kernel.bind_error = -ENOENT;
    struct job *job = job_open(&rig, &(struct job_aead){ RIG_AES_128_GCM, .len = 50 });
    assert_true(offer(job));
    expect_broken(job, MILGI_CODE_AFALG_NO_CIPHER);
    fake_kernel.bind_error = 0;
    assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
    end();
}

/* A clock that is later whenever it is looked at. */
static uint64_t later_ns = 1000 * (uint64_t)SECOND, later_by;

static uint64_t later(void *ctx)
{
    (void)ctx;
    return later_ns += later_by;
}

/* bind() waits for a module that has to be loaded: what is there is held, and what went is not asked for. */
static void nothing_is_asked_for_that_would_have_to_be_loaded(void **state)
{
    (void)state;
    begin("afalg:idle=1ms");
    assert_int_equal(fake_kernel.held, RIG_SUITES);
    assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
    fake_kernel.work_error = -ENODEV; /* a card that was taken away */
    fake_kernel.unlisted = true;
    fake_kernel_list();
    struct job *job = small(RIG_AES_128_GCM);
    assert_true(offer(job));
    expect_broken(job, MILGI_CODE_AFALG_FAILED);
    unsigned bound = fake_kernel.bound;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(offer(job = small((enum rig_suite)(i % RIG_SUITES))));
        expect_broken(job, MILGI_CODE_AFALG_NO_CIPHER);
    }
    later_by = SECOND; /* it is looked for once a second */
    rig.clock.monotonic_ns = later;
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(rig.ops->health(rig.qp), MILGI_CODE_AFALG_NO_CIPHER);
    assert_int_equal(fake_kernel.bound, bound);
    fake_kernel.work_error = 0;
    fake_kernel.unlisted = false;
    fake_kernel_list();
    assert_int_equal(rig.ops->health(rig.qp), 0);
    assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
    assert_int_equal(fake_kernel.held, RIG_SUITES);
    end();
}

/* As long as others will end, an operation that finds no room is no reason to go elsewhere for all. */
static void full_is_not_ill(void **state)
{
    struct job *job, *other;

    (void)state;
    begin("afalg:depth=8");
    fake_kernel.late = true;
    other = small(RIG_AES_128_GCM);
    assert_true(offer(other));
    fake_kernel.work_error = -EAGAIN;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(offer(job = small(RIG_AES_128_GCM)));
        fake_kernel_end(1);
        expect_broken(job, MILGI_CODE_AFALG_NO_ROOM);
        assert_int_equal(rig.ops->health(rig.qp), 0);
    }
    fake_kernel_end(0);
    expect_broken(other, MILGI_CODE_AFALG_NO_ROOM);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(offer(job = small(RIG_AES_128_GCM)));
        fake_kernel_end(0);
        expect_broken(job, MILGI_CODE_AFALG_NO_ROOM);
    }
    assert_int_equal(rig.ops->health(rig.qp), MILGI_CODE_AFALG_NO_ROOM);
    fake_kernel.work_error = 0;
    fake_kernel.late = false;
    end();
}

/* Without a descriptor for one more it is full, and broken when nothing will ever come back. */
static void without_descriptors_it_is_full_or_broken(void **state)
{
    struct job *job[4];

    (void)state;
    begin("afalg:depth=8");
    fake_kernel.late = true;
    fake_kernel.sockets_max = 3; /* a key and two operations */
    for (unsigned i = 0; i < 4; i++)
        job[i] = small(RIG_AES_128_GCM);
    assert_true(offer(job[0]));
    assert_true(offer(job[1]));
    assert_false(offer(job[2]));
    assert_fine(job_untouched(job[2]));
    fake_kernel_end(0);
    fake_kernel.late = false;
    fake_kernel_end(0);
    assert_fine(rig_finish(&rig, job, 2));
    assert_fine(rig_enqueue(&rig, job + 2, 1));
    assert_fine(rig_finish(&rig, job + 2, 1));
    fake_kernel.sockets_max = 1;
    fake_kernel.accept_error = -ENFILE;
    rig_key_free(&rig, &rig.aead[RIG_AES_128_GCM]);
    assert_true(offer(job[3]));
    fake_kernel.accept_error = 0;
    expect_broken(job[3], MILGI_CODE_AFALG_NO_ROOM);
    fake_kernel.sockets_max = 0;
    for (unsigned i = 0; i < 3; i++)
        job_free(job[i]);
    end();
}

static void an_idle_key_makes_room_for_another_one(void **state)
{
    (void)state;
    begin("afalg:depth=4");
    fake_kernel.sockets_max = 2;
    for (unsigned i = 0; i < 12; i++)
        assert_fine(rig_run(&rig, small((enum rig_suite)(i % RIG_SUITES))));
    assert_int_equal(fake_kernel.keys, 1);
    end();
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void there_are_never_more_keys_and_sockets_than_ops(void **state)
{
    (void)state;
    begin("afalg:depth=4");
    for (unsigned i = 0; i < 40; i++) {
        rig.aead[i % RIG_SUITES].serial = 1000000 + i; /* another one, as connections come */
        rig.aead[i % RIG_SUITES].raw[3] ^= (uint8_t)i;
        struct job *job[3] = { small((enum rig_suite)(i % RIG_SUITES)), small((enum rig_suite)(i % RIG_SUITES)),
            small((enum rig_suite)((i + 1) % RIG_SUITES)) };
        assert_fine(rig_enqueue(&rig, job, 3));
        assert_fine(rig_finish(&rig, job, 3));
        assert_in_range(fake_kernel.keys, 1, 4);
        assert_in_range(fake_kernel.operations, 1, 4);
        for (unsigned k = 0; k < 3; k++)
            job_free(job[k]);
    }
    end();
}

static void a_key_has_as_many_sockets_as_ops_and_uses_them_again(void **state)
{
    struct job *job[5];

    (void)state;
    begin("afalg:depth=8");
    fake_kernel.late = true;
    unsigned before = fake_kernel.accepted;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MILGI__COUNT(job); i++)
            job[i] = small(RIG_AES_128_GCM);
        assert_fine(rig_enqueue(&rig, job, MILGI__COUNT(job)));
        assert_int_equal(fake_kernel.under_way, MILGI__COUNT(job));
        while (fake_kernel.under_way > 0) /* in another order than they came */
            fake_kernel_end(fake_kernel.under_way / 2);
        assert_fine(rig_finish(&rig, job, MILGI__COUNT(job)));
        for (unsigned i = 0; i < MILGI__COUNT(job); i++)
            job_free(job[i]);
    }
    assert_int_equal(fake_kernel.accepted - before, MILGI__COUNT(job));
    rig_key_free(&rig, &rig.aead[RIG_AES_128_GCM]);
    assert_int_equal(fake_kernel.keys + fake_kernel.operations, 0);
    end();
}

/* What is not in use takes no more descriptors than it may; what is under way is not held up by that. */
static void idle_sockets_leave_descriptors_to_others(void **state)
{
    struct job *job[8];

    (void)state;
    begin_with("afalg:depth=8", 6);
    for (unsigned i = 0; i < 30; i++) {
        rig.aead[i % RIG_SUITES].serial = 1000000 + i;
        assert_fine(rig_run(&rig, small((enum rig_suite)(i % RIG_SUITES))));
        assert_in_range(fake_kernel.keys + fake_kernel.operations, MILGI__MIN(i, 2) * 2 + 2, 6);
    }
    struct milgi_qp *other = rig.ops->qp_open(device, &rig.clock);
    assert_non_null(other);
    fake_kernel.late = true;
    for (unsigned i = 0; i < MILGI__COUNT(job); i++)
        job[i] = small((enum rig_suite)(i % RIG_SUITES));
    assert_fine(rig_enqueue(&rig, job, MILGI__COUNT(job)));
    assert_int_equal(fake_kernel.keys + fake_kernel.operations, RIG_SUITES + MILGI__COUNT(job));
    while (fake_kernel.under_way > 0)
        fake_kernel_end(fake_kernel.under_way / 2);
    assert_fine(rig_finish(&rig, job, MILGI__COUNT(job)));
    assert_in_range(fake_kernel.keys + fake_kernel.operations, 1, 3);
    for (unsigned i = 0; i < MILGI__COUNT(job); i++)
        job_free(job[i]);
    fake_kernel.late = false;
    rig.ops->qp_close(other);
    end();
}

/* However much is under way, what comes and goes beside it does so on the same socket. */
static void what_is_under_way_closes_no_idle_sockets(void **state)
{
    struct job *job[5];

    (void)state;
    begin_with("afalg:depth=8", 4);
    fake_kernel.late = true;
    for (unsigned i = 0; i < MILGI__COUNT(job); i++)
        job[i] = small(RIG_AES_128_GCM);
    assert_fine(rig_enqueue(&rig, job, MILGI__COUNT(job)));
    unsigned before = fake_kernel.accepted;
    for (unsigned i = 0; i < 4; i++) {
        struct job *one = small(RIG_AES_128_GCM);
        assert_fine(rig_enqueue(&rig, &one, 1));
        fake_kernel_end(fake_kernel.under_way - 1);
        assert_fine(rig_finish(&rig, &one, 1));
        job_free(one);
    }
    assert_int_equal(fake_kernel.accepted - before, 1);
    while (fake_kernel.under_way > 0)
        fake_kernel_end(0);
    assert_fine(rig_finish(&rig, job, MILGI__COUNT(job)));
    for (unsigned i = 0; i < MILGI__COUNT(job); i++)
        job_free(job[i]);
    assert_in_range(fake_kernel.keys + fake_kernel.operations, 1, 4);
    end();
}

/* The one that was idle longest makes room, and what is under way is left alone, however many there are. */
static void of_many_keys_the_one_that_is_idle_longest_goes(void **state)
{
    static const struct {
        unsigned key, bound; /* so many in all, when the operation with that key has begun */
    } step[] = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 3, 4 }, { 4, 5 }, { 2, 5 } };
    struct job *job[MILGI__COUNT(step)];

    (void)state;
    begin("afalg:depth=4");
    fake_kernel.late = true;
    unsigned before = fake_kernel.bound;
    for (unsigned i = 0; i < MILGI__COUNT(step); i++) {
        if (i == 4) { /* the first and the third, in this order */
            fake_kernel_end(0);
            assert_fine(rig_finish(&rig, job, 1));
            fake_kernel_end(1);
            assert_fine(rig_finish(&rig, job + 2, 1));
        }
        rig.aead[RIG_AES_128_GCM].serial = 1000000 + step[i].key;
        job[i] = small(RIG_AES_128_GCM);
        assert_fine(rig_enqueue(&rig, &job[i], 1));
        assert_int_equal(fake_kernel.bound - before, step[i].bound);
        assert_in_range(fake_kernel.keys, 1, 4);
    }
    while (fake_kernel.under_way > 0)
        fake_kernel_end(0);
    assert_fine(rig_finish(&rig, job, MILGI__COUNT(job)));
    for (unsigned i = 0; i < MILGI__COUNT(job); i++)
        job_free(job[i]);
    fake_kernel.late = false;
    end();
}

static void a_key_that_becomes_stale_meanwhile_is_closed(void **state)
{
    (void)state;
    later_by = 300000;
    for (unsigned n = 0; n < 8; n++) {
        begin("afalg:idle=1ms");
        rig.clock.monotonic_ns = later;
        assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
        for (unsigned i = 0; i < n; i++)
            (void)later(NULL);
        struct pollfd fd = { .fd = rig.ops->notify_fd(rig.qp), .events = POLLIN };
        struct milgi_op *none;
        while (rig.ops->arm(rig.qp) == 0 && fake_kernel.keys > 0) {
            assert_int_equal(poll(&fd, 1, 20000), 1);
            assert_int_equal(rig.ops->dequeue(rig.qp, &none, 1), 0);
        }
        assert_int_equal(fake_kernel.operations, 0);
        end();
    }
}

static void a_key_that_is_not_used_is_closed(void **state)
{
    struct pollfd fd;

    (void)state;
    begin("afalg:idle=1ms");
    assert_fine(rig_run(&rig, small(RIG_AES_128_GCM)));
    assert_fine(rig_run(&rig, small(RIG_CHACHA20_POLY1305)));
    while (fake_kernel.keys > 0) { /* an engine that has nothing to do: it sleeps until it is woken */
        struct milgi_op *none;
        assert_int_equal(rig.ops->arm(rig.qp), 0);
        fd = (struct pollfd){ .fd = rig.ops->notify_fd(rig.qp), .events = POLLIN };
        if (fake_kernel.keys > 0)
            assert_int_equal(poll(&fd, 1, 20000), 1);
        assert_int_equal(rig.ops->dequeue(rig.qp, &none, 1), 0);
    }
    assert_int_equal(fake_kernel.operations, 0);
    assert_int_equal(rig.ops->arm(rig.qp), 0);
    fd.revents = 0;
    assert_int_equal(poll(&fd, 1, 0), 0); /* and then it is left alone */
    end();
}

/* --- a kernel that hangs ------------------------------------------------------------------------------------------ */

static void what_hangs_is_left_until_it_has_ended(void **state)
{
    (void)state;
    begin("afalg");
    fake_kernel.late = true;
    struct job *job = small(RIG_AES_128_GCM);
    assert_true(offer(job));
    assert_int_equal(rig.ops->quiesce(rig.qp, 1000000), MILGI_EBUSY);
    rig.ops->qp_close(rig.qp);
    assert_int_equal(fake_kernel.operations, 1);
    /* The next one that comes finds it as it is, and then that it has ended. */
    struct milgi_qp *other = rig.ops->qp_open(device, &rig.clock);
    assert_non_null(other);
    assert_int_equal(fake_kernel.operations, 1);
    fake_kernel_end(0);
    rig.ops->qp_close(other);
    rig.qp = rig.ops->qp_open(device, &rig.clock);
    assert_int_equal(fake_kernel.keys + fake_kernel.operations, 0);
    fake_kernel.late = false;
    job_free(job);
    end();
}

static void a_device_whose_kernel_hangs_is_left_to_the_process(void **state)
{
    unsigned left = milgi_devices_left();

    (void)state;
    begin("afalg");
    fake_kernel.late = true;
    static struct job *job; /* the kernel's from now on */
    job = small(RIG_AES_128_GCM);
    assert_true(offer(job));
    assert_int_equal(rig.ops->quiesce(rig.qp, 0), MILGI_EBUSY);
    rig.ops->qp_close(rig.qp);
    rig.qp = NULL;
    rig_close(&rig);
    milgi_device_free(device);
    assert_int_equal(milgi_devices_left(), left + 1);
    assert_int_equal(fake_kernel.operations, 1);
    fake_kernel_done();
}

/* --- the machine's own kernel, where it has AF_ALG: tests/vm ------------------------------------------------------ */

static const struct milgi__alg_kernel *real;
static int accepted[512];
static unsigned accepted_n;

static int remember(int fd)
{
    int got = real->accept(fd);

    if (got >= 0 && accepted_n < MILGI__COUNT(accepted))
        accepted[accepted_n++] = got;
    return got;
}

static void forget_and_close(int fd)
{
    for (unsigned i = 0; i < accepted_n; i++) {
        if (accepted[i] == fd)
            accepted[i--] = accepted[--accepted_n];
    }
    real->close(fd);
}

/* All operations' sockets, under way or not, are something else from now on. */
static void take_sockets_away(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    assert_true(nothing >= 0);
    for (unsigned i = 0; i < accepted_n; i++)
        assert_int_equal(dup2(nothing, accepted[i]), accepted[i]);
    close(nothing);
}

static void expect_done_or_closed(struct job **jobs, unsigned n, unsigned *closed)
{
    for (unsigned i = 0; i < n; i++) {
        while (!jobs[i]->back)
            assert_fine(rig_wait(&rig));
        if (jobs[i]->op.status == MILGI_OP_BROKEN) {
            ++*closed;
            /* A message may be taken before and its read be of what is there now: that is found, too. */
            assert_in_range(jobs[i]->op.device_code, MILGI_CODE_AFALG_CLOSED, MILGI_CODE_AFALG_FAILED);
        } else {
            assert_fine(job_check(jobs[i]));
        }
        job_free(jobs[i]);
    }
}

static void sockets_are_closed_under_load(const char *spec)
{
    struct job *jobs[24];
    unsigned closed = 0;

    if (milgi_device_new(spec, &device, NULL) != 0)
        skip();
    real = milgi__alg_kernel;
    struct milgi__alg_kernel watched = *real;
    watched.accept = remember;
    watched.close = forget_and_close;
    milgi__alg_kernel = &watched;
    accepted_n = 0;
    assert_fine(rig_open(&rig, device, false, 77));
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
            jobs[i] = job_any(&rig);
        assert_fine(rig_enqueue(&rig, jobs, MILGI__COUNT(jobs) / 2));
        take_sockets_away();
        assert_fine(rig_enqueue(&rig, jobs + MILGI__COUNT(jobs) / 2, MILGI__COUNT(jobs) / 2));
        expect_done_or_closed(jobs, MILGI__COUNT(jobs), &closed);
        struct job *one = job_any(&rig); /* of a key that may still have sockets which were taken away */
        while (rig_run(&rig, one))
            one = job_any(&rig);
    }
    assert_true(closed > 0);
    rig_close(&rig);
    milgi_device_free(device);
    milgi__alg_kernel = real;
}

static void sockets_of_io_uring_are_closed_under_load(void **state)
{
    (void)state;
    sockets_are_closed_under_load("afalg:by=io_uring");
}

static void sockets_of_the_kernels_workers_are_closed_under_load(void **state)
{
    (void)state;
    sockets_are_closed_under_load("afalg:workers=2");
}

static void sockets_of_linux_aio_are_closed_under_load(void **state)
{
    (void)state;
    sockets_are_closed_under_load("afalg:by=aio");
}

/* --- an engine on it ---------------------------------------------------------------------------------------------- */

static unsigned events[MILGI_DEVICE_LIED + 1];

static void on_device(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *which,
    enum milgi_device_event event)
{
    (void)ctx;
    (void)engine;
    (void)index;
    (void)which;
    events[event]++;
}

/* A message there and back again. */
static void talk(struct pair *pair)
{
    static const char text[] = "what is sealed here arrives there";

    for (unsigned i = 0; i < 2; i++) {
        struct pair_side *from = &pair->side[i], *to = pair_other(from);
        pair_bytes_drop(&to->got, to->got.len);
        assert_int_equal(milgi_conn_write(from->conn, text, sizeof text), 0);
        pair_settle_until(pair, pair->now_ns + SECOND / 10);
        assert_int_equal(to->got.len, sizeof text);
        assert_memory_equal(to->got.p, text, sizeof text);
    }
}

static void connections_outlive_a_kernel_that_fails_and_it_is_used_again(void **state)
{
    struct milgi_engine_options options;
    struct configs_pair peers;
    struct pair pair;

    (void)state;
    configs_pair_begin(&peers, IDENTITY_P256);
    fake_kernel_begin();
    memset(events, 0, sizeof events);
    milgi_engine_options_init(&options);
    options.on_device = on_device;
    struct pair_setup setup = {
        .config = { peers.config[0], peers.config[1] },
        .device = { "afalg", "afalg:by=aio" },
        .options = &options,
        .server_name = "server.test",
    };
    pair_init(&pair, &setup);
    pair_settle(&pair);
    assert_true(pair.side[0].established && pair.side[1].established);
    unsigned done = fake_kernel.done;
    talk(&pair);
    assert_true(fake_kernel.done >= done + 4);

    static const int illnesses[] = { -EBADF, -ENOBUFS, -EIO };
    for (unsigned i = 0; i < MILGI__COUNT(illnesses); i++) {
        fake_kernel.work_error = illnesses[i];
        fake_kernel.accept_error = i == 1 ? -ENOBUFS : 0;
        fake_kernel.bind_error = i == 2 ? -ENOENT : 0;
        for (unsigned k = 0; k < 20; k++)
            talk(&pair);
        assert_int_equal(events[MILGI_DEVICE_RETIRED], 2 * (i + 1)); /* of both engines */
        fake_kernel.work_error = fake_kernel.accept_error = fake_kernel.bind_error = 0;
        for (unsigned k = 0; k < 200 && events[MILGI_DEVICE_RETURNED] < 2 * (i + 1); k++) {
            pair.now_ns += SECOND / 2;
            talk(&pair);
        }
        assert_int_equal(events[MILGI_DEVICE_RETURNED], 2 * (i + 1));
        done = fake_kernel.done;
        talk(&pair);
        assert_true(fake_kernel.done >= done + 4);
    }
    pair_fini(&pair);
    assert_fine(fake_kernel.complaint);
    assert_int_equal(fake_kernel.keys + fake_kernel.operations, 0);
    configs_pair_end(&peers);
    fake_kernel_done();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_kernel_has_not_is_said),
        cmocka_unit_test(what_it_can_do_here_is_noted),
        cmocka_unit_test(a_socket_that_fails_takes_its_key_with_it),
        cmocka_unit_test(a_forgery_costs_no_socket),
        cmocka_unit_test(what_has_no_additional_data_is_not_for_it),
        cmocka_unit_test(a_cipher_that_went_is_no_verdict_on_the_peer),
        cmocka_unit_test(nothing_is_asked_for_that_would_have_to_be_loaded),
        cmocka_unit_test(full_is_not_ill),
        cmocka_unit_test(without_descriptors_it_is_full_or_broken),
        cmocka_unit_test(an_idle_key_makes_room_for_another_one),
        cmocka_unit_test(there_are_never_more_keys_and_sockets_than_ops),
        cmocka_unit_test(a_key_has_as_many_sockets_as_ops_and_uses_them_again),
        cmocka_unit_test(idle_sockets_leave_descriptors_to_others),
        cmocka_unit_test(what_is_under_way_closes_no_idle_sockets),
        cmocka_unit_test(of_many_keys_the_one_that_is_idle_longest_goes),
        cmocka_unit_test(a_key_that_becomes_stale_meanwhile_is_closed),
        cmocka_unit_test(a_key_that_is_not_used_is_closed),
        cmocka_unit_test(what_hangs_is_left_until_it_has_ended),
        cmocka_unit_test(a_device_whose_kernel_hangs_is_left_to_the_process),
        cmocka_unit_test(sockets_of_io_uring_are_closed_under_load),
        cmocka_unit_test(sockets_of_the_kernels_workers_are_closed_under_load),
        cmocka_unit_test(sockets_of_linux_aio_are_closed_under_load),
        cmocka_unit_test(connections_outlive_a_kernel_that_fails_and_it_is_used_again),
    };

    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
