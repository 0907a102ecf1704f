/* SPDX-License-Identifier: GPL-2.0-or-later
 * struct mmu_gather (include/asm-generic/tlb.h): what has to be freed after the TLBs have forgotten it. */
#ifndef PYEMU_KERNEL_GATHER_H
#define PYEMU_KERNEL_GATHER_H

#include "kernel/process/mm.h"

#define MMU_GATHER_BUNDLE 8u
#define MAX_GATHER_BATCH  1021u /* (4096 - 12) / 4 */
#define MAX_TABLE_BATCH   1021u
#define GATHER_PAGES      (MMU_GATHER_BUNDLE + 10000 / MAX_GATHER_BATCH * MAX_GATHER_BATCH)

struct mmu_gather {
    struct mm *mm;
    bool fullmm;         /* the whole address space goes */
    uint32_t start, end; /* what the TLBs have to forget; nothing where start >= end */
    uint32_t count;      /* pages */
    uint32_t tables;     /* index of the first table of the batch, a list */
    uint32_t table_count;
    uint32_t header; /* the page that lists them, or NO_PAGE */
    uint32_t pages[GATHER_PAGES];
};

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm *mm, bool fullmm);
void tlb_flush_mmu(struct pe_kernel *k, struct mmu_gather *tlb);
void tlb_finish_mmu(struct pe_kernel *k, struct mmu_gather *tlb);

/* __tlb_adjust_range */
static inline void tlb_adjust(struct mmu_gather *tlb, uint32_t start, uint32_t end)
{
    tlb->start = start < tlb->start ? start : tlb->start;
    tlb->end = end > tlb->end ? end : tlb->end;
}

/* True: no more fit in, and the caller has to flush before the next. */
static inline bool tlb_remove_page(struct mmu_gather *tlb, uint32_t index)
{
    tlb->pages[tlb->count++] = index;
    return tlb->count == GATHER_PAGES;
}

/* process/zap.c: the mappings of [start, end), whose areas end there, go. */
void unmap_page_range(struct pe_kernel *k, struct mmu_gather *tlb, uint32_t start, uint32_t end);
/* Tables that no area between floor and ceiling needs any longer (free_pgd_range). */
void free_pgd_range(struct pe_kernel *k, struct mmu_gather *tlb, uint32_t start, uint32_t end, uint32_t floor,
                    uint32_t ceiling);
/* USER_PGTABLES_CEILING */
uint32_t pgtables_ceiling(const struct pe_kernel *k);

#endif
