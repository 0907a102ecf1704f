/* SPDX-License-Identifier: GPL-2.0-or-later
 * get_user_pages_fast in ARM code, on Linux' LPAE tables: the way from pgd to PTE, a PTE page in highmem through a
 * kmap_local window, a reference to each page.  The order of steps is that of mm/gup.c and mm/highmem.c.
 */
#include <stdbool.h>
#include <stdint.h>

#define PAGE      4096u
#define PMD_SIZE  (2u << 20)
#define TABLE     3u
#define PTE_USER  (1u << 6)
#define PTE_VALID 3u
#define RDONLY    (1ull << 58)
#define SPECIAL   (1ull << 56)
#define PHYS_MASK 0xfffffff000ull
/* PAGE_KERNEL: present, shared, young, WBWA, not to be executed, dirty */
#define WINDOW_PROT (PTE_VALID | 7u << 2 | 3u << 8 | 1u << 10 | 1ull << 54 | 1ull << 55)

#define PAGE_FLAGS    0 /* words of struct page */
#define PAGE_REFCOUNT 7
#define PG_REFERENCED (1u << 2)
#define PAGE_STRUCT   36u

/* What the walk needs to know of its kernel. */
struct request {
    uint32_t pgd;        /* address of the first level */
    uint32_t window;     /* address of the CPU's first kmap_local window */
    uint32_t window_pte; /* address of its PTE */
    uint32_t mem_map;    /* struct page of the first page of RAM */
    uint32_t first_pfn;
    uint32_t lowmem_end; /* first pfn of highmem */
    uint32_t linear;     /* virtual less physical address of lowmem */
    uint32_t pages;      /* where addresses of struct page go */
    uint32_t start, nr_pages, per_call;
    uint32_t windows; /* made */
};

static inline uint64_t load_entry(uint32_t address)
{
    uint64_t value;
    __asm__ volatile("ldrd %0, %H0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void store_entry(uint32_t address, uint64_t value)
{
    __asm__ volatile("strd %0, %H0, [%1]" : : "r"(value), "r"(address) : "memory");
}

/* local_flush_tlb_kernel_page, with the two operations of a core whose TLBs are unified in one of them */
static inline void flush_kernel_page(uint32_t va)
{
    __asm__ volatile("dsb nshst\n\t"
                     "mcr p15, 0, %0, c8, c7, 1\n\t"
                     "mcr p15, 0, %0, c8, c7, 1\n\t"
                     "dsb nsh\n\t"
                     "isb"
                     :
                     : "r"(va)
                     : "memory");
}

static inline void barrier_all(void)
{
    __asm__ volatile("dmb ish" : : : "memory");
}

static inline uint32_t load_exclusive(volatile uint32_t *at)
{
    uint32_t value;
    __asm__ volatile("ldrex %0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return value;
}

static inline bool store_exclusive(volatile uint32_t *at, uint32_t value)
{
    uint32_t failed;
    __asm__ volatile("strex %0, %1, [%2]" : "=&r"(failed) : "r"(value), "r"(at) : "memory");
    return !failed;
}

/* folio_ref_try_add: not where it is frozen. */
static bool try_get(volatile uint32_t *count)
{
    uint32_t now;
    barrier_all();
    do {
        now = load_exclusive(count);
        if (now == 0)
            return false;
    } while (!store_exclusive(count, now + 1));
    barrier_all();
    return true;
}

static void set_referenced(volatile uint32_t *flags)
{
    uint32_t now;
    do
        now = load_exclusive(flags);
    while (!store_exclusive(flags, now | PG_REFERENCED));
}

static uint32_t map_table(struct request *r, uint32_t pfn)
{
    if (pfn < r->lowmem_end)
        return (pfn << 12) + r->linear;
    if (load_entry(r->window_pte) != 0)
        return 0;
    store_entry(r->window_pte, (uint64_t)pfn << 12 | WINDOW_PROT);
    flush_kernel_page(r->window);
    r->windows++;
    return r->window;
}

static void unmap_table(const struct request *r, uint32_t table)
{
    if (table == r->window) {
        store_entry(r->window_pte, 0);
        flush_kernel_page(r->window);
    }
}

/* gup_fast_pte_range; the number of pages that it got. */
static uint32_t pte_range(struct request *r, uint32_t pmd_at, uint64_t pmd, uint32_t at, uint32_t end, uint32_t *out)
{
    uint32_t got = 0;
    const uint32_t table = map_table(r, (uint32_t)((pmd & PHYS_MASK) >> 12));
    if (table == 0)
        return 0;
    for (; at != end; at += PAGE) {
        const uint32_t entry = table + (at >> 12 & 511) * 8;
        const uint64_t pte = load_entry(entry);
        const uint32_t low = (uint32_t)pte;
        if ((low & (PTE_VALID | PTE_USER)) != (PTE_VALID | PTE_USER) || pte & (RDONLY | SPECIAL))
            break;
        const uint32_t pfn = (uint32_t)((pte & PHYS_MASK) >> 12);
        const uint32_t page = r->mem_map + (pfn - r->first_pfn) * PAGE_STRUCT;
        volatile uint32_t *words = (volatile uint32_t *)page;
        if (!try_get(&words[PAGE_REFCOUNT]))
            break;
        if (load_entry(pmd_at) != pmd || load_entry(entry) != pte)
            break;
        set_referenced(&words[PAGE_FLAGS]);
        out[got++] = page;
    }
    unmap_table(r, table);
    return got;
}

static uint32_t gup_fast(struct request *r, uint32_t at, uint32_t end, uint32_t *out)
{
    uint32_t got = 0, flags;
    __asm__ volatile("mrs %0, cpsr\n\tcpsid i" : "=r"(flags) : : "memory");
    while (at != end) {
        const uint32_t border = (at & -PMD_SIZE) + PMD_SIZE;
        const uint32_t next = border - 1 < end - 1 ? border : end;
        const uint64_t pgd = load_entry(r->pgd + (at >> 30) * 8);
        if ((pgd & TABLE) != TABLE)
            break;
        const uint32_t pmd_at = (uint32_t)(pgd & PHYS_MASK) + r->linear + (at >> 21 & 511) * 8;
        const uint64_t pmd = load_entry(pmd_at);
        if ((pmd & TABLE) != TABLE)
            break;
        const uint32_t more = pte_range(r, pmd_at, pmd, at, next, out + got);
        got += more;
        if (more != (next - at) >> 12)
            break;
        at = next;
    }
    __asm__ volatile("msr cpsr_c, %0" : : "r"(flags) : "memory");
    return got;
}

/* All pages of the request, so many a call; returns how many it got. */
uint32_t gup(struct request *r);
uint32_t gup(struct request *r)
{
    uint32_t *pages = (uint32_t *)r->pages;
    uint32_t got = 0;
    while (got < r->nr_pages) {
        const uint32_t left = r->nr_pages - got, nr = left < r->per_call ? left : r->per_call;
        const uint32_t start = r->start + got * PAGE;
        const uint32_t more = gup_fast(r, start, start + nr * PAGE, pages + got);
        got += more;
        if (more != nr)
            break;
    }
    return got;
}
