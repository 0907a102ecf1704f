/* SPDX-License-Identifier: GPL-2.0-or-later
 * First levels of address spaces (arch/arm/mm/pgd.c): 32 bytes of kmalloc with LPAE, 16 KB with short descriptors. */
#include "kernel/cost.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/lpae.h"

#include <stdlib.h>

#define PGD_ORDER    2   /* of short descriptors */
#define OBJECT_BYTES 64u /* kmalloc-64: the smallest slab that DMA to a cache line allows */
#define OBJECTS      (PAGE_SIZE / OBJECT_BYTES)

/* ---- the slab of LPAE's first levels ---- */

static struct pgd_slab *slab_with_room(struct pe_kernel *k)
{
    struct pgd_slabs *all = &k->pgd_slabs;
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->slab[i].used != UINT64_MAX) {
            return &all->slab[i];
        }
    }
    if (all->count == all->capacity) {
        const uint32_t capacity = all->capacity ? 2 * all->capacity : 8;
        struct pgd_slab *grown = heap_grow(k, all->slab, all->capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) {
            return NULL;
        }
        all->slab = grown;
        all->capacity = capacity;
    }
    struct page *page = alloc_pages(k, PE_GFP_ZERO, 0);
    if (!page) {
        return NULL;
    }
    page->flags |= PE_PG_SLAB | PE_PG_BACKED;
    page_zone(k->zones, &k->frames, page)->slab++;
    all->slab[all->count] = (struct pgd_slab){.page = page_index(&k->frames, page)};
    return &all->slab[all->count++];
}

static uint64_t object_alloc(struct pe_kernel *k)
{
    struct pgd_slab *slab = slab_with_room(k);
    if (!slab) {
        return 0;
    }
    const uint32_t object = (uint32_t)__builtin_ctzll(~slab->used);
    slab->used |= UINT64_C(1) << object;
    const struct page *page = &k->frames.pages[slab->page];
    observe_page(k, page_host(k, page), PAGE_SIZE);
    memset(page_host(k, page) + object * OBJECT_BYTES, 0, OBJECT_BYTES);
    return page_to_phys(&k->frames, page) + object * OBJECT_BYTES;
}

static void object_free(struct pe_kernel *k, uint64_t pa)
{
    struct pgd_slabs *all = &k->pgd_slabs;
    struct page *page = pfn_to_page(&k->frames, pa >> PAGE_SHIFT);
    const uint32_t index = page_index(&k->frames, page);
    uint32_t i = 0;
    while (all->slab[i].page != index) {
        i++;
    }
    all->slab[i].used &= ~(UINT64_C(1) << (pa % PAGE_SIZE / OBJECT_BYTES));
    if (!all->slab[i].used) {
        all->slab[i] = all->slab[--all->count];
        page->flags &= ~(uint32_t)PE_PG_SLAB;
        page_zone(k->zones, &k->frames, page)->slab--;
        put_page(k, page);
    }
}

/* ---- LPAE ---- */

/* The kernel's slots are borrowed from init_mm; that of modules and PKMAP, which user addresses share, gets a PMD page
 * of its own. */
static bool lpae_pgd_alloc(struct pe_kernel *k, struct mm *mm)
{
    mm->pgd_pa = object_alloc(k);
    if (!mm->pgd_pa) {
        return false;
    }
    uint8_t *pgd = phys_host(k, mm->pgd_pa, OBJECT_BYTES);
    const uint8_t *init = phys_host(k, k->layout.swapper_pa, OBJECT_BYTES);
    for (uint32_t slot = k->layout.page_offset >> LPAE_PGD_SHIFT; slot < 4; slot++) {
        store64(k, pgd + slot * 8, load64(init + slot * 8));
    }
    mm->pgd_va = phys_to_virt(k, mm->pgd_pa);
    cost_stream(k, mm->pgd_va, mm->pgd_pa, 32, PE_WRITE);
    struct pmd shared;
    if (!pmd_alloc(k, mm, k->layout.modules_start, &shared)) {
        object_free(k, mm->pgd_pa);
        mm->pgd_pa = 0;
        return false;
    }
    return true;
}

static void lpae_pgd_free(struct pe_kernel *k, struct mm *mm)
{
    uint8_t *pgd = phys_host(k, mm->pgd_pa, OBJECT_BYTES);
    for (uint32_t slot = 0; slot < 4; slot++) {
        const uint64_t entry = load64(pgd + slot * 8);
        struct page *page = pmd_page(k, entry);
        if (entry && !(entry & LPAE_PGD_SWAPPER) && table_in_use(page)) {
            table_page_free(k, page);
            mm->nr_pmds--;
        }
        store64(k, pgd + slot * 8, 0);
    }
    object_free(k, mm->pgd_pa);
}

/* ---- short descriptors ---- */

#define FIRST_LEVEL_BYTES (PAGE_SIZE << PGD_ORDER)

static bool classic_pgd_alloc(struct pe_kernel *k, struct mm *mm)
{
    struct page *page = alloc_pages(k, PE_GFP_ZERO, PGD_ORDER);
    if (!page) {
        return false;
    }
    for (uint32_t i = 0; i < 1u << PGD_ORDER; i++) {
        page[i].flags |= PE_PG_SLAB | PE_PG_BACKED;
    }
    mm->pgd_pa = page_to_phys(&k->frames, page);
    mm->pgd_va = phys_to_virt(k, mm->pgd_pa);
    const uint32_t from = (k->layout.task_size >> 20) * 4;
    observe_page(k, page_host(k, page) + from, FIRST_LEVEL_BYTES - from);
    memcpy(page_host(k, page) + from, phys_host(k, k->layout.swapper_pa, FIRST_LEVEL_BYTES) + from,
           FIRST_LEVEL_BYTES - from);
    for (uint32_t at = from & ~(PAGE_SIZE - 1); at < FIRST_LEVEL_BYTES; at += PAGE_SIZE) {
        cost_stream(k, mm->pgd_va + at, mm->pgd_pa + at, PAGE_SIZE, PE_WRITE);
    }
    return true;
}

static void classic_pgd_free(struct pe_kernel *k, struct mm *mm)
{
    struct page *page = pfn_to_page(&k->frames, mm->pgd_pa >> PAGE_SHIFT);
    for (uint32_t i = 0; i < 1u << PGD_ORDER; i++) {
        page[i].flags &= ~(uint32_t)PE_PG_SLAB;
    }
    put_page(k, page);
}

bool pgd_alloc(struct pe_kernel *k, struct mm *mm)
{
    return k->config.tables == PE_TABLES_LPAE ? lpae_pgd_alloc(k, mm) : classic_pgd_alloc(k, mm);
}

/* FIRST_USER_ADDRESS lies inside the first 2 MB: free_pgtables leaves their table to pgd_free. */
static void free_first_table(struct pe_kernel *k, struct mm *mm)
{
    struct pmd pmd;
    pmd_offset(k, mm, 0, &pmd);
    const pmdval_t value = pmd.host ? pmd_read(k, &pmd) : 0;
    struct page *table = pmd_table(k, value) ? pmd_page(k, value) : NULL;
    if (table_in_use(table)) {
        pmd_clear(k, &pmd);
        pte_free(k, table);
        mm->nr_ptes--;
    }
}

void pgd_free(struct pe_kernel *k, struct mm *mm)
{
    free_first_table(k, mm);
    if (k->config.tables == PE_TABLES_LPAE) {
        lpae_pgd_free(k, mm);
    } else {
        classic_pgd_free(k, mm);
    }
    mm->pgd_pa = 0;
}

bool vmalloc_fault(struct pe_kernel *k, struct mm *mm, uint32_t addr)
{
    struct pmd from, to;
    pmd_offset(k, NULL, addr, &from);
    pmd_offset(k, mm, addr, &to);
    if (!from.host || !to.host || !load64(from.host) || from.pa == to.pa) {
        return false;
    }
    cost_touch(k, from.va, from.pa, PE_READ);
    cost_touch(k, to.va, to.pa, PE_WRITE);
    store64(k, to.host, load64(from.host));
    return true;
}
