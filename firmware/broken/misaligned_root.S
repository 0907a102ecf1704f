/* SPDX-License-Identifier: GPL-2.0-or-later
 * The root table is 8 KB into a 16 KB boundary: the hardware ignores bit 13 of TTBR0. */
#define RAM_SLOT 0x3000
#define ROOT     0x40202000
#include "short.inc"
