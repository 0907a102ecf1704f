/* SPDX-License-Identifier: GPL-2.0-or-later
 * Page tables from a fixed pool, and the order of writes that turns the MMU on and off.
 */
#include "mmu.h"

#include <stdbool.h>
#include <stddef.h>

#include "tap.h"

#define POOL       0x40200000u
#define POOL_PAGES 512

extern const char __text_start[], __text_end[];

static uint32_t pool_used;

static void *take_pages(uint32_t count, uint32_t align)
{
    uint32_t first = (pool_used + align - 1) & ~(align - 1);
    if (first + count > POOL_PAGES)
        tap_bail("no pages left for tables");
    pool_used = first + count;
    uint32_t *words = (uint32_t *)(POOL + first * PAGE);
    for (uint32_t i = 0; i < count * PAGE / 4; i++)
        ((volatile uint32_t *)words)[i] = 0;
    return words;
}

void mmu_forget_tables(void)
{
    pool_used = 0;
}

static bool is_text(uint32_t pa)
{
    return pa >= (uint32_t)__text_start && pa < (uint32_t)__text_end;
}

uint64_t *lpae_new(void)
{
    return take_pages(1, 1);
}

uint64_t *lpae_slot(uint64_t *root, uint32_t va, unsigned level)
{
    uint64_t *entry = &root[va >> 30];
    for (unsigned l = 2; l <= level; l++) {
        if (*entry == 0)
            *entry = (uint32_t)take_pages(1, 1) | LPAE_TABLE;
        if ((*entry & 3) != LPAE_TABLE)
            tap_bail("a block at level %u is in the way of va %08x", l - 1, (unsigned)va);
        uint64_t *table = (uint64_t *)(uint32_t)(*entry & 0xfffff000);
        entry = &table[l == 2 ? (va >> 21) & 511 : (va >> 12) & 511];
    }
    return entry;
}

void lpae_map_identity(uint64_t *root)
{
    root[0] = LPAE_DEVICE | LPAE_AP1 | LPAE_BLOCK;
    for (uint32_t pa = RAM + 2 * MB; pa < 2 * RAM; pa += 2 * MB)
        *lpae_slot(root, pa, 2) = pa | LPAE_RW | LPAE_XN | LPAE_BLOCK;
    for (uint32_t pa = RAM; pa < RAM + 2 * MB; pa += PAGE)
        *lpae_slot(root, pa, 3) = pa | (is_text(pa) ? LPAE_RX : LPAE_RW | LPAE_XN) | LPAE_PAGE;
}

void lpae_enable(const uint64_t *root)
{
    mmu_disable();
    write_mair0(LPAE_MAIR0);
    write_mair1(LPAE_MAIR1);
    write_ttbcr(LPAE_TTBCR);
    write_ttbr0_64((uint32_t)root);
    write_ttbr1_64((uint32_t)root);
    isb();
    tlb_flush_all();
    write_sctlr(read_sctlr() | SCTLR_M | SCTLR_C | SCTLR_I);
    isb();
}

uint32_t *short_new(void)
{
    return take_pages(4, 4);
}

uint32_t *short_l2(uint32_t *root, uint32_t va)
{
    uint32_t *entry = short_l1(root, va);
    if (*entry == 0)
        *entry = (uint32_t)take_pages(1, 1) | SHORT_TABLE;
    if ((*entry & 3) != SHORT_TABLE)
        tap_bail("a section is in the way of va %08x", (unsigned)va);
    uint32_t *table = (uint32_t *)(*entry & 0xfffffc00);
    return &table[(va >> 12) & 255];
}

void short_map_identity(uint32_t *root)
{
    for (uint32_t pa = 0; pa < RAM; pa += MB)
        *short_l1(root, pa) =
            pa | SHORT_SECTION | SHORT_SECTION_DEVICE | SHORT_SECTION_XN | SHORT_SECTION_AP(SHORT_AP_RW);
    for (uint32_t pa = RAM + 2 * MB; pa < 2 * RAM; pa += MB)
        *short_l1(root, pa) =
            pa | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_XN | SHORT_SECTION_AP(SHORT_AP_RW);
    for (uint32_t pa = RAM; pa < RAM + 2 * MB; pa += PAGE) {
        uint32_t rights = is_text(pa) ? SHORT_PAGE_AP(SHORT_AP_RO) : SHORT_PAGE_AP(SHORT_AP_RW) | SHORT_SMALL_XN;
        *short_l2(root, pa) = pa | SHORT_SMALL | SHORT_SMALL_NORMAL | rights;
    }
}

void short_enable(const uint32_t *root)
{
    mmu_disable();
    write_ttbcr(0);
    write_ttbr0((uint32_t)root);
    write_ttbr1((uint32_t)root);
    write_contextidr(0);
    write_dacr(SHORT_DOMAIN_CLIENT0);
    isb();
    tlb_flush_all();
    write_sctlr(read_sctlr() | SCTLR_M | SCTLR_C | SCTLR_I);
    isb();
}

void mmu_disable(void)
{
    dsb();
    write_sctlr(read_sctlr() & ~(SCTLR_M | SCTLR_A | SCTLR_WXN | SCTLR_UWXN | SCTLR_TRE | SCTLR_AFE));
    isb();
    write_ttbcr(0);
    isb();
    tlb_flush_all();
}
