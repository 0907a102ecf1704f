/* SPDX-License-Identifier: GPL-2.0-or-later
 * Position-independent code that changes the split, translates addresses under it and changes it back.
 */
    .syntax unified
    .text
    .arm

    .equ S_TTBCR, 0
    .equ S_N, 4
    .equ S_TTBR0, 8
    .equ S_TTBR1, 12
    .equ S_OLD_TTBR0, 16
    .equ S_OLD_TTBR1, 20
    .equ S_VA, 24
    .equ S_PAR, 88

/* split_run(function, s): calls the low alias of split_code */
    .global split_run
    .type split_run, %function
split_run:
    push {r4-r11, lr}
    mov r12, r0
    mov r0, r1
    blx r12
    pop {r4-r11, pc}

/* The stack may be out of reach here: nothing but registers and s. */
    .global split_code
split_code:
    mov r11, lr
    mov r4, r0
    ldr r6, [r4, #S_TTBR0]
    mcr p15, 0, r6, c2, c0, 0
    ldr r6, [r4, #S_TTBR1]
    mcr p15, 0, r6, c2, c0, 1
    ldr r6, [r4, #S_TTBCR]
    bl set_ttbcr
    add r8, r4, #S_VA
    add r9, r4, #S_PAR
    ldr r10, [r4, #S_N]
1:  ldr r5, [r8], #4
    mcr p15, 0, r5, c7, c8, 0
    isb
    mrc p15, 0, r6, c7, c4, 0
    str r6, [r9], #4
    subs r10, r10, #1
    bne 1b
    ldr r6, [r4, #S_OLD_TTBR0]
    mcr p15, 0, r6, c2, c0, 0
    ldr r6, [r4, #S_OLD_TTBR1]
    mcr p15, 0, r6, c2, c0, 1
    mov r6, #0
    mov lr, r11
set_ttbcr:
    mcr p15, 0, r6, c2, c0, 2
    isb
    dsb
    mcr p15, 0, r6, c8, c7, 0
    dsb
    isb
    bx lr
