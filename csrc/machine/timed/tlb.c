/* SPDX-License-Identifier: GPL-2.0-or-later
 * The modelled TLBs of a running CPU.
 *
 * The engine's soft TLB lies inside the data micro-TLBs: a page may be read without us only while the micro-TLB of
 * loads holds it, and written while that of stores does.  So every miss of a micro-TLB is a fill, and hits cost the
 * host nothing.  A fill can also be one that the model knows nothing of (the engine had dropped the page): that is a
 * hit and is billed as such.  Fetches are looked up where blocks change the page. */
#include "machine/timed/timed.h"

#include <stdlib.h>

/* ---- inclusion ---- */

static void drop_soft(pe_cpu *cpu, const pe_tlb_entry *entry)
{
    static const cp15_reg TLBIMVA = {8, 7, 0, 1, false};
    if (entry->size_log2 > 12) {
        fill_flush(cpu);
    } else {
        cpu_set_cp15(cpu, TLBIMVA, entry->va);
    }
}

static void dropped(void *user, pe_tlb_array array, const pe_tlb_entry *entry)
{
    pe_cpu *cpu = user;
    if (array == PE_TLB_ARRAY_INSTRUCTION) {
        cpu->timed->page = NO_PAGE;
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

static void bill_lookup(const timed_machine *t, pe_cpu *cpu, const pe_tlb_result *result, pe_access access)
{
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

void timed_translate(pe_cpu *cpu, uint32_t va, pe_access access, bool privileged, pe_translation *out)
{
    const timed_machine *t = cpu->machine->timed;
    timed_cpu *c = cpu->timed;
    const pe_mem *mem = cpu->machine->mem;
    c->stale_hit = false;
    pe_translate(mem, &cpu->regime, va, access, privileged, out);
    if (!(cpu->regime.sctlr & SCTLR_M)) {
        return;
    }
    pe_tlb_result result;
    const uint8_t asid = pe_regime_asid(&cpu->regime);
    const pe_tlb_entry *hit = pe_tlb_lookup(c->tlb, va, asid, access, &result);
    if (hit) {
        c->stale_hit = !is_same_leaf(hit, va, out);
        if (c->stale_hit) {
            c->stale_entry = *hit;
            pe_tlb_note_stale(c->tlb, hit, va, access, privileged, out);
            translate_by(&c->stale_entry, va, access, privileged, out);
        }
    } else {
        pe_walk walk;
        pe_translate_steps(mem, &cpu->regime, va, access, privileged, &walk);
        pe_tlb_fill(c->tlb, va, asid, access, privileged, out, &result);
        bill_walk(t, cpu, &walk, result.walk_cached);
    }
    bill_lookup(t, cpu, &result, access);
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

bool timed_enter_page(pe_cpu *cpu, uint32_t va)
{
    timed_cpu *c = cpu->timed;
    pe_translation t;
    uint64_t offset;
    timed_translate(cpu, va, PE_FETCH, c->privileged, &t);
    c->page = NO_PAGE;
    if (t.fault || !fill_ram_offset(cpu->machine, t.pa, &offset)) {
        return false; /* the engine runs what it had translated before the mapping went */
    }
    c->blocks = blocks_of(cpu->machine->timed, offset >> 12);
    c->blocks_page = c->blocks ? va >> 12 : NO_PAGE;
    c->page = c->blocks_page;
    c->page_pa = t.pa & ~(uint64_t)(PE_PAGE_SIZE - 1);
    c->fetched_line = NO_LINE;
    return c->blocks;
}

/* ---- what the guest changes ---- */

void timed_invalidate_tlb(pe_cpu *cpu, pe_tlbi operation, uint32_t va, uint8_t asid)
{
    pe_tlb_invalidate(cpu->timed->tlb, operation, va, asid);
    cpu->timed->page = NO_PAGE;
}

void timed_regime_changed(pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    const uint32_t cached = SCTLR_M | SCTLR_C;
    c->page = NO_PAGE;
    c->data_cached = (cpu->regime.sctlr & cached) == cached;
    pe_tlb_context_changed(c->tlb);
}
