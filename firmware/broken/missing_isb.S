/* SPDX-License-Identifier: GPL-2.0-or-later
 * No ISB behind the write of SCTLR: what follows may still run with the MMU off. */
#define ENABLE_BARRIER
#include "short.inc"
