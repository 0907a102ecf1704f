/* SPDX-License-Identifier: GPL-2.0-or-later
 * Making and letting go what a model bills. */
#ifndef PYEMU_KERNEL_BILL_H
#define PYEMU_KERNEL_BILL_H

#include "pyemu.h"

pe_status bill_init(struct pe_kernel *k, pe_error *err);
void bill_release(struct pe_kernel *k);

#endif
