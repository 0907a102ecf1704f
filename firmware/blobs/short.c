/* SPDX-License-Identifier: GPL-2.0-or-later
 * Short-descriptor bring-up: sections, supersections, large and small pages, TTBCR.N, PD0/PD1, TEX remap, AFE.
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define SECTION_RW (SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(SHORT_AP_RW))
#define SMALL_RW   (SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW))
#define LARGE_RW   (SHORT_LARGE | SHORT_LARGE_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW))
#define SUPER_RW   (SHORT_SUPERSECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(SHORT_AP_RW))

#define SUPER_PA 0x41000000u /* 16 MB aligned */

static uint32_t *root;

static volatile uint32_t *word(uint32_t address)
{
    return (volatile uint32_t *)address;
}

static void map_supersection(uint32_t va, uint32_t pa)
{
    for (uint32_t i = 0; i < 16; i++)
        *short_l1(root, va + i * MB) = pa | SUPER_RW;
}

static void map_large(uint32_t va, uint32_t pa)
{
    for (uint32_t i = 0; i < 16; i++)
        *short_l2(root, va + i * PAGE) = pa | LARGE_RW;
}

struct mapping {
    const char *name;
    uint32_t va, pa, size;
};

static const struct mapping mappings[] = {
    {"section", 0x80000000, CLEAR, MB},
    {"section beside it, descending", 0x80100000, CLEAR - MB, MB},
    {"supersection", 0x81000000, SUPER_PA, 16 * MB},
    {"large page", 0x90010000, CLEAR + 0x20000, 64 * KB},
    {"small page", 0x90100000, CLEAR + 0x3000, PAGE},
    {"last small page of a table", 0x901ff000, CLEAR + 0x5000, PAGE},
    {"last section of the address space", 0xfff00000, CLEAR, MB},
};

static void make_mappings(void)
{
    *short_l1(root, 0x80000000) = CLEAR | SECTION_RW;
    *short_l1(root, 0x80100000) = (CLEAR - MB) | SECTION_RW;
    map_supersection(0x81000000, SUPER_PA);
    map_large(0x90010000, CLEAR + 0x20000);
    *short_l2(root, 0x90100000) = (CLEAR + 0x3000) | SMALL_RW;
    *short_l2(root, 0x901ff000) = (CLEAR + 0x5000) | SMALL_RW;
    *short_l1(root, 0xfff00000) = CLEAR | SECTION_RW;
    tlb_flush_all();
}

static void check_mapping(const struct mapping *m)
{
    static const uint32_t offsets[] = {0, 4, 0xffc, 0x1000, 0xfffc, 0x10000, 0xffffc, 0x100000, 0xfffffc};
    uint32_t bad = 0, tried = 0;
    for (uint32_t i = 0; i < sizeof offsets / sizeof offsets[0] && offsets[i] < m->size; i++) {
        *word(m->pa + offsets[i]) = 0xa0000000 + i;
        dsb();
        bad += *word(m->va + offsets[i]) != 0xa0000000 + i;
        *word(m->va + offsets[i]) = 0xb0000000 + i;
        dsb();
        bad += *word(m->pa + offsets[i]) != 0xb0000000 + i;
        tried++;
    }
    tap_ok(bad == 0 && tried > 0, "%s: %u words agree with the identity map", m->name, (unsigned)tried);
}

static uint32_t return_7(void)
{
    return 7;
}

static void check_code(void)
{
    uint32_t page = (uint32_t)return_7 & ~0xfffu, offset = (uint32_t)return_7 & 0xfff;
    *short_l2(root, 0x90200000) = page | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RO);
    for (uint32_t i = 0; i < 16; i++)
        *short_l2(root, 0x90210000 + i * PAGE) =
            (page & ~0xffffu) | SHORT_LARGE | SHORT_LARGE_NORMAL | SHORT_PAGE_AP(SHORT_AP_RO);
    *short_l1(root, 0x90300000) = RAM | SECTION_RW;
    for (uint32_t i = 0; i < 16; i++)
        *short_l1(root, 0xa0000000 + i * MB) = RAM | SUPER_RW;
    tlb_flush_all();
    tap_equal(probe_fetch(0x90200000 + offset, 0), 7, "code runs through a small page");
    tap_equal(probe_fetch(0x90210000 + ((uint32_t)return_7 & 0xffff), 0), 7, "code runs through a large page");
    tap_equal(probe_fetch(0x90300000 + ((uint32_t)return_7 - RAM), 0), 7, "code runs through a section");
    tap_equal(probe_fetch(0xa0000000 + ((uint32_t)return_7 - RAM), 0), 7, "code runs through a supersection");
}

static bool faults(uint32_t va, uint32_t fs)
{
    trap_begin();
    probe_read(va, 0);
    struct trap t = trap_end();
    return t.count == 1 && t.kind == TRAP_DABT && (t.dfsr & 0x40f) == fs && t.dfar == va;
}

/* AFE = 1: AP[0] is the access flag. */
static void check_access_flag(void)
{
    uint32_t *entry = short_l2(root, 0x90400000);
    write_sctlr(read_sctlr() | SCTLR_AFE);
    isb();
    *entry = CLEAR | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(2);
    tlb_flush_all();
    tap_ok(faults(0x90400000, 6), "AFE: a page with AP[0] = 0 gives the access flag fault 06");
    *entry |= SHORT_PAGE_AP(1);
    dsb();
    *word(CLEAR) = 0x3001;
    tap_equal(*word(0x90400000), 0x3001, "AFE: with AP[0] set it is readable, without any TLB maintenance");
    *short_l1(root, 0x90500000) = CLEAR | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(2);
    tlb_flush_all();
    tap_ok(faults(0x90500000, 3), "AFE: a section with AP[0] = 0 gives the access flag fault 03");
    write_sctlr(read_sctlr() & ~SCTLR_AFE);
    isb();
    tlb_flush_all();
}

/* TRE = 1: the attributes index PRRR and NMRR; the translation itself must not change. */
static void check_remap(void)
{
    write_mair0(0xff0a81a8); /* PRRR and NMRR as Linux sets them */
    write_mair1(0x40e040e0);
    write_sctlr(read_sctlr() | SCTLR_TRE);
    isb();
    tlb_flush_all();
    *word(CLEAR + 0x3000) = 0x4001;
    tap_equal(*word(0x90100000), 0x4001, "TEX remap: mappings stay what they are");
    write_sctlr(read_sctlr() & ~SCTLR_TRE);
    isb();
    tlb_flush_all();
}

/* ---- TTBCR.N and PD0/PD1 by address translation; the code lies in the first 32 MB, which TTBR0 keeps for all N ----
 */

#define OUT0 0x50000000u
#define OUT1 0xa0000000u

struct split {
    uint32_t ttbcr, n;
    uint32_t ttbr0, ttbr1;
    uint32_t old_ttbr0, old_ttbr1;
    uint32_t va[16];
    uint32_t par[16];
};
_Static_assert(__builtin_offsetof(struct split, va) == 24 && __builtin_offsetof(struct split, par) == 88,
               "short_asm.S");

extern const char split_code[];
void split_run(uint32_t function, struct split *s);

static struct split split;

/* Section v goes to OUT + v mod 256 MB: enough to tell the tables and the index apart. */
static void make_split_tables(uint32_t *t0, uint32_t *t1)
{
    for (uint32_t i = 0; i < 4096; i++) {
        *short_l1(t0, i * MB) = (OUT0 + i % 256 * MB) | SECTION_RW;
        *short_l1(t1, i * MB) = (OUT1 + i % 256 * MB) | SECTION_RW;
    }
    for (uint32_t i = 0; i < 32; i++)
        *short_l1(t0, i * MB) = (RAM + i * MB) | SECTION_RW;
}

static uint32_t expected_par(uint32_t va, uint32_t n, uint32_t pd)
{
    bool by_ttbr1 = n != 0 && va >> (32 - n) != 0;
    if (pd & (by_ttbr1 ? 2 : 1))
        return 5 << 1 | 1;
    if (!by_ttbr1 && va < 32 * MB)
        return (RAM + va) & 0xfffff000;
    return ((by_ttbr1 ? OUT1 : OUT0) + (va & 0x0fffffff)) & 0xfffff000;
}

static void check_split(uint32_t n, uint32_t pd)
{
    uint32_t edge = n ? 1u << (32 - n) : 0x80000000;
    const uint32_t va[] = {0,          0x01fff000, 0x02000000, edge - 1,   edge,       edge * 2,
                           0x40000000, 0x7fffffff, 0x80000000, 0xc0000000, 0xfe000000, 0xffffffff};
    split.n = sizeof va / sizeof va[0];
    for (uint32_t i = 0; i < split.n; i++)
        split.va[i] = va[i];
    split.ttbcr = TTBCR_N(n) | (pd & 1 ? TTBCR_PD0 : 0) | (pd & 2 ? TTBCR_PD1 : 0);
    split.old_ttbr0 = split.old_ttbr1 = (uint32_t)root;
    dsb();
    split_run((uint32_t)split_code - RAM, (struct split *)((uint32_t)&split - RAM));
    uint32_t bad = 0;
    for (uint32_t i = 0; i < split.n; i++) {
        uint32_t expected = expected_par(split.va[i], n, pd);
        uint32_t got = split.par[i] & 1 ? split.par[i] & 0x3f : split.par[i] & 0xfffff000;
        if (got != expected && bad++ == 0)
            tap_note("va %08x: par %08x, expected %08x", (unsigned)split.va[i], (unsigned)split.par[i],
                     (unsigned)expected);
    }
    tap_ok(bad == 0, "TTBCR.N %u%s: %u addresses go to the right table or fault", (unsigned)n, pd & 2 ? " PD1" : "",
           (unsigned)split.n);
}

static void check_splits(void)
{
    uint32_t *t0 = short_new(), *t1 = short_new();
    make_split_tables(t0, t1);
    split.ttbr0 = (uint32_t)t0;
    split.ttbr1 = (uint32_t)t1;
    for (uint32_t i = 0; i < 32; i++)
        *short_l1(root, i * MB) = (RAM + i * MB) | SECTION_RW;
    tlb_flush_all();
    for (uint32_t n = 0; n < 8; n++) {
        check_split(n, 0);
        check_split(n, 2);
    }
}

/* With N > 0 TTBR0's table is smaller and may lie at any multiple of its size. */
static void check_small_table(void)
{
    uint32_t *l1 = short_new();
    uint32_t *small = l1 + 32; /* 128 bytes: the table of N = 7 */
    for (uint32_t i = 0; i < 32; i++)
        small[i] = (SUPER_PA + i % 16 * MB) | SECTION_RW;
    write_ttbr1((uint32_t)root);
    write_ttbcr(TTBCR_N(7));
    isb();
    write_ttbr0((uint32_t)small);
    isb();
    tlb_flush_all();
    *word(SUPER_PA + 0x123450) = 0x5001;
    *word(SUPER_PA + 15 * MB) = 0x5002;
    uint32_t first = *word(0x00123450), last = *word(0x01f00000);
    *word(CLEAR + 0x3000) = 0x5003;
    uint32_t other = *word(0x90100000);
    write_ttbr0((uint32_t)root);
    isb();
    write_ttbcr(0);
    isb();
    tlb_flush_all();
    tap_equal(first, 0x5001, "N 7: the second entry of a table of 128 bytes");
    tap_equal(last, 0x5002, "N 7: its last entry");
    tap_equal(other, 0x5003, "N 7: from 02000000 up TTBR1 translates");
}

int main(void)
{
    root = short_new();
    short_map_identity(root);
    short_enable(root);
    tap_ok(read_sctlr() & SCTLR_M, "the MMU is on");
    make_mappings();
    for (uint32_t i = 0; i < sizeof mappings / sizeof mappings[0]; i++)
        check_mapping(&mappings[i]);
    check_code();
    check_access_flag();
    check_remap();
    check_small_table();
    check_splits();
    return tap_finish();
}
