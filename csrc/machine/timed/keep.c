/* SPDX-License-Identifier: GPL-2.0-or-later
 * The cycle model in a checkpoint: caches, TLBs, predictors, bills.  What blocks cost is found anew. */
#include "machine/timed/timed.h"
#include "archive.h"

/* ---- which pages were not cacheable: few, in a map of all ---- */

static size_t map_words(const timed_machine *t)
{
    return (t->npages + 63) / 64;
}

static uint64_t *map_of(const timed_machine *t)
{
    return (uint64_t *)(void *)t->uncached_pages;
}

static void save_map(archive *a, timed_machine *t)
{
    const uint64_t *map = map_of(t);
    uint64_t count = 0;
    for (size_t i = 0; i < map_words(t); i++) {
        count += map[i] != 0;
    }
    ARCHIVE(a, count);
    for (uint64_t i = 0; count; i++) {
        uint64_t word = map[i];
        if (word) {
            ARCHIVE(a, i);
            ARCHIVE(a, word);
            count--;
        }
    }
}

static void load_map(archive *a, timed_machine *t)
{
    uint64_t *map = map_of(t), count, index, word;
    for (size_t i = 0; i < map_words(t); i++) {
        if (map[i]) {
            map[i] = 0;
        }
    }
    ARCHIVE(a, count);
    while (count--) {
        ARCHIVE(a, index);
        ARCHIVE(a, word);
        map[index] = word;
    }
}

/* ---- one CPU ---- */

/* The block that is held. */
typedef struct kept_code {
    bool there, orphan;
    uint16_t size;
} kept_code;

static void cpu_parts(archive *a, timed_cpu *c, const timed_machine *t)
{
    ARCHIVE(a, c->code_va);
    ARCHIVE(a, c->page);
    ARCHIVE(a, c->blocks); /* pages of blocks stay where they are */
    ARCHIVE(a, c->page_pa);
    ARCHIVE(a, c->entered);
    ARCHIVE(a, c->rest);
    ARCHIVE(a, c->taken_x16);
    ARCHIVE(a, c->fetched_line);
    ARCHIVE(a, c->privileged);
    ARCHIVE(a, c->trapped);
    ARCHIVE(a, c->data_cached);
    ARCHIVE(a, c->next_access);
    ARCHIVE(a, c->group_insns);
    ARCHIVE(a, c->group_stalls);
    archive_part(a, c->fills, t->core.memory.line_fill_entries * sizeof *c->fills);
    ARCHIVE(a, c->fill_next);
    ARCHIVE(a, c->missed_regs);
    ARCHIVE(a, c->missed);
    ARCHIVE(a, c->transferred);
    ARCHIVE(a, c->stores_done);
    ARCHIVE(a, c->work_x16);
    ARCHIVE(a, c->l1_x16);
    ARCHIVE(a, c->orphan);
    ARCHIVE(a, c->held_insns);
    ARCHIVE(a, c->executed);
    ARCHIVE(a, *c->account);
    tlb_parts(a, c->tlb);
    predictor_parts(a, c->predictor);
}

static void save_cpu(archive *a, pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    timed_gather(c);
    kept_code kept = {c->parked != NULL, c->parked == &c->orphan.code, c->parked ? c->parked->size : 0};
    cpu_parts(a, c, cpu->machine->timed);
    ARCHIVE(a, kept);
}

static void load_cpu(archive *a, pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    kept_code kept;
    cpu_parts(a, c, cpu->machine->timed);
    ARCHIVE(a, kept);
    const uint64_t decoded = c->executed.code_decoded;
    c->code = c->parked = NULL;
    if (kept.there) {
        c->parked = kept.orphan ? &c->orphan.code : timed_find_code(cpu, c->code_va, kept.size);
    }
    c->executed.code_decoded = decoded;
}

/* ---- all ---- */

size_t timed_save(pe_machine *m, void *buf)
{
    archive a = {.at = buf};
    timed_machine *t = m->timed;
    ARCHIVE(&a, t->time_rest);
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        save_cpu(&a, m->cpu[i]);
    }
    if (t->caches) {
        caches_parts(&a, t->caches);
    }
    save_map(&a, t);
    return a.bytes;
}

void timed_load(pe_machine *m, const void *buf)
{
    archive a = {.at = (uint8_t *)(uintptr_t)buf, .load = true};
    timed_machine *t = m->timed;
    ARCHIVE(&a, t->time_rest);
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        load_cpu(&a, m->cpu[i]);
    }
    if (t->caches) {
        caches_parts(&a, t->caches);
    }
    load_map(&a, t);
}

void timed_forget_blocks(pe_machine *m)
{
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        timed_cpu *c = m->cpu[i]->timed;
        timed_gather(c);
        c->code = c->parked = NULL;
    }
    for (timed_page *page = m->timed->all_pages; page; page = page->next) {
        timed_empty_page(page);
    }
}
