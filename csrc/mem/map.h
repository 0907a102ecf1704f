/* SPDX-License-Identifier: GPL-2.0-or-later
 * The host side of a segment: mappings, and which of their pages the host has backed. */
#ifndef PYEMU_MEM_MAP_H
#define PYEMU_MEM_MAP_H

#include "mem/mem.h"

/* Fill map, map_size and host of a segment whose base, size, flags (and file_size) are set. */
pe_status pe_map_ram(pe_mem_segment *segment, pe_error *err);
pe_status pe_map_file(pe_mem_segment *segment, const char *path, uint64_t offset, pe_error *err);
void pe_map_release(pe_mem_segment *segment);
/* Drops every page that was written; the host address stays. */
pe_status pe_map_reset(pe_mem_segment *segment, pe_error *err);

typedef struct pe_pagemap {
    int fd; /* of /proc/self/pagemap; -1: ask mincore */
    size_t host_page;
} pe_pagemap;

void pe_pagemap_open(pe_pagemap *map);
void pe_pagemap_close(pe_pagemap *map);
/* Guest addresses of backed pages of a segment at or above offset start; returns how many were stored. */
size_t pe_pagemap_scan(const pe_pagemap *map, const pe_mem_segment *segment, uint64_t start, uint64_t *pages,
                       size_t max);

#endif
