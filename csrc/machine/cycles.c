/* SPDX-License-Identifier: GPL-2.0-or-later
 * PMCCNTR, the cycle counter (ARM DDI 0406C C12.8): the engine's counts the host's clock, and starts again at each
 * read. Here a cycle is a nanosecond of guest time.  PMCR and PMCNTEN themselves are kept by the engine. */
#include "machine/machine.h"

static const cp15_reg PMCR = {9, 12, 0, 0, false}, PMCNTENSET = {9, 12, 0, 1, false}, PMUSERENR = {9, 14, 0, 0, false};

#define PMCR_E        0x01u
#define PMCR_C        0x04u /* resets the counter; reads as zero */
#define PMCR_D        0x08u /* counts every 64th cycle */
#define PMCR_WRITABLE 0x79u /* bit 6, reserved here, too: the engine resets it to 1 */
#define CYCLE_COUNTER 0x80000000u
#define COUNTERS      0x8000000fu /* PMCR.N is 4 */
#define PMUSERENR_EN  1u

/* Brings the counter up to now; from here on it goes by the registers as they then are. */
static uint32_t update(pe_cpu *cpu)
{
    cycle_state *c = &cpu->machine->board.cycles[cpu->index];
    const uint64_t now = machine_ns(cpu->machine);
    const uint32_t control = (uint32_t)cpu_cp15(cpu, PMCR);
    if (control & PMCR_E && cpu_cp15(cpu, PMCNTENSET) & CYCLE_COUNTER) {
        const uint64_t unit = control & PMCR_D ? 64 : 1;
        const uint64_t passed = (now - c->since) / unit;
        c->count += (uint32_t)passed;
        c->since += passed * unit;
    } else {
        c->since = now;
    }
    return c->count;
}

bool cycles_has(cp15_reg reg, bool read)
{
    return !reg.is64 && reg.crn == 9 && reg.opc1 == 0 &&
           ((reg.crm == 13 && reg.opc2 == 0) || (reg.crm == 12 && reg.opc2 < 3 && !read));
}

bool cycles_access(pe_cpu *cpu, cp15_reg reg, bool read, uint64_t *value)
{
    cycle_state *c = &cpu->machine->board.cycles[cpu->index];
    if (!cpu_privileged(cpu) && !(cpu_cp15(cpu, PMUSERENR) & PMUSERENR_EN)) {
        return false;
    }
    const uint32_t now = update(cpu), written = (uint32_t)*value;
    if (reg.crm == 13) {
        if (read) {
            *value = now;
        } else {
            c->count = written;
        }
        return true;
    }
    if (reg.opc2 == 0) {
        const uint32_t kept = (uint32_t)cpu_cp15(cpu, PMCR) & ~PMCR_WRITABLE;
        c->count = written & PMCR_C ? 0 : c->count;
        return cpu_set_cp15(cpu, PMCR, kept | (written & PMCR_WRITABLE));
    }
    const uint32_t enabled = (uint32_t)cpu_cp15(cpu, PMCNTENSET), chosen = written & COUNTERS;
    return cpu_set_cp15(cpu, PMCNTENSET, reg.opc2 == 1 ? enabled | chosen : enabled & ~chosen);
}
