/* SPDX-License-Identifier: GPL-2.0-or-later
 * Exception entry through the guest's own vectors (ARM DDI 0406C B1.8, B1.9). */
#include "machine/timed/timed.h"

#define VECTOR_UNDEF 0x04u
#define VECTOR_SVC   0x08u
#define VECTOR_PABT  0x0cu
#define VECTOR_DABT  0x10u
#define VECTOR_IRQ   0x18u
#define VECTOR_FIQ   0x1cu

#define HIGH_VECTORS 0xffff0000u
/* Vectors that fault keep a CPU busy without one instruction executed; then nobody can help it any more. */
#define STUCK_LIMIT 16

static const cp15_reg VBAR = {12, 0, 0, 0, false}, DFSR = {5, 0, 0, 0, false}, IFSR = {5, 0, 0, 1, false},
                      DFAR = {6, 0, 0, 0, false}, IFAR = {6, 0, 0, 2, false};

static uint32_t vector_base(const pe_cpu *cpu)
{
    return cpu->regime.sctlr & SCTLR_V ? HIGH_VECTORS : (uint32_t)cpu_cp15(cpu, VBAR) & ~0x1fu;
}

/* Before the registers change: the PC is where the exception is taken. */
static void count_stuck(pe_cpu *cpu, uint32_t target)
{
    if (cpu->insns != cpu->stuck_insns || !cpu->stuck) {
        cpu->stuck_insns = cpu->insns;
        cpu->stuck_origin = cpu_reg(cpu, UC_ARM_REG_PC);
        cpu->stuck = 1;
    } else if (++cpu->stuck > STUCK_LIMIT) {
        run_halt(cpu->machine, PE_STOP_LOCKUP, cpu->index, 0, target);
        cpu->machine->stop.origin = cpu->stuck_origin;
    }
}

void exception_enter(pe_cpu *cpu, uint32_t vector, uint32_t mode, uint32_t return_address)
{
    const uint32_t sctlr = cpu->regime.sctlr;
    cpu->exceptions++;
    if (cpu->timed && cpu->timed->parked) { /* somebody has set the PC to where nothing can be fetched */
        timed_abandon(cpu);
    }
    cpu->held.on = false;
    debug_exception(cpu);
    const uint32_t old = cpu_reg(cpu, UC_ARM_REG_CPSR);
    uint32_t new = (old & ~(CPSR_MODE | CPSR_IT | CPSR_J | CPSR_T | CPSR_E)) | mode | CPSR_I;
    new |= sctlr &SCTLR_TE ? CPSR_T : 0;
    new |= sctlr &SCTLR_EE ? CPSR_E : 0;
    if (vector >= VECTOR_PABT) {
        new |= CPSR_A;
    }
    if (vector == VECTOR_FIQ) {
        new |= CPSR_F;
    }
    const uint32_t target = vector_base(cpu) + vector;
    if (cpu->timed) {
        timed_exception(cpu, target);
    }
    count_stuck(cpu, target);
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, new);
    cpu_set_reg(cpu, UC_ARM_REG_SPSR, old);
    cpu_set_reg(cpu, UC_ARM_REG_LR, return_address);
    cpu_set_reg(cpu, UC_ARM_REG_PC, target | (new &CPSR_T ? 1u : 0u));
}

void exception_irq(pe_cpu *cpu)
{
    cpu->machine->stats.irqs++;
    exception_enter(cpu, VECTOR_IRQ, MODE_IRQ, cpu_reg(cpu, UC_ARM_REG_PC) + 4);
}

void exception_fiq(pe_cpu *cpu)
{
    cpu->machine->stats.fiqs++;
    exception_enter(cpu, VECTOR_FIQ, MODE_FIQ, cpu_reg(cpu, UC_ARM_REG_PC) + 4);
}

void exception_undef(pe_cpu *cpu, uint32_t pc)
{
    cpu->machine->stats.undefs++;
    run_uncount(cpu, pc);
    if (hosted_note(cpu, &(hosted_event){.kind = HOSTED_UNDEFINED, .pc = pc})) {
        return;
    }
    exception_enter(cpu, VECTOR_UNDEF, MODE_UND, pc + (*cpu->thumb ? 2 : 4));
}

void exception_svc(pe_cpu *cpu, uint32_t next_pc)
{
    cpu->machine->stats.svcs++;
    if (hosted_note(cpu, &(hosted_event){.kind = HOSTED_SVC, .pc = next_pc})) {
        return;
    }
    exception_enter(cpu, VECTOR_SVC, MODE_SVC, next_pc);
}

void exception_abort(pe_cpu *cpu, pe_access access, uint32_t address, const pe_translation *fault)
{
    const uint32_t pc = cpu_reg(cpu, UC_ARM_REG_PC);
    const uint32_t status = pe_fault_status(&cpu->regime, fault, access, false);
    run_uncount(cpu, pc);
    cpu->machine->stats.prefetch_aborts += access == PE_FETCH;
    cpu->machine->stats.data_aborts += access != PE_FETCH;
    const hosted_kind kind = access == PE_FETCH ? HOSTED_PREFETCH_ABORT : HOSTED_DATA_ABORT;
    if (hosted_note(cpu, &(hosted_event){kind, pc, address, access, *fault})) {
        return;
    }
    if (access == PE_FETCH) {
        cpu_set_cp15(cpu, IFSR, status);
        cpu_set_cp15(cpu, IFAR, address);
        exception_enter(cpu, VECTOR_PABT, MODE_ABT, pc + 4);
    } else {
        cpu_set_cp15(cpu, DFSR, status);
        cpu_set_cp15(cpu, DFAR, address);
        exception_enter(cpu, VECTOR_DABT, MODE_ABT, pc + 8);
    }
}
