/* SPDX-License-Identifier: GPL-2.0-or-later
 * The buddy allocator of a zone (mm/page_alloc.c): split, merge, and steal from other migrate types. */
#include "kernel/memory/boot.h"

#include "kernel/kernel.h"

/* ---- pageblocks ---- */

pe_migrate_type pageblock_type(const struct frames *f, uint32_t index)
{
    return (pe_migrate_type)f->migrate_type[index >> f->pageblock_order];
}

void set_pageblock_type(struct frames *f, uint32_t index, pe_migrate_type type)
{
    f->migrate_type[index >> f->pageblock_order] = (uint8_t)type;
}

/* ---- free lists: rings, whose head is the first ---- */

static void link_block(struct frames *f, struct free_area *area, uint32_t index, pe_migrate_type type, bool tail)
{
    struct page *page = &f->pages[index];
    const uint32_t first = area->head[type];
    page->private = type;
    area->count[type]++;
    if (first == NO_PAGE) {
        page->next = page->prev = index;
        area->head[type] = index;
        return;
    }
    const uint32_t last = f->pages[first].prev;
    page->next = first;
    page->prev = last;
    f->pages[last].next = index;
    f->pages[first].prev = index;
    if (!tail) {
        area->head[type] = index;
    }
}

static void unlink_block(struct frames *f, struct free_area *area, uint32_t index)
{
    struct page *page = &f->pages[index];
    const uint32_t type = page->private;
    area->count[type]--;
    if (page->next == index) {
        area->head[type] = NO_PAGE;
        return;
    }
    f->pages[page->next].prev = page->prev;
    f->pages[page->prev].next = page->next;
    if (area->head[type] == index) {
        area->head[type] = page->next;
    }
}

static void count_free(struct pe_kernel *k, struct zone *zone, uint32_t index, int32_t pages)
{
    zone->free += (uint32_t)pages;
    if (zone->cma && pageblock_type(&k->frames, index) == PE_MIGRATE_CMA) {
        zone->free_cma += (uint32_t)pages;
    }
}

static void add_block(struct frames *f, struct zone *zone, uint32_t index, uint32_t order, pe_migrate_type type,
                      bool tail)
{
    struct page *page = &f->pages[index];
    page->flags |= PE_PG_BUDDY;
    page->order = order;
    link_block(f, &zone->area[order], index, type, tail);
}

static void remove_block(struct frames *f, struct zone *zone, uint32_t index)
{
    struct page *page = &f->pages[index];
    unlink_block(f, &zone->area[page->order], index);
    page->flags &= ~(uint32_t)PE_PG_BUDDY;
    page->private = 0;
}

static void move_block(struct frames *f, struct zone *zone, uint32_t index, pe_migrate_type type)
{
    struct free_area *area = &zone->area[f->pages[index].order];
    unlink_block(f, area, index);
    link_block(f, area, index, type, false);
}

/* ---- free ---- */

/* Blocks of CMA and others stay apart, so that the area remains whole (page_is_buddy, __free_one_page). */
static bool may_merge(const struct frames *f, uint32_t index, uint32_t buddy, uint32_t order)
{
    if (order < f->pageblock_order) {
        return true;
    }
    const pe_migrate_type a = pageblock_type(f, index), b = pageblock_type(f, buddy);
    return a == b || (a != PE_MIGRATE_CMA && b != PE_MIGRATE_CMA);
}

static bool is_free_buddy(const struct frames *f, const struct zone *zone, uint32_t buddy, uint32_t order)
{
    return buddy >= zone->start && buddy < zone->end && f->pages[buddy].flags & PE_PG_BUDDY &&
           f->pages[buddy].order == order;
}

/* buddy_merge_likely: a block whose neighbours will soon be free goes to the end of its list. */
static bool merge_likely(const struct frames *f, const struct zone *zone, uint32_t index, uint32_t order)
{
    if (order >= MAX_ORDER - 1) {
        return false;
    }
    const uint32_t higher = index & (index ^ (1u << order));
    return is_free_buddy(f, zone, higher ^ (1u << (order + 1)), order + 1);
}

void free_one_page(struct pe_kernel *k, struct zone *zone, struct page *page, uint32_t order)
{
    struct frames *f = &k->frames;
    uint32_t index = page_index(f, page);
    count_free(k, zone, index, (int32_t)(1u << order));
    const pe_migrate_type type = pageblock_type(f, index);
    while (order < MAX_ORDER) {
        const uint32_t buddy = index ^ (1u << order);
        if (!is_free_buddy(f, zone, buddy, order) || !may_merge(f, index, buddy, order)) {
            break;
        }
        remove_block(f, zone, buddy);
        index &= buddy;
        order++;
    }
    add_block(f, zone, index, order, type, merge_likely(f, zone, index, order));
}

void free_boot_block(struct pe_kernel *k, struct zone *zone, uint32_t index, uint32_t order)
{
    count_free(k, zone, index, (int32_t)(1u << order));
    add_block(&k->frames, zone, index, order, pageblock_type(&k->frames, index), true);
}

/* ---- allocate ---- */

/* The rest of a block goes back by halves, of the type that it was taken as. */
static void expand(struct frames *f, struct zone *zone, uint32_t index, uint32_t low, uint32_t high,
                   pe_migrate_type type)
{
    while (high > low) {
        high--;
        add_block(f, zone, index + (1u << high), high, type, false);
    }
}

static struct page *rmqueue_smallest(struct pe_kernel *k, struct zone *zone, uint32_t order, pe_migrate_type type)
{
    for (uint32_t current = order; current <= MAX_ORDER; current++) {
        const uint32_t index = zone->area[current].head[type];
        if (index != NO_PAGE) {
            remove_block(&k->frames, zone, index);
            expand(&k->frames, zone, index, order, current, type);
            return &k->frames.pages[index];
        }
    }
    return NULL;
}

#define FALLBACKS 2
static const pe_migrate_type FALLBACK[PE_MIGRATE_TYPES][FALLBACKS] = {
    [PE_MIGRATE_UNMOVABLE] = {PE_MIGRATE_RECLAIMABLE, PE_MIGRATE_MOVABLE},
    [PE_MIGRATE_MOVABLE] = {PE_MIGRATE_RECLAIMABLE, PE_MIGRATE_UNMOVABLE},
    [PE_MIGRATE_RECLAIMABLE] = {PE_MIGRATE_UNMOVABLE, PE_MIGRATE_MOVABLE},
};

static bool can_steal_fallback(const struct frames *f, uint32_t order, pe_migrate_type type)
{
    return order >= f->pageblock_order / 2 || type != PE_MIGRATE_MOVABLE;
}

static uint32_t find_fallback(const struct zone *zone, uint32_t order, pe_migrate_type type)
{
    for (uint32_t i = 0; i < FALLBACKS; i++) {
        const uint32_t index = zone->area[order].head[FALLBACK[type][i]];
        if (index != NO_PAGE) {
            return index;
        }
    }
    return NO_PAGE;
}

struct block_count {
    uint32_t free, movable;
};

/* move_freepages: every free block of a pageblock changes its list. */
static struct block_count move_pageblock(struct pe_kernel *k, struct zone *zone, uint32_t index, pe_migrate_type type)
{
    struct frames *f = &k->frames;
    const uint32_t size = 1u << f->pageblock_order;
    struct block_count count = {0, 0};
    uint32_t at = index & ~(size - 1);
    const uint32_t end = at + size < zone->end ? at + size : zone->end;
    for (at = at < zone->start ? zone->start : at; at < end;) {
        const struct page *page = &f->pages[at];
        if (page->flags & PE_PG_BUDDY) {
            move_block(f, zone, at, type);
            count.free += 1u << page->order;
            at += 1u << page->order;
        } else {
            count.movable += page->flags & PE_PG_ANON ? 1 : 0;
            at++;
        }
    }
    return count;
}

/* steal_suitable_fallback: the block, its pageblock's free pages, or the whole pageblock becomes ours. */
static void steal(struct pe_kernel *k, struct zone *zone, uint32_t index, pe_migrate_type type, bool whole)
{
    struct frames *f = &k->frames;
    const uint32_t order = f->pages[index].order, size = 1u << f->pageblock_order;
    k->stats.alloc_fallback_type++;
    if (order >= f->pageblock_order) {
        for (uint32_t i = 0; i < 1u << (order - f->pageblock_order); i++) {
            set_pageblock_type(f, index + i * size, type);
            k->stats.pageblocks_stolen++;
        }
    } else if (whole) {
        const pe_migrate_type old = pageblock_type(f, index);
        const struct block_count count = move_pageblock(k, zone, index, type);
        uint32_t alike = 0;
        if (type == PE_MIGRATE_MOVABLE) {
            alike = count.movable;
        } else if (old == PE_MIGRATE_MOVABLE) {
            alike = size - count.free - count.movable;
        }
        if (count.free + alike >= size / 2) {
            set_pageblock_type(f, index, type);
            k->stats.pageblocks_stolen++;
        }
        return;
    }
    move_block(f, zone, index, type);
}

/* __rmqueue_fallback: from the largest block of another type, so that few pageblocks become mixed. */
static bool rmqueue_fallback(struct pe_kernel *k, struct zone *zone, uint32_t order, pe_migrate_type type)
{
    for (uint32_t current = MAX_ORDER + 1; current-- > order;) {
        uint32_t index = find_fallback(zone, current, type);
        if (index == NO_PAGE) {
            continue;
        }
        const bool whole = can_steal_fallback(&k->frames, current, type);
        if (!whole && current > order) {
            for (uint32_t smaller = order; smaller <= current; smaller++) {
                if ((index = find_fallback(zone, smaller, type)) != NO_PAGE) {
                    break;
                }
            }
        }
        steal(k, zone, index, type, whole);
        return true;
    }
    return false;
}

struct page *rmqueue(struct pe_kernel *k, struct zone *zone, uint32_t order, pe_migrate_type type)
{
    struct page *page = NULL;
    const bool movable = type == PE_MIGRATE_MOVABLE;
    if (movable && zone->free_cma > zone->free / 2) {
        page = rmqueue_smallest(k, zone, order, PE_MIGRATE_CMA);
    }
    if (!page) {
        page = rmqueue_smallest(k, zone, order, type);
    }
    if (!page && movable) {
        page = rmqueue_smallest(k, zone, order, PE_MIGRATE_CMA);
    }
    while (!page && rmqueue_fallback(k, zone, order, type)) {
        page = rmqueue_smallest(k, zone, order, type);
    }
    if (page) {
        count_free(k, zone, page_index(&k->frames, page), -(int32_t)(1u << order));
    }
    return page;
}
