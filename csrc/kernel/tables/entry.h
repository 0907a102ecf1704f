/* SPDX-License-Identifier: GPL-2.0-or-later
 * Loads and stores of entries by host address, without a bill. */
#ifndef PYEMU_KERNEL_ENTRY_H
#define PYEMU_KERNEL_ENTRY_H

#include "kernel/kernel.h"

/* index: 0 to 511, host: of entry 0. */
pteval_t pte_load(const struct pe_kernel *k, const uint8_t *host, uint32_t index);
void pte_store(struct pe_kernel *k, uint8_t *host, uint32_t index, pteval_t pte, bool global);

static inline uint64_t load64(const uint8_t *host)
{
    uint64_t value;
    memcpy(&value, host, sizeof value);
    return value;
}

/* A store to an entry: whoever looks learns of it. */
static inline void store64(struct pe_kernel *k, uint8_t *host, uint64_t value)
{
    if (is_observed(k)) {
        observe_entry(k, host, sizeof value, value);
    }
    memcpy(host, &value, sizeof value);
}

static inline void store32(struct pe_kernel *k, uint8_t *host, uint32_t value)
{
    if (is_observed(k)) {
        observe_entry(k, host, sizeof value, value);
    }
    memcpy(host, &value, sizeof value);
}

/* A load of an entry, behind its bill. */
static inline void trace_entry(struct pe_kernel *k, uint32_t va, uint64_t pa, uint8_t level, uint64_t value)
{
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = PE_TRACE_READ, .code = level, .va = va, .pa = pa, .value = value});
    }
}

/* The words of a pair of the first level that point to a PTE page's two hardware tables. */
void classic_pmd_store(struct pe_kernel *k, uint8_t *host, uint64_t table_pa, uint32_t bits);

#endif
