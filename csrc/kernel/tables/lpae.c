/* SPDX-License-Identifier: GPL-2.0-or-later
 * Bits of long descriptors as Linux uses them (asm/pgtable-3level.h, pgtable-3level-hwdef.h). */
#include "kernel/tables/lpae.h"

const struct pgtable_bits pgtable_lpae = {
    .present = LPAE_PRESENT,
    .valid = LPAE_PRESENT,
    .user = LPAE_USER,
    .young = LPAE_AF,
    .dirty = LPAE_DIRTY,
    .rdonly = LPAE_RDONLY,
    .xn = LPAE_XN,
    .special = LPAE_SPECIAL,
    .none = LPAE_NONE,
    .exclusive_swap = LPAE_AP2,
    .pfn = LPAE_ADDRESS,
    .kernel_page = LPAE_PRESENT | LPAE_MT_WRITEALLOC | LPAE_SHARED | LPAE_AF | LPAE_DIRTY | LPAE_XN,
    .user_page = LPAE_PRESENT | LPAE_MT_WRITEALLOC | LPAE_SHARED | LPAE_USER | LPAE_PXN,
    .pte_bytes = 8,
};

uint64_t lpae_hardware(uint64_t entry, uint64_t valid, bool global)
{
    if ((entry & (valid | LPAE_NONE)) == (valid | LPAE_NONE)) {
        entry &= ~(uint64_t)LPAE_VALID;
    }
    const bool writable = (entry & (LPAE_DIRTY | LPAE_RDONLY)) == LPAE_DIRTY;
    entry = writable ? entry & ~LPAE_AP2 : entry | LPAE_AP2;
    return global ? entry : entry | LPAE_NG;
}
