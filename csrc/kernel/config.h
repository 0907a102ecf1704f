/* SPDX-License-Identifier: GPL-2.0-or-later
 * A configuration as it takes effect, and what follows from its values alone. */
#ifndef PYEMU_KERNEL_CONFIG_H
#define PYEMU_KERNEL_CONFIG_H

#include "pyemu.h"

#define VMALLOC_END    0xff800000u /* asm/pgtable.h */
#define VMALLOC_OFFSET 0x00800000u

uint32_t config_page_offset(pe_vmsplit vmsplit);
/* Remedies applied, defaults filled in, what is selected selected. */
pe_kernel_config config_in_force(const pe_kernel_config *config);

#endif
