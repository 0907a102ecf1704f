/* SPDX-License-Identifier: GPL-2.0-or-later
 * PKMAP (mm/highmem.c): kmap, kunmap, kmap_high_get and the table of page addresses behind them. */
#include "kernel/cost.h"
#include "kernel/tables/tlbflush.h"

static uint32_t pkmap_addr(const struct pe_kernel *k, uint32_t slot)
{
    return k->layout.pkmap_base + (slot << PAGE_SHIFT);
}

/* lock_kmap and lock_kmap_any differ in nothing that can be seen here: with ARCH_NEEDS_KMAP_HIGH_GET both turn
 * interrupts off, without neither does. */
static void lock_kmap(struct pe_kernel *k)
{
    if (k->config.high_get == PE_HIGH_GET_ERRATUM) {
        spin_lock(k, PE_LOCK_KMAP);
    } else {
        spin_lock_irqsave(k, PE_LOCK_KMAP);
    }
}

static void unlock_kmap(struct pe_kernel *k)
{
    if (k->config.high_get == PE_HIGH_GET_ERRATUM) {
        spin_unlock(k, PE_LOCK_KMAP);
    } else {
        spin_unlock_irqrestore(k, PE_LOCK_KMAP);
    }
}

/* ---- page_address: HASHED_PAGE_VIRTUAL.  Slots in chains by the frame that they map, numbered from 1. ---- */

static uint32_t bucket_of(uint32_t index)
{
    return index * 0x9e3779b1u >> (32 - PAGE_ADDRESS_BITS); /* hash_32 of include/linux/hash.h */
}

static uint32_t address_of(const struct pe_kernel *k, const struct page *page)
{
    const uint32_t index = page_index(&k->frames, page);
    uint32_t slot = k->pkmap.bucket[bucket_of(index)];
    while (slot && k->pkmap.page[slot - 1] != index) {
        slot = k->pkmap.chain[slot - 1];
    }
    return slot ? pkmap_addr(k, slot - 1) : 0;
}

uint32_t page_address(struct pe_kernel *k, const struct page *page)
{
    if (!page_is_high(&k->frames, page)) {
        return phys_to_virt(k, page_to_phys(&k->frames, page));
    }
    chain_enter(k->cpu, PE_FN_PAGE_ADDRESS);
    cost_insns(k, k->costs.kmap.page_address);
    spin_lock_irqsave(k, PE_LOCK_PAGE_ADDRESS);
    const uint32_t va = address_of(k, page);
    spin_unlock_irqrestore(k, PE_LOCK_PAGE_ADDRESS);
    chain_leave(k->cpu);
    return va;
}

/* set_page_address: the slot joins or leaves the chain of the frame that it maps. */
static void set_page_address(struct pe_kernel *k, uint32_t slot, bool present)
{
    struct pkmap *p = &k->pkmap;
    cost_insns(k, k->costs.kmap.page_address);
    spin_lock_irqsave(k, PE_LOCK_PAGE_ADDRESS);
    uint16_t *link = &p->bucket[bucket_of(p->page[slot])];
    if (present) {
        p->chain[slot] = *link;
        *link = (uint16_t)(slot + 1);
    } else {
        while (*link != slot + 1) {
            link = &p->chain[*link - 1];
        }
        *link = p->chain[slot];
    }
    spin_unlock_irqrestore(k, PE_LOCK_PAGE_ADDRESS);
}

/* ---- kmap ---- */

static void flush_all_zero_pkmaps(struct pe_kernel *k)
{
    bool flush = false;
    for (uint32_t i = 0; i < LAST_PKMAP; i++) {
        if (k->pkmap.count[i] == 1) {
            k->pkmap.count[i] = 0;
            set_kernel_pte(k, pkmap_addr(k, i), 0);
            set_page_address(k, i, false);
            flush = true;
        }
    }
    if (flush) {
        k->stats.kmap_high_flushes++;
        flush_tlb_kernel_range(k, k->layout.pkmap_base, pkmap_addr(k, LAST_PKMAP));
    }
}

/* map_new_virtual; LAST_PKMAP where every slot is in use. */
static uint32_t new_slot(struct pe_kernel *k)
{
    struct pkmap *p = &k->pkmap;
    for (uint32_t left = LAST_PKMAP; left;) {
        p->last = (p->last + 1) & (LAST_PKMAP - 1);
        cost_insns(k, k->costs.kmap.map_new_virtual);
        if (!p->last) {
            flush_all_zero_pkmaps(k);
            left = LAST_PKMAP;
        }
        if (!p->count[p->last]) {
            return p->last;
        }
        left--;
    }
    return LAST_PKMAP;
}

static void wait_for_slot(struct pe_kernel *k)
{
    struct pkmap *p = &k->pkmap;
    k->stats.kmap_high_waits++;
    spin_lock_irqsave(k, PE_LOCK_PKMAP_WAIT);
    if (p->waiters < PKMAP_WAITERS_MAX) {
        p->waiting[p->waiters++] = current_task(k)->pid;
    }
    spin_unlock_irqrestore(k, PE_LOCK_PKMAP_WAIT);
}

static bool kmap_high(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    k->stats.kmap_high++;
    lock_kmap(k);
    *va = page_address(k, page);
    if (!*va) {
        const uint32_t slot = new_slot(k);
        if (slot == LAST_PKMAP) {
            unlock_kmap(k);
            wait_for_slot(k);
            return false;
        }
        *va = pkmap_addr(k, slot);
        set_kernel_pte(k, *va, mk_pte(k, page_to_pfn(&k->frames, page), k->bits->kernel_page));
        k->pkmap.count[slot] = 1;
        k->pkmap.page[slot] = page_index(&k->frames, page);
        set_page_address(k, slot, true);
        k->stats.kmap_high_new++;
    }
    k->pkmap.count[(*va - k->layout.pkmap_base) >> PAGE_SHIFT]++;
    unlock_kmap(k);
    return true;
}

bool kmap(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    might_sleep(k);
    if (!page_is_high(&k->frames, page)) {
        *va = phys_to_virt(k, page_to_phys(&k->frames, page));
        return true;
    }
    chain_enter(k->cpu, PE_FN_KMAP_HIGH);
    const bool mapped = kmap_high(k, page, va);
    chain_leave(k->cpu);
    return mapped;
}

/* kunmap_high.  wake_up lets all waiters try again; the first of them is named. */
static uint32_t drop_slot(struct pe_kernel *k, uint32_t slot)
{
    uint32_t woken = 0;
    chain_enter(k->cpu, PE_FN_KUNMAP_HIGH);
    cost_insns(k, k->costs.kmap.high_unmap);
    lock_kmap(k);
    if (k->pkmap.count[slot] < 2) {
        report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, pkmap_addr(k, slot));
    } else if (--k->pkmap.count[slot] == 1 && k->pkmap.waiters) {
        woken = k->pkmap.waiting[0];
        k->pkmap.waiters = 0;
    }
    unlock_kmap(k);
    if (woken) {
        spin_lock_irqsave(k, PE_LOCK_PKMAP_WAIT);
        spin_unlock_irqrestore(k, PE_LOCK_PKMAP_WAIT);
    }
    chain_leave(k->cpu);
    return woken;
}

uint32_t kunmap(struct pe_kernel *k, struct page *page)
{
    might_sleep(k);
    if (!page_is_high(&k->frames, page)) {
        return 0;
    }
    const uint32_t va = page_address(k, page);
    if (!va) {
        report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, page_to_pfn(&k->frames, page));
        return 0;
    }
    return drop_slot(k, (va - k->layout.pkmap_base) >> PAGE_SHIFT);
}

uint32_t kunmap_high_address(struct pe_kernel *k, uint32_t va)
{
    return drop_slot(k, (va - k->layout.pkmap_base) >> PAGE_SHIFT);
}

/* ---- kmap_high_get ---- */

static enum kmap_try look_up(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    *va = page_address(k, page);
    if (!*va) {
        return KMAP_MISS;
    }
    k->pkmap.count[(*va - k->layout.pkmap_base) >> PAGE_SHIFT]++;
    k->stats.kmap_high_get_hits++;
    return KMAP_HIT;
}

/* PE_REMEDY_TRYLOCK: neither of the two locks is waited for. */
static enum kmap_try try_look_up(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    if (!spin_trylock(k, PE_LOCK_KMAP)) {
        return KMAP_BUSY;
    }
    enum kmap_try found = KMAP_BUSY;
    if (spin_trylock(k, PE_LOCK_PAGE_ADDRESS)) {
        cost_insns(k, k->costs.kmap.page_address);
        *va = address_of(k, page);
        found = *va ? KMAP_HIT : KMAP_MISS;
        if (*va) {
            k->pkmap.count[(*va - k->layout.pkmap_base) >> PAGE_SHIFT]++;
            k->stats.kmap_high_get_hits++;
        }
        spin_unlock(k, PE_LOCK_PAGE_ADDRESS);
    }
    spin_unlock(k, PE_LOCK_KMAP);
    return found;
}

enum kmap_try kmap_high_get(struct pe_kernel *k, struct page *page, bool trylock, uint32_t *va)
{
    enum kmap_try found;
    *va = 0;
    chain_enter(k->cpu, PE_FN_KMAP_HIGH_GET);
    cost_insns(k, k->costs.kmap.high_get);
    k->stats.kmap_high_get++;
    if (trylock) {
        found = try_look_up(k, page, va);
    } else {
        spin_lock_irqsave(k, PE_LOCK_KMAP);
        found = look_up(k, page, va);
        spin_unlock_irqrestore(k, PE_LOCK_KMAP);
    }
    chain_leave(k->cpu);
    return found;
}
