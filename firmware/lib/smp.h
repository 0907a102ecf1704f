/* SPDX-License-Identifier: GPL-2.0-or-later
 * A second CPU that runs one function after another for the first.
 */
#ifndef FW_SMP_H
#define FW_SMP_H

#include <stdint.h>

/* What CPU 1 found when it started, before it touched anything. */
struct smp_entry_state {
    uint32_t cpsr, sctlr, mpidr;
};

/* Starts CPU 1 by PSCI, lets it turn the MMU on with root, and waits until it listens.  Returns what CPU_ON returned.
 */
int32_t smp_start(const uint64_t *root);
struct smp_entry_state smp_entry_state(void);

typedef uint32_t (*smp_function)(uint32_t argument);

/* CPU 1 runs function(argument); smp_wait returns its result. */
void smp_post(smp_function function, uint32_t argument);
uint32_t smp_wait(void);
static inline uint32_t smp_call(smp_function function, uint32_t argument)
{
    smp_post(function, argument);
    return smp_wait();
}

#endif
