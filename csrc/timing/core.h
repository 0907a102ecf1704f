/* SPDX-License-Identifier: GPL-2.0-or-later
 * Limits of a core's parameters, and the checks that the makers of caches and TLBs share. */
#ifndef PYEMU_TIMING_CORE_H
#define PYEMU_TIMING_CORE_H

#include "pyemu.h"

#define PE_MAX_WAYS         64u
#define PE_MAX_CACHE_BYTES  (256u << 20)
#define PE_MAX_TLB_ENTRIES  65536u
#define PE_MAX_LINE_FILLS   64
#define PE_MAX_WALK_ENTRIES 1024u
#define PE_MAX_CYCLES       100000u

/* 4K, 64K, 1M, 2M, 16M, 1G */
#define PE_TLB_PAGE_SIZES (0x1000u | 0x10000u | 0x100000u | 0x200000u | 0x1000000u | 0x40000000u)

bool pe_is_power_of_two(uint32_t value);

#define PE_RANDOM_SEED 0x2545f491u /* any constant but 0: the same victims in each run */

/* xorshift32 (Marsaglia 2003) */
static inline uint32_t pe_next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* group is the name that the error begins with: "l1d", "main_tlb". */
pe_status pe_cache_check(const char *group, const pe_cache_params *params, pe_error *err);
pe_status pe_tlb_check(const char *group, const pe_tlb_params *params, pe_error *err);

#endif
