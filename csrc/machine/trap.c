/* SPDX-License-Identifier: GPL-2.0-or-later
 * What arrives at the engine's hooks: trapped system registers, undefined instructions, SVC, HVC, SMC, BKPT, WFE. */
#include "machine/insn.h"
#include "machine/timed/timed.h"

/* target/arm/cpu.h of the engine: EXCP_* as UC_HOOK_INTR reports them */
#define ENGINE_SWI        2
#define ENGINE_DATA_ABORT 4
#define ENGINE_BKPT       7
#define ENGINE_HVC        11
#define ENGINE_SMC        13

static void continue_at(pe_cpu *cpu, uint32_t pc)
{
    if (*cpu->thumb) {
        uint32_t cpsr = cpu_reg(cpu, UC_ARM_REG_CPSR);
        if (cpsr & CPSR_IT) {
            cpu_set_reg(cpu, UC_ARM_REG_CPSR, it_advance(cpsr));
        }
        pc |= 1;
    }
    cpu_set_reg(cpu, UC_ARM_REG_PC, pc);
}

bool trap_emulate_cp(pe_cpu *cpu, uint32_t pc, uint32_t insn)
{
    cp_insn cp;
    if (!insn_is_cp(insn, *cpu->thumb, &cp) || cp.cp != 15) {
        return false;
    }
    const uint32_t next = pc + insn_length(insn, *cpu->thumb);
    if (cpu->timed) {
        cpu->timed->trapped = !cp.read;
    }
    run_uncount(cpu, next);
    uint64_t value = 0;
    if (!cp.read) {
        value = cpu_reg(cpu, insn_uc_reg[cp.rt]);
        if (cp.reg.is64) {
            value |= (uint64_t)cpu_reg(cpu, insn_uc_reg[cp.rt2]) << 32;
        }
    }
    if (cpu->timed && !cp.read) {
        timed_trap(cpu, cp.reg);
    }
    const cp15_result result = cp15_access(cpu, cp.reg, cp.read, &value);
    if (result != CP15_DONE) {
        return result == CP15_EXCEPTION;
    }
    if (cp.read) {
        cpu_set_reg(cpu, insn_uc_reg[cp.rt], (uint32_t)value);
        if (cp.reg.is64) {
            cpu_set_reg(cpu, insn_uc_reg[cp.rt2], (uint32_t)(value >> 32));
        }
    }
    cpu->machine->stats.cp15_traps++;
    continue_at(cpu, next);
    return true;
}

static bool is_semihost_hlt(uint32_t insn, bool thumb)
{
    return thumb ? insn == 0xbabc : insn == 0xe10f0070u;
}

/* A syndrome that the engine sets with an undefined instruction or a trap; soft-TLB fills leave others behind. */
#define ESR_EC_SHIFT 26
#define ESR_UNKNOWN  0x02000000u

/* WFE and YIELD come here too, with PC already behind them and without a syndrome of their own. */
static void trap_invalid(pe_cpu *cpu)
{
    const uint32_t syndrome = cpu_reg(cpu, UC_ARM_REG_ESR);
    if (!(syndrome >> ESR_EC_SHIFT) && syndrome != ESR_UNKNOWN) {
        cpu->end = END_YIELD;
        cpu_stop_engine(cpu);
        return;
    }
    cpu_set_reg(cpu, UC_ARM_REG_ESR, 0);
    const uint32_t pc = cpu_reg(cpu, UC_ARM_REG_PC);
    uint32_t insn = 0;
    if (fill_fetch(cpu, pc, &insn)) {
        if (trap_emulate_cp(cpu, pc, insn)) {
            return;
        }
        if (is_semihost_hlt(insn, *cpu->thumb) && cpu_privileged(cpu)) {
            const uint32_t next = pc + insn_length(insn, *cpu->thumb);
            run_uncount(cpu, next);
            if (semihost_call(cpu, pc)) {
                if (!cpu->wants_input) {
                    continue_at(cpu, next);
                }
                return;
            }
        }
    }
    exception_undef(cpu, pc);
}

bool trap_invalid_hook(uc_engine *uc, void *user)
{
    (void)uc;
    trap_invalid(user);
    hosted_leave(user);
    return true;
}

static bool is_semihost_svc(pe_cpu *cpu, uint32_t pc)
{
    uint32_t insn;
    if (!fill_fetch(cpu, pc, &insn)) {
        return false;
    }
    return *cpu->thumb ? insn == 0xdfab : (insn & 0x0fffffffu) == 0x0f123456u;
}

/* LDREX and STREX of the engine check alignment but do not say which address was wrong: it is in the base register. */
static uint32_t exclusive_address(pe_cpu *cpu, uint32_t pc)
{
    uint32_t insn = 0;
    fill_fetch(cpu, pc, &insn);
    uint32_t address = cpu_reg(cpu, insn_uc_reg[insn >> 16 & 0xf]);
    if (*cpu->thumb && (insn & 0xffe00000u) == 0xe8400000u) { /* LDREX, STREX (word) have an offset in Thumb */
        address += (insn & 0xff) << 2;
    }
    return address;
}

static void alignment_abort(pe_cpu *cpu)
{
    const uint32_t pc = cpu_reg(cpu, UC_ARM_REG_PC);
    uint32_t insn = 0;
    fill_fetch(cpu, pc, &insn);
    const bool load = insn >> 20 & 1;
    const pe_translation fault = {.fault = PE_FAULT_ALIGNMENT};
    exception_abort(cpu, load ? PE_READ : PE_WRITE, exclusive_address(cpu, pc), &fault);
}

static void trap_interrupt(pe_cpu *cpu, uint32_t number)
{
    const uint32_t pc = cpu_reg(cpu, UC_ARM_REG_PC);
    cpu_set_reg(cpu, UC_ARM_REG_ESR, 0);
    switch (number) {
    case ENGINE_SWI: {
        const uint32_t at = pc - (*cpu->thumb ? 2 : 4);
        if (cpu_privileged(cpu) && is_semihost_svc(cpu, at) && semihost_call(cpu, at)) {
            return;
        }
        exception_svc(cpu, pc);
        return;
    }
    case ENGINE_HVC:
    case ENGINE_SMC:
        cpu->machine->stats.hypercalls++;
        psci_call(cpu);
        return;
    case ENGINE_BKPT: {
        const pe_translation fault = {.fault = PE_FAULT_DEBUG};
        exception_abort(cpu, PE_FETCH, pc, &fault);
        return;
    }
    case ENGINE_DATA_ABORT: alignment_abort(cpu); return;
    default: exception_undef(cpu, pc); return;
    }
}

void trap_interrupt_hook(uc_engine *uc, uint32_t number, void *user)
{
    (void)uc;
    trap_interrupt(user, number);
    hosted_leave(user);
}
