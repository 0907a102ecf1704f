/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the guest's performance counters count, by event number (Cortex-A15 TRM 11.6, Cortex-A7 TRM 11; what each means:
 * ARM DDI 0406C C12.8).  Nothing is executed speculatively here: events of speculation count what was executed. */
#include "machine/timed/timed.h"

enum {
    L1I_CACHE_REFILL = 0x01,
    L1I_TLB_REFILL = 0x02, /* from the main TLB or from a walk */
    L1D_CACHE_REFILL = 0x03,
    L1D_CACHE = 0x04,
    L1D_TLB_REFILL = 0x05,
    LD_RETIRED = 0x06, /* of Cortex-A7 alone, with ST_RETIRED: whether their condition holds or not */
    ST_RETIRED = 0x07,
    EXC_TAKEN = 0x09,
    EXC_RETURN = 0x0a,
    CID_WRITE_RETIRED = 0x0b,
    BR_MIS_PRED = 0x10,
    BR_PRED = 0x12,
    MEM_ACCESS = 0x13,
    L1I_CACHE = 0x14,
    L1D_CACHE_WB = 0x15,
    L2D_CACHE = 0x16,
    L2D_CACHE_REFILL = 0x17,
    L2D_CACHE_WB = 0x18,
    TTBR_WRITE_RETIRED = 0x1c,
    L1D_CACHE_LD = 0x40,
    L1D_CACHE_ST = 0x41,
    L1D_CACHE_REFILL_LD = 0x42,
    L1D_CACHE_REFILL_ST = 0x43,
    L1D_CACHE_INVAL = 0x48,
    L1D_TLB_REFILL_LD = 0x4c,
    L1D_TLB_REFILL_ST = 0x4d,
    L2D_CACHE_LD = 0x50,
    L2D_CACHE_ST = 0x51,
    L2D_CACHE_REFILL_LD = 0x52,
    L2D_CACHE_REFILL_ST = 0x53,
    LD_SPEC = 0x70,
    ST_SPEC = 0x71,
    LDST_SPEC = 0x72,
    BR_IMMED_SPEC = 0x78,
    BR_RETURN_SPEC = 0x79,
    BR_INDIRECT_SPEC = 0x7a,
};

static bool core_has(const pe_cpu *cpu, uint32_t event)
{
    const bool retired = event == LD_RETIRED || event == ST_RETIRED;
    return cpu->machine->config.cpu_model == PE_CPU_CORTEX_A7 ? event < TTBR_WRITE_RETIRED : !retired;
}

static uint64_t both(const uint64_t by_privilege[2])
{
    return by_privilege[0] + by_privilege[1];
}

static bool always_known(const pe_cpu *cpu, uint32_t event, uint64_t *count)
{
    const pmu_state *p = &cpu->machine->board.pmu[cpu->index];
    switch (event) {
    case PMU_CPU_CYCLES: *count = cpu->timed ? cpu->timed->account->clock : machine_ns(cpu->machine); return true;
    case PMU_INST_RETIRED: *count = cpu->insns; return true;
    case CID_WRITE_RETIRED: *count = p->contextidr_writes; return true;
    case TTBR_WRITE_RETIRED: *count = p->ttbr_writes; return true;
    default: return false;
    }
}

static bool of_tlbs(const pe_tlb_stats *s, uint32_t event, uint64_t *count)
{
    switch (event) {
    case L1I_TLB_REFILL: *count = s->micro_misses[PE_FETCH]; return true;
    case L1D_TLB_REFILL: *count = s->micro_misses[PE_READ] + s->micro_misses[PE_WRITE]; return true;
    case L1D_TLB_REFILL_LD: *count = s->micro_misses[PE_READ]; return true;
    case L1D_TLB_REFILL_ST: *count = s->micro_misses[PE_WRITE]; return true;
    default: return false;
    }
}

static bool of_instructions(const pe_cpu *cpu, uint32_t event, uint64_t *count)
{
    pe_executed e;
    pe_machine_executed(cpu->machine, cpu->index, &e, NULL);
    switch (event) {
    case EXC_TAKEN: *count = e.exceptions; return true;
    case EXC_RETURN: *count = e.exception_returns; return true;
    case LD_RETIRED:
    case LD_SPEC: *count = both(e.loads); return true;
    case ST_RETIRED:
    case ST_SPEC: *count = both(e.stores); return true;
    case LDST_SPEC: *count = both(e.loads) + both(e.stores); return true;
    default: return false;
    }
}

/* Exception returns are not predicted, and not predictable. */
static bool of_branches(const pe_predictor *predictor, uint32_t event, uint64_t *count)
{
    pe_predictor_stats s;
    pe_predictor_read_stats(predictor, &s);
    const uint64_t *n = s.branches;
    const uint64_t immediate = n[PE_BRANCH_DIRECT] + n[PE_BRANCH_CONDITIONAL] + n[PE_BRANCH_CALL];
    const uint64_t indirect = n[PE_BRANCH_INDIRECT] + n[PE_BRANCH_CALL_INDIRECT] + n[PE_BRANCH_RETURN];
    switch (event) {
    case BR_MIS_PRED:
        *count = 0;
        for (uint32_t b = PE_BRANCH_DIRECT; b < PE_BRANCH_EXCEPTION_RETURN; b++) {
            *count += s.mispredicted[b];
        }
        return true;
    case BR_PRED: *count = immediate + indirect; return true;
    case BR_IMMED_SPEC: *count = immediate; return true;
    case BR_RETURN_SPEC: *count = n[PE_BRANCH_RETURN]; return true;
    case BR_INDIRECT_SPEC: *count = indirect; return true;
    default: return false;
    }
}

static bool of_l1(const pe_caches *caches, const pe_cpu *cpu, uint32_t event, uint64_t *count)
{
    const pe_cache_stats *i = &caches->l1i[cpu->index].stats, *d = &caches->l1d[cpu->index].stats;
    switch (event) {
    case L1I_CACHE_REFILL: *count = i->fills; return true;
    case L1I_CACHE: *count = i->reads; return true;
    case L1D_CACHE_REFILL: *count = d->fills; return true;
    case L1D_CACHE_REFILL_LD: *count = d->read_misses; return true;
    case L1D_CACHE_REFILL_ST: *count = d->fills - d->read_misses; return true;
    case L1D_CACHE: *count = d->reads + d->writes; return true;
    case L1D_CACHE_LD: *count = d->reads; return true;
    case L1D_CACHE_ST: *count = d->writes; return true;
    case L1D_CACHE_WB: *count = d->write_backs; return true;
    case L1D_CACHE_INVAL: *count = d->invalidations; return true;
    default: return false;
    }
}

static bool of_l2(const pe_cache_stats *s, uint32_t event, uint64_t *count)
{
    switch (event) {
    case L2D_CACHE: *count = s->reads + s->writes; return true;
    case L2D_CACHE_LD: *count = s->reads; return true;
    case L2D_CACHE_ST: *count = s->writes; return true;
    case L2D_CACHE_REFILL: *count = s->fills; return true;
    case L2D_CACHE_REFILL_LD: *count = s->read_misses; return true;
    case L2D_CACHE_REFILL_ST: *count = s->fills - s->read_misses; return true;
    case L2D_CACHE_WB: *count = s->write_backs; return true;
    default: return false;
    }
}

/* Loads and stores one by one, as they reach L1D or pass it by; L1D sees the reads of walks too. */
static uint64_t memory_accesses(const pe_caches *caches, const pe_cpu *cpu)
{
    const timed_cpu *c = cpu->timed;
    const pe_cache_stats *d = &caches->l1d[cpu->index].stats;
    const pe_bill *bill = c->account->bill;
    const uint64_t walks = bill[0].events[PE_COST_WALK] + bill[1].events[PE_COST_WALK];
    return d->reads + d->writes + c->executed.uncached - (cpu->machine->timed->core.walk.through_l1d ? walks : 0);
}

static bool of_caches(const pe_caches *caches, const pe_cpu *cpu, uint32_t event, uint64_t *count)
{
    if (event == MEM_ACCESS) {
        *count = memory_accesses(caches, cpu);
        return true;
    }
    return of_l1(caches, cpu, event, count) || of_l2(&caches->l2_by_cpu[cpu->index], event, count);
}

bool timed_event(const pe_cpu *cpu, uint32_t event, uint64_t *count)
{
    const timed_cpu *c = cpu->timed;
    if (!core_has(cpu, event)) {
        return false;
    }
    if (c) {
        timed_gather(cpu->timed);
    }
    if (always_known(cpu, event, count)) {
        return true;
    }
    if (!c) {
        return false;
    }
    const pe_caches *caches = cpu->machine->timed->caches;
    return of_tlbs(&c->tlb->stats, event, count) || of_instructions(cpu, event, count) ||
           of_branches(c->predictor, event, count) || (caches && of_caches(caches, cpu, event, count));
}
