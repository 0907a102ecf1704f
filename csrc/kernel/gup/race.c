/* SPDX-License-Identifier: GPL-2.0-or-later
 * What another CPU does while the fast walk is between its two looks at an entry.
 *
 * One host thread runs all CPUs, so that nothing comes between two looks unless somebody asks for it.  What is taken
 * away comes back when the walk is over, as the other CPU would go on: mprotect clears an entry and writes it again, a
 * split freezes a folio and unfreezes it, fork ends. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"
#include "kernel/tables/entry.h"

static void take_entry(struct pe_kernel *k, uint64_t pa)
{
    struct gup_race *race = &k->race;
    uint8_t *host = phys_host(k, pa, sizeof(uint64_t));
    race->pa = pa;
    race->value = load64(host);
    store64(k, host, 0);
}

void gup_race_run(struct pe_kernel *k, struct gup *gup, pe_gup_race kind, uint32_t addr, struct page *page, uint64_t pa)
{
    struct gup_race *race = &k->race;
    if (!race->armed || race->done || race->kind != kind || race->addr >> PAGE_SHIFT != addr >> PAGE_SHIFT) {
        return;
    }
    race->done = true;
    switch (kind) {
    case PE_GUP_RACE_PTE:
    case PE_GUP_RACE_PMD: take_entry(k, pa); break;
    case PE_GUP_RACE_FORK: gup->mm->write_protect_seq++; break;
    case PE_GUP_RACE_FREEZE:
        race->page = page_head(&k->frames, page);
        race->value = (uint32_t)race->page->refcount;
        race->page->refcount = 0;
        break;
    }
}

void gup_race_end(struct pe_kernel *k, struct gup *gup)
{
    struct gup_race *race = &k->race;
    if (!race->done) {
        return;
    }
    switch (race->kind) {
    case PE_GUP_RACE_PTE:
    case PE_GUP_RACE_PMD: store64(k, phys_host(k, race->pa, sizeof(uint64_t)), race->value); break;
    case PE_GUP_RACE_FORK: gup->mm->write_protect_seq++; break;
    case PE_GUP_RACE_FREEZE: race->page->refcount = (int32_t)race->value; break;
    }
    *race = (struct gup_race){0};
}

pe_status pe_kernel_gup_race(pe_kernel *k, pe_gup_race kind, uint32_t addr, pe_error *err)
{
    if ((unsigned)kind > PE_GUP_RACE_FREEZE) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no race %d: 0 to %d are", (int)kind, (int)PE_GUP_RACE_FREEZE);
    }
    k->race = (struct gup_race){.armed = true, .kind = kind, .addr = addr};
    return PE_OK;
}
