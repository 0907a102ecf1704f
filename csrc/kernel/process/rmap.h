/* SPDX-License-Identifier: GPL-2.0-or-later
 * References and mappings of frames (mm/rmap.c), and steps through tables that several paths share. */
#ifndef PYEMU_KERNEL_RMAP_H
#define PYEMU_KERNEL_RMAP_H

#include "kernel/cost.h"

static inline void get_page(struct pe_kernel *k, struct page *page)
{
    page_head(&k->frames, page)->refcount++;
}

/* One more entry maps the page.  A head counts the entries of its whole folio. */
static inline void page_add_rmap(struct pe_kernel *k, struct page *page)
{
    struct page *head = page_head(&k->frames, page);
    if (page != head) {
        page->mapcount++;
    }
    if (head->mapcount++ == 0 && head->flags & PE_PG_ANON) {
        page_zone(k->zones, &k->frames, head)->anon += 1u << head->order;
    }
}

static inline void page_add_new_anon_rmap(struct pe_kernel *k, struct page *page)
{
    page->flags |= PE_PG_ANON | PE_PG_EXCLUSIVE;
    page_add_rmap(k, page);
}

/* False: an entry named a page that nothing maps; its reference is not the entry's to drop. */
static inline bool page_remove_rmap(struct pe_kernel *k, struct page *page)
{
    struct page *head = page_head(&k->frames, page);
    if (head->mapcount <= 0 || head->refcount <= 0 || (page != head && page->mapcount <= 0)) {
        report(k, PE_REPORT_BAD_PMD, PE_LOCKS, false, page_to_pfn(&k->frames, page));
        return false;
    }
    if (page != head) {
        page->mapcount--;
    }
    if (--head->mapcount == 0 && head->flags & PE_PG_ANON) {
        page_zone(k->zones, &k->frames, head)->anon -= 1u << head->order;
    }
    return true;
}

/* page_maybe_dma_pinned */
static inline bool page_maybe_pinned(struct pe_kernel *k, struct page *page)
{
    const struct page *head = page_head(&k->frames, page);
    return head->flags & PE_PG_HEAD ? head->pincount > 0 : head->refcount >= GUP_PIN_COUNTING_BIAS;
}

/* Programs of a machine store without the model: whatever they may write has to be cleared before it is used again. */
static inline void page_writable(struct pe_kernel *k, struct page *page)
{
    if (k->machine) {
        page->flags |= PE_PG_BACKED;
    }
}

static inline uint32_t pmd_addr_end(uint32_t addr, uint32_t end)
{
    const uint32_t next = (addr & ~(PMD_SIZE - 1)) + PMD_SIZE;
    return next < end ? next : end;
}

/* pgd_addr_end: with long descriptors a missing PMD page is 1 GB. */
static inline uint32_t absent_addr_end(const struct pe_kernel *k, uint32_t addr, uint32_t end)
{
    if (k->config.tables != PE_TABLES_LPAE) {
        return pmd_addr_end(addr, end);
    }
    const uint64_t next = ((uint64_t)addr | 0x3fffffff) + 1;
    return next < end ? (uint32_t)next : end;
}

/* The first entry from index on that is not none; end where there is none. */
static inline uint32_t next_entry(const struct pe_kernel *k, const uint8_t *host, uint32_t index, uint32_t end)
{
    if (k->bits->pte_bytes == 8) {
        for (; index < end; index++) {
            uint64_t wide;
            memcpy(&wide, host + index * 8u, sizeof wide);
            if (wide) {
                break;
            }
        }
        return index;
    }
    for (; index < end; index++) {
        uint32_t narrow;
        memcpy(&narrow, host + index * 4u, sizeof narrow);
        if (narrow) {
            break;
        }
    }
    return index;
}

/* Entries [from, to) are looked at, none of them one by one. */
static inline void cost_scan(struct pe_kernel *k, const struct pte_table *table, uint32_t from, uint32_t to)
{
    if (cost_billed(k) && from < to) {
        const uint32_t at = from * k->bits->pte_bytes;
        cost_stream_billed(k, table->va + at, table->pa + at, (to - from) * k->bits->pte_bytes, PE_READ);
    }
}

#endif
