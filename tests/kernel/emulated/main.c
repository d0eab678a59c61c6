/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program without a system, for an emulated processor that has AVX-512: each kernel beside the one for AES-NI, which
 * other tests compare with libcrypto. What it finds it says to the emulator; then it switches off.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "crypto/kernel/cpu.h"
#include "crypto/kernel/gcm.h"
#include "metal.h"

/* --- records ----------------------------------------------------------------------------------------------------- */

#define RECORDS 3 /* in a call */
#define ROOM 18000
#define PIECES 4

static uint64_t state = 5;

static uint64_t random_bits(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void random_fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)random_bits();
}

static struct milgi__gcm_key keys[RECORDS];
static struct milgi__gcm_record records[RECORDS];
static struct milgi__piece pieces[RECORDS][PIECES];
static uint8_t plain[RECORDS][ROOM], expected[RECORDS][ROOM], out[RECORDS][ROOM], copy[RECORDS][ROOM];
static uint8_t nonce[12], aad[64];
static size_t plain_len[RECORDS], sealed_len[RECORDS];
static uint64_t bytes, failures;

static void failed(const struct milgi__gcm_kernel *kernel, const char *what, size_t len)
{
    failures++;
    say(kernel->name);
    say(what);
    say_number(len);
    say(" bytes\n");
}

static void cut(struct milgi__gcm_record *r, struct milgi__piece *to, uint8_t *data, size_t len)
{
    size_t at = 0;

    r->src = to;
    r->src_n = random_bits() % 2 ? 1 : 1 + random_bits() % PIECES;
    for (size_t i = 0; i < r->src_n; i++) {
        size_t end = i + 1 == r->src_n ? len : at + random_bits() % (len - at + 1);
        to[i] = (struct milgi__piece){ data + at, end - at };
        at = end;
    }
}

static void make(unsigned i, size_t len)
{
    struct milgi__gcm_record *r = &records[i];
    uint8_t raw[32];

    random_fill(raw, sizeof raw);
    milgi__gcm_key_init(&keys[i], raw, random_bits() % 2 ? 16 : 32);
    random_fill(plain[i], len);
    *r = (struct milgi__gcm_record){ .key = &keys[i], .nonce = nonce, .aad = aad };
    r->aad_len = random_bits() % 3 ? 5 : random_bits() % sizeof aad;
    r->type = random_bits() % 4 ? 23 : 0;
    r->pad = random_bits() % 3 ? 0 : random_bits() % 200;
    plain_len[i] = len;
    sealed_len[i] = len + (r->type ? 1 + r->pad : 0);
    cut(r, pieces[i], plain[i], len);
    bytes += 2 * sealed_len[i];
}

static void seal_beside(const struct milgi__gcm_kernel *kernel)
{
    memset(expected, 0xa5, sizeof expected);
    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < RECORDS; i++)
        records[i].dst = expected[i] + 7;
    milgi__gcm_aesni.seal(records, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++)
        records[i].dst = out[i] + 7;
    kernel->seal(records, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++) {
        if (memcmp(out[i], expected[i], sealed_len[i] + 64) != 0)
            failed(kernel, " seals otherwise: ", sealed_len[i]);
    }
}

/* What stands in |expected|. */
static void open_again(const struct milgi__gcm_kernel *kernel)
{
    static const uint8_t right[16];

    memset(out, 0xa5, sizeof out);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct milgi__gcm_record *r = &records[i];
        memcpy(copy[i], expected[i] + 7, sealed_len[i] + 16);
        cut(r, pieces[i], copy[i], sealed_len[i]);
        r->dst = random_bits() % 2 ? NULL : out[i] + 9;
        r->tag = expected[i] + 7 + sealed_len[i];
    }
    kernel->open(records, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++) {
        const struct milgi__gcm_record *r = &records[i];
        const uint8_t *opened = r->dst ? r->dst : copy[i];
        if (memcmp(opened, plain[i], plain_len[i]) != 0 || memcmp(r->diff, right, sizeof right) != 0)
            failed(kernel, " opens otherwise: ", sealed_len[i]);
        if (r->dst ? opened[sealed_len[i]] != 0xa5 || opened[-1] != 0xa5
                   : memcmp(copy[i] + sealed_len[i], r->tag, 16) != 0)
            failed(kernel, " writes around its output: ", sealed_len[i]);
    }
}

static void try_length(const struct milgi__gcm_kernel *kernel, size_t len)
{
    random_fill(nonce, sizeof nonce);
    random_fill(aad, sizeof aad);
    for (unsigned i = 0; i < RECORDS; i++)
        make(i, i == 0 ? len : random_bits() % 300);
    seal_beside(kernel);
    open_again(kernel);
}

int main(void)
{
    const struct milgi__gcm_kernel *const kernels[] = { &milgi__gcm_vaes256, &milgi__gcm_vaes512 };

    for (size_t i = 0; i < MILGI__COUNT(kernels); i++) {
        if (!kernels[i]->usable()) {
            failed(kernels[i], " cannot be used: ", 0);
            continue;
        }
        for (size_t len = 0; len <= 1100; len++)
            try_length(kernels[i], len);
        for (size_t len = 16000; len <= 16640; len += 71)
            try_length(kernels[i], len);
        say(kernels[i]->name);
        say(" was tried\n");
    }
    say_number(bytes);
    say(" bytes, ");
    say_number(failures);
    say(" failures\n");
    switch_off();
    return 0;
}
