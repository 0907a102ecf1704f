/* SPDX-License-Identifier: GPL-2.0-or-later
 * Transparent huge pages of 2 MB (mm/huge_memory.c): faults, deposited PTE pages, splits. */
#include "kernel/process/rmap.h"
#include "kernel/tables/lpae.h"
#include "kernel/tables/tlbflush.h"

bool thp_allowed(const struct pe_kernel *k, const struct vm_area *area, uint32_t addr)
{
    const uint32_t start = addr & ~(PMD_SIZE - 1);
    if (!(k->config.flags & PE_KERNEL_THP) || area->shared || area->flags & VM_NOHUGEPAGE ||
        k->tasks.thp == PE_THP_NEVER || (k->tasks.thp == PE_THP_MADVISE && !(area->flags & VM_HUGEPAGE))) {
        return false;
    }
    return start >= area->start && area->end - start >= PMD_SIZE;
}

/* ---- deposits ---- */

void pgtable_deposit(struct pe_kernel *k, struct mm *mm, struct page *table)
{
    table->next = mm->huge_deposit;
    mm->huge_deposit = page_index(&k->frames, table);
    mm->huge_deposits++;
}

struct page *pgtable_withdraw(struct pe_kernel *k, struct mm *mm)
{
    if (mm->huge_deposit == NO_PAGE) {
        return NULL;
    }
    struct page *table = &k->frames.pages[mm->huge_deposit];
    mm->huge_deposit = table->next;
    mm->huge_deposits--;
    return table;
}

/* ---- faults ---- */

/* VM_FAULT_FALLBACK: no 2 MB that touch, or no PTE page to deposit. */
uint32_t do_huge_anonymous_page(struct pe_kernel *k, struct mm *mm, struct vm_area *area, uint32_t addr,
                                const struct pmd *pmd)
{
    struct page *page = alloc_pages(k, PE_GFP_HIGHMEM | PE_GFP_MOVABLE | PE_GFP_COMP, HPAGE_ORDER);
    struct page *table = page ? pte_alloc_one(k) : NULL;
    if (!table) {
        if (page) {
            put_page(k, page);
        }
        return VM_FAULT_FALLBACK;
    }
    cost_insns(k, k->costs.process.anon_page);
    for (uint32_t i = 0; i < HPAGE_PAGES; i++) {
        clear_highpage(k, &page[i]);
        page_writable(k, &page[i]);
    }
    area->faulted = true;
    pmdval_t value = mk_huge_pmd(k, page_to_pfn(&k->frames, page), vm_get_page_prot(k, area->flags)) | LPAE_DIRTY;
    value &= area->flags & VM_WRITE ? ~LPAE_RDONLY : ~(pmdval_t)0;
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    page_add_new_anon_rmap(k, page);
    pgtable_deposit(k, mm, table);
    mm->nr_ptes++;
    mm->rss_anon += HPAGE_PAGES;
    mm->rss_huge += HPAGE_PAGES;
    set_pmd_at(k, addr, pmd, value);
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    k->stats.faults_huge++;
    return 0;
}

/* do_huge_pmd_wp_page and huge_pmd_set_accessed. */
uint32_t do_huge_fault(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, uint32_t addr, uint32_t flags)
{
    const pmdval_t value = pmd_read(k, pmd);
    struct page *page = pmd_page(k, value);
    const bool write = flags & FAULT_FLAG_WRITE;
    pmdval_t entry = value | LPAE_AF;
    if (flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE) && !pmd_write(k, value)) {
        if (!page || !(page->flags & PE_PG_EXCLUSIVE || page->refcount == 1)) {
            split_huge_pmd(k, mm, pmd, addr);
            return VM_FAULT_FALLBACK;
        }
        page->flags |= PE_PG_EXCLUSIVE;
        if (!write) {
            return 0;
        }
        k->stats.faults_cow_reused++;
        entry &= ~LPAE_RDONLY;
    } else {
        k->stats.faults_flags++;
    }
    cost_insns(k, k->costs.process.flags_fault);
    entry |= write ? LPAE_DIRTY : 0;
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    if (entry != value) {
        set_pmd_at(k, addr, pmd, entry);
        flush_tlb_range(k, mm, addr, addr + PMD_SIZE); /* pmdp_set_access_flags */
    }
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    return 0;
}

/* ---- split ---- */

/* 512 entries say of their pages what the block said; the folio stays one, with a reference for each. */
static void fill_table(struct pe_kernel *k, struct page *page, pmdval_t old, struct page *table, uint32_t addr)
{
    struct pte_table map;
    if (!pte_offset_map(k, page_to_phys(&k->frames, table) | LPAE_PRESENT, &map)) {
        return;
    }
    const bool exclusive = page->flags & PE_PG_EXCLUSIVE;
    const pteval_t prot = (old & ~LPAE_ADDRESS) | LPAE_PRESENT;
    for (uint32_t i = 0; i < HPAGE_PAGES; i++) {
        page[i].flags |= exclusive ? PE_PG_EXCLUSIVE : 0;
        page[i].mapcount += i > 0;
        set_pte_at(k, addr + i * PAGE_SIZE, &map, i, mk_pte(k, page_to_pfn(&k->frames, &page[i]), prot));
    }
    page->refcount += (int32_t)HPAGE_PAGES - 1;
    page->mapcount += (int32_t)HPAGE_PAGES - 1;
    pte_unmap(k, &map);
}

static void split(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, uint32_t addr)
{
    const pmdval_t old = pmd_read(k, pmd);
    struct page *page = pmd_page(k, old), *table = pgtable_withdraw(k, mm);
    if (!page || !(page->flags & PE_PG_HEAD) || !table) {
        report(k, PE_REPORT_BAD_PMD, PE_LOCKS, false, addr);
        return;
    }
    k->stats.thp_splits++;
    set_pmd_at(k, addr, pmd, old & ~LPAE_VALID); /* pmdp_invalidate */
    flush_tlb_range(k, mm, addr, addr + PMD_SIZE);
    fill_table(k, page, old, table, addr);
    mm->rss_huge -= HPAGE_PAGES;
    pmd_populate(k, mm, pmd, table);
}

void split_huge_pmd(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, uint32_t addr)
{
    chain_enter(k->cpu, PE_FN_SPLIT_HUGE_PMD);
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    split(k, mm, pmd, addr & ~(PMD_SIZE - 1));
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    chain_leave(k->cpu);
}
