/* SPDX-License-Identifier: GPL-2.0-or-later
 * A full recount of address spaces: mappings of each frame, tables, areas, counters. */
#include "kernel/process/raw.h"
#include "kernel/process/rmap.h"
#include "kernel/tables/classic.h"

#include <stdlib.h>

struct recount {
    const struct pe_kernel *k;
    int32_t *mapped; /* by frame: as struct page counts */
    uint8_t *table;  /* by frame: how often it is found as a table */
    uint64_t tables;
    pe_error *err;
};

struct space {
    const struct mm *mm;
    uint32_t ptes, pmds, anon, huge, shared;
};

static pe_status differs(pe_error *err, const char *who, uint64_t id, const char *what, uint64_t counted, uint64_t kept)
{
    return pe_fail(err, PE_ERR_STATE, "%s %llu: %s: %llu counted, %llu kept", who, (unsigned long long)id, what,
                   (unsigned long long)counted, (unsigned long long)kept);
}

static pe_status note_table(struct recount *r, const struct page *page, uint32_t mm)
{
    const uint32_t index = page ? page_index(&r->k->frames, page) : 0;
    if (!page || !(page->flags & PE_PG_TABLE) || r->table[index]++) {
        return pe_fail(r->err, PE_ERR_STATE, "mm %u: frame %u is no table, or one of two places", mm, index);
    }
    r->tables++;
    return PE_OK;
}

static struct page *frame(const struct recount *r, const struct page *page)
{
    return page_head(&r->k->frames, (struct page *)(uintptr_t)page);
}

/* An entry maps a page: as page_add_rmap counts it. */
static void note_mapping(struct recount *r, const struct page *page)
{
    const struct page *head = frame(r, page);
    if (page != head) {
        r->mapped[page_index(&r->k->frames, page)]++;
    }
    r->mapped[page_index(&r->k->frames, head)]++;
}

static pe_status check_pte(struct recount *r, struct space *s, uint32_t addr, const uint8_t *host, uint32_t at)
{
    const struct pe_kernel *k = r->k;
    const pteval_t pte = pte_load(k, host, at);
    const struct vm_area *area = find_vma((struct mm *)(uintptr_t)s->mm, addr);
    if (!area || area->start > addr || (pte_write(k->bits, pte) && !(area->flags & VM_WRITE))) {
        return pe_fail(r->err, PE_ERR_STATE, "mm %u: the entry 0x%llx of 0x%x is not what its area allows", s->mm->id,
                       (unsigned long long)pte, addr);
    }
    if (k->bits->pte_bytes == 4) {
        uint32_t hardware;
        memcpy(&hardware, host + CLASSIC_HARDWARE + at * 4u, sizeof hardware);
        if (hardware != classic_hardware((uint32_t)pte, false)) {
            return pe_fail(r->err, PE_ERR_STATE, "mm %u: the hardware's entry of 0x%x is 0x%x", s->mm->id, addr,
                           hardware);
        }
    }
    const struct page *page = vm_normal_page(k, pte);
    if (page) {
        const bool anon = frame(r, page)->flags & PE_PG_ANON;
        s->anon += anon;
        s->shared += !anon;
        note_mapping(r, page);
    }
    return PE_OK;
}

static pe_status check_pmd(struct recount *r, struct space *s, uint32_t addr, pmdval_t value)
{
    const struct pe_kernel *k = r->k;
    if (pmd_trans_huge(k, value)) {
        s->anon += HPAGE_PAGES;
        s->huge += HPAGE_PAGES;
        const struct page *page = pmd_page(k, value);
        if (!page || !(page->flags & PE_PG_HEAD)) {
            return pe_fail(r->err, PE_ERR_STATE, "mm %u: the block of 0x%x is no huge page", s->mm->id, addr);
        }
        note_mapping(r, page);
        return PE_OK;
    }
    const uint8_t *host = raw_table(k, value);
    pe_status status = note_table(r, host ? pmd_page(k, value) : NULL, s->mm->id);
    s->ptes++;
    for (uint32_t at = 0; !status && (at = next_entry(k, host, at, PTRS_PER_PTE)) < PTRS_PER_PTE; at++) {
        status = check_pte(r, s, addr + (at << PAGE_SHIFT), host, at);
    }
    return status;
}

static pe_status check_tables(struct recount *r, struct space *s)
{
    const struct pe_kernel *k = r->k;
    pe_status status = PE_OK;
    uint32_t slot = UINT32_MAX;
    for (uint64_t at = 0, end; !status && at < k->layout.task_size; at = end) {
        const pmdval_t value = raw_pmd(k, s->mm, (uint32_t)at, &end);
        if (k->config.tables == PE_TABLES_LPAE && end - at == PMD_SIZE && at >> LPAE_PGD_SHIFT != slot) {
            slot = (uint32_t)(at >> LPAE_PGD_SHIFT);
            const uint64_t pgd = load64(phys_host(k, s->mm->pgd_pa + slot * 8u, 8));
            status = note_table(r, pmd_page(k, pgd), s->mm->id);
            s->pmds++;
        }
        if (!status && value) {
            status = check_pmd(r, s, (uint32_t)at, value);
        }
    }
    for (uint32_t at = s->mm->huge_deposit; !status && at != NO_PAGE; at = k->frames.pages[at].next) {
        status = note_table(r, &k->frames.pages[at], s->mm->id);
        s->ptes++;
    }
    return status;
}

static pe_status check_areas(const struct recount *r, const struct mm *mm)
{
    uint32_t before = FIRST_USER_ADDRESS;
    for (uint32_t i = 0; i < mm->area_count; i++) {
        const struct vm_area *a = &mm->areas[i];
        if (a->start < before || a->end <= a->start || a->end > r->k->layout.task_size ||
            (a->start | a->end) % PAGE_SIZE) {
            return pe_fail(r->err, PE_ERR_STATE, "mm %u: area 0x%x to 0x%x is out of order", mm->id, a->start, a->end);
        }
        before = a->end;
    }
    return PE_OK;
}

static pe_status check_space(struct recount *r, const struct mm *mm)
{
    struct space s = {.mm = mm};
    pe_status status = check_areas(r, mm);
    if (!status) {
        status = check_tables(r, &s);
    }
    if (status) {
        return status;
    }
    const struct {
        const char *what;
        uint32_t counted, kept;
    } counters[] = {
        {"PTE pages", s.ptes, mm->nr_ptes},         {"PMD pages", s.pmds, mm->nr_pmds},
        {"anonymous pages", s.anon, mm->rss_anon},  {"huge pages", s.huge, mm->rss_huge},
        {"shared pages", s.shared, mm->rss_shared},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        if (counters[i].counted != counters[i].kept) {
            return differs(r->err, "mm", mm->id, counters[i].what, counters[i].counted, counters[i].kept);
        }
    }
    return PE_OK;
}

/* ---- frames ---- */

static pe_status check_frames(struct recount *r)
{
    const struct pe_kernel *k = r->k;
    uint64_t anon[PE_ZONES] = {0};
    for (uint32_t i = 0; i < k->frames.count; i++) {
        const struct page *page = &k->frames.pages[i];
        if (page->mapcount != r->mapped[i] || (!(page->flags & PE_PG_TAIL) && page->refcount < page->mapcount)) {
            return pe_fail(r->err, PE_ERR_STATE, "frame %u: %d entries map it, mapcount is %d, refcount %d", i,
                           r->mapped[i], page->mapcount, page->refcount);
        }
        if (page->flags & PE_PG_ANON && page->mapcount && !(page->flags & PE_PG_TAIL)) {
            const struct zone *z = page_zone((struct zone *)(uintptr_t)k->zones, &k->frames, page);
            anon[z - k->zones] += 1u << page->order;
        }
    }
    uint64_t tables = 0;
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        tables += k->zones[i].page_tables;
        if (anon[i] != k->zones[i].anon) {
            return differs(r->err, "zone", i, "anonymous pages", anon[i], k->zones[i].anon);
        }
    }
    const uint64_t counted = r->tables + k->tasks.boot_tables;
    return counted == tables ? PE_OK : differs(r->err, "tables", 0, "pages", counted, tables);
}

/* Each object has as many users as areas name it; its pages are all of zone->shmem. */
static pe_status check_shared(const struct recount *r)
{
    const struct pe_kernel *k = r->k;
    uint64_t pages = 0, kept = 0;
    for (int pass = 0; pass < 3; pass++) {
        for (const struct mm *mm = k->tasks.mms; mm; mm = mm->next) {
            for (uint32_t i = 0; i < mm->area_count; i++) {
                struct shared_pages *shared = mm->areas[i].shared;
                if (!shared) {
                    continue;
                }
                if (pass == 2 && shared->seen != shared->users) {
                    return differs(r->err, "mm", mm->id, "users of a shared object", shared->seen, shared->users);
                }
                for (uint32_t at = 0; pass == 1 && !shared->seen && at < shared->count; at++) {
                    pages += shared->page[at] != NO_PAGE;
                }
                shared->seen = pass == 0 ? 0 : shared->seen + (pass == 1);
            }
        }
    }
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        kept += k->zones[i].shmem;
    }
    return pages == kept ? PE_OK : differs(r->err, "shared objects", 0, "pages", pages, kept);
}

static pe_status recount(struct recount *r)
{
    const struct pe_kernel *k = r->k;
    pe_status status = PE_OK;
    for (const struct mm *mm = k->tasks.mms; mm && !status; mm = mm->next) {
        status = check_space(r, mm);
    }
    for (uint32_t at = k->batch.head; !status && at != NO_PAGE; at = k->frames.pages[at].next) {
        if (k->frames.pages[at].flags & PE_PG_TABLE) {
            status = note_table(r, &k->frames.pages[at], 0);
        }
    }
    if (!status) {
        status = check_frames(r);
    }
    return status ? status : check_shared(r);
}

pe_status processes_check(const struct pe_kernel *k, pe_error *err)
{
    struct recount r = {
        .k = k,
        .mapped = calloc(k->frames.count, sizeof *r.mapped),
        .table = calloc(k->frames.count, 1),
        .err = err,
    };
    const pe_status status =
        r.mapped && r.table ? recount(&r) : pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for a check");
    free(r.mapped);
    free(r.table);
    return status;
}
