/* SPDX-License-Identifier: GPL-2.0-or-later
 * Zones and their buddy allocator (mm/page_alloc.c): free lists by order and migrate type. */
#ifndef PYEMU_KERNEL_ZONE_H
#define PYEMU_KERNEL_ZONE_H

#include "kernel/memory/page.h"

#define MAX_ORDER (PE_PAGE_ORDERS - 1) /* the largest order */

enum zone_watermarks {
    WMARK_MIN = 0,
    WMARK_LOW = 1,
    WMARK_HIGH = 2,
    WMARKS = 3,
};

struct free_area {
    uint32_t head[PE_MIGRATE_TYPES]; /* index of the first block, or NO_PAGE */
    uint32_t count[PE_MIGRATE_TYPES];
};

struct zone {
    const char *name;
    uint32_t start, end; /* indices; empty where they are the same */
    uint32_t managed;
    uint32_t cma;
    uint32_t free; /* CMA included */
    uint32_t free_cma;
    uint32_t watermark[WMARKS];
    uint32_t protection[PE_ZONES]; /* lowmem_reserve */
    struct free_area area[PE_PAGE_ORDERS];
    uint32_t page_tables, anon, shmem, slab, kernel_stack;
};

static inline struct zone *page_zone(struct zone *zones, const struct frames *f, const struct page *page)
{
    const uint32_t index = page_index(f, page);
    if (index >= f->highmem) {
        return &zones[PE_ZONE_HIGHMEM];
    }
    return index < zones[PE_ZONE_DMA].end ? &zones[PE_ZONE_DMA] : &zones[PE_ZONE_NORMAL];
}

/* memory/buddy.c: within one zone.  The block that __rmqueue takes has no references yet; NULL when there is none. */
struct page *rmqueue(struct pe_kernel *k, struct zone *zone, uint32_t order, pe_migrate_type type);
void free_one_page(struct pe_kernel *k, struct zone *zone, struct page *page, uint32_t order);
pe_migrate_type pageblock_type(const struct frames *f, uint32_t index);
void set_pageblock_type(struct frames *f, uint32_t index, pe_migrate_type type);

/* memory/zones.c: makes frames, zones, watermarks; gives the allocator what the boot leaves. */
pe_status zones_init(struct pe_kernel *k, pe_error *err);
void zones_release(struct pe_kernel *k);

/* memory/alloc.c: the allocator's face (alloc_pages, __free_pages).  gfp: PE_GFP_*.  The page has one reference; with
 * PE_GFP_COMP all of its pages are one folio.  NULL when no zone has the pages; nothing is reclaimed. */
struct page *alloc_pages(struct pe_kernel *k, uint32_t gfp, uint32_t order);
void free_pages(struct pe_kernel *k, struct page *page, uint32_t order);
/* Drop a reference; the folio is freed with the last one. */
void put_page(struct pe_kernel *k, struct page *page);

/* memory/clear.c: contents of frames, through windows where they are highmem.  Frames that were never written are zero
 * already and cost the host nothing; the bill is the same. */
void clear_highpage(struct pe_kernel *k, struct page *page);
void copy_highpage(struct pe_kernel *k, struct page *to, struct page *from);

#endif
