/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known answers: whether a kind of lanes does a row right on this processor, in every lane and with a bad neighbour.
 * Signatures with a nonce or salt have no one right answer; those are verified by libcrypto, each.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "device/lanes/kinds.h"
#include "op/material.h"

#include "device/lanes/answers.inc"

/* RFC 7748 6.1: two secrets with their shares, and what they have in common */
static const uint8_t x25519_secret[2][32] = {
    { 0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f,
        0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a },
    { 0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f, 0x8b, 0x83, 0x80, 0x0e, 0xe6, 0x6f, 0x3b, 0xb1,
        0x29, 0x26, 0x18, 0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27, 0xff, 0x88, 0xe0, 0xeb },
};
static const uint8_t x25519_share[2][32] = {
    { 0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf, 0x3a,
        0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a },
    { 0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f, 0x83, 0x43,
        0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f },
};
static const uint8_t x25519_common[32] = { 0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1, 0x72, 0x8e, 0x3b, 0xf4, 0x80,
    0x35, 0x0f, 0x25, 0xe0, 0x7e, 0x21, 0xc9, 0x47, 0xd1, 0x9e, 0x33, 0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16, 0x17, 0x42 };

/* A row's private key, and what is signed with it. */
static const struct signer {
    uint16_t alg, bits;
    enum milgi__key_type type;
    const uint8_t *pkcs8, *spki, *message, *answer; /* answer NULL: there is more than one */
    size_t pkcs8_len, spki_len, message_len;
} signers[MILGI__ROWS] = {
#define KEY(name) \
    .pkcs8 = name##_pkcs8, .pkcs8_len = sizeof name##_pkcs8, .spki = name##_spki, .spki_len = sizeof name##_spki
#define TEXT(text) .message = (const uint8_t *)(text), .message_len = sizeof(text) - 1
    [MILGI__ROW_P256_SIGN] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, 256, MILGI__KEY_P256, KEY(p256), TEXT("sample") },
    [MILGI__ROW_P384_SIGN] = { MILGI_SIG_ECDSA_SECP384R1_SHA384, 384, MILGI__KEY_P384, KEY(p384), TEXT("sample") },
    [MILGI__ROW_ED25519_SIGN] = { MILGI_SIG_ED25519, 256, MILGI__KEY_ED25519, KEY(ed25519), TEXT("\xaf\x82"),
        .answer = ed25519_answer },
    [MILGI__ROW_RSA2048_SIGN] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, 2048, MILGI__KEY_RSA, KEY(rsa2048), TEXT("sample") },
    [MILGI__ROW_RSA3072_SIGN] = { MILGI_SIG_RSA_PSS_RSAE_SHA384, 3072, MILGI__KEY_RSA, KEY(rsa3072), TEXT("sample") },
    [MILGI__ROW_RSA4096_SIGN] = { MILGI_SIG_RSA_PSS_RSAE_SHA512, 4096, MILGI__KEY_RSA, KEY(rsa4096), TEXT("sample") },
#undef KEY
#undef TEXT
};

/* A trial: ops for all lanes, of which those of |bad| are to be rejected. */
struct trial {
    struct milgi__crypto *cx;
    enum milgi__row row;
    uint32_t bad;
    struct milgi_credential credential;
    struct milgi_key key;
    struct milgi__lanes_key *loaded;
    struct milgi_op op[MILGI__LANES];
    uint8_t memory[MILGI__LANES][256];
};

static bool is_bad(const struct trial *t, unsigned i)
{
    return (t->bad >> i & 1) != 0;
}

/* --- the questions ---------------------------------------------------------------------------------------------- */

static void ask_keygen(struct trial *t, unsigned i)
{
    struct milgi_op *op = &t->op[i];

    op->type = MILGI_OP_KEYGEN;
    op->alg = MILGI_GROUP_X25519;
    op->u.kex.seed_len = 32;
    memcpy(op->u.kex.seed, x25519_secret[i % 2], 32);
    op->u.kex.share = (struct milgi_slice){ .data = t->memory[i], .len = 32 };
}

static void ask_derive(struct trial *t, unsigned i)
{
    struct milgi_op *op = &t->op[i];

    op->type = MILGI_OP_DERIVE;
    op->alg = MILGI_GROUP_X25519;
    op->u.kex.secret_len = 32;
    memcpy(op->u.kex.secret, x25519_secret[i % 2], 32);
    if (!is_bad(t, i)) /* zeros are a share whose secret is zeros */
        memcpy(t->memory[i], x25519_share[1 - i % 2], 32);
    op->u.kex.share = (struct milgi_slice){ .data = t->memory[i], .len = 32 };
}

static void ask_verify(struct trial *t, unsigned i)
{
    struct milgi_op *op = &t->op[i];
    size_t len = sizeof p256_spki + sizeof p256_sample;

    op->type = MILGI_OP_VERIFY;
    op->alg = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    memcpy(op->u.sign.input, "sample", 6);
    op->u.sign.input_len = 6;
    memcpy(t->memory[i], p256_spki, sizeof p256_spki);
    memcpy(t->memory[i] + sizeof p256_spki, p256_sample, sizeof p256_sample);
    t->memory[i][len - 1] ^= is_bad(t, i);
    op->u.sign.spki_len = sizeof p256_spki;
    op->u.sign.sig_len = sizeof p256_sample;
    op->u.sign.blob = (struct milgi_slice){ .data = t->memory[i], .len = (uint32_t)len };
}

static void ask_sign(struct trial *t, unsigned i)
{
    const struct signer *s = &signers[t->row];
    struct milgi_op *op = &t->op[i];

    op->type = MILGI_OP_SIGN;
    op->alg = s->alg;
    op->key = &t->key;
    memcpy(op->u.sign.input, s->message, s->message_len);
    op->u.sign.input_len = (uint16_t)s->message_len;
}

/* --- the answers ------------------------------------------------------------------------------------------------ */

static bool signed_right(const struct trial *t, const struct milgi_op_sign *sign)
{
    const struct signer *s = &signers[t->row];

    if (s->answer)
        return sign->sig_len == 64 && memcmp(sign->sig, s->answer, 64) == 0;
    return milgi__verify(
               t->cx, s->spki, s->spki_len, s->alg, s->message, s->message_len, sign->sig, sign->sig_len) == 0;
}

static bool is_right(const struct trial *t, unsigned i)
{
    const struct milgi_op *op = &t->op[i];

    if (op->status != (is_bad(t, i) ? MILGI_OP_REJECTED : MILGI_OP_OK))
        return false;
    switch (op->type) {
    case MILGI_OP_KEYGEN:
        return op->u.kex.pub_len == 32 && op->u.kex.secret_len == 32 &&
            memcmp(t->memory[i], x25519_share[i % 2], 32) == 0 &&
            memcmp(op->u.kex.secret, x25519_secret[i % 2], 32) == 0;
    case MILGI_OP_DERIVE:
        return is_bad(t, i) ? op->u.kex.shared_len == 0
                            : op->u.kex.shared_len == 32 && memcmp(op->u.kex.shared, x25519_common, 32) == 0;
    case MILGI_OP_SIGN: return signed_right(t, &op->u.sign);
    default: return true; /* a verdict is its status */
    }
}

/* --- a row ------------------------------------------------------------------------------------------------------ */

static void ask(struct trial *t, unsigned i)
{
    memset(t->memory[i], 0, sizeof t->memory[i]);
    t->op[i] = (struct milgi_op){ .cls = MILGI_OP_CLASS_HANDSHAKE };
    if (t->row == MILGI__ROW_X25519_KEYGEN)
        ask_keygen(t, i);
    else if (t->row == MILGI__ROW_X25519_DERIVE)
        ask_derive(t, i);
    else if (t->row == MILGI__ROW_P256_VERIFY)
        ask_verify(t, i);
    else
        ask_sign(t, i);
}

/* With |n| lanes in use. */
static bool passes(struct trial *t, const struct milgi__lanes_kind *kind, unsigned n, uint32_t bad)
{
    struct milgi__lane lane[MILGI__LANES] = { { NULL, NULL } };
    bool right = true;

    t->bad = bad;
    for (unsigned i = 0; i < n; i++) {
        ask(t, i);
        lane[i] = (struct milgi__lane){ &t->op[i], t->loaded };
    }
    if (!kind->run(t->cx, t->row, lane, n))
        return false;
    for (unsigned i = 0; i < n; i++)
        right = is_right(t, i) && right;
    return right;
}

static bool load_key(struct trial *t, const struct milgi__lanes_kind *kind)
{
    const struct signer *s = &signers[t->row];

    if (!s->pkcs8)
        return true;
    t->credential.type = s->type;
    t->credential.bits = s->bits;
    t->credential.pkcs8 = (uint8_t *)(uintptr_t)s->pkcs8; /* read only */
    t->credential.pkcs8_len = s->pkcs8_len;
    t->key.kind = MILGI_KEY_PRIVATE;
    t->key.loaded.credential = &t->credential;
    t->loaded = milgi__lanes_key_new(kind, t->cx, &t->key);
    return t->loaded && (!kind->raw || t->loaded->raw);
}

/* libcrypto's answer is the known one, too: else its ops and those of lanes would not go together. */
static bool is_known(struct trial *t)
{
    t->bad = 0;
    ask(t, 0);
    milgi__op_perform(t->cx, &t->op[0], !t->loaded ? NULL : t->loaded->loaded);
    return is_right(t, 0);
}

static bool try_row(struct trial *t, const struct milgi__lanes_kind *kind, enum milgi__row row)
{
    memset(&t->key, 0, sizeof t->key);
    memset(&t->credential, 0, sizeof t->credential);
    t->row = row;
    t->loaded = NULL;
    bool right = load_key(t, kind) && is_known(t) && passes(t, kind, MILGI__LANES, 0);
    if (row == MILGI__ROW_X25519_DERIVE || row == MILGI__ROW_P256_VERIFY) /* the others know no bad input */
        right = right && passes(t, kind, MILGI__LANES, 0x55) && passes(t, kind, 3, 0x2);
    milgi__lanes_key_free(&t->key, t->loaded);
    return right;
}

int milgi__lanes_try(const struct milgi__lanes_kind *kind, uint32_t rows, uint32_t *right)
{
    struct trial *t = milgi__alloc(sizeof *t);

    *right = 0;
    if (!t)
        return MILGI_ENOMEM;
    t->cx = milgi__crypto_new();
    if (!t->cx) {
        milgi__free(t);
        return MILGI_ENOMEM;
    }
    for (uint32_t left = rows; left; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctz(left);
        if (try_row(t, kind, (enum milgi__row)row))
            *right |= 1u << row;
    }
    milgi__crypto_free(t->cx);
    milgi__free_wiped(t, sizeof *t);
    return 0;
}
