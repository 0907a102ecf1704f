/* SPDX-License-Identifier: GPL-2.0-or-later
 * mmu_gather and the RCU batches of page tables (mm/mmu_gather.c): first the TLBs forget, then frames are free. */
#include "kernel/process/gather.h"

#include "kernel/cost.h"
#include "kernel/tables/tlbflush.h"

/* MMU_GATHER_RCU_TABLE_FREE (arch/arm/Kconfig): if SMP && ARM_LPAE */
static bool rcu_table_free(const struct pe_kernel *k)
{
    return k->config.tables == PE_TABLES_LPAE;
}

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm *mm, bool fullmm)
{
    tlb->mm = mm;
    tlb->fullmm = fullmm;
    tlb->start = UINT32_MAX;
    tlb->end = 0;
    tlb->count = 0;
    tlb->tables = tlb->header = NO_PAGE;
    tlb->table_count = 0;
}

static void flush_tlbs(struct pe_kernel *k, struct mmu_gather *tlb)
{
    if (tlb->start >= tlb->end) {
        return;
    }
    if (tlb->fullmm) {
        flush_tlb_mm(k, tlb->mm);
    } else {
        flush_tlb_range(k, tlb->mm, tlb->start, tlb->end);
    }
    tlb->start = UINT32_MAX;
    tlb->end = 0;
}

/* ---- tables ---- */

static void wait_for_grace(struct pe_kernel *k, uint32_t index)
{
    k->frames.pages[index].next = k->batch.head;
    k->batch.head = index;
    k->batch.count++;
}

static void free_frame(struct pe_kernel *k, struct page *page)
{
    if (page->flags & PE_PG_TABLE) {
        table_page_free(k, page);
    } else {
        put_page(k, page);
    }
}

/* call_rcu of the batch; its header page waits with it. */
static void tlb_table_flush(struct pe_kernel *k, struct mmu_gather *tlb)
{
    if (tlb->header == NO_PAGE) {
        return;
    }
    flush_tlbs(k, tlb);
    for (uint32_t at = tlb->tables; at != NO_PAGE;) {
        const uint32_t next = k->frames.pages[at].next;
        wait_for_grace(k, at);
        at = next;
    }
    wait_for_grace(k, tlb->header);
    k->stats.table_batches++;
    k->stats.tables_freed += tlb->table_count;
    tlb->tables = tlb->header = NO_PAGE;
    tlb->table_count = 0;
}

void tlb_remove_table(struct pe_kernel *k, struct mmu_gather *tlb, struct page *table)
{
    cost_insns(k, k->costs.process.table_free);
    const uint32_t index = page_index(&k->frames, table);
    if (!rcu_table_free(k)) {
        if (tlb_remove_page(tlb, index)) {
            tlb_flush_mmu(k, tlb);
        }
        return;
    }
    if (tlb->header == NO_PAGE) {
        struct page *header = alloc_pages(k, 0, 0);
        if (!header) {
            /* tlb_remove_table_one: an IPI to all CPUs, and it is free. */
            flush_tlbs(k, tlb);
            table_page_free(k, table);
            return;
        }
        header->flags |= PE_PG_SLAB;
        tlb->header = page_index(&k->frames, header);
    }
    table->next = tlb->tables;
    tlb->tables = index;
    if (++tlb->table_count == MAX_TABLE_BATCH) {
        tlb_table_flush(k, tlb);
    }
}

/* A CPU with interrupts off, or whose task reads, holds the end of the grace period off; a preempted reader does too.
 */
static bool is_quiescent(const struct pe_kernel *k)
{
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        if (k->cpus[i].irqs_off || k->cpus[i].hardirq || k->cpus[i].current->preempt_count) {
            return false;
        }
    }
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        if (k->tasks.slot[i] && k->tasks.slot[i]->rcu_depth) {
            return false;
        }
    }
    return true;
}

static void free_waiting(struct pe_kernel *k)
{
    while (k->batch.head != NO_PAGE) {
        struct page *page = &k->frames.pages[k->batch.head];
        k->batch.head = page->next;
        k->batch.count--;
        free_frame(k, page);
    }
}

void rcu_grace_period(struct pe_kernel *k)
{
    if (k->batch.head != NO_PAGE && is_quiescent(k)) {
        free_waiting(k);
    }
}

/* ---- pages ---- */

void tlb_flush_mmu(struct pe_kernel *k, struct mmu_gather *tlb)
{
    flush_tlbs(k, tlb);
    tlb_table_flush(k, tlb);
    for (uint32_t i = 0; i < tlb->count; i++) {
        free_frame(k, &k->frames.pages[tlb->pages[i]]);
    }
    tlb->count = 0;
}

void tlb_finish_mmu(struct pe_kernel *k, struct mmu_gather *tlb)
{
    tlb_flush_mmu(k, tlb);
}
