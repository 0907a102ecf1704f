/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where the tables are, and how an entry is written. */
#ifndef TABLES_BASE
#define TABLES_BASE  0x40200000
#define TABLES_BYTES 0x10000

/* Long descriptors */
#define LEVEL2 (TABLES_BASE + 0x1000)
#define DEVICE 0x00400000 /* XN, in the upper word */

    .syntax unified
    .arm

.macro put base, offset, low, high
    ldr r2, =\low
    ldr r3, =\high
    ldr r12, =(\base + \offset)
    strd r2, r3, [r12]
.endm

.macro put_word base, offset, value
    ldr r2, =\value
    ldr r12, =(\base + \offset)
    str r2, [r12]
.endm
#endif
