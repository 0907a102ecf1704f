/* SPDX-License-Identifier: GPL-2.0-or-later
 * Exclusive accesses and the locks made of them.
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

/* (at, count) */
    .macro exclusive_add name, suffix
    entry \name
1:  ldrex\suffix r2, [r0]
    add r2, r2, #1
    strex\suffix r3, r2, [r0]
    cmp r3, #0
    bne 1b
    subs r1, r1, #1
    bne 1b
    bx lr
    .endm
    exclusive_add exclusive_add_word
    exclusive_add exclusive_add_half, h
    exclusive_add exclusive_add_byte, b

/* adds 2^32 + 1 each time */
entry exclusive_add_double
    push {r4, r5}
1:  ldrexd r2, r3, [r0]
    adds r2, r2, #1
    adc r3, r3, #1
    strexd r4, r2, r3, [r0]
    cmp r4, #0
    bne 1b
    subs r1, r1, #1
    bne 1b
    pop {r4, r5}
    bx lr

/* (at, value): the old value */
entry exclusive_fetch_add
1:  ldrex r2, [r0]
    add r3, r2, r1
    strex r12, r3, [r0]
    cmp r12, #0
    bne 1b
    dmb
    mov r0, r2
    bx lr

entry exclusive_load
    ldrex r0, [r0]
    bx lr

entry exclusive_store
    strex r2, r1, [r0]
    mov r0, r2
    bx lr

entry monitor_plain
    mov r2, #0x77
    ldrex r1, [r0]
    strex r3, r2, [r0]
    mov r0, r3
    bx lr

entry monitor_without_ldrex
    clrex
    mov r2, #0x77
    strex r3, r2, [r0]
    mov r0, r3
    bx lr

entry monitor_after_clrex
    mov r2, #0x77
    ldrex r1, [r0]
    clrex
    strex r3, r2, [r0]
    mov r0, r3
    bx lr

entry monitor_twice
    ldrex r1, [r0]
    strex r3, r1, [r0]
    strex r3, r1, [r0]
    mov r0, r3
    bx lr

entry spin_lock
    mov r1, #1
1:  ldrex r2, [r0]
    cmp r2, #0
    wfene
    strexeq r2, r1, [r0]
    cmpeq r2, #0
    bne 1b
    dmb
    bx lr

entry spin_unlock
    mov r1, #0
    dmb
    str r1, [r0]
    dsb
    sev
    bx lr

    .thumb
    .balign 4
    .global exclusive_add_word_thumb
    .type exclusive_add_word_thumb, %function
    .thumb_func
exclusive_add_word_thumb:
1:  ldrex r2, [r0]
    adds r2, #1
    strex r3, r2, [r0]
    cmp r3, #0
    it ne
    bne 1b
    subs r1, #1
    bne 1b
    bx lr
