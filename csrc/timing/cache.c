/* SPDX-License-Identifier: GPL-2.0-or-later
 * One set-associative cache: replacement, fills, maintenance, statistics. */
#include "timing/cache.h"
#include "timing/core.h"
#include "error.h"

#include <stdlib.h>
#include <string.h>

pe_status cache_init(pe_cache *cache, const char *name, const pe_cache_params *params, pe_error *err)
{
    const pe_status status = pe_cache_check(name, params, err);
    if (status) {
        return status;
    }
    const size_t sets = params->size_bytes / (params->ways * params->line_bytes);
    *cache = (pe_cache){
        .lines = malloc(sets * params->ways * sizeof *cache->lines),
        .recent = calloc(sets, 1),
        .next = calloc(sets, 1),
        .set_mask = sets - 1,
        .ways = params->ways,
        .line_shift = (uint32_t)__builtin_ctz(params->line_bytes),
        .random = PE_RANDOM_SEED,
        .params = *params,
    };
    if (!cache->lines || !cache->recent || !cache->next) {
        cache_release(cache);
        return pe_fail(err, PE_ERR_MEMORY, "%s: no memory for the tags of a cache of %u bytes", name,
                       params->size_bytes);
    }
    memset(cache->lines, 0xff, sets * params->ways * sizeof *cache->lines);
    return PE_OK;
}

void cache_release(pe_cache *cache)
{
    free(cache->lines);
    free(cache->recent);
    free(cache->next);
}

static bool is_line(uint64_t way, uint64_t line)
{
    return (way ^ line << LINE_FLAGS_SHIFT) <= LINE_FLAGS;
}

static void move_to_front(uint64_t *set, uint32_t from)
{
    const uint64_t way = set[from];
    memmove(set + 1, set, from * sizeof *set);
    set[0] = way;
}

uint64_t *cache_find_slow(pe_cache *cache, uint64_t line)
{
    const uint64_t index = line & cache->set_mask;
    uint64_t *set = &cache->lines[index * cache->ways];
    for (uint32_t i = 0; i < cache->ways; i++) {
        if (!is_line(set[i], line)) {
            continue;
        }
        if (cache->params.replacement == PE_REPLACE_LRU) {
            move_to_front(set, i);
            return set;
        }
        cache->recent[index] = (uint8_t)i;
        return &set[i];
    }
    return NULL;
}

uint64_t *cache_peek(const pe_cache *cache, uint64_t line)
{
    uint64_t *set = &cache->lines[(line & cache->set_mask) * cache->ways];
    for (uint32_t i = 0; i < cache->ways; i++) {
        if (is_line(set[i], line)) {
            return &set[i];
        }
    }
    return NULL;
}

/* An empty way if there is one. */
static uint32_t victim(pe_cache *cache, const uint64_t *set, uint64_t index)
{
    for (uint32_t i = 0; i < cache->ways; i++) {
        if (set[i] == LINE_NONE) {
            return i;
        }
    }
    switch (cache->params.replacement) {
    case PE_REPLACE_ROUND_ROBIN: {
        const uint32_t way = cache->next[index];
        cache->next[index] = (uint8_t)(way + 1 == cache->ways ? 0 : way + 1);
        return way;
    }
    case PE_REPLACE_RANDOM: return pe_next_random(&cache->random) % cache->ways;
    case PE_REPLACE_LRU: break;
    }
    return cache->ways - 1;
}

uint64_t cache_fill(pe_cache *cache, uint64_t line, unsigned flags)
{
    const uint64_t index = line & cache->set_mask;
    uint64_t *set = &cache->lines[index * cache->ways];
    const uint32_t way = victim(cache, set, index);
    const uint64_t gone = set[way];
    set[way] = line << LINE_FLAGS_SHIFT | flags;
    if (cache->params.replacement == PE_REPLACE_LRU) {
        move_to_front(set, way);
    } else {
        cache->recent[index] = (uint8_t)way;
    }
    cache->stats.fills++;
    if (gone != LINE_NONE) {
        cache->stats.evictions++;
        cache->stats.write_backs += gone & LINE_DIRTY;
    }
    return gone;
}

uint64_t cache_take(pe_cache *cache, uint64_t line)
{
    uint64_t *way = cache_peek(cache, line);
    if (!way) {
        return LINE_NONE;
    }
    const uint64_t gone = *way;
    *way = LINE_NONE;
    cache->stats.invalidations++;
    return gone;
}

/* ---- one cache by itself ---- */

pe_cache *pe_cache_new(const pe_cache_params *params, pe_error *err)
{
    pe_cache *cache = malloc(sizeof *cache);
    if (!cache) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for a cache");
        return NULL;
    }
    if (cache_init(cache, "cache", params, err)) {
        free(cache);
        return NULL;
    }
    return cache;
}

void pe_cache_free(pe_cache *cache)
{
    if (cache) {
        cache_release(cache);
        free(cache);
    }
}

static bool access_one(pe_cache *cache, uint64_t line, unsigned write)
{
    uint64_t *way = cache_find(cache, line);
    cache->stats.reads += !write;
    cache->stats.writes += write;
    if (way) {
        *way |= write; /* LINE_DIRTY is 1 */
        return true;
    }
    cache->stats.read_misses += !write;
    cache->stats.write_misses += write;
    if (!write || cache->params.write_allocate) {
        cache_fill(cache, line, write);
    }
    return false;
}

size_t pe_cache_access_batch(pe_cache *cache, const uint64_t *pa, const uint8_t *write, uint8_t *hit, size_t n)
{
    size_t misses = 0;
    for (size_t i = 0; i < n; i++) {
        const bool here = access_one(cache, cache_line(cache, pa[i]), write && write[i]);
        misses += !here;
        if (hit) {
            hit[i] = here;
        }
    }
    return misses;
}

bool pe_cache_holds(const pe_cache *cache, uint64_t pa, bool *dirty)
{
    const uint64_t *way = cache_peek(cache, cache_line(cache, pa));
    if (dirty) {
        *dirty = way && *way & LINE_DIRTY;
    }
    return way;
}

bool pe_cache_clean(pe_cache *cache, uint64_t pa)
{
    uint64_t *way = cache_peek(cache, cache_line(cache, pa));
    if (way) {
        cache->stats.write_backs += *way & LINE_DIRTY;
        *way &= ~(uint64_t)LINE_DIRTY;
    }
    return way;
}

bool pe_cache_invalidate(pe_cache *cache, uint64_t pa)
{
    return cache_take(cache, cache_line(cache, pa)) != LINE_NONE;
}

void pe_cache_clean_all(pe_cache *cache)
{
    const size_t n = (cache->set_mask + 1) * cache->ways;
    for (size_t i = 0; i < n; i++) {
        if (cache->lines[i] != LINE_NONE) {
            cache->stats.write_backs += cache->lines[i] & LINE_DIRTY;
            cache->lines[i] &= ~(uint64_t)LINE_DIRTY;
        }
    }
}

void pe_cache_invalidate_all(pe_cache *cache)
{
    const size_t n = (cache->set_mask + 1) * cache->ways;
    for (size_t i = 0; i < n; i++) {
        cache->stats.invalidations += cache->lines[i] != LINE_NONE;
        cache->lines[i] = LINE_NONE;
    }
}

void pe_cache_read_stats(const pe_cache *cache, pe_cache_stats *out)
{
    *out = cache->stats;
}

void cache_parts(archive *a, pe_cache *cache)
{
    const size_t sets = (size_t)cache->set_mask + 1;
    archive_part(a, cache->lines, sets * cache->ways * sizeof *cache->lines);
    archive_part(a, cache->recent, sets * sizeof *cache->recent);
    archive_part(a, cache->next, sets * sizeof *cache->next);
    ARCHIVE(a, cache->random);
    ARCHIVE(a, cache->stats);
}
