/* SPDX-License-Identifier: GPL-2.0-or-later
 * Zones at boot: frames, what the boot left of them, watermarks and lowmem_reserve (mm/page_alloc.c, mm/khugepaged.c).
 */
#include "kernel/memory/boot.h"

#include "kernel/kernel.h"

#include <stdlib.h>

/* ---- frames ---- */

static uint32_t index_of(const struct pe_kernel *k, uint64_t pa)
{
    return (uint32_t)((pa - k->layout.phys_offset) >> PAGE_SHIFT);
}

static pe_status frames_init(struct pe_kernel *k, pe_error *err)
{
    struct frames *f = &k->frames;
    f->base_pfn = (uint32_t)(k->layout.phys_offset >> PAGE_SHIFT);
    f->count = index_of(k, k->layout.ram_end);
    f->highmem = index_of(k, k->layout.lowmem_limit);
    f->pageblock_order = k->config.tables == PE_TABLES_LPAE ? HPAGE_ORDER : MAX_ORDER;
    f->pages = heap_alloc(k, f->count, sizeof *f->pages);
    const uint32_t blocks = (f->count >> f->pageblock_order) + 1;
    f->migrate_type = heap_alloc(k, blocks, 1);
    if (!f->pages || !f->migrate_type) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for %u page frames", f->count);
    }
    memset(f->migrate_type, PE_MIGRATE_MOVABLE, blocks);
    return PE_OK;
}

static void zone_init(struct zone *zone, const char *name, uint32_t start, uint32_t end)
{
    *zone = (struct zone){.name = name, .start = start, .end = end};
    for (uint32_t order = 0; order < PE_PAGE_ORDERS; order++) {
        for (uint32_t type = 0; type < PE_MIGRATE_TYPES; type++) {
            zone->area[order].head[type] = NO_PAGE;
        }
    }
}

/* ---- what the allocator gets ---- */

static void release_range(struct pe_kernel *k, uint32_t start, uint32_t end)
{
    while (start < end) {
        struct zone *zone = page_zone(k->zones, &k->frames, &k->frames.pages[start]);
        const uint32_t stop = end < zone->end ? end : zone->end;
        while (start < stop) {
            uint32_t order = start ? (uint32_t)__builtin_ctz(start) : MAX_ORDER;
            order = order < MAX_ORDER ? order : MAX_ORDER;
            while (start + (1u << order) > stop) {
                order--;
            }
            free_boot_block(k, zone, start, order);
            zone->managed += 1u << order;
            start += 1u << order;
        }
    }
}

/* The pages of a range that a reservation does not touch, not even in part, cut where the CMA area begins and ends. */
static void release_gap(struct pe_kernel *k, uint64_t start, uint64_t end)
{
    const uint32_t first = index_of(k, start + PAGE_SIZE - 1), last = index_of(k, end);
    const uint32_t cuts[] = {first, index_of(k, k->reserved.cma_start), index_of(k, k->reserved.cma_end), last};
    for (uint32_t i = 0, from = first; i < sizeof cuts / sizeof cuts[0] && k->reserved.cma_end; i++) {
        if (cuts[i] > from && cuts[i] <= last) {
            release_range(k, from, cuts[i]);
            from = cuts[i];
        }
    }
    if (!k->reserved.cma_end && first < last) {
        release_range(k, first, last);
    }
}

static void reserve_frames(struct pe_kernel *k, const pe_kernel_range *range)
{
    for (uint32_t i = index_of(k, range->start); i <= index_of(k, range->end); i++) {
        k->frames.pages[i].flags = PE_PG_RESERVED;
        k->frames.pages[i].refcount = 1;
    }
}

static void release_memory(struct pe_kernel *k)
{
    const struct reservations *r = &k->reserved;
    for (uint64_t at = r->cma_start; at < r->cma_end; at += (uint64_t)PAGE_SIZE << k->frames.pageblock_order) {
        set_pageblock_type(&k->frames, index_of(k, at), PE_MIGRATE_CMA);
    }
    if (r->cma_end) {
        page_zone(k->zones, &k->frames, &k->frames.pages[index_of(k, r->cma_start)])->cma =
            (uint32_t)((r->cma_end - r->cma_start) >> PAGE_SHIFT);
    }
    uint64_t at = k->layout.phys_offset;
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->range[i].start > at) {
            release_gap(k, at, r->range[i].start);
        }
        reserve_frames(k, &r->range[i]);
        at = r->range[i].end + 1;
    }
    if (at < k->layout.ram_end) {
        release_gap(k, at, k->layout.ram_end);
    }
}

/* ---- watermarks ---- */

static uint32_t square_root(uint64_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        const uint64_t tried = root | bit;
        if (tried * tried <= value) {
            root |= bit;
        }
    }
    return root;
}

/* hugepage_init: THP is off by default where memory is less. */
#define THP_MIN_PAGES (512u << (20 - PAGE_SHIFT))

/* init_per_zone_wmark_min; with THP set_recommended_min_free_kbytes.  In pages. */
static uint32_t min_free_pages(const struct pe_kernel *k, uint32_t lowmem)
{
    uint32_t kilobytes = square_root((uint64_t)lowmem * 4 * 16);
    kilobytes = kilobytes < 128 ? 128 : kilobytes > 262144 ? 262144 : kilobytes;
    uint32_t pages = kilobytes / 4;
    if (k->config.flags & PE_KERNEL_THP && lowmem + k->zones[PE_ZONE_HIGHMEM].managed >= THP_MIN_PAGES) {
        /* One zone; two pageblocks, and one for each pair of the three movable types. */
        uint32_t recommended = (2 + 3 * 3) << k->frames.pageblock_order;
        recommended = recommended < lowmem / 20 ? recommended : lowmem / 20;
        pages = recommended > pages ? recommended : pages;
    }
    return pages;
}

/* setup_per_zone_wmarks, which runs while the init section still is reserved. */
static void set_watermarks(struct pe_kernel *k)
{
    const uint32_t init = (uint32_t)((k->reserved.init_end - k->reserved.init_start) >> PAGE_SHIFT);
    const uint32_t lowmem = k->zones[PE_ZONE_DMA].managed + k->zones[PE_ZONE_NORMAL].managed - init;
    const uint32_t min_free = min_free_pages(k, lowmem);
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        struct zone *zone = &k->zones[i];
        const uint32_t managed = zone->managed && i != PE_ZONE_HIGHMEM ? lowmem : zone->managed;
        const uint64_t share = (uint64_t)min_free * managed / lowmem;
        uint32_t min = (uint32_t)share;
        if (i == PE_ZONE_HIGHMEM && zone->managed) {
            min = zone->managed / 1024;
            min = min < 32 ? 32 : min > 128 ? 128 : min;
        }
        const uint64_t scaled = (uint64_t)managed * 10 / 10000; /* watermark_scale_factor */
        const uint32_t step = (uint32_t)(share / 4 > scaled ? share / 4 : scaled);
        zone->watermark[WMARK_MIN] = min;
        zone->watermark[WMARK_LOW] = min + step;
        zone->watermark[WMARK_HIGH] = min + 2 * step;
    }
}

/* setup_per_zone_lowmem_reserve: sysctl_lowmem_reserve_ratio is 256 for DMA, 32 for Normal. */
static void set_protection(struct pe_kernel *k)
{
    static const uint32_t ratio[PE_ZONES] = {256, 32, 0};
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        uint32_t above = 0;
        for (uint32_t j = i + 1; j < PE_ZONES && k->zones[i].managed; j++) {
            above += k->zones[j].managed;
            k->zones[i].protection[j] = ratio[i] ? above / ratio[i] : 0;
        }
    }
}

pe_status zones_init(struct pe_kernel *k, pe_error *err)
{
    pe_status status = frames_init(k, err);
    if (status) {
        return status;
    }
    const struct frames *f = &k->frames;
    const bool dma = k->config.flags & PE_KERNEL_ZONE_DMA;
    zone_init(&k->zones[PE_ZONE_DMA], "DMA", 0, dma ? f->highmem : 0);
    zone_init(&k->zones[PE_ZONE_NORMAL], "Normal", dma ? f->highmem : 0, f->highmem);
    zone_init(&k->zones[PE_ZONE_HIGHMEM], "HighMem", f->highmem, f->count);
    release_memory(k);
    set_watermarks(k);
    set_protection(k);
    return PE_OK;
}

void zones_release(struct pe_kernel *k)
{
    heap_free(k, k->frames.pages);
    heap_free(k, k->frames.migrate_type);
}
