/* SPDX-License-Identifier: GPL-2.0-or-later
 * Counter reads in encodings that C does not produce.
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
/* The low word, or 0x33 when the read does not happen; never 0x33 by chance: bit 7 of a read value is set. */
entry cntvct_conditional
    mov r2, #0x33
    mov r3, #0x33
    cmp r0, #1
    mrrceq p15, 1, r2, r3, c14
    orreq r2, r2, #0x80
    mov r0, r2
    bx lr

entry cntvct_high_registers
    push {r4-r11}
    mrrc p15, 1, r11, r6, c14
    mov r0, r11
    mov r1, r6
    pop {r4-r11}
    bx lr

entry user_cntvct
    mrrc p15, 1, r0, r1, c14
    bx lr

entry user_cntpct
    mrrc p15, 0, r0, r1, c14
    bx lr

    .thumb
    .balign 4
    .macro thumb_entry name
    .global \name
    .type \name, %function
    .thumb_func
\name:
    .endm

    thumb_entry cntvct_thumb
    mrrc p15, 1, r0, r1, c14
    bx lr

    .macro in_block name, counter
    thumb_entry \name
    movs r2, #0x33
    movs r3, #0x33
    cmp r0, #1
    itt eq
    mrrceq p15, \counter, r2, r3, c14
    orreq r2, r2, #0x80
    mov r0, r2
    bx lr
    .endm
    in_block cntvct_it, 1
    in_block cntpct_it, 0
