/* SPDX-License-Identifier: GPL-2.0-or-later
 * PSCI 1.1 by HVC and SMC (ARM DEN 0022D): the calls that a 32-bit kernel makes. */
#include "machine/machine.h"

#define PSCI_VERSION           0x84000000u
#define PSCI_CPU_SUSPEND       0x84000001u
#define PSCI_CPU_OFF           0x84000002u
#define PSCI_CPU_ON            0x84000003u
#define PSCI_AFFINITY_INFO     0x84000004u
#define PSCI_MIGRATE_INFO_TYPE 0x84000006u
#define PSCI_SYSTEM_OFF        0x84000008u
#define PSCI_SYSTEM_RESET      0x84000009u
#define PSCI_FEATURES          0x8400000au

#define PSCI_SUCCESS            0
#define PSCI_NOT_SUPPORTED      (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON         (-4)

#define MPIDR_AFFINITY 0x00ffffffu

static pe_cpu *find_cpu(pe_machine *m, uint32_t mpidr)
{
    const uint32_t index = mpidr & MPIDR_AFFINITY;
    return index < m->config.ncpus ? m->cpu[index] : NULL;
}

static int32_t cpu_on(pe_machine *m, uint32_t mpidr, uint32_t entry, uint32_t context)
{
    pe_cpu *target = find_cpu(m, mpidr);
    if (!target) {
        return PSCI_INVALID_PARAMETERS;
    }
    if (target->power != PE_POWER_OFF) {
        return PSCI_ALREADY_ON;
    }
    cpu_reset(target, entry, context);
    target->power = PE_POWER_ON;
    m->current->end = END_YIELD;
    cpu_stop_engine(m->current);
    return PSCI_SUCCESS;
}

static int32_t affinity_info(pe_machine *m, uint32_t mpidr)
{
    const pe_cpu *target = find_cpu(m, mpidr);
    return target ? (target->power == PE_POWER_OFF) : PSCI_INVALID_PARAMETERS;
}

static int32_t features(uint32_t function)
{
    switch (function) {
    case PSCI_VERSION:
    case PSCI_CPU_SUSPEND:
    case PSCI_CPU_OFF:
    case PSCI_CPU_ON:
    case PSCI_AFFINITY_INFO:
    case PSCI_MIGRATE_INFO_TYPE:
    case PSCI_SYSTEM_OFF:
    case PSCI_SYSTEM_RESET:
    case PSCI_FEATURES: return PSCI_SUCCESS;
    default: return PSCI_NOT_SUPPORTED;
    }
}

static void power_down(pe_cpu *cpu, pe_power power)
{
    cpu->power = power;
    cpu->end = END_WAIT;
    cpu_stop_engine(cpu);
}

void psci_call(pe_cpu *cpu)
{
    pe_machine *m = cpu->machine;
    const uint32_t a1 = cpu_reg(cpu, UC_ARM_REG_R1), a2 = cpu_reg(cpu, UC_ARM_REG_R2), a3 = cpu_reg(cpu, UC_ARM_REG_R3);
    int32_t result = PSCI_NOT_SUPPORTED;
    switch (cpu_reg(cpu, UC_ARM_REG_R0)) {
    case PSCI_VERSION: result = 0x10001; break;
    case PSCI_MIGRATE_INFO_TYPE: result = 2; break; /* no trusted OS to migrate */
    case PSCI_FEATURES: result = features(a1); break;
    case PSCI_CPU_ON: result = cpu_on(m, a1, a2, a3); break;
    case PSCI_AFFINITY_INFO: result = affinity_info(m, a1); break;
    case PSCI_CPU_OFF: power_down(cpu, PE_POWER_OFF); return;
    case PSCI_CPU_SUSPEND:
        cpu_set_reg(cpu, UC_ARM_REG_R0, PSCI_SUCCESS);
        if (!cpu->irq_line && !cpu->fiq_line) {
            power_down(cpu, PE_POWER_WAITING);
        }
        return;
    case PSCI_SYSTEM_OFF: run_halt(m, PE_STOP_POWEROFF, cpu->index, 0, 0); return;
    case PSCI_SYSTEM_RESET: run_halt(m, PE_STOP_RESET, cpu->index, 0, 0); return;
    default: break;
    }
    cpu_set_reg(cpu, UC_ARM_REG_R0, (uint32_t)result);
}
