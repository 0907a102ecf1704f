/* SPDX-License-Identifier: GPL-2.0-or-later
 * New protection for entries that exist (mm/mprotect.c). */
#include "kernel/process/protect.h"

#include "kernel/process/rmap.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/tlbflush.h"

/* pte_modify, and what of it applies to a block. */
static pteval_t modify(const struct pgtable_bits *b, pteval_t entry, pteval_t prot)
{
    const pteval_t mask = b->xn | b->rdonly | b->user | b->none | b->valid;
    return (entry & ~mask) | (prot & mask);
}

/* can_change_pte_writable, where vma_wants_manual_pte_write_upgrade: a page of nobody else's needs no fault. */
static bool may_upgrade(struct pe_kernel *k, const struct vm_area *area, pteval_t pte)
{
    if ((area->flags & (VM_SHARED | VM_WRITE)) != VM_WRITE || pte & k->bits->none) {
        return false;
    }
    const struct page *page = vm_normal_page(k, pte);
    return page && page->flags & PE_PG_EXCLUSIVE;
}

static void change_pte_range(struct pe_kernel *k, const struct vm_area *area, const struct pmd *pmd, uint32_t start,
                             uint32_t end, uint32_t *flush_from, uint32_t *flush_to)
{
    struct pte_table table;
    if (!pte_offset_map_lock(k, pmd, &table)) {
        return;
    }
    const pteval_t prot = vm_get_page_prot(k, area->flags);
    const uint32_t first = pte_index(start), last = first + ((end - start) >> PAGE_SHIFT);
    for (uint32_t at = first; (at = next_entry(k, table.host, at, last)) < last; at++) {
        const uint32_t addr = start + ((at - first) << PAGE_SHIFT);
        const pteval_t old = pte_load(k, table.host, at);
        cost_insns(k, k->costs.process.protect_pte);
        set_pte_at(k, addr, &table, at, 0);
        pteval_t pte = modify(k->bits, old, prot);
        if (!pte_write(k->bits, pte) && may_upgrade(k, area, pte)) {
            pte &= ~k->bits->rdonly;
        }
        set_pte_at(k, addr, &table, at, pte);
        *flush_from = addr < *flush_from ? addr : *flush_from;
        *flush_to = addr + PAGE_SIZE;
    }
    cost_scan(k, &table, first, last);
    pte_unmap_unlock(k, &table);
}

/* change_huge_pmd: invalid while it changes, so that no other CPU writes through the old one. */
static void change_huge_pmd(struct pe_kernel *k, struct mm *mm, const struct vm_area *area, const struct pmd *pmd,
                            uint32_t addr)
{
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    const pmdval_t old = pmd_read(k, pmd);
    set_pmd_at(k, addr, pmd, old & ~(pmdval_t)1);
    flush_tlb_range(k, mm, addr, addr + PMD_SIZE);
    cost_insns(k, k->costs.process.protect_pte);
    pmdval_t value = modify(k->bits, old, vm_get_page_prot(k, area->flags)) & ~(pmdval_t)2;
    if (value & k->bits->rdonly && may_upgrade(k, area, value)) {
        value &= ~k->bits->rdonly;
    }
    set_pmd_at(k, addr, pmd, value);
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
}

void change_protection(struct pe_kernel *k, struct mm *mm, const struct vm_area *area, uint32_t start, uint32_t end)
{
    uint32_t flush_from = UINT32_MAX, flush_to = 0;
    chain_enter(k->cpu, PE_FN_CHANGE_PTE_RANGE);
    while (start < end) {
        struct pmd pmd;
        pmd_offset(k, mm, start, &pmd);
        const uint32_t next = pmd.host ? pmd_addr_end(start, end) : absent_addr_end(k, start, end);
        cost_insns(k, k->costs.process.pmd_walk);
        pmdval_t value = pmd.host ? pmd_read(k, &pmd) : 0;
        if (pmd_trans_huge(k, value) && next - start != PMD_SIZE) {
            split_huge_pmd(k, mm, &pmd, start);
            value = pmd_read(k, &pmd);
        }
        if (pmd_trans_huge(k, value)) {
            change_huge_pmd(k, mm, area, &pmd, start);
            flush_from = start < flush_from ? start : flush_from;
            flush_to = next;
        } else if (!pmd_none(k, value)) {
            change_pte_range(k, area, &pmd, start, next, &flush_from, &flush_to);
        }
        start = next;
    }
    if (flush_from < flush_to) {
        flush_tlb_range(k, mm, flush_from, flush_to);
    }
    chain_leave(k->cpu);
}
