/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program without a system, for an emulated processor that has AVX-512 IFMA: whether the lanes of crypto_mb answer as
 * they should, in every lane, with fewer than all of them, and beside one that fails. What it finds it says to the
 * emulator; then it switches off.
 */
#include "device/lanes/kinds.h"
#include "device/lanes/numbers.h"
#include "metal.h"

#include "answers.inc"

extern const struct milgi__vectors milgi__vectors_mb;

static unsigned failures, answers;

/* --- what mb.c and crypto_mb want of others ----------------------------------------------------------------------- */

static _Alignas(64) uint8_t heap[1 << 20]; /* for one at a time */

void *milgi__alloc_raw(size_t size)
{
    return size <= sizeof heap ? heap : NULL;
}

void milgi__free_wiped(void *p, size_t size)
{
    memset(p, 0, size);
}

void *malloc(size_t size);
void *malloc(size_t size)
{
    (void)size;
    return NULL; /* it has all it needs */
}

void free(void *p);
void free(void *p)
{
    (void)p;
}

void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
    say("a stack was overrun\n");
    switch_off();
}

bool milgi__numbers_run(const struct milgi__vectors *vectors, struct milgi__crypto *cx, enum milgi__row row,
    const struct milgi__lane *lane, unsigned n)
{
    (void)vectors;
    (void)cx;
    (void)row;
    (void)lane;
    (void)n;
    return false;
}

/* --- what is found ------------------------------------------------------------------------------------------------ */

static void check(bool right, const char *what, unsigned n)
{
    answers++;
    if (right)
        return;
    failures++;
    say("WRONG: ");
    say(what);
    say(", lanes: ");
    say_number(n);
    say("\n");
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = 0;

    for (; text[2 * len] != '\0'; len++)
        out[len] = (uint8_t)(digit(text[2 * len]) << 4 | digit(text[2 * len + 1]));
    return len;
}

static uint8_t a[MILGI__LANES][512], b[MILGI__LANES][512], c[MILGI__LANES][512], want[MILGI__LANES][512],
    out[MILGI__LANES][512];
static struct milgi__raw_key keys[MILGI__LANES];
static struct milgi__raw_p256 sigs[MILGI__LANES];
static uint8_t *outs[MILGI__LANES];
static const uint8_t *as[MILGI__LANES], *bs[MILGI__LANES], *cs[MILGI__LANES];
static size_t lens[MILGI__LANES];
static const struct milgi__raw_key *key_of[MILGI__LANES];
static const struct milgi__raw_p256 *sig_of[MILGI__LANES];

static void prepare(void)
{
    for (unsigned i = 0; i < MILGI__LANES; i++) {
        outs[i] = out[i];
        as[i] = a[i];
        bs[i] = b[i];
        cs[i] = c[i];
        key_of[i] = &keys[i];
        sig_of[i] = &sigs[i];
    }
}

/* The first |n| are right, the others untouched. */
static bool all_right(unsigned n, size_t len)
{
    bool right = true;

    for (unsigned i = 0; i < MILGI__LANES; i++) {
        for (size_t k = 0; k < len; k++)
            right = right && out[i][k] == (i < n ? want[i][k] : 0xa5);
    }
    return right;
}

/* Beside each lane that fails, but not for each number of lanes: the emulator is slow. */
static bool tries_bad(unsigned n)
{
    return n == 3 || n == MILGI__LANES;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static void try_x25519(unsigned n)
{
    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < n; i++) {
        unhex(x25519_pair[i % 2][0], a[i]);
        unhex(x25519_pair[i % 2][1], want[i]);
    }
    check(milgi__vectors_mb.x25519_base(n, outs, as) == 0 && all_right(n, 32), "X25519 keys", n);
    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < n; i++) {
        unhex(x25519_pair[1 - i % 2][1], b[i]);
        unhex(x25519_common, want[i]);
    }
    check(milgi__vectors_mb.x25519(n, outs, as, bs) == 0 && all_right(n, 32), "X25519 secrets", n);
    for (unsigned bad = 0; bad < n && tries_bad(n); bad++) {
        uint8_t before[32];
        memcpy(before, b[bad], 32);
        memset(b[bad], 0, 32);
        uint32_t failed = milgi__vectors_mb.x25519(n, outs, as, bs);
        bool right = failed == 1u << bad;
        for (unsigned i = 0; i < n; i++)
            right = right && (i == bad || memcmp(out[i], want[i], 32) == 0);
        check(right, "a share of zeros", bad);
        memcpy(b[bad], before, 32);
    }
}

static void try_ecdsa(unsigned n, size_t len, const char *const answer[][4])
{
    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < n; i++) {
        unhex(answer[i % 2][0], c[i]);
        unhex(answer[i % 2][1], b[i]);
        unhex(answer[i % 2][2], a[i]);
        unhex(answer[i % 2][3], want[i]);
    }
    check(milgi__vectors_mb.ecdsa_sign(n, len, outs, as, bs, cs) == 0 && all_right(n, 2 * len), "ECDSA", n);
}

static void try_verify(unsigned n)
{
    uint8_t rs[64];

    for (unsigned i = 0; i < n; i++) {
        unhex(p256[i % 2][2], sigs[i].hash);
        unhex(p256[i % 2][3], rs);
        memcpy(sigs[i].r, rs, 32);
        memcpy(sigs[i].s, rs + 32, 32);
        unhex(p256_public[0], sigs[i].x);
        unhex(p256_public[1], sigs[i].y);
    }
    check(milgi__vectors_mb.p256_verify(n, sig_of) == 0, "P-256 verifications", n);
    for (unsigned bad = 0; bad < n && tries_bad(n); bad++) {
        uint8_t *const part[] = { sigs[bad].hash, sigs[bad].r, sigs[bad].s, sigs[bad].x, sigs[bad].y };
        for (unsigned k = 0; k < 5; k++) {
            part[k][31 - k] ^= 1;
            check(milgi__vectors_mb.p256_verify(n, sig_of) == 1u << bad, "a P-256 signature that is wrong", bad);
            part[k][31 - k] ^= 1;
        }
    }
}

static void try_ed25519(unsigned n)
{
    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < n; i++) {
        unhex(ed25519[i % 3][0], keys[i].u.ed25519.secret);
        unhex(ed25519[i % 3][1], keys[i].u.ed25519.pub);
        lens[i] = unhex(ed25519[i % 3][2], a[i]);
        unhex(ed25519[i % 3][3], want[i]);
    }
    check(milgi__vectors_mb.ed25519_sign(n, outs, as, lens, key_of) == 0 && all_right(n, 64), "Ed25519", n);
}

static void try_rsa(unsigned n, unsigned at)
{
    unsigned bits = rsa_answers[at].bits;

    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < n; i++) {
        const char *const *number = rsa_answers[at].number;
        keys[i].bits = bits;
        unhex(number[0], keys[i].u.rsa.p);
        unhex(number[1], keys[i].u.rsa.q);
        unhex(number[2], keys[i].u.rsa.dp);
        unhex(number[3], keys[i].u.rsa.dq);
        unhex(number[4], keys[i].u.rsa.qinv);
        unhex(number[5 + 2 * (i % 2)], a[i]);
        unhex(number[6 + 2 * (i % 2)], want[i]);
    }
    check(milgi__vectors_mb.rsa(n, bits, outs, as, key_of) == 0 && all_right(n, bits / 8), "RSA", bits + n);
}

int main(void)
{
    prepare();
    check(!milgi__lanes_mb.unusable(), "it is not usable", 0);
    for (unsigned n = 1; n <= MILGI__LANES && failures == 0; n++) {
        try_x25519(n);
        try_ecdsa(n, 32, p256);
        try_ecdsa(n, 48, p384);
        try_verify(n);
        try_ed25519(n);
    }
    for (unsigned at = 0; at < MILGI__COUNT(rsa_answers); at++) {
        try_rsa(8, at);
        try_rsa(3, at);
    }
    say_number(answers);
    say(" answers, ");
    say_number(failures);
    say(" failures\n");
    switch_off();
    return 0;
}
