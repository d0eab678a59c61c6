/* SPDX-License-Identifier: Apache-2.0 */
/* Ops taken apart into numbers, given to vectors, and put together again. */
#include "device/lanes/numbers.h"

#define MESSAGE_MAX 512u /* of RSA-4096 */
#define P256_LEN 32u
#define P384_LEN 48u
#define X25519_LEN 32u
#define ED25519_SIG_LEN 64u
#define DRAWS_MAX 16u /* each is out of range with a probability of 2^-32 at most */

/* The lanes that are in use: those that could be taken apart. */
struct work {
    const struct milgi__vectors *vectors;
    struct milgi__crypto *cx;
    unsigned n;
    struct milgi_op *op[MILGI__LANES];
    const struct milgi__lanes_key *key[MILGI__LANES];
    const struct milgi__raw_key *raw[MILGI__LANES];
    uint8_t *out[MILGI__LANES];
    const uint8_t *in[MILGI__LANES], *in2[MILGI__LANES], *in3[MILGI__LANES];
    size_t len[MILGI__LANES];
    uint8_t result[MILGI__LANES][2 * P384_LEN], nonce[MILGI__LANES][P384_LEN];
    union {
        uint8_t bytes[MESSAGE_MAX];
        struct milgi__raw_p256 p256;
    } message[MILGI__LANES];
};

static void alone(struct milgi__crypto *cx, struct milgi_op *op, const struct milgi__lanes_key *key)
{
    milgi__op_perform(cx, op, !key ? NULL : key->loaded);
}

/* --- X25519 ----------------------------------------------------------------------------------------------------- */

static uint32_t keygen(struct work *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        w->out[i] = w->op[i]->u.kex.share.data;
        w->in[i] = w->op[i]->u.kex.seed;
    }
    return w->vectors->x25519_base(w->n, w->out, w->in);
}

static bool keygen_done(struct work *w, unsigned i)
{
    struct milgi_op_kex *kex = &w->op[i]->u.kex;

    memcpy(kex->secret, kex->seed, X25519_LEN);
    kex->secret_len = kex->pub_len = X25519_LEN;
    return true;
}

static uint32_t derive(struct work *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        w->out[i] = w->op[i]->u.kex.shared;
        w->in[i] = w->op[i]->u.kex.secret;
        w->in2[i] = w->op[i]->u.kex.share.data;
    }
    return w->vectors->x25519(w->n, w->out, w->in, w->in2);
}

/*= RFC8446 7.4.2: "Implementations MUST check whether the computed Diffie-Hellman shared secret is the all-zero value
 *= and abort if so" */
static bool derive_done(struct work *w, unsigned i)
{
    static const uint8_t zeros[X25519_LEN];
    struct milgi_op_kex *kex = &w->op[i]->u.kex;

    if (milgi__ct_equal(kex->shared, zeros, sizeof zeros))
        return false;
    kex->shared_len = X25519_LEN;
    return true;
}

/* --- ECDSA ------------------------------------------------------------------------------------------------------ */

/* The orders of P-256 and P-384 (FIPS 186-5, SP 800-186 3.2.1), from which nonces are drawn. */
static const uint8_t order_p256[P256_LEN] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25,
    0x51 };
static const uint8_t order_p384[P384_LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d,
    0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73 };

/* 0 < number < order, in time that depends on the answer alone. */
static bool in_range(const uint8_t *number, const uint8_t *order, size_t len)
{
    unsigned borrow = 0, any = 0;

    for (size_t i = len; i-- > 0;) {
        borrow = (number[i] - order[i] - borrow) >> 8 & 1;
        any |= number[i];
    }
    return borrow && any;
}

/* What is out of range is drawn anew (FIPS 186-5 A.3.2): each number is as likely as the other. */
static bool draw_nonce(struct milgi__crypto *cx, uint8_t *nonce, size_t len)
{
    const uint8_t *order = len == P256_LEN ? order_p256 : order_p384;

    for (unsigned i = 0; i < DRAWS_MAX; i++) {
        if (milgi__crypto_random(cx, nonce, len) != 0)
            return false;
        if (in_range(nonce, order, len))
            return true;
    }
    return false;
}

static bool ecdsa_ready(struct work *w, unsigned i, size_t len)
{
    const struct milgi_op_sign *sign = &w->op[i]->u.sign;
    size_t hash_len = 0;

    return milgi__sign_hash(
               w->cx, w->op[i]->alg, sign->input, sign->input_len, w->message[i].bytes, &hash_len) == 0 &&
        hash_len == len && draw_nonce(w->cx, w->nonce[i], len);
}

static bool p256_ready(struct work *w, unsigned i)
{
    return ecdsa_ready(w, i, P256_LEN);
}

static bool p384_ready(struct work *w, unsigned i)
{
    return ecdsa_ready(w, i, P384_LEN);
}

static uint32_t ecdsa(struct work *w, size_t len)
{
    for (unsigned i = 0; i < w->n; i++) {
        w->out[i] = w->result[i];
        w->in[i] = w->message[i].bytes;
        w->in2[i] = w->nonce[i];
        w->in3[i] = w->raw[i]->u.scalar;
    }
    return w->vectors->ecdsa_sign(w->n, len, w->out, w->in, w->in2, w->in3);
}

static uint32_t p256_sign(struct work *w)
{
    return ecdsa(w, P256_LEN);
}

static uint32_t p384_sign(struct work *w)
{
    return ecdsa(w, P384_LEN);
}

static bool ecdsa_done(struct work *w, unsigned i)
{
    struct milgi_op_sign *sign = &w->op[i]->u.sign;
    size_t half = w->op[i]->alg == MILGI_SIG_ECDSA_SECP256R1_SHA256 ? P256_LEN : P384_LEN, len = sizeof sign->sig;

    if (milgi__ecdsa_der(w->result[i], 2 * half, sign->sig, &len) != 0)
        return false;
    sign->sig_len = (uint16_t)len;
    return true;
}

static bool verify_ready(struct work *w, unsigned i)
{
    const struct milgi_op_sign *sign = &w->op[i]->u.sign;
    const uint8_t *spki = sign->blob.data;

    return milgi__raw_p256(w->cx, spki, sign->spki_len, sign->input, sign->input_len, spki + sign->spki_len,
               sign->sig_len, &w->message[i].p256) == 0;
}

static uint32_t verify(struct work *w)
{
    const struct milgi__raw_p256 *sig[MILGI__LANES];

    for (unsigned i = 0; i < w->n; i++)
        sig[i] = &w->message[i].p256;
    return w->vectors->p256_verify(w->n, sig);
}

/* --- Ed25519 and RSA -------------------------------------------------------------------------------------------- */

static uint32_t ed25519_sign(struct work *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        w->out[i] = w->op[i]->u.sign.sig;
        w->in[i] = w->op[i]->u.sign.input;
        w->len[i] = w->op[i]->u.sign.input_len;
    }
    return w->vectors->ed25519_sign(w->n, w->out, w->in, w->len, w->raw);
}

static bool ed25519_done(struct work *w, unsigned i)
{
    w->op[i]->u.sign.sig_len = ED25519_SIG_LEN;
    return true;
}

static bool rsa_ready(struct work *w, unsigned i)
{
    const struct milgi_op_sign *sign = &w->op[i]->u.sign;

    return milgi__raw_pss(w->key[i]->loaded, w->op[i]->alg, sign->input, sign->input_len, w->message[i].bytes) == 0;
}

static uint32_t rsa_sign(struct work *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        w->out[i] = w->op[i]->u.sign.sig;
        w->in[i] = w->message[i].bytes;
    }
    return w->vectors->rsa(w->n, w->raw[0]->bits, w->out, w->in, w->raw);
}

static bool rsa_done(struct work *w, unsigned i)
{
    w->op[i]->u.sign.sig_len = (uint16_t)(w->raw[i]->bits / 8);
    return true;
}

/* --- all -------------------------------------------------------------------------------------------------------- */

static const struct {
    bool (*ready)(struct work *w, unsigned i); /* takes lane |i| apart; NULL: nothing to do. false: it cannot */
    uint32_t (*run)(struct work *w);           /* lanes that failed, as bits */
    bool (*done)(struct work *w, unsigned i);  /* puts its result together; NULL: the verdict is all */
} steps[MILGI__ROWS] = {
    [MILGI__ROW_X25519_KEYGEN] = { NULL, keygen, keygen_done },
    [MILGI__ROW_X25519_DERIVE] = { NULL, derive, derive_done },
    [MILGI__ROW_P256_SIGN] = { p256_ready, p256_sign, ecdsa_done },
    [MILGI__ROW_P256_VERIFY] = { verify_ready, verify, NULL },
    [MILGI__ROW_P384_SIGN] = { p384_ready, p384_sign, ecdsa_done },
    [MILGI__ROW_ED25519_SIGN] = { NULL, ed25519_sign, ed25519_done },
    [MILGI__ROW_RSA2048_SIGN] = { rsa_ready, rsa_sign, rsa_done },
    [MILGI__ROW_RSA3072_SIGN] = { rsa_ready, rsa_sign, rsa_done },
    [MILGI__ROW_RSA4096_SIGN] = { rsa_ready, rsa_sign, rsa_done },
};

/* Takes the next lane, if it can be taken apart. */
static void take(struct work *w, enum milgi__row row, const struct milgi__lane *lane)
{
    unsigned i = w->n;

    w->op[i] = lane->op;
    w->key[i] = lane->key;
    w->raw[i] = !lane->key ? NULL : lane->key->raw;
    if (steps[row].ready && !steps[row].ready(w, i))
        alone(w->cx, lane->op, lane->key);
    else
        w->n++;
}

bool milgi__numbers_run(const struct milgi__vectors *vectors, struct milgi__crypto *cx, enum milgi__row row,
    const struct milgi__lane *lane, unsigned n)
{
    struct work w = { .vectors = vectors, .cx = cx };

    for (unsigned i = 0; i < n; i++)
        take(&w, row, &lane[i]);
    uint32_t failed = w.n ? steps[row].run(&w) : 0;
    for (unsigned i = 0; i < w.n; i++) {
        if (!(failed >> i & 1) && (!steps[row].done || steps[row].done(&w, i)))
            w.op[i]->status = MILGI_OP_OK;
        else
            alone(cx, w.op[i], w.key[i]);
    }
    milgi__wipe(&w, sizeof w);
    return true;
}
