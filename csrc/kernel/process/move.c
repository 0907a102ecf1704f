/* SPDX-License-Identifier: GPL-2.0-or-later
 * Entries that move to another address (mm/mremap.c, move_page_tables).  ARM has no HAVE_MOVE_PMD: PTE by PTE. */
#include "kernel/process/protect.h"

#include "kernel/process/rmap.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/tlbflush.h"

/* The destination is mapped inside the source: two windows with HIGHPTE. */
static void move_ptes(struct pe_kernel *k, struct mm *mm, const struct pmd *from_pmd, uint32_t from,
                      const struct pmd *to_pmd, uint32_t to, uint32_t bytes)
{
    struct pte_table old, new;
    if (!pte_offset_map_lock(k, from_pmd, &old)) {
        return;
    }
    if (!pte_offset_map(k, pmd_read(k, to_pmd), &new)) {
        pte_unmap_unlock(k, &old);
        return;
    }
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    const uint32_t first = pte_index(from), last = first + (bytes >> PAGE_SHIFT), other = pte_index(to);
    bool flush = false;
    for (uint32_t at = first; (at = next_entry(k, old.host, at, last)) < last; at++) {
        const uint32_t step = at - first;
        const pteval_t pte = pte_load(k, old.host, at);
        cost_insns(k, k->costs.process.move_pte);
        set_pte_at(k, from + (step << PAGE_SHIFT), &old, at, 0);
        set_pte_at(k, to + (step << PAGE_SHIFT), &new, other + step, pte);
        flush = true;
    }
    cost_scan(k, &old, first, last);
    if (flush) {
        flush_tlb_range(k, mm, from, from + bytes);
    }
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    pte_unmap(k, &new);
    pte_unmap_unlock(k, &old);
}

/* move_huge_pmd: the deposited table stays in the list of the address space. */
static bool move_huge_pmd(struct pe_kernel *k, struct mm *mm, const struct pmd *from_pmd, uint32_t from,
                          const struct pmd *to_pmd, uint32_t to)
{
    if (!pmd_none(k, pmd_read(k, to_pmd))) {
        return false;
    }
    spin_lock(k, PE_LOCK_PAGE_TABLE);
    const pmdval_t value = pmd_read(k, from_pmd);
    pmd_clear(k, from_pmd);
    set_pmd_at(k, to, to_pmd, value);
    flush_tlb_range(k, mm, from, from + PMD_SIZE);
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    return true;
}

static bool pte_alloc(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd)
{
    if (!pmd_none(k, pmd_read(k, pmd))) {
        return true;
    }
    cost_insns(k, k->costs.process.pte_alloc);
    struct page *table = pte_alloc_one(k);
    if (!table) {
        return false;
    }
    mm->nr_ptes++;
    pmd_populate(k, mm, pmd, table);
    return true;
}

static bool move_step(struct pe_kernel *k, struct mm *mm, uint32_t from, uint32_t to, uint32_t bytes)
{
    struct pmd old, new;
    pmd_offset(k, mm, from, &old);
    cost_insns(k, k->costs.process.pmd_walk);
    if (!old.host || pmd_none(k, pmd_read(k, &old))) {
        return true;
    }
    if (!pmd_alloc(k, mm, to, &new)) {
        return false;
    }
    if (pmd_trans_huge(k, pmd_read(k, &old))) {
        if (bytes == PMD_SIZE && move_huge_pmd(k, mm, &old, from, &new, to)) {
            return true;
        }
        split_huge_pmd(k, mm, &old, from);
    }
    if (!pte_alloc(k, mm, &new)) {
        return false;
    }
    move_ptes(k, mm, &old, from, &new, to, bytes);
    return true;
}

uint32_t move_page_tables(struct pe_kernel *k, struct mm *mm, uint32_t from, uint32_t to, uint32_t bytes)
{
    uint32_t done = 0;
    chain_enter(k->cpu, PE_FN_MOVE_PTES);
    while (done < bytes) {
        const uint32_t old_step = pmd_addr_end(from + done, from + bytes) - (from + done);
        const uint32_t new_step = pmd_addr_end(to + done, to + bytes) - (to + done);
        const uint32_t step = old_step < new_step ? old_step : new_step;
        if (!move_step(k, mm, from + done, to + done, step)) {
            break;
        }
        done += step;
    }
    chain_leave(k->cpu);
    return done;
}
