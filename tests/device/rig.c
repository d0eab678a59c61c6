/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/port.h"
#include "cert/cert.h"
#include "identity.h"
#include "op/material.h"
#include "rig_jobs.h"

#define GUARD 32
#define PATIENCE_NS (20 * UINT64_C(1000000000))

/* --- what keys are made of -------------------------------------------------------------------------------------- */

static struct {
    struct identity *root, *signer[RIG_SIGNERS];
    struct milgi_credential credential[RIG_SIGNERS];
    bool remote; /* the token is another process's */
    struct milgi_trust trust;
    uint8_t *chain; /* of the P-256 identity, as VERIFY_CHAIN takes it */
    size_t chain_len;
} pki;

void die(const char *what)
{
    fprintf(stderr, "rig: %s\n", what);
    abort();
}

static uint8_t *with_length(const struct identity *id, size_t *len)
{
    uint8_t *out = malloc(id->cert_der_len + 3);

    if (!out)
        die("no memory");
    out[0] = (uint8_t)(id->cert_der_len >> 16);
    milgi__put16(out + 1, (unsigned)id->cert_der_len & 0xffff);
    memcpy(out + 3, id->cert_der, id->cert_der_len);
    *len = id->cert_der_len + 3;
    return out;
}

static void fill_credential(struct milgi_credential *credential, const struct identity *id)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(id->private_key);
    int pkcs8_len = i2d_PKCS8_PRIV_KEY_INFO(info, &credential->pkcs8);
    int spki_len = i2d_PUBKEY(id->private_key, &credential->spki);

    if (pkcs8_len <= 0 || spki_len <= 0)
        die("a key has no DER");
    PKCS8_PRIV_KEY_INFO_free(info);
    credential->pkcs8_len = (size_t)pkcs8_len;
    credential->spki_len = (size_t)spki_len;
}

void rig_prepare(void)
{
    static const enum identity_key keys[RIG_SIGNERS] = { IDENTITY_P256, IDENTITY_P384, IDENTITY_P521, IDENTITY_RSA,
        IDENTITY_RSA_PSS, IDENTITY_ED25519 };
    static const enum milgi__key_type types[RIG_SIGNERS] = { MILGI__KEY_P256, MILGI__KEY_P384, MILGI__KEY_P521,
        MILGI__KEY_RSA, MILGI__KEY_RSA_PSS, MILGI__KEY_ED25519 };

    if (pki.root)
        return;
    pki.root = identity_root(IDENTITY_P256, "root");
    pki.trust.anchors = with_length(pki.root, &pki.trust.anchors_len);
    for (int i = 0; i < RIG_SIGNERS; i++) {
        pki.signer[i] = identity_leaf(pki.root, keys[i], "DNS:server.test");
        fill_credential(&pki.credential[i], pki.signer[i]);
        pki.credential[i].type = types[i];
        pki.credential[i].bits = (unsigned)EVP_PKEY_bits(pki.signer[i]->private_key);
        milgi__key_type_text(pki.credential[i].type, pki.credential[i].bits, pki.credential[i].key_type,
            sizeof pki.credential[i].key_type);
    }
    pki.chain = with_length(pki.signer[RIG_P256], &pki.chain_len);
}

const struct identity *rig_identity(enum rig_signer signer)
{
    return pki.signer[signer];
}

void rig_at(enum rig_signer signer, char *uri, bool remote)
{
    pki.credential[signer].uri = uri;
    pki.remote = remote;
}

void rig_done(void)
{
    for (int i = 0; i < RIG_SIGNERS; i++) {
        OPENSSL_free(pki.credential[i].pkcs8);
        OPENSSL_free(pki.credential[i].spki);
        identity_free(pki.signer[i]);
    }
    identity_free(pki.root);
    free(pki.trust.anchors);
    free(pki.chain);
    memset(&pki, 0, sizeof pki);
}

const uint16_t *rig_schemes(enum rig_signer signer)
{
    static const uint16_t schemes[RIG_SIGNERS][7] = {
        { MILGI_SIG_ECDSA_SECP256R1_SHA256 },
        { MILGI_SIG_ECDSA_SECP384R1_SHA384 },
        { MILGI_SIG_ECDSA_SECP521R1_SHA512 },
        { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA512,
            MILGI_SIG_RSA_PKCS1_SHA256, MILGI_SIG_RSA_PKCS1_SHA384, MILGI_SIG_RSA_PKCS1_SHA512 },
        { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512 },
        { MILGI_SIG_ED25519 },
    };
    return schemes[signer];
}

/* --- the rig ---------------------------------------------------------------------------------------------------- */

uint64_t rig_random(struct rig *rig)
{
    rig->random ^= rig->random << 13;
    rig->random ^= rig->random >> 7;
    rig->random ^= rig->random << 17;
    return rig->random;
}

void random_bytes(struct rig *rig, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(rig_random(rig) >> 24);
}

static uint64_t virtual_now(void *ctx)
{
    return ((struct rig *)ctx)->virtual_ns;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return milgi__port_wall_s(NULL);
}

uint64_t rig_now(const struct rig *rig)
{
    return rig->clock.monotonic_ns(rig->clock.ctx);
}

bool rig_can(const struct rig *rig, int type, uint16_t alg)
{
    if ((rig->device->caps.ops & MILGI_OP_BIT(type)) == 0)
        return false;
    /* p11-kit does not hand CKM_EDDSA on to another process. */
    if (type == MILGI_OP_SIGN && alg == MILGI_SIG_ED25519 && pki.remote && strcmp(rig->ops->name, "pkcs11") == 0)
        return false;
    return !rig->ops->supports || rig->ops->supports(rig->device, type, alg) == 1;
}

bool rig_key_load(struct rig *rig, struct milgi_key *key)
{
    uint32_t use = key->kind == MILGI_KEY_TRUST ? MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN) : MILGI_OP_BIT(MILGI_OP_SIGN);
    bool loads = (rig->device->caps.flags & MILGI_CAP_KEY_LOAD) != 0 && (rig->device->caps.ops & use) != 0;

    key->serial = milgi__key_serial();
    if (key->kind == MILGI_KEY_AEAD || !loads)
        return true;
    return (key->loaded.dev[RIG_DEV] = rig->ops->key_load(rig->qp, key)) != NULL;
}

void rig_key_free(struct rig *rig, struct milgi_key *key)
{
    void *none = NULL, **loaded = key->kind == MILGI_KEY_AEAD ? &none : &key->loaded.dev[RIG_DEV];
    rig->ops->key_free(rig->qp, key, *loaded);
    milgi__aead_forget(rig->cx, key->serial);
    *loaded = NULL;
}

static void make_aead_keys(struct rig *rig)
{
    static const uint16_t suites[RIG_SUITES] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
        MILGI_SUITE_CHACHA20_POLY1305_SHA256 };

    for (int i = 0; i < RIG_SUITES; i++) {
        struct milgi_key *key = &rig->aead[i];
        key->kind = MILGI_KEY_AEAD;
        key->alg = suites[i];
        key->raw_len = i == RIG_AES_128_GCM ? 16 : 32;
        random_bytes(rig, key->raw, key->raw_len);
    }
}

static bool load_keys(struct rig *rig)
{
    bool loaded = true;

    for (int i = 0; i < RIG_SUITES; i++)
        loaded = loaded && rig_key_load(rig, &rig->aead[i]);
    for (int i = 0; i < RIG_SIGNERS; i++)
        loaded = loaded && rig_key_load(rig, &rig->signer[i]);
    return loaded && rig_key_load(rig, &rig->trust);
}

static void *slab_alloc(void *ctx, size_t size)
{
    struct milgi_device *device = ctx;

    return device->ops->chunk_alloc(device, size);
}

static void slab_free(void *ctx, void *p, size_t size)
{
    struct milgi_device *device = ctx;

    device->ops->chunk_free(device, p, size);
}

const char *rig_open(struct rig *rig, struct milgi_device *device, bool virtual_time, uint64_t seed)
{
    memset(rig, 0, sizeof *rig);
    rig->device = device;
    rig->ops = device->ops;
    rig->is_virtual = virtual_time;
    rig->virtual_ns = 1000000000;
    rig->clock =
        (struct milgi_clock){ virtual_time ? virtual_now : milgi__port_monotonic_ns, wall, virtual_time ? rig : NULL };
    rig->random = seed * 2 + 1;
    for (int i = 0; i < 20; i++)
        (void)rig_random(rig);
    make_aead_keys(rig);
    for (int i = 0; i < RIG_SIGNERS; i++) {
        rig->signer[i].kind = MILGI_KEY_PRIVATE;
        rig->signer[i].loaded = (struct milgi_loaded_key){ &pki.credential[i], NULL, rig->signer_dev[i] };
    }
    rig->trust.kind = MILGI_KEY_TRUST;
    rig->trust.loaded = (struct milgi_loaded_key){ NULL, &pki.trust, rig->trust_dev };
    rig->memory.memory = (struct milgi__memory){ slab_alloc, slab_free, device };
    rig->cx = milgi__crypto_new();
    if (!rig->cx)
        return "no crypto";
    rig->qp = rig->ops->qp_open(device, &rig->clock);
    if (!rig->qp)
        return "qp_open failed";
    return load_keys(rig) ? NULL : "key_load failed";
}

void rig_close(struct rig *rig)
{
    if (rig->qp) {
        (void)rig->ops->quiesce(rig->qp, UINT64_MAX);
        for (int i = 0; i < RIG_SUITES; i++)
            rig_key_free(rig, &rig->aead[i]);
        for (int i = 0; i < RIG_SIGNERS; i++)
            rig_key_free(rig, &rig->signer[i]);
        rig_key_free(rig, &rig->trust);
        rig->ops->qp_close(rig->qp);
    }
    milgi__crypto_free(rig->cx);
}

/* --- jobs ------------------------------------------------------------------------------------------------------- */

struct job *job_of(struct milgi_op *op)
{
    return (struct job *)(void *)((char *)op - offsetof(struct job, op));
}

/* From the device's memory, if it gives some. */
static uint8_t *job_alloc(struct job *job)
{
    void *p = job->rig->ops->chunk_alloc ? milgi__region_alloc(&job->rig->memory, job->size, &job->slab)
                                         : malloc(job->size);

    if (!p)
        die("no memory");
    return p;
}

struct job *job_new(struct rig *rig, enum milgi_op_type type, uint16_t alg, struct milgi_key *key)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        die("no memory");
    job->rig = rig;
    job->want = MILGI_OP_OK;
    job->op.type = (uint8_t)type;
    job->op.cls = type <= MILGI_OP_OPEN ? MILGI_OP_CLASS_RECORDS : MILGI_OP_CLASS_HANDSHAKE;
    job->op.dev = RIG_DEV;
    job->op.alg = alg;
    job->op.key = key;
    return job;
}

/* One block for source and destination: source, guard, destination, guard. */
void job_memory(struct job *job, size_t src_len, size_t dst_len)
{
    job->size = src_len + dst_len + 2 * (size_t)GUARD;
    job->src = job_alloc(job);
    job->src_len = src_len;
    job->dst = job->src + src_len + GUARD;
    job->dst_len = dst_len;
    memset(job->src, 0x5a, job->size);
}

/* From here on nothing but the device changes it. */
struct job *job_made(struct job *job)
{
    job->before = job->op;
    if (!job->src)
        return job;
    job->src_before = malloc(job->size);
    if (!job->src_before)
        die("no memory");
    memcpy(job->src_before, job->src, job->size);
    return job;
}

void job_free(struct job *job)
{
    if (job->slab)
        milgi__region_free(&job->rig->memory, job->slab, job->src, job->size);
    else
        free(job->src);
    free(job->src_before);
    free(job->result);
    free(job);
}

/* --- jobs: records ---------------------------------------------------------------------------------------------- */

static void cut(struct milgi_op_aead *a, uint8_t *data, size_t len, unsigned pieces)
{
    size_t at = 0;

    a->src_n = (uint8_t)(pieces == 0 ? 1 : pieces);
    for (unsigned i = 0; i < a->src_n; i++) {
        size_t part = i + 1u == a->src_n ? len - at : len / a->src_n;
        a->src[i] = (struct milgi_slice){ NULL, data + at, (uint32_t)part };
        at += part;
    }
}

static struct milgi__aead_key aead_key(const struct milgi_key *key)
{
    return (struct milgi__aead_key){ key->serial, key->alg, key->raw_len, key->raw };
}

struct job *job_seal(struct rig *rig, const struct job_aead *what)
{
    struct milgi_key *key = &rig->aead[what->suite];
    struct job *job = job_new(rig, MILGI_OP_SEAL, key->alg, key);
    struct milgi_op_aead *a = &job->op.u.aead;
    size_t tail = what->inner == 0 ? 0 : 1 + (size_t)what->pad;
    struct milgi__aead_key direct = aead_key(key);

    job->result_len = what->len + tail + 16;
    job_memory(job, what->in_place ? 0 : what->len, job->result_len);
    random_bytes(rig, what->in_place ? job->dst : job->src, what->len);
    random_bytes(rig, a->nonce, sizeof a->nonce);
    a->aad_len = what->inner == 0 ? 13 : 5;
    random_bytes(rig, a->aad, a->aad_len);
    a->inner_type = what->inner;
    a->pad_len = (uint16_t)what->pad;
    a->in_place = what->in_place;
    a->dst = job->dst;
    a->dst_len = (uint32_t)job->result_len;
    cut(a, what->in_place ? job->dst : job->src, what->len, what->pieces);
    job->result = malloc(job->result_len);
    struct milgi__piece piece = { what->in_place ? job->dst : job->src, what->len };
    if (!job->result)
        die("no memory");
    if (milgi__aead_seal(rig->cx, &direct, a->nonce, a->aad, a->aad_len, &piece, 1, what->inner, what->pad,
            job->result) != 0)
        die("cannot seal");
    return job_made(job);
}

struct job *job_open(struct rig *rig, const struct job_aead *what)
{
    struct milgi_key *key = &rig->aead[what->suite];
    struct job *job = job_new(rig, MILGI_OP_OPEN, key->alg, key);
    struct milgi_op_aead *a = &job->op.u.aead;
    struct milgi__aead_key direct = aead_key(key);
    uint8_t *sealed = malloc(what->len + 16);

    job_memory(job, what->len, what->in_place ? 0 : what->len);
    job->result = malloc(what->len + 1);
    job->result_len = what->len;
    if (!sealed || !job->result)
        die("no memory");
    random_bytes(rig, job->result, what->len);
    random_bytes(rig, a->nonce, sizeof a->nonce);
    a->aad_len = 5;
    random_bytes(rig, a->aad, a->aad_len);
    struct milgi__piece piece = { job->result, what->len };
    if (milgi__aead_seal(rig->cx, &direct, a->nonce, a->aad, a->aad_len, &piece, 1, 0, 0, sealed) != 0)
        die("cannot seal");
    memcpy(job->src, sealed, what->len);
    memcpy(a->tag, sealed + what->len, 16);
    free(sealed);
    a->in_place = what->in_place;
    a->dst = what->in_place ? NULL : job->dst;
    a->dst_len = what->in_place ? 0 : what->len;
    cut(a, job->src, what->len, what->pieces);
    if (what->forged) {
        a->tag[rig_random(rig) % 16] ^= (uint8_t)(1u << rig_random(rig) % 8);
        memset(job->result, 0, what->len);
        job->want = MILGI_OP_REJECTED;
    }
    return job_made(job);
}

struct job *job_small(struct rig *rig)
{
    return job_seal(rig, &(struct job_aead){ .len = 16, .inner = 23 });
}

/* --- jobs: handshakes ------------------------------------------------------------------------------------------- */

static void fill_input(struct rig *rig, struct milgi_op_sign *s)
{
    s->input_len = (uint16_t)(64 + 33 + 1 + (rig_random(rig) % 2 == 0 ? 32 : 48));
    random_bytes(rig, s->input, s->input_len);
}

struct job *job_sign(struct rig *rig, enum rig_signer signer, uint16_t scheme)
{
    struct job *job = job_new(rig, MILGI_OP_SIGN, scheme, &rig->signer[signer]);

    fill_input(rig, &job->op.u.sign);
    return job_made(job);
}

static size_t sign_directly(
    struct rig *rig, enum rig_signer signer, uint16_t scheme, const struct milgi_op_sign *s, uint8_t *sig)
{
    const struct milgi_credential *credential = &pki.credential[signer];
    struct milgi__pkey *key = milgi__pkey_new(rig->cx, credential->pkcs8, credential->pkcs8_len);
    size_t len = MILGI_SIGNATURE_MAX;

    if (!key || milgi__pkey_sign(rig->cx, key, scheme, s->input, s->input_len, sig, &len) != 0)
        die("cannot sign");
    milgi__pkey_free(key);
    return len;
}

struct job *job_verify(struct rig *rig, enum rig_signer signer, uint16_t scheme, bool forged)
{
    struct job *job = job_new(rig, MILGI_OP_VERIFY, scheme, NULL);
    struct milgi_op_sign *s = &job->op.u.sign;
    const struct milgi_credential *credential = &pki.credential[signer];
    uint8_t sig[MILGI_SIGNATURE_MAX];

    fill_input(rig, s);
    s->sig_len = (uint16_t)sign_directly(rig, signer, scheme, s, sig);
    s->spki_len = (uint32_t)credential->spki_len;
    job_memory(job, credential->spki_len + s->sig_len, 0);
    memcpy(job->src, credential->spki, credential->spki_len);
    memcpy(job->src + credential->spki_len, sig, s->sig_len);
    s->blob = (struct milgi_slice){ NULL, job->src, (uint32_t)job->src_len };
    if (forged) {
        s->input[rig_random(rig) % s->input_len] ^= 0x10;
        job->want = MILGI_OP_REJECTED;
    }
    return job_made(job);
}

struct job *job_chain(struct rig *rig, const char *name)
{
    struct job *job = job_new(rig, MILGI_OP_VERIFY_CHAIN, 0, &rig->trust);
    struct milgi_op_chain *c = &job->op.u.chain;

    job_memory(job, pki.chain_len, 0);
    memcpy(job->src, pki.chain, pki.chain_len);
    c->chain = (struct milgi_slice){ NULL, job->src, (uint32_t)job->src_len };
    c->now_s = milgi__port_wall_s(NULL);
    c->purpose = MILGI_PURPOSE_SERVER;
    c->name_len = (uint16_t)strlen(name);
    memcpy(c->name, name, c->name_len);
    job->want = strcmp(name, "server.test") == 0 ? MILGI_OP_OK : MILGI_OP_REJECTED;
    return job_made(job);
}

static struct job *any_record(struct rig *rig)
{
    bool scatter = (rig->device->caps.flags & MILGI_CAP_SCATTER) != 0;
    struct job_aead what = { .suite = (enum rig_suite)(rig_random(rig) % RIG_SUITES),
        .len = (unsigned)(rig_random(rig) % (rig_random(rig) % 8 == 0 ? 16385 : 600)),
        .pad = (unsigned)(rig_random(rig) % 40),
        .inner = rig_random(rig) % 4 == 0 ? 0 : 23,
        .pieces = scatter ? (unsigned)(1 + rig_random(rig) % MILGI_OP_SLICES) : 1,
        .forged = rig_random(rig) % 4 == 0 };

    return rig_random(rig) % 2 == 0 ? job_seal(rig, &what) : job_open(rig, &what);
}

static struct job *any_of_type(struct rig *rig, enum milgi_op_type type)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    uint16_t group = groups[rig_random(rig) % 3];
    /* The slow ones are left to the tests that take each once. */
    enum rig_signer signer = rig_random(rig) % 2 == 0 ? RIG_P256 : RIG_ED25519;
    uint16_t scheme = rig_schemes(signer)[0];
    bool bad = rig_random(rig) % 3 == 0;

    switch (type) {
    case MILGI_OP_KEYGEN: return job_keygen(rig, group);
    case MILGI_OP_DERIVE: return job_derive(rig, group, bad ? SHARE_OFF_CURVE : SHARE_GOOD);
    case MILGI_OP_ENCAPS: return job_encaps(rig, MILGI_GROUP_MLKEM768, bad ? SHARE_OFF_CURVE : SHARE_GOOD);
    case MILGI_OP_DECAPS: return job_decaps(rig, MILGI_GROUP_MLKEM768, bad ? SHARE_OFF_CURVE : SHARE_GOOD);
    case MILGI_OP_SIGN: return job_sign(rig, signer, scheme);
    case MILGI_OP_VERIFY: return job_verify(rig, signer, scheme, bad);
    case MILGI_OP_VERIFY_CHAIN: return job_chain(rig, bad ? "other.test" : "server.test");
    default: return any_record(rig);
    }
}

struct job *job_any(struct rig *rig)
{
    for (;;) {
        /* Half of them records. */
        unsigned pick = (unsigned)(rig_random(rig) % 14);
        enum milgi_op_type type = pick < MILGI_OP_TYPES ? (enum milgi_op_type)pick : MILGI_OP_SEAL;
        bool kem = type == MILGI_OP_ENCAPS || type == MILGI_OP_DECAPS;
        if (kem && !milgi__kem_available())
            continue;
        struct job *job = any_of_type(rig, type);
        if (rig_can(rig, job->op.type, job->op.alg))
            return job;
        job_free(job);
    }
}

/* --- judging ---------------------------------------------------------------------------------------------------- */

static bool same(const struct job *job, const uint8_t *from, size_t len)
{
    return memcmp(from, job->src_before + (from - job->src), len) == 0;
}

static const char *check_record(const struct job *job)
{
    const struct milgi_op_aead *a = &job->op.u.aead;
    bool open_in_place = job->op.type == MILGI_OP_OPEN && a->in_place;
    const uint8_t *result = open_in_place ? job->src : job->dst;

    if (memcmp(result, job->result, job->result_len) != 0)
        return job->want == MILGI_OP_REJECTED ? "a forged record was not wiped" : "the result is wrong";
    if (!open_in_place && !same(job, job->src, job->src_len))
        return "the source was changed";
    if (!same(job, job->src + job->src_len, GUARD) || !same(job, job->dst + job->dst_len, GUARD))
        return "bytes outside of the destination were written";
    return NULL;
}

static const char *check_sign(const struct job *job)
{
    const struct milgi_op_sign *s = &job->op.u.sign, *before = &job->before.u.sign;
    const struct milgi_credential *credential = job->op.key->loaded.credential;

    if (milgi__verify(job->rig->cx, credential->spki, credential->spki_len, job->op.alg, before->input,
            before->input_len, s->sig, s->sig_len) != 0)
        return "the signature does not verify";
    return NULL;
}

static const char *check_ok(const struct job *job)
{
    switch (job->op.type) {
    case MILGI_OP_KEYGEN: return job_check_keygen(job);
    case MILGI_OP_ENCAPS: return job_check_encaps(job);
    case MILGI_OP_DERIVE:
    case MILGI_OP_DECAPS:
        if (job->op.u.kex.shared_len != job->result_len ||
            memcmp(job->op.u.kex.shared, job->expect, job->result_len) != 0)
            return "the shared secret is wrong";
        if (memcmp(job->op.u.kex.secret, job->before.u.kex.secret, sizeof job->before.u.kex.secret) != 0)
            return "the private key was written";
        return NULL;
    case MILGI_OP_SIGN: return check_sign(job);
    default: return NULL;
    }
}

const char *job_check(struct job *job)
{
    static _Thread_local char text[120];
    const char *why = NULL;

    if (!job->back)
        why = "it did not come back";
    else if (job->op.status != job->want)
        why = "its status is wrong";
    else if (job->op.key != job->before.key || job->op.type != job->before.type)
        why = "the op's head was changed";
    else if (job->want == MILGI_OP_BROKEN || job->want == MILGI_OP_CANCELLED)
        return NULL;
    else if (job->op.type <= MILGI_OP_OPEN)
        why = check_record(job);
    else if (job->want == MILGI_OP_OK)
        why = check_ok(job);
    else if (job->op.type == MILGI_OP_VERIFY_CHAIN && job->op.u.chain.alert == 0)
        why = "a refused chain has no alert";
    if (!why)
        return NULL;
    snprintf(text, sizeof text, "%s 0x%04x is %s (wanted %s): %s", milgi_op_type_name(job->op.type), job->op.alg,
        milgi_op_status_name(job->op.status), milgi_op_status_name((int)job->want), why);
    return text;
}

const char *job_untouched(const struct job *job)
{
    struct milgi_op now = job->op;

    memcpy(now.scratch, job->before.scratch, sizeof now.scratch);
    now.status = job->before.status;
    if (memcmp(&now, &job->before, sizeof now) != 0)
        return "the op was changed";
    if (job->src && memcmp(job->src, job->src_before, job->size) != 0)
        return "its memory was changed";
    return NULL;
}

/* --- a host ----------------------------------------------------------------------------------------------------- */

static const char *take(struct rig *rig, unsigned *got)
{
    struct milgi_op *ops[7];

    *got = rig->ops->dequeue(rig->qp, ops, MILGI__COUNT(ops));
    if (*got > MILGI__COUNT(ops))
        return "dequeue gave more than there was room for";
    for (unsigned i = 0; i < *got; i++) {
        struct job *job = job_of(ops[i]);
        if (job->back)
            return "an op came back twice";
        job->back = true;
        if (job->op.status == MILGI_OP_PENDING || job->op.status > MILGI_OP_CANCELLED)
            return "an op came back without a final status";
    }
    return NULL;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec t = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    nanosleep(&t, NULL);
}

/* One sleep, until the device's descriptor or the time it named. false: the descriptor never became readable. */
static bool sleep_once(struct rig *rig)
{
    uint64_t next = !rig->ops->next_event ? UINT64_MAX : rig->ops->next_event(rig->qp);
    uint64_t now = rig_now(rig);
    int fd = rig->ops->notify_fd(rig->qp);

    if (rig->is_virtual) {
        if (next == UINT64_MAX)
            return false;
        rig->virtual_ns = MILGI__MAX(rig->virtual_ns, next);
        return true;
    }
    if (fd >= 0) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        return rig->ops->arm(rig->qp) == 1 || poll(&poll_fd, 1, (int)(PATIENCE_NS / 1000000)) == 1;
    }
    sleep_ns(next == UINT64_MAX || next <= now ? 20000 : next - now);
    return true;
}

const char *rig_wait(struct rig *rig)
{
    uint64_t end = milgi__port_monotonic_ns(NULL) + PATIENCE_NS;

    for (;;) {
        unsigned got;
        const char *why = take(rig, &got);
        if (why || got > 0)
            return why;
        if (!sleep_once(rig))
            return "a wake-up was lost";
        if (milgi__port_monotonic_ns(NULL) > end)
            return "nothing comes back";
    }
}

const char *rig_enqueue(struct rig *rig, struct job *const *jobs, unsigned n)
{
    struct milgi_op *ops[64];
    unsigned at = 0;

    while (at < n) {
        unsigned offered = MILGI__MIN(n - at, (unsigned)MILGI__COUNT(ops));
        for (unsigned i = 0; i < offered; i++)
            ops[i] = &jobs[at + i]->op;
        unsigned accepted = rig->ops->enqueue(rig->qp, ops, offered);
        if (accepted > offered)
            return "enqueue accepted more than it was offered";
        at += accepted;
        if (accepted == offered)
            continue;
        const char *why = job_untouched(jobs[at]);
        if (!why)
            why = rig_wait(rig);
        if (why)
            return why;
    }
    return NULL;
}

const char *rig_finish(struct rig *rig, struct job *const *jobs, unsigned n)
{
    const char *why = NULL;

    for (unsigned i = 0; i < n && !why; i++) {
        while (!jobs[i]->back && !why)
            why = rig_wait(rig);
    }
    for (unsigned i = 0; i < n && !why; i++)
        why = job_check(jobs[i]);
    return why;
}

const char *rig_run(struct rig *rig, struct job *job)
{
    const char *why = rig_enqueue(rig, &job, 1);

    if (!why)
        why = rig_finish(rig, &job, 1);
    job_free(job);
    return why;
}
