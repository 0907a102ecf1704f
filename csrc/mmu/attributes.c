/* SPDX-License-Identifier: GPL-2.0-or-later
 * Memory types of the short-descriptor format, converted to the MAIR encoding (ARM DDI 0406C B3.8). */
#include "mmu/attributes.h"

/* Cacheability codes of TEX = 0b1BB and of NMRR (B3.8.2 table B3-11, B4.1.108) as a nibble of a MAIR byte:
 * non-cacheable, write-back write-allocate, write-through, write-back. */
static const uint8_t cacheability[4] = {0x4, 0xf, 0xa, 0xe};

static uint8_t normal(unsigned outer, unsigned inner)
{
    return (uint8_t)(cacheability[outer] << 4 | cacheability[inner]);
}

/* B3.8.2: TEX:C:B without remap, for TEX[2] = 0.  Reserved and IMPLEMENTATION DEFINED encodings count as
 * Strongly-ordered, the type that promises least. */
static const uint8_t plain_types[16] = {
    ATTR_STRONGLY_ORDERED, ATTR_DEVICE,           ATTR_NORMAL_WT,        ATTR_NORMAL_WB,        /* TEX = 0b000 */
    ATTR_NORMAL_NC,        ATTR_STRONGLY_ORDERED, ATTR_STRONGLY_ORDERED, ATTR_NORMAL_WBWA,      /* TEX = 0b001 */
    ATTR_DEVICE,           ATTR_STRONGLY_ORDERED, ATTR_STRONGLY_ORDERED, ATTR_STRONGLY_ORDERED, /* TEX = 0b010 */
    ATTR_STRONGLY_ORDERED, ATTR_STRONGLY_ORDERED, ATTR_STRONGLY_ORDERED, ATTR_STRONGLY_ORDERED, /* TEX = 0b011 */
};

/* Device and Strongly-ordered memory is outer shareable on an implementation with LPAE, whatever TEX or PRRR.DSn say.
 */
static pe_memory_type plain(unsigned texcb, unsigned s)
{
    if (texcb & 16u) {
        return (pe_memory_type){normal((texcb >> 2) & 3u, texcb & 3u), s ? SH_OUTER : SH_NONE};
    }
    uint8_t attr = plain_types[texcb];
    bool is_normal = attr & 0xf0u;
    return (pe_memory_type){attr, is_normal && !s ? SH_NONE : SH_OUTER};
}

/* B3.8.3 */
static pe_memory_type remapped(uint32_t prrr, uint32_t nmrr, unsigned n, unsigned s)
{
    switch (PRRR_TYPE(prrr, n)) {
    case 1: return (pe_memory_type){ATTR_DEVICE, SH_OUTER};
    case 2: {
        unsigned shared = PRRR_NS(prrr, s);
        unsigned how = PRRR_NOS(prrr, n) ? SH_INNER : SH_OUTER;
        return (pe_memory_type){normal(NMRR_OUTER(nmrr, n), NMRR_INNER(nmrr, n)), (uint8_t)(shared ? how : SH_NONE)};
    }
    default: return (pe_memory_type){ATTR_STRONGLY_ORDERED, SH_OUTER};
    }
}

pe_memory_type pe_attr_short(const pe_regime *regime, unsigned texcb, unsigned s)
{
    if (regime->sctlr & SCTLR_TRE) {
        return remapped(regime->mair0, regime->mair1, texcb & 7u, s);
    }
    return plain(texcb, s);
}
