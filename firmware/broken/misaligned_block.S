/* SPDX-License-Identifier: GPL-2.0-or-later
 * A 2 MB block at an address of 1 MB: bits 20:12 are ignored, so it maps another megabyte. */
#define MAPPED_LOW 0x40500701
#include "long.inc"
