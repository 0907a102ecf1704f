/* SPDX-License-Identifier: GPL-2.0-or-later
 * The tables have short descriptors, and TTBCR.EAE says long. */
#define TTBCR 0x80000000
#include "short.inc"
