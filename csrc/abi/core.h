/* SPDX-License-Identifier: GPL-2.0-or-later
 * The parameters of a core. */
#ifndef PYEMU_ABI_CORE_H
#define PYEMU_ABI_CORE_H

#include "abi/error.h"

/* Names of fields are the keys of pyemu/timing/data/cores.toml, which gives each value with its source; the end of a
 * name says the unit. */
typedef enum pe_replacement {
    PE_REPLACE_LRU = 0,
    PE_REPLACE_ROUND_ROBIN = 1,
    PE_REPLACE_RANDOM = 2, /* pseudo-random: the same sequence in each run */
} pe_replacement;

typedef struct pe_cache_params {
    uint32_t size_bytes; /* ways * sets * line, the sets a power of two */
    uint32_t ways;
    uint32_t line_bytes;
    uint32_t hit_cycles; /* from the access to the data, upper levels included */
    pe_replacement replacement;
    bool write_allocate; /* a store that misses fetches the line; otherwise it goes to the next level */
} pe_cache_params;

typedef struct pe_tlb_params {
    uint32_t entries;    /* 0: the core has no such TLB */
    uint32_t ways;       /* entries: fully associative */
    uint32_t page_bytes; /* the sizes that an entry can have, added up; a larger leaf is kept in pieces */
    pe_replacement replacement;
    uint32_t miss_cycles; /* micro-TLB: of a hit in the main TLB; main TLB: of a walk without its descriptor reads */
} pe_tlb_params;

/* What empties every micro-TLB. */
typedef struct pe_micro_params {
    bool flushed_by_maintenance; /* any TLB maintenance */
    bool flushed_by_context;     /* a change of CONTEXTIDR, DACR, PRRR, NMRR, TTBR0 or TTBR1 */
} pe_micro_params;

/* Keeps where the last-level table of a stretch of addresses is. */
typedef struct pe_walk_params {
    uint32_t cache_entries; /* fully associative, LRU; 0: none */
    uint32_t cache_reach_bytes;
    bool through_l1d; /* descriptor reads look in L1D before L2 */
} pe_walk_params;

/* Cycles from an instruction's operands to its result, by class. */
typedef struct pe_latency_params {
    uint32_t alu_cycles;
    uint32_t shift_cycles; /* shift by register, or a shifted operand */
    uint32_t multiply_cycles;
    uint32_t multiply_long_cycles;
    uint32_t divide_cycles;
    uint32_t vfp_add_cycles;
    uint32_t vfp_multiply_cycles;
    uint32_t vfp_multiply_add_cycles;
    uint32_t vfp_divide_cycles;
    uint32_t vfp_sqrt_cycles;
    uint32_t vfp_move_cycles; /* between core and VFP registers, conversions, comparisons */
    uint32_t neon_add_cycles;
    uint32_t neon_multiply_cycles;
    uint32_t coprocessor_cycles; /* MRC and MRRC of plain registers */
} pe_latency_params;

typedef struct pe_pipeline_params {
    uint32_t issue_width;        /* instructions a cycle */
    uint32_t window_entries;     /* instructions in flight that latency can hide behind; 0: in order */
    uint32_t loads_width;        /* loads a cycle */
    uint32_t stores_width;       /* stores a cycle */
    uint32_t multiple_registers; /* registers a cycle of LDM and STM */
    uint32_t taken_branch_cycles;
    uint32_t mispredict_cycles;
    uint32_t history_entries; /* two-bit counters of the branch predictor; a power of two */
    uint32_t return_entries;  /* of the return stack */
} pe_pipeline_params;

typedef struct pe_memory_params {
    uint32_t dram_ns;              /* on top of an access that misses L2 */
    uint32_t line_fill_entries;    /* of L1D, that can be on their way at the same time */
    uint32_t line_transfer_cycles; /* between two lines that come from L2 to L1D */
    uint32_t store_entries;        /* stores that can wait for their line while the core goes on */
} pe_memory_params;

typedef struct pe_system_params {
    uint32_t exception_entry_cycles;
    uint32_t exception_return_cycles;
    uint32_t tlbi_cycles;           /* TLB maintenance on this CPU */
    uint32_t tlbi_broadcast_cycles; /* of the Inner Shareable forms */
    uint32_t dsb_cycles;
    uint32_t dmb_cycles;
    uint32_t isb_cycles;
    uint32_t mcr_cycles;        /* MCR and MCRR of other CP15 registers */
    uint32_t exclusive_cycles;  /* LDREX and STREX, on top of a load or store */
    uint32_t cache_line_cycles; /* cache maintenance of one line by address */
} pe_system_params;

typedef struct pe_core {
    uint64_t clock_hz;
    pe_pipeline_params pipeline;
    pe_latency_params latency;
    pe_cache_params l1i;
    pe_cache_params l1d;
    pe_cache_params l2;
    pe_memory_params memory;
    pe_tlb_params micro_instruction;
    pe_tlb_params micro_load;
    pe_tlb_params micro_store; /* 0 entries: stores use micro_load */
    pe_micro_params micro_tlbs;
    pe_tlb_params main_tlb;
    pe_walk_params walk;
    pe_system_params system;
} pe_core;

/* Whether a core can be built so.  The text names the key and what would be right: "l1d.size_bytes: 30000 ...". */
pe_status pe_core_check(const pe_core *core, pe_error *err);
/* DRAM latency in cycles of this core's clock, rounded to the nearest. */
uint32_t pe_core_dram_cycles(const pe_core *core);

#endif
