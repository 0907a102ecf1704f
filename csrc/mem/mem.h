/* SPDX-License-Identifier: GPL-2.0-or-later
 * Guest physical memory as seen inside the C core: inline lookups for walks and devices. */
#ifndef PYEMU_MEM_H
#define PYEMU_MEM_H

#include "pyemu.h"

#include <string.h>

#define PE_MEM_ADDRESS_BITS 40 /* of LPAE and of supersections */

typedef struct pe_mem_segment {
    uint64_t base;
    uint64_t size;
    uint8_t *host;
    uint32_t flags;
    bool is_file; /* the first file_size bytes come from a file */
    uint64_t file_size;
    void *map; /* what munmap takes back; host lies inside it */
    size_t map_size;
} pe_mem_segment;

struct pe_mem {
    pe_mem_segment *segments; /* ordered by base */
    size_t count;
    size_t capacity;
    /* The largest segment again: a machine has its RAM and its tables there, so one compare finds almost everything.
     * last is the greatest offset at which 8 bytes still fit; 0 bytes of memory leave it unreachable (base ~0). */
    uint64_t main_base;
    uint64_t main_last;
    uint8_t *main_host;
};

/* The segment that holds [pa, pa+len), or NULL.  A dump may consist of thousands of segments. */
static inline const pe_mem_segment *pe_mem_find(const pe_mem *mem, uint64_t pa, uint64_t len)
{
    size_t low = 0, high = mem->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mem->segments[middle].base <= pa) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    const pe_mem_segment *s = &mem->segments[low - 1];
    uint64_t offset = pa - s->base;
    return offset < s->size && len <= s->size - offset ? s : NULL;
}

/* Host address of len (at most 8) bytes at pa, or NULL. */
static inline const uint8_t *pe_mem_peek(const pe_mem *mem, uint64_t pa, uint64_t len)
{
    uint64_t offset = pa - mem->main_base;
    if (__builtin_expect(offset <= mem->main_last, 1)) {
        return mem->main_host + offset;
    }
    const pe_mem_segment *s = pe_mem_find(mem, pa, len);
    return s ? s->host + (pa - s->base) : NULL;
}

/* Little-endian loads; false outside memory. */
static inline bool pe_mem_load32(const pe_mem *mem, uint64_t pa, uint32_t *value)
{
    const uint8_t *host = pe_mem_peek(mem, pa, sizeof *value);
    if (!host) {
        return false;
    }
    memcpy(value, host, sizeof *value);
    return true;
}

static inline bool pe_mem_load64(const pe_mem *mem, uint64_t pa, uint64_t *value)
{
    const uint8_t *host = pe_mem_peek(mem, pa, sizeof *value);
    if (!host) {
        return false;
    }
    memcpy(value, host, sizeof *value);
    return true;
}

#endif
