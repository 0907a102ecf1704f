/* SPDX-License-Identifier: GPL-2.0-or-later
 * Guest physical memory: the ordered list of segments, and bounds-checked access across them. */
#include "mem/mem.h"

#include "error.h"
#include "mem/map.h"

#include <inttypes.h>
#include <stdlib.h>

#define GUEST_PAGE_MASK ((uint64_t)PE_PAGE_SIZE - 1)

pe_mem *pe_mem_new(pe_error *err)
{
    pe_mem *mem = calloc(1, sizeof *mem);
    if (!mem) {
        pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for a guest memory");
        return NULL;
    }
    mem->main_base = UINT64_MAX;
    return mem;
}

void pe_mem_free(pe_mem *mem)
{
    if (!mem) {
        return;
    }
    for (size_t i = 0; i < mem->count; i++) {
        pe_map_release(&mem->segments[i]);
    }
    free(mem->segments);
    free(mem);
}

/* First segment that ends after pa: where pa is, or where it would be inserted. */
static size_t lower_bound(const pe_mem *mem, uint64_t pa)
{
    size_t low = 0, high = mem->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const pe_mem_segment *s = &mem->segments[middle];
        if (s->base + s->size <= pa) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static pe_status check_place(const pe_mem *mem, uint64_t base, uint64_t size, uint32_t flags, pe_error *err)
{
    const uint64_t limit = UINT64_C(1) << PE_MEM_ADDRESS_BITS;
    if (base & GUEST_PAGE_MASK) {
        return pe_fail(err, PE_ERR_ARGUMENT, "segment base 0x%" PRIx64 " is not a multiple of 4096", base);
    }
    if (size == 0) {
        return pe_fail(err, PE_ERR_ARGUMENT, "segment at 0x%" PRIx64 " has size 0; at least one byte is needed", base);
    }
    if (base >= limit || size > limit - base) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "segment at 0x%" PRIx64 " of 0x%" PRIx64 " bytes ends above the 40-bit physical address space",
                       base, size);
    }
    if (flags & ~(uint32_t)PE_MEM_READONLY) {
        return pe_fail(err, PE_ERR_ARGUMENT, "segment flags 0x%" PRIx32 " are unknown; only PE_MEM_READONLY is", flags);
    }
    size_t at = lower_bound(mem, base);
    if (at < mem->count && mem->segments[at].base < base + size) {
        const pe_mem_segment *other = &mem->segments[at];
        return pe_fail(err, PE_ERR_OVERLAP,
                       "segment 0x%" PRIx64 "-0x%" PRIx64 " overlaps the segment 0x%" PRIx64 "-0x%" PRIx64, base,
                       base + size - 1, other->base, other->base + other->size - 1);
    }
    return PE_OK;
}

/* Room for one more, so that the insertion after a successful mapping cannot fail. */
static pe_status reserve(pe_mem *mem, pe_error *err)
{
    if (mem->count < mem->capacity) {
        return PE_OK;
    }
    size_t capacity = mem->capacity ? mem->capacity * 2 : 8;
    pe_mem_segment *grown = realloc(mem->segments, capacity * sizeof *grown);
    if (!grown) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for %zu segments", capacity);
    }
    mem->segments = grown;
    mem->capacity = capacity;
    return PE_OK;
}

static void insert(pe_mem *mem, const pe_mem_segment *segment)
{
    size_t at = lower_bound(mem, segment->base);
    memmove(&mem->segments[at + 1], &mem->segments[at], (mem->count - at) * sizeof *segment);
    mem->segments[at] = *segment;
    mem->count++;
    if (mem->main_base == UINT64_MAX || segment->size - sizeof(uint64_t) > mem->main_last) {
        mem->main_base = segment->base;
        mem->main_last = segment->size - sizeof(uint64_t);
        mem->main_host = segment->host;
    }
}

pe_status pe_mem_add_ram(pe_mem *mem, uint64_t base, uint64_t size, uint32_t flags, pe_error *err)
{
    if (size & GUEST_PAGE_MASK) {
        return pe_fail(err, PE_ERR_ARGUMENT, "RAM size 0x%" PRIx64 " is not a multiple of 4096", size);
    }
    pe_mem_segment segment = {.base = base, .size = size, .flags = flags};
    pe_status status = check_place(mem, base, size, flags, err);
    if (status == PE_OK) {
        status = reserve(mem, err);
    }
    if (status == PE_OK) {
        status = pe_map_ram(&segment, err);
    }
    if (status == PE_OK) {
        insert(mem, &segment);
    }
    return status;
}

pe_status pe_mem_add_file(pe_mem *mem, uint64_t base, const char *path, uint64_t offset, uint64_t size, uint32_t flags,
                          pe_error *err)
{
    pe_status status = check_place(mem, base, size, flags, err);
    if (status != PE_OK) {
        return status;
    }
    pe_mem_segment segment = {
        .base = base,
        .size = (size + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK,
        .flags = flags,
        .is_file = true,
        .file_size = size,
    };
    status = check_place(mem, base, segment.size, flags, err);
    if (status == PE_OK) {
        status = reserve(mem, err);
    }
    if (status == PE_OK) {
        status = pe_map_file(&segment, path, offset, err);
    }
    if (status == PE_OK) {
        insert(mem, &segment);
    }
    return status;
}

const pe_mem_segment *pe_mem_find(const pe_mem *mem, uint64_t pa, uint64_t len)
{
    size_t at = lower_bound(mem, pa);
    if (at == mem->count) {
        return NULL;
    }
    const pe_mem_segment *s = &mem->segments[at];
    uint64_t offset = pa - s->base;
    return offset < s->size && len <= s->size - offset ? s : NULL;
}

size_t pe_mem_segments(const pe_mem *mem, pe_segment *out, size_t max)
{
    for (size_t i = 0; i < mem->count && i < max; i++) {
        const pe_mem_segment *s = &mem->segments[i];
        out[i] = (pe_segment){.base = s->base, .size = s->size, .flags = s->flags};
    }
    return mem->count;
}

/* PE_OK when [pa, pa+len) is memory without a hole. */
static pe_status check_range(const pe_mem *mem, uint64_t pa, uint64_t len, const char *verb, pe_error *err)
{
    uint64_t at = pa, left = len;
    for (size_t i = lower_bound(mem, pa); left; i++) {
        if (i == mem->count || mem->segments[i].base > at) {
            return pe_fail(err, PE_ERR_RANGE,
                           "cannot %s 0x%" PRIx64 " bytes at 0x%" PRIx64 ": 0x%" PRIx64 " is outside guest memory",
                           verb, len, pa, at);
        }
        uint64_t here = mem->segments[i].size - (at - mem->segments[i].base);
        uint64_t step = left < here ? left : here;
        at += step;
        left -= step;
    }
    return PE_OK;
}

pe_status pe_mem_read(const pe_mem *mem, uint64_t pa, void *buf, uint64_t len, pe_error *err)
{
    pe_status status = check_range(mem, pa, len, "read", err);
    uint8_t *to = buf;
    for (size_t i = lower_bound(mem, pa); status == PE_OK && len; i++) {
        const pe_mem_segment *s = &mem->segments[i];
        uint64_t here = s->size - (pa - s->base);
        uint64_t step = len < here ? len : here;
        memcpy(to, s->host + (pa - s->base), step);
        to += step;
        pa += step;
        len -= step;
    }
    return status;
}

pe_status pe_mem_write(pe_mem *mem, uint64_t pa, const void *buf, uint64_t len, pe_error *err)
{
    pe_status status = check_range(mem, pa, len, "write", err);
    const uint8_t *from = buf;
    for (size_t i = lower_bound(mem, pa); status == PE_OK && len; i++) {
        const pe_mem_segment *s = &mem->segments[i];
        uint64_t here = s->size - (pa - s->base);
        uint64_t step = len < here ? len : here;
        memcpy(s->host + (pa - s->base), from, step);
        from += step;
        pa += step;
        len -= step;
    }
    return status;
}

uint8_t *pe_mem_host(const pe_mem *mem, uint64_t pa, uint64_t len)
{
    uint64_t offset = pa - mem->main_base;
    if (offset <= mem->main_last && len <= mem->main_last - offset) {
        return mem->main_host + offset;
    }
    const pe_mem_segment *s = pe_mem_find(mem, pa, len);
    return s ? s->host + (pa - s->base) : NULL;
}

bool pe_mem_load32_elsewhere(const pe_mem *mem, uint64_t pa, uint32_t *value)
{
    const uint8_t *host = pe_mem_host(mem, pa, sizeof *value);
    if (host) {
        memcpy(value, host, sizeof *value);
    }
    return host;
}

bool pe_mem_load64_elsewhere(const pe_mem *mem, uint64_t pa, uint64_t *value)
{
    const uint8_t *host = pe_mem_host(mem, pa, sizeof *value);
    if (host) {
        memcpy(value, host, sizeof *value);
    }
    return host;
}

size_t pe_mem_touched(const pe_mem *mem, uint64_t from, uint64_t *pages, size_t max)
{
    size_t found = 0;
    pe_pagemap map;
    pe_pagemap_open(&map);
    for (size_t i = lower_bound(mem, from); i < mem->count && found < max; i++) {
        const pe_mem_segment *s = &mem->segments[i];
        uint64_t start = from > s->base ? (from - s->base + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK : 0;
        found += pe_pagemap_scan(&map, s, start, pages + found, max - found);
    }
    pe_pagemap_close(&map);
    return found;
}

pe_status pe_mem_reset(pe_mem *mem, pe_error *err)
{
    for (size_t i = 0; i < mem->count; i++) {
        pe_status status = pe_map_reset(&mem->segments[i], err);
        if (status != PE_OK) {
            return status;
        }
    }
    return PE_OK;
}
