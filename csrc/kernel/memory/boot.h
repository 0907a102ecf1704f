/* SPDX-License-Identifier: GPL-2.0-or-later
 * What only the boot does with the allocator. */
#ifndef PYEMU_KERNEL_BOOT_H
#define PYEMU_KERNEL_BOOT_H

#include "pyemu.h"

struct zone;

/* A block that was never allocated, at the end of its list: low addresses are given out first. */
void free_boot_block(struct pe_kernel *k, struct zone *zone, uint32_t index, uint32_t order);

#endif
