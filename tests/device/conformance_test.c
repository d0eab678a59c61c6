/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device must do, run against every device that is built in. A device that needs words to be tested has a
 * line in |specs|; one without is tested by its bare name. With arguments: against these descriptions instead.
 * ctest-timeout: 420
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/base.h"
#include "device/device.h"
#include "alone.h"

static const char *const specs[] = {
    "cpu",
    "pool:1",
    "pool:2",
    "pool:3,depth=16,spin=20us",
    "pool:2,memory=huge:256m",
    "pool:2,lanes=libcrypto",
    "batch:lanes=libcrypto",
    "batch:lanes=libcrypto,from=1,wait=0",
    "sim:latency=50us,units=4,depth=64",
    "sim:latency=50us,jitter=100us,units=8,order=in,load=1ms",
    "sim:latency=50us,units=4,depth=64,memory=own",
    "chaos:seed=1",
    "chaos:seed=2,max_delay=200us,delay=0.9,inline=0",
    "chaos:seed=3,reorder=1,refuse=0.5,depth=8",
    "afalg",
    "pkcs11:1,depth=64",
    "pkcs11:3,depth=16,module=p11-kit-client.so",
};

static int setup(void **state)
{
    const char *why;

    if (milgi_device_new(*state, &device, &why) != 0) {
        print_error("%s: %s\n", (const char *)*state, why);
        return -1;
    }
    why = rig_open(&rig, device, false, 7);
    if (why)
        print_error("%s: %s\n", (const char *)*state, why);
    return !why ? 0 : -1;
}

static bool has(uint32_t caps)
{
    return (device->caps.flags & caps) == caps;
}

/* A REMOTE device signs only, and each op costs as much as a hundred others: fewer rounds find the same. */
static unsigned rounds(unsigned n)
{
    return has(MILGI_CAP_REMOTE) ? (n + 3) / 4 : n;
}

/* The cheapest op that it takes. */
static struct job *cheap(void)
{
    for (int suite = 0; suite < RIG_SUITES; suite++) {
        if (rig_can(&rig, MILGI_OP_SEAL, rig.aead[suite].alg))
            return job_seal(&rig, &(struct job_aead){ (enum rig_suite)suite, .len = 16, .inner = 23 });
    }
    return job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
}

/* --- results ---------------------------------------------------------------------------------------------------- */

static void it_says_what_it_is(void **state)
{
    const char *spec = *state;

    assert_string_equal(device->spec, spec);
    assert_non_null(device->ops->name);
    assert_memory_equal(spec, device->ops->name, strlen(device->ops->name));
    assert_true(device->caps.parallelism >= 1);
    assert_true(device->caps.max_in_flight >= 1);
    assert_true(device->caps.best_batch >= 1);
    assert_true(device->caps.ops != 0);
    assert_null(milgi__device_complaint(device));
    if (has(MILGI_CAP_REMOTE)) {
        assert_int_equal(device->caps.ops, MILGI_OP_BIT(MILGI_OP_SIGN));
        assert_true(rig.ops->notify_fd(rig.qp) >= 0);
    }
    if (rig.ops->notify_fd(rig.qp) >= 0)
        assert_non_null(rig.ops->arm);
}

static void it_seals_and_opens_every_length(void **state)
{
    static const unsigned lengths[] = { 0, 1, 15, 16, 17, 255, 1400, 16384 };
    unsigned pieces_max = has(MILGI_CAP_SCATTER) ? MILGI_OP_SLICES : 1;

    (void)state;
    for (int suite = 0; suite < RIG_SUITES; suite++) {
        if (!rig_can(&rig, MILGI_OP_SEAL, rig.aead[suite].alg) || !rig_can(&rig, MILGI_OP_OPEN, rig.aead[suite].alg))
            continue;
        for (unsigned i = 0; i < MILGI__COUNT(lengths); i++) {
            struct job_aead what = { (enum rig_suite)suite, .len = lengths[i], .inner = 23, .pad = i % 3 * 50 };
            for (what.pieces = 1; what.pieces <= pieces_max; what.pieces++) {
                assert_fine(rig_run(&rig, job_seal(&rig, &what)));
                assert_fine(rig_run(&rig, job_open(&rig, &what)));
            }
            what.pieces = 1;
            what.inner = 0;
            assert_fine(rig_run(&rig, job_seal(&rig, &what)));
        }
    }
}

static void it_seals_and_opens_in_place_if_it_says_so(void **state)
{
    (void)state;
    if (!has(MILGI_CAP_IN_PLACE))
        skip();
    for (int suite = 0; suite < RIG_SUITES; suite++) {
        struct job_aead what = { .suite = (enum rig_suite)suite, .len = 1000, .inner = 23, .pad = 9, .in_place = true };
        assert_fine(rig_run(&rig, job_seal(&rig, &what)));
        assert_fine(rig_run(&rig, job_open(&rig, &what)));
        what.pieces = has(MILGI_CAP_SCATTER) ? 3 : 1;
        assert_fine(rig_run(&rig, job_open(&rig, &what)));
        what.forged = true;
        assert_fine(rig_run(&rig, job_open(&rig, &what)));
    }
}

static void it_rejects_forged_records_and_wipes_them(void **state)
{
    (void)state;
    for (int suite = 0; suite < RIG_SUITES; suite++) {
        struct job_aead what = { .suite = (enum rig_suite)suite, .forged = true };
        if (!rig_can(&rig, MILGI_OP_OPEN, rig.aead[suite].alg))
            continue;
        for (what.len = 0; what.len <= 16384; what.len = what.len * 7 + 1)
            assert_fine(rig_run(&rig, job_open(&rig, &what)));
    }
}

static void it_exchanges_keys_and_rejects_bad_shares(void **state)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
        MILGI_GROUP_SECP521R1 };

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(groups); i++) {
        if (rig_can(&rig, MILGI_OP_KEYGEN, groups[i]))
            assert_fine(rig_run(&rig, job_keygen(&rig, groups[i])));
        if (!rig_can(&rig, MILGI_OP_DERIVE, groups[i]))
            continue;
        assert_fine(rig_run(&rig, job_derive(&rig, groups[i], SHARE_GOOD)));
        assert_fine(rig_run(&rig, job_derive(&rig, groups[i], SHARE_SHORT)));
        assert_fine(rig_run(&rig, job_derive(&rig, groups[i], SHARE_OFF_CURVE)));
    }
}

static void it_encapsulates_and_decapsulates(void **state)
{
    static const uint16_t groups[] = { MILGI_GROUP_MLKEM768, MILGI_GROUP_MLKEM1024 };

    (void)state;
    if (!milgi__kem_available())
        skip();
    for (unsigned i = 0; i < MILGI__COUNT(groups); i++) {
        if (rig_can(&rig, MILGI_OP_KEYGEN, groups[i]))
            assert_fine(rig_run(&rig, job_keygen(&rig, groups[i])));
        for (enum job_share share = SHARE_GOOD; share <= SHARE_OFF_CURVE; share++) {
            if (rig_can(&rig, MILGI_OP_ENCAPS, groups[i]))
                assert_fine(rig_run(&rig, job_encaps(&rig, groups[i], share)));
            if (rig_can(&rig, MILGI_OP_DECAPS, groups[i]))
                assert_fine(rig_run(&rig, job_decaps(&rig, groups[i], share)));
        }
    }
}

static void it_signs_and_verifies_with_every_key(void **state)
{
    (void)state;
    for (int signer = 0; signer < RIG_SIGNERS; signer++) {
        for (const uint16_t *scheme = rig_schemes((enum rig_signer)signer); *scheme != 0; scheme++) {
            if (rig_can(&rig, MILGI_OP_SIGN, *scheme))
                assert_fine(rig_run(&rig, job_sign(&rig, (enum rig_signer)signer, *scheme)));
            if (!rig_can(&rig, MILGI_OP_VERIFY, *scheme))
                continue;
            assert_fine(rig_run(&rig, job_verify(&rig, (enum rig_signer)signer, *scheme, false)));
            assert_fine(rig_run(&rig, job_verify(&rig, (enum rig_signer)signer, *scheme, true)));
        }
    }
}

static void it_rejects_a_key_that_does_not_fit_the_scheme(void **state)
{
    (void)state;
    if (!rig_can(&rig, MILGI_OP_VERIFY, MILGI_SIG_ED25519))
        skip();
    struct job *job = job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, false);
    job->op.alg = job->before.alg = MILGI_SIG_ED25519;
    job->want = MILGI_OP_REJECTED;
    assert_fine(rig_run(&rig, job));
}

static void it_accepts_good_chains_and_rejects_bad_ones(void **state)
{
    (void)state;
    if (!rig_can(&rig, MILGI_OP_VERIFY_CHAIN, 0))
        skip();
    assert_fine(rig_run(&rig, job_chain(&rig, "server.test")));
    assert_fine(rig_run(&rig, job_chain(&rig, "other.test")));
    struct job *job = job_chain(&rig, "server.test");
    job->op.u.chain.now_s = job->before.u.chain.now_s = 1000000000; /* long before it was made */
    job->want = MILGI_OP_REJECTED;
    assert_fine(rig_run(&rig, job));
}

/* --- ops that make no sense ------------------------------------------------------------------------------------- */

static void expect_broken(struct job *job)
{
    struct milgi_op *op = &job->op;

    op->status = MILGI_OP_PENDING;
    op->device_code = 0;
    job->before = *op;
    job->want = MILGI_OP_BROKEN;
    /* Accepted, since only a full device refuses. */
    for (int tries = 0; rig.ops->enqueue(rig.qp, &op, 1) != 1; tries++)
        assert_true(tries < 100);
    assert_fine(rig_finish(&rig, &job, 1));
    assert_int_not_equal(op->device_code, 0); /* it says why */
    if (job->src)
        assert_memory_equal(job->src, job->src_before, job->size);
    job_free(job);
}

static void it_gives_malformed_kem_ops_back_broken(void **state)
{
    (void)state;
    if (!milgi__kem_available() || !rig_can(&rig, MILGI_OP_ENCAPS, MILGI_GROUP_MLKEM768))
        skip();
    for (unsigned how = 0; how < MALFORMED_KEMS; how++)
        expect_broken(job_malformed_kem(&rig, how));
}

static void it_gives_malformed_ops_back_broken(void **state)
{
    static const struct job_aead record = { .len = 100, .inner = 23 };
    struct job *job;

    (void)state;
    job = job_keygen(&rig, MILGI_GROUP_X25519);
    job->op.type = 200;
    expect_broken(job);
    job = job_seal(&rig, &record);
    job->op.u.aead.dst_len--;
    expect_broken(job);
    job = job_seal(&rig, &record);
    job->op.u.aead.src_n = MILGI_OP_SLICES + 1;
    expect_broken(job);
    job = job_open(&rig, &record);
    job->op.key = NULL;
    expect_broken(job);
    job = job_open(&rig, &record);
    job->op.u.aead.dst = NULL;
    expect_broken(job);
    job = job_open(&rig, &record);
    job->op.key = &rig.signer[RIG_P256];
    expect_broken(job);
    job = job_keygen(&rig, MILGI_GROUP_X25519);
    job->op.alg = 0x7777;
    expect_broken(job);
    job = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    job->op.u.sign.input_len = MILGI_SIGN_INPUT_MAX + 1;
    expect_broken(job);
    job = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    job->op.key = &rig.trust;
    expect_broken(job);
    job = job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, false);
    job->op.u.sign.spki_len = job->op.u.sign.blob.len + 1;
    expect_broken(job);
}

static void it_gives_malformed_records_back_broken(void **state)
{
    static const struct job_aead record = { .len = 100, .inner = 23 };

    (void)state;
    for (int fault = 0; fault < 6; fault++) {
        for (int open = 0; open < 2; open++) {
            struct job *job = open == 1 ? job_open(&rig, &record) : job_seal(&rig, &record);
            struct milgi_op_aead *aead = &job->op.u.aead;
            switch (fault) {
            case 0: aead->aad_len = sizeof aead->aad + 1; break;
            case 1: aead->src[0].data = NULL; break;
            case 2: aead->src[0].len = 0xffffffff; break;
            case 3: aead->dst_len = 0; break;
            case 4: job->op.alg = job->op.alg == 0x1303 ? 0x1301 : 0x1303; break; /* not the key's */
            case 5: job->op.alg = 0; break;
            }
            expect_broken(job);
        }
    }
}

static void it_gives_malformed_handshake_ops_back_broken(void **state)
{
    struct job *job;

    (void)state;
    job = job_keygen(&rig, MILGI_GROUP_SECP256R1);
    job->op.u.kex.seed_len = MILGI_KEX_SEED_MAX + 1;
    expect_broken(job);
    job = job_derive(&rig, MILGI_GROUP_X25519, SHARE_GOOD);
    job->op.u.kex.secret_len = 0;
    expect_broken(job);
    job = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    job->op.alg = MILGI_SIG_ED25519;
    expect_broken(job);
    job = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    job->op.key = &rig.aead[0];
    expect_broken(job);
    job = job_chain(&rig, "server.test");
    job->op.key = NULL;
    expect_broken(job);
    job = job_chain(&rig, "server.test");
    job->op.u.chain.name_len = sizeof job->op.u.chain.name + 1;
    expect_broken(job);
}

/* What makes no sense has nothing to do with what stands beside it. */
static void a_malformed_op_does_no_harm_to_the_others_of_its_burst(void **state)
{
    struct job *jobs[9];

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        jobs[i] = cheap();
    for (unsigned i = 1; i < MILGI__COUNT(jobs); i += 3) {
        jobs[i]->op.type = jobs[i]->before.type = 200;
        jobs[i]->want = MILGI_OP_BROKEN;
    }
    assert_fine(rig_enqueue(&rig, jobs, MILGI__COUNT(jobs)));
    assert_fine(rig_finish(&rig, jobs, MILGI__COUNT(jobs)));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        job_free(jobs[i]);
}

static void it_breaks_an_op_whose_key_it_was_not_given(void **state)
{
    struct milgi_key stranger = rig.signer[RIG_P256];
    void *nothing[MILGI_DEVICES_MAX] = { NULL };

    (void)state;
    if (!has(MILGI_CAP_KEY_LOAD))
        skip();
    stranger.loaded.dev = nothing;
    struct job *job = job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    job->op.key = &stranger;
    expect_broken(job);
}

/* --- full, load, order ------------------------------------------------------------------------------------------ */

/* Offers one by one without taking anything back: how many were accepted of |n|. */
static unsigned offer(struct job **jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct milgi_op *op = &jobs[i]->op;
        if (rig.ops->enqueue(rig.qp, &op, 1) != 1)
            return i;
    }
    return n;
}

static void it_refuses_when_full_and_leaves_the_refused_op_alone(void **state)
{
    unsigned max = device->caps.max_in_flight, n = max + 3;
    struct job **jobs = calloc(n, sizeof *jobs);

    (void)state;
    assert_non_null(jobs);
    for (unsigned i = 0; i < n; i++)
        jobs[i] = cheap();
    unsigned accepted = offer(jobs, n);
    assert_in_range(accepted, 1, max);
    for (unsigned i = accepted; i < n; i++)
        assert_fine(job_untouched(jobs[i]));
    assert_fine(rig_finish(&rig, jobs, accepted));
    /* There is room again, for exactly those that were refused. */
    assert_fine(rig_enqueue(&rig, jobs + accepted, n - accepted));
    assert_fine(rig_finish(&rig, jobs + accepted, n - accepted));
    for (unsigned i = 0; i < n; i++)
        job_free(jobs[i]);
    free(jobs);
}

/* A mix of everything in bursts of any size; everything comes back once, and right. */
static const char *load(struct rig *r, unsigned rounds)
{
    struct job *jobs[48];
    const char *why = NULL;

    for (unsigned round = 0; round < rounds && !why; round++) {
        unsigned n = (unsigned)(1 + rig_random(r) % MILGI__COUNT(jobs));
        for (unsigned i = 0; i < n; i++)
            jobs[i] = job_any(r);
        for (unsigned at = 0; at < n && !why;) {
            unsigned burst = (unsigned)(1 + rig_random(r) % 12);
            burst = MILGI__MIN(burst, n - at);
            why = rig_enqueue(r, jobs + at, burst);
            at += burst;
        }
        if (!why)
            why = rig_finish(r, jobs, n);
        if (why)
            return why; /* what is still with the device must not be freed */
        for (unsigned i = 0; i < n; i++)
            job_free(jobs[i]);
    }
    return why;
}

static void it_gives_every_op_back_once_and_right_under_load(void **state)
{
    (void)state;
    assert_fine(load(&rig, rounds(15)));
}

static void it_keeps_the_order_if_it_says_so(void **state)
{
    struct job *jobs[40];
    struct milgi_op *ops[MILGI__COUNT(jobs)];
    unsigned got = 0;

    (void)state;
    if (!has(MILGI_CAP_IN_ORDER))
        skip();
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++) {
        jobs[i] = job_any(&rig);
        ops[i] = &jobs[i]->op;
    }
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, MILGI__COUNT(jobs)), MILGI__COUNT(jobs));
    for (int naps = 0; got < MILGI__COUNT(jobs) && naps < 20000; naps++) {
        struct milgi_op *op;
        while (rig.ops->dequeue(rig.qp, &op, 1) == 1)
            assert_ptr_equal(op, &jobs[got++]->op);
        nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
    assert_int_equal(got, MILGI__COUNT(jobs));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        job_free(jobs[i]);
}

/* Sleeps on the descriptor after every single burst: one lost wake-up and it hangs. */
static void arm_loses_no_wake_up(void **state)
{
    struct job *jobs[3];

    (void)state;
    if (rig.ops->notify_fd(rig.qp) < 0)
        skip();
    for (unsigned round = 0; round < rounds(1000); round++) {
        unsigned n = 1 + round % MILGI__COUNT(jobs);
        for (unsigned i = 0; i < n; i++)
            jobs[i] = cheap();
        assert_fine(rig_enqueue(&rig, jobs, n));
        for (uint64_t spin = rig_random(&rig) % 2000; spin > 0; spin--)
            __asm__ volatile("");
        assert_fine(rig_finish(&rig, jobs, n));
        for (unsigned i = 0; i < n; i++)
            job_free(jobs[i]);
    }
}

/* Whether the descriptor becomes readable, without its being asked for again. */
static bool rings(void)
{
    struct pollfd fd = { .fd = rig.ops->notify_fd(rig.qp), .events = POLLIN };
    return poll(&fd, 1, 10000) == 1;
}

static void a_dequeue_of_nothing_does_not_disarm(void **state)
{
    (void)state;
    if (rig.ops->notify_fd(rig.qp) < 0)
        skip();
    for (unsigned round = 0; round < rounds(50); round++) {
        bool signs = rig_can(&rig, MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256);
        struct job *job = signs ? job_sign(&rig, RIG_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256) : cheap();
        struct milgi_op *op;
        assert_fine(rig_enqueue(&rig, &job, 1));
        /* Armed, polled in vain, and not armed again. */
        if (rig.ops->arm(rig.qp) == 0) {
            job->back = rig.ops->dequeue(rig.qp, &op, 1) == 1;
            assert_true(job->back || rings());
        }
        assert_fine(rig_finish(&rig, &job, 1));
        job_free(job);
    }
}

static void armed_while_empty_it_tells_of_the_next_op(void **state)
{
    (void)state;
    if (rig.ops->notify_fd(rig.qp) < 0)
        skip();
    for (unsigned round = 0; round < 20; round++) {
        struct job *job = round % 4 == 0 ? job_any(&rig) : cheap();
        assert_int_equal(rig.ops->arm(rig.qp), 0);
        assert_fine(rig_enqueue(&rig, &job, 1));
        assert_true(rings());
        assert_fine(rig_finish(&rig, &job, 1));
        job_free(job);
    }
}

/* --- cancel, quiesce, keys -------------------------------------------------------------------------------------- */

/* Takes everything that comes back on its own or after quiesce, as done or cancelled. */
static void expect_done_or_cancelled(struct job **jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        while (!jobs[i]->back)
            assert_fine(rig_wait(&rig));
        if (jobs[i]->op.status != MILGI_OP_CANCELLED) {
            assert_fine(job_check(jobs[i]));
            continue;
        }
        if (jobs[i]->src)
            assert_memory_equal(jobs[i]->src, jobs[i]->src_before, jobs[i]->size);
        assert_memory_equal(&jobs[i]->op.u, &jobs[i]->before.u, sizeof jobs[i]->op.u);
    }
}

static void a_cancelled_op_comes_back_once_and_undone(void **state)
{
    struct job *jobs[24];

    (void)state;
    if (!rig.ops->cancel)
        skip();
    for (unsigned round = 0; round < rounds(20); round++) {
        for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
            jobs[i] = i % 4 == 0 ? cheap() : job_any(&rig);
        unsigned n = offer(jobs, MILGI__COUNT(jobs));
        for (unsigned i = n; i > 0; i -= MILGI__MIN(i, 3u))
            rig.ops->cancel(rig.qp, &jobs[i - 1]->op);
        expect_done_or_cancelled(jobs, n);
        for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
            job_free(jobs[i]);
    }
}

static void after_quiesce_nothing_is_written_and_everything_is_back(void **state)
{
    struct job *jobs[24];
    struct milgi_op *ops[MILGI__COUNT(jobs)];

    (void)state;
    for (unsigned round = 0; round < rounds(20); round++) {
        for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
            jobs[i] = job_any(&rig);
        unsigned n = offer(jobs, MILGI__COUNT(jobs)), got = 0, more;
        /* However short its time is: it answers then, and what it has not begun will not be. */
        int ended = round % 2 == 0 ? rig.ops->quiesce(rig.qp, round * 10000) : MILGI_EBUSY;
        assert_true(ended == 0 || ended == MILGI_EBUSY);
        assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
        /* Not one more sleep: all of them are there. */
        while ((more = rig.ops->dequeue(rig.qp, ops + got, n - got)) > 0)
            got += more;
        assert_int_equal(got, n);
        for (unsigned i = 0; i < n; i++) {
            assert_false(job_of(ops[i])->back);
            job_of(ops[i])->back = true;
        }
        expect_done_or_cancelled(jobs, n);
        for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
            job_free(jobs[i]);
        assert_fine(rig_run(&rig, job_any(&rig)));
    }
}

static void keys_come_and_go(void **state)
{
    (void)state;
    for (unsigned round = 0; round < rounds(10); round++) {
        for (int suite = 0; suite < RIG_SUITES; suite++) {
            rig_key_free(&rig, &rig.aead[suite]);
            rig.aead[suite].raw[round % 16] ^= 0x55;
            assert_true(rig_key_load(&rig, &rig.aead[suite]));
        }
        rig_key_free(&rig, &rig.signer[RIG_P256]);
        rig_key_free(&rig, &rig.trust);
        assert_true(rig_key_load(&rig, &rig.signer[RIG_P256]));
        assert_true(rig_key_load(&rig, &rig.trust));
        assert_fine(load(&rig, 1));
    }
}

/* Serials are never used twice; here they are, so that whoever still has something of the old key shows it. */
static void a_freed_key_is_forgotten(void **state)
{
    (void)state;
    if (!rig_can(&rig, MILGI_OP_SEAL, rig.aead[0].alg))
        skip(); /* it is never given one */
    for (unsigned round = 0; round < 6; round++) {
        struct milgi_key others[100];
        assert_fine(load(&rig, 2));
        for (int suite = 0; suite < RIG_SUITES; suite++) {
            struct milgi_key *key = &rig.aead[suite];
            rig_key_free(&rig, key);
            key->raw[round] ^= 0x55;
        }
        /* Many more that go may not push them out. */
        for (unsigned i = 0; round % 2 == 1 && i < MILGI__COUNT(others); i++) {
            others[i] = rig.aead[i % RIG_SUITES];
            assert_true(rig_key_load(&rig, &others[i]));
            rig_key_free(&rig, &others[i]);
        }
        assert_fine(load(&rig, 2));
    }
}

static void queue_pairs_come_and_go(void **state)
{
    (void)state;
    for (unsigned round = 0; round < rounds(20); round++) {
        struct rig other;
        assert_fine(rig_open(&other, device, false, round + 100));
        assert_fine(load(&other, 1));
        if (other.ops->notify_fd(other.qp) >= 0 && round % 2 == 0)
            (void)other.ops->arm(other.qp);
        rig_close(&other);
    }
    assert_fine(load(&rig, 1));
}

struct engine {
    pthread_t thread;
    uint64_t seed;
    const char *why;
    char text[160];
};

static void *run_engine(void *arg)
{
    struct engine *engine = arg;
    struct rig mine;

    engine->why = rig_open(&mine, device, false, engine->seed);
    if (!engine->why)
        engine->why = load(&mine, rounds(6));
    if (engine->why) { /* the text is the thread's */
        snprintf(engine->text, sizeof engine->text, "%s", engine->why);
        engine->why = engine->text;
        return NULL;
    }
    rig_close(&mine);
    return NULL;
}

static void engines_in_several_threads_share_it(void **state)
{
    struct engine engines[3] = { { .seed = 11 }, { .seed = 12 }, { .seed = 13 } };

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(engines); i++)
        assert_int_equal(pthread_create(&engines[i].thread, NULL, run_engine, &engines[i]), 0);
    for (unsigned i = 0; i < MILGI__COUNT(engines); i++)
        pthread_join(engines[i].thread, NULL);
    for (unsigned i = 0; i < MILGI__COUNT(engines); i++)
        assert_fine(engines[i].why);
}

/* --- all of it, for one description ----------------------------------------------------------------------------- */

#define CASE(function) \
    { \
#function, function, setup, alone_teardown, NULL \
    }
static const struct CMUnitTest suite[] = {
    CASE(it_says_what_it_is),
    CASE(it_seals_and_opens_every_length),
    CASE(it_seals_and_opens_in_place_if_it_says_so),
    CASE(it_rejects_forged_records_and_wipes_them),
    CASE(it_encapsulates_and_decapsulates),
    CASE(it_exchanges_keys_and_rejects_bad_shares),
    CASE(it_signs_and_verifies_with_every_key),
    CASE(it_rejects_a_key_that_does_not_fit_the_scheme),
    CASE(it_accepts_good_chains_and_rejects_bad_ones),
    CASE(it_gives_malformed_kem_ops_back_broken),
    CASE(it_gives_malformed_ops_back_broken),
    CASE(it_gives_malformed_records_back_broken),
    CASE(it_gives_malformed_handshake_ops_back_broken),
    CASE(a_malformed_op_does_no_harm_to_the_others_of_its_burst),
    CASE(it_breaks_an_op_whose_key_it_was_not_given),
    CASE(it_refuses_when_full_and_leaves_the_refused_op_alone),
    CASE(it_gives_every_op_back_once_and_right_under_load),
    CASE(it_keeps_the_order_if_it_says_so),
    CASE(arm_loses_no_wake_up),
    CASE(a_dequeue_of_nothing_does_not_disarm),
    CASE(armed_while_empty_it_tells_of_the_next_op),
    CASE(a_cancelled_op_comes_back_once_and_undone),
    CASE(after_quiesce_nothing_is_written_and_everything_is_back),
    CASE(keys_come_and_go),
    CASE(a_freed_key_is_forgotten),
    CASE(queue_pairs_come_and_go),
    CASE(engines_in_several_threads_share_it),
};

static bool is_for(const char *spec, const char *name)
{
    size_t len = strlen(name);
    return strncmp(spec, name, len) == 0 && (spec[len] == ':' || spec[len] == '\0');
}

static int skipped;

static int run_suite(const char *spec)
{
    struct CMUnitTest tests[MILGI__COUNT(suite)];
    char names[MILGI__COUNT(suite)][160], text[100];

    snprintf(text, sizeof text, "%s", spec);
    if (!rig_is_here(spec)) {
        skipped++;
        return 0;
    }
    if (is_for(spec, "pkcs11") && !rig_tokens(strstr(spec, "p11-kit-client") != NULL)) {
        print_message("%s: not tested, since SoftHSM or p11-kit is not installed\n", spec);
        return 0;
    }
    for (unsigned i = 0; i < MILGI__COUNT(suite); i++) {
        tests[i] = suite[i];
        snprintf(names[i], sizeof names[i], "%s: %s", spec, suite[i].name);
        tests[i].name = names[i];
        tests[i].initial_state = text;
    }
    return _cmocka_run_group_tests(spec, tests, MILGI__COUNT(tests), NULL, NULL);
}

static int run_device(const char *name)
{
    int failed = 0;
    bool known = false;

    for (unsigned i = 0; i < MILGI__COUNT(specs); i++) {
        if (!is_for(specs[i], name))
            continue;
        known = true;
        failed += run_suite(specs[i]);
    }
    return known ? failed : run_suite(name);
}

int main(int argc, char **argv)
{
    int failed = 0;

    rig_prepare();
    for (int i = 1; i < argc; i++)
        failed += run_suite(argv[i]);
    for (const char *const *name = milgi_device_names(); argc == 1 && *name; name++)
        failed += run_device(*name);
    rig_tokens_done();
    rig_done();
    if (failed != 0)
        return 1;
    return skipped > 0 && skipped == argc - 1 ? 77 : 0;
}
