/* SPDX-License-Identifier: GPL-2.0-or-later
 * Guest physical memory as seen inside the C core: inline lookups for walks and devices. */
#ifndef PYEMU_MEM_H
#define PYEMU_MEM_H

#include "pyemu.h"

#include <string.h>

#define PE_MEM_MAX_SEGMENTS 256

typedef struct pe_mem_segment {
    uint64_t base;
    uint64_t size;
    uint8_t *host;
    uint32_t flags;
    int file; /* -1 for anonymous RAM: what pe_mem_reset maps again */
    uint64_t file_offset;
    uint64_t file_size;
} pe_mem_segment;

struct pe_mem {
    pe_mem_segment segments[PE_MEM_MAX_SEGMENTS]; /* ordered by base */
    size_t count;
};

/* The segment that holds [pa, pa+len), or NULL. */
static inline const pe_mem_segment *pe_mem_find(const pe_mem *mem, uint64_t pa, uint64_t len)
{
    for (size_t i = 0; i < mem->count; i++) {
        const pe_mem_segment *s = &mem->segments[i];
        if (pa - s->base < s->size && len <= s->size - (pa - s->base)) {
            return s;
        }
    }
    return NULL;
}

/* Little-endian loads; false outside memory. */
static inline bool pe_mem_load32(const pe_mem *mem, uint64_t pa, uint32_t *value)
{
    const pe_mem_segment *s = pe_mem_find(mem, pa, sizeof *value);
    if (!s) {
        return false;
    }
    memcpy(value, s->host + (pa - s->base), sizeof *value);
    return true;
}

static inline bool pe_mem_load64(const pe_mem *mem, uint64_t pa, uint64_t *value)
{
    const pe_mem_segment *s = pe_mem_find(mem, pa, sizeof *value);
    if (!s) {
        return false;
    }
    memcpy(value, s->host + (pa - s->base), sizeof *value);
    return true;
}

#endif
