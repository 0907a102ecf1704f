/* SPDX-License-Identifier: GPL-2.0-or-later
 * A descriptor is written and its TLB entry invalidated, without the DSB in between that makes the write visible to walks. */
#include "tables.inc"

.macro remap
    ldr r5, =0x80000000
    ldr r6, [r5]
    put LEVEL2, 0, 0x40600701, DEVICE
    mcr p15, 0, r5, c8, c7, 1 /* TLBIMVA */
    dsb
    isb
    ldr r7, [r5]
.endm
#define AFTER remap
#include "long.inc"
