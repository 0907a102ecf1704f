/* SPDX-License-Identifier: GPL-2.0-or-later
 * Page frames and zones. */
#ifndef PYEMU_ABI_KERNEL_MEMORY_H
#define PYEMU_ABI_KERNEL_MEMORY_H

#include "abi/kernel/model.h"

typedef enum pe_zone {
    PE_ZONE_DMA = 0,
    PE_ZONE_NORMAL = 1,
    PE_ZONE_HIGHMEM = 2,
} pe_zone;
#define PE_ZONES 3

typedef enum pe_migrate_type {
    PE_MIGRATE_UNMOVABLE = 0,
    PE_MIGRATE_MOVABLE = 1,
    PE_MIGRATE_RECLAIMABLE = 2,
    PE_MIGRATE_CMA = 3,
} pe_migrate_type;
#define PE_MIGRATE_TYPES 4
#define PE_PAGE_ORDERS   12 /* 4 KB to 8 MB: ARCH_FORCE_MAX_ORDER of multi-platform kernels */

/* Which memory an allocation may take. */
#define PE_GFP_HIGHMEM     0x01
#define PE_GFP_MOVABLE     0x02
#define PE_GFP_RECLAIMABLE 0x04
#define PE_GFP_ZERO        0x08
#define PE_GFP_HIGH        0x10 /* may go below the min watermark */
#define PE_GFP_COMP        0x20 /* one large folio */
#define PE_GFP_DMA         0x40

/* pe_page_info.flags */
#define PE_PG_RESERVED   0x0001 /* taken by the boot */
#define PE_PG_BUDDY      0x0002 /* first page of a free block */
#define PE_PG_HEAD       0x0004 /* of a large folio */
#define PE_PG_TAIL       0x0008
#define PE_PG_TABLE      0x0010 /* a page table */
#define PE_PG_ANON       0x0020
#define PE_PG_EXCLUSIVE  0x0040 /* AnonExclusive */
#define PE_PG_REFERENCED 0x0080
#define PE_PG_DIRTY      0x0100
#define PE_PG_PINNABLE   0x0200 /* may be pinned for long: not CMA */
#define PE_PG_BACKED     0x0400 /* was written: has to be cleared before it is used again */
#define PE_PG_ZERO       0x0800 /* the zero page */
#define PE_PG_SLAB       0x1000 /* other data of the kernel: first levels, stacks */

typedef struct pe_page_info {
    uint64_t pfn;
    int32_t refcount;
    int32_t mapcount; /* page-table entries that map it */
    int32_t pincount; /* of a large folio's head */
    uint32_t flags;   /* PE_PG_* */
    uint32_t order;   /* of the free block or large folio that it begins */
    uint64_t head;    /* pfn of the folio's head */
    pe_zone zone;
    pe_migrate_type migrate_type; /* of its pageblock */
    bool free;
} pe_page_info;

typedef struct pe_zone_info {
    const char *name; /* "DMA", "Normal", "HighMem" */
    uint64_t start_pfn;
    uint64_t spanned, present, managed, cma; /* pages */
    uint64_t free, free_cma;
    uint64_t min, low, high;     /* watermarks */
    uint64_t protection[3];      /* lowmem_reserve against allocations of each zone */
    uint64_t free_blocks[4][12]; /* by migrate type and order */
    uint64_t pageblocks[4];      /* by migrate type */
    uint64_t page_tables;        /* frames in use as tables, by zone */
    uint64_t kernel_stack, slab, anon, shmem, mapped;
} pe_zone_info;

/* /proc/meminfo, in pages. */
typedef struct pe_meminfo {
    uint64_t mem_total, mem_free, mem_available;
    uint64_t high_total, high_free, low_total, low_free;
    uint64_t cma_total, cma_free;
    uint64_t page_tables, kernel_stack, slab;
    uint64_t anon_pages, anon_huge_pages, mapped, shmem;
    uint64_t vmalloc_total;
    uint64_t min_free;
} pe_meminfo;

/* 2^order pages that touch; `pfn` is the first.  PE_ERR_MEMORY, of the guest, when no zone has them. */
pe_status pe_kernel_alloc_pages(pe_kernel *kernel, uint32_t order, uint32_t gfp, uint32_t *pfn, pe_error *err);
/* count allocations of an order; returns how many could be made. */
size_t pe_kernel_alloc_bulk(pe_kernel *kernel, uint32_t order, uint32_t gfp, uint32_t *pfn, size_t count);
/* Drops a reference of what pe_kernel_alloc_pages gave.  PE_ERR_ARGUMENT where the page is no such one. */
pe_status pe_kernel_free_pages(pe_kernel *kernel, uint32_t pfn, uint32_t order, pe_error *err);
pe_status pe_kernel_page(const pe_kernel *kernel, uint64_t pfn, pe_page_info *out, pe_error *err);
pe_status pe_kernel_zone(const pe_kernel *kernel, pe_zone zone, pe_zone_info *out, pe_error *err);
void pe_kernel_meminfo(const pe_kernel *kernel, pe_meminfo *out);
/* Counts every frame anew and compares with lists and counters; PE_ERR_STATE with what does not agree. */
pe_status pe_kernel_check(const pe_kernel *kernel, pe_error *err);

#endif
