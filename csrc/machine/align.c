/* SPDX-License-Identifier: GPL-2.0-or-later
 * Alignment faults (ARM DDI 0406C A3.2.1): the engine makes none but for LDREX and STREX.  While SCTLR.A is set, or the
 * machine is strict, a hook before every instruction decodes loads and stores and computes their address. */
#include "machine/insn.h"

/* One load or store as far as alignment goes. */
typedef struct mem_insn {
    uint32_t address;
    uint8_t natural; /* alignment with SCTLR.A = 1, and for Device memory: 1, 2, 4 */
    uint8_t always;  /* alignment whatever SCTLR.A says: 1, 4 */
    uint16_t bytes;  /* at most */
    bool store;
} mem_insn;

typedef struct decoder {
    const uint32_t *regs;
    uint32_t pc;
    bool thumb;
    bool carry;
} decoder;

static uint32_t reg(const decoder *d, uint32_t n)
{
    return n == 15 ? d->thumb ? (d->pc + 4) & ~3u : d->pc + 8 : d->regs[n];
}

/* Immediate shift of a register offset (ARM DDI 0406C A8.4.3). */
static uint32_t shifted(const decoder *d, uint32_t value, uint32_t type, uint32_t amount)
{
    switch (type) {
    case 0: return value << amount;
    case 1: return amount ? value >> amount : 0;
    case 2: return (uint32_t)((int32_t)value >> (amount ? amount : 31));
    default: return amount ? value >> amount | value << (32 - amount) : value >> 1 | (uint32_t)d->carry << 31;
    }
}

static uint32_t indexed(const decoder *d, uint32_t insn, uint32_t offset)
{
    const uint32_t base = reg(d, insn >> 16 & 0xf);
    if (!(insn & 0x01000000u)) { /* post-indexed */
        return base;
    }
    return insn & 0x00800000u ? base + offset : base - offset;
}

static bool single(mem_insn *out, uint32_t address, uint32_t size, bool store)
{
    *out = (mem_insn){address, (uint8_t)size, 1, (uint16_t)size, store};
    return true;
}

static bool words(mem_insn *out, uint32_t address, uint32_t bytes, bool store)
{
    *out = (mem_insn){address, 4, 4, (uint16_t)bytes, store};
    return true;
}

/* First address of a transfer of `bytes` bytes with the P and U bits of LDM and VLDM. */
static uint32_t block_start(const decoder *d, uint32_t insn, uint32_t bytes)
{
    const uint32_t base = reg(d, insn >> 16 & 0xf);
    const bool before = insn >> 24 & 1, up = insn >> 23 & 1;
    return up ? base + (before ? 4 : 0) : base - bytes + (before ? 0 : 4);
}

static bool load_multiple(const decoder *d, uint32_t insn, mem_insn *out)
{
    const uint32_t bytes = 4u * (uint32_t)__builtin_popcount(insn & 0xffff);
    return words(out, block_start(d, insn, bytes), bytes, !(insn >> 20 & 1));
}

/* VLDR, VSTR, VLDM, VSTM: the same bits in ARM and Thumb state. */
static bool vfp(const decoder *d, uint32_t insn, mem_insn *out)
{
    const uint32_t cp = insn >> 8 & 0xf, bytes = 4 * (insn & 0xff);
    if ((cp != 10 && cp != 11) || (insn & 0x0fe00000u) == 0x0c400000u) {
        return false;
    }
    const bool store = !(insn >> 20 & 1), one = (insn & 0x01200000u) == 0x01000000u;
    const uint32_t base = reg(d, insn >> 16 & 0xf);
    if (one) {
        return words(out, insn & 0x00800000u ? base + bytes : base - bytes, 8, store);
    }
    return words(out, insn & 0x01000000u ? base - bytes : base, bytes, store);
}

/* NEON element and structure transfers check the alignment that they name, else that of the element with SCTLR.A. */
static bool neon(const decoder *d, uint32_t insn, mem_insn *out)
{
    const uint32_t size = insn & 0x00800000u ? insn >> 10 & 3 : insn >> 6 & 3;
    *out = (mem_insn){reg(d, insn >> 16 & 0xf), (uint8_t)(1u << (size > 2 ? 2 : size)), 1, 32, !(insn >> 21 & 1)};
    if (!(insn & 0x00800000u) && insn >> 4 & 3) {
        out->always = (uint8_t)(4u << (insn >> 4 & 3));
    }
    return true;
}

/* LDRH and its relatives, LDRD, STRD, SWP. */
static bool decode_arm_extra(const decoder *d, uint32_t insn, mem_insn *out)
{
    const uint32_t op = insn >> 5 & 3;
    const bool load = insn >> 20 & 1;
    if (!op) {
        const bool swap = (insn & 0x0fb00ff0u) == 0x01000090u && !(insn >> 22 & 1);
        return swap ? words(out, reg(d, insn >> 16 & 0xf), 4, true) : false;
    }
    const uint32_t offset = insn & 0x00400000u ? (insn >> 4 & 0xf0) | (insn & 0xf) : reg(d, insn & 0xf);
    const uint32_t address = indexed(d, insn, offset);
    if (!load && op >= 2) {
        return words(out, address, 8, op == 3); /* LDRD, STRD */
    }
    return single(out, address, op == 2 ? 1 : 2, !load);
}

static bool decode_arm(const decoder *d, uint32_t insn, mem_insn *out)
{
    if (insn >> 28 == 0xf) {
        if ((insn & 0xff100000u) == 0xf4000000u) {
            return neon(d, insn, out);
        }
        return (insn & 0x0e000000u) == 0x08000000u ? load_multiple(d, (insn & ~0xffffu) | 3, out)
                                                   : false; /* RFE, SRS */
    }
    switch (insn >> 25 & 7) {
    case 0: return (insn & 0x90u) == 0x90u ? decode_arm_extra(d, insn, out) : false;
    case 2:
    case 3: {
        const bool by_register = insn >> 25 & 1;
        if (by_register && insn & 0x10u) {
            return false; /* media instructions */
        }
        const uint32_t offset =
            by_register ? shifted(d, reg(d, insn & 0xf), insn >> 5 & 3, insn >> 7 & 0x1f) : insn & 0xfff;
        return single(out, indexed(d, insn, offset), insn >> 22 & 1 ? 1 : 4, !(insn >> 20 & 1));
    }
    case 4: return load_multiple(d, insn, out);
    case 6: return vfp(d, insn, out);
    default: return false;
    }
}

static bool decode_thumb16(const decoder *d, uint32_t insn, mem_insn *out)
{
    static const uint8_t register_size[8] = {4, 2, 1, 1, 4, 2, 1, 2};
    const uint32_t base = d->regs[insn >> 3 & 7], imm5 = insn >> 6 & 0x1f, sp = d->regs[13];
    switch (insn >> 12) {
    case 5: {
        const uint32_t op = insn >> 9 & 7;
        return single(out, base + d->regs[insn >> 6 & 7], register_size[op], op < 3);
    }
    case 6: return single(out, base + 4 * imm5, 4, !(insn >> 11 & 1));
    case 7: return single(out, base + imm5, 1, !(insn >> 11 & 1));
    case 8: return single(out, base + 2 * imm5, 2, !(insn >> 11 & 1));
    case 9: return single(out, sp + 4 * (insn & 0xff), 4, !(insn >> 11 & 1));
    case 11:
        if ((insn & 0x0600u) != 0x0400u) {
            return false;
        }
        return insn >> 11 & 1 ? words(out, sp, 4u * (uint32_t)__builtin_popcount(insn & 0x1ff), false)
                              : words(out, sp - 4u * (uint32_t)__builtin_popcount(insn & 0x1ff),
                                      4u * (uint32_t)__builtin_popcount(insn & 0x1ff), true);
    case 12:
        return words(out, d->regs[insn >> 8 & 7], 4u * (uint32_t)__builtin_popcount(insn & 0xff), !(insn >> 11 & 1));
    default: return false;
    }
}

/* LDR.W and its relatives: 1111100 S op1 size L Rn Rt ... (ARM DDI 0406C A6.3.7 to A6.3.10). */
static bool decode_thumb_single(const decoder *d, uint32_t insn, mem_insn *out)
{
    static const uint8_t sizes[4] = {1, 2, 4, 0};
    const uint32_t size = sizes[insn >> 21 & 3], rn = insn >> 16 & 0xf, base = reg(d, rn);
    uint32_t address;
    if (!size) {
        return false;
    }
    if (rn == 15) {
        address = insn >> 23 & 1 ? base + (insn & 0xfff) : base - (insn & 0xfff);
    } else if (insn >> 23 & 1) {
        address = base + (insn & 0xfff);
    } else if (!(insn >> 11 & 1)) {
        address = base + (reg(d, insn & 0xf) << (insn >> 4 & 3));
    } else if (insn >> 10 & 1) {
        address = insn >> 9 & 1 ? base + (insn & 0xff) : base - (insn & 0xff);
    } else {
        address = base; /* post-indexed */
    }
    return single(out, address, size, !(insn >> 20 & 1));
}

static bool decode_thumb32(const decoder *d, uint32_t insn, mem_insn *out)
{
    if ((insn & 0xfe400000u) == 0xe8000000u) {
        return load_multiple(d, insn, out); /* RFE and SRS have two words in the same place */
    }
    if ((insn & 0xfe400000u) == 0xe8400000u) {
        if (!(insn & 0x01200000u)) {
            return false; /* exclusives and table branches */
        }
        return words(out, indexed(d, insn, 4 * (insn & 0xff)), 8, !(insn >> 20 & 1));
    }
    if ((insn & 0xfe000000u) == 0xec000000u) {
        return vfp(d, insn, out);
    }
    if ((insn & 0xff100000u) == 0xf9000000u) {
        return neon(d, insn, out);
    }
    return (insn & 0xfe000000u) == 0xf8000000u ? decode_thumb_single(d, insn, out) : false;
}

/* Device and Strongly-ordered memory: MAIR attributes 0000xxxx. */
static bool is_device(pe_cpu *cpu, const mem_insn *access)
{
    pe_translation t;
    pe_translate(cpu->machine->mem, &cpu->regime, access->address, access->store ? PE_WRITE : PE_READ,
                 cpu_privileged(cpu), &t);
    return !t.fault && !(t.attr & 0xf0);
}

static bool is_misaligned(pe_cpu *cpu, const mem_insn *access)
{
    if (access->address & (access->always - 1u)) {
        return true;
    }
    if (!(access->address & (access->natural - 1u))) {
        return false;
    }
    return cpu->regime.sctlr & SCTLR_A || is_device(cpu, access);
}

static bool decode(pe_cpu *cpu, decoder *d, uint32_t insn, mem_insn *access)
{
    const bool rrx = !d->thumb && (insn & 0x0e000ff0u) == 0x06000060u;
    d->carry = rrx && cpu_reg(cpu, UC_ARM_REG_CPSR) >> 29 & 1;
    return !d->thumb        ? decode_arm(d, insn, access)
           : insn < 0x10000 ? decode_thumb16(d, insn, access)
                            : decode_thumb32(d, insn, access);
}

/* LDREX, STREX and their relatives, whose alignment the engine checks, and table branches. */
static bool decode_exclusive(const decoder *d, uint32_t insn, mem_insn *out)
{
    static const uint8_t arm_sizes[4] = {4, 8, 1, 2}, thumb_sizes[4] = {1, 2, 4, 8};
    const uint32_t base = reg(d, insn >> 16 & 0xf);
    if (!d->thumb) {
        return (insn & 0x0f8000f0u) == 0x01800090u && single(out, base, arm_sizes[insn >> 21 & 3], false);
    }
    if ((insn & 0xffe00000u) == 0xe8400000u) {
        return single(out, base + 4 * (insn & 0xff), 4, false);
    }
    if ((insn & 0xffe00000u) != 0xe8c00000u) {
        return false;
    }
    if (insn & 0x40) {
        return single(out, base, thumb_sizes[insn >> 4 & 3], false);
    }
    const uint32_t half = insn >> 4 & 1, rn = insn >> 16 & 0xf;
    return single(out, (rn == 15 ? d->pc + 4 : base) + (reg(d, insn & 0xf) << half), 1 + half, false); /* TBB, TBH */
}

bool align_decode(pe_cpu *cpu, uint32_t pc, uint32_t *address, uint32_t *bytes)
{
    decoder d = {cpu->probe.regs, pc, *cpu->thumb, false};
    uint32_t insn;
    mem_insn access;
    if (!fill_fetch(cpu, pc, &insn) || (!decode(cpu, &d, insn, &access) && !decode_exclusive(&d, insn, &access))) {
        return false;
    }
    *address = access.address;
    *bytes = access.bytes;
    return true;
}

static void align_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc, (void)size;
    pe_cpu *cpu = user;
    decoder d = {cpu->probe.regs, (uint32_t)address, *cpu->thumb, false};
    uint32_t insn;
    mem_insn access;
    if (!fill_fetch(cpu, d.pc, &insn)) {
        return;
    }
    if (!decode(cpu, &d, insn, &access) || !is_misaligned(cpu, &access) || debug_stops_at(cpu, d.pc)) {
        return;
    }
    const uint32_t condition = d.thumb ? 14 : insn >> 28; /* the engine has looked at IT blocks */
    if (condition < 14 && !condition_holds(condition, cpu_reg(cpu, UC_ARM_REG_CPSR))) {
        return;
    }
    if (!run_find_it_state(cpu, d.pc)) {
        return;
    }
    const pe_translation fault = {.fault = PE_FAULT_ALIGNMENT};
    exception_abort(cpu, access.store ? PE_WRITE : PE_READ, access.address, &fault);
    if (!d.thumb) {
        hosted_leave(cpu);
    } else if (cpu->end == END_HOSTED) {
        cpu->deadline = 0; /* a stop within an IT block would be taken back: the next block hook stops */
    }
}

void align_update(pe_cpu *cpu)
{
    const pe_engine *e = &cpu->machine->engine;
    const bool wanted = cpu->regime.sctlr & SCTLR_A || cpu->machine->config.flags & PE_MACHINE_STRICT_ALIGNMENT;
    if (wanted == (cpu->align_hook != 0)) {
        return;
    }
    if (wanted) {
        e->hook_add(cpu->uc, &cpu->align_hook, UC_HOOK_CODE, (void *)(uintptr_t)align_hook, cpu, (uint64_t)1,
                    (uint64_t)0);
    } else {
        e->hook_del(cpu->uc, cpu->align_hook);
        cpu->align_hook = 0;
    }
    e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0)); /* blocks translated the other way */
}
