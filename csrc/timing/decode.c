/* SPDX-License-Identifier: GPL-2.0-or-later
 * Decoded instructions reduced to what the pipeline needs: class, registers read and written, words moved, branch. */
#include "timing/block.h"

#include <string.h>

/* Everything that is not named here is simple: ALU, or NEON for instructions on vectors. */
static const uint8_t CLASSES[ARM_INS_ENDING] = {
    [ARM_INS_MUL] = OP_MULTIPLY,
    [ARM_INS_MLA] = OP_MULTIPLY,
    [ARM_INS_MLS] = OP_MULTIPLY,
    [ARM_INS_SMLABB] = OP_MULTIPLY,
    [ARM_INS_SMLABT] = OP_MULTIPLY,
    [ARM_INS_SMLATB] = OP_MULTIPLY,
    [ARM_INS_SMLATT] = OP_MULTIPLY,
    [ARM_INS_SMLAWB] = OP_MULTIPLY,
    [ARM_INS_SMLAWT] = OP_MULTIPLY,
    [ARM_INS_SMLAD] = OP_MULTIPLY,
    [ARM_INS_SMLADX] = OP_MULTIPLY,
    [ARM_INS_SMLSD] = OP_MULTIPLY,
    [ARM_INS_SMLSDX] = OP_MULTIPLY,
    [ARM_INS_SMMUL] = OP_MULTIPLY,
    [ARM_INS_SMMULR] = OP_MULTIPLY,
    [ARM_INS_SMMLA] = OP_MULTIPLY,
    [ARM_INS_SMMLAR] = OP_MULTIPLY,
    [ARM_INS_SMMLS] = OP_MULTIPLY,
    [ARM_INS_SMMLSR] = OP_MULTIPLY,
    [ARM_INS_SMUAD] = OP_MULTIPLY,
    [ARM_INS_SMUADX] = OP_MULTIPLY,
    [ARM_INS_SMUSD] = OP_MULTIPLY,
    [ARM_INS_SMUSDX] = OP_MULTIPLY,
    [ARM_INS_SMULBB] = OP_MULTIPLY,
    [ARM_INS_SMULBT] = OP_MULTIPLY,
    [ARM_INS_SMULTB] = OP_MULTIPLY,
    [ARM_INS_SMULTT] = OP_MULTIPLY,
    [ARM_INS_SMULWB] = OP_MULTIPLY,
    [ARM_INS_SMULWT] = OP_MULTIPLY,
    [ARM_INS_USAD8] = OP_MULTIPLY,
    [ARM_INS_USADA8] = OP_MULTIPLY,
    [ARM_INS_SMULL] = OP_MULTIPLY_LONG,
    [ARM_INS_UMULL] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLAL] = OP_MULTIPLY_LONG,
    [ARM_INS_UMLAL] = OP_MULTIPLY_LONG,
    [ARM_INS_UMAAL] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLALBB] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLALBT] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLALTB] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLALTT] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLALD] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLALDX] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLSLD] = OP_MULTIPLY_LONG,
    [ARM_INS_SMLSLDX] = OP_MULTIPLY_LONG,
    [ARM_INS_SDIV] = OP_DIVIDE,
    [ARM_INS_UDIV] = OP_DIVIDE,
    [ARM_INS_MRC] = OP_COPROCESSOR,
    [ARM_INS_MRRC] = OP_COPROCESSOR,
    [ARM_INS_MRS] = OP_COPROCESSOR,
    [ARM_INS_VDIV] = OP_VFP_DIVIDE,
    [ARM_INS_VSQRT] = OP_VFP_SQRT,
    [ARM_INS_VMOV] = OP_VFP_MOVE,
    [ARM_INS_VMRS] = OP_VFP_MOVE,
    [ARM_INS_VMSR] = OP_VFP_MOVE,
    [ARM_INS_FMSTAT] = OP_VFP_MOVE,
    [ARM_INS_VCVT] = OP_VFP_MOVE,
    [ARM_INS_VCVTR] = OP_VFP_MOVE,
    [ARM_INS_VCMP] = OP_VFP_MOVE,
    [ARM_INS_VCMPE] = OP_VFP_MOVE,
    [ARM_INS_VFMA] = OP_VFP_MULTIPLY_ADD,
    [ARM_INS_VFMS] = OP_VFP_MULTIPLY_ADD,
    [ARM_INS_VFNMA] = OP_VFP_MULTIPLY_ADD,
    [ARM_INS_VFNMS] = OP_VFP_MULTIPLY_ADD,
    [ARM_INS_VNMLA] = OP_VFP_MULTIPLY_ADD,
    [ARM_INS_VNMLS] = OP_VFP_MULTIPLY_ADD,
    [ARM_INS_VNMUL] = OP_VFP_MULTIPLY,
    [ARM_INS_VMULL] = OP_NEON_MULTIPLY,
    [ARM_INS_VMLAL] = OP_NEON_MULTIPLY,
    [ARM_INS_VMLSL] = OP_NEON_MULTIPLY,
    [ARM_INS_VQDMULH] = OP_NEON_MULTIPLY,
    [ARM_INS_VQDMULL] = OP_NEON_MULTIPLY,
    [ARM_INS_VQRDMULH] = OP_NEON_MULTIPLY,
    [ARM_INS_VRECPS] = OP_VFP_MULTIPLY,
    [ARM_INS_VRSQRTS] = OP_VFP_MULTIPLY,
    [ARM_INS_LDR] = OP_LOAD,
    [ARM_INS_LDRB] = OP_LOAD,
    [ARM_INS_LDRH] = OP_LOAD,
    [ARM_INS_LDRSB] = OP_LOAD,
    [ARM_INS_LDRSH] = OP_LOAD,
    [ARM_INS_LDRD] = OP_LOAD,
    [ARM_INS_LDRT] = OP_LOAD,
    [ARM_INS_LDRBT] = OP_LOAD,
    [ARM_INS_LDRHT] = OP_LOAD,
    [ARM_INS_LDRSBT] = OP_LOAD,
    [ARM_INS_LDRSHT] = OP_LOAD,
    [ARM_INS_LDREX] = OP_LOAD,
    [ARM_INS_LDREXB] = OP_LOAD,
    [ARM_INS_LDREXH] = OP_LOAD,
    [ARM_INS_LDREXD] = OP_LOAD,
    [ARM_INS_LDM] = OP_LOAD,
    [ARM_INS_LDMDA] = OP_LOAD,
    [ARM_INS_LDMDB] = OP_LOAD,
    [ARM_INS_LDMIB] = OP_LOAD,
    [ARM_INS_POP] = OP_LOAD,
    [ARM_INS_RFEDA] = OP_LOAD,
    [ARM_INS_RFEDB] = OP_LOAD,
    [ARM_INS_RFEIA] = OP_LOAD,
    [ARM_INS_RFEIB] = OP_LOAD,
    [ARM_INS_TBB] = OP_LOAD,
    [ARM_INS_TBH] = OP_LOAD,
    [ARM_INS_SWP] = OP_LOAD,
    [ARM_INS_SWPB] = OP_LOAD,
    [ARM_INS_VLDR] = OP_LOAD,
    [ARM_INS_VLDMIA] = OP_LOAD,
    [ARM_INS_VLDMDB] = OP_LOAD,
    [ARM_INS_FLDMIAX] = OP_LOAD,
    [ARM_INS_FLDMDBX] = OP_LOAD,
    [ARM_INS_VPOP] = OP_LOAD,
    [ARM_INS_VLD1] = OP_LOAD,
    [ARM_INS_VLD2] = OP_LOAD,
    [ARM_INS_VLD3] = OP_LOAD,
    [ARM_INS_VLD4] = OP_LOAD,
    [ARM_INS_LDC] = OP_LOAD,
    [ARM_INS_LDCL] = OP_LOAD,
    [ARM_INS_STR] = OP_STORE,
    [ARM_INS_STRB] = OP_STORE,
    [ARM_INS_STRH] = OP_STORE,
    [ARM_INS_STRD] = OP_STORE,
    [ARM_INS_STRT] = OP_STORE,
    [ARM_INS_STRBT] = OP_STORE,
    [ARM_INS_STRHT] = OP_STORE,
    [ARM_INS_STREX] = OP_STORE,
    [ARM_INS_STREXB] = OP_STORE,
    [ARM_INS_STREXH] = OP_STORE,
    [ARM_INS_STREXD] = OP_STORE,
    [ARM_INS_STM] = OP_STORE,
    [ARM_INS_STMDA] = OP_STORE,
    [ARM_INS_STMDB] = OP_STORE,
    [ARM_INS_STMIB] = OP_STORE,
    [ARM_INS_PUSH] = OP_STORE,
    [ARM_INS_SRSDA] = OP_STORE,
    [ARM_INS_SRSDB] = OP_STORE,
    [ARM_INS_SRSIA] = OP_STORE,
    [ARM_INS_SRSIB] = OP_STORE,
    [ARM_INS_VSTR] = OP_STORE,
    [ARM_INS_VSTMIA] = OP_STORE,
    [ARM_INS_VSTMDB] = OP_STORE,
    [ARM_INS_FSTMIAX] = OP_STORE,
    [ARM_INS_FSTMDBX] = OP_STORE,
    [ARM_INS_VPUSH] = OP_STORE,
    [ARM_INS_VST1] = OP_STORE,
    [ARM_INS_VST2] = OP_STORE,
    [ARM_INS_VST3] = OP_STORE,
    [ARM_INS_VST4] = OP_STORE,
    [ARM_INS_STC] = OP_STORE,
    [ARM_INS_STCL] = OP_STORE,
};

static bool is_vector(const cs_insn *insn)
{
    return insn->id >= ARM_INS_VABA && insn->id <= ARM_INS_VZIP;
}

static bool is_float(const cs_arm *arm)
{
    return arm->vector_data >= ARM_VECTORDATA_F16;
}

static bool shifts(const cs_insn *insn, const cs_arm *arm)
{
    switch (insn->id) {
    case ARM_INS_LSL:
    case ARM_INS_LSR:
    case ARM_INS_ASR:
    case ARM_INS_ROR: return arm->op_count && arm->operands[arm->op_count - 1].type == ARM_OP_REG;
    default: break;
    }
    for (uint8_t i = 0; i < arm->op_count; i++) {
        if (arm->operands[i].type == ARM_OP_REG && arm->operands[i].shift.type != ARM_SFT_INVALID) {
            return true;
        }
    }
    return false;
}

static op_class class_of(const cs_insn *insn, const cs_arm *arm)
{
    const op_class listed = CLASSES[insn->id];
    if (listed) {
        return listed;
    }
    if (!is_vector(insn)) {
        return shifts(insn, arm) ? OP_SHIFT : OP_ALU;
    }
    switch (insn->id) {
    case ARM_INS_VMUL: return is_float(arm) ? OP_VFP_MULTIPLY : OP_NEON_MULTIPLY;
    case ARM_INS_VMLA:
    case ARM_INS_VMLS: return is_float(arm) ? OP_VFP_MULTIPLY_ADD : OP_NEON_MULTIPLY;
    default: return is_float(arm) ? OP_VFP_ADD : OP_NEON_ADD;
    }
}

/* ---- registers ---- */

uint64_t blocks_reg_bits(unsigned reg)
{
    if (reg >= ARM_REG_R0 && reg <= ARM_REG_R12) {
        return REG_BIT(reg - ARM_REG_R0);
    }
    if (reg >= ARM_REG_S0 && reg <= ARM_REG_S31) {
        return REG_BIT(REG_D0 + (reg - ARM_REG_S0) / 2);
    }
    if (reg >= ARM_REG_D0 && reg <= ARM_REG_D31) {
        return REG_BIT(REG_D0 + reg - ARM_REG_D0);
    }
    if (reg >= ARM_REG_Q0 && reg <= ARM_REG_Q15) {
        return REG_BIT(REG_D0 + 2 * (reg - ARM_REG_Q0)) * 3;
    }
    switch (reg) {
    case ARM_REG_SP: return REG_BIT(13);
    case ARM_REG_LR: return REG_BIT(14);
    case ARM_REG_PC: return REG_BIT(15);
    case ARM_REG_CPSR:
    case ARM_REG_APSR:
    case ARM_REG_APSR_NZCV: return REG_BIT(REG_FLAGS);
    case ARM_REG_FPSCR:
    case ARM_REG_FPSCR_NZCV: return REG_BIT(REG_FPSCR);
    default: return 0;
    }
}

static uint64_t all_bits(const uint16_t *regs, uint8_t n)
{
    uint64_t bits = 0;
    for (uint8_t i = 0; i < n; i++) {
        bits |= blocks_reg_bits(regs[i]);
    }
    return bits;
}

/* Results that are added to what their registers hold. */
static bool accumulates(const cs_insn *insn)
{
    switch (insn->id) {
    case ARM_INS_UMLAL:
    case ARM_INS_UMAAL:
    case ARM_INS_SMLAL:
    case ARM_INS_SMLALBB:
    case ARM_INS_SMLALBT:
    case ARM_INS_SMLALTB:
    case ARM_INS_SMLALTT:
    case ARM_INS_SMLALD:
    case ARM_INS_SMLALDX:
    case ARM_INS_SMLSLD:
    case ARM_INS_SMLSLDX:
    case ARM_INS_VSWP:
    case ARM_INS_VTRN:
    case ARM_INS_VUZP:
    case ARM_INS_VZIP: return true;
    default: return false;
    }
}

/* What capstone 5.0 does not say, or says wrongly, about registers. */
static void correct_registers(const cs_insn *insn, const cs_arm *arm, bool thumb, block_op *op)
{
    const bool moves_in =
        insn->id == ARM_INS_MRC || insn->id == ARM_INS_MRC2 || insn->id == ARM_INS_MRRC || insn->id == ARM_INS_MRRC2;
    for (uint8_t i = 0; i < arm->op_count; i++) {
        const cs_arm_op *operand = &arm->operands[i];
        if (operand->type == ARM_OP_REG) {
            const uint64_t bits = blocks_reg_bits((unsigned)operand->reg);
            const bool written = moves_in || (!operand->access && op->class == OP_LOAD);
            if (moves_in) {
                op->reads &= ~bits;
            }
            op->writes |= written ? bits : 0;
            op->reads |= !written && !operand->access && operand->reg != ARM_REG_APSR_NZCV ? bits : 0;
        }
        if (operand->shift.type >= ARM_SFT_ASR_REG) {
            op->reads |= blocks_reg_bits(operand->shift.value);
        } else if (operand->shift.type == ARM_SFT_RRX) {
            op->reads |= REG_BIT(REG_FLAGS);
        }
    }
    op->reads |= accumulates(insn) ? op->writes & ~REG_BIT(REG_FLAGS) : 0;
    switch (insn->id) {
    case ARM_INS_ADC:
    case ARM_INS_SBC:
    case ARM_INS_RSC: /* with S only */
        op->writes &= insn->size == 4 && !(insn->bytes[thumb ? 0 : 2] & 0x10) ? ~REG_BIT(REG_FLAGS) : ~UINT64_C(0);
        break;
    case ARM_INS_RRX:
    case ARM_INS_SEL: op->reads |= REG_BIT(REG_FLAGS); break;
    case ARM_INS_MSR: op->writes |= REG_BIT(REG_FLAGS); break;
    case ARM_INS_SVC: op->writes &= ~REG_BIT(14); break; /* that of another mode */
    case ARM_INS_VPUSH: op->writes = REG_BIT(13); break;
    case ARM_INS_VPOP: op->reads = REG_BIT(13); break;
    default: break;
    }
}

/* How many words an instruction moves: registers of a list, two for a doubleword. */
static uint8_t words_moved(const cs_insn *insn, const cs_arm *arm)
{
    uint8_t words = 0;
    for (uint8_t i = 0; i < arm->op_count && arm->operands[i].type != ARM_OP_MEM; i++) {
        const cs_arm_op *op = &arm->operands[i];
        const bool in_d = op->type == ARM_OP_REG && op->reg >= ARM_REG_D0 && op->reg <= ARM_REG_D31;
        words = (uint8_t)(words + (op->type == ARM_OP_REG) + in_d);
    }
    words = (uint8_t)(words - (words > 1 && block_multiple(insn->id))); /* the base register */
    switch (insn->id) {
    case ARM_INS_STREX:
    case ARM_INS_STREXB:
    case ARM_INS_STREXH:
    case ARM_INS_STREXD: words = (uint8_t)(words - (words > 1)); break; /* the status register */
    case ARM_INS_RFEDA:
    case ARM_INS_RFEDB:
    case ARM_INS_RFEIA:
    case ARM_INS_RFEIB:
    case ARM_INS_SRSDA:
    case ARM_INS_SRSDB:
    case ARM_INS_SRSIA:
    case ARM_INS_SRSIB: words = 2; break;
    default: break;
    }
    return words ? words : 1;
}

/* ---- branches and system operations ---- */

/* What restores CPSR from SPSR together with PC. */
static bool is_exception_return(const cs_insn *insn, const cs_arm *arm, bool writes_pc)
{
    switch (insn->id) {
    case ARM_INS_RFEDA:
    case ARM_INS_RFEDB:
    case ARM_INS_RFEIA:
    case ARM_INS_RFEIB:
    case ARM_INS_ERET: return true;
    default: return writes_pc && (arm->usermode || arm->update_flags);
    }
}

static bool is_return(const cs_insn *insn, const cs_arm *arm)
{
    const cs_arm_op *last = &arm->operands[arm->op_count ? arm->op_count - 1 : 0];
    const bool from_lr = last->type == ARM_OP_REG && last->reg == ARM_REG_LR;
    switch (insn->id) {
    case ARM_INS_POP:
    case ARM_INS_LDM: return true;
    case ARM_INS_BX:
    case ARM_INS_MOV: return from_lr;
    default: return false;
    }
}

static void note_branch(const cs_insn *insn, const cs_arm *arm, uint64_t writes, pe_block_cost *out)
{
    const cs_arm_op *last = &arm->operands[arm->op_count ? arm->op_count - 1 : 0];
    const bool direct = arm->op_count && last->type == ARM_OP_IMM;
    const bool always = !block_conditional(arm);
    const bool table = insn->id == ARM_INS_TBB || insn->id == ARM_INS_TBH;
    const bool writes_pc = table || writes & REG_BIT(15);
    out->target = 0;
    switch (insn->id) {
    case ARM_INS_B: out->branch = always ? PE_BRANCH_DIRECT : PE_BRANCH_CONDITIONAL; break;
    case ARM_INS_CBZ:
    case ARM_INS_CBNZ: out->branch = PE_BRANCH_CONDITIONAL; break;
    case ARM_INS_BL:
    case ARM_INS_BLX: out->branch = direct ? PE_BRANCH_CALL : PE_BRANCH_CALL_INDIRECT; break;
    default:
        out->branch = is_exception_return(insn, arm, writes_pc) ? PE_BRANCH_EXCEPTION_RETURN
                      : !writes_pc                              ? PE_BRANCH_NONE
                      : is_return(insn, arm)                    ? PE_BRANCH_RETURN
                                                                : PE_BRANCH_INDIRECT;
        return;
    }
    out->target = direct ? (uint32_t)last->imm : 0;
}

static void note_system(const cs_insn *insn, const cs_arm *arm, pe_block_cost *out)
{
    switch (insn->id) {
    case ARM_INS_DSB: out->dsb++; break;
    case ARM_INS_DMB: out->dmb++; break;
    case ARM_INS_ISB: out->isb++; break;
    case ARM_INS_MCR:
    case ARM_INS_MCRR: out->system_writes += arm->op_count && arm->operands[0].imm == 15; break;
    case ARM_INS_SVC:
    case ARM_INS_HVC:
    case ARM_INS_SMC:
    case ARM_INS_BKPT: out->exceptions++; break;
    case ARM_INS_LDREX:
    case ARM_INS_LDREXB:
    case ARM_INS_LDREXH:
    case ARM_INS_LDREXD:
    case ARM_INS_STREX:
    case ARM_INS_STREXB:
    case ARM_INS_STREXH:
    case ARM_INS_STREXD: out->exclusives++; break;
    default: break;
    }
}

static void note_insn(pe_blocks *blocks, bool thumb, uint32_t offset, pe_block_cost *out)
{
    const cs_insn *insn = blocks->insn;
    const cs_arm *arm = &insn->detail->arm;
    block_op *op = &blocks->ops[blocks->nops++];
    cs_regs read, write;
    uint8_t nread = 0, nwrite = 0;
    blocks->regs_access(blocks->handle[thumb], insn, read, &nread, write, &nwrite);
    *op = (block_op){
        .reads = all_bits(read, nread),
        .writes = all_bits(write, nwrite),
        .class = (uint8_t)class_of(insn, arm),
        .registers = 1,
    };
    if (block_conditional(arm)) {
        op->reads |= REG_BIT(REG_FLAGS);
    }
    if (arm->update_flags) {
        op->writes |= REG_BIT(REG_FLAGS);
    }
    correct_registers(insn, arm, thumb, op);
    if (op->class == OP_LOAD || op->class == OP_STORE) {
        op->registers = words_moved(insn, arm);
        out->loads += op->class == OP_LOAD;
        out->stores += op->class == OP_STORE;
    }
    blocks_flow(blocks, op, thumb, offset, out);
    note_system(insn, arm, out);
    note_branch(insn, arm, op->writes, out);
}

/* A handle of capstone keeps the conditions of an IT block that code ended in: the next block is not part of it. */
static void leave_it_block(pe_blocks *blocks)
{
    static const uint8_t MOV_R8_R8[] = {0xc0, 0x46, 0xc0, 0x46, 0xc0, 0x46, 0xc0, 0x46};
    const uint8_t *code = MOV_R8_R8;
    size_t size = sizeof MOV_R8_R8;
    uint64_t at = 0;
    while (size && blocks->disasm_iter(blocks->handle[1], &code, &size, &at, blocks->insn)) {
    }
}

void blocks_decode(pe_blocks *blocks, const uint8_t *code, size_t len, uint32_t address, bool thumb, pe_block_cost *out)
{
    const csh handle = blocks->handle[thumb];
    bool conditions = false; /* IT was seen */
    uint64_t at = address;
    blocks->nops = 0;
    *out = (pe_block_cost){0};
    memset(blocks->from, 0, sizeof blocks->from);
    for (unsigned r = 0; r <= 14; r++) {
        blocks->from[r] = (uint16_t)REG_BIT(r);
    }
    while (len) {
        const uint32_t offset = (uint32_t)(at - address);
        if (blocks->disasm_iter(handle, &code, &len, &at, blocks->insn)) {
            note_insn(blocks, thumb, offset, out);
            conditions |= blocks->insn->id == ARM_INS_IT;
            continue;
        }
        uint16_t half = 0;
        memcpy(&half, code, len < 2 ? len : 2);
        const size_t want = thumb && half < 0xe800 ? 2 : 4;
        const size_t step = want < len ? want : len;
        blocks->ops[blocks->nops++] = (block_op){.class = OP_ALU, .registers = 1};
        out->unknown++;
        out->branch = PE_BRANCH_NONE;
        code += step;
        len -= step;
        at += step;
    }
    if (conditions) {
        leave_it_block(blocks);
    }
    out->insns = blocks->nops;
    for (unsigned r = 0; r <= 14; r++) {
        out->loaded_regs |= blocks->from[r] & FROM_LOAD ? 1u << r : 0;
    }
}
