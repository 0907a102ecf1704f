/* SPDX-License-Identifier: GPL-2.0-or-later
 * Thumb routines with IT blocks.  On entry: r0 = 0, r4 = 0x80000000 (pages), flags Z as asked.  Each instruction that
 * executes adds its bit to r0 without touching the flags; bits 4 and 5 are set behind the block, in translation blocks
 * of their own, by instructions that a stale IT state would make conditional.
 */
    .syntax unified
    .text

    .arm
    .balign 4
/* run_routine(code, z) */
    .global run_routine
    .type run_routine, %function
run_routine:
    push {r4-r11, lr}
    mov r12, r0
    mov r4, #0x80000000
    mov r0, #0
    cmp r1, #1      /* Z = z */
    blx r12
    pop {r4-r11, pc}

    .thumb
    .macro routine name
    .balign 4
    .global \name
\name:
    .endm

/* Leaves the block for a fresh translation block; each add there would be skipped if IT state were left over. */
    .macro behind_block
    b 90f
    .balign 4
90: add.w r0, r0, #0x10
    b 91f
    .balign 4
91: add.w r0, r0, #0x20
    bx lr
    .endm

/* Instructions that always execute: bits 1, 2 and 3. */
    .macro always
    add.w r0, r0, #2
    add.w r0, r0, #4
    add.w r0, r0, #8
    .endm

/* The load adds bit 0 through an address that was checked: r1 = r1 - r1 + 1. */
    routine it_eq_load
    mov.w r1, #0
    mov.w r2, #1
    it eq
    ldreq.w r1, [r4, #0x100]
    ite eq
    addeq.w r0, r0, #1
    addne.w r0, r0, #0
    always
    behind_block

    routine it_ne_load
    it ne
    ldrne.w r1, [r4, #0x100]
    it ne
    addne.w r0, r0, #1
    always
    behind_block

/* One of two loads: bit 0 for the first, bit 1 for the second. */
    routine it_ite_load
    add.w r5, r4, #0x1000
    ite eq
    ldreq r1, [r4]
    ldrne r1, [r5]
    b 1f
    .balign 4
1:  add.w r0, r0, #4
    add.w r0, r0, #8
    ite eq
    addeq.w r0, r0, #1
    addne.w r0, r0, #2
    behind_block

    routine it_itt_loads
    add.w r5, r4, #0x1000
    itt eq
    ldreq r1, [r4]
    ldreq r2, [r5]
    itt eq
    addeq.w r0, r0, #1
    addeq.w r0, r0, #2
    add.w r0, r0, #4
    add.w r0, r0, #8
    behind_block

    routine it_ittt_loads
    add.w r5, r4, #0x1000
    add.w r6, r4, #0x2000
    ittt eq
    ldreq r1, [r4]
    ldreq r2, [r5]
    ldreq r3, [r6]
    b 1f
    .balign 4
1:  add.w r0, r0, #7
    add.w r0, r0, #8
    behind_block

    routine it_itete_loads
    add.w r5, r4, #0x1000
    add.w r6, r4, #0x2000
    add.w r7, r4, #0x3000
    itete eq
    ldreq r1, [r4]
    ldrne r1, [r5]
    ldreq r1, [r6]
    ldrne r1, [r7]
    itete eq
    addeq.w r0, r0, #1
    addne.w r0, r0, #2
    addeq.w r0, r0, #4
    addne.w r0, r0, #8
    behind_block

    routine it_stores
    add.w r5, r4, #0x1000
    add.w r6, r4, #0x2000
    itte eq
    streq r0, [r4]
    streq r0, [r5]
    strne r0, [r6]
    itte eq
    addeq.w r0, r0, #1
    addeq.w r0, r0, #2
    addne.w r0, r0, #4
    behind_block

/* A push that does not happen shows as a pop of the wrong value. */
    routine it_push
    mov.w r6, #0x3c
    ite eq
    ldreq r1, [r4]
    movne r6, #0
    b 1f
    .balign 4
1:  push {r6, lr}
    b 2f
    .balign 4
2:  pop {r0, lr}
    add.w r0, r0, #1
    bx lr

    routine it_then_compare
    ite eq
    ldreq r1, [r4]
    movne r1, #0
    b 1f
    .balign 4
1:  cmp r4, #0      /* flags: not equal from here on */
    add.w r0, r0, #1
    add.w r0, r0, #4
    add.w r0, r0, #8
    behind_block

    routine it_taken_branch
    itt eq
    ldreq r1, [r4]
    beq 1f
    add.w r0, r0, #2
    b 2f
    .balign 4
1:  add.w r0, r0, #1
2:  add.w r0, r0, #4
    add.w r0, r0, #8
    behind_block

    routine it_skipped_load
    itttt ne
    addne.w r0, r0, #1
    addne.w r0, r0, #2
    addne.w r0, r0, #4
    addne.w r0, r0, #8
    ldr r1, [r4]
    behind_block

    routine it_load_multiple
    ite eq
    ldmeq.w r4, {r1, r2, r3, r5, r6}
    movne r1, #0
    b 1f
    .balign 4
1:  add.w r0, r0, #1
    add.w r0, r0, #4
    add.w r0, r0, #8
    behind_block

/* A load into PC ends the block; the address is stored just before by the identity map. */
    routine it_load_pc
    ldr r5, =0x42000000
    adr r1, 1f
    adds r1, r1, #1
    str r1, [r5]
    dsb
    cmp r4, r4
    it eq
    ldreq.w pc, [r4]
    add.w r0, r0, #2
    .balign 4
1:  add.w r0, r0, #1
    add.w r0, r0, #8
    behind_block
    .ltorg

    routine it_last_of_four
    itttt eq
    addeq.w r0, r0, #1
    addeq.w r0, r0, #2
    addeq.w r0, r0, #4
    ldreq r1, [r4]
    b 1f
    .balign 4
1:  add.w r0, r0, #8
    behind_block

/* In exceptions.  lr is saved: a privileged SVC overwrites it. */
    routine it_svc
    mov r5, lr
    ite eq
    svceq #0x11
    movne r1, #0
    add.w r0, r0, #1
    add.w r0, r0, #4
    add.w r0, r0, #8
    mov lr, r5
    behind_block

    routine it_udf
    mov r5, lr
    ite eq
    .inst.n 0xde11  /* udf: conditional in an IT block as any other */
    movne r1, #0
    add.w r0, r0, #1
    add.w r0, r0, #4
    add.w r0, r0, #8
    mov lr, r5
    behind_block

/* Copied so that the page ends in the middle of the block. */
    routine cross_block
    itett eq
    addeq.w r0, r0, #1
    .global cross_block_page
cross_block_page:
    addne.w r0, r0, #8
    addeq.w r0, r0, #2
    addeq.w r0, r0, #4
    b 1f
1:  add.w r0, r0, #0x10
    b 2f
2:  add.w r0, r0, #0x20
    bx lr
    .global cross_block_end
cross_block_end:

    routine cross_wide
    it eq
    .global cross_wide_page
    .equ cross_wide_page, . + 2
    addeq.w r0, r0, #1
    b 1f
1:  add.w r0, r0, #0x1e
    b 2f
2:  add.w r0, r0, #0x20
    bx lr
    .global cross_wide_end
cross_wide_end:

/* it_storm(va, rounds): loads under every condition from 16 pages, in an order that changes with the data. */
    .balign 4
    .global it_storm
    .type it_storm, %function
    .thumb_func
it_storm:
    push {r4-r8, lr}
    mov r4, r0
    mov r5, r1
    movs r0, #0
    movw r6, #0x9e37
1:  movw r7, #0x19d
    mul r6, r6, r7
    add.w r6, r6, #0x3d
    ubfx r7, r6, #5, #4
    add.w r7, r4, r7, lsl #12
    ubfx r8, r6, #9, #4
    add.w r8, r4, r8, lsl #12
    .macro step cond, other
    cmp r6, r0
    ite \cond
    ldr\cond\().w r3, [r7]
    ldr\other\().w r3, [r8]
    add.w r0, r3, r0, ror #7
    tst r0, #8
    itet \cond
    ldr\cond\().w r2, [r8]
    mov\other r2, r3
    add\cond\().w r0, r0, r2
    b 10f
    .balign 4
10: add.w r0, r0, #0x11
    eor.w r6, r6, r0
    .endm
    step eq, ne
    step cs, cc
    step mi, pl
    step vs, vc
    step hi, ls
    step ge, lt
    step gt, le
    subs r5, r5, #1
    bne 1b
    pop {r4-r8, pc}
