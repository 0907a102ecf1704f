/* SPDX-License-Identifier: GPL-2.0-or-later
 * The bill: which category an access, a TLB lookup or anything else belongs to. */
#include "timing/ledger.h"
#include "timing/hierarchy.h"
#include "error.h"

#include <stdlib.h>

_Static_assert(sizeof(pe_bill) == 2 * PE_COSTS * sizeof(uint64_t), "a bill has PE_COSTS categories");

static const char *const NAMES[PE_COSTS] = {
    [PE_COST_INSTRUCTIONS] = "instructions",
    [PE_COST_BRANCHES] = "branches",
    [PE_COST_L1] = "L1",
    [PE_COST_L2] = "L2",
    [PE_COST_DRAM] = "DRAM",
    [PE_COST_MICRO_TLB] = "micro-TLB",
    [PE_COST_MAIN_TLB] = "main TLB",
    [PE_COST_WALK] = "walk",
    [PE_COST_TLB_MAINTENANCE] = "TLB maintenance",
    [PE_COST_CACHE_MAINTENANCE] = "cache maintenance",
    [PE_COST_BARRIERS] = "barriers",
    [PE_COST_SYSTEM] = "system registers",
    [PE_COST_EXCEPTIONS] = "exceptions",
    [PE_COST_LOCKS] = "locks",
};

const char *pe_cost_name(pe_cost cost)
{
    return (unsigned)cost < PE_COSTS ? NAMES[cost] : NULL;
}

pe_ledger *pe_ledger_new(uint32_t ncpus, pe_error *err)
{
    if (ncpus < 1 || ncpus > PE_MAX_CPUS) {
        pe_fail(err, PE_ERR_ARGUMENT, "%u CPUs: 1 to %u would be right", ncpus, (unsigned)PE_MAX_CPUS);
        return NULL;
    }
    pe_ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for a ledger");
        return NULL;
    }
    ledger->ncpus = ncpus;
    return ledger;
}

void pe_ledger_free(pe_ledger *ledger)
{
    free(ledger);
}

void pe_ledger_add(pe_ledger *ledger, uint32_t cpu, bool privileged, pe_cost cost, uint64_t cycles)
{
    if (cpu < ledger->ncpus && (unsigned)cost < PE_COSTS) {
        ledger_add(&ledger->cpu[cpu], privileged, cost, cycles);
    }
}

/* The cost of a block holds its loads' and fetches' L1 hits already; a walk waits for the whole read. */
void pe_ledger_add_access(pe_ledger *ledger, uint32_t cpu, bool privileged, const pe_caches *caches, pe_cache_use use,
                          uint32_t cycles)
{
    if (cpu >= ledger->ncpus) {
        return;
    }
    ledger_cpu *account = &ledger->cpu[cpu];
    if (use == PE_CACHE_WALK) {
        ledger_add(account, privileged, PE_COST_WALK, cycles);
        return;
    }
    const pe_cache_params *l1 = use == PE_CACHE_FETCH ? &caches->core.l1i : &caches->core.l1d;
    const uint32_t l2 = caches->core.l2.hit_cycles;
    if (cycles > l2) {
        ledger_add(account, privileged, PE_COST_DRAM, cycles - l2);
        cycles = l2;
    }
    if (cycles > l1->hit_cycles) {
        ledger_add(account, privileged, PE_COST_L2, cycles - l1->hit_cycles);
    }
}

void pe_ledger_add_tlb(pe_ledger *ledger, uint32_t cpu, bool privileged, const pe_core *core,
                       const pe_tlb_result *result, pe_access access)
{
    if (cpu >= ledger->ncpus || !result->cycles) {
        return;
    }
    ledger_cpu *account = &ledger->cpu[cpu];
    const pe_tlb_params *data =
        access == PE_WRITE && core->micro_store.entries ? &core->micro_store : &core->micro_load;
    const uint32_t micro = access == PE_FETCH ? core->micro_instruction.miss_cycles : data->miss_cycles;
    const uint32_t first = result->cycles < micro ? result->cycles : micro;
    ledger_add(account, privileged, PE_COST_MICRO_TLB, first);
    if (result->level == PE_TLB_MISS) {
        ledger_add(account, privileged, PE_COST_MAIN_TLB, result->cycles - first);
    }
}

uint64_t pe_ledger_cycles(const pe_ledger *ledger, uint32_t cpu)
{
    return cpu < ledger->ncpus ? ledger->cpu[cpu].clock : 0;
}

pe_status pe_ledger_read(const pe_ledger *ledger, uint32_t cpu, bool privileged, pe_bill *out, pe_error *err)
{
    if (cpu >= ledger->ncpus) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no CPU %u: there are %u", cpu, ledger->ncpus);
    }
    *out = ledger->cpu[cpu].bill[privileged];
    return PE_OK;
}
