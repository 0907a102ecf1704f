/* SPDX-License-Identifier: GPL-2.0-or-later
 * The upper word of the descriptor of the code has a digit too many: it maps what lies 16 GB further up. */
#define RAM_HIGH 4
#include "long.inc"
