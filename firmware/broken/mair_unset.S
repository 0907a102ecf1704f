/* SPDX-License-Identifier: GPL-2.0-or-later
 * MAIR0 was never written: all that is mapped is Strongly-ordered. */
#define MAIR0 0
#include "long.inc"
