/* SPDX-License-Identifier: GPL-2.0-or-later
 * Behind SCTLR.M the code jumps to its virtual address, which is not mapped yet. */

.macro jump
    ldr pc, =0xc0010000
.endm
#define AFTER jump
#include "short.inc"
