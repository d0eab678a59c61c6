/* SPDX-License-Identifier: Apache-2.0 */
/* afalg: the AEADs of the kernel, and with them whatever processor it has a driver for, through sockets of AF_ALG. */
#include "device/afalg/afalg.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/context.h"
#include "device/afalg/drivers.h"
#include "device/spec.h"

#define DEPTH_DEFAULT 64
#define DEPTH_MAX 1024
#define WORKERS_MAX 256
#define WAKE_NS 15000
#define IDLE_NS (10 * UINT64_C(1000000000))
#define IDLE_MAX_NS (3600 * UINT64_C(1000000000))
#define TRIAL_NS (5 * UINT64_C(1000000000))

static const struct suite {
    uint16_t id;
    uint8_t key_len;
    const char *name, *of_kernel;
} suites[MILGI__AFALG_SUITES] = {
    { MILGI_SUITE_AES_128_GCM_SHA256, 16, "AES-128-GCM", "gcm(aes)" },
    { MILGI_SUITE_AES_256_GCM_SHA384, 32, "AES-256-GCM", "gcm(aes)" },
    { MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32, "ChaCha20-Poly1305", "rfc7539(chacha20,poly1305)" },
};

static int afalg_supports(struct milgi_device *device, int type, uint16_t alg)
{
    const struct milgi__afalg *afalg = MILGI__ENTRY(device, struct milgi__afalg, device);
    unsigned suite = milgi__afalg_suite(alg);

    return (type == MILGI_OP_SEAL || type == MILGI_OP_OPEN) && suite < MILGI__AFALG_SUITES && afalg->name[suite];
}

static void afalg_destroy(struct milgi_device *device)
{
    struct milgi__afalg *afalg = MILGI__ENTRY(device, struct milgi__afalg, device);

    if (afalg->lock && !milgi__afalg_sweep(afalg)) {
        milgi__device_leave(device); /* the kernel still works on something */
        return;
    }
    for (unsigned i = 0; i < MILGI__AFALG_SUITES; i++) {
        if (afalg->held[i] >= 0)
            milgi__alg_kernel->close(afalg->held[i]);
    }
    milgi__port_lock_free(afalg->lock);
    milgi__free(afalg);
}

static const struct milgi_device_ops afalg_ops = {
    .name = "afalg",
    .supports = afalg_supports,
    .qp_open = milgi__afalg_open,
    .qp_close = milgi__afalg_close,
    .key_free = milgi__afalg_key_free,
    .enqueue = milgi__afalg_enqueue,
    .dequeue = milgi__afalg_dequeue,
    .notify_fd = milgi__afalg_notify_fd,
    .arm = milgi__afalg_arm,
    .health = milgi__afalg_health,
    .quiesce = milgi__afalg_quiesce,
    .destroy = afalg_destroy,
};

/* --- what the kernel has ---------------------------------------------------------------------------------------- */

static const char *complaint(int error, bool driver)
{
    switch (-error) {
    case EAFNOSUPPORT: return "afalg: this kernel has no AF_ALG (CONFIG_CRYPTO_USER_API_AEAD, module algif_aead)";
    case EPERM:
    case EACCES: return "afalg: this process may not use AF_ALG";
    case EMFILE:
    case ENFILE:
    case ENOMEM: return "afalg: no descriptor or no memory left";
    default:
        return driver ? "afalg: the kernel has no AEAD of TLS by this driver (/proc/crypto has those in use)"
                      : "afalg: the kernel's AF_ALG has none of the AEADs of TLS (modules algif_aead, gcm, "
                        "chacha20poly1305)";
    }
}

/* Which suites there are. 0, or the last -errno when there is none. */
static int look(struct milgi__afalg *afalg)
{
    static const uint8_t key[32];
    int error = 0;
    bool some = false;

    for (unsigned i = 0; i < MILGI__AFALG_SUITES; i++) {
        const char *name = afalg->driver[0] ? afalg->driver : suites[i].of_kernel;
        int fd = milgi__alg_kernel->bind(name, key, suites[i].key_len);
        if (fd < 0) {
            error = fd;
            continue;
        }
        afalg->held[i] = fd;
        afalg->name[i] = name;
        some = true;
    }
    return some ? 0 : error;
}

/* The first way that works, of those that |by| allows. NULL: none. */
static const char *choose_ring(struct milgi__afalg *afalg, const char *by)
{
    bool any = strcmp(by, "any") == 0;

    for (unsigned i = 0; i < MILGI__COUNT(milgi__alg_kernel->ring); i++) {
        const struct milgi__ring_kind *kind = milgi__alg_kernel->ring[i];
        struct milgi__ring *ring;
        if (!any && (strcmp(by, "io_uring") == 0) != (i == 0))
            continue;
        if (kind->open(afalg->depth, afalg->workers, &ring) != 0)
            continue;
        kind->close(ring);
        afalg->ring = kind;
        return NULL;
    }
    if (afalg->workers > 0)
        return "afalg: workers are io_uring's, which is refused here";
    return any ? "afalg: both io_uring and Linux AIO are refused here"
               : "afalg: what by= says is refused here: io_uring_disabled, aio-max-nr";
}

/* --- what it does ----------------------------------------------------------------------------------------------- */

#define TRIAL_LEN 61u
#define TRIAL_PAD 3u
#define TRIAL_SEALED (TRIAL_LEN + 1 + TRIAL_PAD + 16)

/* An operation whose result is known. In memory of its own: a kernel that hangs keeps it. */
struct trial {
    struct milgi_op op, twin;
    struct milgi_key key;
    uint8_t src[TRIAL_SEALED], dst[TRIAL_SEALED], want[TRIAL_SEALED];
};

/* 0; MILGI_EBUSY: it has not come back. */
static int run(struct milgi_qp *qp, struct milgi_op *op, bool *at_once)
{
    struct milgi_op *back = op;

    op->status = MILGI_OP_PENDING;
    if (milgi__afalg_enqueue(qp, &back, 1) != 1)
        return 0;
    *at_once = *at_once && milgi__afalg_quiesce(qp, 0) == 0;
    if (milgi__afalg_quiesce(qp, TRIAL_NS) != 0)
        return MILGI_EBUSY;
    (void)milgi__afalg_dequeue(qp, &back, 1);
    return 0;
}

static void fill_trial(struct trial *t, const struct suite *suite)
{
    struct milgi_op_aead *a = &t->op.u.aead;

    t->key.serial = milgi__key_serial();
    t->key.kind = MILGI_KEY_AEAD;
    t->key.alg = suite->id;
    t->key.raw_len = suite->key_len;
    memset(t->key.raw, 0x55, t->key.raw_len);
    for (unsigned i = 0; i < TRIAL_LEN; i++)
        t->src[i] = (uint8_t)i;
    t->op.type = MILGI_OP_SEAL;
    t->op.alg = suite->id;
    t->op.key = &t->key;
    a->aad_len = 5;
    a->inner_type = 23;
    a->pad_len = TRIAL_PAD;
    a->dst = t->dst;
    a->dst_len = TRIAL_SEALED;
    a->src_n = 1;
    a->src[0] = (struct milgi_slice){ NULL, t->src, TRIAL_LEN };
    t->twin = t->op;
    t->twin.u.aead.dst = t->want;
}

/* Seals as the crypto library does, and sees a forgery. 1 or 0; MILGI_EBUSY: the kernel has not answered. */
static int seals(struct milgi_qp *qp, struct milgi__crypto *cx, const struct suite *suite, struct trial *t, bool *inl)
{
    struct milgi_op_aead *a = &t->op.u.aead;

    fill_trial(t, suite);
    milgi__op_perform(cx, &t->twin, NULL);
    milgi__aead_forget(cx, t->key.serial);
    if (run(qp, &t->op, inl) != 0)
        return MILGI_EBUSY;
    if (t->op.status != MILGI_OP_OK || t->twin.status != MILGI_OP_OK || memcmp(t->dst, t->want, TRIAL_SEALED) != 0)
        return 0;
    t->op.type = MILGI_OP_OPEN;
    memcpy(t->src, t->dst, TRIAL_SEALED);
    a->src[0].len = TRIAL_SEALED - 16;
    memcpy(a->tag, t->src + a->src[0].len, 16);
    a->tag[15] ^= 1;
    if (run(qp, &t->op, inl) != 0)
        return MILGI_EBUSY;
    return t->op.status == MILGI_OP_REJECTED;
}

/* Takes the suites away that the driver does not do right. 0, or an error with *|why|. */
static int try_all(struct milgi__afalg *afalg, struct milgi_qp *qp, struct milgi__crypto *cx, const char **why)
{
    bool some = false, at_once = true;

    for (unsigned i = 0; i < MILGI__AFALG_SUITES; i++) {
        struct trial *t = afalg->name[i] ? milgi__alloc(sizeof *t) : NULL;
        if (!t)
            continue;
        int rv = seals(qp, cx, &suites[i], t, &at_once);
        if (rv == MILGI_EBUSY) { /* which keeps what it was given */
            *why = "afalg: the kernel has not done an operation within 5 s";
            return MILGI_EUNSUPPORTED;
        }
        milgi__afalg_key_free(qp, &t->key, NULL);
        milgi__free_wiped(t, sizeof *t);
        if (rv != 1)
            afalg->name[i] = NULL;
        some = some || rv == 1;
    }
    afalg->caller = at_once;
    if (!some)
        *why = complaint(-ENOENT, afalg->driver[0] != '\0');
    return some ? 0 : MILGI_EUNSUPPORTED;
}

static int prove(struct milgi__afalg *afalg, const char **why)
{
    const struct milgi_clock clock = { milgi__port_monotonic_ns, milgi__port_wall_s, NULL };
    struct milgi_qp *qp = milgi__afalg_open(&afalg->device, &clock);
    struct milgi__crypto *cx = milgi__crypto_new();
    int error = MILGI_ENOMEM;

    if (qp && cx)
        error = try_all(afalg, qp, cx, why);
    else
        *why = "afalg: no descriptor or no memory left";
    milgi__crypto_free(cx);
    if (qp)
        milgi__afalg_close(qp);
    return error;
}

/* --- making ----------------------------------------------------------------------------------------------------- */

struct afalg_words {
    uint64_t depth, min, workers, idle_ns;
    const char *driver, *by;
};

static int read_words(const struct milgi__spec *spec, struct afalg_words *words, const char **why)
{
    static const char driver_why[] = "afalg: driver is a name of less than 64 characters, as in /proc/crypto";
    static const char by_why[] = "afalg: by is io_uring, aio or any";
    const struct milgi__spec_word table[] = {
        { "driver", MILGI__SPEC_TEXT, &words->driver, 0, 0, driver_why },
        { "by", MILGI__SPEC_TEXT, &words->by, 0, 0, by_why },
        { "workers", MILGI__SPEC_NUMBER, &words->workers, 1, WORKERS_MAX, "afalg: workers is 1 to 256" },
        { "depth", MILGI__SPEC_NUMBER, &words->depth, 1, DEPTH_MAX, "afalg: depth is 1 to 1024 ops" },
        { "min", MILGI__SPEC_NUMBER, &words->min, 0, UINT32_MAX, "afalg: min is a number of bytes" },
        { "idle", MILGI__SPEC_TIME, &words->idle_ns, 1000000, IDLE_MAX_NS, "afalg: idle is a time from 1ms to 3600s" },
    };
    int error = milgi__spec_read(spec, 0, table, MILGI__COUNT(table),
        "afalg: the words are driver=, by=, workers=, depth=, min=, idle=", why);

    if (error != 0)
        return error;
    if (words->driver && strlen(words->driver) >= sizeof((struct milgi__afalg *)NULL)->driver) {
        *why = driver_why;
        return MILGI_EINVAL;
    }
    if (strcmp(words->by, "any") != 0 && strcmp(words->by, "io_uring") != 0 && strcmp(words->by, "aio") != 0) {
        *why = by_why;
        return MILGI_EINVAL;
    }
    return 0;
}

/* How it works here, what it is done by, and what is less than it might be. */
static void note(struct milgi__afalg *afalg)
{
    char *text = afalg->note;
    size_t size = sizeof afalg->note;
    const char *before = "";
    int n = snprintf(text, size, "by %s, %s: ", afalg->ring->name,
        afalg->workers > 0  ? "on the kernel's workers"
            : afalg->caller ? "on the loop's thread, since the ciphers wait for nothing"
                            : "asynchronously");

    for (unsigned i = 0; i < MILGI__AFALG_SUITES; i++) {
        const char *name = afalg->name[i];
        struct milgi__driver driver;
        if (!name)
            n += snprintf(text + n, size - (size_t)n, "%sno %s", before, suites[i].name);
        else if (i > 0 && afalg->name[i - 1] == name)
            continue;
        else
            n += snprintf(text + n, size - (size_t)n, "%s%s", before,
                milgi__driver_of(milgi__alg_kernel->drivers, name, &driver) ? driver.name : name);
        before = ", ";
        n = MILGI__MIN(n, (int)size - 1);
    }
    afalg->device.note = text;
}

/* Whether all that is asked of the kernel is done when it was asked. */
static bool waits_for_nothing(const struct milgi__afalg *afalg)
{
    struct milgi__driver driver;

    for (unsigned i = 0; i < MILGI__AFALG_SUITES; i++) {
        if (afalg->name[i] && milgi__driver_of(milgi__alg_kernel->drivers, afalg->name[i], &driver) && driver.async)
            return false;
    }
    return afalg->caller && afalg->workers == 0;
}

static uint32_t cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : (uint32_t)n;
}

static void fill_caps(struct milgi__afalg *afalg, const struct afalg_words *words)
{
    afalg->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_SCATTER | (afalg->caller ? MILGI_CAP_CALLER : 0),
        .ops = MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN),
        .parallelism = afalg->workers > 0 ? afalg->workers : afalg->caller ? 1
                                                                           : cores(),
        .max_in_flight = afalg->depth,
        .best_batch = MILGI__MIN(afalg->depth, 32),
        .min_record = (uint32_t)words->min,
        .wake_ns = WAKE_NS,
    };
}

static int make(struct milgi__afalg *afalg, const struct afalg_words *words, const char **why)
{
    afalg->device.ops = &afalg_ops;
    afalg->depth = (unsigned)words->depth;
    afalg->workers = (unsigned)words->workers;
    afalg->idle_ns = words->idle_ns;
    afalg->most = milgi__alg_kernel->most();
    for (unsigned i = 0; i < MILGI__AFALG_SUITES; i++)
        afalg->held[i] = -1;
    if (words->driver)
        memcpy(afalg->driver, words->driver, strlen(words->driver));
    afalg->lock = milgi__port_lock_new();
    if (!afalg->lock)
        return MILGI_ENOMEM;
    int error = look(afalg);
    *why = error != 0 ? complaint(error, words->driver != NULL) : choose_ring(afalg, words->by);
    if (*why)
        return MILGI_EUNSUPPORTED;
    error = prove(afalg, why);
    if (error != 0)
        return error;
    afalg->caller = waits_for_nothing(afalg);
    fill_caps(afalg, words);
    note(afalg);
    return 0;
}

int milgi__device_afalg_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    struct afalg_words words = { .depth = DEPTH_DEFAULT, .min = UINT32_MAX, .idle_ns = IDLE_NS, .by = "any" };
    int error = read_words(spec, &words, why);

    if (error != 0)
        return error;
    struct milgi__afalg *afalg = milgi__alloc(sizeof *afalg);
    if (!afalg)
        return MILGI_ENOMEM;
    error = make(afalg, &words, why);
    if (error != 0) {
        afalg_destroy(&afalg->device);
        return error;
    }
    *device = &afalg->device;
    return 0;
}
