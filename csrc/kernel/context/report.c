/* SPDX-License-Identifier: GPL-2.0-or-later
 * Reports: what the kernel would print, kept once for each kind, lock and chain of functions. */
#include "kernel/context/context.h"

#include "kernel/kernel.h"

static const char *const FUNCTIONS[PE_FUNCTIONS] = {
    [PE_FN_GET_USER_PAGES_FAST] = "get_user_pages_fast",
    [PE_FN_PIN_USER_PAGES_FAST] = "pin_user_pages_fast",
    [PE_FN_GUP_FAST_FALLBACK] = "gup_fast_fallback",
    [PE_FN_GUP_FAST] = "gup_fast",
    [PE_FN_GUP_FAST_PGD_RANGE] = "gup_fast_pgd_range",
    [PE_FN_GUP_FAST_PMD_LEAF] = "gup_fast_pmd_leaf",
    [PE_FN_GUP_FAST_PTE_RANGE] = "gup_fast_pte_range",
    [PE_FN_GET_USER_PAGES] = "__get_user_pages",
    [PE_FN_FOLLOW_PAGE_PTE] = "follow_page_pte",
    [PE_FN_HANDLE_MM_FAULT] = "handle_mm_fault",
    [PE_FN_DO_ANONYMOUS_PAGE] = "do_anonymous_page",
    [PE_FN_DO_WP_PAGE] = "do_wp_page",
    [PE_FN_COPY_PTE_RANGE] = "copy_pte_range",
    [PE_FN_ZAP_PTE_RANGE] = "zap_pte_range",
    [PE_FN_CHANGE_PTE_RANGE] = "change_pte_range",
    [PE_FN_MOVE_PTES] = "move_ptes",
    [PE_FN_SPLIT_HUGE_PMD] = "__split_huge_pmd",
    [PE_FN_PTE_OFFSET_MAP] = "__pte_offset_map",
    [PE_FN_KMAP_LOCAL_PAGE_PROT] = "__kmap_local_page_prot",
    [PE_FN_KMAP_LOCAL_PFN_PROT] = "__kmap_local_pfn_prot",
    [PE_FN_KUNMAP_LOCAL] = "kunmap_local_indexed",
    [PE_FN_KMAP_HIGH_GET] = "kmap_high_get",
    [PE_FN_KMAP_HIGH] = "kmap_high",
    [PE_FN_KUNMAP_HIGH] = "kunmap_high",
    [PE_FN_PAGE_ADDRESS] = "page_address",
    [PE_FN_SPIN_LOCK] = "rt_spin_lock",
    [PE_FN_CLEAR_HIGHPAGE] = "clear_highpage",
    [PE_FN_COPY_HIGHPAGE] = "copy_highpage",
    [PE_FN_ALLOC_PAGES] = "__alloc_pages",
    [PE_FN_DUP_MMAP] = "dup_mmap",
    [PE_FN_EXIT_MMAP] = "exit_mmap",
    [PE_FN_SCHEDULE] = "__schedule",
    [PE_FN_KMAP_LOCAL_SCHED_OUT] = "kmap_local_sched_out",
    [PE_FN_KMAP_LOCAL_SCHED_IN] = "kmap_local_sched_in",
    [PE_FN_PERF_GET_PAGE_SIZE] = "perf_get_page_size",
    [PE_FN_FUTEX_KEY] = "get_futex_key",
    [PE_FN_SYSTEM_CALL] = "ret_fast_syscall",
    [PE_FN_DATA_ABORT] = "do_DataAbort",
    [PE_FN_DO_FORK] = "kernel_clone",
};

const char *pe_kernel_function_name(pe_kernel_function function)
{
    return (unsigned)function < PE_FUNCTIONS ? FUNCTIONS[function] : NULL;
}

static pe_kernel_report describe(const struct pe_kernel *k, pe_report_kind kind, pe_lock lock, uint32_t value)
{
    const struct kernel_cpu *cpu = k->cpu;
    const struct task *t = cpu->current;
    pe_kernel_report r = {
        .count = 1,
        .kind = kind,
        .lock = lock,
        .cpu = cpu->id,
        .pid = t->pid,
        .in_hardirq = cpu->hardirq,
        .irqs_disabled = cpu->irqs_off,
        .preempt_count = t->preempt_count,
        .rcu_depth = t->rcu_depth,
        .rcu_expected = lock == PE_LOCKS ? 0 : t->rcu_depth,
        .migrate_disabled = t->migrate_disabled,
        .value = value,
        .held = t->held < PE_REPORT_HELD ? t->held : PE_REPORT_HELD,
        .depth = cpu->chain.depth < PE_REPORT_CHAIN ? cpu->chain.depth : PE_REPORT_CHAIN,
    };
    memcpy(r.name, t->name, sizeof r.name);
    memcpy(r.locks, t->locks, sizeof r.locks);
    memcpy(r.chain, cpu->chain.functions, sizeof r.chain);
    return r;
}

static bool is_same(const pe_kernel_report *a, const pe_kernel_report *b)
{
    return a->kind == b->kind && a->lock == b->lock && a->depth == b->depth &&
           memcmp(a->chain, b->chain, a->depth) == 0;
}

void report(struct pe_kernel *k, pe_report_kind kind, pe_lock lock, bool blocked, uint32_t value)
{
    struct reports *all = &k->reports;
    all->total[kind]++;
    all->blocked[kind] += blocked;
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = PE_TRACE_REPORT, .code = (uint8_t)kind, .value = lock, .va = value});
    }
    pe_kernel_report r = describe(k, kind, lock, value);
    for (uint32_t i = 0; i < all->count; i++) {
        if (is_same(&all->kept[i], &r)) {
            all->kept[i].count++;
            all->kept[i].blocked |= blocked;
            return;
        }
    }
    if (all->count < PE_REPORTS_KEPT) {
        r.blocked = blocked;
        all->kept[all->count++] = r;
    }
}

size_t pe_kernel_reports(const pe_kernel *k, pe_kernel_report *out, size_t max)
{
    const size_t count = k->reports.count;
    if (max) {
        memcpy(out, k->reports.kept, (count < max ? count : max) * sizeof *out);
    }
    return count;
}

uint64_t pe_kernel_report_count(const pe_kernel *k, pe_report_kind kind, uint64_t *blocked)
{
    const bool known = (unsigned)kind < PE_REPORT_KINDS;
    if (blocked) {
        *blocked = known ? k->reports.blocked[kind] : 0;
    }
    return known ? k->reports.total[kind] : 0;
}

void pe_kernel_reports_clear(pe_kernel *k)
{
    memset(&k->reports, 0, sizeof k->reports);
}
