/* SPDX-License-Identifier: GPL-2.0-or-later
 * The time of day as the engine sees it. */
#ifndef PYEMU_CLOCK_H
#define PYEMU_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the libunicorn behind `library` (a dlopen handle) ask clock_enter's time; false: an import was not found. */
bool clock_install(void *library);

/* Between the two, which may be nested, this thread's engine calls see guest time; outside them, and for any other user
 * of libunicorn in this process, the host's. */
void clock_enter(uint64_t guest_ns);
void clock_leave(void);

#endif
