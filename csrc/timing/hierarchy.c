/* SPDX-License-Identifier: GPL-2.0-or-later
 * L1I, L1D, L2 and DRAM as one: misses, write-backs, inclusion of L1D in L2, lines that several CPUs want. */
#include "timing/hierarchy.h"
#include "timing/core.h"
#include "error.h"

#include <stdlib.h>

/* A line that leaves L2 leaves every L1D; what was dirty above goes to memory with it.  Returns whether anything does.
 */
static bool leave_l2(pe_caches *caches, uint64_t gone)
{
    if (gone == LINE_NONE) {
        return false;
    }
    const uint64_t base = gone >> LINE_FLAGS_SHIFT << caches->l2.line_shift;
    bool dirty_above = false;
    for (uint32_t cpu = 0; cpu < caches->ncpus; cpu++) {
        pe_cache *l1 = &caches->l1d[cpu];
        for (uint64_t at = 0; at < caches->l2.params.line_bytes; at += l1->params.line_bytes) {
            const uint64_t above = cache_take(l1, cache_line(l1, base + at));
            if (above != LINE_NONE && above & LINE_DIRTY) {
                l1->stats.write_backs++;
                dirty_above = true;
            }
        }
    }
    if (dirty_above && !(gone & LINE_DIRTY)) {
        caches->l2.stats.write_backs++;
    }
    return dirty_above || gone & LINE_DIRTY;
}

static uint32_t l2_access(pe_caches *caches, uint32_t cpu, uint64_t pa, unsigned write, bool allocate)
{
    pe_cache *l2 = &caches->l2;
    pe_cache_stats *own = &caches->l2_by_cpu[cpu];
    const uint64_t line = cache_line(l2, pa);
    uint64_t *way = cache_find(l2, line);
    l2->stats.reads += !write;
    l2->stats.writes += write;
    own->reads += !write;
    own->writes += write;
    if (way) {
        *way |= write; /* LINE_DIRTY is 1 */
        return l2->params.hit_cycles;
    }
    l2->stats.read_misses += !write;
    l2->stats.write_misses += write;
    own->read_misses += !write;
    own->write_misses += write;
    if (allocate) {
        own->fills++;
        own->write_backs += leave_l2(caches, cache_fill(l2, line, write));
    }
    return l2->params.hit_cycles + caches->dram_cycles;
}

/* What an L1D has changed of a line goes to L2, which holds the line (inclusion). */
static void write_back(pe_caches *caches, const pe_cache *l1, uint64_t way)
{
    if (way != LINE_NONE && way & LINE_DIRTY) {
        l2_access(caches, (uint32_t)(l1 - caches->l1d), way >> LINE_FLAGS_SHIFT << l1->line_shift, 1, true);
    }
}

/* Other CPUs that hold the line: for a load they share it from now on, for a store they lose it. */
static bool snoop(pe_caches *caches, uint32_t cpu, uint64_t line, bool store)
{
    bool found = false;
    for (uint32_t i = 0; i < caches->ncpus; i++) {
        pe_cache *other = &caches->l1d[i];
        uint64_t *way = i == cpu ? NULL : cache_peek(other, line);
        if (!way) {
            continue;
        }
        found = true;
        if (*way & LINE_DIRTY) {
            other->stats.write_backs++;
            write_back(caches, other, *way);
        }
        if (store) {
            cache_take(other, line);
        } else {
            *way = (*way & ~(uint64_t)LINE_DIRTY) | LINE_SHARED;
        }
    }
    return found;
}

uint32_t caches_load_slow(pe_caches *caches, uint32_t cpu, pe_cache *l1, uint64_t pa)
{
    const uint64_t line = cache_line(l1, pa);
    const bool data = l1 == &caches->l1d[cpu];
    l1->stats.read_misses++;
    const bool shared = data && caches->ncpus > 1 && snoop(caches, cpu, line, false);
    const uint32_t cycles = l2_access(caches, cpu, pa, 0, true);
    const uint64_t gone = cache_fill(l1, line, shared ? LINE_SHARED : 0);
    if (data) {
        write_back(caches, l1, gone);
    }
    return cycles;
}

uint32_t caches_store_slow(pe_caches *caches, uint32_t cpu, uint64_t pa)
{
    pe_cache *l1 = &caches->l1d[cpu];
    const uint64_t line = cache_line(l1, pa);
    if (caches->ncpus > 1) {
        snoop(caches, cpu, line, true);
    }
    uint64_t *way = cache_find(l1, line);
    if (way) {
        *way = (*way | LINE_DIRTY) & ~(uint64_t)LINE_SHARED;
        return caches->l2.params.hit_cycles; /* asking the others takes as long as L2 */
    }
    l1->stats.write_misses++;
    if (!l1->params.write_allocate) {
        return l2_access(caches, cpu, pa, 1, caches->l2.params.write_allocate);
    }
    const uint32_t cycles = l2_access(caches, cpu, pa, 0, true);
    write_back(caches, l1, cache_fill(l1, line, LINE_DIRTY));
    return cycles;
}

uint32_t caches_walk(pe_caches *caches, uint32_t cpu, uint64_t pa)
{
    if (caches->core.walk.through_l1d) {
        return caches_load(caches, cpu, &caches->l1d[cpu], pa);
    }
    return l2_access(caches, cpu, pa, 0, true);
}

/* ---- the interface ---- */

pe_caches *pe_caches_new(const pe_core *core, uint32_t ncpus, pe_error *err)
{
    if (ncpus < 1 || ncpus > PE_MAX_CPUS) {
        pe_fail(err, PE_ERR_ARGUMENT, "%u CPUs: 1 to %u would be right", ncpus, (unsigned)PE_MAX_CPUS);
        return NULL;
    }
    if (pe_core_check(core, err)) {
        return NULL;
    }
    pe_caches *caches = calloc(1, sizeof *caches);
    if (!caches) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for caches");
        return NULL;
    }
    caches->core = *core;
    caches->ncpus = ncpus;
    caches->dram_cycles = pe_core_dram_cycles(core);
    pe_status status = cache_init(&caches->l2, "l2", &core->l2, err);
    for (uint32_t i = 0; i < ncpus && !status; i++) {
        if (!(status = cache_init(&caches->l1i[i], "l1i", &core->l1i, err))) {
            status = cache_init(&caches->l1d[i], "l1d", &core->l1d, err);
        }
    }
    if (status) {
        pe_caches_free(caches);
        return NULL;
    }
    return caches;
}

void pe_caches_free(pe_caches *caches)
{
    if (!caches) {
        return;
    }
    for (uint32_t i = 0; i < caches->ncpus; i++) {
        cache_release(&caches->l1i[i]);
        cache_release(&caches->l1d[i]);
    }
    cache_release(&caches->l2);
    free(caches);
}

uint32_t pe_caches_access(pe_caches *caches, uint32_t cpu, pe_cache_use use, uint64_t pa)
{
    return cpu < caches->ncpus ? caches_access(caches, cpu, use, pa) : 0;
}

uint64_t pe_caches_access_batch(pe_caches *caches, uint32_t cpu, const uint64_t *pa, const uint8_t *use,
                                uint32_t *cycles, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n && cpu < caches->ncpus; i++) {
        const uint32_t took = caches_access(caches, cpu, use ? (pe_cache_use)(use[i] & 3) : PE_CACHE_READ, pa[i]);
        sum += took;
        if (cycles) {
            cycles[i] = took;
        }
    }
    return sum;
}

/* Dirty lines of L1D reach L2 before L2's own reach memory. */
void pe_caches_maintain(pe_caches *caches, pe_cache_operation operation, uint64_t pa)
{
    for (uint32_t i = 0; i < caches->ncpus; i++) {
        pe_cache *l1 = &caches->l1d[i];
        const uint64_t *way = cache_peek(l1, cache_line(l1, pa));
        if (way && operation != PE_CACHE_INVALIDATE) {
            write_back(caches, l1, *way);
            pe_cache_clean(l1, pa);
        }
        if (operation != PE_CACHE_CLEAN) {
            pe_cache_invalidate(l1, pa);
        }
    }
    if (operation != PE_CACHE_INVALIDATE) {
        pe_cache_clean(&caches->l2, pa);
    }
    if (operation != PE_CACHE_CLEAN) {
        leave_l2(caches, cache_take(&caches->l2, cache_line(&caches->l2, pa)));
    }
}

void pe_caches_maintain_fetch(pe_caches *caches, uint32_t cpu)
{
    if (cpu < caches->ncpus) {
        pe_cache_invalidate_all(&caches->l1i[cpu]);
    }
}

void pe_caches_maintain_fetch_line(pe_caches *caches, uint64_t pa)
{
    for (uint32_t i = 0; i < caches->ncpus; i++) {
        pe_cache_invalidate(&caches->l1i[i], pa);
    }
}

void pe_caches_maintain_all(pe_caches *caches, pe_cache_operation operation)
{
    for (uint32_t i = 0; i < caches->ncpus; i++) {
        pe_cache *l1 = &caches->l1d[i];
        if (operation != PE_CACHE_INVALIDATE) {
            for (size_t at = 0; at < (l1->set_mask + 1) * l1->ways; at++) {
                write_back(caches, l1, l1->lines[at]);
            }
            pe_cache_clean_all(l1);
        }
        if (operation != PE_CACHE_CLEAN) {
            pe_cache_invalidate_all(l1);
        }
    }
    if (operation != PE_CACHE_INVALIDATE) {
        pe_cache_clean_all(&caches->l2);
    }
    if (operation != PE_CACHE_CLEAN) {
        pe_cache_invalidate_all(&caches->l2);
    }
}

static const pe_cache *level_of(const pe_caches *caches, uint32_t cpu, pe_cache_level level, pe_error *err)
{
    if ((level == PE_CACHE_L1I || level == PE_CACHE_L1D) && cpu < caches->ncpus) {
        return level == PE_CACHE_L1I ? &caches->l1i[cpu] : &caches->l1d[cpu];
    }
    if (level == PE_CACHE_L2) {
        return &caches->l2;
    }
    pe_fail(err, PE_ERR_ARGUMENT, "no cache of level %u on CPU %u: there are %u CPUs", (unsigned)level, cpu,
            caches->ncpus);
    return NULL;
}

pe_status pe_caches_holds(const pe_caches *caches, uint32_t cpu, pe_cache_level level, uint64_t pa, bool *holds,
                          bool *dirty, pe_error *err)
{
    const pe_cache *cache = level_of(caches, cpu, level, err);
    if (!cache) {
        return PE_ERR_ARGUMENT;
    }
    *holds = pe_cache_holds(cache, pa, dirty);
    return PE_OK;
}

pe_status pe_caches_read_stats(const pe_caches *caches, uint32_t cpu, pe_cache_level level, pe_cache_stats *out,
                               pe_error *err)
{
    const pe_cache *cache = level_of(caches, cpu, level, err);
    if (!cache) {
        return PE_ERR_ARGUMENT;
    }
    *out = cache->stats;
    return PE_OK;
}

void caches_parts(archive *a, pe_caches *caches)
{
    for (uint32_t cpu = 0; cpu < caches->ncpus; cpu++) {
        cache_parts(a, &caches->l1i[cpu]);
        cache_parts(a, &caches->l1d[cpu]);
    }
    cache_parts(a, &caches->l2);
    ARCHIVE(a, caches->l2_by_cpu);
}
