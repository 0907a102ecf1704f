/* SPDX-License-Identifier: GPL-2.0-or-later
 * Memory above 4 GB through long descriptors: data, code and page tables there.  What the machine does not have is
 * skipped: a load from it must give a synchronous external abort.
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define GB 0x40000000ull /* 1 GB */

#define WINDOW      0x80000000u /* 4 KB pages */
#define BLOCK       0xc0000000u /* 2 MB blocks */
#define HIGH_TABLES 0xe0000000u /* where code of this blob writes tables that lie above 4 GB */

#define MOV_R0(n) (0xe3000000u | ((n) & 0xf000u) << 4 | ((n) & 0xfffu))
#define BX_LR     0xe12fff1eu

static uint64_t *root;

static volatile uint32_t *map_page(uint32_t slot, uint64_t pa, uint64_t rights)
{
    uint32_t va = WINDOW + slot * PAGE;
    *lpae_slot(root, va, 3) = 0;
    tlb_flush_page(va);
    *lpae_slot(root, va, 3) = (pa & ~0xfffull) | rights | LPAE_PAGE;
    dsb();
    return (volatile uint32_t *)va;
}

static volatile uint32_t *map_block(uint32_t slot, uint64_t pa, uint64_t rights)
{
    uint32_t va = BLOCK + slot * 2 * MB;
    *lpae_slot(root, va, 2) = 0;
    tlb_flush_page(va);
    *lpae_slot(root, va, 2) = (pa & ~0x1fffffull) | rights | LPAE_BLOCK;
    dsb();
    return (volatile uint32_t *)va;
}

static bool present(uint64_t pa)
{
    volatile uint32_t *at = map_page(0, pa, LPAE_RW);
    trap_begin();
    probe_read((uint32_t)at, 0);
    struct trap t = trap_end();
    if (t.count != 0 && (t.kind != TRAP_DABT || (t.dfsr & 0x23f) != 0x210))
        tap_bail("pa %llx: neither memory nor an external abort: dfsr %x", (unsigned long long)pa, (unsigned)t.dfsr);
    return t.count == 0;
}

/* ---- what each tested page must do ---- */

static void check_data(uint64_t pa)
{
    volatile uint32_t *page = map_page(1, pa, LPAE_RW);
    for (uint32_t i = 0; i < 1024; i++)
        page[i] = (uint32_t)(pa >> 12) * 31 + i;
    volatile uint32_t *block = map_block(0, pa, LPAE_RW) + ((uint32_t)pa & 0x1ff000) / 4;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 1024; i++)
        bad += block[i] != (uint32_t)(pa >> 12) * 31 + i;
    tap_equal(bad, 0, "%llx: a page written through a 4 KB mapping reads through a 2 MB one", (unsigned long long)pa);
    *(volatile uint64_t *)page = 0x1122334455667788ull;
    volatile uint8_t *bytes = (volatile uint8_t *)block;
    tap_ok(bytes[0] == 0x88 && bytes[7] == 0x11, "%llx: doublewords and bytes agree", (unsigned long long)pa);
    uint32_t old = page[2];
    uint32_t failed;
    __asm__ volatile("1: ldrex r3, [%1]\n\tadd r3, r3, #1\n\tstrex %0, r3, [%1]\n\tcmp %0, #0\n\tbne 1b"
                     : "=&r"(failed)
                     : "r"(&page[2])
                     : "r3", "cc", "memory");
    tap_equal(block[2], old + 1, "%llx: LDREX and STREX", (unsigned long long)pa);
}

/* Code is written through one mapping and run through another, again and again. */
static void check_code(uint64_t pa)
{
    volatile uint32_t *write = map_page(1, pa, LPAE_RW | LPAE_XN);
    uint32_t run = (uint32_t)map_page(2, pa, LPAE_RX);
    uint32_t run_block = (uint32_t)map_block(0, pa, LPAE_RX) + ((uint32_t)pa & 0x1ff000);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 50; i++) {
        write[100] = i; /* the first store to the page is not the one that matters */
        write[4] = MOV_R0(i * 3 + 1);
        write[5] = BX_LR;
        code_sync();
        bad += probe_fetch(run + 16, 0) != i * 3 + 1;
        bad += probe_fetch(run_block + 16, 0) != i * 3 + 1;
    }
    tap_equal(bad, 0, "%llx: code runs there and sees 50 changes", (unsigned long long)pa);
    bad = 0;
    for (uint32_t i = 0; i < 10; i++)
        bad += user_call((uint32_t)probe_fetch, run + 16, 0) != 49 * 3 + 1;
    tap_equal(bad, 0, "%llx: user mode runs it too", (unsigned long long)pa);
}

/* A level 3 table, and a level 2 table, above 4 GB. */
static void check_tables(uint64_t pa)
{
    volatile uint64_t *table = (volatile uint64_t *)map_page(1, pa, LPAE_RW);
    for (uint32_t i = 0; i < 512; i++)
        table[i] = (CLEAR + (i % 8) * PAGE) | LPAE_RW | LPAE_PAGE;
    for (uint32_t i = 0; i < 8; i++)
        *(volatile uint32_t *)(CLEAR + i * PAGE) = 0x7000 + i;
    uint64_t *l2 = lpae_slot(root, HIGH_TABLES, 2);
    *l2 = pa | LPAE_TABLE;
    tlb_flush_all();
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 512; i++)
        bad += *(volatile uint32_t *)(HIGH_TABLES + i * PAGE) != 0x7000 + i % 8;
    tap_equal(bad, 0, "%llx: a level 3 table there translates 512 pages", (unsigned long long)pa);
    table[5] = 0;
    tlb_flush_page(HIGH_TABLES + 5 * PAGE);
    trap_begin();
    probe_write(HIGH_TABLES + 5 * PAGE + 0x18, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 1 && (t.dfsr & 0xa3f) == 0xa07 && t.dfar == HIGH_TABLES + 5 * PAGE + 0x18,
           "%llx: an empty entry of it faults at level 3", (unsigned long long)pa);
    *l2 = 0;
    uint64_t l1 = root[3];
    /* the window stays in gigabyte 2; gigabyte 3 goes through a level 2 table above 4 GB */
    for (uint32_t i = 0; i < 512; i++)
        table[i] = i % 2 ? 0 : (CLEAR + 2 * MB) | LPAE_RW | LPAE_BLOCK;
    *(volatile uint32_t *)(CLEAR + 2 * MB + 0x40) = 0x8888;
    root[3] = pa | LPAE_TABLE;
    tlb_flush_all();
    tap_equal(*(volatile uint32_t *)(0xc0000040), 0x8888, "%llx: a level 2 table there translates",
              (unsigned long long)pa);
    trap_begin();
    probe_read(0xc0200000, 0);
    t = trap_end();
    tap_ok(t.count == 1 && (t.dfsr & 0x23f) == 0x206, "%llx: an empty entry of it faults at level 2",
           (unsigned long long)pa);
    root[3] = l1;
    tlb_flush_all();
}

/* The root itself above 4 GB: TTBR0 has 40 bits. */
static void check_root(uint64_t pa)
{
    volatile uint64_t *high = (volatile uint64_t *)map_page(1, pa, LPAE_RW);
    for (uint32_t i = 0; i < 4; i++)
        high[i + 4] = root[i];
    high[7] = (RAM + 0) | LPAE_RW | LPAE_XN | LPAE_BLOCK; /* a 1 GB block that the low root does not have */
    uint64_t low = read_ttbr0_64();
    *(volatile uint32_t *)CLEAR = 0x9999;
    write_ttbr0_64(pa + 32);
    isb();
    tlb_flush_all();
    uint32_t value = *(volatile uint32_t *)(0xc0000000 + (CLEAR - RAM));
    uint64_t ttbr = read_ttbr0_64();
    write_ttbr0_64(low);
    isb();
    tlb_flush_all();
    tap_equal(value, 0x9999, "%llx: a level 1 table there, by TTBR0", (unsigned long long)pa);
    tap_equal(ttbr, pa + 32, "%llx: TTBR0 reads back all its bits", (unsigned long long)pa);
}

/* The same low 32 bits, different memory. */
static void check_no_truncation(uint64_t high)
{
    uint32_t low = (uint32_t)high;
    if (!present(high)) {
        tap_skip("no memory there", "%llx: not the same memory as %x", (unsigned long long)high, (unsigned)low);
        return;
    }
    volatile uint32_t *page = map_page(1, high, LPAE_RW);
    *(volatile uint32_t *)low = 0x10001;
    page[0] = 0x20002;
    dsb();
    tap_ok(*(volatile uint32_t *)low == 0x10001 && page[0] == 0x20002, "%llx: not the same memory as %x",
           (unsigned long long)high, (unsigned)low);
}

/* Hundreds of pages spread over all there is: each keeps its own value. */
static void check_spread(void)
{
    uint64_t end = 4 * GB;
    while (present(end))
        end += 16 * MB;
    if (end == 4 * GB) {
        tap_skip("no memory there", "pages between 4 GB and the end of memory");
        return;
    }
    uint32_t bad = 0, count = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        count = 0;
        for (uint64_t pa = 4 * GB; pa < end; pa += 0x1234000, count++) {
            volatile uint32_t *page = map_page(3 + count % 64, pa, LPAE_RW);
            if (pass == 0)
                page[count % 1024] = count ^ 0x55aa55aa;
            else
                bad += page[count % 1024] != (count ^ 0x55aa55aa);
        }
    }
    tap_ok(bad == 0 && count > 0, "%u pages between 4 GB and the end of memory keep their values", (unsigned)count);
}

static const uint64_t places[] = {
    0x0ffe00000ull,                                 /* the last 2 MB below 4 GB */
    0x100000000ull,                                 /* the first page above */
    0x140000000ull,                                 /* RAM offset 4 GB */
    0x17ffff000ull, 0x1c0201000ull, 0x23ffff000ull, /* the last page of 8 GB */
    0x240000000ull,                                 /* needs more than 8 GB */
    0x43ffff000ull,                                 /* the last page of 16 GB */
};

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    for (uint32_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint64_t pa = places[i];
        if (!present(pa)) {
            tap_skip("no memory there", "%llx: data, code and tables", (unsigned long long)pa);
            continue;
        }
        check_data(pa);
        check_code(pa);
        check_tables(pa);
        check_root(pa);
    }
    for (uint64_t gib4 = 1; gib4 <= 3; gib4++)
        check_no_truncation(gib4 << 32 | 0x45678000);
    check_spread();
    return tap_finish();
}
