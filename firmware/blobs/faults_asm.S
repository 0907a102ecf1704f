/* SPDX-License-Identifier: GPL-2.0-or-later
 * Breakpoint instructions.
 */
    .syntax unified
    .text

    .arm
    .global bkpt_arm
bkpt_arm:
    bkpt #0x1234
    bx lr

    .thumb
    .balign 4
    .global bkpt_thumb
bkpt_thumb:
    bkpt #0x12
    bx lr
