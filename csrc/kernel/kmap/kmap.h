/* SPDX-License-Identifier: GPL-2.0-or-later
 * Kernel mappings of highmem pages (mm/highmem.c): kmap_local windows, PKMAP, kmap_high_get. */
#ifndef PYEMU_KERNEL_KMAP_H
#define PYEMU_KERNEL_KMAP_H

#include "kernel/context/context.h"
#include "kernel/memory/page.h"

#define LAST_PKMAP        512u
#define PKMAP_WAITERS_MAX 64
#define PAGE_ADDRESS_BITS 7 /* PA_HASH_ORDER: page_address_htable */

struct pkmap {
    uint32_t count[LAST_PKMAP];               /* 0 free, 1 unused but maybe in a TLB, n: n - 1 users */
    uint32_t page[LAST_PKMAP];                /* index of the frame, where count is not 0 */
    uint16_t bucket[1u << PAGE_ADDRESS_BITS]; /* the first slot + 1 of a chain, or 0 */
    uint16_t chain[LAST_PKMAP];               /* the next one */
    uint32_t last;                            /* last_pkmap_nr */
    uint32_t waiting[PKMAP_WAITERS_MAX];      /* pids, first come first served */
    uint32_t waiters;
};

/* kmap/local.c.  The address is linear where the page is lowmem. */
uint32_t kmap_local_page(struct pe_kernel *k, struct page *page);
void kunmap_local(struct pe_kernel *k, uint32_t va);
uint32_t kmap_atomic(struct pe_kernel *k, struct page *page);
void kunmap_atomic(struct pe_kernel *k, uint32_t va);
/* The address of a CPU's slot (asm/fixmap.h, A.4). */
uint32_t kmap_local_va(const struct pe_kernel *k, uint32_t cpu, uint32_t slot);
void kmap_local_sched_out(struct pe_kernel *k, struct task *task);
void kmap_local_sched_in(struct pe_kernel *k, struct task *task);
void kmap_local_fork(struct pe_kernel *k, struct task *child);

/* PE_REMEDY_TRYLOCK: a lock that is not free makes the whole mapping fail. */
enum kmap_try {
    KMAP_MISS = 0,
    KMAP_HIT = 1,
    KMAP_BUSY = 2,
};

/* kmap/high.c */
enum kmap_try kmap_high_get(struct pe_kernel *k, struct page *page, bool trylock, uint32_t *va);
/* False: every slot is in use, and the caller has to wait (pkmap_map_wait). */
bool kmap(struct pe_kernel *k, struct page *page, uint32_t *va);
/* The pid of the waiter that this wakes, or 0. */
uint32_t kunmap(struct pe_kernel *k, struct page *page);
uint32_t kunmap_high_address(struct pe_kernel *k, uint32_t va);
/* 0 where it has none. */
uint32_t page_address(struct pe_kernel *k, const struct page *page);

#endif
