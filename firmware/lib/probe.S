/* SPDX-License-Identifier: GPL-2.0-or-later
 * Single accesses that may fault.  They work in any mode; trap_handler skips a faulting load or store, and resumes
 * a faulting fetch at the address in r12.
 */
    .syntax unified
    .arm
    .text

    .macro probe name, instruction:vararg
    .global \name
    .type \name, %function
\name:
    mov r2, r0
    ldr r0, =0xdeadbeef
    \instruction
    bx lr
    .endm

    probe probe_read, ldr r0, [r2]
    probe probe_read8, ldrb r0, [r2]
    probe probe_read16, ldrh r0, [r2]
    probe probe_write, str r1, [r2]
    probe probe_write8, strb r1, [r2]
    probe probe_ldrt, ldrt r0, [r2], #0
    probe probe_strt, strt r1, [r2], #0

/* probe_fetch(va): calls va; returns what the code there leaves in r0. */
    .global probe_fetch
    .type probe_fetch, %function
probe_fetch:
    push {r4, lr}
    mov r2, r0
    ldr r0, =0xdeadbeef
    adr r12, 1f
    blx r2
1:  pop {r4, pc}
    .ltorg
