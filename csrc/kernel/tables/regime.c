/* SPDX-License-Identifier: GPL-2.0-or-later
 * The registers with which Linux' tables are walked (arch/arm/mm/proc-v7-3level.S, proc-v7-2level.S). */
#include "kernel/kernel.h"

#define TTBCR_EAE        0x80000000u
#define TTBCR_SMP_TTBR0  0x00003500u /* inner shareable, write-back write-allocate */
#define TTBCR_SMP_TTBR1  0x35000000u
#define TTBCR_T1SZ_SHIFT 16
#define TTBR_SMP         0x6au /* of short descriptors: shareable, write-back write-allocate */

#define DACR_CLIENT_ALL 0x55u /* kernel, user, I/O, vectors; user mode */

static const pe_regime LPAE = {
    .sctlr = 0x30c5387d, /* as Linux leaves it on a Cortex-A15: M, C, I, Z, V, HA, U, XP, TRE, AFE */
    .ttbcr = TTBCR_EAE | TTBCR_SMP_TTBR0 | TTBCR_SMP_TTBR1,
    .dacr = 0xfffffffd,
    .mair0 = 0xeeaa4400,
    .mair1 = 0xff000004,
};

static const pe_regime CLASSIC = {
    .sctlr = 0x10c5387d,
    .dacr = DACR_CLIENT_ALL,
    .mair0 = 0xff0a81a8, /* PRRR */
    .mair1 = 0x40e040e0, /* NMRR */
};

/* asm/pgtable-3level-hwdef.h, TTBR1_SIZE and TTBR1_OFFSET. */
static void split(const struct pe_kernel *k, uint32_t *t1sz, uint32_t *offset)
{
    static const struct {
        uint8_t t1sz;
        uint16_t offset;
    } by_slot[4] = {{0, 0}, {0, 0}, {1, 16}, {2, 4096 * (1 + 3)}};
    const uint32_t slot = k->config.flags & PE_KERNEL_TTBR0_PAN ? 0 : k->layout.page_offset >> 30;
    *t1sz = by_slot[slot].t1sz;
    *offset = by_slot[slot].offset;
}

void regime_of(const struct pe_kernel *k, const struct mm *mm, pe_regime *out)
{
    const uint64_t swapper = k->layout.swapper_pa;
    const uint64_t pgd = mm ? mm->pgd_pa : swapper;
    const uint64_t asid = mm ? mm->context_id & 0xff : 0;
    if (k->config.tables == PE_TABLES_LPAE) {
        uint32_t t1sz, offset;
        split(k, &t1sz, &offset);
        *out = LPAE;
        out->ttbcr |= t1sz << TTBCR_T1SZ_SHIFT;
        out->ttbr0 = pgd | asid << 48;
        out->ttbr1 = swapper + offset;
        return;
    }
    *out = CLASSIC;
    out->ttbr0 = pgd | TTBR_SMP;
    out->ttbr1 = swapper | TTBR_SMP;
    out->contextidr = (uint32_t)asid;
}
