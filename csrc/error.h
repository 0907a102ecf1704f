/* SPDX-License-Identifier: GPL-2.0-or-later
 * Filling the caller's error slot. */
#ifndef PYEMU_ERROR_H
#define PYEMU_ERROR_H

#include "pyemu.h"

/* Formats text into err (when not NULL) and returns status. */
pe_status pe_fail(pe_error *err, pe_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
