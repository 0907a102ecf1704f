/* SPDX-License-Identifier: GPL-2.0-or-later
 * PSCI by HVC (ARM DEN 0022).
 */
#ifndef FW_PSCI_H
#define FW_PSCI_H

#include <stdint.h>

#define PSCI_VERSION       0x84000000u
#define PSCI_CPU_OFF       0x84000002u
#define PSCI_CPU_ON        0x84000003u
#define PSCI_AFFINITY_INFO 0x84000004u
#define PSCI_FEATURES      0x8400000au

#define PSCI_SUCCESS            0
#define PSCI_NOT_SUPPORTED      (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON         (-4)

extern const char secondary_start[];

static inline int32_t psci_hvc(uint32_t function, uint32_t a, uint32_t b, uint32_t c)
{
    register uint32_t r0 __asm__("r0") = function;
    register uint32_t r1 __asm__("r1") = a;
    register uint32_t r2 __asm__("r2") = b;
    register uint32_t r3 __asm__("r3") = c;
    __asm__ volatile(".arch_extension virt\n\thvc #0" : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)::"r12", "memory");
    return (int32_t)r0;
}

/* Starts a CPU in lib/start.S, which calls function. */
static inline int32_t psci_cpu_on(uint32_t cpu, void (*function)(void))
{
    return psci_hvc(PSCI_CPU_ON, cpu, (uint32_t)secondary_start, (uint32_t)function);
}

#endif
