/* SPDX-License-Identifier: GPL-2.0-or-later
 * The host's clocks as the engine sees them.
 *
 * At each flush the engine decides by gettimeofday whether its soft TLB has been too large for a while
 * (accel/tcg/cputlb.c, tlb_mmu_resize_locked), so the number of fills, and of our walks, would depend on how fast the
 * host is.  Its event counters count cycles by clock_gettime.  Its imports of both functions are pointed
 * here; inside clock_enter and clock_leave they return guest time. */
#include "machine/clock.h"
#include "machine/import.h"

#include <sys/time.h>
#include <time.h>

static _Thread_local uint32_t depth;
static _Thread_local uint64_t guest_time_ns;

void clock_enter(uint64_t guest_ns)
{
    depth++;
    guest_time_ns = guest_ns;
}

void clock_leave(void)
{
    depth--;
}

static int guest_gettimeofday(struct timeval *tv, void *tz)
{
    if (!depth) {
        return gettimeofday(tv, tz);
    }
    tv->tv_sec = (time_t)(guest_time_ns / 1000000000);
    tv->tv_usec = (suseconds_t)(guest_time_ns / 1000 % 1000000);
    return 0;
}

static int guest_clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (!depth) {
        return clock_gettime(clock, ts);
    }
    ts->tv_sec = (time_t)(guest_time_ns / 1000000000);
    ts->tv_nsec = (long)(guest_time_ns % 1000000000);
    return 0;
}

bool clock_install(void *library)
{
    const bool day = import_replace(library, "gettimeofday", (void *)(uintptr_t)guest_gettimeofday);
    return import_replace(library, "clock_gettime", (void *)(uintptr_t)guest_clock_gettime) && day;
}
