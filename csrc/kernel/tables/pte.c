/* SPDX-License-Identifier: GPL-2.0-or-later
 * Entries of PTE tables: read, write with what the hardware is to see, count what a write costs. */
#include "kernel/cost.h"
#include "kernel/tables/classic.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/lpae.h"

pteval_t mk_pte(const struct pe_kernel *k, uint64_t pfn, pteval_t prot)
{
    return (pfn << PAGE_SHIFT & k->bits->pfn) | prot;
}

pteval_t pte_load(const struct pe_kernel *k, const uint8_t *host, uint32_t index)
{
    if (k->bits->pte_bytes == 8) {
        uint64_t wide;
        memcpy(&wide, host + index * 8u, sizeof wide);
        return wide;
    }
    uint32_t narrow;
    memcpy(&narrow, host + index * 4u, sizeof narrow);
    return narrow;
}

void pte_store(struct pe_kernel *k, uint8_t *host, uint32_t index, pteval_t pte, bool global)
{
    if (k->bits->pte_bytes == 8) {
        const uint64_t wide = pte ? lpae_hardware(pte, LPAE_VALID, global) : 0;
        store64(k, host + index * 8u, wide);
        return;
    }
    const uint32_t linux_half = (uint32_t)pte, hardware = classic_hardware(linux_half, global);
    store32(k, host + index * 4u, linux_half);
    store32(k, host + CLASSIC_HARDWARE + index * 4u, hardware);
}

pteval_t ptep_get(struct pe_kernel *k, const struct pte_table *table, uint32_t index)
{
    const uint32_t at = index * k->bits->pte_bytes;
    cost_touch(k, table->va + at, table->pa + at, PE_READ);
    const pteval_t pte = pte_load(k, table->host, index);
    trace_entry(k, table->va + at, table->pa + at, k->bits->pte_bytes == 8 ? 3 : 2, pte);
    return pte;
}

void set_pte_at(struct pe_kernel *k, uint32_t addr, const struct pte_table *table, uint32_t index, pteval_t pte)
{
    const uint32_t at = index * k->bits->pte_bytes;
    cost_insns(k, k->costs.kmap.set_pte);
    cost_touch(k, table->va + at, table->pa + at, PE_WRITE);
    if (k->bits->pte_bytes == 4) {
        cost_touch(k, table->va + at + CLASSIC_HARDWARE, table->pa + at + CLASSIC_HARDWARE, PE_WRITE);
    }
    pte_store(k, table->host, index, pte, addr >= k->layout.task_size);
}

uint64_t pe_kernel_hardware_pte(pe_kernel_tables tables, uint64_t pte, bool global)
{
    return tables == PE_TABLES_LPAE ? lpae_hardware(pte, LPAE_VALID, global) : classic_hardware((uint32_t)pte, global);
}
