/* SPDX-License-Identifier: GPL-2.0-or-later
 * The two table walks, each built twice from one inline body: bare, and recording its steps. */
#ifndef PYEMU_MMU_WALK_H
#define PYEMU_MMU_WALK_H

#include "mem/mem.h"
#include "mmu/attributes.h"

#define PE_ALWAYS_INLINE static inline __attribute__((always_inline))

/* Long-descriptor format (TTBCR.EAE = 1). */
void pe_walk_long(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                  pe_translation *out);
void pe_walk_long_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                        pe_walk *out);
/* Short-descriptor format (TTBCR.EAE = 0). */
void pe_walk_short(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                   pe_translation *out);
void pe_walk_short_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                         pe_walk *out);

/* Which TTBR translates va, and what is left to walk. */
typedef struct pe_region {
    unsigned second;   /* TTBR1 */
    unsigned gap;      /* long format: between the two ranges */
    unsigned disabled; /* EPDx, PDx */
    unsigned va_bits;  /* translated by this TTBR */
} pe_region;

/* B3.6.4 table B3-15: T1SZ = 0 gives TTBR1 what TTBR0 leaves; otherwise TTBR1 has its own range and wins. */
PE_ALWAYS_INLINE pe_region pe_region_long(uint32_t ttbcr, uint32_t va)
{
    unsigned t0sz = TTBCR_T0SZ(ttbcr), t1sz = TTBCR_T1SZ(ttbcr);
    unsigned above0 = va > UINT32_MAX >> t0sz;
    unsigned second = t1sz == 0 ? above0 : (unsigned)(va >= ~(UINT32_MAX >> t1sz));
    return (pe_region){
        .second = second,
        .gap = above0 & ~second,
        .disabled = ttbcr & (second ? TTBCR_EPD1 : TTBCR_EPD0),
        .va_bits = 32 - (second ? t1sz : t0sz),
    };
}

/* B3.5.4: TTBR1 when any of the top N bits is set. */
PE_ALWAYS_INLINE pe_region pe_region_short(uint32_t ttbcr, uint32_t va)
{
    unsigned n = TTBCR_N(ttbcr);
    unsigned second = (va & ~(UINT32_MAX >> n)) != 0;
    return (pe_region){
        .second = second,
        .gap = 0,
        .disabled = ttbcr & (second ? TTBCR_PD1 : TTBCR_PD0),
        .va_bits = second ? 32 : 32 - n,
    };
}

PE_ALWAYS_INLINE void pe_walk_record(pe_walk *walk, uint64_t table, uint32_t index, uint64_t descriptor_pa,
                                     uint64_t descriptor, unsigned level, unsigned kind, unsigned second)
{
    if (walk && walk->nsteps < PE_MAX_STEPS) {
        walk->steps[walk->nsteps++] = (pe_step){
            .table_pa = table,
            .descriptor_pa = descriptor_pa,
            .descriptor = descriptor,
            .index = index,
            .level = (uint8_t)level,
            .kind = (uint8_t)kind,
            .ttbr = (uint8_t)second,
        };
    }
}

#endif
