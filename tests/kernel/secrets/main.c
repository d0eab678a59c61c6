/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run by valgrind's memcheck, which is told that keys, what is sealed and what comes of opening are undefined: it then
 * complains of each branch and each address that depends on them. valgrind knows AES-NI, not VAES. With the argument
 * "leak" it branches on the last byte that was opened, so that the test can see that complaints come.
 */
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include "crypto/kernel/cpu.h"
#include "crypto/kernel/gcm.h"

#define ROOM 2048
#define RECORDS 3

static uint8_t in[RECORDS][ROOM], out[RECORDS][ROOM], back[RECORDS][ROOM];

static void secret(void *p, size_t len)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

static void public(void *p, size_t len)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

static void key_make(struct milgi__gcm_key *key, size_t len, unsigned which)
{
    uint8_t raw[32];

    for (unsigned i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i * 7 + 1 + which);
    secret(raw, sizeof raw);
    milgi__gcm_aesni.key_init(key, raw, len);
}

/* Several records of |len| bytes, each of another key, in |pieces| pieces, sealed and opened. */
static bool round_trip(const struct milgi__gcm_key key[RECORDS], size_t len, unsigned pieces)
{
    static const uint8_t nonce[12] = { 9 };
    static const uint8_t aad[20] = { 23, 3, 3 };
    struct milgi__gcm_record records[RECORDS];
    struct milgi__piece src[RECORDS][2];
    bool same = true;

    for (unsigned i = 0; i < RECORDS; i++) {
        secret(in[i], ROOM);
        src[i][0] = (struct milgi__piece){ in[i], pieces == 1 ? len : len / 2 };
        src[i][1] = (struct milgi__piece){ in[i] + len / 2, len - len / 2 };
        records[i] = (struct milgi__gcm_record){ .key = &key[i], .nonce = nonce, .aad = aad, .src = src[i] };
        records[i].aad_len = i * 10;
        records[i].src_n = pieces;
        records[i].dst = out[i];
        records[i].type = 23;
        records[i].pad = i * 20;
    }
    milgi__gcm_aesni.seal(records, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++) {
        size_t sealed = len + 1 + i * 20;
        public(out[i], sealed + 16); /* what everybody sees */
        src[i][0] = (struct milgi__piece){ out[i], pieces == 1 ? sealed : sealed / 2 };
        src[i][1] = (struct milgi__piece){ out[i] + sealed / 2, sealed - sealed / 2 };
        records[i].dst = i == 0 ? NULL : back[i];
        records[i].tag = out[i] + sealed;
    }
    milgi__gcm_aesni.open(records, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++) {
        static const uint8_t right[16];
        public(records[i].diff, sizeof records[i].diff);
        same = same && memcmp(records[i].diff, right, sizeof right) == 0;
    }
    return same;
}

int main(int argc, char **argv)
{
    bool same = true;

    if (!milgi__cpu_has_aesni()) {
        puts("SKIPPED: no AES-NI");
        return 77;
    }
    for (size_t key_len = 16; key_len <= 32; key_len += 16) {
        struct milgi__gcm_key key[RECORDS];
        for (unsigned i = 0; i < RECORDS; i++)
            key_make(&key[i], key_len, i);
        for (size_t len = 0; len <= 300; len += len < 70 ? 1 : 13) {
            same = round_trip(key, len, 1) && same;
            same = round_trip(key, len, 2) && same;
        }
        same = round_trip(key, 1500, 1) && same;
        same = round_trip(key, 1500, 2) && same;
    }
    if (argc > 1 && strcmp(argv[1], "leak") == 0 && back[1][0] == 7)
        puts("a branch on plaintext");
    return same ? 0 : 1;
}
