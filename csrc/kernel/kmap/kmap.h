/* SPDX-License-Identifier: GPL-2.0-or-later
 * Kernel mappings of highmem pages (mm/highmem.c): kmap_local windows, PKMAP, kmap_high_get. */
#ifndef PYEMU_KERNEL_KMAP_H
#define PYEMU_KERNEL_KMAP_H

#include "kernel/context/context.h"
#include "kernel/memory/page.h"

#define LAST_PKMAP        512u
#define PKMAP_WAITERS_MAX 64
#define PAGE_ADDRESS_HASH 128 /* HASHED_PAGE_VIRTUAL: page_address_htable */

struct pkmap {
    uint32_t count[LAST_PKMAP];          /* 0 free, 1 unused but maybe in a TLB, n: n - 1 users */
    uint32_t page[LAST_PKMAP];           /* index of the frame, where count is not 0 */
    uint32_t last;                       /* last_pkmap_nr */
    uint32_t waiting[PKMAP_WAITERS_MAX]; /* pids in pkmap_map_wait, first come first */
    uint32_t waiters;
    uint16_t bucket[PAGE_ADDRESS_HASH]; /* slot + 1 of a bucket's first page, 0: empty */
    uint16_t next[LAST_PKMAP];          /* slot + 1 */
};

/* kmap/local.c.  The address is linear where the page is lowmem.  0: the mapping failed, by a BUG that is reported or
 * by a lock that PE_REMEDY_TRYLOCK did not get; nothing has to be undone. */
uint32_t kmap_local_page(struct pe_kernel *k, struct page *page);
void kunmap_local(struct pe_kernel *k, uint32_t va);
uint32_t kmap_atomic(struct pe_kernel *k, struct page *page);
void kunmap_atomic(struct pe_kernel *k, uint32_t va);
/* The address of a CPU's slot (asm/fixmap.h). */
uint32_t kmap_local_va(const struct pe_kernel *k, uint32_t cpu, uint32_t slot);
void kmap_local_sched_out(struct pe_kernel *k, struct task *task);
void kmap_local_sched_in(struct pe_kernel *k, struct task *task);
/* The child has a copy of its parent's control block, which must be empty. */
void kmap_local_fork(struct pe_kernel *k, struct task *child);

enum kmap_try {
    KMAP_MISS = 0,
    KMAP_HIT = 1,
    KMAP_BUSY = 2, /* with trylock: a lock is not free */
};

/* kmap/high.c */
bool kmap_high_get_is_on(const struct pe_kernel *k); /* ARCH_NEEDS_KMAP_HIGH_GET */
enum kmap_try kmap_high_get(struct pe_kernel *k, struct page *page, bool trylock, uint32_t *va);
/* False: every slot is in use.  The task waits in pkmap_map_wait, and has to call again once it is woken. */
bool kmap(struct pe_kernel *k, struct page *page, uint32_t *va);
/* Pids of the waiters that this wakes, up to max; returns how many. */
uint32_t kunmap(struct pe_kernel *k, struct page *page, uint32_t *woken, uint32_t max);
/* Gives back a mapping of kmap or kmap_high_get by its page. */
uint32_t kunmap_high(struct pe_kernel *k, struct page *page, uint32_t *woken, uint32_t max);
/* 0 where it has none. */
uint32_t page_address(struct pe_kernel *k, const struct page *page);
bool is_pkmap_address(const struct pe_kernel *k, uint32_t va);
struct page *pkmap_page(struct pe_kernel *k, uint32_t va);

#endif
