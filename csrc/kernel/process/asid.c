/* SPDX-License-Identifier: GPL-2.0-or-later
 * ASIDs (arch/arm/mm/context.c): 8 bits of hardware below a generation of software. */
#include "kernel/cost.h"
#include "kernel/tables/tlbflush.h"

#define ASID_BITS          8
#define ASID_FIRST_VERSION (UINT64_C(1) << ASID_BITS)
#define ASID_MASK          (~(ASID_FIRST_VERSION - 1))
#define NUM_USER_ASIDS     256u

void asids_init(struct pe_kernel *k)
{
    k->asids = (struct asids){.generation = ASID_FIRST_VERSION, .next = 1};
}

static bool test_and_set(struct asids *a, uint32_t asid)
{
    const uint64_t bit = UINT64_C(1) << (asid & 63);
    const bool was = a->map[asid >> 6] & bit;
    a->map[asid >> 6] |= bit;
    return was;
}

static uint32_t find_next_zero(const struct asids *a, uint32_t from)
{
    while (from < NUM_USER_ASIDS && a->map[from >> 6] >> (from & 63) & 1) {
        from++;
    }
    return from;
}

/* flush_context: what runs now keeps its ASID, all else gets a new one. */
static void flush_context(struct pe_kernel *k)
{
    memset(k->asids.map, 0, sizeof k->asids.map);
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        struct kernel_cpu *cpu = &k->cpus[i];
        const uint64_t asid = cpu->active_asid ? cpu->active_asid : cpu->reserved_asid;
        cpu->active_asid = 0;
        test_and_set(&k->asids, (uint32_t)(asid & ~ASID_MASK));
        cpu->reserved_asid = asid;
        cpu->tlb_flush_pending = true;
    }
}

static bool update_reserved(struct pe_kernel *k, uint64_t asid, uint64_t renewed)
{
    bool hit = false;
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        if (k->cpus[i].reserved_asid == asid) {
            k->cpus[i].reserved_asid = renewed;
            hit = true;
        }
    }
    return hit;
}

static uint64_t new_context(struct pe_kernel *k, const struct mm *mm)
{
    struct asids *a = &k->asids;
    if (mm->context_id) {
        const uint64_t renewed = a->generation | (mm->context_id & ~ASID_MASK);
        if (update_reserved(k, mm->context_id, renewed)) {
            return renewed;
        }
        if (!test_and_set(a, (uint32_t)(mm->context_id & ~ASID_MASK))) {
            return renewed;
        }
    }
    uint32_t asid = find_next_zero(a, a->next);
    if (asid == NUM_USER_ASIDS) {
        a->generation += ASID_FIRST_VERSION;
        k->stats.asid_rollovers++;
        flush_context(k);
        asid = find_next_zero(a, 1);
    }
    test_and_set(a, asid);
    a->next = asid;
    return asid | a->generation;
}

static bool is_current(const struct pe_kernel *k, const struct mm *mm)
{
    return !((mm->context_id ^ k->asids.generation) >> ASID_BITS);
}

void check_and_switch_context(struct pe_kernel *k, struct mm *mm)
{
    struct kernel_cpu *cpu = k->cpu;
    if (is_current(k, mm) && cpu->active_asid) {
        cpu->active_asid = mm->context_id;
    } else {
        raw_spin_lock_irqsave(k, PE_LOCK_CPU_ASID);
        if (!is_current(k, mm)) {
            mm->context_id = new_context(k, mm);
        }
        if (cpu->tlb_flush_pending) {
            cpu->tlb_flush_pending = false;
            local_flush_tlb_all(k);
        }
        cpu->active_asid = mm->context_id;
        raw_spin_unlock_irqrestore(k, PE_LOCK_CPU_ASID);
    }
    /* cpu_v7_switch_mm: with LPAE one MCRR writes base and ASID; otherwise a reserved TTBR0 comes first. */
    if (k->config.tables != PE_TABLES_LPAE) {
        cost_isb(k);
    }
    cpu->active_mm = mm;
    regime_of(k, mm, &cpu->regime);
    cost_isb(k);
}
