/* SPDX-License-Identifier: GPL-2.0-or-later
 * alloc_pages and free: zonelists, watermarks, references (mm/page_alloc.c). */
#include "kernel/cost.h"

/* ---- which zone ---- */

static pe_zone highest_zone(uint32_t gfp)
{
    if (gfp & PE_GFP_HIGHMEM) {
        return PE_ZONE_HIGHMEM;
    }
    return gfp & PE_GFP_DMA ? PE_ZONE_DMA : PE_ZONE_NORMAL;
}

static pe_migrate_type gfp_migrate_type(uint32_t gfp)
{
    if (gfp & PE_GFP_MOVABLE) {
        return PE_MIGRATE_MOVABLE;
    }
    return gfp & PE_GFP_RECLAIMABLE ? PE_MIGRATE_RECLAIMABLE : PE_MIGRATE_UNMOVABLE;
}

/* A block of at least this order that the type may take without going through another type's pages first. */
static bool has_block(const struct zone *zone, uint32_t order, bool cma)
{
    for (uint32_t current = order; current <= MAX_ORDER; current++) {
        const struct free_area *area = &zone->area[current];
        if (area->count[PE_MIGRATE_UNMOVABLE] || area->count[PE_MIGRATE_MOVABLE] ||
            area->count[PE_MIGRATE_RECLAIMABLE] || (cma && area->count[PE_MIGRATE_CMA])) {
            return true;
        }
    }
    return false;
}

/* __zone_watermark_ok */
static bool watermark_ok(const struct zone *zone, uint32_t order, uint32_t mark, pe_zone highest, bool cma)
{
    int64_t left = (int64_t)zone->free - ((1 << order) - 1);
    if (!cma) {
        left -= zone->free_cma;
    }
    return left > (int64_t)mark + zone->protection[highest] && (order == 0 || has_block(zone, order, cma));
}

static struct page *from_freelist(struct pe_kernel *k, uint32_t gfp, uint32_t order, enum zone_watermarks mark)
{
    const pe_zone highest = highest_zone(gfp);
    const pe_migrate_type type = gfp_migrate_type(gfp);
    bool first = true;
    for (uint32_t i = (uint32_t)highest + 1; i-- > 0;) {
        struct zone *zone = &k->zones[i];
        if (!zone->managed) {
            continue;
        }
        uint32_t level = zone->watermark[mark];
        if (mark == WMARK_MIN && gfp & PE_GFP_HIGH) {
            level -= level / 2;
        }
        if (watermark_ok(zone, order, level, highest, type == PE_MIGRATE_MOVABLE)) {
            struct page *page = rmqueue(k, zone, order, type);
            if (page) {
                k->stats.alloc_fallback_zone += !first;
                return page;
            }
        }
        first = false;
    }
    return NULL;
}

/* ---- face ---- */

static void make_folio(struct pe_kernel *k, struct page *head, uint32_t order)
{
    const uint32_t index = page_index(&k->frames, head);
    head->flags |= PE_PG_HEAD;
    head->order = order;
    for (uint32_t i = 1; i < 1u << order; i++) {
        head[i].flags = (head[i].flags & PE_PG_BACKED) | PE_PG_TAIL;
        head[i].next = index;
    }
}

struct page *alloc_pages(struct pe_kernel *k, uint32_t gfp, uint32_t order)
{
    cost_insns(k, k->costs.memory.alloc_page + (uint64_t)order * k->costs.memory.alloc_order);
    struct page *page = order <= MAX_ORDER ? from_freelist(k, gfp, order, WMARK_LOW) : NULL;
    if (!page && order <= MAX_ORDER) {
        page = from_freelist(k, gfp, order, WMARK_MIN); /* kswapd finds nothing to free */
    }
    if (!page) {
        k->stats.alloc_failures++;
        return NULL;
    }
    k->stats.pages_allocated += 1u << order;
    page->refcount = 1;
    page->mapcount = 0;
    page->order = order;
    cost_page(k, page, PE_WRITE);
    if (order && gfp & PE_GFP_COMP) {
        make_folio(k, page, order);
    }
    for (uint32_t i = 0; gfp & PE_GFP_ZERO && i < 1u << order; i++) {
        clear_highpage(k, &page[i]);
    }
    return page;
}

void free_pages(struct pe_kernel *k, struct page *page, uint32_t order)
{
    cost_insns(k, k->costs.memory.free_page);
    cost_page(k, page, PE_WRITE);
    const bool folio = page->flags & PE_PG_HEAD;
    page->refcount = 0;
    page->pincount = 0;
    page->flags &= PE_PG_BACKED;
    for (uint32_t i = 1; folio && i < 1u << order; i++) {
        page[i].flags &= PE_PG_BACKED;
    }
    k->stats.pages_freed += 1u << order;
    free_one_page(k, page_zone(k->zones, &k->frames, page), page, order);
}

void put_page(struct pe_kernel *k, struct page *page)
{
    struct page *head = page_head(&k->frames, page);
    if (--head->refcount == 0) {
        free_pages(k, head, head->order);
    }
}

/* ---- from outside ---- */

static pe_status no_memory(pe_error *err, uint32_t order, uint32_t gfp)
{
    return pe_fail(err, PE_ERR_MEMORY, "no zone has %u free pages that touch for gfp 0x%x", 1u << order, gfp);
}

pe_status pe_kernel_alloc_pages(pe_kernel *k, uint32_t order, uint32_t gfp, uint32_t *pfn, pe_error *err)
{
    if (order > MAX_ORDER) {
        return pe_fail(err, PE_ERR_ARGUMENT, "order %u is too much: 0 to %u are allocated", order, MAX_ORDER);
    }
    const struct page *page = alloc_pages(k, gfp, order);
    if (!page) {
        return no_memory(err, order, gfp);
    }
    *pfn = page_to_pfn(&k->frames, page);
    return PE_OK;
}

size_t pe_kernel_alloc_bulk(pe_kernel *k, uint32_t order, uint32_t gfp, uint32_t *pfn, size_t count)
{
    size_t made = 0;
    while (made < count) {
        const struct page *page = alloc_pages(k, gfp, order);
        if (!page) {
            break;
        }
        pfn[made++] = page_to_pfn(&k->frames, page);
    }
    return made;
}

pe_status pe_kernel_free_pages(pe_kernel *k, uint32_t pfn, uint32_t order, pe_error *err)
{
    struct page *page = pfn_to_page(&k->frames, pfn);
    const uint32_t used = PE_PG_RESERVED | PE_PG_BUDDY | PE_PG_TAIL | PE_PG_TABLE | PE_PG_ANON | PE_PG_SLAB;
    if (!page || page->flags & used || page->refcount < 1 || page->order != order || page->mapcount) {
        return pe_fail(err, PE_ERR_ARGUMENT, "pfn 0x%x is no allocation of order %u", pfn, order);
    }
    put_page(k, page);
    return PE_OK;
}
