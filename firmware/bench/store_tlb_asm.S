/* SPDX-License-Identifier: GPL-2.0-or-later
 * Visits of one page after the other: r0 of them, the first one's line in r1.
 */
#include "loop.inc"

/* Follows the ring. */
    function visit_load
    clock_start
1:  ldr r1, [r1]
    turn 1b
    clock_stop

/* Follows the ring, and stores r2 beyond what it loads from. */
    function visit_load_store
    clock_start
1:  str r0, [r1, r2]
    ldr r1, [r1]
    turn 1b
    clock_stop

/* r2 pages in turn, at the same place in each. */
    function visit_store
    add r1, r1, #4
    add r2, r1, r2, lsl #12
    mov r3, r1
    clock_start
1:  str r0, [r3]
    add r3, r3, #4096
    cmp r3, r2
    moveq r3, r1
    turn 1b
    clock_stop
