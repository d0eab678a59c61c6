/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an x86-64 processor has, by CPUID, and whether the system keeps the registers that it takes, by XGETBV.
 * Nothing is remembered: each is asked once for each thread's state.
 */
#include <cpuid.h>

#include "crypto/kernel/gcm.h"

/* Bits of XCR0: which registers the system saves. */
#define SAVES_YMM 0x06u
#define SAVES_ZMM 0xe6u

struct features {
    uint32_t ecx1, ebx7, ecx7, saved;
};

static struct features features(void)
{
    struct features f = { 0, 0, 0, 0 };
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &f.ecx1, &d))
        return f;
    if (!__get_cpuid_count(7, 0, &a, &f.ebx7, &f.ecx7, &d))
        f.ebx7 = f.ecx7 = 0;
    if (f.ecx1 & bit_OSXSAVE) {
        __asm__ volatile("xgetbv"
                         : "=a"(a), "=d"(d)
                         : "c"(0));
        f.saved = a;
    }
    (void)b;
    (void)c;
    return f;
}

static bool all_of(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

bool milgi__cpu_has_aesni(void)
{
    return all_of(features().ecx1, bit_AES | bit_PCLMUL | bit_SSSE3 | bit_SSE4_1);
}

bool milgi__cpu_has_vaes256(void)
{
    struct features f = features();

    return milgi__cpu_has_aesni() && all_of(f.saved, SAVES_YMM) && all_of(f.ecx1, bit_AVX) &&
        all_of(f.ebx7, bit_AVX2) && all_of(f.ecx7, bit_VAES | bit_VPCLMULQDQ);
}

bool milgi__cpu_has_vaes512(void)
{
    return milgi__cpu_has_vaes256() && all_of(features().saved, SAVES_ZMM) &&
        all_of(features().ebx7, bit_AVX512F | bit_AVX512BW | bit_AVX512VL);
}
