/* SPDX-License-Identifier: GPL-2.0-or-later
 * Modelled TLBs. */
#ifndef PYEMU_ABI_TLB_H
#define PYEMU_ABI_TLB_H

#include "abi/core.h"
#include "abi/mmu.h"

/* Micro-TLBs for fetches, loads and stores, a main TLB and a walk cache, by the parameters of a core.  Every entry of a
 * micro-TLB lies in the main TLB.  Translations come from the caller; what is kept here may be older than the tables.
 */
typedef struct pe_tlb pe_tlb;

typedef enum pe_tlb_level {
    PE_TLB_MICRO = 0, /* hit in a micro-TLB */
    PE_TLB_MAIN = 1,  /* hit in the main TLB */
    PE_TLB_MISS = 2,  /* a walk was needed */
    PE_TLB_OFF = 3,   /* the MMU is off: no TLB is asked */
} pe_tlb_level;

typedef enum pe_tlb_array {
    PE_TLB_ARRAY_INSTRUCTION = 0,
    PE_TLB_ARRAY_LOAD = 1,
    PE_TLB_ARRAY_STORE = 2, /* empty where stores use the one of loads */
    PE_TLB_ARRAY_MAIN = 3,
    PE_TLB_ARRAY_WALK = 4, /* pa is that of the last-level table */
} pe_tlb_array;

typedef struct pe_tlb_entry {
    uint64_t pa; /* of the first byte */
    uint64_t descriptor;
    uint64_t descriptor_pa;
    uint32_t va; /* of the first byte */
    uint8_t asid;
    uint8_t size_log2;      /* of this entry */
    uint8_t leaf_size_log2; /* of the leaf that it is, or is a piece of */
    uint8_t level;
    uint8_t prot;      /* PE_PROT_* of PL1 */
    uint8_t prot_user; /* of PL0 */
    uint8_t attr;
    uint8_t shareability;
    uint8_t domain;
    uint8_t flags; /* PE_TF_*; without PE_TF_NG any ASID matches */
} pe_tlb_entry;

typedef struct pe_tlb_result {
    pe_tlb_level level;
    uint32_t cycles;  /* without the descriptor reads of a walk */
    bool walk_cached; /* of a walk: only its last descriptor is read */
    bool stale;       /* of a hit: the fresh translation says something else */
} pe_tlb_result;

/* Arrays are indexed by pe_access, invalidates by pe_tlbi. */
typedef struct pe_tlb_stats {
    uint64_t lookups[3];
    uint64_t micro_misses[3];
    uint64_t main_misses[3];
    uint64_t walk_cache_hits;
    uint64_t walk_cache_misses;
    uint64_t faults;    /* walks that made no entry */
    uint64_t evictions; /* entries of the main TLB that made room */
    uint64_t invalidates[4];
    uint64_t invalidated; /* entries of the main TLB that they removed */
    uint64_t asid_switches;
    uint64_t stale;
} pe_tlb_stats;

/* A hit that a fresh walk contradicts. */
typedef struct pe_tlb_stale {
    uint64_t ordinal; /* of the lookup, from 1 */
    uint64_t old_descriptor;
    uint64_t new_descriptor;
    uint64_t descriptor_pa; /* of the new one */
    uint64_t old_pa;        /* of va */
    uint64_t new_pa;        /* where fault is PE_FAULT_NONE */
    uint32_t va;
    pe_access access;
    pe_fault fault; /* of the fresh walk */
    uint8_t asid;
} pe_tlb_stale;

typedef enum pe_tlbi {
    PE_TLBI_ALL = 0,
    PE_TLBI_ASID = 1, /* entries of an ASID that are not global */
    PE_TLBI_MVA = 2,  /* entries of an address, of an ASID or global */
    PE_TLBI_MVAA = 3, /* entries of an address, of any ASID */
} pe_tlbi;

pe_tlb *pe_tlb_new(const pe_core *core, pe_error *err);
void pe_tlb_free(pe_tlb *tlb);
/* Called for each entry that leaves a micro-TLB, after it has: to make room, with its main entry, or because the core
 * empties it.  Not where pe_tlb_invalidate names it: all, its ASID, or an address in it.  Must not change the TLBs. */
typedef void (*pe_tlb_dropped)(void *user, pe_tlb_array array, const pe_tlb_entry *entry);
void pe_tlb_on_drop(pe_tlb *tlb, pe_tlb_dropped dropped, void *user);
/* Whether pe_tlb_access compares each hit with the fresh translation; off at first. */
void pe_tlb_detect_stale(pe_tlb *tlb, bool on);

/* The entry that an access hits, or NULL: then pe_tlb_fill is due with the walk's result.  The pointer is good until
 * the next call. */
const pe_tlb_entry *pe_tlb_lookup(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, pe_tlb_result *result);
/* privileged: the privilege that t was asked for.  A translation that faults makes no entry, unless the fault is one of
 * permission or domain: then its leaf was found (ARM DDI 0406C B3.9). */
void pe_tlb_fill(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, bool privileged, const pe_translation *t,
                 pe_tlb_result *result);
/* Both in one, for a caller that has the fresh translation at hand. */
void pe_tlb_access(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, bool privileged,
                   const pe_translation *fresh, pe_tlb_result *result);
/* n accesses under one regime.  asid: n values, or NULL (that of the regime); access: n of pe_access, or NULL (reads);
 * level: n of pe_tlb_level, or NULL.  Returns the sum of cycles. */
uint64_t pe_tlb_replay(pe_tlb *tlb, const pe_mem *mem, const pe_regime *regime, bool privileged, const uint32_t *va,
                       const uint8_t *asid, const uint8_t *access, uint8_t *level, size_t n);
/* Returns how many entries of the main TLB went. */
uint32_t pe_tlb_invalidate(pe_tlb *tlb, pe_tlbi operation, uint32_t va, uint8_t asid);
/* CONTEXTIDR, DACR, PRRR, NMRR, TTBR0 or TTBR1 changed. */
void pe_tlb_context_changed(pe_tlb *tlb);

/* Whether an access would hit; changes nothing.  PE_TLB_ARRAY_STORE: that of loads where they share one. */
bool pe_tlb_holds(const pe_tlb *tlb, pe_tlb_array array, uint32_t va, uint8_t asid);

/* Up to max valid entries; returns how many there are. */
size_t pe_tlb_list(const pe_tlb *tlb, pe_tlb_array array, pe_tlb_entry *out, size_t max);
/* The latest stale hits, oldest first, up to max of at most PE_TLB_STALE_KEPT; returns how many were stored. */
#define PE_TLB_STALE_KEPT 64
size_t pe_tlb_stale_hits(const pe_tlb *tlb, pe_tlb_stale *out, size_t max);
void pe_tlb_read_stats(const pe_tlb *tlb, pe_tlb_stats *out);
/* TTBR0 or TTBR1 by TTBCR.A1 (long format), else CONTEXTIDR. */
uint8_t pe_regime_asid(const pe_regime *regime);

#endif
