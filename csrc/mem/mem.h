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
     * last is the greatest offset at which 8 bytes still fit.  Without any memory the base is ~0, which no access is.
     */
    uint64_t main_base;
    uint64_t main_last;
    uint8_t *main_host;
};

/* The segment that holds [pa, pa+len), or NULL.  A dump may consist of thousands of segments. */
const pe_mem_segment *pe_mem_find(const pe_mem *mem, uint64_t pa, uint64_t len);

/* Loads from anywhere but the largest segment. */
bool pe_mem_load32_elsewhere(const pe_mem *mem, uint64_t pa, uint32_t *value);
bool pe_mem_load64_elsewhere(const pe_mem *mem, uint64_t pa, uint64_t *value);

/* Little-endian loads; false outside memory. */
static inline bool pe_mem_load32(const pe_mem *mem, uint64_t pa, uint32_t *value)
{
    uint64_t offset = pa - mem->main_base;
    if (__builtin_expect(offset <= mem->main_last, 1)) {
        memcpy(value, mem->main_host + offset, sizeof *value);
        return true;
    }
    return pe_mem_load32_elsewhere(mem, pa, value);
}

static inline bool pe_mem_load64(const pe_mem *mem, uint64_t pa, uint64_t *value)
{
    uint64_t offset = pa - mem->main_base;
    if (__builtin_expect(offset <= mem->main_last, 1)) {
        memcpy(value, mem->main_host + offset, sizeof *value);
        return true;
    }
    return pe_mem_load64_elsewhere(mem, pa, value);
}

#endif
