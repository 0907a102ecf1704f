/* SPDX-License-Identifier: GPL-2.0-or-later
 * The TLBs of one CPU: lookups, fills after walks, maintenance, hits that the tables contradict. */
#include "mmu/tlb.h"
#include "mmu/descriptors.h"
#include "error.h"

#include <stdlib.h>

/* ---- making ---- */

pe_tlb *pe_tlb_new(const pe_core *core, pe_error *err)
{
    if (pe_core_check(core, err)) {
        return NULL;
    }
    pe_tlb *tlb = calloc(1, sizeof *tlb);
    if (!tlb) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for TLBs");
        return NULL;
    }
    const struct {
        tlb_array *array;
        const char *name;
        const pe_tlb_params *params;
    } arrays[] = {
        {&tlb->micro[PE_TLB_ARRAY_INSTRUCTION], "micro_instruction", &core->micro_instruction},
        {&tlb->micro[PE_TLB_ARRAY_LOAD], "micro_load", &core->micro_load},
        {&tlb->micro[PE_TLB_ARRAY_STORE], "micro_store", &core->micro_store},
        {&tlb->main, "main_tlb", &core->main_tlb},
    };
    pe_status status = PE_OK;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0] && !status; i++) {
        if (arrays[i].params->entries) {
            status = tlb_array_init(arrays[i].array, arrays[i].name, arrays[i].params, err);
        }
    }
    tlb->walk_params = core->walk;
    tlb->micro_params = core->micro_tlbs;
    if (!status && core->walk.cache_entries) {
        tlb->walk = calloc(core->walk.cache_entries, sizeof *tlb->walk);
        if (!tlb->walk) {
            status = pe_fail(err, PE_ERR_MEMORY, "no memory for a walk cache");
        }
    }
    if (status) {
        pe_tlb_free(tlb);
        return NULL;
    }
    return tlb;
}

void pe_tlb_free(pe_tlb *tlb)
{
    if (tlb) {
        for (size_t i = 0; i < 3; i++) {
            tlb_array_release(&tlb->micro[i]);
        }
        tlb_array_release(&tlb->main);
        free(tlb->walk);
        free(tlb);
    }
}

void pe_tlb_on_drop(pe_tlb *tlb, pe_tlb_dropped dropped, void *user)
{
    for (size_t i = 0; i < 3; i++) {
        tlb->micro[i].dropped = dropped;
        tlb->micro[i].dropped_user = user;
        tlb->micro[i].which = (pe_tlb_array)i;
    }
}

void pe_tlb_detect_stale(pe_tlb *tlb, bool on)
{
    tlb->detects_stale = on;
}

/* ---- the walk cache ---- */

static uint32_t walk_base(const pe_tlb *tlb, uint32_t va)
{
    return va & ~(tlb->walk_params.cache_reach_bytes - 1);
}

/* Whether the last-level table of va is known; if not, it is from now on. */
static bool walk_cached(pe_tlb *tlb, uint32_t va, uint8_t asid, uint64_t table_pa)
{
    const uint32_t base = walk_base(tlb, va);
    tlb_walk_entry *oldest = &tlb->walk[0];
    for (uint32_t i = 0; i < tlb->walk_params.cache_entries; i++) {
        tlb_walk_entry *e = &tlb->walk[i];
        if (e->valid && e->va == base && e->asid == asid) {
            e->used = ++tlb->walk_clock;
            return true;
        }
        if (oldest->valid && (!e->valid || e->used < oldest->used)) {
            oldest = e;
        }
    }
    *oldest =
        (tlb_walk_entry){.table_pa = table_pa, .used = ++tlb->walk_clock, .va = base, .asid = asid, .valid = true};
    return false;
}

/* Maintenance by address reaches the intermediate levels too, whatever the ASID. */
static void walk_invalidate(pe_tlb *tlb, pe_tlbi operation, uint32_t va, uint8_t asid)
{
    for (uint32_t i = 0; tlb->walk && i < tlb->walk_params.cache_entries; i++) {
        tlb_walk_entry *e = &tlb->walk[i];
        switch (operation) {
        case PE_TLBI_ALL: e->valid = false; break;
        case PE_TLBI_ASID: e->valid = e->valid && e->asid != asid; break;
        case PE_TLBI_MVA:
        case PE_TLBI_MVAA: e->valid = e->valid && e->va != walk_base(tlb, va); break;
        }
    }
}

/* ---- lookup ---- */

static void note_asid(pe_tlb *tlb, uint8_t asid)
{
    tlb->stats.asid_switches += tlb->asid != asid;
    tlb->asid = asid;
}

static void note_lookup(pe_tlb *tlb, uint8_t asid, pe_access access)
{
    note_asid(tlb, asid);
    tlb->ordinal++;
    tlb->stats.lookups[access]++;
}

const pe_tlb_entry *pe_tlb_lookup(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, pe_tlb_result *result)
{
    tlb_array *micro = &tlb->micro[tlb_array_of(tlb, access)];
    const uint32_t i = tlb_array_find(micro, va, asid);
    if (i == TLB_NONE) {
        return tlb_lookup_main(tlb, va, asid, access, result);
    }
    note_lookup(tlb, asid, access);
    *result = (pe_tlb_result){.level = PE_TLB_MICRO};
    return &micro->entries[i];
}

const pe_tlb_entry *tlb_lookup_main(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, pe_tlb_result *result)
{
    tlb_array *micro = &tlb->micro[tlb_array_of(tlb, access)];
    note_lookup(tlb, asid, access);
    tlb->stats.micro_misses[access]++;
    *result = (pe_tlb_result){.cycles = micro->params.miss_cycles};
    const uint32_t i = tlb_array_find(&tlb->main, va, asid);
    if (i != TLB_NONE) {
        pe_tlb_entry gone;
        result->level = PE_TLB_MAIN;
        tlb_array_fill(micro, va, &tlb->main.entries[i], &gone);
        return &tlb->main.entries[i];
    }
    tlb->stats.main_misses[access]++;
    result->level = PE_TLB_MISS;
    return NULL;
}

/* ---- fill ---- */

static bool has_leaf(const pe_translation *t)
{
    return (t->fault == PE_FAULT_NONE || t->fault == PE_FAULT_PERMISSION || t->fault == PE_FAULT_DOMAIN) &&
           t->size_log2 >= 12 && t->size_log2 <= 30;
}

static pe_tlb_entry entry_of(uint32_t va, uint8_t asid, bool privileged, const pe_translation *t)
{
    const uint32_t offset = va & ((UINT32_C(1) << t->size_log2) - 1);
    return (pe_tlb_entry){
        .pa = t->pa - offset,
        .descriptor = t->descriptor,
        .descriptor_pa = t->descriptor_pa,
        .va = va - offset,
        .asid = asid,
        .size_log2 = t->size_log2,
        .leaf_size_log2 = t->size_log2,
        .level = t->level,
        .prot = privileged ? t->prot : t->prot_other,
        .prot_user = privileged ? t->prot_other : t->prot,
        .attr = t->attr,
        .shareability = t->shareability,
        .domain = t->domain,
        .flags = t->flags,
    };
}

/* An entry that leaves the main TLB leaves the micro-TLBs too. */
static void main_fill(pe_tlb *tlb, uint32_t va, const pe_tlb_entry *leaf)
{
    pe_tlb_entry gone;
    if (!tlb_array_fill(&tlb->main, va, leaf, &gone)) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        tlb_array_drop_pieces(&tlb->micro[i], &gone);
    }
    tlb->stats.evictions++;
}

/* A leaf of 4 KB or 64 KB lies in a last-level table. */
static bool note_walk(pe_tlb *tlb, uint32_t va, uint8_t asid, const pe_translation *t)
{
    if (!tlb->walk || t->size_log2 > 16) {
        return false;
    }
    const uint64_t table_bytes = t->level == 3 ? 4096 : 1024;
    const bool hit = walk_cached(tlb, va, asid, t->descriptor_pa & ~(table_bytes - 1));
    tlb->stats.walk_cache_hits += hit;
    tlb->stats.walk_cache_misses += !hit;
    return hit;
}

void pe_tlb_fill(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, bool privileged, const pe_translation *t,
                 pe_tlb_result *result)
{
    tlb_array *micro = &tlb->micro[tlb_array_of(tlb, access)];
    result->level = PE_TLB_MISS;
    result->cycles = micro->params.miss_cycles + tlb->main.params.miss_cycles;
    if (!has_leaf(t)) {
        tlb->stats.faults++;
        return;
    }
    result->walk_cached = note_walk(tlb, va, asid, t);
    const pe_tlb_entry leaf = entry_of(va, asid, privileged, t);
    main_fill(tlb, va, &leaf);
    pe_tlb_entry gone;
    tlb_array_fill(micro, va, &tlb->main.entries[tlb->main.recent], &gone);
}

/* ---- hits that the tables contradict ---- */

static uint64_t entry_pa(const pe_tlb_entry *e, uint32_t va)
{
    return e->pa + (va - e->va);
}

/* Software bits of a descriptor change nothing, and permissions that follow from DACR or SCTLR are not the table's. */
static bool contradicts(const pe_tlb_entry *e, uint32_t va, bool privileged, const pe_translation *t)
{
    if (!has_leaf(t) || entry_pa(e, va) != t->pa) {
        return true;
    }
    if (e->descriptor == t->descriptor) {
        return false;
    }
    const pe_tlb_entry fresh = entry_of(va, e->asid, privileged, t);
    return e->prot != fresh.prot || e->prot_user != fresh.prot_user || e->attr != fresh.attr ||
           e->shareability != fresh.shareability || e->domain != fresh.domain ||
           ((e->flags ^ fresh.flags) & PE_TF_NG) != 0;
}

static void keep_stale(pe_tlb *tlb, const pe_tlb_entry *e, uint32_t va, uint8_t asid, pe_access access,
                       const pe_translation *t)
{
    tlb->stale[tlb->stats.stale++ % PE_TLB_STALE_KEPT] = (pe_tlb_stale){
        .ordinal = tlb->ordinal,
        .old_descriptor = e->descriptor,
        .new_descriptor = t->descriptor,
        .descriptor_pa = t->descriptor_pa,
        .old_pa = entry_pa(e, va),
        .new_pa = t->fault == PE_FAULT_NONE ? t->pa : 0,
        .va = va,
        .access = access,
        .fault = t->fault,
        .asid = asid,
    };
}

bool pe_tlb_note_stale(pe_tlb *tlb, const pe_tlb_entry *e, uint32_t va, pe_access access, bool privileged,
                       const pe_translation *t)
{
    const bool stale = tlb->detects_stale && contradicts(e, va, privileged, t);
    if (stale) {
        keep_stale(tlb, e, va, tlb->asid, access, t);
    }
    return stale;
}

void pe_tlb_access(pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, bool privileged,
                   const pe_translation *fresh, pe_tlb_result *result)
{
    if (fresh->flags & PE_TF_MMU_OFF) {
        *result = (pe_tlb_result){.level = PE_TLB_OFF};
        return;
    }
    const pe_tlb_entry *hit = pe_tlb_lookup(tlb, va, asid, access, result);
    if (!hit) {
        pe_tlb_fill(tlb, va, asid, access, privileged, fresh, result);
    } else {
        result->stale = pe_tlb_note_stale(tlb, hit, va, access, privileged, fresh);
    }
}

uint8_t pe_regime_asid(const pe_regime *regime)
{
    if (regime->ttbcr & TTBCR_EAE) {
        return (uint8_t)((regime->ttbcr & TTBCR_A1 ? regime->ttbr1 : regime->ttbr0) >> 48);
    }
    return (uint8_t)regime->contextidr;
}

uint64_t pe_tlb_replay(pe_tlb *tlb, const pe_mem *mem, const pe_regime *regime, bool privileged, const uint32_t *va,
                       const uint8_t *asid, const uint8_t *access, uint8_t *level, size_t n)
{
    const uint8_t current = pe_regime_asid(regime);
    const bool on = regime->sctlr & SCTLR_M;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const pe_access what = access && access[i] <= PE_FETCH ? (pe_access)access[i] : PE_READ;
        const uint8_t id = asid ? asid[i] : current;
        pe_tlb_result result = {.level = PE_TLB_OFF};
        pe_translation t;
        if (on && tlb->detects_stale) {
            pe_translate(mem, regime, va[i], what, privileged, &t);
            pe_tlb_access(tlb, va[i], id, what, privileged, &t, &result);
        } else if (on && !pe_tlb_lookup(tlb, va[i], id, what, &result)) {
            pe_translate(mem, regime, va[i], what, privileged, &t);
            pe_tlb_fill(tlb, va[i], id, what, privileged, &t, &result);
        }
        sum += result.cycles;
        if (level) {
            level[i] = (uint8_t)result.level;
        }
    }
    return sum;
}

/* ---- maintenance and listing ---- */

static void flush_micro(pe_tlb *tlb)
{
    for (size_t i = 0; i < 3; i++) {
        tlb_array_drop_all(&tlb->micro[i]);
    }
}

void pe_tlb_context_changed(pe_tlb *tlb)
{
    if (tlb->micro_params.flushed_by_context) {
        flush_micro(tlb);
    }
}

uint32_t pe_tlb_invalidate(pe_tlb *tlb, pe_tlbi operation, uint32_t va, uint8_t asid)
{
    if (operation > PE_TLBI_MVAA) {
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        tlb_array_invalidate(&tlb->micro[i], operation, va, asid);
    }
    if (tlb->micro_params.flushed_by_maintenance) {
        flush_micro(tlb);
    }
    walk_invalidate(tlb, operation, va, asid);
    const uint32_t removed = tlb_array_invalidate(&tlb->main, operation, va, asid);
    tlb->stats.invalidates[operation]++;
    tlb->stats.invalidated += removed;
    return removed;
}

static bool walk_holds(const pe_tlb *tlb, uint32_t va, uint8_t asid)
{
    for (uint32_t i = 0; tlb->walk && i < tlb->walk_params.cache_entries; i++) {
        const tlb_walk_entry *e = &tlb->walk[i];
        if (e->valid && e->va == walk_base(tlb, va) && e->asid == asid) {
            return true;
        }
    }
    return false;
}

bool pe_tlb_holds(const pe_tlb *tlb, pe_tlb_array array, uint32_t va, uint8_t asid)
{
    switch (array) {
    case PE_TLB_ARRAY_INSTRUCTION:
    case PE_TLB_ARRAY_LOAD: return tlb_array_peek(&tlb->micro[array], va, asid) != TLB_NONE;
    case PE_TLB_ARRAY_STORE: return tlb_array_peek(&tlb->micro[tlb_array_of(tlb, PE_WRITE)], va, asid) != TLB_NONE;
    case PE_TLB_ARRAY_MAIN: return tlb_array_peek(&tlb->main, va, asid) != TLB_NONE;
    case PE_TLB_ARRAY_WALK: return walk_holds(tlb, va, asid);
    }
    return false;
}

static size_t list_walk(const pe_tlb *tlb, pe_tlb_entry *out, size_t max)
{
    size_t n = 0;
    for (uint32_t i = 0; tlb->walk && i < tlb->walk_params.cache_entries; i++) {
        const tlb_walk_entry *e = &tlb->walk[i];
        if (e->valid && n++ < max) {
            const uint8_t size_log2 = (uint8_t)__builtin_ctz(tlb->walk_params.cache_reach_bytes);
            out[n - 1] = (pe_tlb_entry){.pa = e->table_pa,
                                        .va = e->va,
                                        .asid = e->asid,
                                        .size_log2 = size_log2,
                                        .leaf_size_log2 = size_log2,
                                        .flags = PE_TF_NG};
        }
    }
    return n;
}

size_t pe_tlb_list(const pe_tlb *tlb, pe_tlb_array array, pe_tlb_entry *out, size_t max)
{
    switch (array) {
    case PE_TLB_ARRAY_INSTRUCTION:
    case PE_TLB_ARRAY_LOAD:
    case PE_TLB_ARRAY_STORE: return tlb_array_list(&tlb->micro[array], out, max);
    case PE_TLB_ARRAY_MAIN: return tlb_array_list(&tlb->main, out, max);
    case PE_TLB_ARRAY_WALK: return list_walk(tlb, out, max);
    }
    return 0;
}

size_t pe_tlb_stale_hits(const pe_tlb *tlb, pe_tlb_stale *out, size_t max)
{
    const uint64_t kept = tlb->stats.stale < PE_TLB_STALE_KEPT ? tlb->stats.stale : PE_TLB_STALE_KEPT;
    const uint64_t n = kept < max ? kept : max;
    for (uint64_t i = 0; i < n; i++) {
        out[i] = tlb->stale[(tlb->stats.stale - n + i) % PE_TLB_STALE_KEPT];
    }
    return (size_t)n;
}

void pe_tlb_read_stats(const pe_tlb *tlb, pe_tlb_stats *out)
{
    *out = tlb->stats;
}

void tlb_parts(archive *a, pe_tlb *tlb)
{
    for (size_t i = 0; i < 3; i++) {
        tlb_array_parts(a, &tlb->micro[i]);
    }
    tlb_array_parts(a, &tlb->main);
    archive_part(a, tlb->walk, tlb->walk ? tlb->walk_params.cache_entries * sizeof *tlb->walk : 0);
    ARCHIVE(a, tlb->walk_clock);
    ARCHIVE(a, tlb->asid);
    ARCHIVE(a, tlb->ordinal);
    ARCHIVE(a, tlb->stale);
    ARCHIVE(a, tlb->stats);
}
