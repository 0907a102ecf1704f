/* SPDX-License-Identifier: GPL-2.0-or-later
 * Two words stored by one instruction, or by two of a kind: (va, low, high).
 */
    .syntax unified
    .text

    .macro entry name
    .global \name
    .type \name, %function
\name:
    .endm

    .arm
    .balign 4
entry store_double
    mov r12, r0
    mov r0, r1
    mov r1, r2
    strd r0, r1, [r12]
    bx lr

entry store_multiple
    stm r0, {r1, r2}
    bx lr

entry store_exclusive
    add r3, r0, #4
1:  ldrex r12, [r0]
    strex r12, r1, [r0]
    cmp r12, #0
    bne 1b
2:  ldrex r12, [r3]
    strex r12, r2, [r3]
    cmp r12, #0
    bne 2b
    bx lr

    .thumb
    .global store_thumb
    .type store_thumb, %function
    .thumb_func
store_thumb:
    str r1, [r0]
    str r2, [r0, #4]
    bx lr
