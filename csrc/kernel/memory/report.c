/* SPDX-License-Identifier: GPL-2.0-or-later
 * What can be asked about frames and zones: /proc/meminfo, /proc/zoneinfo, /proc/buddyinfo, and a full recount. */
#include "kernel/kernel.h"

#include <stdlib.h>

static bool is_free(const struct pe_kernel *k, uint32_t index)
{
    for (uint32_t order = 0; order <= MAX_ORDER; order++) {
        const struct page *head = &k->frames.pages[index & ~((1u << order) - 1)];
        if (head->flags & PE_PG_BUDDY && head->order >= order) {
            return true;
        }
    }
    return false;
}

pe_status pe_kernel_page(const pe_kernel *k, uint64_t pfn, pe_page_info *out, pe_error *err)
{
    struct frames *f = (struct frames *)(uintptr_t)&k->frames;
    struct page *page = pfn_to_page(f, pfn);
    if (!page) {
        return pe_fail(err, PE_ERR_RANGE, "no frame 0x%llx: 0x%x to 0x%x are", (unsigned long long)pfn, f->base_pfn,
                       f->base_pfn + f->count - 1);
    }
    const uint32_t index = page_index(f, page);
    const struct page *head = page_head(f, page);
    *out = (pe_page_info){
        .pfn = pfn,
        .refcount = page->refcount,
        .mapcount = page->mapcount,
        .pincount = (int32_t)page->pincount,
        .flags = page->flags,
        .order = page->flags & (PE_PG_BUDDY | PE_PG_HEAD) ? page->order : 0,
        .head = page_to_pfn(f, head),
        .zone = (pe_zone)(page_zone((struct zone *)(uintptr_t)k->zones, f, page) - k->zones),
        .migrate_type = pageblock_type(f, index),
        .free = is_free(k, index),
    };
    return PE_OK;
}

pe_status pe_kernel_zone(const pe_kernel *k, pe_zone id, pe_zone_info *out, pe_error *err)
{
    if ((unsigned)id >= PE_ZONES) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no zone %d: 0 to %d are", (int)id, PE_ZONES - 1);
    }
    const struct zone *z = &k->zones[id];
    const struct frames *f = &k->frames;
    *out = (pe_zone_info){
        .name = z->name,
        .start_pfn = z->end > z->start ? f->base_pfn + z->start : 0,
        .spanned = z->end - z->start,
        .present = z->end - z->start,
        .managed = z->managed,
        .cma = z->cma,
        .free = z->free,
        .free_cma = z->free_cma,
        .min = z->watermark[WMARK_MIN],
        .low = z->watermark[WMARK_LOW],
        .high = z->watermark[WMARK_HIGH],
        .page_tables = z->page_tables,
        .kernel_stack = z->kernel_stack,
        .slab = z->slab,
        .anon = z->anon,
        .shmem = z->shmem,
    };
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        out->protection[i] = z->protection[i];
    }
    for (uint32_t order = 0; order < PE_PAGE_ORDERS; order++) {
        for (uint32_t type = 0; type < PE_MIGRATE_TYPES; type++) {
            out->free_blocks[type][order] = z->area[order].count[type];
        }
    }
    for (uint32_t at = z->start; at < z->end; at += 1u << f->pageblock_order) {
        out->pageblocks[pageblock_type(f, at)]++;
    }
    return PE_OK;
}

/* si_mem_available: what is free, without what each zone keeps for itself (calculate_totalreserve_pages). */
static uint64_t available(const struct pe_kernel *k)
{
    uint64_t free = 0, reserved = 0;
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        const struct zone *z = &k->zones[i];
        uint64_t most = 0;
        for (uint32_t j = i; j < PE_ZONES; j++) {
            most = z->protection[j] > most ? z->protection[j] : most;
        }
        most += z->watermark[WMARK_HIGH];
        free += z->free;
        reserved += most < z->managed ? most : z->managed;
    }
    return free > reserved ? free - reserved : 0;
}

void pe_kernel_meminfo(const pe_kernel *k, pe_meminfo *out)
{
    *out = (pe_meminfo){0};
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        const struct zone *z = &k->zones[i];
        out->mem_total += z->managed;
        out->mem_free += z->free;
        out->cma_total += z->cma;
        out->cma_free += z->free_cma;
        out->page_tables += z->page_tables;
        out->kernel_stack += z->kernel_stack;
        out->slab += z->slab;
        out->anon_pages += z->anon;
        out->shmem += z->shmem;
    }
    out->high_total = k->zones[PE_ZONE_HIGHMEM].managed;
    out->high_free = k->zones[PE_ZONE_HIGHMEM].free;
    out->low_total = out->mem_total - out->high_total;
    out->low_free = out->mem_free - out->high_free;
    out->mem_available = available(k);
    out->mapped = out->shmem;
    for (const struct mm *mm = k->tasks.mms; mm; mm = mm->next) {
        out->anon_huge_pages += mm->rss_huge;
    }
    out->vmalloc_total = (k->layout.vmalloc_end - k->layout.vmalloc_start) >> PAGE_SHIFT;
    for (uint32_t i = 0; i < PE_ZONE_HIGHMEM; i++) {
        out->min_free += k->zones[i].watermark[WMARK_MIN];
    }
}

/* ---- recount ---- */

static pe_status wrong(pe_error *err, const struct zone *z, const char *what, uint64_t counted, uint64_t kept)
{
    return pe_fail(err, PE_ERR_STATE, "zone %s: %s: %llu counted, %llu kept", z->name, what,
                   (unsigned long long)counted, (unsigned long long)kept);
}

/* Each list is a ring of blocks of its order and type, aligned and inside the zone; marks them as seen. */
static pe_status check_list(const struct pe_kernel *k, const struct zone *z, uint32_t order, uint32_t type,
                            uint8_t *seen, pe_error *err)
{
    const struct free_area *area = &z->area[order];
    const uint32_t size = 1u << order;
    uint32_t at = area->head[type], count = 0;
    while (at != NO_PAGE && count <= area->count[type]) {
        const struct page *page = &k->frames.pages[at];
        if (at < z->start || at + size > z->end || at & (size - 1) || !(page->flags & PE_PG_BUDDY) ||
            page->order != order || page->private != type || page->refcount) {
            return pe_fail(err, PE_ERR_STATE, "zone %s: frame %u is in the list of order %u, type %u, and is none",
                           z->name, at, order, type);
        }
        for (uint32_t i = 0; i < size; i++) {
            if (seen[at + i]++ || k->frames.pages[at + i].refcount) {
                return pe_fail(err, PE_ERR_STATE, "zone %s: frame %u is free twice, or in use", z->name, at + i);
            }
        }
        count++;
        at = page->next == area->head[type] ? NO_PAGE : page->next;
    }
    return count == area->count[type] ? PE_OK : wrong(err, z, "blocks of a list", count, area->count[type]);
}

static pe_status check_zone(const struct pe_kernel *k, const struct zone *z, uint8_t *seen, pe_error *err)
{
    for (uint32_t order = 0; order <= MAX_ORDER; order++) {
        for (uint32_t type = 0; type < PE_MIGRATE_TYPES; type++) {
            pe_status status = check_list(k, z, order, type, seen, err);
            if (status) {
                return status;
            }
        }
    }
    uint64_t free = 0, reserved = 0, cma = 0, tables = 0;
    for (uint32_t i = z->start; i < z->end; i++) {
        const struct page *page = &k->frames.pages[i];
        free += seen[i];
        cma += seen[i] && pageblock_type(&k->frames, i) == PE_MIGRATE_CMA;
        reserved += page->flags & PE_PG_RESERVED ? 1 : 0;
        tables += page->flags & PE_PG_TABLE ? 1 : 0;
    }
    if (free != z->free) {
        return wrong(err, z, "free pages", free, z->free);
    }
    if (cma != z->free_cma) {
        return wrong(err, z, "free CMA pages", cma, z->free_cma);
    }
    if (tables != z->page_tables) {
        return wrong(err, z, "page tables", tables, z->page_tables);
    }
    const uint64_t managed = z->end - z->start - reserved;
    return managed == z->managed ? PE_OK : wrong(err, z, "managed pages", managed, z->managed);
}

pe_status pe_kernel_check(const pe_kernel *k, pe_error *err)
{
    uint8_t *seen = calloc(k->frames.count, 1);
    if (!seen) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for a check");
    }
    pe_status status = PE_OK;
    for (uint32_t i = 0; i < PE_ZONES && status == PE_OK; i++) {
        status = check_zone(k, &k->zones[i], seen, err);
    }
    free(seen);
    return status ? status : processes_check(k, err);
}
