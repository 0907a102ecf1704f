/* SPDX-License-Identifier: GPL-2.0-or-later
 * SCTLR.AFE makes AP[0] the access flag; the sections have AP[2:0] = 0b010 of the older scheme. */
#define RAM       0x4001180e
#define SCTLR_SET 0x20001805 /* AFE, I, Z, C, M */
#include "short.inc"
