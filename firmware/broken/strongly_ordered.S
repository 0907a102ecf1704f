/* SPDX-License-Identifier: GPL-2.0-or-later
 * TEX, C and B are 0 in the sections of memory, the 0xc02 of many examples: Strongly-ordered, where exclusives need
 * not work and unaligned accesses abort. */
#define RAM 0x40000c02
#include "short.inc"
