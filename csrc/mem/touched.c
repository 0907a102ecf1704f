/* SPDX-License-Identifier: GPL-2.0-or-later
 * Which guest pages the host has backed: /proc/self/pagemap, or mincore where that file is not readable. */
#include "mem/map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE    (UINT64_C(1) << 61) /* a page of the file itself, so nobody wrote to it */

#define CHUNK 2048 /* host pages asked for at a time */

void pe_pagemap_open(pe_pagemap *map)
{
    map->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    map->host_page = (size_t)sysconf(_SC_PAGESIZE);
}

void pe_pagemap_close(pe_pagemap *map)
{
    if (map->fd >= 0) {
        close(map->fd);
    }
}

/* backed[i] for n host pages from host (aligned); pages of which nothing is known count as backed. */
static void query(const pe_pagemap *map, uint8_t *host, size_t n, bool *backed)
{
    uint64_t entries[CHUNK];
    unsigned char resident[CHUNK];
    off_t at = (off_t)((uintptr_t)host / map->host_page * sizeof entries[0]);
    if (map->fd >= 0 && pread(map->fd, entries, n * sizeof entries[0], at) == (ssize_t)(n * sizeof entries[0])) {
        for (size_t i = 0; i < n; i++) {
            backed[i] = (entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) && !(entries[i] & PAGEMAP_FILE);
        }
    } else if (mincore(host, n * map->host_page, resident) == 0) {
        for (size_t i = 0; i < n; i++) {
            backed[i] = resident[i] & 1;
        }
    } else {
        memset(backed, true, n);
    }
}

size_t pe_pagemap_scan(const pe_pagemap *map, const pe_mem_segment *segment, uint64_t start, uint64_t *pages,
                       size_t max)
{
    bool backed[CHUNK];
    size_t found = 0, page = map->host_page;
    uint64_t offset = start; /* of the next guest page in the segment */
    while (offset < segment->size && found < max) {
        uint8_t *first = segment->host + offset;
        uint8_t *aligned = (uint8_t *)((uintptr_t)first & ~(uintptr_t)(page - 1));
        uint8_t *map_end = (uint8_t *)segment->map + segment->map_size;
        size_t left = ((size_t)(map_end - aligned) + page - 1) / page;
        size_t n = left < CHUNK ? left : CHUNK;
        query(map, aligned, n, backed);
        uint8_t *queried_end = aligned + n * page;
        for (; offset < segment->size && found < max; offset += PE_PAGE_SIZE) {
            /* A guest page may straddle two host pages when a file view starts at an odd offset. */
            uint8_t *host = segment->host + offset;
            uint8_t *host_last = host + PE_PAGE_SIZE - 1;
            if (host_last >= queried_end && queried_end < map_end) {
                break;
            }
            size_t low = (size_t)(host - aligned) / page, high = (size_t)(host_last - aligned) / page;
            if (backed[low] || (high < n && backed[high])) {
                pages[found++] = segment->base + offset;
            }
        }
    }
    return found;
}
