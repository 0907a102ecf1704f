/* SPDX-License-Identifier: GPL-2.0-or-later
 * kmap_local (mm/highmem.c): windows of a task on its CPU, last made first gone. */
#include "kernel/cost.h"
#include "kernel/tables/tlbflush.h"

/* asm/fixmap.h: slot 0 is the early console's, those of CPU 0 come next; addresses go down. */
#define FIX_KMAP_BEGIN 1u

static uint32_t fix_to_virt(const struct pe_kernel *k, uint32_t slot)
{
    return k->layout.fixaddr_top - (slot << PAGE_SHIFT);
}

uint32_t kmap_local_va(const struct pe_kernel *k, uint32_t cpu, uint32_t slot)
{
    return fix_to_virt(k, FIX_KMAP_BEGIN + k->layout.kmap_slots * cpu + slot);
}

static bool in_windows(const struct pe_kernel *k, uint32_t va)
{
    const uint32_t last = fix_to_virt(k, FIX_KMAP_BEGIN + k->layout.kmap_slots * k->config.nr_cpus - 1);
    return va >= last && va < fix_to_virt(k, FIX_KMAP_BEGIN) + PAGE_SIZE;
}

/* KM_INCR: with debug windows every second slot stays empty. */
static uint32_t increment(const struct pe_kernel *k)
{
    return k->config.flags & PE_KERNEL_DEBUG_KMAP_LOCAL ? 2 : 1;
}

/* __kmap_local_pfn_prot; 0 where the kernel would BUG. */
static uint32_t map_window(struct pe_kernel *k, const struct page *page)
{
    struct kmap_ctrl *ctrl = &current_task(k)->kmap_ctrl;
    cost_insns(k, k->costs.kmap.local_pfn_prot);
    migrate_disable(k);
    preempt_disable(k);
    if (k->cpu->hardirq && !k->cpu->irqs_off) {
        report(k, PE_REPORT_HARDIRQ_WITH_IRQS_ON, PE_LOCKS, false, ctrl->idx);
    }
    const uint32_t idx = ctrl->idx + increment(k);
    if (idx >= k->layout.kmap_slots) {
        report(k, PE_REPORT_KMAP_DEPTH, PE_LOCKS, false, idx);
        preempt_enable(k);
        migrate_enable(k);
        return 0;
    }
    ctrl->idx = idx;
    const uint32_t va = kmap_local_va(k, k->cpu->id, idx - 1);
    if (get_kernel_pte(k, va)) {
        report(k, PE_REPORT_KMAP_NOT_EMPTY, PE_LOCKS, false, va);
    }
    const pteval_t pte = mk_pte(k, page_to_pfn(&k->frames, page), k->bits->kernel_page);
    set_kernel_pte(k, va, pte);
    local_flush_tlb_kernel_page(k, va);
    ctrl->pteval[idx - 1] = pte;
    preempt_enable(k);
    k->stats.kmap_local++;
    const uint32_t depth = idx / increment(k);
    k->stats.kmap_local_depth_max = depth > k->stats.kmap_local_depth_max ? depth : k->stats.kmap_local_depth_max;
    return va;
}

static bool needs_high_get(const struct pe_kernel *k)
{
    return k->config.high_get == PE_HIGH_GET_ON && k->config.remedy != PE_REMEDY_SKIP_HIGH_GET;
}

uint32_t kmap_local_page(struct pe_kernel *k, struct page *page)
{
    uint32_t va = 0;
    chain_enter(k->cpu, PE_FN_KMAP_LOCAL_PAGE_PROT);
    cost_insns(k, k->costs.kmap.local_page_prot);
    enum kmap_try found = KMAP_MISS;
    if (!page_is_high(&k->frames, page)) {
        va = phys_to_virt(k, page_to_phys(&k->frames, page));
    } else {
        if (needs_high_get(k)) {
            const bool trylock = k->config.remedy == PE_REMEDY_TRYLOCK && k->cpu->irqs_off;
            found = kmap_high_get(k, page, trylock, &va);
        }
        if (found == KMAP_MISS) {
            chain_enter(k->cpu, PE_FN_KMAP_LOCAL_PFN_PROT);
            va = map_window(k, page);
            chain_leave(k->cpu);
        }
    }
    chain_leave(k->cpu);
    return va;
}

static void unmap_window(struct pe_kernel *k, uint32_t va)
{
    struct kmap_ctrl *ctrl = &current_task(k)->kmap_ctrl;
    cost_insns(k, k->costs.kmap.local_unmap);
    if (ctrl->idx < increment(k)) {
        report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, va);
        return;
    }
    preempt_disable(k);
    if (va != kmap_local_va(k, k->cpu->id, ctrl->idx - 1)) {
        report(k, PE_REPORT_KMAP_LIFO, PE_LOCKS, false, va);
    }
    set_kernel_pte(k, va, 0);
    local_flush_tlb_kernel_page(k, va);
    ctrl->pteval[ctrl->idx - 1] = 0;
    ctrl->idx -= increment(k);
    preempt_enable(k);
    migrate_enable(k);
}

void kunmap_local(struct pe_kernel *k, uint32_t va)
{
    va &= (uint32_t)PAGE_MASK;
    chain_enter(k->cpu, PE_FN_KUNMAP_LOCAL);
    if (in_windows(k, va)) {
        unmap_window(k, va);
    } else {
        cost_insns(k, k->costs.kmap.local_unmap_low);
        if (k->layout.pkmap_base && va - k->layout.pkmap_base < PMD_SIZE) {
            kunmap_high_address(k, va);
        } else if (va < k->layout.page_offset) {
            report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, va);
        }
    }
    chain_leave(k->cpu);
}

/* include/linux/highmem-internal.h */
uint32_t kmap_atomic(struct pe_kernel *k, struct page *page)
{
    if (is_rt(k)) {
        migrate_disable(k);
    } else {
        preempt_disable(k);
    }
    pagefault_disable(k);
    return kmap_local_page(k, page);
}

void kunmap_atomic(struct pe_kernel *k, uint32_t va)
{
    kunmap_local(k, va);
    pagefault_enable(k);
    if (is_rt(k)) {
        migrate_enable(k);
    } else {
        preempt_enable(k);
    }
}

/* ---- context switch and fork ---- */

/* The index stays, so that an interrupt in between maps behind the task's windows. */
static void switch_windows(struct pe_kernel *k, struct task *task, bool in)
{
    for (uint32_t slot = increment(k) - 1; slot < task->kmap_ctrl.idx; slot += increment(k)) {
        const uint32_t va = kmap_local_va(k, k->cpu->id, slot);
        cost_insns(k, k->costs.kmap.switch_slot);
        set_kernel_pte(k, va, in ? task->kmap_ctrl.pteval[slot] : 0);
        local_flush_tlb_kernel_page(k, va);
    }
}

void kmap_local_sched_out(struct pe_kernel *k, struct task *task)
{
    chain_enter(k->cpu, PE_FN_KMAP_LOCAL_SCHED_OUT);
    switch_windows(k, task, false);
    chain_leave(k->cpu);
}

void kmap_local_sched_in(struct pe_kernel *k, struct task *task)
{
    chain_enter(k->cpu, PE_FN_KMAP_LOCAL_SCHED_IN);
    switch_windows(k, task, true);
    chain_leave(k->cpu);
}

void kmap_local_fork(struct pe_kernel *k, struct task *child)
{
    if (child->kmap_ctrl.idx) {
        report(k, PE_REPORT_KMAP_LEAK, PE_LOCKS, false, child->kmap_ctrl.idx / increment(k));
        memset(&child->kmap_ctrl, 0, sizeof child->kmap_ctrl);
    }
}
