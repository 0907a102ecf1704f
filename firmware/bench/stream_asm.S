/* SPDX-License-Identifier: GPL-2.0-or-later
 * Passes over memory in ascending order, none of whose accesses waits for another.  r0: lines of 64 bytes, a multiple
 * of 4; r1: where they begin; r2: where a copy goes.
 */
#include "loop.inc"

/* One word of each line. */
    function stream_fill
    clock_start
1:  ldr r4, [r1]
    ldr r5, [r1, #64]
    ldr r6, [r1, #128]
    ldr r7, [r1, #192]
    add r1, r1, #256
    subs r0, r0, #4
    bne 1b
    clock_stop

    .macro by_words name, access
    function \name
    clock_start
1:  .irp offset, 0, 16, 32, 48
    \access r4, [r1, #\offset]
    \access r5, [r1, #\offset + 4]
    \access r6, [r1, #\offset + 8]
    \access r7, [r1, #\offset + 12]
    .endr
    add r1, r1, #64
    turn 1b
    clock_stop
    .endm

    by_words stream_ldr, ldr
    by_words stream_str, str

    function stream_ldm
    clock_start
1:  ldm r1!, {r3-r10}
    ldm r1!, {r3-r10}
    turn 1b
    clock_stop

    function stream_stm
    clock_start
1:  stm r1!, {r3-r10}
    stm r1!, {r3-r10}
    turn 1b
    clock_stop

    function stream_copy
    clock_start
1:  .rept 2
    ldm r1!, {r3-r10}
    stm r2!, {r3-r10}
    .endr
    turn 1b
    clock_stop
