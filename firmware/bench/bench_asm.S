/* SPDX-License-Identifier: GPL-2.0-or-later
 * The loop that follows a ring, where the latency of a load is all that it costs, and one that does nothing.
 */
#include "loop.inc"

/* r1: where the ring begins */
    function chase_loop
    clock_start
1:  .rept 8
    ldr r1, [r1]
    .endr
    turn 1b
    clock_stop

    function loop_nothing
    clock_start
    clock_stop
