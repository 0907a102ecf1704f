/* SPDX-License-Identifier: GPL-2.0-or-later
 * One TLB: lookup by size, replacement, invalidation. */
#include "mmu/tlb_array.h"
#include "timing/core.h"
#include "error.h"

#include <stdlib.h>

static const uint8_t SIZES_LOG2[TLB_SIZES] = {12, 16, 20, 21, 24, 30};

static unsigned size_index(unsigned size_log2)
{
    unsigned i = 0;
    while (SIZES_LOG2[i] != size_log2) {
        i++;
    }
    return i;
}

pe_status tlb_array_init(tlb_array *array, const char *name, const pe_tlb_params *params, pe_error *err)
{
    const pe_status status = pe_tlb_check(name, params, err);
    if (status) {
        return status;
    }
    const size_t n = params->entries, sets = params->entries / params->ways;
    *array = (tlb_array){
        .tags = calloc(n, sizeof *array->tags),
        .masks = calloc(n, sizeof *array->masks),
        .used = calloc(n, sizeof *array->used),
        .next = calloc(sets, sizeof *array->next),
        .entries = calloc(n, sizeof *array->entries),
        .ways = params->ways,
        .set_mask = (uint32_t)sets - 1,
        .random = PE_RANDOM_SEED,
        .params = *params,
    };
    const bool hashed = params->page_bytes == PE_PAGE_SIZE;
    if (hashed) {
        array->chain = calloc(n, sizeof *array->chain);
    }
    if (!array->tags || !array->masks || !array->used || !array->next || !array->entries || (hashed && !array->chain)) {
        tlb_array_release(array);
        return pe_fail(err, PE_ERR_MEMORY, "%s: no memory for a TLB of %u entries", name, params->entries);
    }
    for (size_t i = 0; i < n; i++) {
        array->masks[i] = TAG_VALID; /* an empty way matches nothing */
    }
    for (size_t i = 0; i < TLB_BUCKETS; i++) {
        array->bucket[i] = TLB_NONE;
    }
    return PE_OK;
}

void tlb_array_release(tlb_array *array)
{
    free(array->tags);
    free(array->masks);
    free(array->used);
    free(array->next);
    free(array->entries);
    free(array->chain);
    *array = (tlb_array){0};
}

static uint32_t set_start(const tlb_array *array, uint32_t va, unsigned size_log2)
{
    return (va >> size_log2 & array->set_mask) * array->ways;
}

uint32_t tlb_array_search(const tlb_array *array, uint64_t tag)
{
    for (unsigned s = 0; s < TLB_SIZES; s++) {
        if (!array->count[s]) {
            continue;
        }
        const uint32_t start = set_start(array, (uint32_t)tag, SIZES_LOG2[s]);
        for (uint32_t i = start; i < start + array->ways; i++) {
            if (tlb_array_matches(array, i, tag) && array->entries[i].size_log2 == SIZES_LOG2[s]) {
                return i;
            }
        }
    }
    return TLB_NONE;
}

static uint32_t victim(tlb_array *array, uint32_t start)
{
    for (uint32_t i = start; i < start + array->ways && array->valid < array->params.entries; i++) {
        if (!array->tags[i]) {
            return i;
        }
    }
    switch (array->params.replacement) {
    case PE_REPLACE_ROUND_ROBIN: {
        uint32_t *next = &array->next[start / array->ways];
        const uint32_t way = *next;
        *next = way + 1 == array->ways ? 0 : way + 1;
        return start + way;
    }
    case PE_REPLACE_RANDOM: return start + pe_next_random(&array->random) % array->ways;
    case PE_REPLACE_LRU: break;
    }
    uint32_t oldest = start;
    for (uint32_t i = start + 1; i < start + array->ways; i++) {
        oldest = array->used[i] < array->used[oldest] ? i : oldest;
    }
    return oldest;
}

static void hash_in(tlb_array *array, uint32_t i)
{
    uint32_t *first = &array->bucket[tlb_bucket(array->entries[i].va)];
    array->chain[i] = *first;
    *first = i;
}

static void hash_out(tlb_array *array, uint32_t i)
{
    uint32_t *at = &array->bucket[tlb_bucket(array->entries[i].va)];
    while (*at != i) {
        at = &array->chain[*at];
    }
    *at = array->chain[i];
}

static void remove_at(tlb_array *array, uint32_t i)
{
    if (array->chain) {
        hash_out(array, i);
    }
    array->valid--;
    array->count[size_index(array->entries[i].size_log2)]--;
    array->tags[i] = 0;
    array->masks[i] = TAG_VALID;
}

static void drop_at(tlb_array *array, uint32_t i)
{
    remove_at(array, i);
    if (array->dropped) {
        array->dropped(array->dropped_user, array->which, &array->entries[i]);
    }
}

/* The largest size of this TLB that the leaf has room for. */
static unsigned piece_size(const tlb_array *array, unsigned leaf_size_log2)
{
    unsigned found = SIZES_LOG2[0];
    for (unsigned s = 0; s < TLB_SIZES && SIZES_LOG2[s] <= leaf_size_log2; s++) {
        if (array->params.page_bytes >> SIZES_LOG2[s] & 1) {
            found = SIZES_LOG2[s];
        }
    }
    return found;
}

bool tlb_array_fill(tlb_array *array, uint32_t va, const pe_tlb_entry *leaf, pe_tlb_entry *gone)
{
    const unsigned size_log2 = piece_size(array, leaf->size_log2);
    const uint32_t offset_mask = (UINT32_C(1) << size_log2) - 1;
    const uint32_t i = victim(array, set_start(array, va, size_log2));
    const bool evicts = array->tags[i];
    if (evicts) {
        *gone = array->entries[i];
        remove_at(array, i);
    }
    pe_tlb_entry *entry = &array->entries[i];
    *entry = *leaf;
    entry->va = va & ~offset_mask;
    entry->pa = leaf->pa + (entry->va - leaf->va);
    entry->size_log2 = (uint8_t)size_log2;
    array->tags[i] = tlb_tag(entry->va, entry->asid);
    array->masks[i] = TAG_VALID | (leaf->flags & PE_TF_NG ? TAG_ASID : 0) | (uint32_t)~offset_mask;
    array->count[size_index(size_log2)]++;
    array->valid++;
    if (array->chain) {
        hash_in(array, i);
    }
    array->used[i] = ++array->clock;
    array->recent = i;
    if (evicts && array->dropped) {
        array->dropped(array->dropped_user, array->which, gone);
    }
    return evicts;
}

/* An address names the whole leaf that covers it, in however many pieces it is kept. */
static bool is_named(const pe_tlb_entry *e, pe_tlbi operation, uint32_t va, uint8_t asid)
{
    const bool any_asid = !(e->flags & PE_TF_NG);
    const bool same_leaf = !((e->va ^ va) >> e->leaf_size_log2);
    switch (operation) {
    case PE_TLBI_ALL: return true;
    case PE_TLBI_ASID: return !any_asid && e->asid == asid;
    case PE_TLBI_MVA: return same_leaf && (any_asid || e->asid == asid);
    case PE_TLBI_MVAA: return same_leaf;
    }
    return false;
}

/* Whoever asks for maintenance of an address knows that address, not the other pieces of its leaf. */
static bool is_another_piece(const pe_tlb_entry *e, pe_tlbi operation, uint32_t va)
{
    return (operation == PE_TLBI_MVA || operation == PE_TLBI_MVAA) && (e->va ^ va) >> e->size_log2;
}

uint32_t tlb_array_invalidate(tlb_array *array, pe_tlbi operation, uint32_t va, uint8_t asid)
{
    uint32_t removed = 0;
    for (uint32_t i = 0; i < array->params.entries && array->valid; i++) {
        const pe_tlb_entry *e = &array->entries[i];
        if (array->tags[i] && is_named(e, operation, va, asid)) {
            (is_another_piece(e, operation, va) ? drop_at : remove_at)(array, i);
            removed++;
        }
    }
    return removed;
}

void tlb_array_drop_pieces(tlb_array *array, const pe_tlb_entry *entry)
{
    const uint32_t outside = ~(uint32_t)((UINT64_C(1) << entry->size_log2) - 1);
    for (uint32_t i = 0; i < array->params.entries && array->valid; i++) {
        const pe_tlb_entry *e = &array->entries[i];
        const bool same_space = e->asid == entry->asid && !((e->flags ^ entry->flags) & PE_TF_NG);
        if (array->tags[i] && same_space && !((e->va ^ entry->va) & outside)) {
            drop_at(array, i);
        }
    }
}

void tlb_array_drop_all(tlb_array *array)
{
    for (uint32_t i = 0; i < array->params.entries && array->valid; i++) {
        if (array->tags[i]) {
            drop_at(array, i);
        }
    }
}

size_t tlb_array_list(const tlb_array *array, pe_tlb_entry *out, size_t max)
{
    size_t n = 0;
    for (uint32_t i = 0; i < array->params.entries; i++) {
        if (array->tags[i]) {
            if (n < max) {
                out[n] = array->entries[i];
            }
            n++;
        }
    }
    return n;
}

void tlb_array_parts(archive *a, tlb_array *array)
{
    const size_t n = array->params.entries, sets = n ? n / array->params.ways : 0;
    archive_part(a, array->tags, n * sizeof *array->tags);
    archive_part(a, array->masks, n * sizeof *array->masks);
    archive_part(a, array->used, n * sizeof *array->used);
    archive_part(a, array->next, sets * sizeof *array->next);
    archive_part(a, array->entries, n * sizeof *array->entries);
    archive_part(a, array->chain, array->chain ? n * sizeof *array->chain : 0);
    ARCHIVE(a, array->recent);
    ARCHIVE(a, array->valid);
    ARCHIVE(a, array->count);
    ARCHIVE(a, array->bucket);
    ARCHIVE(a, array->random);
    ARCHIVE(a, array->clock);
}
