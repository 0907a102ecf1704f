/* SPDX-License-Identifier: GPL-2.0-or-later
 * Page tables in guest RAM: entries as Linux sees them, in both formats, and the way down to them.
 *
 * A PTE is the Linux one: 8 bytes with LPAE, of which the hardware reads a part; 4 bytes with short descriptors, beside
 * which set_pte_at writes the hardware's copy (+2048).  A PMD entry has 8 bytes in both: with short descriptors it is a
 * pair of words of the first level, and its value is the first of them. */
#ifndef PYEMU_KERNEL_PGTABLE_H
#define PYEMU_KERNEL_PGTABLE_H

#include "kernel/memory/page.h"

#define PTRS_PER_PTE 512u

typedef uint64_t pteval_t;
typedef uint64_t pmdval_t;

/* arch/arm/include/asm/pgtable-3level.h, pgtable-2level.h: L_PTE_*.  One instance a format: tables/lpae.c, classic.c.
 */
struct pgtable_bits {
    pteval_t present; /* any of these bits: pte_present */
    pteval_t valid;   /* all of these: pte_valid */
    pteval_t user, young, dirty, rdonly, xn, special, none;
    pteval_t exclusive_swap;
    pteval_t pfn;         /* where the frame number is */
    pteval_t kernel_page; /* PAGE_KERNEL: of windows */
    pteval_t user_page;   /* what every user page has: type, shareability, PXN */
    uint32_t pte_bytes;
};
extern const struct pgtable_bits pgtable_lpae;
extern const struct pgtable_bits pgtable_classic;

static inline uint64_t pte_phys(const struct pgtable_bits *b, pteval_t pte)
{
    return pte & b->pfn;
}

static inline uint64_t pte_pfn(const struct pgtable_bits *b, pteval_t pte)
{
    return (pte & b->pfn) >> PAGE_SHIFT;
}

static inline bool pte_present(const struct pgtable_bits *b, pteval_t pte)
{
    return pte & b->present;
}

static inline bool pte_write(const struct pgtable_bits *b, pteval_t pte)
{
    return !(pte & b->rdonly);
}

/* asm/pgtable.h: neither young nor dirty matters. */
static inline bool pte_access_permitted(const struct pgtable_bits *b, pteval_t pte, bool write)
{
    const pteval_t need = b->valid | b->user;
    return (pte & need) == need && !(write && pte & b->rdonly);
}

/* A PMD entry in guest RAM. */
struct pmd {
    uint8_t *host;
    uint64_t pa;
    uint32_t va; /* by which the kernel reads it */
};

/* A mapped PTE table: mm/pgtable-generic.c. */
struct pte_table {
    uint8_t *host; /* of entry 0 */
    uint64_t pa;
    uint32_t va; /* of entry 0: linear, or a window */
    bool window; /* a highmem page: kunmap_local is due */
    struct page *page;
};

struct mm;

/* tables/pmd.c.  NULL host: the level above has no entry.  pmd_alloc makes the level (false: no memory). */
void pmd_offset(struct pe_kernel *k, const struct mm *mm, uint32_t addr, struct pmd *out);
bool pmd_alloc(struct pe_kernel *k, struct mm *mm, uint32_t addr, struct pmd *out);
pmdval_t pmd_read(struct pe_kernel *k, const struct pmd *pmd); /* pmdp_get_lockless: billed as a load */
bool pmd_none(const struct pe_kernel *k, pmdval_t value);
bool pmd_present(const struct pe_kernel *k, pmdval_t value);
bool pmd_trans_huge(const struct pe_kernel *k, pmdval_t value); /* also when invalidated */
bool pmd_leaf(const struct pe_kernel *k, pmdval_t value);
bool pmd_table(const struct pe_kernel *k, pmdval_t value);
bool pmd_write(const struct pe_kernel *k, pmdval_t value);
struct page *pmd_page(const struct pe_kernel *k, pmdval_t value); /* table or first page; NULL outside RAM */
void pmd_populate(struct pe_kernel *k, struct mm *mm, const struct pmd *pmd, struct page *table);
void pmd_clear(struct pe_kernel *k, const struct pmd *pmd);
/* A block; refuses addresses from TASK_SIZE on, sets nG; set_pmd_at and flush_pmd_entry. */
void set_pmd_at(struct pe_kernel *k, uint32_t addr, const struct pmd *pmd, pmdval_t value);
pmdval_t mk_huge_pmd(const struct pe_kernel *k, uint64_t pfn, pteval_t prot);

/* tables/pgd.c: arch/arm/mm/pgd.c.  False: no memory. */
bool pgd_alloc(struct pe_kernel *k, struct mm *mm);
void pgd_free(struct pe_kernel *k, struct mm *mm);
/* A zeroed frame for a table (PE_PG_TABLE, counted by zone); gfp 0 or PE_GFP_HIGHMEM.  NULL: no memory. */
struct page *table_page_alloc(struct pe_kernel *k, uint32_t gfp);
void table_page_free(struct pe_kernel *k, struct page *page);
/* pte_alloc_one: from highmem with HIGHPTE; the table is zero.  NULL: no memory. */
struct page *pte_alloc_one(struct pe_kernel *k);
void pte_free(struct pe_kernel *k, struct page *table);

/* tables/map.c.  False: none, not present, huge, bad - as __pte_offset_map returns NULL; then nothing has to be
 * undone.  The value is that of the entry as the caller read it. */
bool pte_offset_map(struct pe_kernel *k, pmdval_t value, struct pte_table *out);
void pte_unmap(struct pe_kernel *k, const struct pte_table *table);
/* Takes the page-table lock too, and looks at the entry again. */
bool pte_offset_map_lock(struct pe_kernel *k, const struct pmd *pmd, struct pte_table *out);
void pte_unmap_unlock(struct pe_kernel *k, const struct pte_table *table);

/* tables/pte.c: entries of a mapped table.  index: 0 to 511. */
pteval_t ptep_get(struct pe_kernel *k, const struct pte_table *table, uint32_t index);
/* cpu_v7_set_pte_ext: drops VALID of PROT_NONE, makes AP[2] or the hardware entry from young, dirty and read-only; nG
 * where addr is below TASK_SIZE. */
void set_pte_at(struct pe_kernel *k, uint32_t addr, const struct pte_table *table, uint32_t index, pteval_t pte);
pteval_t mk_pte(const struct pe_kernel *k, uint64_t pfn, pteval_t prot);

static inline uint32_t pte_index(uint32_t addr)
{
    return addr >> PAGE_SHIFT & (PTRS_PER_PTE - 1);
}

/* tables/swapper.c: init_mm's tables as the boot leaves them: linear map by sections, fixmap, PKMAP, vmalloc, vectors.
 */
pe_status swapper_init(struct pe_kernel *k, pe_error *err);
/* The registers with which a task's tables translate; mm NULL: init_mm alone. */
/* do_translation_fault: the mm's own first level gets what init_mm has for an address of the kernel.  False: nothing.
 */
bool vmalloc_fault(struct pe_kernel *k, struct mm *mm, uint32_t addr);
void regime_of(const struct pe_kernel *k, const struct mm *mm, pe_regime *out);
/* virt_to_kpte: the entry of a window or PKMAP slot; host NULL where the address has no PTE table. */
void kernel_pte(struct pe_kernel *k, uint32_t va, struct pte_table *table, uint32_t *index);
void set_kernel_pte(struct pe_kernel *k, uint32_t va, pteval_t pte);
pteval_t get_kernel_pte(struct pe_kernel *k, uint32_t va);

#endif
