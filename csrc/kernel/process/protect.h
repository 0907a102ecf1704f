/* SPDX-License-Identifier: GPL-2.0-or-later
 * Entries of a range that change their protection, or their address. */
#ifndef PYEMU_KERNEL_PROTECT_H
#define PYEMU_KERNEL_PROTECT_H

#include "kernel/process/mm.h"

/* process/protect.c: change_protection.  area has the new flags already. */
void change_protection(struct pe_kernel *k, struct mm *mm, const struct vm_area *area, uint32_t start, uint32_t end);
/* process/move.c: move_page_tables.  How many bytes were moved before memory ran out. */
uint32_t move_page_tables(struct pe_kernel *k, struct mm *mm, uint32_t from, uint32_t to, uint32_t bytes);

#endif
