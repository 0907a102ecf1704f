/* SPDX-License-Identifier: GPL-2.0-or-later
 * One access each: (va, value).
 */
    .syntax unified
    .text

    .arm
    .balign 4
    .macro access name, instruction:vararg
    .global \name
    .type \name, %function
\name:
    mov r12, r0
    mov r2, r1
    mov r3, r1
    \instruction
    mov r0, r2
    bx lr
    .endm
    access a_ldr, ldr r2, [r12]
    access a_ldrh, ldrh r2, [r12]
    access a_ldrsh, ldrsh r2, [r12]
    access a_ldrb, ldrb r2, [r12]
    access a_str, str r2, [r12]
    access a_strh, strh r2, [r12]
    access a_ldrd, ldrd r2, r3, [r12]
    access a_strd, strd r2, r3, [r12]
    access a_ldm, ldm r12, {r2, r3}
    access a_stm, stm r12, {r2, r3}
    access a_ldmdb, ldmdb r12, {r2, r3}
    access a_ldrex, ldrex r2, [r12]
    access a_ldrexh, ldrexh r2, [r12]
    access a_ldrexd, ldrexd r2, r3, [r12]

    .thumb
    .macro thumb_access name, instruction:vararg
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    mov r3, r1
    \instruction
    mov r0, r2
    bx lr
    .endm
    thumb_access a_ldr_thumb, ldr r2, [r0]
    thumb_access a_ldrh_thumb, ldrh r2, [r0]
    thumb_access a_str_thumb, str r1, [r0]
    thumb_access a_ldrd_thumb, ldrd r2, r3, [r0]
    thumb_access a_ldm_thumb, ldmia.w r0, {r2, r3}
