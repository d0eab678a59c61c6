/* SPDX-License-Identifier: Apache-2.0 */
/* Ops as connections start them, in batches, through an engine. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <milgi/milgi.h>

#include "devices.h"
#include "inside/owners.h"

#define BATCH_MAX 256u
#define BATCHES_MIN 4u
#define DEVICES 8
#define OVERHEAD 17u /* of a record: its type and its tag */
#define PATIENCE_NS 30000000000u

struct rig {
    struct milgi_engine *engine;
    struct milgi_device *devices[DEVICES];
    unsigned devices_n;
    struct bench_owners owners;
    struct milgi_key *aead, *private[BENCH_KEYS];
    struct milgi_credential *credentials[BENCH_KEYS];
    struct milgi_chunk *from[BATCH_MAX], *to[BATCH_MAX];
    uint8_t tag[16];
    uint64_t inline_before, all_before;
};

static const int types[KINDS] = { MILGI_OP_SEAL, MILGI_OP_OPEN, MILGI_OP_SIGN, MILGI_OP_SIGN };

/* For what is opened. */
static void keep_tag(void *arg, const struct milgi_op *op)
{
    struct rig *rig = arg;
    if (op->type == MILGI_OP_SEAL && op->u.aead.dst)
        memcpy(rig->tag, op->u.aead.dst + op->u.aead.dst_len - 16, 16);
}

/* --- ops -------------------------------------------------------------------------------------------------------- */

static struct milgi_op *record_op(struct rig *rig, const struct point *point, unsigned i)
{
    struct milgi_op *op = bench_op_new(rig->engine);
    struct milgi_op_aead *aead = &op->u.aead;
    op->type = point->kind == SEAL ? MILGI_OP_SEAL : MILGI_OP_OPEN;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = MILGI_SUITE_AES_128_GCM_SHA256;
    op->key = milgi__key_ref(rig->aead);
    memset(aead, 0, offsetof(struct milgi_op_aead, src));
    aead->aad_len = 5;
    aead->src_n = 1;
    uint32_t len = point->size;
    if (point->kind == SEAL) {
        aead->inner_type = 23;
        aead->dst_len = len + OVERHEAD;
    } else {
        len++; /* what was sealed has its type */
        aead->dst_len = len;
        memcpy(aead->tag, rig->tag, sizeof rig->tag);
    }
    aead->src[0] = (struct milgi_slice){ milgi_chunk_ref(rig->from[i]), milgi_chunk_data(rig->from[i]), len };
    aead->dst_chunk = milgi_chunk_ref(rig->to[i]);
    aead->dst = milgi_chunk_data(rig->to[i]);
    return op;
}

static struct milgi_op *sign_op(struct rig *rig, enum bench_key key)
{
    struct milgi_op *op = bench_op_new(rig->engine);
    op->type = MILGI_OP_SIGN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = key == BENCH_RSA_2048 ? MILGI_SIG_RSA_PSS_RSAE_SHA256 : MILGI_SIG_ECDSA_SECP256R1_SHA256;
    op->key = milgi__key_ref(rig->private[key]);
    memset(&op->u.sign, 0, sizeof op->u.sign);
    op->u.sign.input_len = 130;
    return op;
}

static struct milgi_op *make(struct rig *rig, const struct point *point, unsigned i)
{
    if (point->size != 0)
        return record_op(rig, point, i);
    return sign_op(rig, point->kind == SIGN_RSA ? BENCH_RSA_2048 : BENCH_ECDSA_P256);
}

/* As a host's loop would. */
static void wait_for(struct rig *rig, const struct milgi_run_result *result)
{
    struct pollfd fd = { milgi_engine_fd(rig->engine), POLLIN, 0 };
    uint64_t now = milgi_engine_now(rig->engine), ns = result->deadline_ns > now ? result->deadline_ns - now : 0;
    if (ns > PATIENCE_NS)
        ns = PATIENCE_NS;
    struct timespec limit = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    (void)ppoll(&fd, 1, &limit, NULL);
}

static void one_batch(struct rig *rig, const struct point *point)
{
    struct milgi_run_result result;
    uint64_t due = rig->owners.done + point->batch, begin = bench_now_ns();
    for (unsigned i = 0; i < point->batch; i++)
        milgi__engine_submit(rig->engine, bench_owner(&rig->owners, i), make(rig, point, i), 0);
    while (rig->owners.done < due) {
        bench_must(milgi_engine_run(rig->engine, 0, &result), "run");
        if (rig->owners.done < due && result.next != MILGI_RUN_AGAIN)
            wait_for(rig, &result);
        if (bench_now_ns() - begin > PATIENCE_NS)
            bench_die("%u of %u ops have not come back", (unsigned)(due - rig->owners.done), point->batch);
    }
}

static uint64_t process_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct cost rig_run(struct rig *rig, const struct point *point, uint64_t ns)
{
    if (point->kind == OPEN) { /* something to open: what is sealed is the same each time */
        struct point seal = { SEAL, point->size, point->batch };
        one_batch(rig, &seal);
        for (unsigned i = 0; i < point->batch; i++)
            memcpy(milgi_chunk_data(rig->from[i]), milgi_chunk_data(rig->to[i]), point->size + 1);
    } else {
        for (unsigned i = 0; i < point->batch; i++)
            memset(milgi_chunk_data(rig->from[i]), 7, point->size);
    }
    uint64_t n = 0, begin = bench_now_ns(), cpu = process_ns(), now;
    do {
        one_batch(rig, point);
        n += point->batch;
        now = bench_now_ns();
    } while (now - begin < ns || n < BATCHES_MIN * point->batch);
    return (struct cost){ (double)(now - begin) / (double)n, (double)(process_ns() - cpu) / (double)n };
}

double rig_share(struct rig *rig, const struct point *point)
{
    struct milgi_engine_stats stats;
    uint64_t all = 0;
    milgi_engine_stats(rig->engine, &stats);
    for (unsigned i = 0; i < stats.devices_n; i++)
        all += stats.device[i].submitted[types[point->kind]];
    uint64_t inlined = stats.device[0].submitted[types[point->kind]];
    double part = all == rig->all_before ? 0 : (double)(inlined - rig->inline_before) / (double)(all - rig->all_before);
    rig->all_before = all;
    rig->inline_before = inlined;
    return part;
}

bool rig_takes(const struct rig *rig, const struct point *point)
{
    static const uint16_t algs[KINDS] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_128_GCM_SHA256,
        MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256 };
    int type = types[point->kind];
    bool takes = rig->devices_n != 1;
    for (unsigned i = 0; i < rig->devices_n; i++) {
        struct milgi_device *device = rig->devices[i];
        if ((device->caps.ops & MILGI_OP_BIT(type)) != 0)
            takes = takes || !device->ops->supports || device->ops->supports(device, type, algs[point->kind]);
    }
    return takes;
}

/* --- beginning and end ------------------------------------------------------------------------------------------ */

/* Each of |specs| but "cpu", which is there; their bits in the engine, 0 and |why|: one is not here. */
static uint32_t add_devices(struct rig *rig, const char *specs, char *why, size_t why_size)
{
    char text[256], *rest = text, *spec;
    uint32_t bits = 0;
    snprintf(text, sizeof text, "%s", specs);
    while ((spec = strsep(&rest, " ")) != NULL) {
        const char *reason = NULL;
        struct milgi_device *device;
        if (strcmp(spec, "cpu") == 0) {
            bits |= 1;
            continue;
        }
        int rv = milgi_device_new(spec, &device, &reason);
        if (rv != 0) {
            snprintf(why, why_size, "%s", reason ? reason : milgi_error_text(rv));
            return 0;
        }
        rig->devices[rig->devices_n++] = device;
        int index = milgi_engine_add_device(rig->engine, device);
        bench_must(index, spec);
        bits |= 1u << index;
        if ((device->caps.flags & MILGI_CAP_OWN_MEMORY) != 0)
            bench_must(milgi_engine_use_memory(rig->engine, (unsigned)index), spec);
    }
    return bits;
}

static void make_chunks(struct rig *rig)
{
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        rig->from[i] = milgi_chunk_new(rig->engine, 16384 + 512);
        rig->to[i] = milgi_chunk_new(rig->engine, 16384 + 512);
        if (!rig->from[i] || !rig->to[i])
            bench_die("no chunk");
    }
}

struct rig *rig_new(
    const char *specs, bool router, const struct bench_cert certs[BENCH_KEYS], char *why, size_t why_size)
{
    static const uint8_t raw[16] = { 1 };
    struct rig *rig = calloc(1, sizeof *rig);
    const uint32_t all = MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN) | MILGI_OP_BIT(MILGI_OP_SIGN);
    bench_must(milgi_engine_new(NULL, &rig->engine), "engine");
    uint32_t bits = add_devices(rig, specs, why, why_size);
    if (bits == 0) {
        rig_free(rig);
        return NULL;
    }
    if (router)
        bench_must(milgi_engine_route_first(rig->engine, all, bits, 0), "route");
    else
        bench_must(milgi_engine_route(rig->engine, all, (unsigned)__builtin_ctz(bits), 1), "route");
    make_chunks(rig);
    rig->aead = milgi__engine_key_aead(rig->engine, MILGI_SUITE_AES_128_GCM_SHA256, raw, sizeof raw);
    for (int i = 0; i < BENCH_KEYS; i++) {
        const struct bench_cert *c = &certs[i];
        struct milgi_credential **credential = &rig->credentials[i];
        int rv = milgi_credential_new_pem(c->cert_pem, c->cert_len, c->key_pem, c->key_len, credential);
        bench_must(rv, "credential");
        rig->private[i] = milgi__engine_key_private(rig->engine, *credential);
    }
    rig->owners.look = keep_tag;
    rig->owners.arg = rig;
    bench_owners_attach(&rig->owners, rig->engine, BATCH_MAX);
    return rig;
}

void rig_free(struct rig *rig)
{
    bench_owners_detach(&rig->owners);
    for (unsigned i = 0; rig->aead && i < BATCH_MAX; i++) {
        milgi_chunk_unref(rig->from[i]);
        milgi_chunk_unref(rig->to[i]);
    }
    for (int i = 0; rig->aead && i < BENCH_KEYS; i++) {
        milgi__engine_key_unref(rig->engine, rig->private[i]);
        milgi_credential_unref(rig->credentials[i]);
    }
    if (rig->aead)
        milgi__engine_key_unref(rig->engine, rig->aead);
    milgi_engine_free(rig->engine);
    for (unsigned i = 0; i < rig->devices_n; i++)
        milgi_device_free(rig->devices[i]);
    free(rig);
}
