/* SPDX-License-Identifier: GPL-2.0-or-later
 * kmap_local (mm/highmem.c): a stack of windows for each task, in the slots of the CPU on which it runs. */
#include "kernel/cost.h"
#include "kernel/tables/tlbflush.h"

#define FIX_KMAP_BEGIN 1u /* asm/fixmap.h, enum fixed_addresses */

static bool has_guards(const struct pe_kernel *k)
{
    return k->config.flags & PE_KERNEL_DEBUG_KMAP_LOCAL;
}

/* KM_INCR */
static uint32_t step(const struct pe_kernel *k)
{
    return has_guards(k) ? 2 : 1;
}

uint32_t kmap_local_va(const struct pe_kernel *k, uint32_t cpu, uint32_t slot)
{
    return k->layout.fixaddr_top - ((FIX_KMAP_BEGIN + k->layout.kmap_slots * cpu + slot) << PAGE_SHIFT);
}

/* Between the fixmap addresses of FIX_KMAP_END and FIX_KMAP_BEGIN. */
static bool is_window(const struct pe_kernel *k, uint32_t va)
{
    const uint32_t windows = k->layout.kmap_slots * k->config.nr_cpus;
    return va <= (kmap_local_va(k, 0, 0) | (PAGE_SIZE - 1)) && va >= kmap_local_va(k, 0, windows - 1);
}

/* kmap_local_idx_push; false where the kernel's BUG_ON stops it. */
static bool push(struct pe_kernel *k)
{
    struct kmap_ctrl *ctrl = &current_task(k)->kmap_ctrl;
    if (k->cpu->hardirq && !k->cpu->irqs_off) {
        report(k, PE_REPORT_HARDIRQ_WITH_IRQS_ON, PE_LOCKS, false, 0);
    }
    if (ctrl->idx + step(k) >= k->layout.kmap_slots) {
        report(k, PE_REPORT_KMAP_DEPTH, PE_LOCKS, false, ctrl->idx + step(k));
        return false;
    }
    ctrl->idx += step(k);
    const uint64_t depth = ctrl->idx / step(k);
    if (depth > k->stats.kmap_local_depth_max) {
        k->stats.kmap_local_depth_max = depth;
    }
    return true;
}

static uint32_t give_up(struct pe_kernel *k)
{
    preempt_enable(k);
    migrate_enable(k);
    return 0;
}

/* __kmap_local_pfn_prot.  Migration stays disabled until the window is unmapped, preemption does not. */
static uint32_t map_window(struct pe_kernel *k, const struct page *page)
{
    struct kmap_ctrl *ctrl = &current_task(k)->kmap_ctrl;
    migrate_disable(k);
    preempt_disable(k);
    cost_insns(k, k->costs.kmap.local_pfn_prot);
    if (!push(k)) {
        return give_up(k);
    }
    const uint32_t slot = ctrl->idx - 1, va = kmap_local_va(k, k->cpu->id, slot);
    if (get_kernel_pte(k, va)) {
        report(k, PE_REPORT_KMAP_NOT_EMPTY, PE_LOCKS, false, va);
        ctrl->idx -= step(k);
        return give_up(k);
    }
    const pteval_t pte = mk_pte(k, page_to_pfn(&k->frames, page), k->bits->kernel_page);
    set_kernel_pte(k, va, pte);
    local_flush_tlb_kernel_page(k, va);
    ctrl->pteval[slot] = pte;
    k->stats.kmap_local++;
    preempt_enable(k);
    return va;
}

/* Only gup_fast's path is patched by the remedy: what runs with interrupts off. */
static bool uses_trylock(const struct pe_kernel *k)
{
    return k->config.remedy == PE_REMEDY_TRYLOCK && k->cpu->irqs_off;
}

/* arch_kmap_local_high_get (arch/arm/include/asm/highmem.h) */
static enum kmap_try high_get(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    if (!kmap_high_get_is_on(k) || k->config.high_get == PE_HIGH_GET_DEBUG) {
        return KMAP_MISS;
    }
    return kmap_high_get(k, page, uses_trylock(k), va);
}

static uint32_t map_highmem(struct pe_kernel *k, struct page *page)
{
    uint32_t va = 0;
    switch (high_get(k, page, &va)) {
    case KMAP_HIT: return va;
    case KMAP_BUSY: return 0;
    case KMAP_MISS: break;
    }
    chain_enter(k->cpu, PE_FN_KMAP_LOCAL_PFN_PROT);
    va = map_window(k, page);
    chain_leave(k->cpu);
    return va;
}

uint32_t kmap_local_page(struct pe_kernel *k, struct page *page)
{
    chain_enter(k->cpu, PE_FN_KMAP_LOCAL_PAGE_PROT);
    cost_insns(k, k->costs.kmap.local_page_prot);
    const uint32_t va =
        page_is_high(&k->frames, page) ? map_highmem(k, page) : phys_to_virt(k, page_to_phys(&k->frames, page));
    chain_leave(k->cpu);
    return va;
}

/* The kernel clears the PTE of the address that it was given, and pops the top of the stack, whatever both are. */
static void unmap_window(struct pe_kernel *k, uint32_t va)
{
    struct kmap_ctrl *ctrl = &current_task(k)->kmap_ctrl;
    va &= (uint32_t)PAGE_MASK;
    preempt_disable(k);
    cost_insns(k, k->costs.kmap.local_unmap);
    if (!ctrl->idx) {
        report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, va);
        preempt_enable(k);
        return;
    }
    const uint32_t slot = ctrl->idx - 1;
    if (va != kmap_local_va(k, k->cpu->id, slot)) {
        report(k, PE_REPORT_KMAP_LIFO, PE_LOCKS, false, va);
    }
    set_kernel_pte(k, va, 0);
    local_flush_tlb_kernel_page(k, va);
    ctrl->pteval[slot] = 0;
    ctrl->idx -= step(k);
    preempt_enable(k);
    migrate_enable(k);
}

void kunmap_local(struct pe_kernel *k, uint32_t va)
{
    chain_enter(k->cpu, PE_FN_KUNMAP_LOCAL);
    if (is_window(k, va)) {
        unmap_window(k, va);
    } else {
        cost_insns(k, k->costs.kmap.local_unmap_low);
        if (kmap_high_get_is_on(k) && is_pkmap_address(k, va)) {
            uint32_t woken[PKMAP_WAITERS_MAX];
            kunmap_high(k, pkmap_page(k, va), woken, PKMAP_WAITERS_MAX);
        } else if (va < k->layout.page_offset) {
            report(k, PE_REPORT_KMAP_ADDRESS, PE_LOCKS, false, va);
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
    const uint32_t va = kmap_local_page(k, page);
    if (!va) {
        pagefault_enable(k);
        if (is_rt(k)) {
            migrate_enable(k);
        } else {
            preempt_enable(k);
        }
    }
    return va;
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

/* ---- at a context switch ---- */

/* The windows of the task that leaves or comes; the index stays, so that an interrupt maps above them. */
static void switch_windows(struct pe_kernel *k, struct task *task, bool in)
{
    for (uint32_t slot = 0; slot < task->kmap_ctrl.idx; slot++) {
        const pteval_t pte = task->kmap_ctrl.pteval[slot];
        if (!pte) {
            continue; /* a guard, or one that was not unmapped in order */
        }
        const uint32_t va = kmap_local_va(k, k->cpu->id, slot);
        cost_insns(k, k->costs.kmap.switch_slot);
        set_kernel_pte(k, va, in ? pte : 0);
        local_flush_tlb_kernel_page(k, va);
    }
}

void kmap_local_sched_out(struct pe_kernel *k, struct task *task)
{
    if (task->kmap_ctrl.idx) {
        chain_enter(k->cpu, PE_FN_KMAP_LOCAL_SCHED_OUT);
        switch_windows(k, task, false);
        chain_leave(k->cpu);
    }
}

void kmap_local_sched_in(struct pe_kernel *k, struct task *task)
{
    if (task->kmap_ctrl.idx) {
        chain_enter(k->cpu, PE_FN_KMAP_LOCAL_SCHED_IN);
        switch_windows(k, task, true);
        chain_leave(k->cpu);
    }
}

void kmap_local_fork(struct pe_kernel *k, struct task *child)
{
    if (child->kmap_ctrl.idx) {
        report(k, PE_REPORT_KMAP_LEAK, PE_LOCKS, false, child->kmap_ctrl.idx / step(k));
        memset(&child->kmap_ctrl, 0, sizeof child->kmap_ctrl);
    }
}
