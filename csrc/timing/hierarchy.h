/* SPDX-License-Identifier: GPL-2.0-or-later
 * L1I, L1D, L2 and DRAM as one: the path of an access that hits its first cache is inline. */
#ifndef PYEMU_TIMING_HIERARCHY_H
#define PYEMU_TIMING_HIERARCHY_H

#include "timing/cache.h"

struct pe_caches {
    pe_core core;
    uint32_t ncpus;
    uint32_t dram_cycles; /* of an access that misses everywhere */
    pe_cache l1i[PE_MAX_CPUS];
    pe_cache l1d[PE_MAX_CPUS];
    pe_cache l2;
    pe_cache_stats l2_by_cpu[PE_MAX_CPUS]; /* of accesses that this CPU made; not of maintenance */
};

/* What all of them hold and have counted. */
void caches_parts(archive *a, pe_caches *caches);
uint32_t caches_load_slow(pe_caches *caches, uint32_t cpu, pe_cache *l1, uint64_t pa);
uint32_t caches_store_slow(pe_caches *caches, uint32_t cpu, uint64_t pa);
uint32_t caches_walk(pe_caches *caches, uint32_t cpu, uint64_t pa);

static inline uint32_t caches_load(pe_caches *caches, uint32_t cpu, pe_cache *l1, uint64_t pa)
{
    l1->stats.reads++;
    return cache_find(l1, cache_line(l1, pa)) ? l1->params.hit_cycles : caches_load_slow(caches, cpu, l1, pa);
}

static inline uint32_t caches_store(pe_caches *caches, uint32_t cpu, uint64_t pa)
{
    pe_cache *l1 = &caches->l1d[cpu];
    uint64_t *way = cache_find(l1, cache_line(l1, pa));
    l1->stats.writes++;
    if (way && !(*way & LINE_SHARED)) {
        *way |= LINE_DIRTY;
        return l1->params.hit_cycles;
    }
    return caches_store_slow(caches, cpu, pa);
}

static inline uint32_t caches_access(pe_caches *caches, uint32_t cpu, pe_cache_use use, uint64_t pa)
{
    switch (use) {
    case PE_CACHE_WRITE: return caches_store(caches, cpu, pa);
    case PE_CACHE_FETCH: return caches_load(caches, cpu, &caches->l1i[cpu], pa);
    case PE_CACHE_WALK: return caches_walk(caches, cpu, pa);
    case PE_CACHE_READ: break;
    }
    return caches_load(caches, cpu, &caches->l1d[cpu], pa);
}

#endif
