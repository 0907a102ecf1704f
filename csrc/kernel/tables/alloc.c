/* SPDX-License-Identifier: GPL-2.0-or-later
 * Frames for tables (asm/pgalloc.h): PTE pages from highmem with HIGHPTE, all others from lowmem. */
#include "kernel/kernel.h"

struct page *table_page_alloc(struct pe_kernel *k, uint32_t gfp)
{
    struct page *page = alloc_pages(k, gfp | PE_GFP_ZERO, 0);
    if (page) {
        page->flags |= PE_PG_TABLE | PE_PG_BACKED;
        page_zone(k->zones, &k->frames, page)->page_tables++;
    }
    return page;
}

void table_page_free(struct pe_kernel *k, struct page *page)
{
    page->flags &= ~(uint32_t)PE_PG_TABLE;
    page->private = 0;
    page_zone(k->zones, &k->frames, page)->page_tables--;
    put_page(k, page);
}

struct page *pte_alloc_one(struct pe_kernel *k)
{
    struct page *page = table_page_alloc(k, k->config.flags & PE_KERNEL_HIGHPTE ? PE_GFP_HIGHMEM : 0);
    if (page) {
        k->stats.pte_tables_high += page_is_high(&k->frames, page);
        k->stats.pte_tables_low += !page_is_high(&k->frames, page);
    }
    return page;
}

void pte_free(struct pe_kernel *k, struct page *table)
{
    table_page_free(k, table);
}
