/* SPDX-License-Identifier: GPL-2.0-or-later
 * Long-descriptor bring-up: 1 GB, 2 MB and 4 KB mappings, TTBR0/TTBR1 split by T0SZ and T1SZ.
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define VA_1G 0x80000000u
#define VA_2M 0xc0000000u
#define VA_4K 0xc1000000u

static uint64_t *root;

struct mapping {
    const char *name;
    uint32_t va, pa;
    unsigned level;
    uint64_t type;
    uint32_t size;
};

static const struct mapping mappings[] = {
    {"1 GB block", VA_1G, RAM, 1, LPAE_BLOCK, 0x40000000},
    {"2 MB block", VA_2M, CLEAR, 2, LPAE_BLOCK, 2 * MB},
    {"2 MB block that descends", VA_2M + 2 * MB, CLEAR, 2, LPAE_BLOCK, 2 * MB},
    {"4 KB page", VA_4K, CLEAR + 0x3000, 3, LPAE_PAGE, PAGE},
    {"last 4 KB page of a table", VA_4K + 0x1ff000, CLEAR, 3, LPAE_PAGE, PAGE},
    {"last 4 KB page of the address space", 0xfffff000, CLEAR + 0x7000, 3, LPAE_PAGE, PAGE},
    {"last 2 MB block of the address space but one", 0xffc00000, CLEAR, 2, LPAE_BLOCK, 2 * MB},
};
#define N_MAPPINGS (sizeof mappings / sizeof mappings[0])

static volatile uint32_t *word(uint32_t address)
{
    return (volatile uint32_t *)address;
}

static void check_mapping(const struct mapping *m)
{
    static const uint32_t offsets[] = {0, 4, 0xffc, 0x1000, 0x1ffffc, 0x400000, 0x7fffffc};
    uint32_t bad = 0, tried = 0;
    for (uint32_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        /* the 1 GB block covers the image: stay above it */
        uint32_t offset = m->level == 1 ? CLEAR - RAM + (offsets[i] & 0xffffff) : offsets[i];
        if (offset >= m->size)
            continue;
        *word(m->pa + offset) = 0xa0000000 + i;
        dsb();
        bad += *word(m->va + offset) != 0xa0000000 + i;
        *word(m->va + offset) = 0xb0000000 + i;
        dsb();
        bad += *word(m->pa + offset) != 0xb0000000 + i;
        tried++;
    }
    tap_ok(bad == 0 && tried > 0, "%s: %u words agree with the identity map", m->name, (unsigned)tried);
}

static uint32_t return_7(void)
{
    return 7;
}

static void check_mappings(void)
{
    for (uint32_t i = 0; i < N_MAPPINGS; i++) {
        const struct mapping *m = &mappings[i];
        *lpae_slot(root, m->va, m->level) = m->pa | LPAE_RW | m->type;
    }
    tlb_flush_all();
    for (uint32_t i = 0; i < N_MAPPINGS; i++)
        check_mapping(&mappings[i]);
    tap_equal(probe_fetch(VA_1G + ((uint32_t)return_7 - RAM), 0), 7, "code runs through the 1 GB block");
    *lpae_slot(root, VA_4K + 0x10000, 3) = ((uint32_t)return_7 & ~0xfffu) | LPAE_RX | LPAE_PAGE;
    tlb_flush_all();
    tap_equal(probe_fetch(VA_4K + 0x10000 + ((uint32_t)return_7 & 0xfff), 0), 7, "code runs through a 4 KB page");
}

static void check_ignored_bits(void)
{
    uint32_t va = VA_4K + 0x20000;
    /* bits 55 to 58 belong to software; the contiguous hint (52) may be ignored; a block ignores output bits below its
     * size */
    *lpae_slot(root, va, 3) = CLEAR | LPAE_RW | LPAE_PAGE | 0x0780000000000000ull;
    *lpae_slot(root, VA_2M + 8 * MB, 2) = (CLEAR + 2 * MB) | LPAE_RW | LPAE_BLOCK | 0x0780000000000000ull;
    tlb_flush_all();
    *word(CLEAR) = 0x11;
    *word(CLEAR + 2 * MB) = 0x22;
    tap_equal(*word(va), 0x11, "a page ignores the software bits 58:55");
    tap_equal(*word(VA_2M + 8 * MB), 0x22, "a block ignores the software bits 58:55");
}

/* Like Linux with a 3 GB user space: TTBR1 starts its walk at level 2 for the top gigabyte. */
static void check_linux_split(void)
{
    uint64_t *l2 = lpae_new();
    for (uint32_t i = 0; i < 512; i++)
        l2[i] = (CLEAR + 4 * MB + (i % 8) * 2 * MB) | LPAE_RW | LPAE_BLOCK;
    write_ttbr1_64((uint32_t)l2);
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(2));
    isb();
    tlb_flush_all();
    *word(CLEAR + 4 * MB) = 0x1001;
    *word(CLEAR + 18 * MB) = 0x1002;
    *word(CLEAR) = 0x1003;
    tap_equal(*word(0xc0000000), 0x1001, "T1SZ 2: c0000000 is the first entry of TTBR1's level 2 table");
    tap_equal(*word(0xffe00000), 0x1002, "T1SZ 2: ffe00000 is its last entry");
    tap_equal(*word(VA_1G + CLEAR - RAM), 0x1003, "T1SZ 2: below c0000000 TTBR0 translates");
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(2) | TTBCR_EPD1);
    isb();
    tlb_flush_all();
    trap_begin();
    probe_read(0xc0000000, 0);
    struct trap t = trap_end();
    tap_ok(t.kind == TRAP_DABT && (t.dfsr & 0x23f) == 0x205, "EPD1: a translation fault at level 1 instead of a walk");
    tap_equal(*word(VA_1G + CLEAR - RAM), 0x1003, "EPD1: TTBR0 still translates");
    write_ttbcr(LPAE_TTBCR);
    isb();
    tlb_flush_all();
}

/* T0SZ 1, T1SZ 1: both halves start at level 1 with a table of two entries. */
static void check_half_split(void)
{
    uint64_t *l1 = lpae_new();
    *lpae_slot(l1, 0x00000000, 2) = (CLEAR + 6 * MB) | LPAE_RW | LPAE_BLOCK;
    *lpae_slot(l1, 0x7fe00000, 2) = (CLEAR + 8 * MB) | LPAE_RW | LPAE_BLOCK;
    /* a base that is aligned to 16 bytes only, as a table of two entries may be */
    uint64_t *at16 = lpae_new() + 2;
    at16[0] = l1[0];
    at16[1] = l1[1];
    write_ttbr1_64((uint32_t)at16);
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(1) | TTBCR_T0SZ(1));
    isb();
    tlb_flush_all();
    *word(CLEAR + 6 * MB) = 0x2001;
    *word(CLEAR + 8 * MB) = 0x2002;
    tap_equal(*word(0x80000000), 0x2001, "T0SZ 1, T1SZ 1: 80000000 is TTBR1's first gigabyte");
    tap_equal(*word(0xffe00000), 0x2002, "T0SZ 1, T1SZ 1: ffe00000 is its last block");
    write_ttbcr(LPAE_TTBCR);
    isb();
    tlb_flush_all();
}

/* ---- every split, by address translation: split_run lies at a low address that all of them leave to TTBR0 ---- */

#define OUT0 0x1000000000ull /* where the tables of TTBR0 and TTBR1 send what is not the image */
#define OUT1 0x2000000000ull

struct split {
    uint32_t ttbcr, n;
    uint64_t ttbr0, ttbr1;
    uint64_t old_ttbr0, old_ttbr1;
    uint32_t old_ttbcr;
    uint32_t va[16];
    uint64_t par[16];
};

extern const char split_code[];
_Static_assert(__builtin_offsetof(struct split, va) == 44 && __builtin_offsetof(struct split, par) == 112,
               "lpae_asm.S");
void split_run(uint32_t function, struct split *s);

static struct split split;

static uint64_t *tables[2][4];

static void make_split_tables(void)
{
    for (uint32_t t = 0; t < 2; t++) {
        for (uint32_t g = 0; g < 4; g++) {
            tables[t][g] = lpae_new();
            for (uint32_t i = 0; i < 512; i++)
                tables[t][g][i] =
                    ((t ? OUT1 : OUT0) + (uint64_t)g * 0x40000000 + (uint64_t)i * 2 * MB) | LPAE_RW | LPAE_BLOCK;
        }
    }
    for (uint32_t i = 0; i < 16; i++)
        tables[0][0][i] = (RAM + i * 2 * MB) | LPAE_RW | LPAE_BLOCK;
}

/* The base for a table that translates 32 - tsz bits, and that serves its gigabytes with our level 2 tables. */
static uint64_t split_base(uint32_t ttbr, uint32_t tsz, uint64_t *level1)
{
    if (tsz >= 2)
        return (uint32_t)tables[ttbr][0];
    for (uint32_t g = 0; g < 4; g++)
        level1[g] = (uint32_t)tables[ttbr][g] | LPAE_TABLE;
    return (uint32_t)level1;
}

enum side { GAP, BY_TTBR0, BY_TTBR1 };

static enum side side_of(uint32_t va, uint32_t t0, uint32_t t1)
{
    uint32_t last0 = 0xffffffffu >> t0, first1 = ~(0xffffffffu >> t1);
    if (t1 == 0)
        return t0 != 0 && va > last0 ? BY_TTBR1 : BY_TTBR0;
    if (va >= first1)
        return BY_TTBR1;
    return va <= last0 ? BY_TTBR0 : GAP;
}

static bool par_is(uint64_t par, uint32_t va, uint32_t t0, uint32_t t1, uint32_t epd)
{
    enum side side = side_of(va, t0, t1);
    if (side == GAP || (side == BY_TTBR0 && (epd & 1)) || (side == BY_TTBR1 && (epd & 2)))
        return (par & 0x87f) == (0x801 | 5 << 1);
    uint32_t tsz = side == BY_TTBR1 ? t1 : t0;
    uint32_t offset = tsz ? va & (0xffffffffu >> tsz) : va;
    uint64_t pa = (side == BY_TTBR1 ? OUT1 : OUT0) + offset;
    if (side == BY_TTBR0 && offset < 32 * MB)
        pa = RAM + offset;
    return (par & 1) == 0 && (par & 0xfffffff000ull) == (pa & 0xfffffff000ull);
}

static void fill_addresses(uint32_t t0, uint32_t t1)
{
    uint32_t last0 = 0xffffffffu >> t0, first1 = ~(0xffffffffu >> t1);
    const uint32_t va[] = {0,          0x01fff000, 0x02000000, last0,      last0 + 1,  first1,     first1 - 1,
                           0xffffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xbfffffff, 0xc0000000, 0xfe000000};
    split.n = sizeof va / sizeof va[0];
    for (uint32_t i = 0; i < split.n; i++)
        split.va[i] = va[i];
}

static void run_split(uint32_t t0, uint32_t t1, uint32_t epd, uint64_t *level1[2])
{
    fill_addresses(t0, t1);
    split.ttbcr =
        LPAE_TTBCR | TTBCR_T0SZ(t0) | TTBCR_T1SZ(t1) | (epd & 1 ? TTBCR_EPD0 : 0) | (epd & 2 ? TTBCR_EPD1 : 0);
    split.ttbr0 = split_base(0, t0, level1[0]);
    split.ttbr1 = split_base(1, t1, level1[1]);
    split.old_ttbr0 = split.old_ttbr1 = (uint32_t)root;
    split.old_ttbcr = LPAE_TTBCR;
    dsb();
    split_run((uint32_t)split_code - RAM, (struct split *)((uint32_t)&split - RAM));
}

static void check_splits(void)
{
    make_split_tables();
    uint64_t *level1[2] = {lpae_new(), lpae_new()};
    /* the code runs at its physical address less 40000000, in the first 32 MB */
    for (uint32_t i = 0; i < 16; i++)
        *lpae_slot(root, i * 2 * MB, 2) = (RAM + i * 2 * MB) | LPAE_RW | LPAE_BLOCK;
    tlb_flush_all();
    for (uint32_t t0 = 0; t0 < 8; t0++) {
        for (uint32_t t1 = 0; t1 < 8; t1++) {
            for (uint32_t epd = 0; epd < 4; epd += 2) {
                run_split(t0, t1, epd, level1);
                uint32_t bad = 0;
                for (uint32_t i = 0; i < split.n; i++) {
                    if (par_is(split.par[i], split.va[i], t0, t1, epd))
                        continue;
                    if (bad++ == 0)
                        tap_note("T0SZ %u T1SZ %u va %08x: par %llx", (unsigned)t0, (unsigned)t1, (unsigned)split.va[i],
                                 (unsigned long long)split.par[i]);
                }
                tap_ok(bad == 0, "T0SZ %u T1SZ %u%s: %u addresses go to the right table or fault", (unsigned)t0,
                       (unsigned)t1, epd ? " EPD1" : "", (unsigned)split.n);
            }
        }
    }
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    tap_ok(read_sctlr() & SCTLR_M, "the MMU is on");
    check_mappings();
    check_ignored_bits();
    check_linux_split();
    check_half_split();
    root[0] = 0; /* the splits need the first 32 MB: no device any more */
    check_splits();
    return tap_finish();
}
