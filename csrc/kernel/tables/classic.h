/* SPDX-License-Identifier: GPL-2.0-or-later
 * Short descriptors: bits of L_PTE_*, and the hardware's copy of an entry. */
#ifndef PYEMU_KERNEL_CLASSIC_H
#define PYEMU_KERNEL_CLASSIC_H

#include "kernel/tables/pgtable.h"

#define CLASSIC_PRESENT       0x001u
#define CLASSIC_YOUNG         0x002u
#define CLASSIC_MT_WRITEALLOC 0x01cu
#define CLASSIC_MT_DEVICE     0x010u
#define CLASSIC_DIRTY         0x040u
#define CLASSIC_RDONLY        0x080u
#define CLASSIC_USER          0x100u
#define CLASSIC_XN            0x200u
#define CLASSIC_SHARED        0x400u
#define CLASSIC_NONE          0x800u
#define CLASSIC_ADDRESS       0xfffff000u

#define CLASSIC_HARDWARE 2048u /* from an entry to the hardware's copy */
#define CLASSIC_HALF     1024u /* of the hardware's second table of 1 MB */

/* _PAGE_USER_TABLE and _PAGE_KERNEL_TABLE: PXN where ID_MMFR0 has it */
#define CLASSIC_TABLE_USER    0x035u
#define CLASSIC_TABLE_KERNEL  0x011u
#define CLASSIC_TABLE_VECTORS 0x061u

/* cpu_v7_set_pte_ext (arch/arm/mm/proc-v7-2level.S); 0 where it has to fault. */
uint32_t classic_hardware(uint32_t pte, bool global);

#endif
