/* SPDX-License-Identifier: GPL-2.0-or-later
 * Windows and PKMAP from outside: maps by frame number, and what the slots hold. */
#include "kernel/kernel.h"
#include "kernel/tables/entry.h"

static struct page *find_page(const struct pe_kernel *k, uint32_t pfn, pe_error *err)
{
    struct page *page = pfn_to_page(&k->frames, pfn);
    if (!page) {
        pe_fail(err, PE_ERR_ARGUMENT, "no frame has pfn 0x%x: 0x%x to 0x%x are RAM", pfn, k->frames.base_pfn,
                k->frames.base_pfn + k->frames.count - 1);
    }
    return page;
}

pe_status pe_kernel_kmap_local(pe_kernel *k, uint32_t pfn, uint32_t *va, pe_error *err)
{
    struct page *page = find_page(k, pfn, err);
    *va = page ? kmap_local_page(k, page) : 0;
    return page ? PE_OK : PE_ERR_ARGUMENT;
}

void pe_kernel_kunmap_local(pe_kernel *k, uint32_t va)
{
    kunmap_local(k, va);
}

pe_status pe_kernel_kmap_atomic(pe_kernel *k, uint32_t pfn, uint32_t *va, pe_error *err)
{
    struct page *page = find_page(k, pfn, err);
    *va = page ? kmap_atomic(k, page) : 0;
    return page ? PE_OK : PE_ERR_ARGUMENT;
}

void pe_kernel_kunmap_atomic(pe_kernel *k, uint32_t va)
{
    kunmap_atomic(k, va);
}

pe_status pe_kernel_kmap(pe_kernel *k, uint32_t pfn, uint32_t *va, pe_error *err)
{
    struct page *page = find_page(k, pfn, err);
    *va = 0;
    if (!page) {
        return PE_ERR_ARGUMENT;
    }
    for (uint32_t i = 0; i < k->pkmap.waiters; i++) {
        if (k->pkmap.waiting[i] == current_task(k)->pid) {
            return pe_fail(err, PE_ERR_STATE, "task %u waits for a slot of PKMAP already: only kunmap wakes it",
                           current_task(k)->pid);
        }
    }
    if (!kmap(k, page, va)) {
        *va = 0;
    }
    return PE_OK;
}

pe_status pe_kernel_kunmap(pe_kernel *k, uint32_t pfn, uint32_t *woken, uint32_t max, uint32_t *count, pe_error *err)
{
    struct page *page = find_page(k, pfn, err);
    *count = page ? kunmap(k, page, woken, max) : 0;
    return page ? PE_OK : PE_ERR_ARGUMENT;
}

size_t pe_kernel_kmap_waiting(const pe_kernel *k, uint32_t *pids, size_t max)
{
    for (uint32_t i = 0; i < k->pkmap.waiters && i < max; i++) {
        pids[i] = k->pkmap.waiting[i];
    }
    return k->pkmap.waiters;
}

pe_status pe_kernel_page_address(pe_kernel *k, uint32_t pfn, uint32_t *va, pe_error *err)
{
    struct page *page = find_page(k, pfn, err);
    *va = page ? page_address(k, page) : 0;
    return page ? PE_OK : PE_ERR_ARGUMENT;
}

/* As hardware reads it, without a bill. */
static uint64_t read_entry(const struct pe_kernel *k, uint64_t table_pa, uint32_t va)
{
    const uint8_t *host = phys_host(k, table_pa, PAGE_SIZE);
    return host ? pte_load(k, host, pte_index(va)) : 0;
}

static uint64_t entry_pfn(const struct pe_kernel *k, uint64_t pte)
{
    return pte ? pte_pfn(k->bits, pte) : 0;
}

size_t pe_kernel_kmap_slots(const pe_kernel *k, uint32_t cpu, pe_kmap_slot *out, size_t max)
{
    const bool guards = k->config.flags & PE_KERNEL_DEBUG_KMAP_LOCAL;
    if (cpu >= k->config.nr_cpus) {
        return 0;
    }
    for (uint32_t slot = 0; slot < k->layout.kmap_slots && slot < max; slot++) {
        const uint32_t va = kmap_local_va(k, cpu, slot);
        const uint64_t pte = read_entry(k, k->swapper.fixmap_pa[va >> PMD_SHIFT & 1], va);
        out[slot] = (pe_kmap_slot){.va = va, .pte = pte, .pfn = entry_pfn(k, pte), .guard = guards && !(slot & 1)};
    }
    return k->layout.kmap_slots;
}

size_t pe_kernel_pkmap_slots(const pe_kernel *k, pe_pkmap_slot *out, size_t max)
{
    if (!k->layout.pkmap_base) {
        return 0;
    }
    for (uint32_t slot = 0; slot < LAST_PKMAP && slot < max; slot++) {
        const uint32_t va = k->layout.pkmap_base + (slot << PAGE_SHIFT);
        const uint64_t pte = read_entry(k, k->swapper.pkmap_pa, va);
        out[slot] = (pe_pkmap_slot){.va = va, .count = k->pkmap.count[slot], .pte = pte, .pfn = entry_pfn(k, pte)};
    }
    return LAST_PKMAP;
}
