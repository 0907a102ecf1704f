/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the boot takes from memory, from the top of lowmem down (memblock). */
#ifndef PYEMU_KERNEL_LAYOUT_H
#define PYEMU_KERNEL_LAYOUT_H

#include "pyemu.h"

#define RESERVATIONS_MAX 24

struct reservations {
    pe_kernel_range range[RESERVATIONS_MAX]; /* physical, ordered, whole bytes */
    uint32_t count;
    uint64_t init_start, init_end; /* given back: not in any range */
    uint64_t cma_start, cma_end;   /* not in any range either */
    uint64_t early_tables_pa;      /* pages for PTE tables of the kernel, inside a range */
    uint32_t early_tables;
};

/* Fills the layout too.  PE_ERR_ARGUMENT where lowmem does not hold it all. */
pe_status layout_init(const pe_kernel_config *config, pe_kernel_layout *layout, struct reservations *taken,
                      pe_error *err);

#endif
