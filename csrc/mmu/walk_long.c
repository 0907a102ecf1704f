/* SPDX-License-Identifier: GPL-2.0-or-later
 * Stage-1 walk of the long-descriptor format for PL1&0 (ARM DDI 0406C B3.6). */
#include "mmu/walk.h"

PE_ALWAYS_INLINE unsigned descriptor_kind(uint64_t descriptor, unsigned level)
{
    if (!(descriptor & LD_VALID)) {
        return PE_DESC_INVALID;
    }
    if (level == 3) {
        return descriptor & LD_TABLE ? PE_DESC_PAGE : PE_DESC_RESERVED;
    }
    return descriptor & LD_TABLE ? PE_DESC_TABLE : PE_DESC_BLOCK;
}

PE_ALWAYS_INLINE unsigned level_shift(unsigned level)
{
    return LD_PAGE_SHIFT + 9 * (3 - level);
}

/* Permissions and attributes of a leaf; tables is the OR of the table descriptors above it. */
PE_ALWAYS_INLINE void finish(const pe_regime *regime, uint32_t va, pe_access access, bool privileged, uint64_t tables,
                             pe_translation *out)
{
    uint64_t leaf = out->descriptor;
    pe_prot_pair prot;
    out->fault = pe_check_long(regime->sctlr, leaf, tables, access, privileged, &prot);
    pe_memory_type type = pe_attr_long(regime, leaf);
    unsigned shift = level_shift(out->level);
    uint64_t offset = (UINT64_C(1) << shift) - 1;
    out->pa = (leaf & LD_ADDRESS & ~offset) | (va & offset);
    out->prot = prot.of[privileged];
    out->prot_other = prot.of[!privileged];
    out->attr = type.attr;
    out->shareability = type.shareability;
    out->size_log2 = (uint8_t)shift;
    out->flags |= (uint8_t)((leaf & LD_NG ? PE_TF_NG : 0) | (leaf & LD_CONTIGUOUS ? PE_TF_CONTIGUOUS : 0) |
                            ((leaf & LD_NS) || (tables & LD_NS_TABLE) ? PE_TF_NS : 0));
}

PE_ALWAYS_INLINE void walk_long(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access,
                                bool privileged, pe_translation *out, pe_walk *walk)
{
    pe_region region = pe_region_long(regime->ttbcr, va);
    *out = (pe_translation){
        .fault = PE_FAULT_TRANSLATION,
        .level = 1,
        .flags = region.second ? PE_TF_TTBR1 : 0,
    };
    if (region.gap || region.disabled) {
        return;
    }
    /* B3.6.6: the start level follows from how many bits are left, and the first index has what remains of them. */
    unsigned level = region.va_bits > LD_BLOCK1_SHIFT ? 1 : 2;
    unsigned shift = level_shift(level);
    uint32_t index = (va & (UINT32_MAX >> (32 - region.va_bits))) >> shift;
    uint64_t align = (UINT64_C(8) << (region.va_bits - shift)) - 1;
    uint64_t table = (region.second ? regime->ttbr1 : regime->ttbr0) & LD_TTBR & ~align;
    uint64_t tables = 0, descriptor;
    unsigned kind;
    for (;;) {
        out->descriptor_pa = table + index * sizeof descriptor;
        out->level = (uint8_t)level;
        if (__builtin_expect(!pe_mem_load64(mem, out->descriptor_pa, &descriptor), 0)) {
            pe_walk_record(walk, table, index, out->descriptor_pa, 0, level, PE_DESC_UNREADABLE, region.second);
            out->fault = PE_FAULT_EXTERNAL_WALK;
            return;
        }
        if (regime->sctlr & SCTLR_EE) {
            descriptor = __builtin_bswap64(descriptor);
        }
        kind = descriptor_kind(descriptor, level);
        pe_walk_record(walk, table, index, out->descriptor_pa, descriptor, level, kind, region.second);
        if (kind != PE_DESC_TABLE) {
            break;
        }
        tables |= descriptor;
        table = descriptor & LD_ADDRESS;
        level++;
        index = (va >> level_shift(level)) & 511u;
    }
    out->descriptor = descriptor;
    if (kind == PE_DESC_BLOCK || kind == PE_DESC_PAGE) {
        finish(regime, va, access, privileged, tables, out);
    }
}

void pe_walk_long(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                  pe_translation *out)
{
    walk_long(mem, regime, va, access, privileged, out, NULL);
}

void pe_walk_long_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                        pe_walk *out)
{
    out->nsteps = 0;
    walk_long(mem, regime, va, access, privileged, &out->result, out);
}
