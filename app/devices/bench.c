/* SPDX-License-Identifier: Apache-2.0 */
/* A queue pair driven by hand: the ops are what a connection would make of them. */
#include "bench.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_NS 1000000000u
#define TRIES 5
#define RECORD 1000u

static uint64_t now_ns(const struct bench *b)
{
    return b->clock.monotonic_ns(b->clock.ctx);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static uint64_t next_serial(void)
{
    static uint64_t serial = 1ull << 62; /* the engine's own begin at the other end */
    return serial++;
}

static void key_load(struct bench *b, struct milgi_key *key)
{
    if (key->kind != MILGI_KEY_AEAD && b->device->caps.flags & MILGI_CAP_KEY_LOAD)
        key->loaded.dev[0] = b->device->ops->key_load(b->qp, key);
}

static void key_free(struct bench *b, struct milgi_key *key)
{
    if (key->serial && b->device->ops->key_free)
        b->device->ops->key_free(b->qp, key, key->kind == MILGI_KEY_AEAD ? NULL : key->loaded.dev[0]);
    key->serial = 0;
}

static void key_aead(struct bench *b, uint16_t suite)
{
    key_free(b, &b->aead);
    b->aead = (struct milgi_key){ .serial = next_serial(), .refs = 1, .alg = suite, .kind = MILGI_KEY_AEAD };
    b->aead.raw_len = suite == MILGI_SUITE_AES_128_GCM_SHA256 ? 16 : 32;
    app_random(b->aead.raw, b->aead.raw_len);
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static int open_key(struct bench *b)
{
    if (!app_throwaway_make(&b->throwaway))
        return MILGI_EINTERNAL;
    const struct app_throwaway *t = &b->throwaway;
    int rv = milgi_credential_new_pem(
        t->chain_pem, strlen(t->chain_pem), t->key_pem, strlen(t->key_pem), &b->credential);
    if (rv)
        return rv;
    b->private_key = (struct milgi_key){
        .serial = next_serial(),
        .refs = 1,
        .kind = MILGI_KEY_PRIVATE,
        .loaded = { .credential = b->credential, .dev = b->private_key_dev },
    };
    key_load(b, &b->private_key);
    return 0;
}

int bench_open(struct bench *b, const char *spec, const char **why)
{
    struct milgi_engine_options options;
    *b = (struct bench){ 0 };
    milgi_engine_options_init(&options);
    b->clock = options.clock;
    int rv = milgi_device_new(spec, &b->device, why);
    if (rv)
        return rv;
    *why = NULL;
    rv = milgi_engine_new(&options, &b->engine);
    if (rv)
        return rv;
    b->qp = b->device->ops->qp_open(b->device, &b->clock);
    return b->qp ? open_key(b) : MILGI_ELIMIT;
}

int bench_test_module(struct bench *b)
{
    static const char nowhere[] = "pkcs11:token=milgi%20devices;object=none"; /* which needs the module, and no PIN */
    const char *chain = b->throwaway.chain_pem;
    struct milgi_credential *credential;
    int code = 0;
    if (strcmp(b->device->ops->name, "pkcs11") != 0)
        return 0;
    if (milgi_credential_new_uri(chain, strlen(chain), nowhere, &credential))
        return 0;
    if (milgi_device_try_key(b->device, credential, &code) != MILGI_EDEVICE)
        code = 0;
    milgi_credential_unref(credential);
    return code == MILGI_CODE_PKCS11_MODULE || code == MILGI_CODE_PKCS11_HANGS ? code : 0;
}

/* --- ops ---------------------------------------------------------------------------------------------------------- */

static struct milgi_op *op_new(int type, uint16_t alg, struct milgi_key *key)
{
    struct milgi_op *op = calloc(1, sizeof *op);
    if (!op)
        abort();
    op->type = (uint8_t)type;
    op->alg = alg;
    op->key = key;
    op->cls = type == MILGI_OP_SEAL || type == MILGI_OP_OPEN ? MILGI_OP_CLASS_RECORDS : MILGI_OP_CLASS_HANDSHAKE;
    return op;
}

static struct milgi_chunk *chunk_new(struct bench *b, size_t size)
{
    struct milgi_chunk *chunk = milgi_chunk_new(b->engine, size);
    if (!chunk)
        abort(); /* of a pool of 1 GiB */
    return chunk;
}

static void op_free(struct milgi_op *op)
{
    if (op->type == MILGI_OP_SEAL || op->type == MILGI_OP_OPEN) {
        milgi_chunk_unref(op->u.aead.dst_chunk);
        milgi_chunk_unref(op->u.aead.src[0].chunk);
    }
    if (op->type == MILGI_OP_VERIFY)
        milgi_chunk_unref(op->u.sign.blob.chunk);
    if (op->type >= MILGI_OP_KEYGEN && op->type <= MILGI_OP_DECAPS)
        milgi_chunk_unref(op->u.kex.share.chunk);
    if (op->type == MILGI_OP_ENCAPS)
        milgi_chunk_unref(op->u.kex.ciphertext.chunk);
    free(op);
}

/* A device for keys that are elsewhere turns down the one that was made for this. */
static bool has_key(const struct bench *b)
{
    return !(b->device->caps.flags & MILGI_CAP_KEY_LOAD) || b->private_key_dev[0];
}

static bool takes(const struct bench *b, int type, uint16_t alg)
{
    if (type == MILGI_OP_SIGN && !has_key(b))
        return false;
    return b->device->caps.ops & MILGI_OP_BIT(type) &&
        (!b->device->ops->supports || b->device->ops->supports(b->device, type, alg));
}

/* The device may still write to it: it is freed with the queue pair. */
static void abandon(struct bench *b, struct milgi_op *op)
{
    op->e.next = b->abandoned;
    b->abandoned = op;
    b->abandoned_n++;
}

/* The op is back, or (false) abandoned. */
static bool run(struct bench *b, struct milgi_op *op)
{
    uint64_t end = now_ns(b) + ANSWER_NS;
    struct milgi_op *back = NULL;
    bool in = false;
    while (back != op && now_ns(b) < end) {
        if (!in)
            in = b->device->ops->enqueue(b->qp, &op, 1) == 1;
        if (!b->device->ops->dequeue(b->qp, &back, 1))
            sched_yield();
    }
    if (back == op)
        return true;
    abandon(b, op);
    return false;
}

/*
 * Makes the op and runs it, a few times if the device says that it has failed, and expects |status| of it. *|op| is the
 * op when this is BENCH_OK, for the caller to free.
 */
static enum bench_verdict expect(struct bench *b, struct milgi_op *(*make)(struct bench *b, const void *arg),
    const void *arg, int status, struct milgi_op **op)
{
    enum bench_verdict verdict = BENCH_BROKEN;
    for (int i = 0; i < TRIES && verdict != BENCH_OK; i++) {
        *op = make(b, arg);
        if (!takes(b, (*op)->type, (*op)->alg)) {
            op_free(*op);
            return BENCH_SKIPPED;
        }
        if (!run(b, *op)) {
            verdict = BENCH_LOST;
            continue;
        }
        if ((*op)->status == status)
            return BENCH_OK;
        verdict = (*op)->status == MILGI_OP_OK || (*op)->status == MILGI_OP_REJECTED ? BENCH_WRONG : BENCH_BROKEN;
        op_free(*op);
        if (verdict == BENCH_WRONG)
            break;
    }
    return verdict;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static struct milgi_op *aead_op(struct bench *b, int type, uint32_t src_len, uint32_t dst_len)
{
    struct milgi_op *op = op_new(type, b->aead.alg, &b->aead);
    struct milgi_op_aead *a = &op->u.aead;
    a->src_n = 1;
    a->src[0].chunk = chunk_new(b, src_len);
    a->src[0].data = milgi_chunk_data(a->src[0].chunk);
    a->src[0].len = src_len;
    a->dst_chunk = chunk_new(b, dst_len);
    a->dst = milgi_chunk_data(a->dst_chunk);
    a->dst_len = dst_len;
    a->aad_len = 5;
    memcpy(a->aad, (const uint8_t[5]){ 23, 3, 3, (uint8_t)(dst_len >> 8), (uint8_t)dst_len }, 5);
    return op;
}

static struct milgi_op *make_seal(struct bench *b, const void *len)
{
    uint32_t n = *(const uint32_t *)len;
    struct milgi_op *op = aead_op(b, MILGI_OP_SEAL, n, n + 1 + 16);
    op->u.aead.inner_type = 23;
    for (uint32_t i = 0; i < n; i++)
        op->u.aead.src[0].data[i] = (uint8_t)(i * 7);
    return op;
}

/* Opens what |arg|, a finished SEAL, has made. */
static struct milgi_op *make_open(struct bench *b, const void *arg)
{
    const struct milgi_op *seal = arg;
    uint32_t n = seal->u.aead.dst_len - 16;
    struct milgi_op *op = aead_op(b, MILGI_OP_OPEN, n, n);
    memcpy(op->u.aead.src[0].data, seal->u.aead.dst, n);
    memcpy(op->u.aead.tag, seal->u.aead.dst + n, 16);
    memcpy(op->u.aead.aad, seal->u.aead.aad, sizeof op->u.aead.aad);
    return op;
}

static struct milgi_op *make_forged_open(struct bench *b, const void *arg)
{
    struct milgi_op *op = make_open(b, arg);
    op->u.aead.tag[15] ^= 1;
    return op;
}

enum bench_verdict bench_test_aead(struct bench *b, uint16_t suite)
{
    const uint32_t len = RECORD;
    struct milgi_op *seal, *op;
    key_aead(b, suite);
    enum bench_verdict v = expect(b, make_seal, &len, MILGI_OP_OK, &seal);
    if (v != BENCH_OK)
        return v;
    v = expect(b, make_open, seal, MILGI_OP_OK, &op);
    if (v == BENCH_OK) {
        bool same = !memcmp(op->u.aead.dst, seal->u.aead.src[0].data, len) && op->u.aead.dst[len] == 23;
        v = same ? BENCH_OK : BENCH_WRONG;
        op_free(op);
    }
    if (v == BENCH_OK)
        v = expect(b, make_forged_open, seal, MILGI_OP_REJECTED, &op);
    if (v == BENCH_OK)
        op_free(op);
    op_free(seal);
    return v;
}

/* --- key exchange ------------------------------------------------------------------------------------------------- */

static void give_share(struct bench *b, struct milgi_op *op, uint32_t len)
{
    struct milgi_chunk *chunk = chunk_new(b, len);
    op->u.kex.share = (struct milgi_slice){ chunk, milgi_chunk_data(chunk), len };
}

static uint16_t seed_len_of(uint16_t group)
{
    switch (group) {
    case MILGI_GROUP_X25519: return 32;
    case MILGI_GROUP_SECP256R1: return 40;
    case MILGI_GROUP_SECP384R1: return 56;
    case MILGI_GROUP_SECP521R1: return 74;
    default: return 64; /* ML-KEM's d || z */
    }
}

static struct milgi_op *make_keygen(struct bench *b, const void *arg)
{
    uint16_t group = *(const uint16_t *)arg;
    struct milgi_op *op = op_new(MILGI_OP_KEYGEN, group, NULL);
    give_share(b, op, MILGI_KEX_PUBLIC_MAX);
    op->u.kex.seed_len = seed_len_of(group);
    app_random(op->u.kex.seed, op->u.kex.seed_len);
    return op;
}

/* From the private key of the first and the share of the second of two finished KEYGENs. */
static struct milgi_op *make_derive(struct bench *b, const void *arg)
{
    struct milgi_op *const *pair = arg;
    struct milgi_op *op = op_new(MILGI_OP_DERIVE, pair[0]->alg, NULL);
    give_share(b, op, pair[1]->u.kex.pub_len);
    op->u.kex.secret_len = pair[0]->u.kex.secret_len;
    memcpy(op->u.kex.secret, pair[0]->u.kex.secret, sizeof op->u.kex.secret);
    memcpy(op->u.kex.share.data, pair[1]->u.kex.share.data, op->u.kex.share.len);
    return op;
}

static enum bench_verdict agree(struct bench *b, struct milgi_op *pair[2])
{
    struct milgi_op *swapped[2] = { pair[1], pair[0] }, *ours, *theirs;
    enum bench_verdict v = expect(b, make_derive, pair, MILGI_OP_OK, &ours);
    if (v != BENCH_OK)
        return v;
    v = expect(b, make_derive, swapped, MILGI_OP_OK, &theirs);
    if (v == BENCH_OK) {
        bool same = ours->u.kex.shared_len == theirs->u.kex.shared_len && ours->u.kex.shared_len &&
            !memcmp(ours->u.kex.shared, theirs->u.kex.shared, ours->u.kex.shared_len);
        v = same ? BENCH_OK : BENCH_WRONG;
        op_free(theirs);
    }
    op_free(ours);
    return v;
}

enum bench_verdict bench_test_group(struct bench *b, uint16_t group)
{
    struct milgi_op *pair[2];
    enum bench_verdict v = expect(b, make_keygen, &group, MILGI_OP_OK, &pair[0]);
    if (v != BENCH_OK)
        return v;
    v = expect(b, make_keygen, &group, MILGI_OP_OK, &pair[1]);
    if (v == BENCH_OK) {
        v = agree(b, pair);
        op_free(pair[1]);
    }
    op_free(pair[0]);
    return v;
}

/* To the key of a finished KEYGEN. */
static struct milgi_op *make_encaps(struct bench *b, const void *arg)
{
    const struct milgi_op *keygen = arg;
    struct milgi_op *op = op_new(MILGI_OP_ENCAPS, keygen->alg, NULL);
    give_share(b, op, keygen->u.kex.pub_len);
    memcpy(op->u.kex.share.data, keygen->u.kex.share.data, keygen->u.kex.pub_len);
    struct milgi_chunk *chunk = chunk_new(b, MILGI_KEX_PUBLIC_MAX);
    op->u.kex.ciphertext = (struct milgi_slice){ chunk, milgi_chunk_data(chunk), MILGI_KEX_PUBLIC_MAX };
    op->u.kex.seed_len = 32;
    app_random(op->u.kex.seed, op->u.kex.seed_len);
    return op;
}

/* With the private key of the first, what the second, an ENCAPS, has made. */
static struct milgi_op *make_decaps(struct bench *b, const void *arg)
{
    struct milgi_op *const *pair = arg;
    struct milgi_op *op = op_new(MILGI_OP_DECAPS, pair[0]->alg, NULL);
    give_share(b, op, pair[1]->u.kex.pub_len);
    memcpy(op->u.kex.share.data, pair[1]->u.kex.ciphertext.data, pair[1]->u.kex.pub_len);
    op->u.kex.secret_len = pair[0]->u.kex.secret_len;
    memcpy(op->u.kex.secret, pair[0]->u.kex.secret, sizeof op->u.kex.secret);
    return op;
}

enum bench_verdict bench_test_kem(struct bench *b, uint16_t group)
{
    struct milgi_op *pair[2], *decaps;
    enum bench_verdict v = expect(b, make_keygen, &group, MILGI_OP_OK, &pair[0]);
    if (v != BENCH_OK)
        return v;
    v = expect(b, make_encaps, pair[0], MILGI_OP_OK, &pair[1]);
    if (v == BENCH_OK) {
        v = expect(b, make_decaps, pair, MILGI_OP_OK, &decaps);
        if (v == BENCH_OK) {
            if (!decaps->u.kex.shared_len || memcmp(decaps->u.kex.shared, pair[1]->u.kex.shared, 32) != 0)
                v = BENCH_WRONG;
            op_free(decaps);
        }
        op_free(pair[1]);
    }
    op_free(pair[0]);
    return v;
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

static struct milgi_op *make_sign(struct bench *b, const void *arg)
{
    struct milgi_op *op = op_new(MILGI_OP_SIGN, MILGI_SIG_ECDSA_SECP256R1_SHA256, &b->private_key);
    (void)arg;
    op->u.sign.input_len = 130;
    memset(op->u.sign.input, 0x20, op->u.sign.input_len);
    return op;
}

static struct milgi_op *make_verify(struct bench *b, const void *arg)
{
    const struct milgi_op *sign = arg;
    struct milgi_op *op = op_new(MILGI_OP_VERIFY, sign->alg, NULL);
    struct milgi_op_sign *v = &op->u.sign;
    uint32_t spki_len = (uint32_t)b->throwaway.public_key_len;
    v->input_len = sign->u.sign.input_len;
    memcpy(v->input, sign->u.sign.input, sizeof v->input);
    v->sig_len = sign->u.sign.sig_len;
    v->spki_len = spki_len;
    v->blob.len = spki_len + v->sig_len;
    v->blob.chunk = chunk_new(b, v->blob.len);
    v->blob.data = milgi_chunk_data(v->blob.chunk);
    memcpy(v->blob.data, b->throwaway.public_key, spki_len);
    memcpy(v->blob.data + spki_len, sign->u.sign.sig, v->sig_len);
    return op;
}

static struct milgi_op *make_forged_verify(struct bench *b, const void *arg)
{
    struct milgi_op *op = make_verify(b, arg);
    op->u.sign.input[0] ^= 1;
    return op;
}

enum bench_verdict bench_test_sign(struct bench *b)
{
    struct milgi_op *sign, *op;
    enum bench_verdict v = expect(b, make_sign, NULL, MILGI_OP_OK, &sign);
    if (v != BENCH_OK)
        return v;
    v = expect(b, make_verify, sign, MILGI_OP_OK, &op);
    if (v == BENCH_OK) {
        op_free(op);
        v = expect(b, make_forged_verify, sign, MILGI_OP_REJECTED, &op);
    }
    if (v == BENCH_OK)
        op_free(op);
    op_free(sign);
    return v == BENCH_SKIPPED ? BENCH_OK : v; /* signing alone is what a token does */
}

/* --- speed -------------------------------------------------------------------------------------------------------- */

static void settle(struct bench *b, struct milgi_op *op, struct milgi_op *const *ready, unsigned ready_n)
{
    for (unsigned i = 0; i < ready_n; i++)
        if (ready[i] == op) {
            op_free(op);
            return;
        }
    abandon(b, op);
}

/* Keeps the device as full as it likes for |ms|, and counts what comes back. */
static double rate(struct bench *b, struct milgi_op *ops[], unsigned n, unsigned ms)
{
    struct milgi_op *ready[BENCH_DEPTH_MAX], *back[BENCH_DEPTH_MAX];
    uint64_t begin = now_ns(b), end = begin + (uint64_t)ms * 1000000, now = begin, done = 0;
    unsigned ready_n = n, out = 0;
    for (unsigned i = 0; i < n; i++)
        ready[i] = ops[i];
    while (now < end || (out && now < end + ANSWER_NS)) {
        unsigned taken = 0;
        if (now < end && ready_n)
            taken = b->device->ops->enqueue(b->qp, ready, ready_n);
        ready_n -= taken;
        for (unsigned i = 0; i < ready_n && taken; i++)
            ready[i] = ready[i + taken];
        out += taken;
        unsigned got = b->device->ops->dequeue(b->qp, back, out);
        out -= got;
        for (unsigned i = 0; i < got; i++) {
            done += now < end && back[i]->status == MILGI_OP_OK;
            back[i]->status = MILGI_OP_PENDING;
            ready[ready_n++] = back[i];
        }
        if (!got && !taken)
            sched_yield();
        now = now_ns(b);
    }
    for (unsigned i = 0; i < n; i++)
        settle(b, ops[i], ready, ready_n);
    return (double)done * 1000 / ms;
}

static unsigned depth_of(const struct bench *b)
{
    const struct milgi_device_caps *caps = &b->device->caps;
    unsigned depth = 2 * (caps->parallelism > caps->best_batch ? caps->parallelism : caps->best_batch);
    if (depth > caps->max_in_flight)
        depth = caps->max_in_flight;
    return depth > BENCH_DEPTH_MAX ? BENCH_DEPTH_MAX : depth;
}

double bench_sign(struct bench *b, unsigned ms)
{
    struct milgi_op *ops[BENCH_DEPTH_MAX];
    unsigned n = depth_of(b);
    if (!takes(b, MILGI_OP_SIGN, MILGI_SIG_ECDSA_SECP256R1_SHA256))
        return 0;
    for (unsigned i = 0; i < n; i++)
        ops[i] = make_sign(b, NULL);
    return rate(b, ops, n, ms);
}

double bench_seal(struct bench *b, uint16_t suite, uint32_t len, unsigned ms)
{
    struct milgi_op *ops[BENCH_DEPTH_MAX];
    unsigned n = depth_of(b);
    if (!takes(b, MILGI_OP_SEAL, suite))
        return 0;
    key_aead(b, suite);
    for (unsigned i = 0; i < n; i++) {
        ops[i] = make_seal(b, &len);
        ops[i]->u.aead.nonce[11] = (uint8_t)i;
    }
    return rate(b, ops, n, ms);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

void bench_close(struct bench *b)
{
    if (b->qp) {
        struct milgi_op *late;
        (void)b->device->ops->quiesce(b->qp, UINT64_MAX);
        while (b->device->ops->dequeue(b->qp, &late, 1)) {
        }
        key_free(b, &b->aead);
        key_free(b, &b->private_key);
        b->device->ops->qp_close(b->qp);
    }
    while (b->abandoned) {
        struct milgi_op *op = b->abandoned;
        b->abandoned = op->e.next;
        op_free(op);
    }
    milgi_credential_unref(b->credential);
    app_throwaway_free(&b->throwaway);
    if (b->engine)
        milgi_engine_free(b->engine);
    milgi_device_free(b->device);
}
