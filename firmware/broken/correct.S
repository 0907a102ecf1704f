/* SPDX-License-Identifier: GPL-2.0-or-later
 * Nothing is wrong: long descriptors. */
#include "long.inc"
