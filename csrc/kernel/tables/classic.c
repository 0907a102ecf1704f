/* SPDX-License-Identifier: GPL-2.0-or-later
 * Bits of short descriptors as Linux uses them (asm/pgtable-2level.h, pgtable-2level-hwdef.h). */
#include "kernel/tables/classic.h"

const struct pgtable_bits pgtable_classic = {
    .present = CLASSIC_PRESENT,
    .valid = CLASSIC_PRESENT,
    .user = CLASSIC_USER,
    .young = CLASSIC_YOUNG,
    .dirty = CLASSIC_DIRTY,
    .rdonly = CLASSIC_RDONLY,
    .xn = CLASSIC_XN,
    .special = 0,
    .none = CLASSIC_NONE,
    .exclusive_swap = UINT64_C(1) << 7,
    .pfn = CLASSIC_ADDRESS,
    .kernel_page =
        CLASSIC_PRESENT | CLASSIC_YOUNG | CLASSIC_MT_WRITEALLOC | CLASSIC_DIRTY | CLASSIC_XN | CLASSIC_SHARED,
    .user_page = CLASSIC_PRESENT | CLASSIC_MT_WRITEALLOC | CLASSIC_USER | CLASSIC_SHARED,
    .pte_bytes = 4,
};

/* Hardware bits of a small page (ARM DDI 0406C B3.5.1) */
#define HW_XN    0x001u
#define HW_SMALL 0x002u
#define HW_AP0   0x010u
#define HW_AP1   0x020u
#define HW_TEX0  0x040u
#define HW_APX   0x200u
#define HW_NG    0x800u

uint32_t classic_hardware(uint32_t pte, bool global)
{
    if ((pte & (CLASSIC_YOUNG | CLASSIC_PRESENT | CLASSIC_NONE)) != (CLASSIC_YOUNG | CLASSIC_PRESENT)) {
        return 0;
    }
    /* B, C, S and the address are where Linux has them. */
    uint32_t hw = (pte & (CLASSIC_ADDRESS | CLASSIC_SHARED | 0xcu)) | HW_SMALL | HW_AP0;
    hw |= pte & 0x10u ? HW_TEX0 : 0;
    hw |= (pte & (CLASSIC_DIRTY | CLASSIC_RDONLY)) == CLASSIC_DIRTY ? 0 : HW_APX;
    hw |= pte & CLASSIC_USER ? HW_AP1 : 0;
    hw |= pte & CLASSIC_XN ? HW_XN : 0;
    return hw | (global ? 0 : HW_NG);
}
