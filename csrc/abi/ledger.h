/* SPDX-License-Identifier: GPL-2.0-or-later
 * The ledger that every cycle is billed in. */
#ifndef PYEMU_ABI_LEDGER_H
#define PYEMU_ABI_LEDGER_H

#include "abi/cache.h"
#include "abi/tlb.h"
#include "abi/code.h"

/* What cycles were spent on.  Each cycle of a CPU is in one category and under one privilege. */
typedef enum pe_cost {
    PE_COST_INSTRUCTIONS = 0, /* issue, latencies, dependencies */
    PE_COST_BRANCHES = 1,     /* mispredicted */
    PE_COST_L1 = 2,           /* waiting for L1 hits */
    PE_COST_L2 = 3,           /* waiting for L2, by accesses that missed L1 */
    PE_COST_DRAM = 4,         /* waiting for memory, by accesses that missed L2 */
    PE_COST_MICRO_TLB = 5,    /* micro-TLB misses */
    PE_COST_MAIN_TLB = 6,     /* main TLB misses, without the walk's descriptor reads */
    PE_COST_WALK = 7,         /* descriptor reads */
    PE_COST_TLB_MAINTENANCE = 8,
    PE_COST_CACHE_MAINTENANCE = 9,
    PE_COST_BARRIERS = 10,
    PE_COST_SYSTEM = 11, /* CP15 reads and writes */
    PE_COST_EXCEPTIONS = 12,
    PE_COST_LOCKS = 13, /* exclusives, and locks of the kernel model */
} pe_cost;

#define PE_COSTS 14

typedef struct pe_ledger pe_ledger;

typedef struct pe_bill {
    uint64_t cycles[14]; /* by pe_cost */
    uint64_t events[14]; /* how many times each was billed; of PE_COST_INSTRUCTIONS: instructions */
} pe_bill;

pe_ledger *pe_ledger_new(uint32_t ncpus, pe_error *err);
void pe_ledger_free(pe_ledger *ledger);
/* Nothing where there is no such CPU or category. */
void pe_ledger_add(pe_ledger *ledger, uint32_t cpu, bool privileged, pe_cost cost, uint64_t cycles);
/* An access that took `cycles` by pe_caches_access: what lies behind L1 goes to L2 and DRAM. */
void pe_ledger_add_access(pe_ledger *ledger, uint32_t cpu, bool privileged, const pe_caches *caches, pe_cache_use use,
                          uint32_t cycles);
/* A lookup of the modelled TLBs. */
void pe_ledger_add_tlb(pe_ledger *ledger, uint32_t cpu, bool privileged, const pe_core *core,
                       const pe_tlb_result *result, pe_access access);
/* All cycles of a CPU: a clock that only goes forward. */
uint64_t pe_ledger_cycles(const pe_ledger *ledger, uint32_t cpu);
pe_status pe_ledger_read(const pe_ledger *ledger, uint32_t cpu, bool privileged, pe_bill *out, pe_error *err);
const char *pe_cost_name(pe_cost cost); /* "main TLB"; NULL past the end */

#endif
