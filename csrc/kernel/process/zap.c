/* SPDX-License-Identifier: GPL-2.0-or-later
 * Mappings that go, and the tables that held them (mm/memory.c: unmap_page_range, free_pgd_range). */
#include "kernel/process/gather.h"
#include "kernel/process/rmap.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/tlbflush.h"

/* ---- pages ---- */

/* An entry is gone: its page's mapping and reference with it.  True: the gather is full. */
static bool zap_present_pte(struct pe_kernel *k, struct mmu_gather *tlb, pteval_t pte)
{
    struct page *page = vm_normal_page(k, pte);
    if (!page) {
        return false;
    }
    const bool anon = page_head(&k->frames, page)->flags & PE_PG_ANON;
    if (!page_remove_rmap(k, page)) {
        return false;
    }
    if (anon) {
        tlb->mm->rss_anon--;
    } else {
        tlb->mm->rss_shared--;
    }
    return tlb_remove_page(tlb, page_index(&k->frames, page));
}

/* As far as the gather has room; where that is not the end, it was flushed and there is more to do. */
static uint32_t zap_pte_range(struct pe_kernel *k, struct mmu_gather *tlb, const struct pmd *pmd, uint32_t start,
                              uint32_t end)
{
    struct pte_table table;
    if (!pte_offset_map_lock(k, pmd, &table)) {
        return end;
    }
    const uint32_t first = pte_index(start), last = first + ((end - start) >> PAGE_SHIFT);
    bool full = false;
    uint32_t at = first;
    while (!full && (at = next_entry(k, table.host, at, last)) < last) {
        const uint32_t addr = start + ((at - first) << PAGE_SHIFT);
        const pteval_t pte = pte_load(k, table.host, at);
        cost_insns(k, k->costs.process.zap_pte);
        set_pte_at(k, addr, &table, at, 0);
        tlb_adjust(tlb, addr, addr + PAGE_SIZE);
        full = zap_present_pte(k, tlb, pte);
        at++;
    }
    cost_scan(k, &table, first, at);
    pte_unmap_unlock(k, &table);
    if (full) {
        tlb_flush_mmu(k, tlb);
    }
    return start + ((at - first) << PAGE_SHIFT);
}

static void zap_huge_pmd(struct pe_kernel *k, struct mmu_gather *tlb, const struct pmd *pmd, pmdval_t value,
                         uint32_t addr)
{
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    pmd_clear(k, pmd);
    struct page *page = pmd_page(k, value), *table = pgtable_withdraw(k, tlb->mm);
    tlb_adjust(tlb, addr, addr + PMD_SIZE);
    bool full = false;
    if (page && page_remove_rmap(k, page)) {
        tlb->mm->rss_anon -= HPAGE_PAGES;
        tlb->mm->rss_huge -= HPAGE_PAGES;
        full = tlb_remove_page(tlb, page_index(&k->frames, page));
    }
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    if (table) {
        tlb->mm->nr_ptes--;
        pte_free(k, table); /* no walker ever saw it */
    }
    if (full) {
        tlb_flush_mmu(k, tlb);
    }
}

static void zap_pmd(struct pe_kernel *k, struct mmu_gather *tlb, const struct pmd *pmd, uint32_t start, uint32_t end)
{
    const pmdval_t value = pmd_read(k, pmd);
    if (pmd_trans_huge(k, value)) {
        if (end - start == PMD_SIZE) {
            zap_huge_pmd(k, tlb, pmd, value, start);
            return;
        }
        split_huge_pmd(k, tlb->mm, pmd, start);
    }
    while (start < end) {
        start = zap_pte_range(k, tlb, pmd, start, end);
    }
}

void unmap_page_range(struct pe_kernel *k, struct mmu_gather *tlb, uint32_t start, uint32_t end)
{
    chain_enter(k->cpu, PE_FN_ZAP_PTE_RANGE);
    while (start < end) {
        struct pmd pmd;
        pmd_offset(k, tlb->mm, start, &pmd);
        const uint32_t next = pmd.host ? pmd_addr_end(start, end) : absent_addr_end(k, start, end);
        cost_insns(k, k->costs.process.pmd_walk);
        if (pmd.host && !pmd_none(k, pmd_read(k, &pmd))) {
            zap_pmd(k, tlb, &pmd, start, next);
        }
        start = next;
    }
    chain_leave(k->cpu);
}

/* ---- tables ---- */

uint32_t pgtables_ceiling(const struct pe_kernel *k)
{
    return k->config.tables == PE_TABLES_LPAE ? k->layout.task_size : 0;
}

/* The table of one PMD entry.  An entry that names none of the model's tables is only cleared. */
static void free_pte_range(struct pe_kernel *k, struct mmu_gather *tlb, const struct pmd *pmd, uint32_t addr)
{
    const pmdval_t value = pmd_read(k, pmd);
    if (pmd_none(k, value)) {
        return;
    }
    struct page *table = pmd_table(k, value) ? pmd_page(k, value) : NULL;
    pmd_clear(k, pmd);
    if (!table_in_use(table)) {
        report(k, PE_REPORT_BAD_PMD, PE_LOCKS, false, addr);
        return;
    }
    if (k->config.tables == PE_TABLES_LPAE) {
        tlb_adjust(tlb, addr, addr + PAGE_SIZE);
    } else {
        /* __pte_free_tlb: an entry of each of the two hardware tables */
        const uint32_t middle = (addr & ~(PMD_SIZE - 1)) + PMD_SIZE / 2;
        tlb_adjust(tlb, middle - PAGE_SIZE, middle + PAGE_SIZE);
    }
    tlb->mm->nr_ptes--;
    tlb_remove_table(k, tlb, table);
}

/* [*start, *end) without what lies below floor or above ceiling by steps of size; false: nothing is left. */
static bool narrow(uint32_t *start, uint32_t *end, uint32_t floor, uint32_t ceiling, uint32_t size)
{
    *start &= ~(size - 1);
    if (*start < floor) {
        *start += size;
        if (!*start) {
            return false;
        }
    }
    if (ceiling) {
        ceiling &= ~(size - 1);
        if (!ceiling) {
            return false;
        }
    }
    if (*end - 1 > ceiling - 1) {
        *end -= size;
    }
    return *start <= *end - 1;
}

/* free_pmd_range: the PMD page of a slot, where nobody else needs it. */
static void free_pmd_page(struct pe_kernel *k, struct mmu_gather *tlb, uint32_t start, uint32_t end, uint32_t floor,
                          uint32_t ceiling)
{
    const uint32_t mask = ~UINT32_C(0x3fffffff), slot = start >> 30;
    if ((start & mask) < floor) {
        return;
    }
    if (ceiling) {
        ceiling &= mask;
        if (!ceiling) {
            return;
        }
    }
    uint8_t *entry = phys_host(k, tlb->mm->pgd_pa + slot * 8u, 8);
    if (end - 1 > ceiling - 1 || !entry) {
        return;
    }
    struct page *page = pmd_page(k, load64(entry));
    cost_touch(k, tlb->mm->pgd_va + slot * 8u, tlb->mm->pgd_pa + slot * 8u, PE_WRITE);
    store64(k, entry, 0);
    flush_pmd_entry(k);
    if (table_in_use(page)) {
        tlb_adjust(tlb, start, start + PAGE_SIZE);
        tlb->mm->nr_pmds--;
        tlb_remove_table(k, tlb, page);
    }
}

void free_pgd_range(struct pe_kernel *k, struct mmu_gather *tlb, uint32_t start, uint32_t end, uint32_t floor,
                    uint32_t ceiling)
{
    if (!narrow(&start, &end, floor, ceiling, PMD_SIZE)) {
        return;
    }
    while (start < end) {
        const uint32_t next = absent_addr_end(k, start, end);
        bool any = false;
        for (uint32_t at = start; at < next; at = pmd_addr_end(at, next)) {
            struct pmd pmd;
            pmd_offset(k, tlb->mm, at, &pmd);
            if (!pmd.host) {
                break;
            }
            cost_insns(k, k->costs.process.pmd_walk);
            free_pte_range(k, tlb, &pmd, at);
            any = true;
        }
        if (any && k->config.tables == PE_TABLES_LPAE) {
            free_pmd_page(k, tlb, start, next, floor, ceiling);
        }
        start = next;
    }
}
