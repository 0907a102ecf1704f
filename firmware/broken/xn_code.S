/* SPDX-License-Identifier: GPL-2.0-or-later
 * The block that holds the code has XN set. */
#define RAM_HIGH 0x00400000
#include "long.inc"
