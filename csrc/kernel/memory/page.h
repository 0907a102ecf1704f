/* SPDX-License-Identifier: GPL-2.0-or-later
 * struct page: what is known about each frame, and the way from frame to index and back. */
#ifndef PYEMU_KERNEL_PAGE_H
#define PYEMU_KERNEL_PAGE_H

#include "pyemu.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  (~(uint64_t)(PAGE_SIZE - 1))
#define PMD_SHIFT  21
#define PMD_SIZE   (1u << PMD_SHIFT)

#define HPAGE_ORDER 9
#define HPAGE_PAGES (1u << HPAGE_ORDER)

#define GUP_PIN_COUNTING_BIAS 1024 /* include/linux/mm.h */

#define NO_PAGE UINT32_MAX /* no index */

/* All zero is a frame inside a larger free block, so that a fresh array costs the host nothing. */
struct page {
    int32_t refcount; /* with GUP_PIN_COUNTING_BIAS for each pin of a small page */
    uint32_t flags;   /* PE_PG_*; gup/fast.c reads both at once */
    int32_t mapcount; /* page-table entries that map it: the kernel's _mapcount + 1; a head: of the whole folio */
    uint32_t order;   /* of the free block or folio that begins here */
    uint32_t next;    /* indices: of the free list or of a caller's list; a tail: of its head */
    uint32_t prev;
    uint32_t pincount; /* of a large folio, in its head */
    uint32_t private;  /* a free block: its migrate type; a table: for its owner */
};
_Static_assert(sizeof(struct page) == 32, "16 GB have 4 million of them");

struct frames {
    struct page *pages; /* by index */
    uint32_t count;
    uint32_t base_pfn;     /* of index 0 */
    uint32_t highmem;      /* first index of highmem; count without */
    uint8_t *migrate_type; /* by pageblock */
    uint32_t pageblock_order;
};

static inline uint32_t page_index(const struct frames *f, const struct page *page)
{
    return (uint32_t)(page - f->pages);
}

static inline uint32_t page_to_pfn(const struct frames *f, const struct page *page)
{
    return f->base_pfn + page_index(f, page);
}

/* NULL where there is no such frame. */
static inline struct page *pfn_to_page(const struct frames *f, uint64_t pfn)
{
    const uint64_t index = pfn - f->base_pfn;
    return index < f->count ? &f->pages[index] : NULL;
}

static inline bool page_is_high(const struct frames *f, const struct page *page)
{
    return page_index(f, page) >= f->highmem;
}

static inline uint64_t page_to_phys(const struct frames *f, const struct page *page)
{
    return (uint64_t)page_to_pfn(f, page) << PAGE_SHIFT;
}

static inline struct page *page_head(const struct frames *f, struct page *page)
{
    return page->flags & PE_PG_TAIL ? &f->pages[page->next] : page;
}

#endif
