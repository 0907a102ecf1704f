/* SPDX-License-Identifier: GPL-2.0-or-later
 * Stage-1 walk of the long-descriptor format for PL1&0 (ARM DDI 0406C B3.6). */
#include "mmu/walk.h"

/* A walk on its way down. */
typedef struct position {
    const pe_mem *mem;
    pe_walk *walk; /* NULL: nothing is recorded */
    bool big_endian;
    unsigned second; /* TTBR1 */
    uint64_t table;
    uint64_t at; /* of the descriptor */
    uint64_t descriptor;
    uint64_t tables; /* OR of the table descriptors so far */
} position;

/* Reads the descriptor at index and says what it is (pe_descriptor_kind); moves on to a table. */
PE_ALWAYS_INLINE unsigned step(position *p, unsigned level, uint32_t index)
{
    uint64_t table = p->table, descriptor;
    unsigned kind;
    p->at = table + index * sizeof descriptor;
    if (__builtin_expect(!pe_mem_load64(p->mem, p->at, &descriptor), 0)) {
        descriptor = 0;
        kind = PE_DESC_UNREADABLE;
    } else {
        if (p->big_endian) {
            descriptor = __builtin_bswap64(descriptor);
        }
        if (!(descriptor & LD_VALID)) {
            kind = PE_DESC_INVALID;
        } else if (level == 3) {
            kind = descriptor & LD_TABLE ? PE_DESC_PAGE : PE_DESC_RESERVED;
        } else {
            kind = descriptor & LD_TABLE ? PE_DESC_TABLE : PE_DESC_BLOCK;
        }
    }
    pe_walk_record(p->walk, table, index, p->at, descriptor, level, kind, p->second);
    p->descriptor = descriptor;
    if (kind == PE_DESC_TABLE) {
        p->tables |= descriptor;
        p->table = descriptor & LD_ADDRESS;
    }
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
    out->domain = 0;
    out->size_log2 = 0;
    out->flags = p->second ? PE_TF_TTBR1 : 0;
}

PE_ALWAYS_INLINE void finish(pe_translation *out, const pe_regime *regime, uint32_t va, pe_access access,
                             bool privileged, unsigned level, unsigned kind, const position *p)
{
    if (kind != PE_DESC_BLOCK && kind != PE_DESC_PAGE) {
        no_leaf(out, kind == PE_DESC_UNREADABLE ? PE_FAULT_EXTERNAL_WALK : PE_FAULT_TRANSLATION, level, p);
        return;
    }
    uint64_t leaf = p->descriptor;
    pe_prot_pair prot = pe_prot_long(regime->sctlr, leaf, p->tables);
    pe_memory_type type = pe_attr_long(regime, leaf);
    unsigned shift = LD_PAGE_SHIFT + 9 * (3 - level);
    uint64_t offset = (UINT64_C(1) << shift) - 1;
    out->pa = (leaf & LD_ADDRESS & ~offset) | (va & offset);
    out->descriptor = leaf;
    out->descriptor_pa = p->at;
    out->fault = pe_check_long(leaf, prot, access, privileged);
    out->level = (uint8_t)level;
    out->prot = pe_prot_of(prot, privileged);
    out->prot_other = pe_prot_of(prot, !privileged);
    out->attr = type.attr;
    out->shareability = type.shareability;
    out->domain = 0;
    out->size_log2 = (uint8_t)shift;
    out->flags = (uint8_t)((p->second ? PE_TF_TTBR1 : 0u) | LD_NG(leaf) * PE_TF_NG |
                           LD_CONTIGUOUS(leaf) * PE_TF_CONTIGUOUS | (LD_NS(leaf) | LD_NS_TABLE(p->tables)) * PE_TF_NS);
}

PE_ALWAYS_INLINE void walk_long(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access,
                                bool privileged, pe_translation *out, pe_walk *walk, bool big_endian)
{
    pe_region region = pe_region_long(regime->ttbcr, va);
    position p = {
        .mem = mem,
        .walk = walk,
        .big_endian = big_endian,
        .second = region.second,
        .table = (region.second ? regime->ttbr1 : regime->ttbr0) & LD_TTBR,
    };
    if (__builtin_expect(region.gap || region.disabled, 0)) {
        no_leaf(out, PE_FAULT_TRANSLATION, 1, &p);
        return;
    }
    /* B3.6.6: the walk starts at level 1 when more than 30 bits are left, else at level 2; the first index has what
     * the levels below leave of them, and the table is as aligned as it is long. */
    unsigned level = 2, kind;
    unsigned shift = region.va_bits > LD_BLOCK1_SHIFT ? LD_BLOCK1_SHIFT : LD_BLOCK2_SHIFT;
    uint32_t index = (va & (UINT32_MAX >> (32 - region.va_bits))) >> shift;
    p.table &= ~((UINT64_C(8) << (region.va_bits - shift)) - 1);
    if (shift == LD_BLOCK1_SHIFT) {
        kind = step(&p, 1, index);
        if (kind != PE_DESC_TABLE) {
            finish(out, regime, va, access, privileged, 1, kind, &p);
            return;
        }
        index = (va >> LD_BLOCK2_SHIFT) & 511u;
    }
    kind = step(&p, 2, index);
    if (kind == PE_DESC_TABLE) {
        level = 3;
        kind = step(&p, 3, (va >> LD_PAGE_SHIFT) & 511u);
    }
    finish(out, regime, va, access, privileged, level, kind, &p);
}

/* Built once for each byte order, so that the usual one does not pay for the other. */
void pe_walk_long(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                  pe_translation *out)
{
    if (__builtin_expect(regime->sctlr & SCTLR_EE, 0)) {
        walk_long(mem, regime, va, access, privileged, out, NULL, true);
    } else {
        walk_long(mem, regime, va, access, privileged, out, NULL, false);
    }
}

void pe_walk_long_steps(const pe_mem *mem, const pe_regime *regime, uint32_t va, pe_access access, bool privileged,
                        pe_walk *out)
{
    out->nsteps = 0;
    walk_long(mem, regime, va, access, privileged, &out->result, out, regime->sctlr & SCTLR_EE);
}
