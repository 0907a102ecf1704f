/* SPDX-License-Identifier: GPL-2.0-or-later
 * The cycle model of a running machine: each CPU's TLBs, predictor and account, fed by what the engine's hooks see.
 *
 * A block is billed when it is over: at the next block, at an exception inside it, or when its CPU stops.  So the clock
 * never runs ahead of what was executed, and a block that ends early is billed as what was executed of it. */
#ifndef PYEMU_TIMED_H
#define PYEMU_TIMED_H

#include "machine/machine.h"
#include "mmu/tlb.h"
#include "timing/hierarchy.h"
#include "timing/ledger.h"

/* What a block costs, by where its code lies in physical memory. */
typedef struct timed_code {
    struct timed_code *next; /* another length, or the other instruction set, from the same place */
    uint16_t size;           /* bytes */
    uint16_t insns;
    bool thumb;
    uint8_t branch;  /* pe_branch */
    bool extras;     /* something below `target` is not zero */
    bool cp_last;    /* its last instruction is an MCR or MCRR */
    uint32_t target; /* relative to the block's address */
    uint32_t x16;    /* sixteenths of a cycle, without waiting for L1 hits */
    uint32_t l1_x16; /* waiting for L1 hits */
    uint16_t loads, stores;
    uint16_t loaded_regs;
    uint16_t accesses;
    uint16_t exclusives, dsb, dmb, isb, system_writes;
    pe_block_access access[];
} timed_code;

typedef struct timed_page {
    timed_code *at[PE_PAGE_SIZE / 2];
} timed_page;

#define NO_PAGE UINT32_MAX

struct timed_cpu {
    /* touched by every block */
    const timed_code *code; /* of the block that runs; NULL: none, or unknown */
    const uint8_t *mode;    /* CPSR's mode bits, live */
    uint32_t code_va;
    uint32_t page; /* va >> 12 of `blocks`; NO_PAGE: ask the TLB */
    timed_page *blocks;
    uint64_t page_pa;
    ledger_cpu *account;
    uint64_t deadline;            /* in account->clock */
    uint32_t rest[2], l1_rest[2]; /* sixteenths not yet billed, by privilege */
    uint64_t fetched_line;
    bool privileged; /* of the block that runs */
    bool uncached;   /* SCTLR.M or SCTLR.C is off: no data access is cached */
    uint32_t next_access;

    /* load misses on their way */
    uint64_t group_start;  /* clock at which the first of them began */
    uint64_t group_insns;  /* instructions executed by then */
    uint64_t group_stalls; /* billed since */
    uint64_t *fills;       /* when the latest line fills end: a ring of line_fill_entries */
    uint32_t fill_next;
    uint16_t missed_regs; /* registers that wait for a miss of the block before */
    bool missed;          /* a load of this block missed */
    uint64_t stores_done; /* when every store so far has its line */

    pe_tlb *tlb;
    pe_predictor *predictor;
    pe_executed executed;
};

struct timed_machine {
    pe_timing level;
    pe_core core;
    uint32_t dram_cycles;
    pe_ledger *ledger;
    pe_caches *caches; /* NULL without PE_TIMING_CACHE */
    pe_blocks *blocks;
    timed_page **pages; /* by engine RAM page; sparse */
    size_t npages;
    uint8_t *uncached_pages; /* bit set: RAM pages whose latest fill was not cacheable; sparse */
};

/* timed.c */
pe_status timed_new(pe_machine *machine, pe_error *err); /* nothing with PE_TIMING_OFF */
void timed_free(pe_machine *machine);

/* What the guest's performance counters count: the model's value of an event since reset (Cortex-A15 TRM 11.8, ARM DDI
 * 0406C C12.8), false: not one that the model knows. */
bool timed_event(const pe_cpu *cpu, uint32_t event, uint64_t *count);

#endif
