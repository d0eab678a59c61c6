/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an x86-64 processor has, by CPUID, and whether the system keeps the registers that it takes, by XGETBV.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct milgi__cpu {
    uint32_t ecx1;       /* CPUID 1 */
    uint32_t ebx7, ecx7; /* CPUID 7, 0 */
    uint32_t saved;      /* XCR0; 0: the system does not say */
};
struct milgi__cpu milgi__cpu(void);

bool milgi__cpu_runs_aesni(const struct milgi__cpu *cpu);
bool milgi__cpu_runs_vaes256(const struct milgi__cpu *cpu);
bool milgi__cpu_runs_vaes512(const struct milgi__cpu *cpu);

/* The same of this one. Nothing is remembered: each is asked once for each thread's state. */
bool milgi__cpu_has_aesni(void);
bool milgi__cpu_has_vaes256(void);
bool milgi__cpu_has_vaes512(void);
