/* SPDX-License-Identifier: Apache-2.0 */
/* The pool's threads: who works on what, who is woken when, and that none is left. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/port.h"
#include "device/device.h"
#include "op/material.h"
#include "alone.h"

static void nap(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static struct job *slow(void)
{
    return job_sign(&rig, RIG_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256);
}

/* Gets all of them back; returns how many came before |one|. */
static unsigned place_of(struct job **jobs, unsigned n, const struct job *one)
{
    unsigned got = 0, place = n;

    while (got < n) {
        struct milgi_op *op;
        if (rig.ops->dequeue(rig.qp, &op, 1) == 0) {
            assert_true(got < n);
            nap(0);
            continue;
        }
        if (job_of(op) == one)
            place = got;
        job_of(op)->back = true;
        got++;
    }
    for (unsigned i = 0; i < n; i++) {
        assert_fine(job_check(jobs[i]));
        job_free(jobs[i]);
    }
    return place;
}

/* Puts all in at once, so that none has a start, and tells how many come before the last. */
static unsigned place_of_last(struct job **jobs, unsigned n)
{
    struct milgi_op *ops[901];

    for (unsigned i = 0; i < n; i++)
        ops[i] = &jobs[i]->op;
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, n), n);
    return place_of(jobs, n, jobs[n - 1]);
}

/* The best of several times: the system may leave any worker waiting for its core for a while. */
static void expect_place(const char *spec, unsigned n, unsigned max, void (*make)(struct job **jobs, unsigned n))
{
    static struct job *jobs[901];
    unsigned best = n;

    alone_begin(spec, false);
    for (unsigned i = 0; i < 6 && best > max; i++) {
        make(jobs, n);
        unsigned place = place_of_last(jobs, n);
        best = MILGI__MIN(best, place);
    }
    if (best > max)
        fail_msg("%s: %u ops came before it", spec, best);
    alone_end();
}

static void record_behind_signatures(struct job **jobs, unsigned n)
{
    for (unsigned i = 0; i + 1 < n; i++)
        jobs[i] = slow();
    jobs[n - 1] = job_small(&rig);
}

/* It waits for no more than what the workers have in hand. */
static void a_record_does_not_wait_behind_signatures(void **state)
{
    (void)state;
    expect_place("pool:1", 41, 2, record_behind_signatures);
    expect_place("pool:2", 41, 4, record_behind_signatures);
    expect_place("pool:4", 41, 8, record_behind_signatures);
}

static void signature_behind_records(struct job **jobs, unsigned n)
{
    static const struct job_aead record = { .suite = RIG_CHACHA20_POLY1305, .len = 16384, .inner = 23 };

    for (unsigned i = 0; i + 1 < n; i++)
        jobs[i] = job_seal(&rig, &record);
    jobs[n - 1] = job_sign(&rig, RIG_ED25519, MILGI_SIG_ED25519);
}

static void a_signature_does_not_wait_behind_records(void **state)
{
    (void)state;
    expect_place("pool:1", 901, 100, signature_behind_records);
    expect_place("pool:2", 901, 300, signature_behind_records);
    expect_place("pool:4", 901, 500, signature_behind_records);
}

/* --- wake-ups --------------------------------------------------------------------------------------------------- */

static void finish_unseen(struct job **jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        jobs[i] = job_small(&rig);
    assert_fine(rig_enqueue(&rig, jobs, n));
}

static void the_descriptor_is_written_once_per_arming_and_only_then(void **state)
{
    struct job *jobs[32];
    uint64_t count = 0;

    (void)state;
    alone_begin("pool:2", false);
    int fd = rig.ops->notify_fd(rig.qp);
    for (unsigned round = 0; round < 5; round++) {
        finish_unseen(jobs, 32);
        nap(20);
        assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 0);
        assert_int_equal(rig.ops->arm(rig.qp), 1);
        (void)place_of(jobs, 32, NULL);

        assert_int_equal(rig.ops->arm(rig.qp), 0);
        finish_unseen(jobs, 32);
        nap(20);
        assert_int_equal(read(fd, &count, sizeof count), (int)sizeof count);
        assert_int_equal(count, 1);
        (void)place_of(jobs, 32, NULL);
    }
    alone_end();
}

static void a_dequeue_takes_the_readiness_back(void **state)
{
    struct job *jobs[3];

    (void)state;
    alone_begin("pool:2", false);
    int fd = rig.ops->notify_fd(rig.qp);
    assert_int_equal(rig.ops->arm(rig.qp), 0);
    finish_unseen(jobs, 3);
    nap(20);
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 1);
    (void)place_of(jobs, 3, NULL);
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0), 0);
    alone_end();
}

static void what_a_partial_dequeue_left_is_not_slept_on(void **state)
{
    struct job *jobs[3];
    struct milgi_op *op;

    (void)state;
    alone_begin("pool:2", false);
    finish_unseen(jobs, 3);
    nap(20);
    assert_int_equal(rig.ops->dequeue(rig.qp, &op, 1), 1);
    assert_int_equal(rig.ops->arm(rig.qp), 1);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(rig.ops->dequeue(rig.qp, &op, 1), 1);
    assert_int_equal(rig.ops->arm(rig.qp), 0);
    for (unsigned i = 0; i < 3; i++)
        job_free(jobs[i]);
    alone_end();
}

/* Offers an op again and again just when the worker, which found nothing more, is about to lie down. */
static void a_worker_that_lies_down_looks_once_more(void **state)
{
    struct job *job;

    (void)state;
    alone_begin("pool:1,spin=0", false);
    job = job_small(&rig);
    job->op.type = 200; /* the quickest of all: it is BROKEN */
    uint64_t end_ns = rig_now(&rig) + 2 * UINT64_C(1000000000);
    for (unsigned round = 0; round % 256 != 0 || rig_now(&rig) < end_ns; round++) {
        struct milgi_op *op = &job->op;
        assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 1);
        uint64_t patience_ns = rig_now(&rig) + 10 * UINT64_C(1000000000); /* a busy machine may let it wait */
        for (uint64_t polls = 0; rig.ops->dequeue(rig.qp, &op, 1) == 0; polls++) {
            if (polls > 100000 && polls % 1000 == 0)
                nap(1);
            if (polls > 100000 && rig_now(&rig) > patience_ns)
                fail_msg("a call was lost");
        }
        for (uint64_t spin = rig_random(&rig) % 512; spin > 0; spin--)
            __asm__ volatile("");
    }
    job_free(job);
    alone_end();
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void idle_workers_use_no_time(void **state)
{
    (void)state;
    alone_begin("pool:4", false);
    assert_fine(rig_run(&rig, job_small(&rig)));
    nap(50); /* past the short sleep that comes first */
    uint64_t before = cpu_ns();
    nap(200);
    assert_in_range(cpu_ns() - before, 0, 5000000);
    assert_fine(rig_run(&rig, job_small(&rig))); /* and can still be woken */
    alone_end();
}

/* The short sleep, the long one, no sleep: a worker may be anywhere when it is called. */
static void a_call_is_heard_whenever_it_comes(void **state)
{
    (void)state;
    alone_begin("pool:2", false);
    for (unsigned i = 0; i < 120; i++) {
        assert_fine(rig_run(&rig, job_small(&rig)));
        if (i % 4 == 0)
            nap((long)(rig_random(&rig) % 30));
    }
    alone_end();
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

/* The value of a line of /proc/self/task/<thread>/status, in hexadecimal. */
static unsigned long long status_of(const char *thread, const char *line)
{
    char path[300], text[256];
    unsigned long long value = 0;

    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof text, file)) {
        if (strncmp(text, line, strlen(line)) == 0)
            value = strtoull(text + strlen(line), NULL, 16);
    }
    fclose(file);
    return value;
}

static bool is_worker(const char *thread)
{
    char path[300], name[32] = "";

    snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool read = fgets(name, sizeof name, file) != NULL;
    fclose(file);
    return read && strncmp(name, "milgi-", 6) == 0;
}

/* How many workers there are; every one is checked to take no signal. */
static unsigned workers(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE, SIGALRM };
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || !is_worker(entry->d_name))
            continue;
        n++;
        unsigned long long blocked = status_of(entry->d_name, "SigBlk:");
        for (unsigned i = 0; i < MILGI__COUNT(signals); i++)
            assert_true(blocked >> (signals[i] - 1) & 1);
    }
    closedir(dir);
    return n;
}

static void workers_block_signals_and_go_with_the_pool(void **state)
{
    sigset_t before, after;

    (void)state;
    memset(&before, 0, sizeof before); /* only a part of it is filled in */
    memset(&after, 0, sizeof after);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    alone_begin("pool:3", false);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_memory_equal(&before, &after, sizeof before);
    nap(5);
    assert_int_equal(workers(), 3);
    alone_end();
    assert_int_equal(workers(), 0);
    for (unsigned i = 0; i < 30; i++) { /* also when they have not begun to run */
        struct milgi_device *brief;
        assert_int_equal(milgi_device_new("pool:4", &brief, NULL), 0);
        milgi_device_free(brief);
    }
    assert_int_equal(workers(), 0);
}

static void it_has_64_queue_pairs(void **state)
{
    struct milgi_qp *qps[64];
    unsigned n = 0;

    (void)state;
    alone_begin("pool:1,depth=4", false); /* the rig's is the first */
    while (n < 64 && (qps[n] = rig.ops->qp_open(device, &rig.clock)))
        n++;
    assert_int_equal(n, 63);
    assert_int_equal(rig.ops->quiesce(qps[10], UINT64_MAX), 0);
    rig.ops->qp_close(qps[10]);
    qps[10] = rig.ops->qp_open(device, &rig.clock);
    assert_non_null(qps[10]);
    assert_fine(rig_run(&rig, job_small(&rig)));
    while (n-- > 0) {
        assert_int_equal(rig.ops->quiesce(qps[n], UINT64_MAX), 0);
        rig.ops->qp_close(qps[n]);
    }
    alone_end();
}

static void what_waits_can_be_cancelled(void **state)
{
    struct job *jobs[100]; /* so many that the last is not begun yet, however late this thread comes */

    (void)state;
    alone_begin("pool:1", false);
    for (unsigned i = 0; i < 100; i++)
        jobs[i] = slow();
    assert_fine(rig_enqueue(&rig, jobs, 100));
    rig.ops->cancel(rig.qp, &jobs[99]->op);
    jobs[99]->want = MILGI_OP_CANCELLED;
    (void)place_of(jobs, 100, NULL);
    alone_end();
}

static void quiesce_waits_for_what_is_begun_and_no_longer(void **state)
{
    struct job *jobs[200];
    unsigned cancelled = 0;

    (void)state;
    alone_begin("pool:2", false);
    for (unsigned i = 0; i < 200; i++)
        jobs[i] = slow();
    assert_fine(rig_enqueue(&rig, jobs, 200));
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    for (unsigned i = 0; i < 200; i++) {
        struct milgi_op *op;
        assert_int_equal(rig.ops->dequeue(rig.qp, &op, 1), 1);
        cancelled += op->status == MILGI_OP_CANCELLED;
    }
    /* How many were begun is up to the processor: with lanes a thread takes 16 at once, and this one may come late. */
    assert_in_range(cancelled, 1, 200);
    for (unsigned i = 0; i < 200; i++)
        job_free(jobs[i]);
    alone_end();
}

static void quiesce_does_not_wait_for_other_engines(void **state)
{
    struct job *mine[60], *theirs[60];
    struct milgi_op *ops[60];
    struct rig other;

    (void)state;
    alone_begin("pool:1", false);
    assert_fine(rig_open(&other, device, false, 6));
    for (unsigned i = 0; i < 60; i++) {
        mine[i] = slow();
        theirs[i] = job_sign(&other, RIG_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256);
    }
    assert_fine(rig_enqueue(&other, theirs, 60));
    assert_fine(rig_enqueue(&rig, mine, 60));
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    unsigned done = other.ops->dequeue(other.qp, ops, 60);
    assert_in_range(done, 0, 30);
    for (unsigned i = 0; i < done; i++)
        job_of(ops[i])->back = true;
    assert_fine(rig_finish(&other, theirs, 60));
    assert_int_equal(rig.ops->dequeue(rig.qp, ops, 60), 60);
    for (unsigned i = 0; i < 60; i++) {
        job_free(mine[i]);
        job_free(theirs[i]);
    }
    rig_close(&other);
    alone_end();
}

/* --- whose signatures are looked at ------------------------------------------------------------------------------- */

/* What is to be signed is its hash from here on. */
static void hash_now(struct milgi_op *op)
{
    uint8_t room[MILGI_OP_HASH_MAX];
    const uint8_t *data;
    size_t len;
    assert_int_equal(milgi_op_to_sign(op, room, &data, &len), 0);
    memcpy(op->u.sign.input, data, len);
    op->u.sign.input_len = (uint16_t)len;
    op->u.sign.hashed = true;
}

/* What has become of signatures, of hashes or not, with a key whose certificate has that of |other|. */
static void expect_signed(const char *spec, enum rig_signer signer, enum rig_signer other, uint16_t scheme, bool hashed,
    enum milgi_op_status status)
{
    struct job *jobs[8];
    unsigned n = MILGI__COUNT(jobs), back = 0;
    alone_begin(spec, false);
    struct milgi_credential seen = *rig.signer[signer].loaded.credential;
    seen.spki = rig.signer[other].loaded.credential->spki;
    seen.spki_len = rig.signer[other].loaded.credential->spki_len;
    rig.signer[signer].loaded.credential = &seen;
    struct milgi_op *ops[MILGI__COUNT(jobs)];
    for (unsigned i = 0; i < n; i++) {
        jobs[i] = job_sign(&rig, signer, scheme);
        ops[i] = &jobs[i]->op;
        if (hashed)
            hash_now(ops[i]);
    }
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, n), n);
    for (; back < n; nap(1))
        back += rig.ops->dequeue(rig.qp, ops + back, n - back);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(jobs[i]->op.status, status);
        assert_int_equal(jobs[i]->op.device_code, status == MILGI_OP_BROKEN ? MILGI_CODE_BAD_SIGNATURE : 0);
        job_free(jobs[i]);
    }
    alone_end();
}

/* One by one, and those that are done together. The engine takes the pool's word for it. */
static void workers_look_at_what_rsa_has_signed(void **state)
{
    (void)state;
    static const char *const specs[] = { "pool:2", "pool:1,lanes=none", "pool:1,lanes=libcrypto" };
    for (unsigned i = 0; i < MILGI__COUNT(specs); i++) {
        for (int hashed = 0; hashed < 2; hashed++) {
            uint16_t rsa = MILGI_SIG_RSA_PSS_RSAE_SHA256, ecdsa = MILGI_SIG_ECDSA_SECP256R1_SHA256;
            expect_signed(specs[i], RIG_RSA, RIG_RSA, rsa, hashed, MILGI_OP_OK);
            expect_signed(specs[i], RIG_RSA, RIG_P384, rsa, hashed, MILGI_OP_BROKEN);
            expect_signed(specs[i], RIG_P256, RIG_P384, ecdsa, hashed, MILGI_OP_OK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_does_not_wait_behind_signatures),
        cmocka_unit_test(a_signature_does_not_wait_behind_records),
        cmocka_unit_test(the_descriptor_is_written_once_per_arming_and_only_then),
        cmocka_unit_test(a_dequeue_takes_the_readiness_back),
        cmocka_unit_test(what_a_partial_dequeue_left_is_not_slept_on),
        cmocka_unit_test(a_worker_that_lies_down_looks_once_more),
        cmocka_unit_test(idle_workers_use_no_time),
        cmocka_unit_test(a_call_is_heard_whenever_it_comes),
        cmocka_unit_test(workers_block_signals_and_go_with_the_pool),
        cmocka_unit_test(it_has_64_queue_pairs),
        cmocka_unit_test(what_waits_can_be_cancelled),
        cmocka_unit_test(quiesce_waits_for_what_is_begun_and_no_longer),
        cmocka_unit_test(quiesce_does_not_wait_for_other_engines),
        cmocka_unit_test(workers_look_at_what_rsa_has_signed),
    };

    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
