/* SPDX-License-Identifier: GPL-2.0-or-later
 * Eight of one operation a turn (r0 turns).  r1: an address that is mapped; r2: one that is not; r3: an ASID.
 */
#include "loop.inc"

    .macro operation name, instructions:vararg
    function operate_\name
    clock_start
1:  .rept 8
    \instructions
    .endr
    turn 1b
    clock_stop
    .endm

    .macro exclusive_pair
    ldrex r4, [r1]
    strex r5, r4, [r1]
    .endm

    .macro store_and_clean
    str r0, [r1]
    mcr p15, 0, r1, c7, c10, 1
    .endm

    function operate_nothing
    clock_start
1:  turn 1b
    clock_stop

    operation dsb, dsb
    operation dmb, dmb
    operation isb, isb
    operation mcr, mcr p15, 0, r3, c13, c0, 4
    operation mrc, mrc p15, 0, r4, c13, c0, 4
    operation tlbiall, mcr p15, 0, r3, c8, c7, 0
    operation tlbimva, mcr p15, 0, r2, c8, c7, 1
    operation tlbiasid, mcr p15, 0, r3, c8, c7, 2
    operation tlbimvais, mcr p15, 0, r2, c8, c3, 1
    operation dccmvac, mcr p15, 0, r1, c7, c10, 1
    operation store_dccmvac, store_and_clean
    operation ldrex_strex, exclusive_pair
