/* SPDX-License-Identifier: GPL-2.0-or-later
 * Tables as they lie in guest RAM, without the bill of a look. */
#ifndef PYEMU_KERNEL_RAW_H
#define PYEMU_KERNEL_RAW_H

#include "kernel/tables/entry.h"
#include "kernel/tables/lpae.h"

/* The PMD entry of an address; *end is the first address that it does not reach.  0 where there is none. */
static inline pmdval_t raw_pmd(const struct pe_kernel *k, const struct mm *mm, uint32_t addr, uint64_t *end)
{
    uint64_t pa = mm->pgd_pa + (addr >> PMD_SHIFT) * 8u;
    *end = ((uint64_t)addr | (PMD_SIZE - 1)) + 1;
    if (k->config.tables == PE_TABLES_LPAE) {
        const uint8_t *slot = phys_host(k, mm->pgd_pa + (addr >> LPAE_PGD_SHIFT) * 8u, 8);
        const uint64_t pgd = slot ? load64(slot) : 0;
        if ((pgd & LPAE_PRESENT) != LPAE_PRESENT) {
            *end = ((uint64_t)addr | 0x3fffffff) + 1;
            return 0;
        }
        pa = (pgd & LPAE_ADDRESS) + (addr >> PMD_SHIFT & 511) * 8u;
    }
    const uint8_t *host = phys_host(k, pa, 8);
    if (!host) {
        return 0;
    }
    return k->config.tables == PE_TABLES_LPAE ? load64(host) : (uint32_t)load64(host);
}

/* The table that a PMD value names; NULL where that is none. */
static inline const uint8_t *raw_table(const struct pe_kernel *k, pmdval_t value)
{
    const struct page *page = pmd_table(k, value) ? pmd_page(k, value) : NULL;
    return page ? page_host(k, page) : NULL;
}

#endif
