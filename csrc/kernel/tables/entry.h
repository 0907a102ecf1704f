/* SPDX-License-Identifier: GPL-2.0-or-later
 * Loads and stores of entries by host address, without a bill. */
#ifndef PYEMU_KERNEL_ENTRY_H
#define PYEMU_KERNEL_ENTRY_H

#include "kernel/kernel.h"

/* index: 0 to 511, host: of entry 0. */
pteval_t pte_load(const struct pe_kernel *k, const uint8_t *host, uint32_t index);
void pte_store(const struct pe_kernel *k, uint8_t *host, uint32_t index, pteval_t pte, bool global);

static inline uint64_t load64(const uint8_t *host)
{
    uint64_t value;
    memcpy(&value, host, sizeof value);
    return value;
}

static inline void store64(uint8_t *host, uint64_t value)
{
    memcpy(host, &value, sizeof value);
}

static inline void store32(uint8_t *host, uint32_t value)
{
    memcpy(host, &value, sizeof value);
}

/* The words of a pair of the first level that point to a PTE page's two hardware tables. */
void classic_pmd_store(uint8_t *host, uint64_t table_pa, uint32_t bits);

#endif
