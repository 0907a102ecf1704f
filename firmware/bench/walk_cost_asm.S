/* SPDX-License-Identifier: GPL-2.0-or-later
 * TLB maintenance with a load behind it, and without (r1: the address); a flood of lines.
 */
#include "loop.inc"

/* Reads r0 lines from r1 on. */
    function flood
    clock_start
1:  ldr r2, [r1], #64
    turn 1b
    clock_stop

    .macro invalidate name, opc2, load
    function \name
    mov r2, #0
    clock_start
1:  mcr p15, 0, r1, c8, c7, \opc2
    dsb
    isb
    .if \load
    ldr r2, [r1]
    dsb
    .else
    dsb
    .endif
    turn 1b
    clock_stop
    .endm

    invalidate walk_after_tlbimva, 1, 1
    invalidate only_tlbimva, 1, 0
    invalidate walk_after_tlbiall, 0, 1
    invalidate only_tlbiall, 0, 0
