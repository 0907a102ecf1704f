/* SPDX-License-Identifier: GPL-2.0-or-later
 * A block that is in use gets another address, with barriers but without a TLB invalidation. */
#include "tables.inc"

.macro remap
    ldr r5, =0x80000000
    ldr r6, [r5]
    put LEVEL2, 0, 0x40600701, DEVICE
    .global remapped
remapped:
    dsb
    isb
    ldr r7, [r5]
.endm
#define AFTER remap
#include "long.inc"
