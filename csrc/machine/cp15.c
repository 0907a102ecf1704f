/* SPDX-License-Identifier: GPL-2.0-or-later
 * Emulated system registers: translation control (kept in cpu->regime too), TLB maintenance, the generic timer and the
 * address translation operations (ARM DDI 0406C B3.17, B8.1). */
#include "machine/timed/timed.h"

#define CNTKCTL_PL0PCTEN 0x001u
#define CNTKCTL_PL0VCTEN 0x002u
#define CNTKCTL_PL0VTEN  0x100u
#define CNTKCTL_PL0PTEN  0x200u

#define TTBR_ASID_MASK       0x00ff000000000000ull
#define CONTEXTIDR_ASID_MASK 0xffu

static void set_low(uint64_t *reg, uint64_t value)
{
    *reg = (*reg & ~0xffffffffull) | (uint32_t)value;
}

/* The soft TLB knows no ASIDs and no regimes: what changes either empties it, as the engine itself would. */
static void write_translation(pe_cpu *cpu, cp15_reg reg, uint64_t value)
{
    pe_regime *r = &cpu->regime;
    const pe_regime old = *r;
    bool flush = false;
    cpu_set_cp15(cpu, reg, value);
    if (reg.is64) {
        *(reg.opc1 ? &r->ttbr1 : &r->ttbr0) = value;
        flush = ((r->ttbr0 ^ old.ttbr0) | (r->ttbr1 ^ old.ttbr1)) & TTBR_ASID_MASK;
    } else if (reg.crn == 1) {
        r->sctlr = (uint32_t)value;
        flush = r->sctlr != old.sctlr;
        if ((r->sctlr ^ old.sctlr) & SCTLR_A && cpu->end == END_NONE) {
            cpu->end = END_DEADLINE; /* align_update runs before the engine does again */
            cpu_stop_engine(cpu);
        }
    } else if (reg.crn == 2 && reg.opc2 == 2) {
        r->ttbcr = (uint32_t)cpu_cp15(cpu, reg); /* reserved bits read as zero */
        flush = r->ttbcr != old.ttbcr;
    } else if (reg.crn == 2) {
        set_low(reg.opc2 ? &r->ttbr1 : &r->ttbr0, value);
    } else if (reg.crn == 3) {
        r->dacr = (uint32_t)value;
        flush = r->dacr != old.dacr;
    } else if (reg.crn == 10) {
        *(reg.opc2 ? &r->mair1 : &r->mair0) = (uint32_t)value;
        flush = true;
    } else if (reg.crn == 13) {
        r->contextidr = (uint32_t)value;
        flush = !(r->ttbcr & TTBCR_EAE) && (r->contextidr ^ old.contextidr) & CONTEXTIDR_ASID_MASK;
    }
    cpu->generation++;
    if (flush) {
        fill_flush(cpu);
    }
    if (cpu->timed) {
        timed_regime_changed(cpu, reg.crn != 1 && (reg.crn != 2 || reg.opc2 != 2));
    }
}

static bool is_translation(cp15_reg reg)
{
    if (reg.is64) {
        return reg.crm == 2 && reg.opc1 < 2;
    }
    if (reg.opc1) {
        return false;
    }
    switch (reg.crn) {
    case 1: return reg.crm == 0 && reg.opc2 == 0;
    case 2: return reg.crm == 0 && reg.opc2 < 3;
    case 3: return reg.crm == 0 && reg.opc2 == 0;
    case 10: return reg.crm == 2 && reg.opc2 < 2;
    case 13: return reg.crm == 0 && reg.opc2 == 1;
    default: return false;
    }
}

/* Fault status and address: trapped with the rest, plain storage. */
static bool is_storage(cp15_reg reg)
{
    if (reg.is64 || reg.opc1 || reg.crm) {
        return false;
    }
    return (reg.crn == 5 && reg.opc2 < 2) || (reg.crn == 6 && (reg.opc2 == 0 || reg.opc2 == 2));
}

/* ADFSR, AIFSR and AMAIR hold nothing on these cores.  They are constants of the engine, and a CP_REG write to a
 * constant would go to offset 0 of its CPU state: r0. */
static bool is_ignored(cp15_reg reg)
{
    return !reg.is64 && !reg.opc1 && reg.opc2 < 2 &&
           ((reg.crn == 5 && reg.crm == 1) || (reg.crn == 10 && reg.crm == 3));
}

/* ---- TLB maintenance ---- */

static bool tlb_maintenance(pe_cpu *cpu, cp15_reg reg, uint32_t value)
{
    if ((reg.crm != 3 && reg.crm != 5 && reg.crm != 6 && reg.crm != 7) || reg.opc2 > 3 ||
        (reg.crm == 5 && reg.opc2 == 3) || (reg.crm == 6 && reg.opc2 == 3)) {
        return false;
    }
    static const pe_tlbi OPERATIONS[] = {PE_TLBI_ALL, PE_TLBI_MVA, PE_TLBI_ASID, PE_TLBI_MVAA};
    const bool by_address = reg.opc2 == 1 || reg.opc2 == 3;
    pe_machine *m = cpu->machine;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        if (reg.crm != TLBI_INNER_SHAREABLE && m->cpu[i] != cpu) {
            continue;
        }
        if (by_address) {
            fill_flush_va(m->cpu[i], value & ~0xfffu);
        } else {
            fill_flush(m->cpu[i]);
        }
        if (m->timed) {
            timed_invalidate_tlb(m->cpu[i], OPERATIONS[reg.opc2], value & ~0xfffu, (uint8_t)value);
        }
    }
    return true;
}

/* ---- generic timer ---- */

static bool timer_allowed(const pe_cpu *cpu, uint32_t bit)
{
    static const cp15_reg CNTKCTL = {14, 1, 0, 0, false};
    return cpu_privileged(cpu) || (cpu_cp15(cpu, CNTKCTL) & bit);
}

static bool timer_channel_access(pe_cpu *cpu, timer_channel *channel, uint32_t opc2, bool read, uint64_t *value)
{
    pe_machine *m = cpu->machine;
    const uint64_t count = timer_count(m);
    if (opc2 == 0) { /* TVAL */
        if (read) {
            *value = (uint32_t)(channel->cval - count);
        } else {
            timer_set(m, cpu->index, channel, channel->ctl, count + (uint64_t)(int64_t)(int32_t)*value);
        }
        return true;
    }
    if (opc2 == 1) { /* CTL */
        if (read) {
            *value = channel->ctl | (channel->ctl & 1 && count >= channel->cval ? 4u : 0u);
        } else {
            timer_set(m, cpu->index, channel, (uint32_t)*value & 3, channel->cval);
        }
        return true;
    }
    return false;
}

static bool timer_access(pe_cpu *cpu, cp15_reg reg, bool read, uint64_t *value)
{
    timer_state *t = &cpu->machine->board.timer[cpu->index];
    if (!reg.is64) {
        const bool virtual = reg.crm == 3;
        if (reg.opc1 || (reg.crm != 2 && reg.crm != 3) ||
            !timer_allowed(cpu, virtual ? CNTKCTL_PL0VTEN : CNTKCTL_PL0PTEN)) {
            return false;
        }
        return timer_channel_access(cpu, virtual ? &t->virt : &t->phys, reg.opc2, read, value);
    }
    switch (reg.opc1) {
    case 0: /* CNTPCT */
    case 1: /* CNTVCT: CNTVOFF is zero */
        if (!read || !timer_allowed(cpu, reg.opc1 ? CNTKCTL_PL0VCTEN : CNTKCTL_PL0PCTEN)) {
            return false;
        }
        *value = timer_count(cpu->machine);
        return true;
    case 2: /* CNTP_CVAL */
    case 3: {
        timer_channel *channel = reg.opc1 == 3 ? &t->virt : &t->phys;
        if (!timer_allowed(cpu, reg.opc1 == 3 ? CNTKCTL_PL0VTEN : CNTKCTL_PL0PTEN)) {
            return false;
        }
        if (read) {
            *value = channel->cval;
        } else {
            timer_set(cpu->machine, cpu->index, channel, channel->ctl, *value);
        }
        return true;
    }
    default: return false;
    }
}

/* ---- address translation ---- */

/* An external abort on the walk is not a result in PAR but an exception (ARM DDI 0406C B3.12.8). */
static cp15_result ats(pe_cpu *cpu, cp15_reg reg, uint32_t va)
{
    static const cp15_reg PAR = {0, 7, 0, 0, true};
    const pe_machine *m = cpu->machine;
    const pe_access access = reg.opc2 & 1 ? PE_WRITE : PE_READ;
    const bool privileged = reg.opc2 < 2;
    pe_translation t;
    if (reg.opc2 > 3) {
        return CP15_UNDEFINED;
    }
    cpu->machine->stats.walks += cpu->regime.sctlr & SCTLR_M;
    pe_translate(m->mem, &cpu->regime, va, access, privileged, &t);
    if (t.fault == PE_FAULT_EXTERNAL_WALK) {
        exception_abort(cpu, PE_READ, va, &t);
        return CP15_EXCEPTION;
    }
    cpu_set_cp15(cpu, PAR, pe_ats(m->mem, &cpu->regime, va, access, privileged));
    return CP15_DONE;
}

static cp15_result done(bool known)
{
    return known ? CP15_DONE : CP15_UNDEFINED;
}

cp15_result cp15_access(pe_cpu *cpu, cp15_reg reg, bool read, uint64_t *value)
{
    if (reg.is64 ? reg.crm == 14 : reg.crn == 14) {
        return done(timer_access(cpu, reg, read, value));
    }
    if (pmu_has(reg)) {
        return done(pmu_access(cpu, reg, read, value));
    }
    if (!cpu_privileged(cpu)) {
        return CP15_UNDEFINED;
    }
    if (!reg.is64 && reg.crn == 12 && reg.crm == 1 && read) { /* ISR: what is pending, masked or not */
        *value = (cpu->irq_line ? CPSR_I : 0) | (cpu->fiq_line ? CPSR_F : 0);
        return CP15_DONE;
    }
    if (read) {
        return CP15_UNDEFINED;
    }
    if (is_translation(reg)) {
        pmu_note_write(cpu, reg);
        write_translation(cpu, reg, *value);
        return CP15_DONE;
    }
    if (is_storage(reg)) {
        return done(cpu_set_cp15(cpu, reg, *value));
    }
    if (is_ignored(reg)) {
        return CP15_DONE;
    }
    if (!reg.is64 && reg.crn == 8 && reg.opc1 == 0) {
        return done(tlb_maintenance(cpu, reg, (uint32_t)*value));
    }
    if (!reg.is64 && reg.crn == 7 && reg.crm == 8 && reg.opc1 == 0) {
        return ats(cpu, reg, (uint32_t)*value);
    }
    if (!reg.is64 && reg.crn == 7 && reg.opc1 == 0 && cpu->timed) { /* scan.c finds these only then */
        timed_maintain_caches(cpu, reg, (uint32_t)*value);
        return CP15_DONE;
    }
    return CP15_UNDEFINED;
}
