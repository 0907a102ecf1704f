/* SPDX-License-Identifier: GPL-2.0-or-later
 * The accesses that the engine makes of each instruction, and which registers and loads their addresses depend on. */
#include "timing/block.h"

#include <string.h>

static uint32_t insn_bits(const cs_insn *insn, bool thumb)
{
    uint16_t half[2];
    memcpy(half, insn->bytes, sizeof half);
    return thumb ? (uint32_t)half[0] << 16 | half[1] : (uint32_t)half[1] << 16 | half[0];
}

typedef struct addressing {
    uint64_t address; /* registers that it is made of */
    uint64_t step;    /* what a post-indexed one adds afterwards */
    uint64_t base;    /* the register that it is written back to; 0: none */
    uint8_t loads;
    uint8_t stores; /* after the loads */
} addressing;

/* ---- how many ---- */

/* VLDn and VSTn (ARM DDI 0406C A7.7): an element each; registers of consecutive elements go as doublewords.  The low 24
 * bits are the same in ARM and Thumb. */
static uint8_t structure_accesses(uint32_t bits)
{
    if (bits >> 23 & 1) { /* one lane, or all */
        return (uint8_t)((bits >> 8 & 3) + 1);
    }
    static const struct {
        uint8_t registers;
        bool consecutive;
    } types[16] = {
        [0] = {4, false}, [1] = {4, false}, [2] = {4, true},  [3] = {4, false}, [4] = {3, false}, [5] = {3, false},
        [6] = {3, true},  [7] = {1, true},  [8] = {2, false}, [9] = {2, false}, [10] = {2, true},
    };
    const uint8_t registers = types[bits >> 8 & 15].registers;
    if (types[bits >> 8 & 15].consecutive) {
        return registers;
    }
    return (uint8_t)(registers * 8u >> (bits >> 6 & 3));
}

static uint8_t accesses_of(const cs_insn *insn, const cs_arm *arm, bool thumb)
{
    if (block_multiple(insn->id)) {
        return (uint8_t)(arm->op_count - (arm->op_count > 0));
    }
    switch (insn->id) {
    case ARM_INS_LDC: /* undefined in the engine */
    case ARM_INS_LDCL:
    case ARM_INS_STC:
    case ARM_INS_STCL: return 0;
    case ARM_INS_PUSH:
    case ARM_INS_POP:
    case ARM_INS_VPUSH:
    case ARM_INS_VPOP: return arm->op_count;
    case ARM_INS_VLD1:
    case ARM_INS_VLD2:
    case ARM_INS_VLD3:
    case ARM_INS_VLD4:
    case ARM_INS_VST1:
    case ARM_INS_VST2:
    case ARM_INS_VST3:
    case ARM_INS_VST4: return structure_accesses(insn_bits(insn, thumb));
    case ARM_INS_LDRD:
    case ARM_INS_STRD:
    case ARM_INS_RFEDA:
    case ARM_INS_RFEDB:
    case ARM_INS_RFEIA:
    case ARM_INS_RFEIB:
    case ARM_INS_SRSDA:
    case ARM_INS_SRSDB:
    case ARM_INS_SRSIA:
    case ARM_INS_SRSIB: return 2;
    default: return 1;
    }
}

/* ---- where ---- */

static void find_address(const cs_insn *insn, const cs_arm *arm, addressing *a)
{
    switch (insn->id) {
    case ARM_INS_PUSH:
    case ARM_INS_POP:
    case ARM_INS_VPUSH:
    case ARM_INS_VPOP: a->address = a->base = REG_BIT(13); return;
    case ARM_INS_SRSDA:
    case ARM_INS_SRSDB:
    case ARM_INS_SRSIA:
    case ARM_INS_SRSIB:
        a->address = REG_BIT(13);
        a->base = arm->writeback ? a->address : 0;
        return;
    default: break;
    }
    for (uint8_t i = 0; i < arm->op_count; i++) {
        const cs_arm_op *op = &arm->operands[i];
        if (op->type != ARM_OP_MEM) {
            continue;
        }
        const uint64_t base = blocks_reg_bits((unsigned)op->mem.base);
        a->address = base | blocks_reg_bits((unsigned)op->mem.index);
        a->address |= op->shift.type == ARM_SFT_RRX ? REG_BIT(REG_FLAGS) : 0;
        if (i + 1 < arm->op_count) { /* post-indexed: capstone does not say `writeback` of all such */
            a->step = op[1].type == ARM_OP_REG ? blocks_reg_bits((unsigned)op[1].reg) : 0;
            a->base = base;
        } else if (arm->writeback) {
            a->base = base;
        }
        return;
    }
    if (arm->op_count && arm->operands[0].type == ARM_OP_REG) { /* a list: the base comes first */
        a->address = blocks_reg_bits((unsigned)arm->operands[0].reg);
        a->base = arm->writeback ? a->address : 0;
    }
}

static addressing addressing_of(const pe_blocks *blocks, const block_op *op, bool thumb)
{
    const cs_insn *insn = blocks->insn;
    const cs_arm *arm = &insn->detail->arm;
    addressing a = {0};
    if (op->class != OP_LOAD && op->class != OP_STORE) {
        return a;
    }
    find_address(insn, arm, &a);
    const uint8_t n = accesses_of(insn, arm, thumb);
    a.loads = op->class == OP_LOAD ? n : 0;
    a.stores = op->class == OP_STORE ? n : 0;
    switch (insn->id) {
    case ARM_INS_SWP:
    case ARM_INS_SWPB: a.stores = 1; break;
    case ARM_INS_STREX: /* the engine compares with what LDREX saw */
    case ARM_INS_STREXB:
    case ARM_INS_STREXH:
    case ARM_INS_STREXD: a.loads = 1; break;
    default: break;
    }
    return a;
}

/* ---- what depends on what ---- */

static uint16_t origin(const pe_blocks *blocks, uint64_t regs)
{
    uint16_t from = 0;
    for (; regs; regs &= regs - 1) {
        from |= blocks->from[__builtin_ctzll(regs)];
    }
    return from;
}

/* All of N, Z, C and V; others leave some of them. */
static bool sets_all_flags(const cs_insn *insn)
{
    switch (insn->id) {
    case ARM_INS_ADD:
    case ARM_INS_ADC:
    case ARM_INS_SUB:
    case ARM_INS_SBC:
    case ARM_INS_RSB:
    case ARM_INS_RSC:
    case ARM_INS_CMP:
    case ARM_INS_CMN:
    case ARM_INS_VMRS:
    case ARM_INS_FMSTAT: return true;
    default: return false;
    }
}

/* Registers that an instruction may leave in part as they were. */
static uint64_t kept_by(const cs_insn *insn, const cs_arm *arm, const block_op *op, bool thumb)
{
    if (block_conditional(arm) || arm->usermode) {
        return op->writes;
    }
    uint64_t kept = sets_all_flags(insn) ? 0 : op->writes & REG_BIT(REG_FLAGS);
    if (insn->id >= ARM_INS_VLD1 && insn->id <= ARM_INS_VLD4) {
        const uint32_t bits = insn_bits(insn, thumb);
        return bits >> 23 & 1 && (bits >> 10 & 3) != 3 ? op->writes : kept; /* one lane */
    }
    for (uint8_t i = 0; i < arm->op_count; i++) {
        const cs_arm_op *operand = &arm->operands[i];
        if (operand->type == ARM_OP_REG && operand->reg >= ARM_REG_S0 && operand->reg <= ARM_REG_S31) {
            kept |= op->writes & blocks_reg_bits((unsigned)operand->reg);
        }
    }
    return kept;
}

static void note_accesses(pe_blocks *blocks, const addressing *a, uint16_t from, uint32_t offset, pe_block_cost *out)
{
    const uint32_t n = (uint32_t)a->loads + a->stores;
    for (uint32_t i = 0; i < n && out->accesses < BLOCK_MAX_ACCESSES; i++) {
        blocks->accesses[out->accesses++] = (pe_block_access){
            .address_regs = (uint16_t)(from & ~FROM_LOAD),
            .offset = (uint16_t)offset,
            .store = i >= a->loads,
            .after_load = from & FROM_LOAD,
        };
    }
}

void blocks_flow(pe_blocks *blocks, block_op *op, bool thumb, uint32_t offset, pe_block_cost *out)
{
    const cs_insn *insn = blocks->insn;
    const cs_arm *arm = &insn->detail->arm;
    const addressing a = addressing_of(blocks, op, thumb);
    const uint16_t condition = block_conditional(arm) ? blocks->from[REG_FLAGS] : 0;
    const uint16_t address = origin(blocks, a.address) | condition;
    const uint16_t written_back = address | origin(blocks, a.step);
    const uint16_t result = op->class == OP_LOAD ? FROM_LOAD | condition : origin(blocks, op->reads);
    note_accesses(blocks, &a, address, offset, out);
    op->reads |= a.address | a.step;
    op->writes |= a.base;
    op->base = a.base;
    const uint64_t kept = kept_by(insn, arm, op, thumb);
    for (uint64_t writes = op->writes & ~REG_BIT(15); writes; writes &= writes - 1) {
        const unsigned r = (unsigned)__builtin_ctzll(writes);
        const uint16_t from = a.base & REG_BIT(r) ? written_back : result;
        blocks->from[r] = (kept & REG_BIT(r) ? blocks->from[r] : 0) | from;
    }
}
