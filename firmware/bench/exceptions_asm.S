/* SPDX-License-Identifier: GPL-2.0-or-later
 * Exceptions whose handler returns at once: r0 of them, with nothing else in the loop.
 */
#include "loop.inc"

    .balign 32
    .global bench_vectors
bench_vectors:
    b .
    movs pc, lr                 /* undefined: behind the instruction */
    movs pc, lr                 /* SVC: behind the instruction */
    b .
    subs pc, lr, #4             /* data abort: behind the load or store */
    b .
    b .
    b .

    .macro raise name, instruction:vararg
    function \name
    clock_start
1:  \instruction
    turn 1b
    clock_stop
    .endm

    function raise_nothing
    clock_start
1:  turn 1b
    clock_stop

    raise raise_svc, svc 1
    raise raise_undefined, udf 0
    raise raise_by_store, str r0, [r1]
    raise raise_by_load, ldr r2, [r1]
