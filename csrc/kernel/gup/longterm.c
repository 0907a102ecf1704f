/* SPDX-License-Identifier: GPL-2.0-or-later
 * FOLL_LONGTERM (mm/gup.c, __gup_longterm_locked): no page of CMA stays pinned for long. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"
#include "kernel/tables/tlbflush.h"

static void unpin_from(struct pe_kernel *k, struct gup *gup, uint32_t first)
{
    while (gup->got > first) {
        gup_put_folio(k, pfn_to_page(&k->frames, gup->pfns[--gup->got]), 1, gup->flags);
    }
}

static bool all_pinnable(const struct pe_kernel *k, const struct gup *gup, uint32_t first, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        if (!folio_is_longterm_pinnable(k, pfn_to_page(&k->frames, gup->pfns[first + i]))) {
            return false;
        }
    }
    return true;
}

/* A page that copies itself out of CMA: anonymous, small, and mapped here alone.  The kernel moves others too, by the
 * reverse map, which the model does not have. */
static bool can_move(const struct page *page)
{
    return page->flags & PE_PG_ANON && !(page->flags & (PE_PG_HEAD | PE_PG_TAIL)) && page->mapcount == 1 &&
           page->refcount == 1;
}

/* migrate_pages of one page: the entry of a mapped table points to a copy. */
static bool move_entry(struct pe_kernel *k, const struct pte_table *table, uint32_t addr, struct page *from)
{
    const uint32_t index = pte_index(addr);
    const pteval_t pte = ptep_get(k, table, index);
    struct page *to = NULL;
    if (pfn_to_page(&k->frames, pte_pfn(k->bits, pte)) == from) {
        to = alloc_pages(k, PE_GFP_HIGHMEM, 0); /* not movable: not from CMA */
    }
    if (!to) {
        return false;
    }
    copy_highpage(k, to, from);
    to->mapcount = 1;
    to->flags |= from->flags & (PE_PG_ANON | PE_PG_EXCLUSIVE | PE_PG_REFERENCED | PE_PG_DIRTY);
    set_pte_at(k, addr, table, index, (pte & ~k->bits->pfn) | page_to_phys(&k->frames, to));
    page_zone(k->zones, &k->frames, to)->anon++;
    page_zone(k->zones, &k->frames, from)->anon--;
    from->mapcount = 0;
    from->flags &= ~(uint32_t)(PE_PG_ANON | PE_PG_EXCLUSIVE);
    put_page(k, from);
    return true;
}

static bool move_page(struct pe_kernel *k, struct gup *gup, uint32_t addr, struct page *from)
{
    struct pmd pmd;
    struct pte_table table;
    pmd_offset(k, gup->mm, addr, &pmd);
    if (!can_move(from) || !pmd.host || !pte_offset_map_lock(k, &pmd, &table)) {
        return false;
    }
    const bool moved = move_entry(k, &table, addr, from);
    pte_unmap_unlock(k, &table);
    flush_tlb_page(k, gup->mm, addr);
    return moved;
}

/* check_and_migrate_movable_pages: their pfns are still in the list, though none is pinned any more. */
static bool move_all(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        struct page *page = pfn_to_page(&k->frames, gup->pfns[gup->got + i]);
        if (!folio_is_longterm_pinnable(k, page) && !move_page(k, gup, start + (i << PAGE_SHIFT), page)) {
            return false;
        }
    }
    return true;
}

int32_t gup_longterm_locked(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    if (!(gup->flags & FOLL_LONGTERM)) {
        return get_user_pages_locked(k, gup, start, nr);
    }
    const uint32_t first = gup->got;
    for (;;) {
        const int32_t pages = get_user_pages_locked(k, gup, start, nr);
        if (pages <= 0 || all_pinnable(k, gup, first, (uint32_t)pages)) {
            return pages;
        }
        unpin_from(k, gup, first);
        if (!move_all(k, gup, start, (uint32_t)pages)) {
            return -LINUX_ENOMEM;
        }
    }
}
