/* SPDX-License-Identifier: GPL-2.0-or-later
 * Address spaces: struct mm, its areas, and what is done to them. */
#ifndef PYEMU_KERNEL_MM_H
#define PYEMU_KERNEL_MM_H

#include "kernel/context/context.h"
#include "kernel/tables/pgtable.h"

/* include/linux/mm.h */
#define VM_READ       0x00000001u
#define VM_WRITE      0x00000002u
#define VM_EXEC       0x00000004u
#define VM_SHARED     0x00000008u
#define VM_MAYREAD    0x00000010u
#define VM_MAYWRITE   0x00000020u
#define VM_MAYEXEC    0x00000040u
#define VM_GROWSDOWN  0x00000100u
#define VM_HUGEPAGE   0x20000000u
#define VM_NOHUGEPAGE 0x40000000u

/* Pages that several mappings share (MAP_SHARED): frames by page, made at the first touch. */
struct shared_pages {
    uint32_t users; /* areas */
    uint32_t count;
    uint32_t *page; /* indices, NO_PAGE where none was touched */
};

struct vm_area {
    uint32_t start, end; /* end is the first byte behind it */
    uint32_t flags;      /* VM_* */
    uint32_t pgoff;      /* into shared, in pages */
    struct shared_pages *shared;
};

struct mm {
    struct mm *next, *prev;
    uint32_t id;
    uint32_t users; /* tasks */
    uint64_t pgd_pa;
    uint32_t pgd_va;
    struct vm_area *areas; /* by address */
    uint32_t area_count, area_capacity;
    uint32_t start_brk, brk;
    uint64_t context_id;                     /* generation and ASID; 0: none yet */
    uint32_t nr_ptes, nr_pmds;               /* table pages */
    uint32_t rss_anon, rss_huge, rss_shared; /* pages */
    uint32_t write_protect_seq;              /* odd while fork write-protects */
    bool has_pinned;                         /* MMF_HAS_PINNED */
    struct page *huge_deposit;               /* PTE pages for splits, a list */
    uint32_t huge_deposits;
};

/* process/task.c */
struct task *find_task(struct pe_kernel *k, uint32_t pid);
void switch_to(struct pe_kernel *k, uint32_t cpu, struct task *task); /* context_switch */
void check_and_switch_context(struct pe_kernel *k, struct mm *mm);    /* process/asid.c */

/* process/area.c */
struct vm_area *find_vma(struct mm *mm, uint32_t addr); /* the first that ends above addr */

/* process/fault.c: handle_mm_fault.  The mmap lock is held for reading. */
#define FAULT_FLAG_WRITE       0x01u
#define FAULT_FLAG_USER        0x02u
#define FAULT_FLAG_INSTRUCTION 0x04u
#define FAULT_FLAG_UNSHARE     0x08u
#define VM_FAULT_OOM           0x01u
#define VM_FAULT_SIGBUS        0x02u
#define VM_FAULT_SIGSEGV       0x04u
#define VM_FAULT_MAJOR         0x08u
uint32_t handle_mm_fault(struct pe_kernel *k, struct mm *mm, struct vm_area *area, uint32_t addr, uint32_t flags);

/* process/thp.c */
void split_huge_pmd(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, uint32_t addr);

/* process/gather.c: tables go to an RCU batch (mm/mmu_gather.c), which a grace period empties. */
void tlb_remove_table(struct pe_kernel *k, struct mm *mm, struct page *table);
void rcu_grace_period(struct pe_kernel *k);

void processes_release(struct pe_kernel *k);

#endif
