/* SPDX-License-Identifier: GPL-2.0-or-later
 * fork's copy of an address space (kernel/fork.c dup_mmap, mm/memory.c copy_page_range). */
#include "kernel/process/rmap.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/tlbflush.h"

struct copy {
    struct mm *to, *from;
    const struct vm_area *area;
    bool cow; /* is_cow_mapping */
};

/* ---- pages ---- */

/* copy_present_page: a page that may be pinned stays the parent's; the child gets a copy at once. */
static bool copy_pinned(struct pe_kernel *k, const struct copy *c, struct page *old, pteval_t *pte)
{
    struct page *page = alloc_pages(k, PE_GFP_HIGHMEM | PE_GFP_MOVABLE, 0);
    if (!page) {
        return false;
    }
    copy_highpage(k, page, old);
    page_add_new_anon_rmap(k, page);
    page_writable(k, page);
    *pte = mk_pte(k, page_to_pfn(&k->frames, page), vm_get_page_prot(k, c->area->flags)) | k->bits->dirty;
    *pte &= c->area->flags & VM_WRITE ? ~k->bits->rdonly : ~(pteval_t)0;
    return true;
}

static bool stays_with_parent(struct pe_kernel *k, const struct copy *c, struct page *page)
{
    return page->flags & PE_PG_EXCLUSIVE && c->from->has_pinned && page_maybe_pinned(k, page);
}

/* copy_present_pte.  False: no memory for a pinned page. */
static bool copy_pte(struct pe_kernel *k, const struct copy *c, const struct pte_table *from, uint32_t at,
                     uint32_t addr, pteval_t *out)
{
    const struct pgtable_bits *b = k->bits;
    pteval_t pte = pte_load(k, from->host, at);
    struct page *page = vm_normal_page(k, pte);
    cost_insns(k, k->costs.process.fork_pte);
    if (page && c->cow && page_head(&k->frames, page)->flags & PE_PG_ANON) {
        if (stays_with_parent(k, c, page)) {
            c->to->rss_anon++;
            return copy_pinned(k, c, page, out);
        }
        page->flags &= ~(uint32_t)PE_PG_EXCLUSIVE;
    }
    if (page) {
        get_page(k, page);
        page_add_rmap(k, page);
        c->to->rss_anon += c->cow;
        c->to->rss_shared += !c->cow;
    }
    if (c->cow && !(pte & b->rdonly)) {
        pte |= b->rdonly;
        set_pte_at(k, addr, from, at, pte); /* ptep_set_wrprotect */
    }
    if (!c->cow) {
        pte &= ~b->dirty;
    }
    *out = pte & ~b->young;
    return true;
}

/* The child's table outside, the parent's inside: two windows with HIGHPTE. */
static bool copy_entries(struct pe_kernel *k, const struct copy *c, const struct pmd *to_pmd, pmdval_t from_value,
                         uint32_t start, uint32_t end)
{
    struct pte_table to, from;
    if (!pte_offset_map_lock(k, to_pmd, &to)) {
        return false;
    }
    if (!pte_offset_map(k, from_value, &from)) {
        pte_unmap_unlock(k, &to);
        return true;
    }
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    const uint32_t first = pte_index(start), last = first + ((end - start) >> PAGE_SHIFT);
    bool done = true;
    for (uint32_t at = first; done && (at = next_entry(k, from.host, at, last)) < last; at++) {
        const uint32_t addr = start + ((at - first) << PAGE_SHIFT);
        pteval_t pte;
        done = copy_pte(k, c, &from, at, addr, &pte);
        if (done) {
            set_pte_at(k, addr, &to, at, pte);
        }
    }
    cost_scan(k, &from, first, last);
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    pte_unmap(k, &from);
    pte_unmap_unlock(k, &to);
    return done;
}

static bool copy_pte_range(struct pe_kernel *k, const struct copy *c, const struct pmd *to_pmd, pmdval_t from_value,
                           uint32_t start, uint32_t end)
{
    if (pmd_none(k, pmd_read(k, to_pmd))) {
        cost_insns(k, k->costs.process.pte_alloc);
        struct page *table = pte_alloc_one(k);
        if (!table) {
            return false;
        }
        c->to->nr_ptes++;
        pmd_populate(k, c->to, to_pmd, table);
    }
    cost_insns(k, k->costs.process.pte_map);
    chain_enter(k->cpu, PE_FN_COPY_PTE_RANGE);
    const bool done = copy_entries(k, c, to_pmd, from_value, start, end);
    chain_leave(k->cpu);
    return done;
}

/* ---- huge pages ---- */

/* False: it is pinned, or there is no PTE page for the child, and the block has to be split. */
static bool copy_huge_pmd(struct pe_kernel *k, const struct copy *c, const struct pmd *to, const struct pmd *from,
                          uint32_t addr)
{
    const pmdval_t value = pmd_read(k, from);
    struct page *page = pmd_page(k, value);
    if (!page || !(page->flags & PE_PG_HEAD) || stays_with_parent(k, c, page)) {
        return false;
    }
    struct page *table = pte_alloc_one(k);
    if (!table) {
        return false;
    }
    cost_insns(k, k->costs.process.fork_pte);
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    page->flags &= ~(uint32_t)PE_PG_EXCLUSIVE;
    get_page(k, page);
    page_add_rmap(k, page);
    pgtable_deposit(k, c->to, table);
    c->to->nr_ptes++;
    c->to->rss_anon += HPAGE_PAGES;
    c->to->rss_huge += HPAGE_PAGES;
    const pmdval_t protected = value | k->bits->rdonly;
    set_pmd_at(k, addr, from, protected);
    set_pmd_at(k, addr, to, protected & ~k->bits->young);
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    return true;
}

/* ---- areas ---- */

static bool copy_pmd(struct pe_kernel *k, const struct copy *c, const struct pmd *from, uint32_t start, uint32_t end)
{
    struct pmd to;
    if (!pmd_alloc(k, c->to, start, &to)) {
        return false;
    }
    pmdval_t value = pmd_read(k, from);
    if (pmd_trans_huge(k, value)) {
        if (end - start == PMD_SIZE && copy_huge_pmd(k, c, &to, from, start)) {
            return true;
        }
        split_huge_pmd(k, c->from, from, start);
        value = pmd_read(k, from);
    }
    return copy_pte_range(k, c, &to, value, start, end);
}

static bool copy_page_range(struct pe_kernel *k, const struct copy *c)
{
    uint32_t start = c->area->start;
    bool done = true;
    c->from->write_protect_seq += c->cow;
    while (done && start < c->area->end) {
        struct pmd pmd;
        pmd_offset(k, c->from, start, &pmd);
        const uint32_t end = c->area->end;
        const uint32_t next = pmd.host ? pmd_addr_end(start, end) : absent_addr_end(k, start, end);
        cost_insns(k, k->costs.process.pmd_walk);
        if (pmd.host && !pmd_none(k, pmd_read(k, &pmd))) {
            done = copy_pmd(k, c, &pmd, start, next);
        }
        start = next;
    }
    c->from->write_protect_seq += c->cow;
    return done;
}

/* vma_needs_copy: what was never written, or is shared, comes back by faults. */
static bool dup_areas(struct pe_kernel *k, struct mm *to, struct mm *from)
{
    if (!area_reserve(k, to, from->area_count)) {
        return false;
    }
    bool done = true;
    for (uint32_t i = 0; done && i < from->area_count; i++) {
        const struct vm_area *area = &from->areas[i];
        cost_insns(k, k->costs.process.fork_vma);
        if (area->shared) {
            area->shared->users++;
        }
        to->areas[to->area_count++] = *area;
        const bool cow = (area->flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
        const struct copy copy = {.to = to, .from = from, .area = area, .cow = cow};
        done = !area->faulted || copy_page_range(k, &copy);
    }
    return done;
}

struct mm *dup_mm(struct pe_kernel *k, struct mm *old)
{
    struct mm *mm = mm_alloc(k);
    if (!mm) {
        return NULL;
    }
    mm->start_brk = old->start_brk;
    mm->brk = old->brk;
    chain_enter(k->cpu, PE_FN_DUP_MMAP);
    mmap_write_lock(k);
    const bool done = dup_areas(k, mm, old);
    flush_tlb_mm(k, old);
    mmap_write_unlock(k);
    chain_leave(k->cpu);
    if (!done) {
        mmput(k, mm);
        return NULL;
    }
    return mm;
}
