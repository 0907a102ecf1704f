/* SPDX-License-Identifier: GPL-2.0-or-later
 * Whole address spaces: made, shared by tasks, taken down (mm_alloc, mmput, exit_mmap); kernel objects by the page. */
#include "kernel/process/gather.h"

#include "kernel/cost.h"

#include <stdlib.h>

/* ---- kernel objects ---- */

static bool slab_grow(struct pe_kernel *k)
{
    struct page *page = alloc_pages(k, 0, 0);
    if (!page) {
        return false;
    }
    struct tasks *t = &k->tasks;
    page->flags |= PE_PG_SLAB;
    page->next = t->slab;
    t->slab = page_index(&k->frames, page);
    t->slab_pages++;
    page_zone(k->zones, &k->frames, page)->slab++;
    return true;
}

static void slab_shrink(struct pe_kernel *k)
{
    struct tasks *t = &k->tasks;
    struct page *page = &k->frames.pages[t->slab];
    t->slab = page->next;
    t->slab_pages--;
    page->flags &= ~(uint32_t)PE_PG_SLAB;
    page_zone(k->zones, &k->frames, page)->slab--;
    put_page(k, page);
}

bool slab_charge(struct pe_kernel *k, uint32_t bytes)
{
    struct tasks *t = &k->tasks;
    t->slab_bytes += bytes;
    while ((uint64_t)t->slab_pages * PAGE_SIZE < t->slab_bytes) {
        if (!slab_grow(k)) {
            slab_uncharge(k, bytes);
            return false;
        }
    }
    return true;
}

void slab_uncharge(struct pe_kernel *k, uint32_t bytes)
{
    struct tasks *t = &k->tasks;
    t->slab_bytes -= bytes;
    while (t->slab_pages && (uint64_t)(t->slab_pages - 1) * PAGE_SIZE >= t->slab_bytes) {
        slab_shrink(k);
    }
}

/* ---- address spaces ---- */

struct mm *mm_alloc(struct pe_kernel *k)
{
    struct mm *mm = heap_alloc(k, 1, sizeof *mm);
    if (!mm) {
        return NULL;
    }
    mm->id = ++k->tasks.next_mm;
    mm->users = 1;
    mm->huge_deposit = NO_PAGE;
    if (!pgd_alloc(k, mm)) {
        heap_free(k, mm);
        return NULL;
    }
    mm->next = k->tasks.mms;
    if (mm->next) {
        mm->next->prev = mm;
    }
    k->tasks.mms = mm;
    return mm;
}

static void exit_mmap(struct pe_kernel *k, struct mm *mm)
{
    chain_enter(k->cpu, PE_FN_EXIT_MMAP);
    if (mm->area_count) {
        struct mmu_gather tlb;
        mmap_write_lock(k);
        tlb_gather_mmu(&tlb, mm, true);
        for (uint32_t i = 0; i < mm->area_count; i++) {
            cost_insns(k, k->costs.process.vma_operation);
            unmap_page_range(k, &tlb, mm->areas[i].start, mm->areas[i].end);
        }
        for (uint32_t i = 0; i < mm->area_count; i++) {
            const uint32_t next = i + 1 < mm->area_count ? mm->areas[i + 1].start : pgtables_ceiling(k);
            free_pgd_range(k, &tlb, mm->areas[i].start, mm->areas[i].end, FIRST_USER_ADDRESS, next);
        }
        tlb_finish_mmu(k, &tlb);
        area_erase(k, mm, 0, mm->area_count);
        mmap_write_unlock(k);
    }
    chain_leave(k->cpu);
}

void mmput(struct pe_kernel *k, struct mm *mm)
{
    if (--mm->users) {
        return;
    }
    exit_mmap(k, mm);
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        if (k->cpus[i].active_mm == mm) {
            k->cpus[i].active_mm = NULL;
            regime_of(k, NULL, &k->cpus[i].regime);
        }
    }
    pgd_free(k, mm);
    if (mm->prev) {
        mm->prev->next = mm->next;
    } else {
        k->tasks.mms = mm->next;
    }
    if (mm->next) {
        mm->next->prev = mm->prev;
    }
    heap_free(k, mm->areas);
    heap_free(k, mm);
}
