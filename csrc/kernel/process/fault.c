/* SPDX-License-Identifier: GPL-2.0-or-later
 * Faults on PTEs (mm/memory.c): demand zero, shared pages, copy on write, young and dirty by software. */
#include "kernel/process/rmap.h"
#include "kernel/tables/tlbflush.h"

#define GFP_HIGHUSER_MOVABLE (PE_GFP_HIGHMEM | PE_GFP_MOVABLE)

struct fault {
    struct mm *mm;
    struct vm_area *area;
    uint32_t addr; /* of the page */
    uint32_t flags;
    struct pmd pmd;
    struct pte_table table;
    uint32_t index;
    pteval_t pte; /* as it was when the fault was taken */
};

static bool is_write(const struct fault *f)
{
    return f->flags & FAULT_FLAG_WRITE;
}

struct page *vm_normal_page(const struct pe_kernel *k, pteval_t pte)
{
    if (pte & k->bits->special || !pte_present(k->bits, pte)) {
        return NULL;
    }
    struct page *page = pfn_to_page(&k->frames, pte_pfn(k->bits, pte));
    return page && !(page->flags & PE_PG_ZERO) ? page : NULL;
}

/* pte_alloc, and the table mapped and locked.  False: no memory. */
static bool map_locked(struct pe_kernel *k, struct fault *f)
{
    if (pmd_none(k, pmd_read(k, &f->pmd))) {
        cost_insns(k, k->costs.process.pte_alloc);
        struct page *table = pte_alloc_one(k);
        if (!table) {
            return false;
        }
        f->mm->nr_ptes++;
        pmd_populate(k, f->mm, &f->pmd, table);
    }
    cost_insns(k, k->costs.process.pte_map);
    return pte_offset_map_lock(k, &f->pmd, &f->table);
}

static void set_fault_pte(struct pe_kernel *k, struct fault *f, pteval_t pte)
{
    set_pte_at(k, f->addr, &f->table, f->index, pte);
}

/* The page's entry under the area's protection, as a write or a read leaves it. */
static pteval_t new_entry(const struct pe_kernel *k, const struct fault *f, const struct page *page, bool write)
{
    const struct pgtable_bits *b = k->bits;
    pteval_t pte = mk_pte(k, page_to_pfn(&k->frames, page), vm_get_page_prot(k, f->area->flags));
    if (write) {
        pte |= b->dirty;
        pte &= f->area->flags & VM_WRITE ? ~b->rdonly : ~(pteval_t)0;
    }
    return pte;
}

/* ---- nothing is there yet ---- */

static uint32_t map_zero_page(struct pe_kernel *k, struct fault *f)
{
    if (!map_locked(k, f)) {
        return VM_FAULT_OOM;
    }
    const struct page *zero = &k->frames.pages[k->tasks.zero_page];
    set_fault_pte(k, f, new_entry(k, f, zero, false) | k->bits->special);
    pte_unmap_unlock(k, &f->table);
    return 0;
}

static uint32_t do_anonymous_page(struct pe_kernel *k, struct fault *f)
{
    cost_insns(k, k->costs.process.anon_page);
    k->stats.faults_anon++;
    if (!is_write(f)) {
        return map_zero_page(k, f);
    }
    f->area->faulted = true;
    struct page *page = alloc_pages(k, GFP_HIGHUSER_MOVABLE, 0);
    if (!page) {
        return VM_FAULT_OOM;
    }
    clear_highpage(k, page);
    if (!map_locked(k, f)) {
        put_page(k, page);
        return VM_FAULT_OOM;
    }
    f->mm->rss_anon++;
    page_add_new_anon_rmap(k, page);
    page_writable(k, page);
    set_fault_pte(k, f, new_entry(k, f, page, f->area->flags & VM_WRITE));
    pte_unmap_unlock(k, &f->table);
    return 0;
}

/* shmem_fault: the page of the object, made at the first touch. */
static struct page *shared_page(struct pe_kernel *k, struct fault *f)
{
    struct shared_pages *shared = f->area->shared;
    const uint32_t at = f->area->pgoff + ((f->addr - f->area->start) >> PAGE_SHIFT);
    if (shared->page[at] == NO_PAGE) {
        struct page *page = alloc_pages(k, GFP_HIGHUSER_MOVABLE, 0);
        if (!page) {
            return NULL;
        }
        clear_highpage(k, page);
        page_zone(k->zones, &k->frames, page)->shmem++;
        shared->page[at] = page_index(&k->frames, page);
    }
    return &k->frames.pages[shared->page[at]];
}

static uint32_t do_shared_fault(struct pe_kernel *k, struct fault *f)
{
    const uint32_t at = f->area->pgoff + ((f->addr - f->area->start) >> PAGE_SHIFT);
    if (at >= f->area->shared->count) {
        return VM_FAULT_SIGBUS;
    }
    cost_insns(k, k->costs.process.anon_page);
    struct page *page = shared_page(k, f);
    if (!page || !map_locked(k, f)) {
        return VM_FAULT_OOM;
    }
    get_page(k, page);
    page_add_rmap(k, page);
    f->mm->rss_shared++;
    if (f->area->flags & VM_WRITE) {
        page_writable(k, page);
    }
    set_fault_pte(k, f, new_entry(k, f, page, is_write(f)));
    pte_unmap_unlock(k, &f->table);
    return 0;
}

static uint32_t do_pte_missing(struct pe_kernel *k, struct fault *f)
{
    if (f->area->shared) {
        return do_shared_fault(k, f);
    }
    chain_enter(k->cpu, PE_FN_DO_ANONYMOUS_PAGE);
    const uint32_t result = do_anonymous_page(k, f);
    chain_leave(k->cpu);
    return result;
}

/* ---- something is there: the table is mapped and locked ---- */

/* ptep_set_access_flags: any change needs the TLBs to forget, on this architecture by page. */
static void set_access_flags(struct pe_kernel *k, struct fault *f, pteval_t pte)
{
    if (pte == f->pte) {
        if (is_write(f)) {
            flush_tlb_page(k, f->mm, f->addr); /* flush_tlb_fix_spurious_fault */
        }
        return;
    }
    set_fault_pte(k, f, pte);
    flush_tlb_page(k, f->mm, f->addr);
}

static uint32_t wp_page_reuse(struct pe_kernel *k, struct fault *f)
{
    const pteval_t pte = (f->pte | k->bits->young | k->bits->dirty) & ~k->bits->rdonly;
    k->stats.faults_cow_reused++;
    set_access_flags(k, f, pte);
    pte_unmap_unlock(k, &f->table);
    return 0;
}

/* wp_page_copy: the table is unmapped meanwhile, and mapped again. */
static uint32_t wp_page_copy(struct pe_kernel *k, struct fault *f, struct page *old)
{
    cost_insns(k, k->costs.process.cow_page);
    k->stats.faults_cow++;
    if (old) {
        get_page(k, old);
    }
    pte_unmap_unlock(k, &f->table);
    struct page *page = alloc_pages(k, GFP_HIGHUSER_MOVABLE, 0);
    if (page && old) {
        copy_highpage(k, page, old);
    } else if (page) {
        clear_highpage(k, page);
    }
    const bool mapped = page && map_locked(k, f);
    if (mapped) {
        f->area->faulted = true;
        set_fault_pte(k, f, 0);
        flush_tlb_page(k, f->mm, f->addr); /* ptep_clear_flush */
        page_add_new_anon_rmap(k, page);
        page_writable(k, page);
        set_fault_pte(k, f, new_entry(k, f, page, is_write(f)));
        if (!old) {
            f->mm->rss_anon++;
        } else if (page_remove_rmap(k, old)) {
            put_page(k, old);
        }
        pte_unmap_unlock(k, &f->table);
    } else if (page) {
        put_page(k, page);
    }
    if (old) {
        put_page(k, old);
    }
    return mapped ? 0 : VM_FAULT_OOM;
}

static uint32_t wp_page(struct pe_kernel *k, struct fault *f)
{
    struct page *page = vm_normal_page(k, f->pte);
    struct page *head = page ? page_head(&k->frames, page) : NULL;
    if (f->area->flags & VM_SHARED) {
        return wp_page_reuse(k, f); /* wp_page_shared: nothing has to know of it */
    }
    if (head && head->flags & PE_PG_ANON && (page->flags & PE_PG_EXCLUSIVE || head->refcount == 1)) {
        page->flags |= PE_PG_EXCLUSIVE;
        page_writable(k, page);
        if (f->flags & FAULT_FLAG_UNSHARE) {
            pte_unmap_unlock(k, &f->table);
            return 0;
        }
        return wp_page_reuse(k, f);
    }
    return wp_page_copy(k, f, page);
}

static uint32_t do_wp_page(struct pe_kernel *k, struct fault *f)
{
    chain_enter(k->cpu, PE_FN_DO_WP_PAGE);
    const uint32_t result = wp_page(k, f);
    chain_leave(k->cpu);
    return result;
}

static uint32_t do_present_pte(struct pe_kernel *k, struct fault *f)
{
    if (f->flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE) && !pte_write(k->bits, f->pte)) {
        return do_wp_page(k, f);
    }
    cost_insns(k, k->costs.process.flags_fault);
    k->stats.faults_flags++;
    set_access_flags(k, f, f->pte | k->bits->young | (is_write(f) ? k->bits->dirty : 0));
    pte_unmap_unlock(k, &f->table);
    return 0;
}

/* handle_pte_fault: one look without the lock, then the lock. */
static uint32_t handle_pte_fault(struct pe_kernel *k, struct fault *f)
{
    const pmdval_t value = pmd_read(k, &f->pmd);
    if (pmd_none(k, value)) {
        return do_pte_missing(k, f);
    }
    cost_insns(k, k->costs.process.pte_map);
    if (!pte_offset_map(k, value, &f->table)) {
        return VM_FAULT_SIGBUS; /* the entry is neither a table of RAM nor a huge page */
    }
    f->pte = ptep_get(k, &f->table, f->index);
    if (!f->pte) {
        pte_unmap(k, &f->table);
        return do_pte_missing(k, f);
    }
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    return do_present_pte(k, f);
}

static uint32_t handle_fault(struct pe_kernel *k, struct fault *f)
{
    if (!pmd_alloc(k, f->mm, f->addr, &f->pmd)) {
        return VM_FAULT_OOM;
    }
    const pmdval_t value = pmd_read(k, &f->pmd);
    uint32_t result = VM_FAULT_FALLBACK;
    if (pmd_none(k, value) && thp_allowed(k, f->area, f->addr)) {
        result = do_huge_anonymous_page(k, f->mm, f->area, f->addr & ~(PMD_SIZE - 1), &f->pmd);
    } else if (pmd_trans_huge(k, value)) {
        result = do_huge_fault(k, f->mm, &f->pmd, f->addr & ~(PMD_SIZE - 1), f->flags);
    }
    return result & VM_FAULT_FALLBACK ? handle_pte_fault(k, f) : result;
}

uint32_t handle_mm_fault(struct pe_kernel *k, struct mm *mm, struct vm_area *area, uint32_t addr, uint32_t flags)
{
    struct fault f = {
        .mm = mm,
        .area = area,
        .addr = addr & (uint32_t)PAGE_MASK,
        .flags = flags,
        .index = pte_index(addr),
    };
    chain_enter(k->cpu, PE_FN_HANDLE_MM_FAULT);
    k->stats.faults++;
    const uint32_t result = handle_fault(k, &f);
    chain_leave(k->cpu);
    return result;
}
