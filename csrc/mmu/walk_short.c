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

/* A walk on its way down. */
typedef struct position {
    const pe_mem *mem;
    pe_walk *walk; /* NULL: nothing is recorded */
    bool big_endian;
    unsigned second; /* TTBR1 */
    uint32_t at;     /* of the descriptor */
    uint32_t descriptor;
    unsigned domain;
} position;

/* Reads the descriptor at index and says what it is (pe_descriptor_kind). */
PE_ALWAYS_INLINE unsigned step(position *p, unsigned level, uint32_t table, uint32_t index)
{
    uint32_t descriptor;
    unsigned kind;
    p->at = table + index * (uint32_t)sizeof descriptor;
    if (__builtin_expect(!pe_mem_load32(p->mem, p->at, &descriptor), 0)) {
        descriptor = 0;
        kind = PE_DESC_UNREADABLE;
    } else {
        if (p->big_endian) {
            descriptor = __builtin_bswap32(descriptor);
        }
        unsigned type = descriptor & 3u;
        if (type == SD_INVALID) {
            kind = PE_DESC_INVALID;
        } else if (level == 2) {
            kind = PE_DESC_PAGE;
        } else {
            kind = type == SD_L1_TABLE ? PE_DESC_TABLE : PE_DESC_BLOCK;
        }
    }
    pe_walk_record(p->walk, table, index, p->at, descriptor, level, kind, p->second);
    p->descriptor = descriptor;
    return kind;
}

PE_ALWAYS_INLINE void no_leaf(pe_translation *out, pe_fault fault, unsigned level, const position *p)
{
    out->pa = 0;
    out->descriptor = p->descriptor;
    out->descriptor_pa = p->at;
    out->fault = fault;
    out->level = (uint8_t)level;
    out->prot = 0;
    out->prot_other = 0;
    out->attr = 0;
    out->shareability = 0;
    out->domain = (uint8_t)p->domain;
    out->size_log2 = 0;
    out->flags = p->second ? PE_TF_TTBR1 : 0;
}

PE_ALWAYS_INLINE void finish(pe_translation *out, const pe_regime *regime, pe_access access, bool privileged,
                             unsigned level, const leaf *l, const position *p)
{
    unsigned domain_access = DACR_ACCESS(regime->dacr, p->domain);
    pe_prot_pair prot = pe_prot_short(regime->sctlr, l->ap, l->xn, l->pxn, domain_access);
    pe_memory_type type = pe_attr_short(regime, l->texcb, l->s);
    out->pa = l->pa;
    out->descriptor = p->descriptor;
    out->descriptor_pa = p->at;
    out->fault = pe_check_short(regime->sctlr, l->ap, domain_access, prot, access, privileged);
    out->level = (uint8_t)level;
    out->prot = pe_prot_of(prot, privileged);
    out->prot_other = pe_prot_of(prot, !privileged);
    out->attr = type.attr;
    out->shareability = type.shareability;
    out->domain = (uint8_t)p->domain;
    out->size_log2 = (uint8_t)l->shift;
    out->flags = (uint8_t)(l->flags | (p->second ? PE_TF_TTBR1 : 0u) |
                           (domain_access == DOMAIN_MANAGER ? PE_TF_DOMAIN_MANAGER : 0u));
}

PE_ALWAYS_INLINE pe_fault fault_of(unsigned kind)
{
    return kind == PE_DESC_UNREADABLE ? PE_FAULT_EXTERNAL_WALK : PE_FAULT_TRANSLATION;
}

PE_ALWAYS_INLINE void walk_short(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access,
                                 bool privileged, pe_translation *out, pe_walk *walk, bool big_endian)
{
    pe_region region = pe_region_short(regime->ttbcr, va);
    position p = {
        .mem = mem,
        .walk = walk,
        .big_endian = big_endian,
        .second = region.second,
    };
    if (__builtin_expect(region.disabled, 0)) {
        no_leaf(out, PE_FAULT_TRANSLATION, 1, &p);
        return;
    }
    /* B3.5.3: the table of TTBR0 shrinks, and so aligns, with N. */
    uint32_t align = (UINT32_C(4) << (region.va_bits - SD_SECTION_SHIFT)) - 1;
    uint32_t table = (uint32_t)(region.second ? regime->ttbr1 : regime->ttbr0) & ~align;
    unsigned kind = step(&p, 1, table, (va & (UINT32_MAX >> (32 - region.va_bits))) >> SD_SECTION_SHIFT);
    uint32_t first = p.descriptor;
    if (kind == PE_DESC_BLOCK) {
        leaf section = decode_section(first, va);
        p.domain = first & SD_SECTION_SUPER ? 0 : SD_DOMAIN(first);
        finish(out, regime, access, privileged, 1, &section, &p);
        return;
    }
    if (__builtin_expect(kind != PE_DESC_TABLE, 0)) {
        no_leaf(out, fault_of(kind), 1, &p);
        return;
    }
    p.domain = SD_DOMAIN(first);
    kind = step(&p, 2, first & SD_L2_BASE, (va >> SD_SMALL_SHIFT) & 255u);
    if (__builtin_expect(kind != PE_DESC_PAGE, 0)) {
        no_leaf(out, fault_of(kind), 2, &p);
        return;
    }
    leaf page = decode_page(p.descriptor, va, first);
    finish(out, regime, access, privileged, 2, &page, &p);
}

/* Built once for each byte order, so that the usual one does not pay for the other. */
void pe_walk_short(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                   pe_translation *out)
{
    if (__builtin_expect(regime->sctlr & SCTLR_EE, 0)) {
        walk_short(mem, regime, va, access, privileged, out, NULL, true);
    } else {
        walk_short(mem, regime, va, access, privileged, out, NULL, false);
    }
}

void pe_walk_short_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                         pe_walk *out)
{
    out->nsteps = 0;
    walk_short(mem, regime, va, access, privileged, &out->result, out, regime->sctlr & SCTLR_EE);
}
