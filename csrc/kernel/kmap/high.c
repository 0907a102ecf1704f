/* SPDX-License-Identifier: GPL-2.0-or-later
 * PKMAP (mm/highmem.c): kmap, kunmap, kmap_high_get, and the hash by which page_address finds a mapping. */
#include "kernel/cost.h"
#include "kernel/tables/tlbflush.h"

static uint32_t pkmap_va(const struct pe_kernel *k, uint32_t slot)
{
    return k->layout.pkmap_base + (slot << PAGE_SHIFT);
}

bool is_pkmap_address(const struct pe_kernel *k, uint32_t va)
{
    return k->layout.pkmap_base && va - k->layout.pkmap_base < LAST_PKMAP << PAGE_SHIFT;
}

struct page *pkmap_page(struct pe_kernel *k, uint32_t va)
{
    const uint32_t slot = (va - k->layout.pkmap_base) >> PAGE_SHIFT;
    return k->pkmap.count[slot] ? &k->frames.pages[k->pkmap.page[slot]] : NULL;
}

bool kmap_high_get_is_on(const struct pe_kernel *k)
{
    return k->config.high_get != PE_HIGH_GET_ERRATUM && k->config.remedy != PE_REMEDY_SKIP_HIGH_GET;
}

/* ---- locks: spin_lock_irq where kmap_high_get may come from an interrupt, spin_lock otherwise ---- */

static void lock_kmap(struct pe_kernel *k)
{
    if (kmap_high_get_is_on(k)) {
        spin_lock_irqsave(k, PE_LOCK_KMAP);
    } else {
        spin_lock(k, PE_LOCK_KMAP);
    }
}

static void unlock_kmap(struct pe_kernel *k)
{
    if (kmap_high_get_is_on(k)) {
        spin_unlock_irqrestore(k, PE_LOCK_KMAP);
    } else {
        spin_unlock(k, PE_LOCK_KMAP);
    }
}

/* ---- page_address_htable ---- */

/* hash_ptr by PA_HASH_ORDER (include/linux/hash.h): of the address of struct page. */
static uint32_t hash_page(const struct pe_kernel *k, const struct page *page)
{
    const uint32_t at = k->layout.mem_map_va + page_index(&k->frames, page) * k->layout.struct_page_bytes;
    return (at * 0x61c88647u) >> 25;
}

/* Slot + 1, or 0. */
static uint32_t find_slot(const struct pe_kernel *k, const struct page *page)
{
    const uint32_t index = page_index(&k->frames, page);
    uint32_t at = k->pkmap.bucket[hash_page(k, page)];
    while (at && k->pkmap.page[at - 1] != index) {
        at = k->pkmap.next[at - 1];
    }
    return at;
}

/* set_page_address; slot + 1, or 0: no longer. */
static void set_page_address(struct pe_kernel *k, const struct page *page, uint32_t slot)
{
    struct pkmap *p = &k->pkmap;
    uint16_t *link = &p->bucket[hash_page(k, page)];
    spin_lock_irqsave(k, PE_LOCK_PAGE_ADDRESS);
    cost_insns(k, k->costs.kmap.page_address);
    if (slot) {
        p->page[slot - 1] = page_index(&k->frames, page);
        p->next[slot - 1] = *link;
        *link = (uint16_t)slot;
    } else {
        const uint32_t old = find_slot(k, page);
        while (*link != old) {
            link = &p->next[*link - 1];
        }
        *link = p->next[old - 1];
    }
    spin_unlock_irqrestore(k, PE_LOCK_PAGE_ADDRESS);
}

/* False: trylock, and the bucket's lock is not free. */
static bool look_up(struct pe_kernel *k, const struct page *page, bool trylock, uint32_t *va)
{
    chain_enter(k->cpu, PE_FN_PAGE_ADDRESS);
    bool locked = true;
    if (trylock) {
        locked = spin_trylock(k, PE_LOCK_PAGE_ADDRESS);
    } else {
        spin_lock_irqsave(k, PE_LOCK_PAGE_ADDRESS);
    }
    if (locked) {
        cost_insns(k, k->costs.kmap.page_address);
        const uint32_t slot = find_slot(k, page);
        *va = slot ? pkmap_va(k, slot - 1) : 0;
        if (trylock) {
            spin_unlock(k, PE_LOCK_PAGE_ADDRESS);
        } else {
            spin_unlock_irqrestore(k, PE_LOCK_PAGE_ADDRESS);
        }
    }
    chain_leave(k->cpu);
    return locked;
}

uint32_t page_address(struct pe_kernel *k, const struct page *page)
{
    uint32_t va = 0;
    if (page_is_high(&k->frames, page)) {
        look_up(k, page, false, &va);
        return va;
    }
    return phys_to_virt(k, page_to_phys(&k->frames, page));
}

/* ---- kmap ---- */

/* Entries without users become free: their PTEs go, and with them whatever any TLB holds of PKMAP. */
static void flush_all_zero_pkmaps(struct pe_kernel *k)
{
    struct pkmap *p = &k->pkmap;
    bool flush = false;
    k->stats.kmap_high_flushes++;
    for (uint32_t slot = 0; slot < LAST_PKMAP; slot++) {
        if (p->count[slot] == 1) {
            p->count[slot] = 0;
            set_kernel_pte(k, pkmap_va(k, slot), 0);
            set_page_address(k, &k->frames.pages[p->page[slot]], 0);
            flush = true;
        }
    }
    if (flush) {
        flush_tlb_kernel_range(k, pkmap_va(k, 0), pkmap_va(k, LAST_PKMAP));
    }
}

/* A slot whose count is 0, round robin; LAST_PKMAP: none. */
static uint32_t find_free(struct pe_kernel *k)
{
    struct pkmap *p = &k->pkmap;
    uint32_t left = LAST_PKMAP;
    while (left) {
        p->last = (p->last + 1) % LAST_PKMAP;
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
    spin_lock_irqsave(k, PE_LOCK_PKMAP_WAIT);
    if (p->waiters < PKMAP_WAITERS_MAX) {
        p->waiting[p->waiters++] = current_task(k)->pid;
    }
    spin_unlock_irqrestore(k, PE_LOCK_PKMAP_WAIT);
    k->stats.kmap_high_waits++;
}

/* Slot, or LAST_PKMAP: the task waits. */
static uint32_t map_new_virtual(struct pe_kernel *k, struct page *page)
{
    const uint32_t slot = find_free(k);
    if (slot == LAST_PKMAP) {
        wait_for_slot(k);
        return slot;
    }
    set_kernel_pte(k, pkmap_va(k, slot), mk_pte(k, page_to_pfn(&k->frames, page), k->bits->kernel_page));
    k->pkmap.count[slot] = 1;
    set_page_address(k, page, slot + 1);
    k->stats.kmap_high_new++;
    return slot;
}

static bool kmap_high(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    lock_kmap(k);
    cost_insns(k, k->costs.kmap.high_get);
    *va = page_address(k, page);
    uint32_t slot = *va ? (*va - k->layout.pkmap_base) >> PAGE_SHIFT : map_new_virtual(k, page);
    if (slot < LAST_PKMAP) {
        k->pkmap.count[slot]++;
        *va = pkmap_va(k, slot);
    }
    unlock_kmap(k);
    return slot < LAST_PKMAP;
}

bool kmap(struct pe_kernel *k, struct page *page, uint32_t *va)
{
    might_sleep(k);
    if (!page_is_high(&k->frames, page)) {
        *va = page_address(k, page);
        return true;
    }
    k->stats.kmap_high++;
    chain_enter(k->cpu, PE_FN_KMAP_HIGH);
    const bool mapped = kmap_high(k, page, va);
    chain_leave(k->cpu);
    return mapped;
}

/* ---- kunmap ---- */

/* wake_up(&pkmap_map_wait): its waiters are not exclusive, so all of them. */
static uint32_t wake_up(struct pe_kernel *k, uint32_t *woken, uint32_t max)
{
    struct pkmap *p = &k->pkmap;
    spin_lock_irqsave(k, PE_LOCK_PKMAP_WAIT);
    const uint32_t count = p->waiters;
    memcpy(woken, p->waiting, (count < max ? count : max) * sizeof *woken);
    p->waiters = 0;
    spin_unlock_irqrestore(k, PE_LOCK_PKMAP_WAIT);
    return count;
}

uint32_t kunmap_high(struct pe_kernel *k, struct page *page, uint32_t *woken, uint32_t max)
{
    chain_enter(k->cpu, PE_FN_KUNMAP_HIGH);
    lock_kmap(k);
    cost_insns(k, k->costs.kmap.high_unmap);
    const uint32_t va = page ? page_address(k, page) : 0;
    uint32_t *count = va ? &k->pkmap.count[(va - k->layout.pkmap_base) >> PAGE_SHIFT] : NULL;
    bool wake = false;
    if (!count || *count < 2) {
        report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, va); /* BUG */
    } else {
        wake = --*count == 1 && k->pkmap.waiters;
    }
    unlock_kmap(k);
    const uint32_t waiters = wake ? wake_up(k, woken, max) : 0;
    chain_leave(k->cpu);
    return waiters;
}

uint32_t kunmap(struct pe_kernel *k, struct page *page, uint32_t *woken, uint32_t max)
{
    might_sleep(k);
    return page_is_high(&k->frames, page) ? kunmap_high(k, page, woken, max) : 0;
}

/* ---- kmap_high_get ---- */

/* A hit takes a use of the mapping; one without users is revived. */
static enum kmap_try get_mapping(struct pe_kernel *k, struct page *page, bool trylock, uint32_t *va)
{
    if (trylock && !spin_trylock(k, PE_LOCK_KMAP)) {
        return KMAP_BUSY;
    }
    if (!trylock) {
        spin_lock_irqsave(k, PE_LOCK_KMAP);
    }
    enum kmap_try answer = KMAP_BUSY;
    if (look_up(k, page, trylock, va)) {
        answer = *va ? KMAP_HIT : KMAP_MISS;
    }
    if (answer == KMAP_HIT) {
        k->pkmap.count[(*va - k->layout.pkmap_base) >> PAGE_SHIFT]++;
        k->stats.kmap_high_get_hits++;
    }
    if (trylock) {
        spin_unlock(k, PE_LOCK_KMAP);
    } else {
        spin_unlock_irqrestore(k, PE_LOCK_KMAP);
    }
    return answer;
}

enum kmap_try kmap_high_get(struct pe_kernel *k, struct page *page, bool trylock, uint32_t *va)
{
    chain_enter(k->cpu, PE_FN_KMAP_HIGH_GET);
    cost_insns(k, k->costs.kmap.high_get);
    k->stats.kmap_high_get++;
    const enum kmap_try answer = get_mapping(k, page, trylock, va);
    chain_leave(k->cpu);
    return answer;
}
