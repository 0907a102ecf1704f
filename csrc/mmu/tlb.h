/* SPDX-License-Identifier: GPL-2.0-or-later
 * The TLBs of one CPU: micro-TLBs inside a main TLB, and a walk cache. */
#ifndef PYEMU_MMU_TLB_H
#define PYEMU_MMU_TLB_H

#include "mmu/tlb_array.h"

/* Where the last-level table of a stretch of addresses is. */
typedef struct tlb_walk_entry {
    uint64_t table_pa;
    uint64_t used;
    uint32_t va;
    uint8_t asid;
    bool valid;
} tlb_walk_entry;

struct pe_tlb {
    tlb_array micro[3]; /* PE_TLB_ARRAY_INSTRUCTION, _LOAD, _STORE; the last has no ways where loads and stores share */
    tlb_array main;
    tlb_walk_entry *walk;
    uint64_t walk_clock;
    pe_walk_params walk_params;
    pe_micro_params micro_params;
    bool detects_stale;
    uint8_t asid;
    uint64_t ordinal;
    pe_tlb_stale stale[PE_TLB_STALE_KEPT]; /* a ring; stats.stale counts on */
    pe_tlb_stats stats;
};

static inline pe_tlb_array tlb_array_of(const pe_tlb *tlb, pe_access access)
{
    if (access == PE_FETCH) {
        return PE_TLB_ARRAY_INSTRUCTION;
    }
    return access == PE_WRITE && tlb->micro[PE_TLB_ARRAY_STORE].ways ? PE_TLB_ARRAY_STORE : PE_TLB_ARRAY_LOAD;
}

/* All that they hold and have counted; whether stale hits are looked for stays as it is. */
void tlb_parts(archive *a, pe_tlb *tlb);

/* The entry of the micro-TLB for an address, NULL: none.  Nobody asked. */
static inline const pe_tlb_entry *tlb_peek(const pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access)
{
    const tlb_array *micro = &tlb->micro[tlb_array_of(tlb, access)];
    const uint32_t i = tlb_array_peek(micro, va, asid);
    return i == TLB_NONE ? NULL : &micro->entries[i];
}

/* pe_tlb_lookup where that has none. */
const pe_tlb_entry *tlb_lookup_main(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, pe_tlb_result *result);

/* Whether a hit in the micro-TLB changes nothing in it, so that its owner may remember hits. */
static inline bool tlb_hits_are_alike(const pe_tlb *tlb, pe_access access)
{
    return tlb->micro[tlb_array_of(tlb, access)].params.replacement != PE_REPLACE_LRU && !tlb->detects_stale;
}

/* Hits in a micro-TLB that its owner knew of. */
static inline void tlb_count_hits(pe_tlb *tlb, pe_access access, uint32_t n)
{
    tlb->ordinal += n;
    tlb->stats.lookups[access] += n;
}

/* A hit, and what the tables say now: counts and remembers it where they disagree, and returns whether they do. */
bool pe_tlb_note_stale(pe_tlb *tlb, const pe_tlb_entry *e, uint32_t va, pe_access access, bool privileged,
                       const pe_translation *t);

#endif
