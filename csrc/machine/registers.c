/* SPDX-License-Identifier: GPL-2.0-or-later
 * Registers by index, for debuggers and snapshots: core, banked, VFP and CP15 of the non-secure PL1&0 world. */
#include "machine/machine.h"

typedef enum reg_kind {
    REG_CORE,   /* uc register id */
    REG_BANKED, /* mode, uc register id */
    REG_DOUBLE, /* D register number */
    REG_CP15,
    REG_CONSTANT, /* CP15, read-only: the engine would write it over r0 */
    REG_CNTP_CVAL,
    REG_CNTP_CTL,
    REG_CNTV_CVAL,
    REG_CNTV_CTL,
} reg_kind;

typedef struct reg_entry {
    pe_register info;
    reg_kind kind;
    uint32_t mode;
    int id;
    cp15_reg cp15;
} reg_entry;

#define CORE(name, id)       {{name, "core", 32}, REG_CORE, 0, id, {0}}
#define VFPS(name, id)       {{name, "vfp", 32}, REG_CORE, 0, id, {0}}
#define BANK(name, mode, id) {{name, "banked", 32}, REG_BANKED, mode, id, {0}}
#define DREG(n)              {{"d" #n, "vfp", 64}, REG_DOUBLE, 0, UC_ARM_REG_D0 + n, {0}}
#define CP(name, ...)                                                                                                  \
    {                                                                                                                  \
        {name, "cp15", 32}, REG_CP15, 0, 0,                                                                            \
        {                                                                                                              \
            __VA_ARGS__, false                                                                                         \
        }                                                                                                              \
    }
#define CONSTANT(name, ...)                                                                                            \
    {                                                                                                                  \
        {name, "cp15", 32}, REG_CONSTANT, 0, 0,                                                                        \
        {                                                                                                              \
            __VA_ARGS__, false                                                                                         \
        }                                                                                                              \
    }
#define CP64(name, crm, opc1)                                                                                          \
    {                                                                                                                  \
        {name, "cp15", 64}, REG_CP15, 0, 0,                                                                            \
        {                                                                                                              \
            0, crm, opc1, 0, true                                                                                      \
        }                                                                                                              \
    }
#define TIMER(name, width, kind) {{name, "cp15", width}, kind, 0, 0, {0}}

static const reg_entry registers[] = {
    CORE("r0", UC_ARM_REG_R0),
    CORE("r1", UC_ARM_REG_R1),
    CORE("r2", UC_ARM_REG_R2),
    CORE("r3", UC_ARM_REG_R3),
    CORE("r4", UC_ARM_REG_R4),
    CORE("r5", UC_ARM_REG_R5),
    CORE("r6", UC_ARM_REG_R6),
    CORE("r7", UC_ARM_REG_R7),
    CORE("r8", UC_ARM_REG_R8),
    CORE("r9", UC_ARM_REG_R9),
    CORE("r10", UC_ARM_REG_R10),
    CORE("r11", UC_ARM_REG_R11),
    CORE("r12", UC_ARM_REG_R12),
    CORE("sp", UC_ARM_REG_SP),
    CORE("lr", UC_ARM_REG_LR),
    CORE("pc", UC_ARM_REG_PC),
    CORE("cpsr", UC_ARM_REG_CPSR),
    CORE("spsr", UC_ARM_REG_SPSR),
    BANK("sp_usr", MODE_SYS, UC_ARM_REG_SP),
    BANK("lr_usr", MODE_SYS, UC_ARM_REG_LR),
    BANK("r8_fiq", MODE_FIQ, UC_ARM_REG_R8),
    BANK("r9_fiq", MODE_FIQ, UC_ARM_REG_R9),
    BANK("r10_fiq", MODE_FIQ, UC_ARM_REG_R10),
    BANK("r11_fiq", MODE_FIQ, UC_ARM_REG_R11),
    BANK("r12_fiq", MODE_FIQ, UC_ARM_REG_R12),
    BANK("sp_fiq", MODE_FIQ, UC_ARM_REG_SP),
    BANK("lr_fiq", MODE_FIQ, UC_ARM_REG_LR),
    BANK("spsr_fiq", MODE_FIQ, UC_ARM_REG_SPSR),
    BANK("r8_usr", MODE_SYS, UC_ARM_REG_R8),
    BANK("r9_usr", MODE_SYS, UC_ARM_REG_R9),
    BANK("r10_usr", MODE_SYS, UC_ARM_REG_R10),
    BANK("r11_usr", MODE_SYS, UC_ARM_REG_R11),
    BANK("r12_usr", MODE_SYS, UC_ARM_REG_R12),
    BANK("sp_irq", MODE_IRQ, UC_ARM_REG_SP),
    BANK("lr_irq", MODE_IRQ, UC_ARM_REG_LR),
    BANK("spsr_irq", MODE_IRQ, UC_ARM_REG_SPSR),
    BANK("sp_svc", MODE_SVC, UC_ARM_REG_SP),
    BANK("lr_svc", MODE_SVC, UC_ARM_REG_LR),
    BANK("spsr_svc", MODE_SVC, UC_ARM_REG_SPSR),
    BANK("sp_abt", MODE_ABT, UC_ARM_REG_SP),
    BANK("lr_abt", MODE_ABT, UC_ARM_REG_LR),
    BANK("spsr_abt", MODE_ABT, UC_ARM_REG_SPSR),
    BANK("sp_und", MODE_UND, UC_ARM_REG_SP),
    BANK("lr_und", MODE_UND, UC_ARM_REG_LR),
    BANK("spsr_und", MODE_UND, UC_ARM_REG_SPSR),
    DREG(0),
    DREG(1),
    DREG(2),
    DREG(3),
    DREG(4),
    DREG(5),
    DREG(6),
    DREG(7),
    DREG(8),
    DREG(9),
    DREG(10),
    DREG(11),
    DREG(12),
    DREG(13),
    DREG(14),
    DREG(15),
    DREG(16),
    DREG(17),
    DREG(18),
    DREG(19),
    DREG(20),
    DREG(21),
    DREG(22),
    DREG(23),
    DREG(24),
    DREG(25),
    DREG(26),
    DREG(27),
    DREG(28),
    DREG(29),
    DREG(30),
    DREG(31),
    VFPS("fpscr", UC_ARM_REG_FPSCR),
    VFPS("fpexc", UC_ARM_REG_FPEXC),
    /* name, CRn, CRm, opc1, opc2 (ARM DDI 0406C B3.17) */
    CONSTANT("midr", 0, 0, 0, 0),
    CP("mpidr", 0, 0, 4, 5),
    CP("sctlr", 1, 0, 0, 0),
    CONSTANT("actlr", 1, 0, 0, 1),
    CP("cpacr", 1, 0, 0, 2),
    CP("ttbcr", 2, 0, 0, 2),
    CP64("ttbr0", 2, 0),
    CP64("ttbr1", 2, 1),
    CP("dacr", 3, 0, 0, 0),
    CP("dfsr", 5, 0, 0, 0),
    CP("ifsr", 5, 0, 0, 1),
    CONSTANT("adfsr", 5, 1, 0, 0),
    CONSTANT("aifsr", 5, 1, 0, 1),
    CP("dfar", 6, 0, 0, 0),
    CP("ifar", 6, 0, 0, 2),
    CP64("par", 7, 0),
    CP("mair0", 10, 2, 0, 0), /* PRRR when TTBCR.EAE = 0 */
    CP("mair1", 10, 2, 0, 1), /* NMRR when TTBCR.EAE = 0 */
    CONSTANT("amair0", 10, 3, 0, 0),
    CONSTANT("amair1", 10, 3, 0, 1),
    CP("vbar", 12, 0, 0, 0),
    CP("contextidr", 13, 0, 0, 1),
    CP("tpidrurw", 13, 0, 0, 2),
    CP("tpidruro", 13, 0, 0, 3),
    CP("tpidrprw", 13, 0, 0, 4),
    CP("cntfrq", 14, 0, 0, 0),
    CP("cntkctl", 14, 1, 0, 0),
    TIMER("cntp_cval", 64, REG_CNTP_CVAL),
    TIMER("cntp_ctl", 32, REG_CNTP_CTL),
    TIMER("cntv_cval", 64, REG_CNTV_CVAL),
    TIMER("cntv_ctl", 32, REG_CNTV_CTL),
};

uint32_t pe_register_count(void)
{
    return sizeof registers / sizeof registers[0];
}

const pe_register *pe_register_info(uint32_t index)
{
    return index < pe_register_count() ? &registers[index].info : NULL;
}

bool register_is_constant(uint32_t index)
{
    return registers[index].kind == REG_CONSTANT;
}

static pe_status check(const pe_machine *m, uint32_t cpu, uint32_t index, pe_error *err)
{
    if (cpu >= m->config.ncpus) {
        return pe_fail(err, PE_ERR_ARGUMENT, "CPU %u: the machine has %u, counted from 0", cpu, m->config.ncpus);
    }
    if (index >= pe_register_count()) {
        return pe_fail(err, PE_ERR_ARGUMENT, "register %u: there are %u", index, pe_register_count());
    }
    return PE_OK;
}

static timer_channel *channel_of(pe_machine *m, uint32_t cpu, reg_kind kind)
{
    timer_state *t = &m->board.timer[cpu];
    return kind == REG_CNTP_CVAL || kind == REG_CNTP_CTL ? &t->phys : &t->virt;
}

/* A banked register is read in its own mode; FIQ's r8 to r12 belong to it, all others share the user's. */
static uint32_t banked(pe_cpu *cpu, const reg_entry *r, const uint32_t *value)
{
    const uint32_t cpsr = cpu_reg(cpu, UC_ARM_REG_CPSR);
    uint32_t result = 0;
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, (cpsr & ~CPSR_MODE) | r->mode);
    if (value) {
        cpu_set_reg(cpu, r->id, *value);
    } else {
        result = cpu_reg(cpu, r->id);
    }
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, cpsr);
    return result;
}

pe_status pe_machine_reg_read(pe_machine *m, uint32_t index_cpu, uint32_t index, uint64_t *value, pe_error *err)
{
    pe_status status = check(m, index_cpu, index, err);
    if (status != PE_OK) {
        return status;
    }
    pe_cpu *cpu = m->cpu[index_cpu];
    const reg_entry *r = &registers[index];
    switch (r->kind) {
    case REG_CORE: *value = cpu_reg(cpu, r->id); break;
    case REG_BANKED: *value = banked(cpu, r, NULL); break;
    case REG_DOUBLE: m->engine.reg_read(cpu->uc, r->id, value); break;
    case REG_CP15:
    case REG_CONSTANT: *value = cpu_cp15(cpu, r->cp15); break;
    case REG_CNTP_CVAL:
    case REG_CNTV_CVAL: *value = channel_of(m, index_cpu, r->kind)->cval; break;
    case REG_CNTP_CTL:
    case REG_CNTV_CTL: *value = channel_of(m, index_cpu, r->kind)->ctl; break;
    }
    return PE_OK;
}

static bool write_core(pe_cpu *cpu, const reg_entry *r, uint32_t value)
{
    static const uint32_t modes[] = {MODE_USR, MODE_FIQ, MODE_IRQ, MODE_SVC, MODE_ABT, MODE_UND, MODE_SYS};
    if (r->id == UC_ARM_REG_CPSR) {
        bool known = false;
        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
            known |= (value & CPSR_MODE) == modes[i];
        }
        if (!known) {
            return false;
        }
    }
    /* The engine takes bit 0 of a PC for the Thumb state. */
    cpu_set_reg(cpu, r->id, r->id == UC_ARM_REG_PC ? (value & ~1u) | *cpu->thumb : value);
    return true;
}

pe_status pe_machine_reg_write(pe_machine *m, uint32_t index_cpu, uint32_t index, uint64_t value, pe_error *err)
{
    pe_status status = check(m, index_cpu, index, err);
    if (status != PE_OK) {
        return status;
    }
    pe_cpu *cpu = m->cpu[index_cpu];
    const reg_entry *r = &registers[index];
    const uint32_t low = (uint32_t)value;
    switch (r->kind) {
    case REG_CORE:
        if (!write_core(cpu, r, low)) {
            return pe_fail(err, PE_ERR_ARGUMENT, "CPSR 0x%08x: mode 0x%02x does not exist here", low, low & CPSR_MODE);
        }
        break;
    case REG_BANKED: banked(cpu, r, &low); break;
    case REG_DOUBLE: m->engine.reg_write(cpu->uc, r->id, &value); break;
    case REG_CONSTANT:
        return pe_fail(err, PE_ERR_ARGUMENT, "%s cannot be written: it is a constant of this CPU", r->info.name);
    case REG_CP15:
        if (!cpu_set_cp15(cpu, r->cp15, value)) {
            return pe_fail(err, PE_ERR_ARGUMENT, "%s cannot be written", r->info.name);
        }
        cpu_load_regime(cpu);
        fill_flush(cpu);
        break;
    case REG_CNTP_CVAL:
    case REG_CNTV_CVAL: channel_of(m, index_cpu, r->kind)->cval = value; break;
    case REG_CNTP_CTL:
    case REG_CNTV_CTL: channel_of(m, index_cpu, r->kind)->ctl = low & 3; break;
    }
    return PE_OK;
}
