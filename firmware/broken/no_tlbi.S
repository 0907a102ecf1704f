/* SPDX-License-Identifier: GPL-2.0-or-later
 * The TLBs are never invalidated: what they hold after reset is unknown. */
#define INVALIDATE
#include "short.inc"
