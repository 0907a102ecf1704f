/* SPDX-License-Identifier: GPL-2.0-or-later
 * Guest physical memory. */
#ifndef PYEMU_ABI_MEM_H
#define PYEMU_ABI_MEM_H

#include "abi/error.h"

#define PE_MEM_READONLY 1 /* the guest cannot write: flash */

typedef struct pe_mem pe_mem;
typedef struct pe_segment {
    uint64_t base;
    uint64_t size;
    uint32_t flags; /* PE_MEM_* */
} pe_segment;

pe_mem *pe_mem_new(pe_error *err);
void pe_mem_free(pe_mem *mem);
/* Sparse zero-filled RAM: costs what is touched.  base and size are multiples of 4096. */
pe_status pe_mem_add_ram(pe_mem *mem, uint64_t base, uint64_t size, uint32_t flags, pe_error *err);
/* A private (copy-on-write) view of a file; the tail of the last page reads as zero. */
pe_status pe_mem_add_file(pe_mem *mem, uint64_t base, const char *path, uint64_t offset, uint64_t size, uint32_t flags,
                          pe_error *err);
/* Up to max segments, ordered by base; returns how many there are. */
size_t pe_mem_segments(const pe_mem *mem, pe_segment *out, size_t max);
/* Host access: ignores PE_MEM_READONLY, may cross segments that touch.  PE_ERR_RANGE leaves buf or memory unchanged. */
pe_status pe_mem_read(const pe_mem *mem, uint64_t pa, void *buf, uint64_t len, pe_error *err);
pe_status pe_mem_write(pe_mem *mem, uint64_t pa, const void *buf, uint64_t len, pe_error *err);
/* Host pointer to [pa, pa+len), or NULL where that is not inside one segment. */
uint8_t *pe_mem_host(const pe_mem *mem, uint64_t pa, uint64_t len);
/* Addresses of pages at or above `from` that the host has backed (written at least once, or read), ascending; returns
 * the number stored, 0 at the end. */
size_t pe_mem_touched(const pe_mem *mem, uint64_t from, uint64_t *pages, size_t max);
/* Gives every touched page back to the host: all of RAM reads as zero again, file views as the file. */
pe_status pe_mem_reset(pe_mem *mem, pe_error *err);

#endif
