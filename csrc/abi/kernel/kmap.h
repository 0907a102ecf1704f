/* SPDX-License-Identifier: GPL-2.0-or-later
 * Windows. */
#ifndef PYEMU_ABI_KERNEL_KMAP_H
#define PYEMU_ABI_KERNEL_KMAP_H

#include "abi/kernel/memory.h"
#include "abi/kernel/context.h"

/* A window of a CPU, as guest RAM has it. */
typedef struct pe_kmap_slot {
    uint32_t va;
    uint64_t pte; /* 0: empty */
    uint64_t pfn;
    bool guard; /* stays empty: DEBUG_KMAP_LOCAL */
} pe_kmap_slot;

typedef struct pe_pkmap_slot {
    uint32_t va;
    uint32_t count; /* pkmap_count */
    uint64_t pte;
    uint64_t pfn;
} pe_pkmap_slot;

/* What the CPU that runs does, as its task.  A report of the model is no error; a mapping that fails has address 0: the
 * depth limit, a window that is in use, a lock that PE_REMEDY_TRYLOCK did not get.  PE_ERR_ARGUMENT where there is no
 * such frame. */
pe_status pe_kernel_kmap_local(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
void pe_kernel_kunmap_local(pe_kernel *kernel, uint32_t va);
pe_status pe_kernel_kmap_atomic(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
void pe_kernel_kunmap_atomic(pe_kernel *kernel, uint32_t va);
/* kmap(); with address 0 all slots are in use, and the task waits: it calls again once kunmap has woken it. */
pe_status pe_kernel_kmap(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
/* woken: room for max pids, those that kunmap wakes; count: how many it woke. */
pe_status pe_kernel_kunmap(pe_kernel *kernel, uint32_t pfn, uint32_t *woken, uint32_t max, uint32_t *count,
                           pe_error *err);
/* Who waits for a slot of PKMAP, first come first: up to max; returns how many. */
size_t pe_kernel_kmap_waiting(const pe_kernel *kernel, uint32_t *pids, size_t max);
/* 0: not mapped. */
pe_status pe_kernel_page_address(pe_kernel *kernel, uint32_t pfn, uint32_t *va, pe_error *err);
/* The windows of a CPU, slot 0 first: up to max; returns how many there are (KM_MAX_IDX; 0: no such CPU). */
size_t pe_kernel_kmap_slots(const pe_kernel *kernel, uint32_t cpu, pe_kmap_slot *out, size_t max);
/* The 512 slots of PKMAP, or 0 without highmem. */
size_t pe_kernel_pkmap_slots(const pe_kernel *kernel, pe_pkmap_slot *out, size_t max);

#endif
