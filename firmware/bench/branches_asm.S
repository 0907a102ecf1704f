/* SPDX-License-Identifier: GPL-2.0-or-later
 * One branch a turn (r0 turns), in loops that differ in nothing else.
 */
#include "loop.inc"

/* The branch is taken when the lowest bit of the pattern in r1 is set; the pattern turns by one. */
    function branch_pattern
    mov r3, #0
    clock_start
1:  movs r4, r1, lsr #1         /* C: the bit */
    mov r1, r1, ror #1
    bcs 2f
    add r3, r3, #1
2:  add r3, r3, #1
    turn 1b
    clock_stop

/* The same with nothing that is conditional: what the turn costs without its branch. */
    function branch_none
    mov r3, #0
    clock_start
1:  movs r4, r1, lsr #1
    mov r1, r1, ror #1
    add r3, r3, #1
    add r3, r3, #1
    turn 1b
    clock_stop

/* The bit comes from a 32-bit Galois register (x^32 + x^22 + x^2 + x + 1); r1 is its seed. */
    function branch_random
    ldr r2, =0x80200003
    mov r3, #0
    clock_start
1:  movs r1, r1, lsr #1
    eorcs r1, r1, r2
    bcs 2f
    add r3, r3, #1
2:  add r3, r3, #1
    turn 1b
    clock_stop
    .ltorg

/* Jumps to the places of a table of r1 entries (a power of two) in turn. */
    function branch_indirect
    adr r2, places
    lsl r1, r1, #2
    sub r1, r1, #1
    bic r1, r1, #3
    mov r4, #0
    clock_start
1:  add r4, r4, #4
    and r4, r4, r1
    ldr pc, [r2, r4]

/* The same, the place chosen by the register of branch_random, whose seed is r2. */
    function branch_indirect_random
    lsl r1, r1, #2
    sub r1, r1, #1
    bic r1, r1, #3
    mov r6, r2
    ldr r5, =0x80200003
    adr r2, places_random
    clock_start
2:  movs r6, r6, lsr #1
    eorcs r6, r6, r5
    and r4, r1, r6, lsr #3
    ldr pc, [r2, r4]
    .ltorg
places:
    .word 11f, 12f, 13f, 14f
places_random:
    .word 21f, 22f, 23f, 24f
    .irp label, 11, 12, 13, 14
\label:
    subs r0, r0, #1
    bne 1b
    b 3f
    .endr
    .irp label, 21, 22, 23, 24
\label:
    subs r0, r0, #1
    bne 2b
    b 3f
    .endr
3:  clock_stop

/* r0 descents into 64 functions, each of which calls the next and returns; r1: where in them to begin. */
    function branch_calls
    ldr r4, =calls
    add r4, r4, r1
    clock_start
1:  blx r4
    turn 1b
    clock_stop
    .ltorg

/* A function has 16 bytes: calls_end - 16 * depth goes `depth` deep, with the last one that only returns. */
    .balign 64
calls:
    .rept 64
    push {r5, lr}
    bl . + 12
    pop {r5, pc}
    nop
    .endr
    bx lr
