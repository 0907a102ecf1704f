/* SPDX-License-Identifier: GPL-2.0-or-later
 * TLB maintenance as Linux does it (asm/tlbflush.h, arch/arm/mm/tlb-v7.S): modelled TLBs, the engine's, and the bill.
 */
#ifndef PYEMU_KERNEL_TLBFLUSH_H
#define PYEMU_KERNEL_TLBFLUSH_H

#include "pyemu.h"

struct mm;

/* DSB NSHST; TLBIMVA; DSB NSH; ISB: of the CPU that runs. */
void local_flush_tlb_kernel_page(struct pe_kernel *k, uint32_t va);
/* DSB ISHST; TLBIMVAIS; DSB ISH */
void flush_tlb_page(struct pe_kernel *k, const struct mm *mm, uint32_t va);
/* One TLBIMVAIS for each 4 KB, however many. */
void flush_tlb_range(struct pe_kernel *k, const struct mm *mm, uint32_t start, uint32_t end);
void flush_tlb_kernel_range(struct pe_kernel *k, uint32_t start, uint32_t end); /* by MVAA, and an ISB */
void flush_tlb_mm(struct pe_kernel *k, const struct mm *mm);
void flush_tlb_all(struct pe_kernel *k);
void local_flush_tlb_all(struct pe_kernel *k);
/* DSB ISHST after a PMD entry was written. */
void flush_pmd_entry(struct pe_kernel *k);

#endif
