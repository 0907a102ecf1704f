/* SPDX-License-Identifier: GPL-2.0-or-later
 * One CPU: its engine instance, its reset state and its registers. */
#include "machine/timed/timed.h"
#include "machine/clock.h"

#include <stdlib.h>

uint32_t cpu_reg(const pe_cpu *cpu, int uc_reg)
{
    uint32_t value = 0;
    cpu->machine->engine.reg_read(cpu->uc, uc_reg, &value);
    return value;
}

void cpu_set_reg(pe_cpu *cpu, int uc_reg, uint32_t value)
{
    cpu->machine->engine.reg_write(cpu->uc, uc_reg, &value);
}

static uc_arm_cp_reg cp_reg(cp15_reg reg, uint64_t value)
{
    return (uc_arm_cp_reg){.cp = 15,
                           .is64 = reg.is64,
                           .sec = 0,
                           .crn = reg.crn,
                           .crm = reg.crm,
                           .opc1 = reg.opc1,
                           .opc2 = reg.opc2,
                           .val = value};
}

uint64_t cpu_cp15(const pe_cpu *cpu, cp15_reg reg)
{
    uc_arm_cp_reg access = cp_reg(reg, 0);
    cpu->machine->engine.reg_read(cpu->uc, UC_ARM_REG_CP_REG, &access);
    return access.val;
}

bool cpu_set_cp15(pe_cpu *cpu, cp15_reg reg, uint64_t value)
{
    uc_arm_cp_reg access = cp_reg(reg, value);
    return cpu->machine->engine.reg_write(cpu->uc, UC_ARM_REG_CP_REG, &access) == UC_ERR_OK;
}

static const cp15_reg SCTLR = {1, 0, 0, 0, false}, TTBCR = {2, 0, 0, 2, false}, DACR = {3, 0, 0, 0, false};
static const cp15_reg TTBR0_64 = {0, 2, 0, 0, true}, TTBR1_64 = {0, 2, 1, 0, true};
static const cp15_reg MAIR0 = {10, 2, 0, 0, false}, MAIR1 = {10, 2, 0, 1, false}, CONTEXTIDR = {13, 0, 0, 1, false};

void cpu_load_regime(pe_cpu *cpu)
{
    cpu->regime = (pe_regime){
        .sctlr = (uint32_t)cpu_cp15(cpu, SCTLR),
        .ttbcr = (uint32_t)cpu_cp15(cpu, TTBCR),
        .ttbr0 = cpu_cp15(cpu, TTBR0_64),
        .ttbr1 = cpu_cp15(cpu, TTBR1_64),
        .dacr = (uint32_t)cpu_cp15(cpu, DACR),
        .mair0 = (uint32_t)cpu_cp15(cpu, MAIR0),
        .mair1 = (uint32_t)cpu_cp15(cpu, MAIR1),
        .contextidr = (uint32_t)cpu_cp15(cpu, CONTEXTIDR),
    };
    cpu->generation++;
    if (cpu->timed) {
        timed_regime_changed(cpu, true);
    }
}

void cpu_set_regime(pe_cpu *cpu, const pe_regime *regime)
{
    cpu_set_cp15(cpu, TTBCR, regime->ttbcr);
    cpu_set_cp15(cpu, TTBR0_64, regime->ttbr0);
    cpu_set_cp15(cpu, TTBR1_64, regime->ttbr1);
    cpu_set_cp15(cpu, DACR, regime->dacr);
    cpu_set_cp15(cpu, MAIR0, regime->mair0);
    cpu_set_cp15(cpu, MAIR1, regime->mair1);
    cpu_set_cp15(cpu, CONTEXTIDR, regime->contextidr);
    cpu_set_cp15(cpu, SCTLR, regime->sctlr);
    cpu_load_regime(cpu);
    fill_flush(cpu);
}

/* ---- construction ---- */

static pe_status add_hook(pe_cpu *cpu, int type, void *callback, pe_error *err)
{
    uc_hook hook = 0;
    uc_err e = cpu->machine->engine.hook_add(cpu->uc, &hook, type, callback, cpu, 1, 0);
    return e == UC_ERR_OK ? PE_OK : pe_fail(err, PE_ERR_ENGINE, "hook %d: %s", type, cpu->machine->engine.strerror(e));
}

/* Flash before RAM: the engine numbers RAM offsets in map order, and fill.c relies on it. */
static uc_err map_memory(pe_cpu *cpu)
{
    pe_machine *m = cpu->machine;
    const pe_engine *e = &m->engine;
    uc_err status = e->mem_map_ptr(cpu->uc, BOARD_FLASH0_BASE, BOARD_FLASH_SIZE, UC_PROT_READ | UC_PROT_EXEC,
                                   pe_mem_host(m->mem, BOARD_FLASH0_BASE, BOARD_FLASH_SIZE));
    if (status == UC_ERR_OK) {
        status = e->mem_map_ptr(cpu->uc, BOARD_FLASH1_BASE, BOARD_FLASH_SIZE, UC_PROT_READ | UC_PROT_EXEC,
                                pe_mem_host(m->mem, BOARD_FLASH1_BASE, BOARD_FLASH_SIZE));
    }
    if (status == UC_ERR_OK) {
        status = e->mem_map_ptr(cpu->uc, m->config.ram_base, m->config.ram_size, UC_PROT_ALL, m->ram_host);
    }
    if (status == UC_ERR_OK) {
        status = e->mmio_map(cpu->uc, BOARD_DEVICES_BASE, BOARD_DEVICES_END - BOARD_DEVICES_BASE, devices_read, cpu,
                             devices_write, cpu);
    }
    if (status == UC_ERR_OK && m->config.ram_base + m->config.ram_size <= BOARD_PCIE_ECAM_HIGH) {
        status = e->mmio_map(cpu->uc, BOARD_PCIE_ECAM_HIGH, BOARD_PCIE_ECAM_HIGH_SIZE, devices_read_ecam, cpu,
                             devices_write_ecam, cpu);
    }
    if (status == UC_ERR_OK) {
        status =
            e->mmio_map(cpu->uc, BOARD_FLASH_WINDOW, BOARD_FLASH_END, flash_window_read, cpu, flash_window_write, cpu);
    }
    return status;
}

#define TRANSLATION_BYTES 0x8000000u /* of translated code; then the engine starts afresh */

static pe_status cpu_open(pe_cpu *cpu, pe_error *err)
{
    const pe_engine *e = &cpu->machine->engine;
    const int model = cpu->machine->config.cpu_model == PE_CPU_CORTEX_A7 ? UC_CPU_ARM_CORTEX_A7 : UC_CPU_ARM_CORTEX_A15;
    uc_err status = e->open(UC_ARCH_ARM, UC_MODE_ARM, &cpu->uc);
    if (status == UC_ERR_OK) {
        status = e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1), model);
    }
    if (status == UC_ERR_OK) { /* the default of 1024 makes translations wrong */
        status = e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_UC_PAGE_SIZE, 1), PE_PAGE_SIZE);
    }
    if (status == UC_ERR_OK) { /* the default of 1 GB would let a guest that rewrites its code fill the host */
        status = e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TCG_BUFFER_SIZE, 1), (uint32_t)TRANSLATION_BYTES);
    }
    if (status == UC_ERR_OK) { /* an `until` address would cost an invalidation at each return */
        status = e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    }
    if (status == UC_ERR_OK) {
        status = e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TLB_TYPE, 1), UC_TLB_VIRTUAL);
    }
    if (status != UC_ERR_OK) {
        return pe_fail(err, PE_ERR_ENGINE, "libunicorn cannot make a CPU: %s", e->strerror(status));
    }
    pe_status probed = engine_probe(e, cpu->uc, &cpu->probe, err);
    if (probed != PE_OK) {
        return probed;
    }
    status = map_memory(cpu);
    if (status != UC_ERR_OK) {
        return pe_fail(err, PE_ERR_ENGINE, "libunicorn cannot map guest memory: %s", e->strerror(status));
    }
    return PE_OK;
}

pe_cpu *cpu_new(pe_machine *machine, uint32_t index, pe_error *err)
{
    pe_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for CPU %u", index);
        return NULL;
    }
    cpu->machine = machine;
    cpu->index = index;
    const struct {
        int type;
        void *callback;
    } hooks[] = {
        {UC_HOOK_TLB_FILL, (void *)(uintptr_t)fill_hook},
        {UC_HOOK_BLOCK,
         machine->config.timing ? (void *)(uintptr_t)timed_block_hook : (void *)(uintptr_t)run_block_hook},
        {UC_HOOK_INSN_INVALID, (void *)(uintptr_t)trap_invalid_hook},
        {UC_HOOK_INTR, (void *)(uintptr_t)trap_interrupt_hook},
        {UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, (void *)(uintptr_t)timed_memory_hook},
    };
    const size_t wanted = sizeof hooks / sizeof hooks[0] - (machine->config.timing < PE_TIMING_CACHE);
    clock_enter(0);
    pe_status status = cpu_open(cpu, err);
    clock_leave();
    for (size_t i = 0; status == PE_OK && i < wanted; i++) {
        status = add_hook(cpu, hooks[i].type, hooks[i].callback, err);
    }
    if (status != PE_OK) {
        cpu_free(cpu);
        return NULL;
    }
    cpu->thumb = cpu->probe.thumb;
    cpu->masks = cpu->probe.masks;
    return cpu;
}

void cpu_free(pe_cpu *cpu)
{
    if (cpu) {
        if (cpu->uc) {
            cpu->machine->engine.close(cpu->uc);
        }
        free(cpu->patches);
        free(cpu);
    }
}

/* ---- reset ---- */

/* SCTLR after reset (Cortex-A15 TRM 4.3.27): what firmware that starts a kernel leaves. */
#define SCTLR_RESET     0x00c50078u
#define HCR_TTLB        0x02000000u
#define HCR_TVM         0x04000000u
#define HDCR_TPM        0x00000040u
#define SCR_HCE         0x100u
#define SCR_NS          0x1u
#define NSACR_CP10_CP11 0xc00u

/* What the architecture leaves UNKNOWN is zero, so that a CPU that was used starts as a new one. */
static void zero_system_registers(pe_cpu *cpu)
{
    static const cp15_reg zero[] = {
        {2, 0, 0, 2, false},  {0, 2, 0, 0, true},   {0, 2, 1, 0, true},                        /* TTBCR, TTBR0, TTBR1 */
        {1, 0, 0, 2, false},  {3, 0, 0, 0, false},  {0, 7, 0, 0, true},                        /* CPACR, DACR, PAR */
        {5, 0, 0, 0, false},  {5, 0, 0, 1, false},  {6, 0, 0, 0, false},  {6, 0, 0, 2, false}, /* DFSR to IFAR */
        {10, 2, 0, 0, false}, {10, 2, 0, 1, false}, {12, 0, 0, 0, false}, {13, 0, 0, 1, false}, /* MAIRs, VBAR, ASID */
        {13, 0, 0, 2, false}, {13, 0, 0, 3, false}, {13, 0, 0, 4, false}, {14, 1, 0, 0, false}, /* TPIDRs, CNTKCTL */
    };
    const uint64_t nothing = 0;
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++) {
        cpu_set_cp15(cpu, zero[i], 0);
    }
    for (int d = 0; d < 32; d++) {
        cpu->machine->engine.reg_write(cpu->uc, UC_ARM_REG_D0 + d, &nothing);
    }
    cpu_set_reg(cpu, UC_ARM_REG_FPSCR, 0);
    cpu_set_reg(cpu, UC_ARM_REG_FPEXC, 0);
}

void cpu_reset(pe_cpu *cpu, uint32_t pc, uint32_t r0)
{
    const pe_machine *m = cpu->machine;
    /* Through every mode first, so that no banked register keeps an old value. */
    static const uint32_t modes[] = {MODE_FIQ, MODE_IRQ, MODE_ABT, MODE_UND, MODE_SYS, MODE_SVC};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        cpu_set_reg(cpu, UC_ARM_REG_CPSR, modes[i] | CPSR_A | CPSR_I | CPSR_F);
        for (int r = 0; r < 15; r++) {
            static const int regs[15] = {UC_ARM_REG_R0,  UC_ARM_REG_R1,  UC_ARM_REG_R2,  UC_ARM_REG_R3, UC_ARM_REG_R4,
                                         UC_ARM_REG_R5,  UC_ARM_REG_R6,  UC_ARM_REG_R7,  UC_ARM_REG_R8, UC_ARM_REG_R9,
                                         UC_ARM_REG_R10, UC_ARM_REG_R11, UC_ARM_REG_R12, UC_ARM_REG_SP, UC_ARM_REG_LR};
            cpu_set_reg(cpu, regs[r], 0);
        }
        if (modes[i] != MODE_SYS) {
            cpu_set_reg(cpu, UC_ARM_REG_SPSR, 0);
        }
    }
    cpu_set_cp15(cpu, (cp15_reg){1, 1, 0, 0, false}, SCR_HCE | SCR_NS);
    cpu_set_cp15(cpu, (cp15_reg){1, 1, 0, 2, false}, NSACR_CP10_CP11);
    cpu_set_cp15(cpu, SCTLR, SCTLR_RESET);
    zero_system_registers(cpu);
    /* MPIDR as the guest reads it: VMPIDR.  Bit 31: multiprocessing extensions; bit 30: a uniprocessor. */
    cpu_set_cp15(cpu, (cp15_reg){0, 0, 4, 5, false},
                 0x80000000u | (m->config.ncpus == 1 ? 0x40000000u : 0) | cpu->index);
    /* CNTHCTL = 0: every access to the physical counter and timer reaches trap_invalid_hook. */
    cpu_set_cp15(cpu, (cp15_reg){14, 1, 4, 0, false}, 0);
    /* Writes to translation registers are trapped, so that `regime` is always what the guest set; TLB maintenance,
     * because it means leaves of any size and other CPUs. */
    cpu_set_cp15(cpu, (cp15_reg){1, 1, 4, 0, false}, HCR_TVM | HCR_TTLB);
    /* Every access to the performance monitors. */
    cpu_set_cp15(cpu, (cp15_reg){1, 1, 4, 1, false}, HDCR_TPM);
    pmu_reset(cpu);
    cpu_load_regime(cpu);
    fill_reset(cpu);
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, MODE_SVC | CPSR_A | CPSR_I | CPSR_F | (pc & 1 ? CPSR_T : 0));
    cpu_set_reg(cpu, UC_ARM_REG_R0, r0);
    cpu_set_reg(cpu, UC_ARM_REG_PC, pc);
    cpu->fault.valid = false;
    cpu->event = false;
    engine_exclusive_load(&m->engine, &cpu->probe, &(pe_exclusive){UINT64_MAX, 0, 0});
    cpu->wants_input = WANTS_NOTHING;
    cpu->stuck = 0;
    cpu->break_skip_insns = NEVER;
    cpu->held.on = false;
    if (cpu->timed) {
        cpu->timed->parked = NULL;
    }
}
