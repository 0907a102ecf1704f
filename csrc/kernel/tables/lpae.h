/* SPDX-License-Identifier: GPL-2.0-or-later
 * Long descriptors: bits of L_PTE_* and L_PMD_*, and what set_pte and set_pmd_at make of them. */
#ifndef PYEMU_KERNEL_LPAE_H
#define PYEMU_KERNEL_LPAE_H

#include "kernel/tables/pgtable.h"

#define LPAE_VALID         UINT64_C(1)
#define LPAE_TABLE         UINT64_C(2)
#define LPAE_PRESENT       UINT64_C(3) /* a page, or a table */
#define LPAE_MT_WRITEALLOC (UINT64_C(7) << 2)
#define LPAE_MT_DEVICE     (UINT64_C(4) << 2)
#define LPAE_USER          (UINT64_C(1) << 6)
#define LPAE_AP2           (UINT64_C(1) << 7)
#define LPAE_SHARED        (UINT64_C(3) << 8)
#define LPAE_AF            (UINT64_C(1) << 10)
#define LPAE_NG            (UINT64_C(1) << 11)
#define LPAE_ADDRESS       UINT64_C(0xfffffff000)
#define LPAE_PXN           (UINT64_C(1) << 53)
#define LPAE_XN            (UINT64_C(1) << 54)
#define LPAE_DIRTY         (UINT64_C(1) << 55)
#define LPAE_SPECIAL       (UINT64_C(1) << 56)
#define LPAE_NONE          (UINT64_C(1) << 57)
#define LPAE_RDONLY        (UINT64_C(1) << 58)
#define LPAE_PGD_SWAPPER   (UINT64_C(1) << 55)

#define LPAE_PGD_SHIFT 30

/* cpu_v7_set_pte_ext (arch/arm/mm/proc-v7-3level.S) and set_pmd_at, which differ in the bits of `valid`. */
uint64_t lpae_hardware(uint64_t entry, uint64_t valid, bool global);

#endif
