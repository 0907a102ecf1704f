/* SPDX-License-Identifier: GPL-2.0-or-later
 * SCTLR.V moves the vectors to 0xffff0000, which is not mapped: the first exception can not be taken. */
#define SCTLR_SET 0x00003805 /* V, I, Z, C, M */

.macro call
    svc 0
.endm
#define AFTER call
#include "short.inc"
