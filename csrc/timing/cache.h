/* SPDX-License-Identifier: GPL-2.0-or-later
 * One set-associative cache: tags in one array, the most recently used way of a set looked at first. */
#ifndef PYEMU_TIMING_CACHE_H
#define PYEMU_TIMING_CACHE_H

#include "pyemu.h"
#include "archive.h"

/* A way holds line number << LINE_FLAGS_SHIFT | flags.  No line has all bits set: lines are 16 bytes or more. */
#define LINE_DIRTY       1u
#define LINE_SHARED      2u /* another CPU's L1D may hold it */
#define LINE_FLAGS_SHIFT 2
#define LINE_FLAGS       3u
#define LINE_NONE        UINT64_MAX

struct pe_cache {
    uint64_t *lines; /* sets * ways; with LRU the ways of a set are in order of use */
    uint8_t *recent; /* by set: the way that was used last */
    uint8_t *next;   /* by set: the victim of round robin */
    uint64_t set_mask;
    uint32_t ways;
    uint32_t line_shift;
    uint32_t random;
    pe_cache_params params;
    pe_cache_stats stats;
};

pe_status cache_init(pe_cache *cache, const char *name, const pe_cache_params *params, pe_error *err);
void cache_release(pe_cache *cache);

/* The way that holds a line, made the most recent one; NULL when it is not here. */
uint64_t *cache_find_slow(pe_cache *cache, uint64_t line);

static inline uint64_t cache_line(const pe_cache *cache, uint64_t pa)
{
    return pa >> cache->line_shift;
}

static inline uint64_t *cache_find(pe_cache *cache, uint64_t line)
{
    const uint64_t set = line & cache->set_mask;
    uint64_t *way = &cache->lines[set * cache->ways + cache->recent[set]];
    return (*way ^ line << LINE_FLAGS_SHIFT) <= LINE_FLAGS ? way : cache_find_slow(cache, line);
}

/* The same without a change of order. */
uint64_t *cache_peek(const pe_cache *cache, uint64_t line);
/* What it holds and has counted. */
void cache_parts(archive *a, pe_cache *cache);
/* Puts a line in that is not here; returns the one that had to go, with its flags, or LINE_NONE. */
uint64_t cache_fill(pe_cache *cache, uint64_t line, unsigned flags);
/* Takes a line out; returns it with its flags, or LINE_NONE. */
uint64_t cache_take(pe_cache *cache, uint64_t line);

#endif
