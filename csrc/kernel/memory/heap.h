/* SPDX-License-Identifier: GPL-2.0-or-later
 * The model's own memory on the host: struct page, tasks, areas.
 *
 * A model that hosts programs takes all of it from one range of addresses, so that a checkpoint is a copy of the range
 * and going back needs no pointer changed.  Any other model takes it from the host's allocator. */
#ifndef PYEMU_KERNEL_HEAP_H
#define PYEMU_KERNEL_HEAP_H

#include "pyemu.h"

#define HEAP_CLASSES 40

struct heap {
    uint8_t *base; /* NULL: the host's allocator */
    uint64_t room, used;
    uint64_t free[HEAP_CLASSES]; /* by log2 of their size: offset of the first free block, which holds the next; 0 */
};

pe_status heap_init(struct pe_kernel *k, pe_error *err);
void heap_release(struct pe_kernel *k);

/* Zeroed; NULL where there is no memory. */
void *heap_alloc(struct pe_kernel *k, size_t count, size_t bytes);
/* The same with what `old` held, which is given back; `old` stays where there is no memory. */
void *heap_grow(struct pe_kernel *k, void *old, size_t old_bytes, size_t bytes);
void heap_free(struct pe_kernel *k, void *block);

/* The state of a model that hosts programs, all but guest memory: a block of malloc.  NULL: err says why not. */
void *heap_save(struct pe_kernel *k, size_t *bytes, pe_error *err);
void heap_load(struct pe_kernel *k, const void *state);

#endif
