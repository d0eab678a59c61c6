/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is special to the device dpdk: its words, the process's one EAL, what the cryptodev has and has not, sessions,
 * and cryptodevs that give nothing back.
 */
#include "bed.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cryptodev.h>

#include "base/base.h"
#include "rig.h"

/* --- words -------------------------------------------------------------------------------------------------------- */

static void check_refused(const char *spec, int error, const char *part)
{
    struct milgi_device *device;
    const char *why = NULL;

    assert_int_equal(milgi_device_new(spec, &device, &why), error);
    assert_null(device);
    if (!strstr(why, part))
        fail_msg("%s: %s", spec, why);
}

static void words_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    check_refused("dpdk", MILGI_EINVAL, "one of vdev=");
    check_refused("dpdk:vdev=crypto_aesni_mb,pci=0000:01:00.0", MILGI_EINVAL, "one of vdev=");
    check_refused("dpdk:vdev=crypto_aesni_mb,memory=3m", MILGI_EINVAL, "memory");
    check_refused("dpdk:vdev=crypto_aesni_mb,depth=0", MILGI_EINVAL, "depth");
    check_refused("dpdk:vdev=crypto_aesni_mb,workers=99", MILGI_EINVAL, "workers");
    check_refused("dpdk:vdev=crypto_scheduler,mode=sideways", MILGI_EINVAL, "mode");
    check_refused("dpdk:vdev=crypto_aesni_mb,speed=9", MILGI_EINVAL, "the words are");
    static const char *const ends[] = { "--help", "--no-pci+--hel", "-h", "--no-pci+-vh+-v" };
    for (unsigned i = 0; i < MILGI__COUNT(ends); i++) {
        char spec[100];
        snprintf(spec, sizeof spec, "dpdk:vdev=crypto_aesni_mb,eal=%s", ends[i]);
        check_refused(spec, MILGI_EINVAL, "ends the process");
    }
}

static void a_cryptodev_is_one_devices_alone(void **state)
{
    char spec[100];
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_mb,memory=2m");
    uint8_t id = milgi_device_dpdk_id(device);

    (void)state;
    snprintf(spec, sizeof spec, "dpdk:memory=2m,name=%s", rte_cryptodev_name_get(id));
    check_refused(spec, MILGI_EUNSUPPORTED, "another device's");
    rte_cryptodev_stop(id); /* nor is it anybody's then */
    check_refused(spec, MILGI_EUNSUPPORTED, "another device's");
    milgi_device_free(device);
}

static int (*add_cryptodev)(const char *bus, const char *name, const char *arguments);
static int (*remove_cryptodev)(const char *bus, const char *name);

/* EAL is there for the module alone. */
static void find_eal(void)
{
    *(void **)&add_cryptodev = dlsym(RTLD_DEFAULT, "rte_eal_hotplug_add");
    *(void **)&remove_cryptodev = dlsym(RTLD_DEFAULT, "rte_eal_hotplug_remove");
    assert_true(add_cryptodev && remove_cryptodev);
}

/*
 * Instead of DPDK's: threads that look for a cryptodev wait for each other before they take the one that they have
 * found; not for long, since they look one at a time.
 */
static _Atomic bool waits;
static _Atomic unsigned looking;

__attribute__((visibility("default"))) unsigned int rte_cryptodev_is_valid_dev(uint8_t id)
{
    unsigned (*real)(uint8_t id);

    *(void **)&real = dlsym(RTLD_NEXT, "rte_cryptodev_is_valid_dev");
    if (waits && id == RTE_CRYPTO_MAX_DEVS - 1) {
        looking++;
        for (unsigned ms = 0; ms < 200 && looking < 2; ms++)
            usleep(1000);
    }
    return real(id);
}

static void *makes_device(void *device)
{
    const char *why = NULL;

    return milgi_device_new("dpdk:pci=crypto_openssl_pair,memory=2m", device, &why) ? (void *)(uintptr_t)why : NULL;
}

static void threads_that_make_devices_at_once_have_one_each(void **state)
{
    static const char *const names[] = { "crypto_openssl_pair_a", "crypto_openssl_pair_b" };
    struct milgi_device *first = bed_device("dpdk:vdev=crypto_openssl,memory=2m"), *device[2];
    pthread_t thread[2];
    void *why[2];

    (void)state;
    find_eal();
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(add_cryptodev("vdev", names[i], ""), 0);
    waits = true;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, makes_device, &device[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], &why[i]), 0);
    waits = false;
    assert_true(looking > 0);
    for (unsigned i = 0; i < 2; i++) {
        if (why[i])
            fail_msg("%s", (const char *)why[i]);
        milgi_device_free(device[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(remove_cryptodev("vdev", names[i]), 0);
    milgi_device_free(first);
}

/* As a card's function has one for records and one for keys, in whatever order, and perhaps one of no use. */
static void of_a_cards_cryptodevs_the_one_for_records_is_taken(void **state)
{
    static const char *const names[] = { "crypto_null_of_card", "crypto_openssl_of_card" };
    struct milgi_device *device;

    (void)state;
    find_eal();
    for (unsigned i = 0; i < MILGI__COUNT(names); i++)
        assert_int_equal(add_cryptodev("vdev", names[i], ""), 0);
    device = bed_device("dpdk:pci=crypto,memory=2m");
    assert_string_equal(rte_cryptodev_name_get(milgi_device_dpdk_id(device)), names[1]);
    check_refused("dpdk:pci=crypto,memory=2m", MILGI_EUNSUPPORTED, "another device's");
    check_refused("dpdk:pci=crypto_nul,memory=2m", MILGI_EUNSUPPORTED, "no such cryptodev"); /* a part of an address */
    milgi_device_free(device);
    for (unsigned i = 0; i < MILGI__COUNT(names); i++)
        assert_int_equal(remove_cryptodev("vdev", names[i]), 0);
}

static void what_is_not_there_is_refused_with_what_it_is(void **state)
{
    (void)state;
    check_refused("dpdk:vdev=crypto_null", MILGI_EUNSUPPORTED, "neither AES-GCM");
    check_refused("dpdk:vdev=crypto_of_nobody", MILGI_EUNSUPPORTED, "no driver of this name");
    check_refused("dpdk:vdev=crypto_scheduler,worker=crypto_of_nobody", MILGI_EUNSUPPORTED, "worker");
    check_refused("dpdk:vdev=crypto_scheduler,worker=crypto_null", MILGI_EUNSUPPORTED, "neither AES-GCM");
    check_refused("dpdk:name=nobody", MILGI_EUNSUPPORTED, "no such cryptodev");
    check_refused("dpdk:vdev=crypto_aesni_mb,memory=8g", MILGI_ENOMEM, "memory");
    /* No engine could have a queue pair. */
    check_refused("dpdk:vdev=crypto_aesni_mb,memory=2m,sessions=1048576", MILGI_ENOMEM, "sessions=");
    check_refused("dpdx:vdev=crypto_null", MILGI_EUNSUPPORTED, "no device of this name");
    check_refused("../dpdk:vdev=crypto_null", MILGI_EUNSUPPORTED, "no device of this name");
}

static void what_the_cryptodev_has_the_device_offers(void **state)
{
    static const struct {
        const char *spec;
        bool gcm, chacha, rsa;
    } all[] = {
        { "dpdk:vdev=crypto_openssl", true, false, true },
        { "dpdk:vdev=crypto_aesni_mb", true, true, false },
        { "dpdk:vdev=crypto_aesni_gcm", true, false, false },
        { "dpdk:vdev=crypto_chacha20_poly1305", false, true, false },
        { "dpdk:vdev=crypto_scheduler,worker=crypto_aesni_gcm,mode=round-robin", true, false, false },
    };
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(all); i++) {
        struct milgi_device *d = bed_device(all[i].spec);
        assert_int_equal(d->ops->supports(d, MILGI_OP_SEAL, MILGI_SUITE_AES_128_GCM_SHA256), all[i].gcm);
        assert_int_equal(d->ops->supports(d, MILGI_OP_OPEN, MILGI_SUITE_AES_256_GCM_SHA384), all[i].gcm);
        assert_int_equal(d->ops->supports(d, MILGI_OP_OPEN, MILGI_SUITE_CHACHA20_POLY1305_SHA256), all[i].chacha);
        assert_int_equal(d->ops->supports(d, MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256), all[i].rsa);
        assert_int_equal(d->ops->supports(d, MILGI_OP_SIGN, MILGI_SIG_ECDSA_SECP256R1_SHA256), 0);
        assert_int_equal((d->caps.ops & MILGI_OP_BIT(MILGI_OP_SIGN)) != 0, all[i].rsa);
        milgi_device_free(d);
    }
}

/* --- the process's one EAL ---------------------------------------------------------------------------------------- */

static void a_child_of_the_process_that_has_eal_is_refused(void **state)
{
    int status;

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct milgi_device *device;
        const char *why = "";
        int rv = milgi_device_new("dpdk:vdev=crypto_aesni_mb", &device, &why);
        _exit(rv == MILGI_EUNSUPPORTED && strstr(why, "fork()") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Of all that there are now, those of EAL's among them. */
static unsigned threads_that_take_signals(void)
{
    unsigned n = 0, seen = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], line[256];
        unsigned long long blocked;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (status && fgets(line, sizeof line, status)) { /* one that has ended since says nothing */
            if (sscanf(line, "SigBlk: %llx", &blocked) != 1)
                continue;
            seen++;
            n += !(blocked >> (SIGTERM - 1) & 1);
        }
        if (status)
            fclose(status);
    }
    closedir(tasks);
    assert_true(seen > 2);
    return n;
}

static void the_thread_that_makes_a_device_is_bound_to_no_core_and_no_other_takes_signals(void **state)
{
    cpu_set_t before, after;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_scheduler");
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    assert_int_equal(threads_that_take_signals(), 1); /* this one */
    milgi_device_free(device);
}

static void cores_are_given_to_one_scheduler_only_and_come_back(void **state)
{
    static const char spec[] = "dpdk:vdev=crypto_scheduler,memory=2m,depth=8";
    struct milgi_device *device[64];
    const char *why;
    unsigned n = 0;

    (void)state;
    for (int round = 0; round < 2; round++, n = 0) {
        while (n < MILGI__COUNT(device) && milgi_device_new(spec, &device[n], &why) == 0)
            n++;
        assert_in_range(n, 1, 32);
        assert_non_null(strstr(why, "cores"));
        while (n > 0)
            milgi_device_free(device[--n]);
    }
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

static void sessions_are_few_and_end_with_their_keys(void **state)
{
    struct rig rig;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_mb,depth=4,sessions=4,memory=8m");
    assert_fine(rig_open(&rig, device, false, 1));
    for (unsigned i = 0; i < 20; i++) {
        struct job_aead what = { .suite = (enum rig_suite)(i % RIG_SUITES), .len = 100, .inner = 23 };
        assert_fine(rig_run(&rig, job_seal(&rig, &what)));
        assert_fine(rig_run(&rig, job_open(&rig, &what)));
        assert_in_range(bed_stats(device).sessions, 1, 4);
    }
    for (int i = 0; i < RIG_SUITES; i++)
        rig_key_free(&rig, &rig.aead[i]);
    assert_int_equal(bed_stats(device).sessions, 0);
    for (int i = 0; i < RIG_SUITES; i++)
        assert_true(rig_key_load(&rig, &rig.aead[i]));
    rig_close(&rig);
    milgi_device_free(device);
}

static unsigned found_in(const uint8_t *at, size_t len, const uint8_t masked[32])
{
    unsigned n = 0;

    for (const uint8_t *p = at; len >= 32 && (p = memchr(p, masked[0] ^ 0xa5, (size_t)(at + len - 31 - p))); p++) {
        unsigned k = 0;
        while (k < 32 && p[k] == (uint8_t)(masked[k] ^ 0xa5))
            k++;
        n += k == 32;
        if (p == at + len - 32)
            break;
    }
    return n;
}

/* How often a key, which the test has |masked| only, is in EAL's memory. */
static unsigned found(const uint8_t masked[32])
{
    enum {
        STEP = 1 << 20
    };
    unsigned n = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    FILE *mem = fopen("/proc/self/mem", "r");
    uint8_t *part = malloc(STEP);

    assert_true(maps && mem && part);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[8];
        /* Without huge pages it is a file of this name. */
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || strncmp(mode, "rw", 2) != 0 ||
            !strstr(line, "nohuge"))
            continue;
        for (unsigned long at = from; at < to; at += STEP - 32) {
            size_t want = to - at < STEP ? to - at : STEP;
            if (fseek(mem, (long)at, SEEK_SET) == 0 && fread(part, 1, want, mem) == want)
                n += found_in(part, want, masked);
        }
    }
    free(part);
    fclose(mem);
    fclose(maps);
    return n;
}

static void check_wiped(const char *spec)
{
    struct rig rig;
    struct job_aead what = { .suite = RIG_AES_256_GCM, .len = 100, .inner = 23 };
    uint8_t masked[32];

    struct milgi_device *device = bed_device(spec);
    assert_fine(rig_open(&rig, device, false, 9));
    for (size_t i = 0; i < sizeof masked; i++)
        masked[i] = rig.aead[RIG_AES_256_GCM].raw[i] ^ 0xa5;
    assert_fine(rig_run(&rig, job_seal(&rig, &what)));
    assert_in_range(found(masked), 1, 100); /* else the test sees nothing */
    rig_key_free(&rig, &rig.aead[RIG_AES_256_GCM]);
    assert_int_equal(found(masked), 0);
    rig_close(&rig);
    milgi_device_free(device);
}

static void keys_are_wiped_from_the_memory_of_a_cryptodev(void **state)
{
    (void)state;
    check_wiped("dpdk:vdev=crypto_aesni_mb,memory=2m");
}

static void keys_are_wiped_from_the_memory_of_a_schedulers_workers(void **state)
{
    (void)state;
    check_wiped("dpdk:vdev=crypto_scheduler,mode=round-robin,memory=2m");
}

static void an_rsa_key_signs_with_its_own_schemes_alone(void **state)
{
    static const struct {
        enum rig_signer signer;
        uint16_t scheme;
    } wrong[] = {
        { RIG_RSA, MILGI_SIG_RSA_PSS_PSS_SHA256 },
        { RIG_RSA_PSS, MILGI_SIG_RSA_PSS_RSAE_SHA256 },
        { RIG_RSA_PSS, MILGI_SIG_RSA_PKCS1_SHA256 },
        { RIG_P256, MILGI_SIG_RSA_PSS_RSAE_SHA256 },
    };
    struct rig rig;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_openssl,memory=2m");
    assert_fine(rig_open(&rig, device, false, 1));
    for (unsigned i = 0; i < MILGI__COUNT(wrong); i++) {
        struct job *job = job_sign(&rig, wrong[i].signer, wrong[i].scheme);
        job->want = MILGI_OP_BROKEN;
        assert_fine(rig_enqueue(&rig, &job, 1));
        assert_fine(rig_finish(&rig, &job, 1));
        assert_int_equal(job->op.device_code, MILGI_CODE_NO_KEY);
        job_free(job);
    }
    rig_close(&rig);
    milgi_device_free(device);
}

/* --- engines that share a queue pair ---------------------------------------------------------------------------- */

/* As many as have room for all their ops; and each has. */
static void a_queue_pair_has_room_for_all_that_share_it(void **state)
{
    enum {
        DEPTH = 1024
    };
    static struct rig rig[70];
    static struct job *jobs[DEPTH];
    struct milgi_op *op;
    unsigned n = 0;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_gcm,queues=1,depth=1024,memory=16m");
    while (n < MILGI__COUNT(rig) && !rig_open(&rig[n], device, false, n))
        n++;
    assert_in_range(n, 2, 8);
    rig_close(&rig[n]); /* which got no queue pair */
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < DEPTH; k++) {
            op = &(jobs[k] = job_small(&rig[i]))->op;
            assert_int_equal(rig[i].ops->enqueue(rig[i].qp, &op, 1), 1);
        }
        op = &job_small(&rig[i])->op;
        assert_int_equal(rig[i].ops->enqueue(rig[i].qp, &op, 1), 0);
        job_free(job_of(op));
        if (i == 0) /* those of the first stay inside while the others come */
            continue;
        assert_fine(rig_finish(&rig[i], jobs, DEPTH));
        for (unsigned k = 0; k < DEPTH; k++)
            job_free(jobs[k]);
    }
    for (unsigned got = 0; got < DEPTH; got++) {
        while (rig[0].ops->dequeue(rig[0].qp, &op, 1) == 0) {
        }
        job_of(op)->back = true;
        assert_fine(job_check(job_of(op)));
        job_free(job_of(op));
    }
    while (n > 0)
        rig_close(&rig[--n]);
    milgi_device_free(device);
}

/* --- what ops take ------------------------------------------------------------------------------------------------ */

#define SESSION_NS 1000000

static uint64_t slow_ns;

/* A nanosecond whenever somebody looks. */
static uint64_t slow_clock(void *ctx)
{
    (void)ctx;
    return ++slow_ns;
}

/* Instead of DPDK's, which it calls. */
__attribute__((visibility("default"))) void *rte_cryptodev_sym_session_create(
    uint8_t id, struct rte_crypto_sym_xform *xform, struct rte_mempool *pool)
{
    void *(*driver)(uint8_t, struct rte_crypto_sym_xform *, struct rte_mempool *);

    *(void **)&driver = dlsym(RTLD_NEXT, "rte_cryptodev_sym_session_create");
    slow_ns += SESSION_NS;
    return driver(id, xform, pool);
}

/* A key's session, and what the cryptodev cannot do, are made on the engine's thread as well. */
static void what_ops_take_beside_the_cryptodev_is_told(void **state)
{
    const struct job_aead plain = { .suite = RIG_AES_128_GCM, .len = 100, .inner = 23 };
    const struct job_aead in_place = { .suite = RIG_AES_128_GCM, .len = 100, .inner = 23, .in_place = true };
    const struct {
        const struct job_aead *what;
        uint32_t least, most;
    } runs[] = { { &plain, SESSION_NS, 2 * SESSION_NS }, { &plain, 1, SESSION_NS - 1 }, { &in_place, 1, SESSION_NS } };
    struct rig rig;
    struct milgi_op *op;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_mb,depth=4,memory=2m");
    assert_fine(rig_open(&rig, device, false, 1));
    rig.clock.monotonic_ns = slow_clock;
    for (unsigned i = 0; i < MILGI__COUNT(runs); i++) {
        struct job *job = job_seal(&rig, runs[i].what);
        op = &job->op;
        assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 1);
        for (unsigned turns = 0; turns < 1000 && rig.ops->dequeue(rig.qp, &op, 1) == 0; turns++) {
        }
        job->back = true;
        assert_fine(job_check(job));
        assert_in_range(op->service_ns, runs[i].least, runs[i].most);
        job_free(job);
    }
    assert_int_equal(bed_stats(device).software_ops, 1);
    rig_close(&rig);
    milgi_device_free(device);
}

/* As ESP has them: no inner type, and additional data of another length than TLS has. */
static void records_of_another_protocol_are_the_cryptodevs(void **state)
{
    const struct job_aead what = { .suite = RIG_AES_256_GCM, .len = 1400 };
    struct rig rig;
    struct milgi_op *op;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_mb,depth=4,memory=2m");
    assert_fine(rig_open(&rig, device, false, 1));
    struct job *job = job_seal(&rig, &what);
    job->op.u.aead.aad_len = 8;
    op = &job->op;
    assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 1);
    for (unsigned turns = 0; turns < 1000 && rig.ops->dequeue(rig.qp, &op, 1) == 0; turns++) {
    }
    assert_int_equal(op->status, MILGI_OP_OK);
    assert_int_equal(bed_stats(device).cryptodev_ops, 1);
    assert_int_equal(bed_stats(device).software_ops + bed_stats(device).bytes_copied, 0);
    job_free(job);
    rig_close(&rig);
    milgi_device_free(device);
}

/* --- a cryptodev that gives nothing back -------------------------------------------------------------------------- */

static void an_abandoned_queue_pair_is_used_again_when_all_is_back(void **state)
{
    struct rig rig, other;
    struct job *jobs[6];
    struct milgi_op *ops[MILGI__COUNT(jobs)];

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_mb,queues=1,depth=8,memory=8m");
    assert_fine(rig_open(&rig, device, false, 3));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        ops[i] = &(jobs[i] = job_small(&rig))->op;
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, MILGI__COUNT(ops)), MILGI__COUNT(ops));
    rte_cryptodev_stop(milgi_device_dpdk_id(device));
    assert_int_equal(rig.ops->dequeue(rig.qp, ops, MILGI__COUNT(ops)), 0);
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, 1), 0); /* it is full: what else could it say? */
    assert_int_equal(rig.ops->quiesce(rig.qp, 1000000), MILGI_EBUSY);
    rig.ops->qp_close(rig.qp);
    assert_int_equal(rte_cryptodev_start(milgi_device_dpdk_id(device)), 0);
    /* Another engine: it gets its own ops only, and those of the first are given to nobody. */
    assert_fine(rig_open(&other, device, false, 4));
    for (unsigned i = 0; i < 20; i++)
        assert_fine(rig_run(&other, job_small(&other)));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        assert_int_equal(jobs[i]->op.status, MILGI_OP_PENDING);
    rig_close(&other);
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        job_free(jobs[i]);
    rig.qp = NULL;
    rig_close(&rig);
    unsigned left = milgi_devices_left();
    milgi_device_free(device);
    assert_int_equal(milgi_devices_left(), left);
}

/* What others have in the cryptodev before it is more than a burst: who wants his own takes that out, too. */
static void ops_are_found_behind_any_number_of_anothers(void **state)
{
    enum {
        BEFORE = 200
    };
    struct rig mine, other;
    struct job *before[BEFORE], *job;
    struct milgi_op *op;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_gcm,queues=1,memory=8m");
    unsigned left = milgi_devices_left();
    for (int round = 0; round < 2; round++) { /* by quiesce(), and abandoned */
        assert_fine(rig_open(&mine, device, false, 1));
        assert_fine(rig_open(&other, device, false, 2));
        for (unsigned i = 0; i < BEFORE; i++) {
            op = &(before[i] = job_small(&other))->op;
            assert_int_equal(other.ops->enqueue(other.qp, &op, 1), 1);
        }
        op = &(job = job_small(&mine))->op;
        assert_int_equal(mine.ops->enqueue(mine.qp, &op, 1), 1);
        if (round == 0) {
            assert_int_equal(mine.ops->quiesce(mine.qp, 0), 0);
            assert_int_equal(mine.ops->dequeue(mine.qp, &op, 1), 1);
            assert_fine(rig_finish(&other, before, BEFORE));
        } else {
            mine.ops->qp_close(mine.qp);
            other.ops->qp_close(other.qp);
            mine.qp = other.qp = NULL;
        }
        job_free(job);
        for (unsigned i = 0; i < BEFORE; i++)
            job_free(before[i]);
        rig_close(&mine);
        rig_close(&other);
    }
    milgi_device_free(device);
    assert_int_equal(milgi_devices_left(), left);
}

static dequeue_pkt_burst_t plain_dequeue;
static unsigned may_come;

static uint16_t sparing_dequeue(void *qp, struct rte_crypto_op **ops, uint16_t n)
{
    uint16_t came = plain_dequeue(qp, ops, (uint16_t)MILGI__MIN(n, may_come));

    may_come -= came;
    return came;
}

/* Of two records one has come back, the other has not: until it does the memory stays, but for what was in it. */
static void what_was_copied_is_wiped_though_its_engine_has_gone(void **state)
{
    struct rig rig, other;
    struct job_aead what = { .suite = RIG_AES_256_GCM, .len = 100 };
    struct milgi_op *op;
    struct job *jobs[2];
    uint8_t masked[32];

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_gcm,copy,queues=1,depth=8,memory=2m");
    struct rte_crypto_fp_ops *driver = &rte_crypto_fp_ops[milgi_device_dpdk_id(device)];
    assert_fine(rig_open(&rig, device, false, 3));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++) {
        op = &(jobs[i] = job_open(&rig, &what))->op;
        assert_int_equal(rig.ops->enqueue(rig.qp, &op, 1), 1);
    }
    for (size_t i = 0; i < sizeof masked; i++)
        masked[i] = jobs[0]->result[i] ^ 0xa5;
    rig.ops->qp_close(rig.qp);
    plain_dequeue = driver->dequeue_burst;
    driver->dequeue_burst = sparing_dequeue;
    may_come = 1;
    uint64_t came = bed_stats(device).cryptodev_ops;
    assert_fine(rig_open(&other, device, false, 4));
    assert_int_equal(bed_stats(device).cryptodev_ops, came + 1);
    assert_int_equal(found(masked), 0);
    driver->dequeue_burst = plain_dequeue;
    rig_close(&other);
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        job_free(jobs[i]);
    rig.qp = NULL;
    rig_close(&rig);
    unsigned left = milgi_devices_left();
    milgi_device_free(device);
    assert_int_equal(milgi_devices_left(), left);
}

static enqueue_pkt_burst_t plain_enqueue;

/* As drivers do, which answer with fewer ops for both: takes what stands before the second of a burst, and not that. */
static uint16_t choosy_enqueue(void *qp, struct rte_crypto_op **ops, uint16_t n)
{
    static bool began;

    if (!began) {
        began = true;
        return plain_enqueue(qp, ops, MILGI__MIN(n, 1));
    }
    ops[0]->status = RTE_CRYPTO_OP_STATUS_INVALID_ARGS;
    return 0;
}

/* It is not full then: the op comes back, and those behind it are not held up. */
static void an_op_that_a_cryptodev_does_not_take_comes_back_broken(void **state)
{
    struct rig rig;
    struct job *jobs[2];
    struct milgi_op *ops[2], *back[2];
    unsigned n = 0;

    (void)state;
    struct milgi_device *device = bed_device("dpdk:vdev=crypto_aesni_mb,depth=8,memory=8m");
    struct rte_crypto_fp_ops *driver = &rte_crypto_fp_ops[milgi_device_dpdk_id(device)];
    assert_fine(rig_open(&rig, device, false, 5));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        ops[i] = &(jobs[i] = job_small(&rig))->op;
    plain_enqueue = driver->enqueue_burst;
    driver->enqueue_burst = choosy_enqueue;
    assert_int_equal(rig.ops->enqueue(rig.qp, ops, 2), 2);
    driver->enqueue_burst = plain_enqueue;
    for (unsigned turns = 0; turns < 1000 && n < 2; turns++)
        n += rig.ops->dequeue(rig.qp, back + n, 2 - n);
    assert_int_equal(n, 2);
    assert_int_equal(jobs[0]->op.status, MILGI_OP_OK);
    assert_int_equal(jobs[1]->op.status, MILGI_OP_BROKEN);
    assert_int_equal(jobs[1]->op.device_code, MILGI_CODE_DPDK_REFUSED);
    assert_fine(rig_run(&rig, job_small(&rig)));
    for (unsigned i = 0; i < MILGI__COUNT(jobs); i++)
        job_free(jobs[i]);
    rig_close(&rig);
    milgi_device_free(device);
}

static int setup(void **state)
{
    (void)state;
    rig_prepare();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_make_no_sense_are_refused),
        cmocka_unit_test(what_is_not_there_is_refused_with_what_it_is),
        cmocka_unit_test(a_cryptodev_is_one_devices_alone),
        cmocka_unit_test(threads_that_make_devices_at_once_have_one_each),
        cmocka_unit_test(of_a_cards_cryptodevs_the_one_for_records_is_taken),
        cmocka_unit_test(what_the_cryptodev_has_the_device_offers),
        cmocka_unit_test(a_child_of_the_process_that_has_eal_is_refused),
        cmocka_unit_test(the_thread_that_makes_a_device_is_bound_to_no_core_and_no_other_takes_signals),
        cmocka_unit_test(cores_are_given_to_one_scheduler_only_and_come_back),
        cmocka_unit_test(sessions_are_few_and_end_with_their_keys),
        cmocka_unit_test(keys_are_wiped_from_the_memory_of_a_cryptodev),
        cmocka_unit_test(keys_are_wiped_from_the_memory_of_a_schedulers_workers),
        cmocka_unit_test(an_rsa_key_signs_with_its_own_schemes_alone),
        cmocka_unit_test(a_queue_pair_has_room_for_all_that_share_it),
        cmocka_unit_test(what_ops_take_beside_the_cryptodev_is_told),
        cmocka_unit_test(records_of_another_protocol_are_the_cryptodevs),
        cmocka_unit_test(ops_are_found_behind_any_number_of_anothers),
        cmocka_unit_test(what_was_copied_is_wiped_though_its_engine_has_gone),
        cmocka_unit_test(an_op_that_a_cryptodev_does_not_take_comes_back_broken),
        cmocka_unit_test(an_abandoned_queue_pair_is_used_again_when_all_is_back),
    };

    bed_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
