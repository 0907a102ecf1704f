/* SPDX-License-Identifier: GPL-2.0-or-later
 * What code costs when nothing misses: blocks and branches. */
#ifndef PYEMU_ABI_CODE_H
#define PYEMU_ABI_CODE_H

#include "abi/core.h"

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* Decodes code and says what it costs when nothing misses.  Uses libcapstone, which the process has loaded before. */
typedef struct pe_blocks pe_blocks;

typedef enum pe_branch {
    PE_BRANCH_NONE = 0,        /* falls through */
    PE_BRANCH_DIRECT = 1,      /* always taken, to `target` */
    PE_BRANCH_CONDITIONAL = 2, /* to `target` or falls through */
    PE_BRANCH_INDIRECT = 3,
    PE_BRANCH_CALL = 4, /* to `target` */
    PE_BRANCH_CALL_INDIRECT = 5,
    PE_BRANCH_RETURN = 6,
    PE_BRANCH_EXCEPTION_RETURN = 7,
} pe_branch;

/* System operations are counted, not costed: they go to categories of their own. */
typedef struct pe_block_cost {
    uint32_t insns;
    uint32_t cycles_x16; /* in sixteenths of a cycle: issue, dependencies, L1 hits */
    uint32_t l1_x16;     /* the part of it that waiting for L1 hits adds */
    uint32_t taken_x16;  /* on top when its branch is taken */
    uint32_t loads;      /* instructions that load, and below that store */
    uint32_t stores;
    uint32_t exclusives;
    uint32_t dsb;
    uint32_t dmb;
    uint32_t isb;
    uint32_t system_writes; /* MCR and MCRR of CP15 */
    uint32_t exceptions;    /* SVC, HVC, SMC, BKPT */
    uint32_t unknown;       /* not decoded: costed as one simple instruction each */
    pe_branch branch;       /* of the last instruction */
    uint32_t target;
    uint32_t accesses;    /* loads and stores one by one: an LDM of four registers has four */
    uint32_t loaded_regs; /* r0 to r14, a bit each: at the end they hold what was loaded, or was reckoned from it */
} pe_block_cost;

/* One load or store of a block as the engine makes it, in the order of execution when every condition holds; a word of
 * LDM and LDRD is one, an element of VLD2 to VLD4 too, and STREX loads before it stores.  A condition is a part of the
 * address: it too must be known first. */
typedef struct pe_block_access {
    uint16_t address_regs; /* r0 to r14, a bit each: registers at the start of the block that the address depends on */
    uint16_t offset;       /* of its instruction in the block, bytes */
    bool store;
    bool after_load; /* the address depends on an earlier load of the same block */
} pe_block_access;

#define PE_BLOCK_MAX_BYTES 4096

pe_blocks *pe_blocks_new(const pe_core *core, pe_error *err);
void pe_blocks_free(pe_blocks *blocks);
/* len bytes of code at an address, 1 to PE_BLOCK_MAX_BYTES. */
pe_status pe_blocks_cost(pe_blocks *blocks, const void *code, size_t len, uint32_t address, bool thumb,
                         pe_block_cost *out, pe_error *err);
/* Those of the block that was costed last: pe_block_cost.accesses of them. */
const pe_block_access *pe_blocks_accesses(const pe_blocks *blocks);

/* ---- branch prediction ------------------------------------------------------------------------------------------- */

/* Two-bit counters chosen by address and global history, a stack of return addresses, and the last target of each
 * indirect branch in each history. */
typedef struct pe_predictor pe_predictor;

/* Indexed by pe_branch. */
typedef struct pe_predictor_stats {
    uint64_t branches[8];
    uint64_t mispredicted[8];
} pe_predictor_stats;

pe_predictor *pe_predictor_new(const pe_core *core, pe_error *err);
void pe_predictor_free(pe_predictor *predictor);
/* A branch at an address was followed by the instruction at `next`; `after` is the one behind the branch.  Returns
 * whether that had been predicted wrongly, and learns. */
bool pe_predictor_resolve(pe_predictor *predictor, pe_branch branch, uint32_t address, uint32_t next, uint32_t after);
/* n of them; mispredicted: n results, or NULL.  Returns how many were wrong. */
size_t pe_predictor_replay(pe_predictor *predictor, const uint8_t *branch, const uint32_t *address,
                           const uint32_t *next, const uint32_t *after, uint8_t *mispredicted, size_t n);
void pe_predictor_read_stats(const pe_predictor *predictor, pe_predictor_stats *out);

#endif
