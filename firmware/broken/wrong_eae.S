/* SPDX-License-Identifier: GPL-2.0-or-later
 * The tables have long descriptors, and TTBCR.EAE says short. */
#define TTBCR 0x00000000
#include "long.inc"
