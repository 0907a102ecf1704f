/* SPDX-License-Identifier: GPL-2.0-or-later
 * The UART is mapped as the memory is: write-back. On silicon nothing of what is printed leaves the cache. */
#define UART 0x09011c0e
#include "short.inc"
