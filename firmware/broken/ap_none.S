/* SPDX-License-Identifier: GPL-2.0-or-later
 * AP[2:0] is 0b000 in the sections of the code: no access. */
#define RAM 0x4001100e
#include "short.inc"
