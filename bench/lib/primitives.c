/* SPDX-License-Identifier: Apache-2.0 */
#include "primitives.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <milgi/milgi.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define SUITE_FIRST MILGI_SUITE_AES_128_GCM_SHA256
#define SUITES 3u
#define TAG_LEN 16

/* A key pair, and ops that sign and verify with it. */
struct signer {
    struct milgi_credential *credential;
    struct milgi_key key;
    void *loaded[MILGI_DEVICES_MAX];
    struct milgi_op sign, verify;
    uint8_t blob[1024]; /* public key and signature */
};

struct bench_primitives {
    struct milgi_device *cpu;
    struct milgi_qp *qp;
    struct milgi_clock clock;
    struct milgi_op keygen, derive;
    uint8_t share[32], peer[32];
    struct signer signer[BENCH_KEYS];
    struct milgi_key aead[SUITES];
    struct milgi_op seal;
    uint64_t sequence;
};

static uint64_t monotonic(void *ctx)
{
    (void)ctx;
    return bench_now_ns();
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return (int64_t)time(NULL);
}

static void perform(struct bench_primitives *p, struct milgi_op *op)
{
    struct milgi_op *back = NULL;

    op->status = MILGI_OP_PENDING;
    if (p->cpu->ops->enqueue(p->qp, &op, 1) != 1 || p->cpu->ops->dequeue(p->qp, &back, 1) != 1 || back != op ||
        op->status != MILGI_OP_OK)
        bench_die("%s failed", milgi_op_type_name(op->type));
}

/* No key serial but these is used with this queue pair. */
static void key_is(struct milgi_key *key, enum milgi_key_kind kind, uint64_t serial)
{
    key->kind = (uint8_t)kind;
    key->serial = serial;
}

static void x25519_new(struct bench_primitives *p)
{
    struct milgi_op *ops[] = { &p->keygen, &p->derive };

    for (size_t i = 0; i < 2; i++) {
        ops[i]->type = i == 0 ? MILGI_OP_KEYGEN : MILGI_OP_DERIVE;
        ops[i]->cls = MILGI_OP_CLASS_HANDSHAKE;
        ops[i]->alg = MILGI_GROUP_X25519;
    }
    p->keygen.u.kex.seed_len = 32;
    memset(p->keygen.u.kex.seed, 7, 32);
    p->keygen.u.kex.share = (struct milgi_slice){ NULL, p->peer, sizeof p->peer };
    perform(p, &p->keygen);
    memset(p->keygen.u.kex.seed, 9, 32);
    p->keygen.u.kex.share.data = p->share;
    perform(p, &p->keygen);
    p->derive.u.kex.secret_len = p->keygen.u.kex.secret_len;
    memcpy(p->derive.u.kex.secret, p->keygen.u.kex.secret, sizeof p->derive.u.kex.secret);
    p->derive.u.kex.share = (struct milgi_slice){ NULL, p->peer, sizeof p->peer };
}

/* The public key, as VERIFY wants it, to |out|; its length. */
static size_t public_of(const struct bench_cert *cert, uint8_t *out, size_t size)
{
    BIO *in = BIO_new_mem_buf(cert->cert_pem, (int)cert->cert_len);
    X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    int len = x ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), NULL) : 0;

    if (len <= 0 || (size_t)len > size || i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &out) != len)
        bench_die("cannot read a certificate");
    X509_free(x);
    BIO_free(in);
    return (size_t)len;
}

static void signer_new(struct bench_primitives *p, enum bench_key kind)
{
    struct signer *s = &p->signer[kind];
    struct bench_cert cert = bench_cert_make(kind);

    if (milgi_credential_new_pem(cert.cert_pem, cert.cert_len, cert.key_pem, cert.key_len, &s->credential) != 0)
        bench_die("cannot read a key");
    key_is(&s->key, MILGI_KEY_PRIVATE, 1000u + kind);
    s->key.loaded = (struct milgi_loaded_key){ .credential = s->credential, .dev = s->loaded };
    s->loaded[0] = p->cpu->ops->key_load(p->qp, &s->key);
    s->sign.type = MILGI_OP_SIGN;
    s->sign.cls = MILGI_OP_CLASS_HANDSHAKE;
    s->sign.alg = kind == BENCH_RSA_2048 ? MILGI_SIG_RSA_PSS_RSAE_SHA256 : MILGI_SIG_ECDSA_SECP256R1_SHA256;
    s->sign.u.sign.input_len = 130; /* what is before the hash of the messages, and that */
    s->sign.key = &s->key;
    perform(p, &s->sign);
    s->verify = s->sign;
    s->verify.type = MILGI_OP_VERIFY;
    s->verify.key = NULL;
    s->verify.u.sign.spki_len = (uint32_t)public_of(&cert, s->blob, sizeof s->blob - MILGI_SIGNATURE_MAX);
    memcpy(s->blob + s->verify.u.sign.spki_len, s->sign.u.sign.sig, s->sign.u.sign.sig_len);
    s->verify.u.sign.blob =
        (struct milgi_slice){ NULL, s->blob, s->verify.u.sign.spki_len + s->verify.u.sign.sig_len };
    bench_cert_free(&cert);
}

static void suites_new(struct bench_primitives *p)
{
    for (unsigned i = 0; i < SUITES; i++) {
        struct milgi_key *key = &p->aead[i];
        key_is(key, MILGI_KEY_AEAD, 1u + i);
        key->alg = (uint16_t)(SUITE_FIRST + i);
        key->raw_len = key->alg == MILGI_SUITE_AES_128_GCM_SHA256 ? 16 : 32;
    }
    p->seal.type = MILGI_OP_SEAL;
    p->seal.cls = MILGI_OP_CLASS_RECORDS;
    p->seal.u.aead.src_n = 1;
    p->seal.u.aead.inner_type = 23;
    p->seal.u.aead.aad_len = 5;
}

struct bench_primitives *bench_primitives_new(void)
{
    struct bench_primitives *p = calloc(1, sizeof *p);
    const char *why = "no memory";

    if (!p || milgi_device_new("cpu", &p->cpu, &why) != 0)
        bench_die("%s", why);
    p->clock = (struct milgi_clock){ monotonic, wall, NULL };
    p->qp = p->cpu->ops->qp_open(p->cpu, &p->clock);
    if (!p->qp)
        bench_die("the device cpu cannot be opened");
    x25519_new(p);
    for (int kind = 0; kind < BENCH_KEYS; kind++)
        signer_new(p, (enum bench_key)kind);
    suites_new(p);
    return p;
}

void bench_primitives_free(struct bench_primitives *p)
{
    for (int kind = 0; kind < BENCH_KEYS; kind++) {
        p->cpu->ops->key_free(p->qp, &p->signer[kind].key, p->signer[kind].loaded[0]);
        milgi_credential_unref(p->signer[kind].credential);
    }
    (void)p->cpu->ops->quiesce(p->qp, UINT64_MAX);
    p->cpu->ops->qp_close(p->qp);
    milgi_device_free(p->cpu);
    free(p);
}

void bench_x25519_keygen(struct bench_primitives *p)
{
    perform(p, &p->keygen);
}

void bench_x25519_derive(struct bench_primitives *p)
{
    perform(p, &p->derive);
}

void bench_sign(struct bench_primitives *p, enum bench_key key)
{
    perform(p, &p->signer[key].sign);
}

void bench_verify(struct bench_primitives *p, enum bench_key key)
{
    perform(p, &p->signer[key].verify);
}

void bench_seal(struct bench_primitives *p, uint16_t suite, uint8_t *in, size_t len, uint8_t *out)
{
    struct milgi_op_aead *a = &p->seal.u.aead;

    p->sequence++;
    memcpy(a->nonce + 4, &p->sequence, sizeof p->sequence);
    p->seal.alg = suite;
    p->seal.key = &p->aead[suite - SUITE_FIRST];
    a->src[0] = (struct milgi_slice){ NULL, in, (uint32_t)len };
    a->dst = out;
    a->dst_len = (uint32_t)len + 1 + TAG_LEN;
    perform(p, &p->seal);
}
