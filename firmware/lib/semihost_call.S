/* SPDX-License-Identifier: GPL-2.0-or-later
 * The two SVC instructions of semihosting.  An SVC overwrites lr_svc, so lr is saved around it.
 */
    .syntax unified
    .text

    .arm
    .global semihost_call
    .type semihost_call, %function
semihost_call:
    push {r4, lr}
    svc #0x123456
    pop {r4, pc}

    .thumb
    .global semihost_call_thumb
    .type semihost_call_thumb, %function
    .thumb_func
semihost_call_thumb:
    push {r4, lr}
    svc #0xab
    pop {r4, pc}
