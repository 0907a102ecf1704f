/* SPDX-License-Identifier: GPL-2.0-or-later
 * gup_fast (mm/gup.c): the walk without locks, interrupts off. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"
#include "kernel/tables/entry.h"

/* ARM_LPAE selects it; a remedy leaves it out of the combination that breaks. */
bool has_fast_gup(const struct pe_kernel *k)
{
    if (k->config.tables != PE_TABLES_LPAE) {
        return false;
    }
    return !(k->config.remedy == PE_REMEDY_NO_FAST_GUP && is_rt(k) && k->config.flags & PE_KERNEL_HIGHPTE);
}

static void traced(struct pe_kernel *k, pe_trace_kind kind, uint32_t addr, pe_gup_stop why)
{
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = (uint8_t)kind, .code = (uint8_t)why, .va = addr});
    }
}

static bool stop(struct pe_kernel *k, struct gup *gup, pe_gup_stop why, uint32_t addr)
{
    gup->stop = why;
    gup->stop_address = addr;
    traced(k, PE_TRACE_CHECK, addr, why);
    return false;
}

/* gup_fast_folio_allowed: a page that is neither anonymous nor in a cache could be of a file system that tracks dirty
 * pages.  There is no secretmem on 32-bit ARM. */
static bool folio_allowed(const struct page *folio, uint32_t flags)
{
    const uint32_t writable_longterm = FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE;
    if ((flags & writable_longterm) != writable_longterm) {
        return true;
    }
    return !(folio->flags & (PE_PG_RESERVED | PE_PG_TABLE | PE_PG_SLAB | PE_PG_ZERO));
}

/* folio_ref_try_add and folio_set_referenced, without their instructions. */
static void bill_reference(struct pe_kernel *k, uint32_t count)
{
    cost_ordered(k, count);
    cost_events(k, PE_COST_LOCKS, k->bill.core.system.exclusive_cycles, count);
}

/* ---- a block ---- */

struct leaf {
    const struct pmd *pmd;
    pmdval_t value;
    struct page *page; /* of the first address */
    uint32_t refs;
};

/* Checks that follow the reference; what they refuse gives it back. */
static bool check_leaf(struct pe_kernel *k, struct gup *gup, const struct leaf *leaf, uint32_t addr)
{
    pe_gup_stop why = PE_GUP_STOP_NONE;
    if (load64(leaf->pmd->host) != leaf->value) {
        why = PE_GUP_STOP_CHANGED;
    } else if (!folio_allowed(page_head(&k->frames, leaf->page), gup->flags)) {
        why = PE_GUP_STOP_NOT_ALLOWED;
    } else if (!pmd_write(k, leaf->value) &&
               gup_must_unshare(k, page_head(&k->frames, leaf->page), gup->flags, true, false)) {
        why = PE_GUP_STOP_UNSHARE;
    }
    if (why) {
        gup_put_folio(k, leaf->page, leaf->refs, gup->flags);
        return stop(k, gup, why, addr);
    }
    return true;
}

/* The frames of a block from addr on; NULL where they are not all RAM. */
static struct page *leaf_page(const struct pe_kernel *k, pmdval_t value, uint32_t addr)
{
    struct page *first = pmd_page(k, value & ~(uint64_t)(PMD_SIZE - 1));
    if (!first || k->frames.count - page_index(&k->frames, first) < HPAGE_PAGES) {
        return NULL;
    }
    return first + pte_index(addr);
}

static bool pmd_leaf_range(struct pe_kernel *k, struct gup *gup, struct leaf *leaf, uint32_t addr)
{
    if (gup->flags & FOLL_WRITE && !pmd_write(k, leaf->value)) {
        return stop(k, gup, PE_GUP_STOP_PMD_ACCESS, addr);
    }
    leaf->page = leaf_page(k, leaf->value, addr);
    if (!leaf->page) {
        return stop(k, gup, PE_GUP_STOP_FOLIO, addr);
    }
    traced(k, PE_TRACE_CHECK, addr, PE_GUP_STOP_NONE);
    gup_race_run(k, gup, PE_GUP_RACE_FREEZE, addr, leaf->page, 0);
    const pe_gup_stop why = try_grab_folio_fast(k, leaf->page, leaf->refs, gup->flags);
    if (why) {
        return stop(k, gup, why, addr);
    }
    cost_insns(k, (uint64_t)k->costs.gup.fast_leaf_page * leaf->refs);
    cost_insns(k, gup->flags & FOLL_PIN ? k->costs.gup.fast_pin_page : 0);
    cost_page(k, page_head(&k->frames, leaf->page), PE_WRITE);
    bill_reference(k, 1);
    gup_trace_grab(k, leaf->page);
    gup_race_run(k, gup, PE_GUP_RACE_PMD, addr, NULL, leaf->pmd->pa);
    gup_race_run(k, gup, PE_GUP_RACE_FORK, addr, NULL, 0);
    if (!check_leaf(k, gup, leaf, addr)) {
        return false;
    }
    traced(k, PE_TRACE_RECHECK, addr, PE_GUP_STOP_NONE);
    const uint32_t pfn = page_to_pfn(&k->frames, leaf->page);
    for (uint32_t i = 0; i < leaf->refs; i++) {
        gup->pfns[gup->got + i] = pfn + i;
    }
    gup->got += leaf->refs;
    folio_set_flags(k, leaf->page, PE_PG_REFERENCED);
    return true;
}

/* ---- a table ---- */

struct walk {
    const struct pmd *pmd;
    pmdval_t value;
    struct pte_table table;
};

/* Checks that follow the reference. */
static pe_gup_stop check_pte(struct pe_kernel *k, const struct gup *gup, const struct walk *walk, uint32_t index,
                             pteval_t pte, struct page *page)
{
    if (load64(walk->pmd->host) != walk->value || pte_load(k, walk->table.host, index) != pte) {
        return PE_GUP_STOP_CHANGED;
    }
    if (!folio_allowed(page_head(&k->frames, page), gup->flags)) {
        return PE_GUP_STOP_NOT_ALLOWED;
    }
    const bool unshare = !pte_write(k->bits, pte) && gup_must_unshare(k, page, gup->flags, true, false);
    return unshare ? PE_GUP_STOP_UNSHARE : PE_GUP_STOP_NONE;
}

static void run_races(struct pe_kernel *k, struct gup *gup, const struct walk *walk, uint32_t addr)
{
    gup_race_run(k, gup, PE_GUP_RACE_PTE, addr, NULL, walk->table.pa + pte_index(addr) * sizeof(uint64_t));
    gup_race_run(k, gup, PE_GUP_RACE_PMD, addr, NULL, walk->pmd->pa);
    gup_race_run(k, gup, PE_GUP_RACE_FORK, addr, NULL, 0);
}

/* One entry, with every check in the kernel's order. */
static bool grab_entry(struct pe_kernel *k, struct gup *gup, const struct walk *walk, uint32_t addr)
{
    const uint32_t index = pte_index(addr);
    const pteval_t pte = ptep_get(k, &walk->table, index);
    cost_insns(k, k->costs.gup.fast_page + (gup->flags & FOLL_PIN ? k->costs.gup.fast_pin_page : 0));
    if (!pte_access_permitted(k->bits, pte, gup->flags & FOLL_WRITE)) {
        return stop(k, gup, PE_GUP_STOP_PTE_ACCESS, addr);
    }
    if (pte & k->bits->special) {
        return stop(k, gup, PE_GUP_STOP_PTE_SPECIAL, addr);
    }
    struct page *page = pfn_to_page(&k->frames, pte_pfn(k->bits, pte));
    if (!page) {
        return stop(k, gup, PE_GUP_STOP_FOLIO, addr);
    }
    traced(k, PE_TRACE_CHECK, addr, PE_GUP_STOP_NONE);
    cost_page(k, page, PE_WRITE);
    bill_reference(k, 1);
    gup_race_run(k, gup, PE_GUP_RACE_FREEZE, addr, page, 0);
    pe_gup_stop why = try_grab_folio_fast(k, page, 1, gup->flags);
    if (why) {
        return stop(k, gup, why, addr);
    }
    gup_trace_grab(k, page);
    run_races(k, gup, walk, addr);
    if ((why = check_pte(k, gup, walk, index, pte, page))) {
        gup_put_folio(k, page, 1, gup->flags);
        return stop(k, gup, why, addr);
    }
    traced(k, PE_TRACE_RECHECK, addr, PE_GUP_STOP_NONE);
    folio_set_flags(k, page, PE_PG_REFERENCED);
    gup->pfns[gup->got++] = page_to_pfn(&k->frames, page);
    return true;
}

static bool grab_entries(struct pe_kernel *k, struct gup *gup, const struct walk *walk, uint32_t addr, uint32_t end)
{
    const uint64_t page_cost = k->costs.gup.fast_page + (gup->flags & FOLL_PIN ? k->costs.gup.fast_pin_page : 0);
    const bool plain = gup_may_be_plain(k, gup);
    while (addr != end) {
        const uint8_t *host = walk->table.host + pte_index(addr) * sizeof(uint64_t);
        const uint32_t nr = plain ? gup_grab_plain(k, gup, host, (end - addr) >> PAGE_SHIFT) : 0;
        cost_insns(k, page_cost * nr);
        bill_reference(k, nr);
        addr += nr << PAGE_SHIFT;
        if (addr != end && !grab_entry(k, gup, walk, addr)) {
            return false;
        }
        addr += addr != end ? PAGE_SIZE : 0;
    }
    return true;
}

static bool pte_range(struct pe_kernel *k, struct gup *gup, const struct pmd *pmd, pmdval_t value, uint32_t addr,
                      uint32_t end)
{
    struct walk walk = {.pmd = pmd, .value = value};
    if (!pte_offset_map(k, value, &walk.table)) {
        return stop(k, gup, PE_GUP_STOP_PTE_TABLE, addr);
    }
    gup->windows += walk.table.window;
    const bool all = grab_entries(k, gup, &walk, addr, end);
    pte_unmap(k, &walk.table);
    return all;
}

/* ---- the way down ---- */

/* gup_fast_pmd_range, of one entry */
static bool pmd_range(struct pe_kernel *k, struct gup *gup, const struct pmd *pmd, pmdval_t value, uint32_t addr,
                      uint32_t end)
{
    if (!pmd_present(k, value)) {
        return stop(k, gup, PE_GUP_STOP_PMD_ABSENT, addr);
    }
    const bool leaf = pmd_leaf(k, value);
    chain_enter(k->cpu, leaf ? PE_FN_GUP_FAST_PMD_LEAF : PE_FN_GUP_FAST_PTE_RANGE);
    struct leaf block = {.pmd = pmd, .value = value, .refs = (end - addr) >> PAGE_SHIFT};
    const bool all = leaf ? pmd_leaf_range(k, gup, &block, addr) : pte_range(k, gup, pmd, value, addr, end);
    chain_leave(k->cpu);
    return all;
}

static void bill_step(struct pe_kernel *k, bool first, bool leaf)
{
    if (!first) {
        cost_insns(k, k->costs.gup.fast_table);
    } else {
        cost_insns(k, leaf ? k->costs.gup.fast_leaf_call : k->costs.gup.fast_call);
    }
}

static void pgd_range(struct pe_kernel *k, struct gup *gup, uint32_t addr, uint32_t end)
{
    bool first = true;
    chain_enter(k->cpu, PE_FN_GUP_FAST_PGD_RANGE);
    while (addr != end) {
        const uint32_t border = (addr & ~(PMD_SIZE - 1)) + PMD_SIZE;
        const uint32_t next = border < end ? border : end;
        struct pmd pmd;
        pmd_offset(k, gup->mm, addr, &pmd);
        const pmdval_t value = pmd.host ? pmd_read(k, &pmd) : 0;
        bill_step(k, first, pmd_present(k, value) && pmd_leaf(k, value));
        if (!pmd.host) {
            stop(k, gup, PE_GUP_STOP_PGD_NONE, addr);
            break;
        }
        if (!pmd_range(k, gup, &pmd, value, addr, next)) {
            break;
        }
        addr = next;
        first = false;
    }
    chain_leave(k->cpu);
}

static void unpin_all(struct pe_kernel *k, struct gup *gup, uint32_t before)
{
    while (gup->got > before) {
        gup_put_folio(k, pfn_to_page(&k->frames, gup->pfns[--gup->got]), 1, gup->flags);
    }
}

void gup_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t end)
{
    const uint32_t before = gup->got, seq = gup->mm->write_protect_seq;
    if (!has_fast_gup(k)) {
        stop(k, gup, PE_GUP_STOP_NO_FAST_GUP, start);
        return;
    }
    if (gup->flags & FOLL_PIN && seq & 1) {
        stop(k, gup, PE_GUP_STOP_SEQCOUNT, start);
        return;
    }
    chain_enter(k->cpu, PE_FN_GUP_FAST);
    local_irq_save(k);
    pgd_range(k, gup, start, end);
    local_irq_restore(k);
    if (gup->flags & FOLL_PIN && gup->mm->write_protect_seq != seq) {
        unpin_all(k, gup, before);
        stop(k, gup, PE_GUP_STOP_SEQCOUNT, start);
    }
    if (k->race.armed) {
        gup_race_end(k, gup);
    }
    chain_leave(k->cpu);
    k->stats.gup_fast_pages += gup->got - before;
}
