/* SPDX-License-Identifier: GPL-2.0-or-later
 * RAM uses attribute index 2, which MAIR0 leaves 0: Strongly-ordered. */
#define RAM_LOW 0x40000709
#include "long.inc"
