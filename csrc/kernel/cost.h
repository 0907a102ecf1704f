/* SPDX-License-Identifier: GPL-2.0-or-later
 * The bill of the model's operations: the one way from them to ledger, caches and TLBs.
 *
 * Every operation bills what it does; without a bill (PE_KERNEL_FUNCTIONAL) each call is one test that is not taken. A
 * loop over many pages asks cost_billed once. */
#ifndef PYEMU_KERNEL_COST_H
#define PYEMU_KERNEL_COST_H

#include "kernel/kernel.h"

static inline bool cost_billed(const struct pe_kernel *k)
{
    return __builtin_expect(k->bill.ledger != NULL, 0);
}

void cost_insns_billed(struct pe_kernel *k, uint64_t sixteenths);
void cost_touch_billed(struct pe_kernel *k, uint32_t va, uint64_t pa, pe_access access);
void cost_stream_billed(struct pe_kernel *k, uint32_t va, uint64_t pa, uint32_t bytes, pe_access access);
void cost_event_billed(struct pe_kernel *k, pe_cost cost, uint32_t cycles);
void cost_events_billed(struct pe_kernel *k, pe_cost cost, uint32_t cycles, uint32_t count);

/* Instructions in sixteenths: a field of k->costs, times how often. */
static inline void cost_insns(struct pe_kernel *k, uint64_t sixteenths)
{
    if (cost_billed(k)) {
        cost_insns_billed(k, sixteenths);
    }
}

/* One load or store of kernel data at a virtual address of the kernel: TLB, walk, caches. */
static inline void cost_touch(struct pe_kernel *k, uint32_t va, uint64_t pa, pe_access access)
{
    if (cost_billed(k)) {
        cost_touch_billed(k, va, pa, access);
    }
}

/* The same of a run of bytes inside a page: a line at a time. */
static inline void cost_stream(struct pe_kernel *k, uint32_t va, uint64_t pa, uint32_t bytes, pe_access access)
{
    if (cost_billed(k)) {
        cost_stream_billed(k, va, pa, bytes, access);
    }
}

/* Kernel data that has no place of its own in guest RAM but in mem_map: the struct page of a frame. */
static inline void cost_page(struct pe_kernel *k, const struct page *page, pe_access access)
{
    if (cost_billed(k)) {
        const uint64_t at = (uint64_t)page_index(&k->frames, page) * k->layout.struct_page_bytes;
        cost_touch_billed(k, k->layout.mem_map_va + (uint32_t)at, k->layout.mem_map_pa + at, access);
    }
}

static inline void cost_dsb(struct pe_kernel *k)
{
    k->stats.dsb++;
    if (cost_billed(k)) {
        cost_event_billed(k, PE_COST_BARRIERS, k->bill.core.system.dsb_cycles);
    }
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = PE_TRACE_BARRIER, .code = 0});
    }
}

static inline void cost_isb(struct pe_kernel *k)
{
    k->stats.isb++;
    if (cost_billed(k)) {
        cost_event_billed(k, PE_COST_BARRIERS, k->bill.core.system.isb_cycles);
    }
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = PE_TRACE_BARRIER, .code = 1});
    }
}

/* The operation itself is in tables/tlbflush.h; here it is only counted and billed. */
static inline void cost_tlbi(struct pe_kernel *k, bool broadcast)
{
    k->stats.tlbi_broadcast += broadcast;
    k->stats.tlbi_local += !broadcast;
    if (cost_billed(k)) {
        const pe_system_params *p = &k->bill.core.system;
        cost_event_billed(k, PE_COST_TLB_MAINTENANCE, broadcast ? p->tlbi_broadcast_cycles : p->tlbi_cycles);
    }
}

/* LDREX and STREX of a lock or counter. */
static inline void cost_exclusive(struct pe_kernel *k)
{
    if (cost_billed(k)) {
        cost_event_billed(k, PE_COST_LOCKS, k->bill.core.system.exclusive_cycles);
    }
}

/* The same event a number of times. */
static inline void cost_events(struct pe_kernel *k, pe_cost cost, uint32_t cycles, uint32_t count)
{
    if (cost_billed(k) && count) {
        cost_events_billed(k, cost, cycles, count);
    }
}

/* Atomic operations of references (atomic_add_unless, atomic_dec_and_test): LDREX and STREX between two DMB. */
static inline void cost_ordered(struct pe_kernel *k, uint32_t count)
{
    cost_events(k, PE_COST_BARRIERS, k->bill.core.system.dmb_cycles, 2 * count);
    cost_events(k, PE_COST_LOCKS, k->bill.core.system.exclusive_cycles, count);
}

/* An exception of a user program that the model handles: entry and return. */
void cost_exception(struct pe_kernel *k);

#endif
