/* SPDX-License-Identifier: GPL-2.0-or-later
 * The access flag of the block that holds the code is clear: ARMv7 hardware does not set it. */
#define RAM_LOW 0x40000301
#include "long.inc"
