/* SPDX-License-Identifier: GPL-2.0-or-later
 * TTBR0 is written by MCRR with something left over in the upper word. */
#define ROOT_HIGH 0x13
#include "long.inc"
