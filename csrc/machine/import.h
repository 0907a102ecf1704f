/* SPDX-License-Identifier: GPL-2.0-or-later
 * Functions that a loaded library calls, replaced by ours. */
#ifndef PYEMU_IMPORT_H
#define PYEMU_IMPORT_H

#include <stdbool.h>

/* From now on the library behind `library` (a dlopen handle) calls `function` where it called `name` through its
 * procedure linkage table; false: it does not, and nothing was changed. */
bool import_replace(void *library, const char *name, void *function);

#endif
