/* SPDX-License-Identifier: GPL-2.0-or-later
 * The stack lies behind the four megabytes that are mapped: the first push aborts. */
#define STACK 0x40500000

.macro call
    push {r4, lr}
    pop {r4, lr}
.endm
#define AFTER call
#include "short.inc"
