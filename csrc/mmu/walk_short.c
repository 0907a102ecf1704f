/* SPDX-License-Identifier: GPL-2.0-or-later
 * Stage-1 walk of the short-descriptor format for PL1&0 (ARM DDI 0406C B3.5). */
#include "mmu/walk.h"

/* A leaf reduced to what both levels have in common. */
typedef struct leaf {
    uint64_t pa;
    unsigned ap; /* AP[2:0] */
    unsigned xn;
    unsigned pxn;
    unsigned texcb;
    unsigned s;
    unsigned shift;
    unsigned flags; /* PE_TF_* */
} leaf;

PE_ALWAYS_INLINE leaf decode_section(uint32_t d, uint32_t va)
{
    bool super = d & SD_SECTION_SUPER;
    unsigned shift = super ? SD_SUPERSECTION_SHIFT : SD_SECTION_SHIFT;
    uint32_t offset = (UINT32_C(1) << shift) - 1;
    uint64_t high = super ? (uint64_t)(SD_SUPER_PA35_32(d) | SD_SUPER_PA39_36(d) << 4) << 32 : 0;
    return (leaf){
        .pa = high | (d & ~offset) | (va & offset),
        .ap = SD_SECTION_AP(d),
        .xn = (d & SD_SECTION_XN) != 0,
        .pxn = (d & SD_SECTION_PXN) != 0,
        .texcb = SD_SECTION_TEXCB(d),
        .s = SD_SECTION_S(d),
        .shift = shift,
        .flags = (d & SD_SECTION_NS ? PE_TF_NS : 0u) | (super ? PE_TF_SUPERSECTION : 0u) |
                 (d & SD_SECTION_NG ? PE_TF_NG : 0u),
    };
}

PE_ALWAYS_INLINE leaf decode_page(uint32_t d, uint32_t va, uint32_t first)
{
    bool large = (d & 3u) == SD_L2_LARGE;
    unsigned shift = large ? SD_LARGE_SHIFT : SD_SMALL_SHIFT;
    uint32_t offset = (UINT32_C(1) << shift) - 1;
    return (leaf){
        .pa = (d & ~offset) | (va & offset),
        .ap = SD_PAGE_AP(d),
        .xn = (d & (large ? SD_LARGE_XN : SD_SMALL_XN)) != 0,
        .pxn = (first & SD_TABLE_PXN) != 0,
        .texcb = large ? SD_LARGE_TEXCB(d) : SD_SMALL_TEXCB(d),
        .s = SD_PAGE_S(d),
        .shift = shift,
        .flags = (first & SD_TABLE_NS ? PE_TF_NS : 0u) | (large ? PE_TF_LARGE : 0u) | (d & SD_PAGE_NG ? PE_TF_NG : 0u),
    };
}

PE_ALWAYS_INLINE void finish(const pe_regime *regime, pe_access access, bool privileged, const leaf *l,
                             pe_translation *out)
{
    unsigned domain_access = DACR_ACCESS(regime->dacr, out->domain);
    pe_prot_pair prot;
    out->fault = pe_check_short(regime->sctlr, l->ap, l->xn, l->pxn, domain_access, access, privileged, &prot);
    pe_memory_type type = pe_attr_short(regime, l->texcb, l->s);
    out->pa = l->pa;
    out->prot = prot.of[privileged];
    out->prot_other = prot.of[!privileged];
    out->attr = type.attr;
    out->shareability = type.shareability;
    out->size_log2 = (uint8_t)l->shift;
    out->flags |= (uint8_t)(l->flags | (domain_access == DOMAIN_MANAGER ? PE_TF_DOMAIN_MANAGER : 0u));
}

/* Reads one descriptor; false when it lies outside memory. */
PE_ALWAYS_INLINE bool fetch(const pe_mem *mem, const pe_regime *regime, uint32_t table, uint32_t index, unsigned level,
                            pe_translation *out, uint32_t *descriptor)
{
    out->descriptor_pa = table + index * sizeof *descriptor;
    out->level = (uint8_t)level;
    if (__builtin_expect(!pe_mem_load32(mem, out->descriptor_pa, descriptor), 0)) {
        out->fault = PE_FAULT_EXTERNAL_WALK;
        out->descriptor = 0;
        return false;
    }
    if (regime->sctlr & SCTLR_EE) {
        *descriptor = __builtin_bswap32(*descriptor);
    }
    out->descriptor = *descriptor;
    return true;
}

PE_ALWAYS_INLINE void walk_short(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access,
                                 bool privileged, pe_translation *out, pe_walk *walk)
{
    pe_region region = pe_region_short(regime->ttbcr, va);
    *out = (pe_translation){
        .fault = PE_FAULT_TRANSLATION,
        .level = 1,
        .flags = region.second ? PE_TF_TTBR1 : 0,
    };
    if (region.disabled) {
        return;
    }
    /* B3.5.3: the table of TTBR0 shrinks, and so aligns, with N. */
    uint32_t align = (UINT32_C(4) << (region.va_bits - SD_SECTION_SHIFT)) - 1;
    uint32_t table = (uint32_t)(region.second ? regime->ttbr1 : regime->ttbr0) & ~align;
    uint32_t index = (va & (UINT32_MAX >> (32 - region.va_bits))) >> SD_SECTION_SHIFT;
    uint32_t first, second;
    if (!fetch(mem, regime, table, index, 1, out, &first)) {
        pe_walk_record(walk, table, index, out->descriptor_pa, 0, 1, PE_DESC_UNREADABLE, region.second);
        return;
    }
    unsigned type = first & 3u;
    unsigned kind = type == SD_L1_INVALID ? PE_DESC_INVALID : type == SD_L1_TABLE ? PE_DESC_TABLE : PE_DESC_BLOCK;
    pe_walk_record(walk, table, index, out->descriptor_pa, first, 1, kind, region.second);
    if (kind == PE_DESC_INVALID) {
        return;
    }
    if (kind == PE_DESC_BLOCK) {
        leaf section = decode_section(first, va);
        out->domain = (uint8_t)(first & SD_SECTION_SUPER ? 0 : SD_DOMAIN(first));
        finish(regime, access, privileged, &section, out);
        return;
    }
    out->domain = (uint8_t)SD_DOMAIN(first);
    table = first & SD_L2_BASE;
    index = (va >> SD_SMALL_SHIFT) & 255u;
    if (!fetch(mem, regime, table, index, 2, out, &second)) {
        pe_walk_record(walk, table, index, out->descriptor_pa, 0, 2, PE_DESC_UNREADABLE, region.second);
        return;
    }
    kind = (second & 3u) == SD_L2_INVALID ? PE_DESC_INVALID : PE_DESC_PAGE;
    pe_walk_record(walk, table, index, out->descriptor_pa, second, 2, kind, region.second);
    if (kind == PE_DESC_PAGE) {
        leaf page = decode_page(second, va, first);
        finish(regime, access, privileged, &page, out);
    }
}

void pe_walk_short(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                   pe_translation *out)
{
    walk_short(mem, regime, va, access, privileged, out, NULL);
}

void pe_walk_short_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                         pe_walk *out)
{
    out->nsteps = 0;
    walk_short(mem, regime, va, access, privileged, &out->result, out);
}
