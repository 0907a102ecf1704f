/* SPDX-License-Identifier: GPL-2.0-or-later
 * The bill: cycles by CPU, privilege and category, and each CPU's clock. */
#ifndef PYEMU_TIMING_LEDGER_H
#define PYEMU_TIMING_LEDGER_H

#include "pyemu.h"

typedef struct ledger_cpu {
    uint64_t clock;  /* kept apart from the bills, which must add up to it */
    pe_bill bill[2]; /* PL0, PL1 */
} ledger_cpu;

struct pe_ledger {
    uint32_t ncpus;
    ledger_cpu cpu[PE_MAX_CPUS];
};

static inline void ledger_add(ledger_cpu *cpu, bool privileged, pe_cost cost, uint64_t cycles)
{
    pe_bill *bill = &cpu->bill[privileged];
    bill->cycles[cost] += cycles;
    bill->events[cost]++;
    cpu->clock += cycles;
}

#endif
