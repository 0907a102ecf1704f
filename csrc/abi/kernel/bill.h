/* SPDX-License-Identifier: GPL-2.0-or-later
 * What its paths cost, and what they have cost. */
#ifndef PYEMU_ABI_KERNEL_BILL_H
#define PYEMU_ABI_KERNEL_BILL_H

#include "abi/kernel/config.h"

/* ---- instructions of its paths ----------------------------------------------------------------------------------- */

/* Instructions in sixteenths.  The fields are the keys of pyemu/kernel/data/costs.toml, which gives each value with its
 * source.  Memory touches, TLB maintenance and barriers are billed on top, by the core's parameters. */
typedef struct pe_memory_costs {
    uint32_t alloc_page;  /* alloc_pages of order 0, by way of the per-CPU lists */
    uint32_t alloc_order; /* on top, for each order above 0 */
    uint32_t free_page;
    uint32_t clear_page; /* clear_page of 4 KB; 8 bytes are touched at a time */
    uint32_t copy_page;
} pe_memory_costs;

typedef struct pe_kmap_costs {
    uint32_t local_page_prot; /* __kmap_local_page_prot */
    uint32_t local_pfn_prot;  /* __kmap_local_pfn_prot, without what is below */
    uint32_t local_unmap;     /* kunmap_local_indexed of a window */
    uint32_t local_unmap_low; /* of a lowmem address */
    uint32_t set_pte;         /* set_pte_at and cpu_v7_set_pte_ext */
    uint32_t migrate_disable;
    uint32_t migrate_enable;
    uint32_t high_get;        /* kmap_high_get, without its locks */
    uint32_t page_address;    /* of a highmem page: the bucket and its list, without the lock */
    uint32_t map_new_virtual; /* one slot looked at */
    uint32_t high_unmap;      /* kunmap_high */
    uint32_t switch_slot;     /* kmap_local_sched_out or _in of one window */
} pe_kmap_costs;

typedef struct pe_lock_costs {
    uint32_t spin_lock; /* uncontended pair of lock and unlock; the exclusives are billed as locks */
    uint32_t rt_lock;   /* the same of a sleeping spinlock_t */
    uint32_t irqsave;   /* local_irq_save and _restore */
    uint32_t rcu_read;  /* rcu_read_lock and _unlock */
    uint32_t preempt;   /* preempt_disable and _enable */
} pe_lock_costs;

typedef struct pe_gup_costs {
    uint32_t fast_call;      /* get_user_pages_fast to the first page and back, one PMD */
    uint32_t fast_table;     /* each further PTE table */
    uint32_t fast_page;      /* gup_fast_pte_range, a page */
    uint32_t fast_pin_page;  /* on top, with FOLL_PIN */
    uint32_t fast_leaf_call; /* as fast_call, where the first PMD is a block */
    uint32_t fast_leaf_page; /* a page of a block */
    uint32_t slow_call;      /* __gup_longterm_locked to the first page and back */
    uint32_t slow_page;      /* follow_page_pte, without its window */
    uint32_t slow_pin_page;  /* on top, with FOLL_PIN */
    uint32_t put_page;
    uint32_t unpin_page;
} pe_gup_costs;

typedef struct pe_process_costs {
    uint32_t fault;       /* exception entry to handle_mm_fault and back */
    uint32_t anon_page;   /* do_anonymous_page, without allocation, clearing and windows */
    uint32_t cow_page;    /* do_wp_page, without allocation, copying and windows */
    uint32_t flags_fault; /* access flag or dirty */
    uint32_t pte_alloc;   /* __pte_alloc, without the page */
    uint32_t pte_map;     /* pte_offset_map_lock and pte_unmap_unlock, without a window */
    uint32_t pmd_walk;    /* a step from one PMD entry to the next */
    uint32_t fork_call;   /* dup_mm, without VMAs and tables */
    uint32_t fork_vma;
    uint32_t fork_pte;      /* copy_present_pte */
    uint32_t zap_pte;       /* zap_pte_range, a present entry */
    uint32_t protect_pte;   /* change_pte_range */
    uint32_t move_pte;      /* move_ptes */
    uint32_t vma_operation; /* find, split, merge or insert one */
    uint32_t switch_mm;     /* context_switch with a change of address space */
    uint32_t table_free;    /* tlb_remove_table of one page */
    uint32_t system_call;   /* entry and exit */
} pe_process_costs;

typedef struct pe_kernel_costs {
    uint32_t cycles_per_insn; /* in 256ths: of kernel code whose loads all hit L1 */
    pe_memory_costs memory;
    pe_kmap_costs kmap;
    pe_lock_costs locks;
    pe_gup_costs gup;
    pe_process_costs process;
} pe_kernel_costs;

/* ---- the bill ---------------------------------------------------------------------------------------------------- */

/* NULL with PE_KERNEL_FUNCTIONAL; borrowed.  Those of the machine where there is one with a cycle model. */
const pe_ledger *pe_kernel_ledger(const pe_kernel *kernel);
const pe_caches *pe_kernel_caches(const pe_kernel *kernel);
pe_tlb *pe_kernel_tlb(pe_kernel *kernel, uint32_t cpu);

/* Operations since the model was made, all CPUs together. */
typedef struct pe_kernel_stats {
    uint64_t pages_allocated; /* frames, by alloc_pages */
    uint64_t pages_freed;
    uint64_t alloc_failures;
    uint64_t alloc_fallback_zone; /* from a lower zone than the first of the zonelist */
    uint64_t alloc_fallback_type; /* from the free lists of another migrate type */
    uint64_t pageblocks_stolen;   /* pageblocks that changed their migrate type */
    uint64_t pages_cleared;
    uint64_t pages_copied;
    uint64_t pte_tables_low; /* PTE pages made, by zone */
    uint64_t pte_tables_high;
    uint64_t pte_maps;    /* pte_offset_map */
    uint64_t pte_windows; /* of them through a kmap_local window */
    uint64_t kmap_local;  /* windows made */
    uint64_t kmap_local_depth_max;
    uint64_t kmap_high;         /* kmap() of a highmem page */
    uint64_t kmap_high_new;     /* of them that took a new slot */
    uint64_t kmap_high_flushes; /* wrap-arounds */
    uint64_t kmap_high_waits;
    uint64_t kmap_high_get;
    uint64_t kmap_high_get_hits;
    uint64_t tlbi_local;
    uint64_t tlbi_broadcast;
    uint64_t dsb;
    uint64_t isb;
    uint64_t lock_acquisitions;
    uint64_t lock_contended;
    uint64_t faults;
    uint64_t faults_anon;
    uint64_t faults_huge;
    uint64_t faults_cow;
    uint64_t faults_cow_reused; /* the last user writes in place */
    uint64_t faults_flags;      /* young or dirty */
    uint64_t faults_bad;        /* ended in a signal */
    uint64_t forks;
    uint64_t exits;
    uint64_t gup_fast_pages;
    uint64_t gup_slow_pages;
    uint64_t gup_fast_stops; /* calls that went on by the slow path */
    uint64_t unpinned_pages;
    uint64_t thp_splits;
    uint64_t tables_freed; /* through an RCU batch */
    uint64_t table_batches;
    uint64_t context_switches;
    uint64_t asid_rollovers;
} pe_kernel_stats;
void pe_kernel_read_stats(const pe_kernel *kernel, pe_kernel_stats *out);

#endif
