/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stack, VFP, main, the end; and functions whose tables are written by hand. */
    .syntax unified
    .arch armv7-a
    .fpu vfpv3
    .arm
    .text
    .global _start
    .type _start, %function
_start:
    ldr sp, =0x40800000
    mov r0, #0xf00000
    mcr p15, 0, r0, c1, c0, 2
    isb
    mov r0, #0x40000000
    fmxr fpexc, r0
    bl main
    mov r0, #0x18
    ldr r1, =0x20026
    svc 0x123456
    b .
    .size _start, . - _start
    .ltorg

/* The long form with a count of words, and what GCC writes for a language. */
    .global by_hand
    .type by_hand, %function
by_hand:
    .fnstart
    .save {r4, r5, r6, lr}
    push {r4, r5, r6, lr}
    .pad #1040
    sub sp, sp, #1040
    mov r4, r0
    bl routine_two
    add r0, r0, r4
    add sp, sp, #1040
    pop {r4, r5, r6, pc}
    .personality routine_of_a_language
    .handlerdata
    .word 0
    .fnend
    .size by_hand, . - by_hand

    .type routine_two, %function
routine_two:
    .fnstart
    .save {r4, r5, r7, r9, lr}
    push {r4, r5, r7, r9, lr}
    .vsave {d8, d9}
    vpush {d8, d9}
    .pad #516
    sub sp, sp, #516
    mov r5, r0
    bl leaf
    add r0, r0, r5
    add sp, sp, #516
    vpop {d8, d9}
    pop {r4, r5, r7, r9, pc}
    .personalityindex 2
    .handlerdata
    .word 0
    .fnend
    .size routine_two, . - routine_two
