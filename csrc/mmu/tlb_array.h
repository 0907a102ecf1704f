/* SPDX-License-Identifier: GPL-2.0-or-later
 * One TLB: a set-associative array of entries of several sizes, each found by one comparison. */
#ifndef PYEMU_MMU_TLB_ARRAY_H
#define PYEMU_MMU_TLB_ARRAY_H

#include "pyemu.h"
#include "archive.h"

#define TLB_SIZES   6
#define TLB_NONE    UINT32_MAX
#define TLB_BUCKETS 64u

/* Tags hold VA in bits 31:0, ASID in 39:32, and a bit that only valid ones have; a mask leaves out the offset in the
 * page and, of global entries, the ASID. */
#define TAG_VALID      ((uint64_t)1 << 40)
#define TAG_ASID_SHIFT 32
#define TAG_ASID       ((uint64_t)0xff << TAG_ASID_SHIFT)
#define MASK_4K        UINT32_C(0xfffff000)

typedef struct tlb_array {
    uint64_t *tags;
    uint64_t *masks;
    uint64_t *used; /* when, for LRU */
    uint32_t *next; /* by set: the victim of round robin */
    pe_tlb_entry *entries;
    uint32_t ways;
    uint32_t set_mask;
    uint32_t recent;           /* where the last hit was */
    uint32_t valid;            /* entries */
    uint32_t count[TLB_SIZES]; /* of them, by size */
    uint32_t *chain;           /* the next entry of a bucket; NULL: has sizes other than 4 KB, which are not hashed */
    uint32_t bucket[TLB_BUCKETS];
    uint32_t random;
    uint64_t clock;
    pe_tlb_params params;
    pe_tlb_dropped dropped; /* told of each entry that leaves, unless maintenance names its address or ASID */
    void *dropped_user;
    pe_tlb_array which;
} tlb_array;

pe_status tlb_array_init(tlb_array *array, const char *name, const pe_tlb_params *params, pe_error *err);
void tlb_array_release(tlb_array *array);

static inline uint64_t tlb_tag(uint32_t va, uint8_t asid)
{
    return TAG_VALID | (uint64_t)asid << TAG_ASID_SHIFT | va;
}

static inline bool tlb_array_matches(const tlb_array *array, uint32_t i, uint64_t tag)
{
    return !((array->tags[i] ^ tag) & array->masks[i]);
}

static inline uint32_t tlb_bucket(uint32_t va)
{
    return (va >> 12 ^ va >> 18) % TLB_BUCKETS;
}

/* Index of the entry for an address, the smallest where several cover it, or TLB_NONE. */
uint32_t tlb_array_search(const tlb_array *array, uint64_t tag);

/* The same, faster; changes nothing. */
static inline uint32_t tlb_array_peek(const tlb_array *array, uint32_t va, uint8_t asid)
{
    const uint64_t tag = tlb_tag(va, asid);
    uint32_t i = array->recent;
    if (tlb_array_matches(array, i, tag) && (uint32_t)array->masks[i] == MASK_4K) {
        return i;
    }
    if (!array->chain) {
        return tlb_array_search(array, tag);
    }
    for (i = array->bucket[tlb_bucket(va)]; i != TLB_NONE && !tlb_array_matches(array, i, tag); i = array->chain[i]) {
    }
    return i;
}

static inline uint32_t tlb_array_find(tlb_array *array, uint32_t va, uint8_t asid)
{
    const uint32_t i = tlb_array_peek(array, va, asid);
    if (i != TLB_NONE) {
        array->recent = i;
        array->used[i] = ++array->clock;
    }
    return i;
}

/* Puts in the piece of an entry that covers va and that this TLB can hold; returns whether *gone made room. */
bool tlb_array_fill(tlb_array *array, uint32_t va, const pe_tlb_entry *leaf, pe_tlb_entry *gone);
/* Removes what an operation names; returns how many entries that were. */
uint32_t tlb_array_invalidate(tlb_array *array, pe_tlbi operation, uint32_t va, uint8_t asid);
/* Removes the pieces of an entry that left a larger TLB. */
void tlb_array_drop_pieces(tlb_array *array, const pe_tlb_entry *entry);
void tlb_array_drop_all(tlb_array *array);
/* Its contents; not its parameters, nor who is told of changes. */
void tlb_array_parts(archive *a, tlb_array *array);
size_t tlb_array_list(const tlb_array *array, pe_tlb_entry *out, size_t max);

#endif
