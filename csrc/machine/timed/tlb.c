/* SPDX-License-Identifier: GPL-2.0-or-later
 * The modelled TLBs of a running CPU.
 *
 * The engine's soft TLB lies inside the data micro-TLBs: a page may be read without us only while the micro-TLB of
 * loads holds it, and written while that of stores does.  So every miss of a micro-TLB is a fill, and hits cost the
 * host nothing.  A fill can also be one that the model knows nothing of (the engine had dropped the page): that is a
 * hit, of which the model is told as little as of any other.  Fetches are looked up where blocks change the page. */
#include "machine/timed/timed.h"

#include <stdlib.h>

/* ---- inclusion ---- */

static void drop_soft(pe_cpu *cpu, const pe_tlb_entry *entry)
{
    if (entry->size_log2 > 12) {
        fill_flush(cpu);
    } else {
        fill_forget(cpu, entry->va);
    }
}

static void dropped(void *user, pe_tlb_array array, const pe_tlb_entry *entry)
{
    pe_cpu *cpu = user;
    if (array == PE_TLB_ARRAY_INSTRUCTION) {
        timed_forget_pages(cpu->timed);
    } else {
        drop_soft(cpu, entry);
    }
}

void timed_watch_tlb(pe_cpu *cpu)
{
    pe_tlb_on_drop(cpu->timed->tlb, dropped, cpu);
}

uint32_t timed_seen(const pe_cpu *cpu, uint32_t va)
{
    if (!(cpu->regime.sctlr & SCTLR_M)) {
        return UC_PROT_READ | UC_PROT_WRITE;
    }
    const pe_tlb *tlb = cpu->timed->tlb;
    const uint8_t asid = pe_regime_asid(&cpu->regime);
    const bool loads = pe_tlb_holds(tlb, PE_TLB_ARRAY_LOAD, va, asid);
    const pe_tlb_array of_stores = tlb_array_of(tlb, PE_WRITE);
    const bool stores = of_stores == PE_TLB_ARRAY_LOAD ? loads : pe_tlb_holds(tlb, of_stores, va, asid);
    return (loads ? UC_PROT_READ : 0) | (stores ? UC_PROT_WRITE : 0);
}

/* ---- the bill ---- */

static inline void bill_lookup(const timed_machine *t, pe_cpu *cpu, const pe_tlb_result *result, pe_access access)
{
    if (!result->cycles) {
        return;
    }
    pe_ledger_add_tlb(t->ledger, cpu->index, cpu_privileged(cpu), &t->core, result, access);
}

static void bill_walk(const timed_machine *t, pe_cpu *cpu, const pe_walk *walk, bool only_last)
{
    const bool who = cpu_privileged(cpu);
    for (uint32_t i = only_last && walk->nsteps ? walk->nsteps - 1 : 0; i < walk->nsteps; i++) {
        const uint64_t pa = walk->steps[i].descriptor_pa;
        const uint32_t cycles = t->caches ? caches_walk(t->caches, cpu->index, pa) : t->core.l2.hit_cycles;
        ledger_add(cpu->timed->account, who, PE_COST_WALK, cycles);
    }
}

/* ---- lookups ---- */

/* What an entry says, which the tables may say otherwise by now. */
static void translate_by(const pe_tlb_entry *e, uint32_t va, pe_access access, bool privileged, pe_translation *out)
{
    static const uint8_t needed[] = {[PE_READ] = PE_PROT_READ, [PE_WRITE] = PE_PROT_WRITE, [PE_FETCH] = PE_PROT_EXEC};
    *out = (pe_translation){
        .pa = e->pa + (va - e->va),
        .descriptor = e->descriptor,
        .descriptor_pa = e->descriptor_pa,
        .level = e->level,
        .prot = privileged ? e->prot : e->prot_user,
        .prot_other = privileged ? e->prot_user : e->prot,
        .attr = e->attr,
        .shareability = e->shareability,
        .domain = e->domain,
        .size_log2 = e->leaf_size_log2,
        .flags = e->flags,
    };
    out->fault = out->prot & needed[access] ? PE_FAULT_NONE : PE_FAULT_PERMISSION;
}

/* Rights follow from more than the descriptor (DACR, SCTLR.AFE), which no TLB keeps: while the tables still say what
 * the entry says, the fresh translation is taken. */
static bool is_same_leaf(const pe_tlb_entry *e, uint32_t va, const pe_translation *fresh)
{
    return e->descriptor == fresh->descriptor && e->pa + (va - e->va) == fresh->pa;
}

/* After a lookup that missed. */
static void walk_tables(pe_cpu *cpu, uint32_t va, pe_access access, bool privileged, pe_translation *out,
                        pe_tlb_result *result)
{
    pe_walk walk;
    pe_translate_steps(cpu->machine->mem, &cpu->regime, va, access, privileged, &walk);
    *out = walk.result;
    pe_tlb_fill(cpu->timed->tlb, va, pe_regime_asid(&cpu->regime), access, privileged, out, result);
    bill_walk(cpu->machine->timed, cpu, &walk, result->walk_cached);
}

void timed_translate(pe_cpu *cpu, uint32_t va, pe_access access, bool privileged, pe_translation *out)
{
    timed_cpu *c = cpu->timed;
    c->stale_hit = false;
    if (!(cpu->regime.sctlr & SCTLR_M)) {
        pe_translate(cpu->machine->mem, &cpu->regime, va, access, privileged, out);
        return;
    }
    const uint8_t asid = pe_regime_asid(&cpu->regime);
    pe_tlb_result result = {.level = PE_TLB_MICRO};
    const pe_tlb_entry *hit = tlb_peek(c->tlb, va, asid, access);
    if (!hit) {
        hit = tlb_lookup_main(c->tlb, va, asid, access, &result);
    } else if (c->tlb->detects_stale) {
        hit = pe_tlb_lookup(c->tlb, va, asid, access, &result);
    }
    if (hit) {
        pe_translate(cpu->machine->mem, &cpu->regime, va, access, privileged, out);
        c->stale_hit = !is_same_leaf(hit, va, out);
        if (c->stale_hit) {
            c->stale_entry = *hit;
            pe_tlb_note_stale(c->tlb, hit, va, access, privileged, out);
            translate_by(&c->stale_entry, va, access, privileged, out);
        }
    } else {
        walk_tables(cpu, va, access, privileged, out, &result);
    }
    bill_lookup(cpu->machine->timed, cpu, &result, access);
}

void timed_translate_again(pe_cpu *cpu, uint32_t va, pe_access access, bool privileged, pe_translation *out)
{
    if (cpu->timed->stale_hit) {
        translate_by(&cpu->timed->stale_entry, va, access, privileged, out);
    } else {
        pe_translate(cpu->machine->mem, &cpu->regime, va, access, privileged, out);
    }
}

/* ---- fetches ---- */

static timed_page *blocks_of(timed_machine *t, uint64_t page)
{
    timed_page *blocks = t->pages[page];
    if (!blocks && (blocks = calloc(1, sizeof *blocks))) {
        blocks->next = t->all_pages;
        t->all_pages = t->pages[page] = blocks;
    }
    return blocks;
}

/* Rights are the engine's affair: it has fetched already.  False: it runs what it had translated before the mapping
 * went. */
static bool fetch_from(pe_cpu *cpu, uint32_t va, uint64_t *pa)
{
    timed_cpu *c = cpu->timed;
    pe_translation t = {.fault = PE_FAULT_NONE};
    pe_tlb_result result;
    if (!(cpu->regime.sctlr & SCTLR_M)) {
        *pa = va;
        return true;
    }
    const pe_tlb_entry *hit = pe_tlb_lookup(c->tlb, va, pe_regime_asid(&cpu->regime), PE_FETCH, &result);
    if (!hit) {
        walk_tables(cpu, va, PE_FETCH, cpu_privileged(cpu), &t, &result);
        *pa = t.pa;
    } else {
        *pa = hit->pa + (va - hit->va);
        if (c->tlb->detects_stale) {
            pe_translate(cpu->machine->mem, &cpu->regime, va, PE_FETCH, cpu_privileged(cpu), &t);
            pe_tlb_note_stale(c->tlb, hit, va, PE_FETCH, cpu_privileged(cpu), &t);
            t.fault = PE_FAULT_NONE;
        }
    }
    bill_lookup(cpu->machine->timed, cpu, &result, PE_FETCH);
    return t.fault == PE_FAULT_NONE;
}

void timed_forget_pages(timed_cpu *c)
{
    for (size_t i = 0; i < ENTERED_PAGES; i++) {
        c->entered[i].page = NO_PAGE;
    }
}

const timed_entered *timed_enter_page(pe_cpu *cpu, uint32_t va)
{
    timed_cpu *c = cpu->timed;
    uint64_t pa, offset;
    if (!fetch_from(cpu, va, &pa) || !fill_ram_offset(cpu->machine, pa, &offset)) {
        return NULL;
    }
    timed_page *blocks = blocks_of(cpu->machine->timed, offset >> 12);
    if (!blocks) {
        return NULL;
    }
    if (!tlb_hits_are_alike(c->tlb, PE_FETCH)) {
        timed_forget_pages(c); /* the TLB wants to hear of each change of the page */
    }
    timed_entered *in = &c->entered[va >> 12 & (ENTERED_PAGES - 1)];
    *in = (timed_entered){va >> 12, blocks, pa & ~(uint64_t)(PE_PAGE_SIZE - 1)};
    c->page = in->page;
    return in;
}

void timed_ask_again(pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    const uint64_t fills = cpu->machine->stats.fills;
    timed_forget_pages(c);
    if (fills != c->fills_seen) {
        fill_flush(cpu);
        c->fills_seen = fills;
    }
}

/* ---- what the guest changes ---- */

void timed_invalidate_tlb(pe_cpu *cpu, pe_tlbi operation, uint32_t va, uint8_t asid)
{
    pe_tlb_invalidate(cpu->timed->tlb, operation, va, asid);
    timed_forget_pages(cpu->timed);
}

void timed_regime_changed(pe_cpu *cpu, bool context)
{
    timed_cpu *c = cpu->timed;
    const uint32_t cached = SCTLR_M | SCTLR_C;
    timed_forget_pages(c);
    c->fetched_line = NO_LINE; /* it was not cached, if SCTLR.I was off */
    c->data_cached = (cpu->regime.sctlr & cached) == cached;
    if (context) {
        pe_tlb_context_changed(c->tlb);
    }
}
