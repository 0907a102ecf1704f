/* SPDX-License-Identifier: GPL-2.0-or-later
 * TTBCR.T0SZ = 2: TTBR0 ends below the code, and its table would be one of level 2. */
#define TTBCR 0x80003502
#include "long.inc"
