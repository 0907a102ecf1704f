/* SPDX-License-Identifier: GPL-2.0-or-later
 * Caches: what an access to memory costs. */
#ifndef PYEMU_ABI_CACHE_H
#define PYEMU_ABI_CACHE_H

#include "abi/core.h"

/* Tags only: memory is always coherent, a cache decides what an access costs. */
typedef struct pe_cache pe_cache;

typedef struct pe_cache_stats {
    uint64_t reads;
    uint64_t writes;
    uint64_t read_misses;
    uint64_t write_misses;
    uint64_t fills;
    uint64_t evictions;     /* valid lines that made room */
    uint64_t write_backs;   /* dirty lines written to the next level, by eviction or maintenance */
    uint64_t invalidations; /* lines dropped: by maintenance, by another CPU's store, by eviction from L2 */
} pe_cache_stats;

pe_cache *pe_cache_new(const pe_cache_params *params, pe_error *err);
void pe_cache_free(pe_cache *cache);
/* One access after the other.  write: n flags, or NULL (all are reads); hit: n results, or NULL.  Returns the misses.
 */
size_t pe_cache_access_batch(pe_cache *cache, const uint64_t *pa, const uint8_t *write, uint8_t *hit, size_t n);
bool pe_cache_holds(const pe_cache *cache, uint64_t pa, bool *dirty);
/* Maintenance of the line that holds pa; returns whether the line was here. */
bool pe_cache_clean(pe_cache *cache, uint64_t pa);
bool pe_cache_invalidate(pe_cache *cache, uint64_t pa);
void pe_cache_clean_all(pe_cache *cache);
void pe_cache_invalidate_all(pe_cache *cache);
void pe_cache_read_stats(const pe_cache *cache, pe_cache_stats *out);

/* L1I and L1D of each CPU, one L2 for all, DRAM.  Lines of L1D are in L2 too; a store takes the line from other CPUs.
 */
typedef struct pe_caches pe_caches;

typedef enum pe_cache_level {
    PE_CACHE_L1I = 0,
    PE_CACHE_L1D = 1,
    PE_CACHE_L2 = 2,
} pe_cache_level;

/* As pe_access, and a table walk's descriptor read. */
typedef enum pe_cache_use {
    PE_CACHE_READ = 0,
    PE_CACHE_WRITE = 1,
    PE_CACHE_FETCH = 2,
    PE_CACHE_WALK = 3,
} pe_cache_use;

typedef enum pe_cache_operation {
    PE_CACHE_CLEAN = 0,
    PE_CACHE_INVALIDATE = 1,
    PE_CACHE_CLEAN_INVALIDATE = 2,
} pe_cache_operation;

/* ncpus: 1 to PE_MAX_CPUS.  The core is copied. */
pe_caches *pe_caches_new(const pe_core *core, uint32_t ncpus, pe_error *err);
void pe_caches_free(pe_caches *caches);
/* Cycles from the access to its data, by the level that holds the line: hit_cycles of L1, of L2, or those and DRAM. */
uint32_t pe_caches_access(pe_caches *caches, uint32_t cpu, pe_cache_use use, uint64_t pa);
/* cycles: n results, or NULL.  use: n of pe_cache_use, or NULL (all are reads).  Returns the sum of cycles. */
uint64_t pe_caches_access_batch(pe_caches *caches, uint32_t cpu, const uint64_t *pa, const uint8_t *use,
                                uint32_t *cycles, size_t n);
/* The line of pa in L1D of every CPU and in L2 (to the point of coherency); fetched lines only by the two below. */
void pe_caches_maintain(pe_caches *caches, pe_cache_operation operation, uint64_t pa);
void pe_caches_maintain_fetch(pe_caches *caches, uint32_t cpu);     /* ICIALLU */
void pe_caches_maintain_fetch_line(pe_caches *caches, uint64_t pa); /* ICIMVAU: on every CPU */
void pe_caches_maintain_all(pe_caches *caches, pe_cache_operation operation);
pe_status pe_caches_holds(const pe_caches *caches, uint32_t cpu, pe_cache_level level, uint64_t pa, bool *holds,
                          bool *dirty, pe_error *err);
/* cpu is ignored for L2. */
pe_status pe_caches_read_stats(const pe_caches *caches, uint32_t cpu, pe_cache_level level, pe_cache_stats *out,
                               pe_error *err);

#endif
