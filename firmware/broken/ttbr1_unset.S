/* SPDX-License-Identifier: GPL-2.0-or-later
 * TTBCR.N = 2 leaves 0x40000000 and above, so the code, to TTBR1, which was never written. */
#define TTBCR 2
#include "short.inc"
