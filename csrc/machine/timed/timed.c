/* SPDX-License-Identifier: GPL-2.0-or-later
 * The cycle model of a machine: making it, resetting it, and what the outside may look at. */
#include "machine/timed/timed.h"

#include <stdlib.h>
#include <sys/mman.h>

static void *sparse(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

static size_t uncached_bytes(const timed_machine *t)
{
    return (t->npages + 7) / 8;
}

static pe_status make_parts(timed_machine *t, uint32_t ncpus, pe_error *err)
{
    t->ledger = pe_ledger_new(ncpus, err);
    t->blocks = t->ledger ? pe_blocks_new(&t->core, err) : NULL;
    if (!t->blocks) {
        return PE_ERR_ENGINE;
    }
    if (t->level == PE_TIMING_CACHE && !(t->caches = pe_caches_new(&t->core, ncpus, err))) {
        return PE_ERR_MEMORY;
    }
    t->pages = sparse(t->npages * sizeof(timed_page *));
    t->uncached_pages = sparse(uncached_bytes(t));
    return t->pages && t->uncached_pages ? PE_OK : pe_fail(err, PE_ERR_MEMORY, "no memory for the maps of code");
}

static pe_status make_cpu(pe_cpu *cpu, const timed_machine *t, pe_error *err)
{
    const pe_machine *m = cpu->machine;
    timed_cpu *c = calloc(1, sizeof *c);
    if (!c) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for the cycle model of CPU %u", cpu->index);
    }
    cpu->timed = c;
    c->mode = cpu->probe.mode;
    if (t->caches && m->engine.unsynced_at) {
        cpu->unsynced = (uint8_t *)(void *)cpu->uc + m->engine.unsynced_at;
    }
    c->unsynced = cpu->unsynced ? cpu->unsynced : &c->unread;
    c->account = &t->ledger->cpu[cpu->index];
    c->group_insns = cpu->insns - t->core.pipeline.window_entries; /* the first miss begins a group */
    c->fills = calloc(t->core.memory.line_fill_entries, sizeof *c->fills);
    c->dirty = calloc(DIRTY_ENTRIES, sizeof *c->dirty);
    c->tlb = c->fills && c->dirty ? pe_tlb_new(&t->core, err) : NULL;
    c->predictor = c->tlb ? pe_predictor_new(&t->core, err) : NULL;
    c->page = NO_PAGE;
    timed_forget_pages(c);
    c->fetched_line = NO_LINE;
    c->deadline = NEVER;
    if (c->tlb) {
        timed_watch_tlb(cpu);
    }
    return c->predictor ? PE_OK : pe_fail(err, PE_ERR_MEMORY, "no memory for the cycle model of CPU %u", cpu->index);
}

static pe_status make(pe_machine *m, pe_timing level, const pe_core *core, pe_error *err)
{
    timed_machine *t = calloc(1, sizeof *t);
    if (!t) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for a cycle model");
    }
    m->timed = t;
    t->level = level;
    t->core = *core;
    t->dram_cycles = pe_core_dram_cycles(core);
    t->hidden_cycles = core->pipeline.window_entries / core->pipeline.issue_width;
    t->npages = (size_t)((BOARD_FLASH_END + m->config.ram_size) / PE_PAGE_SIZE);
    pe_status status = make_parts(t, m->config.ncpus, err);
    for (uint32_t i = 0; status == PE_OK && i < m->config.ncpus; i++) {
        status = make_cpu(m->cpu[i], t, err);
    }
    return status;
}

pe_status timed_new(pe_machine *m, pe_error *err)
{
    const pe_machine_config *config = &m->config;
    if (config->timing > PE_TIMING_CACHE) {
        return pe_fail(err, PE_ERR_ARGUMENT, "unknown timing %u", (unsigned)config->timing);
    }
    if (config->timing == PE_TIMING_OFF) {
        return PE_OK;
    }
    if (!config->core) {
        return pe_fail(err, PE_ERR_ARGUMENT, "timing needs the parameters of a core");
    }
    const pe_status status = pe_core_check(config->core, err);
    return status ? status : make(m, config->timing, config->core, err);
}

static void free_cpu(pe_cpu *cpu)
{
    timed_cpu *c = cpu ? cpu->timed : NULL;
    if (c) {
        pe_tlb_free(c->tlb);
        pe_predictor_free(c->predictor);
        free(c->fills);
        free(c->dirty);
        free(c);
        cpu->timed = NULL;
    }
}

void timed_free(pe_machine *m)
{
    timed_machine *t = m->timed;
    if (!t) {
        return;
    }
    for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
        free_cpu(m->cpu[i]);
    }
    timed_free_code(t);
    pe_ledger_free(t->ledger);
    pe_caches_free(t->caches);
    pe_blocks_free(t->blocks);
    if (t->pages) {
        munmap(t->pages, t->npages * sizeof(timed_page *));
    }
    if (t->uncached_pages) {
        munmap(t->uncached_pages, uncached_bytes(t));
    }
    free(t);
    m->timed = NULL;
}

/* What others look at stays where it is: contents go from the new place to the old one, and back. */
#define EXCHANGE(type, a, b)                                                                                           \
    do {                                                                                                               \
        type *pointer = (a), content = *(a);                                                                           \
        *(a) = *(b);                                                                                                   \
        *(b) = content;                                                                                                \
        (a) = (b);                                                                                                     \
        (b) = pointer;                                                                                                 \
    } while (0)

static void keep_places(pe_machine *m, timed_machine *old, timed_cpu *const old_cpu[])
{
    timed_machine *t = m->timed;
    EXCHANGE(pe_ledger, t->ledger, old->ledger);
    if (t->caches) {
        EXCHANGE(pe_caches, t->caches, old->caches);
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        timed_cpu *c = m->cpu[i]->timed;
        EXCHANGE(pe_tlb, c->tlb, old_cpu[i]->tlb);
        EXCHANGE(pe_predictor, c->predictor, old_cpu[i]->predictor);
        c->account = &t->ledger->cpu[i];
    }
}

pe_status timed_reset(pe_machine *m, pe_error *err)
{
    timed_machine *old = m->timed, *t;
    timed_cpu *old_cpu[PE_MAX_CPUS] = {NULL}, *cpu[PE_MAX_CPUS] = {NULL};
    if (!old) {
        return PE_OK;
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        old_cpu[i] = m->cpu[i]->timed;
        m->cpu[i]->timed = NULL;
    }
    m->timed = NULL;
    const pe_status status = make(m, old->level, &old->core, err);
    t = m->timed;
    if (status == PE_OK) {
        keep_places(m, old, old_cpu);
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        cpu[i] = m->cpu[i]->timed;
        m->cpu[i]->timed = status == PE_OK ? old_cpu[i] : cpu[i];
    }
    m->timed = status == PE_OK ? old : t;
    timed_free(m); /* the old one, or what there is of a new one */
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        m->cpu[i]->timed = status == PE_OK ? cpu[i] : old_cpu[i];
    }
    m->timed = status == PE_OK ? t : old;
    return status;
}

/* ---- time ---- */

#define UNITS_PER_SECOND (TIME_UNITS_PER_NS * UINT64_C(1000000000))
#define SHARES           840u /* divisible by any number of CPUs */

/* A cycle is no whole number of time units; CPUs that run side by side share the time, as without a model.  Parts of a
 * unit are kept, so that a slice that is gone on with later takes the same time as a whole one. */
static uint64_t parts_of_unit(const timed_machine *t)
{
    return t->core.clock_hz * SHARES;
}

static uint64_t parts_of_cycle(const timed_machine *t)
{
    return UNITS_PER_SECOND * (SHARES / t->running);
}

/* Of the running slice, and what was left before it. */
static unsigned __int128 slice_parts(const pe_machine *m)
{
    const timed_machine *t = m->timed;
    const uint64_t cycles = m->current->timed->account->clock - t->slice_clock;
    return (unsigned __int128)cycles * parts_of_cycle(t) + t->time_rest;
}

uint64_t timed_slice_time(const pe_machine *m)
{
    return m->current ? (uint64_t)(slice_parts(m) / parts_of_unit(m->timed)) : 0;
}

uint64_t timed_clock_at(const pe_machine *m, uint64_t time)
{
    const timed_machine *t = m->timed;
    if (time <= m->time) {
        return 0;
    }
    const unsigned __int128 parts = (unsigned __int128)(time - m->time) * parts_of_unit(t) - t->time_rest;
    return t->slice_clock + (uint64_t)((parts + parts_of_cycle(t) - 1) / parts_of_cycle(t));
}

void timed_end_slice(pe_machine *m)
{
    timed_machine *t = m->timed;
    const uint64_t rest = (uint64_t)(slice_parts(m) % parts_of_unit(t));
    m->time += timed_slice_time(m);
    t->time_rest = rest;
    timed_gather(m->current->timed); /* the next CPU counts its runs of the same blocks */
}

/* ---- the interface ---- */

pe_timing pe_machine_timing(const pe_machine *m)
{
    return m->timed ? m->timed->level : PE_TIMING_OFF;
}

const pe_ledger *pe_machine_ledger(const pe_machine *m)
{
    return m->timed ? m->timed->ledger : NULL;
}

const pe_caches *pe_machine_caches(const pe_machine *m)
{
    return m->timed ? m->timed->caches : NULL;
}

static timed_cpu *cpu_of(const pe_machine *m, uint32_t cpu)
{
    return m->timed && cpu < m->config.ncpus ? m->cpu[cpu]->timed : NULL;
}

pe_tlb *pe_machine_tlb(pe_machine *m, uint32_t cpu)
{
    const timed_cpu *c = cpu_of(m, cpu);
    return c ? c->tlb : NULL;
}

const pe_predictor *pe_machine_predictor(const pe_machine *m, uint32_t cpu)
{
    const timed_cpu *c = cpu_of(m, cpu);
    return c ? c->predictor : NULL;
}

pe_status pe_machine_executed(const pe_machine *m, uint32_t cpu, pe_executed *out, pe_error *err)
{
    const timed_cpu *c = cpu_of(m, cpu);
    if (!c) {
        return pe_fail(err, PE_ERR_ARGUMENT, m->timed ? "no CPU %u: there are %u" : "CPU %u of %u: timing is off", cpu,
                       m->config.ncpus);
    }
    *out = c->executed;
    for (size_t who = 0; who < 2; who++) { /* the ledger has these */
        out->insns[who] = c->account->bill[who].events[PE_COST_INSTRUCTIONS];
        out->loads[who] = c->account->bill[who].events[PE_COST_L1];
    }
    return PE_OK;
}
