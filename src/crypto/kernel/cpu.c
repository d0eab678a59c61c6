/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/kernel/cpu.h"

#include <cpuid.h>

/* Bits of XCR0: which registers the system saves. */
#define SAVES_YMM 0x06u
#define SAVES_ZMM 0xe6u

struct milgi__cpu milgi__cpu(void)
{
    struct milgi__cpu cpu = { 0, 0, 0, 0 };
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;

    if (__get_cpuid(1, &a, &b, &c, &d))
        cpu.ecx1 = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        cpu.ebx7 = b;
        cpu.ecx7 = c;
    }
    if (cpu.ecx1 & bit_OSXSAVE) {
        __asm__ volatile("xgetbv"
                         : "=a"(a), "=d"(d)
                         : "c"(0));
        cpu.saved = a;
    }
    return cpu;
}

static bool all_of(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

bool milgi__cpu_runs_aesni(const struct milgi__cpu *cpu)
{
    return all_of(cpu->ecx1, bit_AES | bit_PCLMUL | bit_SSSE3 | bit_SSE4_1);
}

bool milgi__cpu_runs_vaes256(const struct milgi__cpu *cpu)
{
    return milgi__cpu_runs_aesni(cpu) && all_of(cpu->saved, SAVES_YMM) && all_of(cpu->ecx1, bit_AVX) &&
        all_of(cpu->ebx7, bit_AVX2) && all_of(cpu->ecx7, bit_VAES | bit_VPCLMULQDQ);
}

bool milgi__cpu_runs_vaes512(const struct milgi__cpu *cpu)
{
    return milgi__cpu_runs_vaes256(cpu) && all_of(cpu->saved, SAVES_ZMM) &&
        all_of(cpu->ebx7, bit_AVX512F | bit_AVX512BW | bit_AVX512VL);
}

bool milgi__cpu_has_aesni(void)
{
    struct milgi__cpu cpu = milgi__cpu();

    return milgi__cpu_runs_aesni(&cpu);
}

bool milgi__cpu_has_vaes256(void)
{
    struct milgi__cpu cpu = milgi__cpu();

    return milgi__cpu_runs_vaes256(&cpu);
}

bool milgi__cpu_has_vaes512(void)
{
    struct milgi__cpu cpu = milgi__cpu();

    return milgi__cpu_runs_vaes512(&cpu);
}
