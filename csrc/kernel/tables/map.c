/* SPDX-License-Identifier: GPL-2.0-or-later
 * pte_offset_map and its family (mm/pgtable-generic.c): a PTE table becomes readable, through a window in highmem. */
#include "kernel/cost.h"

static bool map_table(struct pe_kernel *k, pmdval_t value, struct pte_table *out)
{
    if (pmd_none(k, value) || !pmd_present(k, value) || pmd_trans_huge(k, value)) {
        return false;
    }
    struct page *page = pmd_page(k, value);
    if (!page || !pmd_table(k, value)) {
        report(k, PE_REPORT_BAD_PMD, PE_LOCKS, false, (uint32_t)value);
        return false;
    }
    out->page = page;
    out->pa = page_to_phys(&k->frames, page);
    out->host = page_host(k, page);
    out->window = page_is_high(&k->frames, page);
    /* Without HIGHPTE no table is highmem, unless a descriptor was forged. */
    const bool mapped = k->config.flags & PE_KERNEL_HIGHPTE || out->window;
    out->va = mapped ? kmap_local_page(k, page) : phys_to_virt(k, out->pa);
    return out->va;
}

bool pte_offset_map(struct pe_kernel *k, pmdval_t value, struct pte_table *out)
{
    chain_enter(k->cpu, PE_FN_PTE_OFFSET_MAP);
    rcu_read_lock(k);
    const bool mapped = map_table(k, value, out);
    if (mapped) {
        k->stats.pte_maps++;
        k->stats.pte_windows += out->window;
    } else {
        rcu_read_unlock(k);
    }
    chain_leave(k->cpu);
    return mapped;
}

void pte_unmap(struct pe_kernel *k, const struct pte_table *table)
{
    if (k->config.flags & PE_KERNEL_HIGHPTE || table->window) {
        kunmap_local(k, table->va);
    }
    rcu_read_unlock(k);
}

bool pte_offset_map_lock(struct pe_kernel *k, const struct pmd *pmd, struct pte_table *out)
{
    for (;;) {
        const pmdval_t value = pmd_read(k, pmd);
        if (!pte_offset_map(k, value, out)) {
            return false;
        }
        spin_lock(k, PE_LOCK_PAGE_TABLE);
        if (pmd_read(k, pmd) == value) {
            return true;
        }
        pte_unmap_unlock(k, out);
    }
}

void pte_unmap_unlock(struct pe_kernel *k, const struct pte_table *table)
{
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    pte_unmap(k, table);
}
