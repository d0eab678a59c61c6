/* SPDX-License-Identifier: Apache-2.0 */
/* pkcs11: private keys that stay in tokens, used from threads, since PKCS#11 blocks; each token has its own. */
#include "device/pkcs11/shelf.h"
#include "device/spec.h"

#include <strings.h>

#define WORKERS_DEFAULT 4
#define WORKERS_MAX 64
#define TOKENS 64 /* as many are reckoned with when the device says how much it does at once */
#define DEPTH_DEFAULT 16384
#define DEPTH_MAX 65536
#define WAKE_NS 15000
#define RETRY_NS (500 * UINT64_C(1000000))
#define TIMEOUT_NS (5 * UINT64_C(1000000000))
#define TIME_MAX_NS (3600 * UINT64_C(1000000000))

struct pkcs11 {
    struct milgi_device device;
    struct milgi__p11_options options;
    struct milgi__wards *wards;
};

struct milgi_qp {
    struct pkcs11 *pkcs11;
    struct milgi__ward_qp *way;
};

/* --- on the threads of the wards -------------------------------------------------------------------------------- */

static int perform(void *key, struct milgi__crypto *cx, uint16_t scheme, struct milgi_op_sign *sign)
{
    return milgi__p11_key_sign(key, cx, scheme, sign);
}

static void hold(void *key)
{
    milgi__p11_key_ref(key);
}

static void let_go(void *key)
{
    milgi__p11_key_unref(key);
}

static void tell(void *ctx, const char *name, int code)
{
    struct milgi_device *device = &((struct pkcs11 *)ctx)->device;

    if (device->on_part)
        device->on_part(device->part_ctx, device, name, code);
}

static void end(void *ctx)
{
    (void)ctx;
    milgi__p11_detach();
}

static void free_device(struct pkcs11 *pkcs11)
{
    milgi__free(pkcs11->options.module);
    milgi__free(pkcs11->options.pin_source);
    milgi__free(pkcs11);
}

static void gone(void *ctx)
{
    struct pkcs11 *pkcs11 = ctx;

    milgi__device_left(&pkcs11->device);
    free_device(pkcs11);
}

static const struct milgi__ward_ops ward_ops = {
    .perform = perform,
    .hold = hold,
    .let_go = let_go,
    .tell = tell,
    .end = end,
    .gone = gone,
};

/* --- on the engine's thread ------------------------------------------------------------------------------------- */

static int pkcs11_supports(struct milgi_device *device, int type, uint16_t alg)
{
    (void)device;
    const struct milgi__scheme *scheme = milgi__scheme(alg);

    return type == MILGI_OP_SIGN && scheme && scheme->long_len == 0;
}

static struct milgi_qp *pkcs11_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    (void)clock;
    if (!qp)
        return NULL;
    qp->pkcs11 = MILGI__ENTRY(device, struct pkcs11, device);
    qp->way = milgi__ward_open(qp->pkcs11->wards);
    if (qp->way)
        return qp;
    milgi__free(qp);
    return NULL;
}

static void pkcs11_qp_close(struct milgi_qp *qp)
{
    milgi__ward_close(qp->way);
    milgi__free(qp);
}

static void *pkcs11_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    static const char scheme[] = "pkcs11:";
    const struct milgi_credential *credential = key->loaded.credential;

    if (key->kind != MILGI_KEY_PRIVATE || !credential || !credential->uri ||
        strncasecmp(credential->uri, scheme, sizeof scheme - 1) != 0)
        return NULL;
    return milgi__p11_key_new(credential, &qp->pkcs11->options, qp->pkcs11->wards);
}

static void pkcs11_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp;
    (void)key;
    milgi__p11_key_unref(loaded);
}

static int complain(const struct milgi_op *op)
{
    const struct milgi_key *key = op->key;

    if (op->type != MILGI_OP_SIGN)
        return MILGI_CODE_MALFORMED;
    if (!key || key->kind != MILGI_KEY_PRIVATE || op->dev >= MILGI_DEVICES_MAX || !key->loaded.dev[op->dev])
        return MILGI_CODE_NO_KEY;
    return 0;
}

static unsigned pkcs11_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int code = complain(ops[i]);
        void *key = code == 0 ? ops[i]->key->loaded.dev[ops[i]->dev] : NULL;
        struct milgi__ward *ward = !key ? NULL : milgi__p11_key_ward(key);
        if (!milgi__ward_enqueue(qp->way, ward, key, ops[i], code))
            return i;
    }
    return n;
}

static unsigned pkcs11_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    return milgi__ward_dequeue(qp->way, ops, n);
}

static int pkcs11_notify_fd(struct milgi_qp *qp)
{
    return milgi__ward_fd(qp->way);
}

static int pkcs11_arm(struct milgi_qp *qp)
{
    return milgi__ward_arm(qp->way);
}

static void pkcs11_cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    milgi__ward_cancel(qp->way, op);
}

static int pkcs11_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    milgi__ward_quiesce(qp->way, limit_ns);
    return 0;
}

static void pkcs11_destroy(struct milgi_device *device)
{
    struct pkcs11 *pkcs11 = MILGI__ENTRY(device, struct pkcs11, device);

    milgi__device_leave(device); /* before it may go by itself */
    if (!milgi__wards_free(pkcs11->wards))
        return;
    gone(pkcs11);
}

static const struct milgi_device_ops pkcs11_ops = {
    .name = "pkcs11",
    .supports = pkcs11_supports,
    .qp_open = pkcs11_qp_open,
    .qp_close = pkcs11_qp_close,
    .key_load = pkcs11_key_load,
    .key_free = pkcs11_key_free,
    .enqueue = pkcs11_enqueue,
    .dequeue = pkcs11_dequeue,
    .notify_fd = pkcs11_notify_fd,
    .arm = pkcs11_arm,
    .cancel = pkcs11_cancel,
    .quiesce = pkcs11_quiesce,
    .destroy = pkcs11_destroy,
};

/* --- making ----------------------------------------------------------------------------------------------------- */

struct pkcs11_words {
    uint64_t workers, depth, retry_ns, timeout_ns;
    const char *module, *pin_source;
};

static int read_words(const struct milgi__spec *spec, struct pkcs11_words *words, const char **why)
{
    const struct milgi__spec_word table[] = {
        { "depth", MILGI__SPEC_NUMBER, &words->depth, 1, DEPTH_MAX, "pkcs11: depth is 1 to 65536 ops" },
        { "retry", MILGI__SPEC_TIME, &words->retry_ns, 0, TIME_MAX_NS, "pkcs11: retry is a time up to 3600s" },
        { "timeout", MILGI__SPEC_TIME, &words->timeout_ns, 1000000, TIME_MAX_NS,
            "pkcs11: timeout is a time from 1ms to 3600s" },
        { "module", MILGI__SPEC_TEXT, &words->module, 0, 0, "pkcs11: module is the path of a PKCS#11 module" },
        { "pin-source", MILGI__SPEC_TEXT, &words->pin_source, 0, 0, "pkcs11: pin-source is the path of a file" },
    };
    unsigned from = 0;

    if (spec->n > 0 && milgi__spec_number(spec->key[0], UINT64_MAX, &words->workers)) {
        if (spec->value[0] || words->workers == 0 || words->workers > WORKERS_MAX) {
            *why = "pkcs11: 1 to 64 threads for each token";
            return MILGI_EINVAL;
        }
        from = 1;
    }
    return milgi__spec_read(spec, from, table, MILGI__COUNT(table),
        "pkcs11: the words are [threads], module=, pin-source=, depth=, retry=, timeout=", why);
}

static bool copy_word(const char *word, char **to)
{
    if (!word)
        return true;
    size_t size = strlen(word) + 1;
    *to = milgi__alloc_raw(size);
    if (*to)
        memcpy(*to, word, size);
    return *to != NULL;
}

static int make(struct pkcs11 *pkcs11, const struct pkcs11_words *words, const char **why)
{
    struct milgi__ward_options options = {
        .ops = &ward_ops,
        .ctx = pkcs11,
        .workers = (unsigned)words->workers,
        .depth = (unsigned)words->depth,
        .timeout_ns = words->timeout_ns,
        .timeout_code = MILGI_CODE_PKCS11_TIMEOUT,
        .closed_code = MILGI_CODE_PKCS11_HANGS,
    };

    if (!copy_word(words->module, &pkcs11->options.module) ||
        !copy_word(words->pin_source, &pkcs11->options.pin_source))
        return MILGI_ENOMEM;
    pkcs11->options.retry_ns = words->retry_ns;
    milgi__p11_attach();
    int error = milgi__wards_new(&options, &pkcs11->wards);
    if (error == 0)
        return 0;
    milgi__p11_detach();
    *why = "pkcs11: no thread can be made";
    return MILGI_ENOMEM;
}

int milgi__device_pkcs11_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    struct pkcs11_words words = {
        .workers = WORKERS_DEFAULT, .depth = DEPTH_DEFAULT, .retry_ns = RETRY_NS, .timeout_ns = TIMEOUT_NS
    };

    int error = read_words(spec, &words, why);
    if (error != 0)
        return error;
    struct pkcs11 *pkcs11 = milgi__alloc(sizeof *pkcs11);
    if (!pkcs11)
        return MILGI_ENOMEM;
    error = make(pkcs11, &words, why);
    if (error != 0) {
        free_device(pkcs11);
        return error;
    }
    pkcs11->device.ops = &pkcs11_ops;
    pkcs11->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_REMOTE | MILGI_CAP_CANCEL | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED,
        .ops = MILGI_OP_BIT(MILGI_OP_SIGN),
        /* An engine holds nothing back because of what waits for one of them: none stands in another's way here. */
        .parallelism = (uint32_t)words.workers * TOKENS,
        .max_in_flight = (uint32_t)words.depth,
        .best_batch = MILGI__MIN((uint32_t)words.depth, 32),
        .min_record = UINT32_MAX,
        .wake_ns = WAKE_NS,
    };
    *device = &pkcs11->device;
    return 0;
}
