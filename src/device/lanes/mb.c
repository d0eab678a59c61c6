/* SPDX-License-Identifier: Apache-2.0 */
/* The lanes of Intel's crypto_mb, in AVX-512 registers. Lanes that are not used have no addresses, which it skips. */
#define BN_OPENSSL_DISABLE /* its other functions want libcrypto's objects */

/* Its names, as scripts/crypto_mb/setup has them. */
#define mbx_get_cpu_features milgi__mbx_get_cpu_features
#define mbx_x25519_mb8 milgi__mbx_x25519_mb8
#define mbx_x25519_public_key_mb8 milgi__mbx_x25519_public_key_mb8
#define mbx_nistp256_ecdsa_sign_mb8 milgi__mbx_nistp256_ecdsa_sign_mb8
#define mbx_nistp256_ecdsa_verify_mb8 milgi__mbx_nistp256_ecdsa_verify_mb8
#define mbx_nistp384_ecdsa_sign_mb8 milgi__mbx_nistp384_ecdsa_sign_mb8
#define mbx_ed25519_sign_mb8 milgi__mbx_ed25519_sign_mb8
#define mbx_rsa_private_crt_mb8 milgi__mbx_rsa_private_crt_mb8
#define mbx_RSA_private_crt_Method milgi__mbx_RSA_private_crt_Method
#define mbx_RSA_Method_BufSize milgi__mbx_RSA_Method_BufSize

/* What is said of a symbol here holds where it is linked: nobody sees it from outside of the library. */
#pragma GCC visibility push(hidden)
#include <crypto_mb/cpu_features.h>
#include <crypto_mb/ec_nistp256.h>
#include <crypto_mb/ec_nistp384.h>
#include <crypto_mb/ed25519.h>
#include <crypto_mb/rsa.h>
#include <crypto_mb/x25519.h>
#pragma GCC visibility pop

#include <assert.h>

#include "device/lanes/kinds.h"
#include "device/lanes/numbers.h"

#define EC_WORDS (MILGI__RAW_EC_MAX / 8)
#define HALF_WORDS (MILGI__RAW_HALF_MAX / 8)
#define HALVES 5u /* p, q, dp, dq, qinv */

/* Of a call's status of four bits a lane: the first |n| that are not OK. */
static uint32_t failed(mbx_status status, unsigned n)
{
    uint32_t lanes = 0;

    for (unsigned i = 0; i < n; i++)
        lanes |= (uint32_t)(MBX_GET_STS(status, (int)i) != MBX_STATUS_OK) << i;
    return lanes;
}

/* The lowest first, as it wants numbers. */
static void put_words(const uint8_t *bytes, size_t len, int64u *words)
{
    for (size_t i = 0; i < len / 8; i++) {
        const uint8_t *p = bytes + len - 8 * (i + 1);
        words[i] = 0;
        for (unsigned k = 0; k < 8; k++)
            words[i] = words[i] << 8 | p[k];
    }
}

/* --- curves ----------------------------------------------------------------------------------------------------- */

static uint32_t x25519_base(unsigned n, uint8_t *const *share, const uint8_t *const *secret)
{
    int8u *out[MILGI__LANES] = { NULL };
    const int8u *in[MILGI__LANES] = { NULL };

    for (unsigned i = 0; i < n; i++) {
        out[i] = share[i];
        in[i] = secret[i];
    }
    return failed(mbx_x25519_public_key_mb8(out, in), n);
}

static uint32_t x25519(
    unsigned n, uint8_t *const *shared, const uint8_t *const *secret, const uint8_t *const *share)
{
    int8u *out[MILGI__LANES] = { NULL };
    const int8u *in[MILGI__LANES] = { NULL }, *peer[MILGI__LANES] = { NULL };

    for (unsigned i = 0; i < n; i++) {
        out[i] = shared[i];
        in[i] = secret[i];
        peer[i] = share[i];
    }
    return failed(mbx_x25519_mb8(out, in, peer), n);
}

static uint32_t ecdsa_sign(unsigned n, size_t len, uint8_t *const *rs, const uint8_t *const *hash,
    const uint8_t *const *nonce, const uint8_t *const *scalar)
{
    int8u *r[MILGI__LANES] = { NULL }, *s[MILGI__LANES] = { NULL };
    const int8u *message[MILGI__LANES] = { NULL };
    const int64u *k[MILGI__LANES] = { NULL }, *d[MILGI__LANES] = { NULL };
    int64u words[2][MILGI__LANES][EC_WORDS];

    for (unsigned i = 0; i < n; i++) {
        r[i] = rs[i];
        s[i] = rs[i] + len;
        message[i] = hash[i];
        put_words(nonce[i], len, words[0][i]);
        put_words(scalar[i], len, words[1][i]);
        k[i] = words[0][i];
        d[i] = words[1][i];
    }
    mbx_status status = len == 32 ? mbx_nistp256_ecdsa_sign_mb8(r, s, message, k, d, NULL)
                                  : mbx_nistp384_ecdsa_sign_mb8(r, s, message, k, d, NULL);
    milgi__wipe(words, sizeof words);
    return failed(status, n);
}

static uint32_t p256_verify(unsigned n, const struct milgi__raw_p256 *const *sig)
{
    const int8u *r[MILGI__LANES] = { NULL }, *s[MILGI__LANES] = { NULL }, *message[MILGI__LANES] = { NULL };
    const int64u *x[MILGI__LANES] = { NULL }, *y[MILGI__LANES] = { NULL };
    int64u words[2][MILGI__LANES][EC_WORDS];

    for (unsigned i = 0; i < n; i++) {
        r[i] = sig[i]->r;
        s[i] = sig[i]->s;
        message[i] = sig[i]->hash;
        put_words(sig[i]->x, 32, words[0][i]);
        put_words(sig[i]->y, 32, words[1][i]);
        x[i] = words[0][i];
        y[i] = words[1][i];
    }
    return failed(mbx_nistp256_ecdsa_verify_mb8(r, s, message, x, y, NULL, NULL), n);
}

static uint32_t eddsa_sign(unsigned n, uint8_t *const *sig, const uint8_t *const *message, const size_t *len,
    const struct milgi__raw_key *const *key)
{
    ed25519_sign_component *r[MILGI__LANES] = { NULL }, *s[MILGI__LANES] = { NULL };
    const ed25519_private_key *secret[MILGI__LANES] = { NULL };
    const ed25519_public_key *pub[MILGI__LANES] = { NULL };
    const int8u *text[MILGI__LANES] = { NULL };
    int32u text_len[MILGI__LANES] = { 0 };

    for (unsigned i = 0; i < n; i++) {
        r[i] = (ed25519_sign_component *)sig[i];
        s[i] = (ed25519_sign_component *)(sig[i] + 32);
        secret[i] = &key[i]->u.ed25519.secret;
        pub[i] = &key[i]->u.ed25519.pub;
        text[i] = message[i];
        text_len[i] = (int32u)len[i];
    }
    return failed(mbx_ed25519_sign_mb8(r, s, text, text_len, secret, pub), n);
}

/* --- RSA -------------------------------------------------------------------------------------------------------- */

#define LINE 64u /* bytes of a register, on whose multiples its numbers lie */

/* What a call needs beside the messages. */
struct rsa_room {
    int64u words[HALVES][MILGI__LANES][HALF_WORDS];
    int8u buffer[];
};

static_assert(sizeof(struct rsa_room) % LINE == 0, "the buffer begins on a line, as the whole does");

static uint32_t rsa(unsigned n, unsigned bits, uint8_t *const *sig, const uint8_t *const *message,
    const struct milgi__raw_key *const *key)
{
    const mbx_RSA_Method *method = mbx_RSA_private_crt_Method((int)bits);
    const int64u *number[HALVES][MILGI__LANES] = { { NULL } };
    const int8u *in[MILGI__LANES] = { NULL };
    int8u *out[MILGI__LANES] = { NULL };
    size_t size = LINE + sizeof(struct rsa_room) + (!method ? 0 : (size_t)mbx_RSA_Method_BufSize(method));
    uint8_t *memory = !method ? NULL : milgi__alloc_raw(size);

    if (!memory)
        return UINT32_MAX;
    struct rsa_room *room = (struct rsa_room *)(void *)(memory + (LINE - (uintptr_t)memory % LINE));
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *const half[HALVES] = { key[i]->u.rsa.p, key[i]->u.rsa.q, key[i]->u.rsa.dp, key[i]->u.rsa.dq,
            key[i]->u.rsa.qinv };
        for (unsigned k = 0; k < HALVES; k++) {
            put_words(half[k], bits / 16, room->words[k][i]);
            number[k][i] = room->words[k][i];
        }
        in[i] = message[i];
        out[i] = sig[i];
    }
    mbx_status status = mbx_rsa_private_crt_mb8(
        in, out, number[0], number[1], number[2], number[3], number[4], (int)bits, method, room->buffer);
    milgi__free_wiped(memory, size);
    return failed(status, n);
}

/* --- the kind --------------------------------------------------------------------------------------------------- */

const struct milgi__vectors milgi__vectors_mb = {
    .x25519_base = x25519_base,
    .x25519 = x25519,
    .ecdsa_sign = ecdsa_sign,
    .p256_verify = p256_verify,
    .ed25519_sign = eddsa_sign,
    .rsa = rsa,
};

static const char *unusable(void)
{
    if ((mbx_get_cpu_features() & MBX_AVX512_GENERAL_ISA) == MBX_AVX512_GENERAL_ISA)
        return NULL;
    return "batch: this processor, or the system, has no AVX-512 IFMA, which lanes are made of (lanes=libcrypto gains "
           "nothing, but runs)";
}

static uint32_t rows(void)
{
    return MILGI__ROWS_ALL;
}

static bool run(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    return milgi__numbers_run(&milgi__vectors_mb, cx, row, lane, n);
}

const struct milgi__lanes_kind milgi__lanes_mb = {
    .name = "mb",
    .caps = MILGI_CAP_TESTED,
    .raw = true,
    .unusable = unusable,
    .rows = rows,
    .run = run,
};
