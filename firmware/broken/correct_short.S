/* SPDX-License-Identifier: GPL-2.0-or-later
 * Nothing is wrong: short descriptors. */
#include "short.inc"
