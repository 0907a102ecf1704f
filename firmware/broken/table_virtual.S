/* SPDX-License-Identifier: GPL-2.0-or-later
 * The level-1 entry has the virtual address of the level-2 table. */
#define RAM_LOW 0xc0201003
#include "long.inc"
