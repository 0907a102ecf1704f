/* SPDX-License-Identifier: GPL-2.0-or-later
 * The frame of each bring-up: vectors that hang, clear tables, the order of writes that turns the MMU on, an exit.
 *
 * A blob defines TABLES (code that fills them), and what it gets wrong; whatever it does not define is right.
 */
#ifndef ROOT
#define ROOT 0x40200000 /* what TTBR0 gets */
#endif
#ifndef DACR
#define DACR 0x55555555
#endif
#ifndef ENABLE_BARRIER
#define ENABLE_BARRIER isb
#endif
#ifndef AFTER
#define AFTER
#endif

    .section .text.start, "ax"
    .global _start
_start:
    ldr r0, =vectors
    mcr p15, 0, r0, c12, c0, 0 /* VBAR */
    ldr sp, =0x40300000
    ldr r0, =TABLES_BASE
    ldr r1, =(TABLES_BASE + TABLES_BYTES)
    mov r2, #0
clear:
    str r2, [r0], #4
    cmp r0, r1
    blo clear
    TABLES
    dsb
    ldr r0, =TTBCR
    mcr p15, 0, r0, c2, c0, 2
    ldr r0, =MAIR0
    mcr p15, 0, r0, c10, c2, 0
    ldr r0, =MAIR1
    mcr p15, 0, r0, c10, c2, 1
    ldr r0, =DACR
    mcr p15, 0, r0, c3, c0, 0
    isb
    ldr r0, =ROOT
    mcr p15, 0, r0, c2, c0, 0 /* TTBR0 */
    isb
    mov r0, #0
    mcr p15, 0, r0, c8, c7, 0 /* TLBIALL */
    mcr p15, 0, r0, c7, c5, 0 /* ICIALLU */
    dsb
    isb
    mrc p15, 0, r0, c1, c0, 0
    ldr r1, =SCTLR_SET
    orr r0, r0, r1
    .global enable
enable:
    mcr p15, 0, r0, c1, c0, 0 /* SCTLR: M */
    ENABLE_BARRIER
    .global enabled
enabled:
    ldr r4, =0x40300000
    str r4, [r4]
    AFTER
    mov r0, #0x18
    ldr r1, =0x20026
    svc 0x123456

    .ltorg

    .balign 32
    .global vectors
vectors:
    .rept 8
    b .
    .endr
