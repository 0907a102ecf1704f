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
#define VM_MAY        (VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
#define VM_GROWSDOWN  0x00000100u
#define VM_NORESERVE  0x00200000u
#define VM_HUGEPAGE   0x20000000u
#define VM_NOHUGEPAGE 0x40000000u

/* Pages that several mappings share (MAP_SHARED): frames by page, made at the first touch. */
struct shared_pages {
    uint32_t users; /* areas */
    uint32_t seen;  /* for processes_check */
    uint32_t count;
    uint32_t *page; /* indices, NO_PAGE where none was touched */
};

struct vm_area {
    uint32_t start, end; /* end is the first byte behind it */
    uint32_t flags;      /* VM_* */
    uint32_t pgoff;      /* into shared, in pages */
    struct shared_pages *shared;
    bool faulted; /* has an anon_vma: fork has something to copy */
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
    uint32_t huge_deposit;                   /* index of the first of the PTE pages for splits, or NO_PAGE */
    uint32_t huge_deposits;
};

/* ---- process/task.c ---- */

struct task *find_task(struct pe_kernel *k, uint32_t pid);
void switch_to(struct pe_kernel *k, uint32_t cpu, struct task *task); /* context_switch */
/* The task of a call from outside, made the one that runs on its CPU.  NULL, and the error filled: there is none. */
struct task *run_task(struct pe_kernel *k, uint32_t pid, pe_error *err);
/* The first and the last thing of a system call that comes from outside. */
void syscall_enter(struct pe_kernel *k);
void syscall_leave(struct pe_kernel *k);
/* Without an address space of another: an empty one.  NULL: no memory. */
struct task *task_spawn(struct pe_kernel *k, const char *name, uint32_t cpu);
int32_t kernel_clone(struct pe_kernel *k, struct task *parent); /* the child's pid, or -ENOMEM */
void do_exit(struct pe_kernel *k, struct task *task, int32_t status);
/* Reaps a child that has exited (child 0: any).  Its pid; 0: none has yet; -ECHILD: there is no such child. */
int32_t do_wait(struct pe_kernel *k, struct task *parent, uint32_t child, int32_t *status);

/* process/asid.c */
void asids_init(struct pe_kernel *k);
void check_and_switch_context(struct pe_kernel *k, struct mm *mm);

/* ---- process/space.c: a whole address space ---- */

struct mm *mm_alloc(struct pe_kernel *k); /* NULL: no memory */
void mmput(struct pe_kernel *k, struct mm *mm);
struct mm *dup_mm(struct pe_kernel *k, struct mm *old); /* process/fork.c */
/* Kernel objects that the model keeps outside guest RAM, in pages of lowmem.  False: no memory. */
bool slab_charge(struct pe_kernel *k, uint32_t bytes);
void slab_uncharge(struct pe_kernel *k, uint32_t bytes);

/* ---- process/area.c ---- */

#define FIRST_USER_ADDRESS (2 * PAGE_SIZE)
#define STACK_GUARD_GAP    (256 * PAGE_SIZE)
#define MAX_MAP_COUNT      65530

struct vm_area *find_vma(struct mm *mm, uint32_t addr); /* the first that ends above addr */
/* Takes over the reference of area->shared; merges with neighbours.  False: no memory. */
bool area_insert(struct pe_kernel *k, struct mm *mm, const struct vm_area *area);
/* Makes addr the border of two areas where it lies inside one (__split_vma, and split_vma, which counts them).  False:
 * no memory. */
bool area_split(struct pe_kernel *k, struct mm *mm, uint32_t addr);
bool area_split_counted(struct pe_kernel *k, struct mm *mm, uint32_t addr);
void area_merge(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end); /* what touches at its borders */
void area_erase(struct pe_kernel *k, struct mm *mm, uint32_t first, uint32_t count);
bool area_reserve(struct pe_kernel *k, struct mm *mm, uint32_t more);
struct shared_pages *shared_new(struct pe_kernel *k, uint32_t count);
void shared_put(struct pe_kernel *k, struct shared_pages *shared);
pteval_t vm_get_page_prot(const struct pe_kernel *k, uint32_t flags);
/* Where an area of so many bytes goes; negative errno. */
int64_t get_unmapped_area(struct pe_kernel *k, struct mm *mm, uint32_t hint, uint32_t bytes);

/* ---- process/mmap.c, mremap.c: system calls.  A value, or a negative errno ---- */

#define MREMAP_MAYMOVE  1
#define MREMAP_FIXED    2
#define MADV_DONTNEED   4
#define MADV_HUGEPAGE   14
#define MADV_NOHUGEPAGE 15

int64_t do_mmap(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t prot, uint32_t flags);
int64_t do_munmap(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes);
int64_t do_mprotect(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t prot);
int64_t do_madvise(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t advice);
int64_t do_brk(struct pe_kernel *k, struct mm *mm, uint32_t brk); /* the brk that it is now */
int64_t do_mremap(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t old_bytes, uint32_t bytes, uint32_t flags,
                  uint32_t new_addr);
/* Shared by them: [start, end) is unmapped, areas and tables; the mmap lock is held. */
bool unmap_region(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end);
bool may_expand(const struct pe_kernel *k, uint32_t bytes, uint32_t flags); /* overcommit_memory 0 */

/* ---- process/fault.c ---- */

/* handle_mm_fault.  The mmap lock is held for reading. */
#define FAULT_FLAG_WRITE       0x01u
#define FAULT_FLAG_USER        0x02u
#define FAULT_FLAG_INSTRUCTION 0x04u
#define FAULT_FLAG_UNSHARE     0x08u
#define VM_FAULT_OOM           0x01u
#define VM_FAULT_SIGBUS        0x02u
#define VM_FAULT_SIGSEGV       0x04u
#define VM_FAULT_MAJOR         0x08u
#define VM_FAULT_FALLBACK      0x10u /* not by a huge page */
uint32_t handle_mm_fault(struct pe_kernel *k, struct mm *mm, struct vm_area *area, uint32_t addr, uint32_t flags);
/* NULL: the zero page, no RAM, or a page that is nobody's. */
struct page *vm_normal_page(const struct pe_kernel *k, pteval_t pte);

#define SIGKILL     9u
#define SIGBUS      7u
#define SIGSEGV     11u
#define SEGV_MAPERR 1u
#define SEGV_ACCERR 2u
/* process/abort.c: do_page_fault of an access from user mode.  True: handled; false: out has signal and code. */
bool do_page_fault(struct pe_kernel *k, struct mm *mm, uint32_t addr, pe_access access, pe_fault_result *out);
/* The area of an address, a stack grown down to it; NULL: none. */
struct vm_area *find_extend_vma(struct mm *mm, uint32_t addr);

/* ---- process/thp.c ---- */

uint32_t do_huge_anonymous_page(struct pe_kernel *k, struct mm *mm, struct vm_area *area, uint32_t addr,
                                const struct pmd *pmd);
uint32_t do_huge_fault(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, uint32_t addr, uint32_t flags);
bool thp_allowed(const struct pe_kernel *k, const struct vm_area *area, uint32_t addr);
void split_huge_pmd(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, uint32_t addr);
/* Deposited PTE pages: one for each huge page that is mapped. */
void pgtable_deposit(struct pe_kernel *k, struct mm *mm, struct page *table);
struct page *pgtable_withdraw(struct pe_kernel *k, struct mm *mm);

/* ---- process/gather.c ---- */

struct mmu_gather;
void tlb_remove_table(struct pe_kernel *k, struct mmu_gather *tlb, struct page *table);
/* Frees what waits, where no CPU is inside a section that holds it off. */
void rcu_grace_period(struct pe_kernel *k);

/* ---- whole ---- */

pe_status processes_init(struct pe_kernel *k, pe_error *err);
void processes_release(struct pe_kernel *k);
pe_status processes_check(const struct pe_kernel *k, pe_error *err); /* process/check.c */

#endif
