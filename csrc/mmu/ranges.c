/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a regime maps, as ranges of leaves that are alike. */
#include "mmu/walk.h"

#define SPACE (UINT64_C(1) << 32)
/* The smallest range that a TTBR can have: T0SZ, T1SZ or N = 7. */
#define REGION_SHIFT 25

/* Bytes from the start of what one descriptor of a level covers to its end. */
static uint64_t span_of(bool is_long, unsigned level)
{
    if (is_long) {
        return UINT64_C(1) << (LD_PAGE_SHIFT + 9 * (3 - level));
    }
    return UINT64_C(1) << (level == 1 ? SD_SECTION_SHIFT : SD_SMALL_SHIFT);
}

/* Cuts [va, to) where another TTBR takes over, inside what one descriptor of the first level covers (B3.6.4). */
static uint64_t cut_at(uint64_t va, uint64_t to, uint64_t border)
{
    return va < border && border < to ? border : to;
}

static uint64_t cut_at_regions(uint32_t ttbcr, uint64_t va, uint64_t to)
{
    to = cut_at(va, to, SPACE >> TTBCR_T0SZ(ttbcr));
    return cut_at(va, to, SPACE - (SPACE >> TTBCR_T1SZ(ttbcr)));
}

/* Where the descriptor that answered for va ends: a supersection or large page counts by each of its 16 descriptors,
 * which hostile tables may have different. */
static uint64_t end_of(const pe_regime *regime, uint32_t va, const pe_translation *t)
{
    bool is_long = regime->ttbcr & TTBCR_EAE;
    if (t->flags & PE_TF_MMU_OFF) {
        return SPACE;
    }
    pe_region region = is_long ? pe_region_long(regime->ttbcr, va) : pe_region_short(regime->ttbcr, va);
    uint64_t span = region.gap || region.disabled ? UINT64_C(1) << REGION_SHIFT : span_of(is_long, t->level);
    uint64_t to = (va & ~(span - 1)) + span;
    return is_long ? cut_at_regions(regime->ttbcr, va, to) : to;
}

static bool answers(const pe_translation *t)
{
    return t->size_log2 || t->fault == PE_FAULT_EXTERNAL_WALK;
}

static bool alike(const pe_range *range, const pe_translation *t, const pe_range_query *query)
{
    const pe_translation *first = &range->first;
    uint64_t mask = query->descriptor_mask;
    if (query->contiguous && t->size_log2 && t->pa != first->pa + range->size) {
        return false;
    }
    /* Of the faults only these two say something of the entry rather than of the access. */
    bool clear = t->fault == PE_FAULT_ACCESS_FLAG, outside = t->fault == PE_FAULT_EXTERNAL_WALK;
    return clear == (first->fault == PE_FAULT_ACCESS_FLAG) && outside == (first->fault == PE_FAULT_EXTERNAL_WALK) &&
           t->level == first->level && t->prot == first->prot && t->prot_other == first->prot_other &&
           t->attr == first->attr && t->shareability == first->shareability && t->domain == first->domain &&
           t->size_log2 == first->size_log2 && t->flags == first->flags &&
           (t->descriptor & mask) == (first->descriptor & mask);
}

static bool wanted(const pe_translation *t, uint64_t size, const pe_range_query *query)
{
    if (!query->pa_size) {
        return true;
    }
    return t->size_log2 && (t->pa < query->pa ? query->pa - t->pa < size : t->pa - query->pa < query->pa_size);
}

size_t pe_ranges(const pe_mem *mem, const pe_regime *regime, const pe_range_query *query, pe_range *out, size_t max,
                 uint64_t *next)
{
    uint64_t va = query->start, end = query->end < SPACE ? query->end : SPACE;
    size_t n = 0;
    for (; va < end; va = *next) {
        pe_translation t;
        pe_translate(mem, regime, (uint32_t)va, PE_READ, true, &t);
        uint64_t to = end_of(regime, (uint32_t)va, &t);
        *next = to < end ? to : end;
        if (!answers(&t) || !wanted(&t, *next - va, query)) {
            continue;
        }
        pe_range *last = n ? &out[n - 1] : NULL;
        if (last && last->va + last->size == va && alike(last, &t, query)) {
            last->size += *next - va;
            last->descriptors++;
            continue;
        }
        if (n == max) {
            *next = va;
            return n;
        }
        out[n++] = (pe_range){.first = t, .size = *next - va, .va = (uint32_t)va, .descriptors = 1};
    }
    *next = end;
    return n;
}
