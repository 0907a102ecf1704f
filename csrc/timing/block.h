/* SPDX-License-Identifier: GPL-2.0-or-later
 * Instructions as the pipeline sees them, between decoding (decode.c, flow.c) and scheduling (block.c). */
#ifndef PYEMU_TIMING_BLOCK_H
#define PYEMU_TIMING_BLOCK_H

#include "pyemu.h"

#include <capstone/capstone.h>

/* Which latency an instruction's result has. */
typedef enum op_class {
    OP_ALU = 0,
    OP_SHIFT,
    OP_MULTIPLY,
    OP_MULTIPLY_LONG,
    OP_DIVIDE,
    OP_VFP_ADD,
    OP_VFP_MULTIPLY,
    OP_VFP_MULTIPLY_ADD,
    OP_VFP_DIVIDE,
    OP_VFP_SQRT,
    OP_VFP_MOVE,
    OP_NEON_ADD,
    OP_NEON_MULTIPLY,
    OP_COPROCESSOR,
    OP_LOAD,
    OP_STORE,
} op_class;

/* r0 to r15, flags, FPSCR, d0 to d31: a bit each. */
#define REG_FLAGS  16
#define REG_FPSCR  17
#define REG_D0     18
#define REG_COUNT  50
#define REG_BIT(r) (UINT64_C(1) << (r))

typedef struct block_op {
    uint64_t reads;
    uint64_t writes;
    uint64_t base;     /* of writes: what an address is written back to */
    uint8_t class;     /* op_class */
    uint8_t registers; /* of a load or store: how many words go */
} block_op;

#define FROM_LOAD UINT16_C(0x8000) /* on a load of this block */

#define BLOCK_MAX_OPS      (PE_BLOCK_MAX_BYTES / 2)
#define BLOCK_MAX_ACCESSES (16 * BLOCK_MAX_OPS)

struct pe_blocks {
    pe_core core;
    uint32_t latency[16]; /* by op_class */
    cs_err (*open)(cs_arch arch, cs_mode mode, csh *handle);
    cs_err (*close)(csh *handle);
    cs_err (*option)(csh handle, cs_opt_type type, size_t value);
    cs_insn *(*malloc)(csh handle);
    void (*free)(cs_insn *insn, size_t count);
    bool (*disasm_iter)(csh handle, const uint8_t **code, size_t *size, uint64_t *address, cs_insn *insn);
    cs_err (*regs_access)(csh handle, const cs_insn *insn, cs_regs read, uint8_t *nread, cs_regs write,
                          uint8_t *nwrite);
    csh handle[2]; /* ARM, Thumb */
    cs_insn *insn;
    uint32_t nops;
    block_op ops[BLOCK_MAX_OPS];
    pe_block_access accesses[BLOCK_MAX_ACCESSES];
    uint16_t from[REG_COUNT]; /* by register: those of r0 to r14 at the start that it depends on, and FROM_LOAD */
    uint64_t retired[1024];   /* by window entry: when its last instruction was done */
};

/* Fills ops and nops, and everything of out but the cycles. */
void blocks_decode(pe_blocks *blocks, const uint8_t *code, size_t len, uint32_t address, bool thumb,
                   pe_block_cost *out);

static inline bool block_conditional(const cs_arm *arm)
{
    return arm->cc != ARM_CC_AL && arm->cc != ARM_CC_INVALID;
}

/* Whether an instruction moves a list of registers that follows its base, as PUSH and POP do not. */
static inline bool block_multiple(unsigned id)
{
    switch (id) {
    case ARM_INS_LDM:
    case ARM_INS_LDMDA:
    case ARM_INS_LDMDB:
    case ARM_INS_LDMIB:
    case ARM_INS_STM:
    case ARM_INS_STMDA:
    case ARM_INS_STMDB:
    case ARM_INS_STMIB:
    case ARM_INS_VLDMIA:
    case ARM_INS_VLDMDB:
    case ARM_INS_VSTMIA:
    case ARM_INS_VSTMDB:
    case ARM_INS_FLDMIAX:
    case ARM_INS_FLDMDBX:
    case ARM_INS_FSTMIAX:
    case ARM_INS_FSTMDBX: return true;
    default: return false;
    }
}

/* Bits of capstone's register; 0 for one that the pipeline does not know. */
uint64_t blocks_reg_bits(unsigned reg);
/* flow.c: adds the accesses of blocks->insn, `offset` bytes into the block, and what its results depend on. */
void blocks_flow(pe_blocks *blocks, block_op *op, bool thumb, uint32_t offset, pe_block_cost *out);

#endif
