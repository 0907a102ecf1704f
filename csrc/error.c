/* SPDX-License-Identifier: GPL-2.0-or-later
 * Filling the caller's error slot. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

pe_status pe_fail(pe_error *err, pe_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
