/* SPDX-License-Identifier: GPL-2.0-or-later
 * RAM is mapped at 0x80000000 and at 0xc0000000, where the code does not run yet. */
#define RAM_SLOT 0x3000
#include "short.inc"
