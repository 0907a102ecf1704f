/* SPDX-License-Identifier: GPL-2.0-or-later
 * Translation: which walk a regime uses, and the flat map of a disabled MMU. */
#include "mmu/walk.h"

/* B3.2.1: data accesses are Strongly-ordered, fetches are Normal and cacheable when SCTLR.I says so. */
static pe_memory_type flat_type(uint32_t sctlr, pe_access access)
{
    if (access != PE_FETCH) {
        return (pe_memory_type){ATTR_STRONGLY_ORDERED, SH_OUTER};
    }
    if (sctlr & SCTLR_I) {
        return (pe_memory_type){ATTR_NORMAL_WT, SH_NONE};
    }
    return (pe_memory_type){ATTR_NORMAL_NC, SH_NONE};
}

static void flat(const pe_regime *regime, uint32_t va, pe_access access, pe_translation *out)
{
    pe_memory_type type = flat_type(regime->sctlr, access);
    *out = (pe_translation){
        .pa = va,
        .prot = PE_PROT_ALL,
        .prot_other = PE_PROT_ALL,
        .attr = type.attr,
        .shareability = type.shareability,
        .size_log2 = SD_SMALL_SHIFT,
        .flags = PE_TF_MMU_OFF,
    };
}

void pe_translate(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                  pe_translation *out)
{
    if (!(regime->sctlr & SCTLR_M)) {
        flat(regime, va, access, out);
    } else if (regime->ttbcr & TTBCR_EAE) {
        pe_walk_long(mem, regime, va, access, privileged, out);
    } else {
        pe_walk_short(mem, regime, va, access, privileged, out);
    }
}

void pe_translate_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                        pe_walk *out)
{
    if (!(regime->sctlr & SCTLR_M)) {
        out->nsteps = 0;
        flat(regime, va, access, &out->result);
    } else if (regime->ttbcr & TTBCR_EAE) {
        pe_walk_long_steps(mem, regime, va, access, privileged, out);
    } else {
        pe_walk_short_steps(mem, regime, va, access, privileged, out);
    }
}
