/* SPDX-License-Identifier: GPL-2.0-or-later
 * The first instructions of a user program, and its system calls: number in r7, arguments in r0 to r5 (EABI). */
        .syntax unified
        .arm

        .section .text.start, "ax"
        .global _start
_start: ldr     r0, [sp]
        add     r1, sp, #4
        bl      main
        mov     r7, #1
        svc     #0
        udf     #0

        .text
        .global sys_call
sys_call:
        push    {r4, r5, r7, lr}
        mov     r7, r0
        mov     r0, r1
        mov     r1, r2
        mov     r2, r3
        ldr     r3, [sp, #16]
        ldr     r4, [sp, #20]
        ldr     r5, [sp, #24]
        svc     #0
        pop     {r4, r5, r7, pc}
