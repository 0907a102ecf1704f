/* SPDX-License-Identifier: GPL-2.0-or-later
 * TLB maintenance (asm/tlbflush.h, arch/arm/mm/tlb-v7.S): modelled TLBs, the engine's soft TLBs, and the bill. */
#include "kernel/tables/tlbflush.h"

#include "kernel/cost.h"
#include "machine/machine.h"

static uint8_t asid_of(const struct mm *mm)
{
    return (uint8_t)mm->context_id;
}

/* What one TLB maintenance instruction removes.  Which entries an ASID has in the engine's TLB is not known. */
static void invalidate(struct pe_kernel *k, pe_tlbi operation, uint32_t va, uint8_t asid, bool broadcast)
{
    const uint32_t first = broadcast ? 0 : k->cpu->id, end = broadcast ? k->config.cpus : first + 1;
    for (uint32_t i = first; i < end; i++) {
        if (k->bill.tlb[i]) {
            pe_tlb_invalidate(k->bill.tlb[i], operation, va, asid);
        }
        if (!k->machine || i >= k->machine->config.ncpus) {
            continue;
        }
        if (operation == PE_TLBI_MVA || operation == PE_TLBI_MVAA) {
            fill_flush_va(k->machine->cpu[i], va);
        } else {
            fill_flush(k->machine->cpu[i]);
        }
    }
    cost_tlbi(k, broadcast);
    if (is_traced(k)) {
        trace_add(k,
                  &(pe_trace_event){.kind = PE_TRACE_TLBI, .code = (uint8_t)operation, .va = va, .value = broadcast});
    }
}

/* A kernel with SMP_ON_UP has the instruction twice, for TLB_V6_U_PAGE and TLB_V7_UIS_PAGE: Debian's 6.1 was measured
 * to need four for a window's map and unmap. */
void local_flush_tlb_kernel_page(struct pe_kernel *k, uint32_t va)
{
    cost_dsb(k);
    invalidate(k, PE_TLBI_MVA, va, 0, false);
    invalidate(k, PE_TLBI_MVA, va, 0, false);
    cost_dsb(k);
    cost_isb(k);
}

void flush_tlb_page(struct pe_kernel *k, const struct mm *mm, uint32_t va)
{
    cost_dsb(k);
    invalidate(k, PE_TLBI_MVA, va, asid_of(mm), true);
    cost_dsb(k);
}

void flush_tlb_range(struct pe_kernel *k, const struct mm *mm, uint32_t start, uint32_t end)
{
    cost_dsb(k);
    for (uint64_t va = start & PAGE_MASK; va < end; va += PAGE_SIZE) {
        invalidate(k, PE_TLBI_MVA, (uint32_t)va, asid_of(mm), true);
    }
    cost_dsb(k);
}

void flush_tlb_kernel_range(struct pe_kernel *k, uint32_t start, uint32_t end)
{
    cost_dsb(k);
    for (uint64_t va = start & PAGE_MASK; va < end; va += PAGE_SIZE) {
        invalidate(k, PE_TLBI_MVAA, (uint32_t)va, 0, true);
    }
    cost_dsb(k);
    cost_isb(k);
}

void flush_tlb_mm(struct pe_kernel *k, const struct mm *mm)
{
    cost_dsb(k);
    invalidate(k, PE_TLBI_ASID, 0, asid_of(mm), true);
    cost_dsb(k);
}

void flush_tlb_all(struct pe_kernel *k)
{
    cost_dsb(k);
    invalidate(k, PE_TLBI_ALL, 0, 0, true);
    cost_dsb(k);
    cost_isb(k);
}

void local_flush_tlb_all(struct pe_kernel *k)
{
    cost_dsb(k);
    invalidate(k, PE_TLBI_ALL, 0, 0, false);
    cost_dsb(k);
    cost_isb(k);
}

void flush_pmd_entry(struct pe_kernel *k)
{
    cost_dsb(k);
}
