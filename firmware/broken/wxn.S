/* SPDX-License-Identifier: GPL-2.0-or-later
 * SCTLR.WXN is set, and the code lies in writable sections. */
#define SCTLR_SET 0x00081805 /* WXN, I, Z, C, M */
#include "short.inc"
