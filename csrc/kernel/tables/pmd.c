/* SPDX-License-Identifier: GPL-2.0-or-later
 * PMD entries: the way to them, and what they can say.  With short descriptors the PMD is folded into the first level.
 */
#include "kernel/cost.h"
#include "kernel/tables/classic.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/lpae.h"
#include "kernel/tables/tlbflush.h"

static bool is_lpae(const struct pe_kernel *k)
{
    return k->config.tables == PE_TABLES_LPAE;
}

static void entry_at(const struct pe_kernel *k, uint64_t pa, struct pmd *out)
{
    out->pa = pa;
    out->va = phys_to_virt(k, pa);
    out->host = phys_host(k, pa, sizeof(uint64_t));
}

/* The pgd entry of an address; host NULL where the table is not RAM. */
static void pgd_entry(const struct pe_kernel *k, const struct mm *mm, uint32_t addr, struct pmd *out)
{
    const uint64_t pgd = mm ? mm->pgd_pa : k->layout.swapper_pa;
    entry_at(k, pgd + (is_lpae(k) ? addr >> LPAE_PGD_SHIFT : addr >> PMD_SHIFT) * sizeof(uint64_t), out);
}

void pmd_offset(struct pe_kernel *k, const struct mm *mm, uint32_t addr, struct pmd *out)
{
    pgd_entry(k, mm, addr, out);
    if (!is_lpae(k) || !out->host) {
        return;
    }
    cost_touch(k, out->va, out->pa, PE_READ);
    const uint64_t pgd = load64(out->host);
    trace_entry(k, out->va, out->pa, 1, pgd);
    if ((pgd & LPAE_PRESENT) != LPAE_PRESENT) {
        out->host = NULL;
        return;
    }
    entry_at(k, (pgd & LPAE_ADDRESS) + (addr >> PMD_SHIFT & 511) * sizeof(uint64_t), out);
}

bool pmd_alloc(struct pe_kernel *k, struct mm *mm, uint32_t addr, struct pmd *out)
{
    pmd_offset(k, mm, addr, out);
    if (out->host) {
        return true;
    }
    struct page *page = table_page_alloc(k, 0);
    if (!page) {
        return false;
    }
    mm->nr_pmds++;
    pgd_entry(k, mm, addr, out);
    cost_touch(k, out->va, out->pa, PE_WRITE);
    store64(k, out->host, page_to_phys(&k->frames, page) | LPAE_PRESENT);
    flush_pmd_entry(k);
    pmd_offset(k, mm, addr, out);
    return true;
}

pmdval_t pmd_read(struct pe_kernel *k, const struct pmd *pmd)
{
    cost_touch(k, pmd->va, pmd->pa, PE_READ);
    const uint64_t value = is_lpae(k) ? load64(pmd->host) : (uint32_t)load64(pmd->host);
    trace_entry(k, pmd->va, pmd->pa, is_lpae(k) ? 2 : 1, value);
    return value;
}

/* ---- what a value says (asm/pgtable-3level.h, pgtable-2level.h) ---- */

bool pmd_none(const struct pe_kernel *k, pmdval_t value)
{
    (void)k;
    return !value;
}

bool pmd_present(const struct pe_kernel *k, pmdval_t value)
{
    return is_lpae(k) ? value & LPAE_VALID : value;
}

bool pmd_trans_huge(const struct pe_kernel *k, pmdval_t value)
{
    return is_lpae(k) && value && !(value & LPAE_TABLE);
}

bool pmd_leaf(const struct pe_kernel *k, pmdval_t value)
{
    return is_lpae(k) ? (value & LPAE_PRESENT) == LPAE_VALID : (value & 3) == 2;
}

bool pmd_table(const struct pe_kernel *k, pmdval_t value)
{
    return (value & 3) == (is_lpae(k) ? 3 : 1);
}

bool pmd_write(const struct pe_kernel *k, pmdval_t value)
{
    return is_lpae(k) && !(value & LPAE_RDONLY);
}

struct page *pmd_page(const struct pe_kernel *k, pmdval_t value)
{
    const uint64_t pa = value & (is_lpae(k) ? LPAE_ADDRESS : CLASSIC_ADDRESS);
    return pfn_to_page(&k->frames, pa >> PAGE_SHIFT);
}

/* ---- writes ---- */

void classic_pmd_store(struct pe_kernel *k, uint8_t *host, uint64_t table_pa, uint32_t bits)
{
    const uint32_t hardware = (uint32_t)table_pa + CLASSIC_HARDWARE;
    store32(k, host, hardware | bits);
    store32(k, host + 4, (hardware + CLASSIC_HALF) | bits);
}

void pmd_populate(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, struct page *table)
{
    const uint64_t pa = page_to_phys(&k->frames, table);
    cost_touch(k, pmd->va, pmd->pa, PE_WRITE);
    if (is_lpae(k)) {
        store64(k, pmd->host, pa | LPAE_PRESENT);
    } else {
        classic_pmd_store(k, pmd->host, pa, mm ? CLASSIC_TABLE_USER : CLASSIC_TABLE_KERNEL);
    }
    flush_pmd_entry(k);
}

void pmd_clear(struct pe_kernel *k, const struct pmd *pmd)
{
    cost_touch(k, pmd->va, pmd->pa, PE_WRITE);
    store64(k, pmd->host, 0);
    flush_pmd_entry(k);
}

pmdval_t mk_huge_pmd(const struct pe_kernel *k, uint64_t pfn, pteval_t prot)
{
    return mk_pte(k, pfn, prot) & ~LPAE_TABLE;
}

void set_pmd_at(struct pe_kernel *k, uint32_t addr, const struct pmd *pmd, pmdval_t value)
{
    if (addr >= k->layout.task_size) {
        report(k, PE_REPORT_BAD_PMD, PE_LOCKS, false, addr);
        return;
    }
    cost_touch(k, pmd->va, pmd->pa, PE_WRITE);
    store64(k, pmd->host, lpae_hardware(value, LPAE_VALID, false));
    flush_pmd_entry(k);
}
