/* SPDX-License-Identifier: GPL-2.0-or-later
 * The 1 GB block of the code was written with bits 1:0 = 0b11, which make it a table. */
#define RAM_LOW 0x40000703
#include "long.inc"
