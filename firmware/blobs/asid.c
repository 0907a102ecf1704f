/* SPDX-License-Identifier: GPL-2.0-or-later
 * Address space identifiers: TTBR0 with its ASID in one write, TTBCR.A1, CONTEXTIDR, TLBIASID, all 256 of them
 * (ARM DDI 0406C B3.9.1, B3.10.6).
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define VA_OWN    0x80000000u /* nG, another page for each space */
#define VA_GLOBAL 0x80001000u
#define VA_CODE   0x80002000u /* nG, code that returns the number of the space */
#define PA_SPACE  0x42000000u /* space n: code at n * 8 KB, data one page above */
#define PA_GLOBAL 0x41000000u

#define N_SPACES 256u

static volatile uint32_t *word(uint32_t address)
{
    return (volatile uint32_t *)address;
}

static uint32_t data_of(uint32_t space)
{
    return PA_SPACE + space * 2 * PAGE + PAGE;
}

static void fill_space(uint32_t space)
{
    volatile uint32_t *code = word(PA_SPACE + space * 2 * PAGE);
    code[0] = 0xe3a00000 | space; /* mov r0, #space */
    code[1] = 0xe12fff1e;         /* bx lr */
    *word(data_of(space)) = 0x5000 + space;
}

/* ---- long format ---- */

/* The level 1 entries of the image are shared; entry 2 (80000000) is the space's own. */
static uint64_t *make_long_space(const uint64_t *shared, uint32_t space)
{
    static uint64_t *first;
    uint64_t *l1, *l2, *l3;
    /* 128 level 1 tables of 32 bytes share a page; the level 2 and 3 tables of a space are two pages */
    l1 = space % 128 == 0 ? (first = lpae_new()) : first + space % 128 * 4;
    l1[0] = shared[0];
    l1[1] = shared[1];
    l2 = (uint64_t *)(0x46000000u + space * 2 * PAGE);
    l3 = l2 + 512;
    for (uint32_t i = 0; i < 1024; i++)
        l2[i] = 0;
    l1[2] = (uint32_t)l2 | LPAE_TABLE;
    l2[0] = (uint32_t)l3 | LPAE_TABLE;
    l3[0] = data_of(space) | LPAE_RW | LPAE_NG | LPAE_PAGE;
    l3[1] = PA_GLOBAL | LPAE_RW | LPAE_PAGE;
    l3[2] = (PA_SPACE + space * 2 * PAGE) | LPAE_RX | LPAE_NG | LPAE_PAGE;
    return l1;
}

static uint64_t *spaces[N_SPACES];

static void switch_long(const uint64_t *l1, uint32_t asid)
{
    write_ttbr0_64((uint32_t)l1 | (uint64_t)asid << 48);
    isb();
}

static void check_two(void)
{
    switch_long(spaces[1], 1);
    uint32_t first = *word(VA_OWN), code = probe_fetch(VA_CODE, 0);
    switch_long(spaces[2], 2);
    uint32_t second = *word(VA_OWN), other_code = probe_fetch(VA_CODE, 0);
    switch_long(spaces[1], 1);
    tap_equal(first, 0x5001, "space 1 reads its page");
    tap_equal(second, 0x5002, "space 2 reads its own at the same address, after one MCRR");
    tap_equal(*word(VA_OWN), 0x5001, "back in space 1: its page again");
    tap_equal(code * 16 + other_code, 0x12, "code at the same address is each space's own");
    tap_equal(probe_fetch(VA_CODE, 0), 1, "and stays it when space 1 is back");
}

static void check_all(void)
{
    uint32_t bad = 0;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < N_SPACES; n++) {
            uint32_t space = (n * 77 + round) % N_SPACES;
            switch_long(spaces[space], space);
            bad += *word(VA_OWN) != 0x5000 + space;
            bad += probe_fetch(VA_CODE, 0) != space;
            *word(VA_GLOBAL) += 1;
        }
    }
    tap_equal(bad, 0, "256 spaces in turn, three rounds, data and code");
    tap_equal(*word(PA_GLOBAL), 3 * N_SPACES, "a global page is the same in all of them");
}

static void check_writes(void)
{
    for (uint32_t n = 1; n < 4; n++) {
        switch_long(spaces[n], n);
        *word(VA_OWN) = 0x6000 + n;
    }
    bool ok = true;
    for (uint32_t n = 1; n < 4; n++) {
        ok = ok && *word(data_of(n)) == 0x6000 + n;
        *word(data_of(n)) = 0x5000 + n;
    }
    tap_ok(ok, "writes of three spaces go to three pages");
}

/* The page of a space changes while another one runs. */
static void check_invalidation(void)
{
    static const struct {
        const char *name;
        void (*run)(uint32_t);
        uint32_t argument;
    } cases[] = {
        {"TLBIASID", write_tlbiasid, 7},
        {"TLBIASIDIS", write_tlbiasidis, 7},
        {"DTLBIASID", write_dtlbiasid, 7},
        {"TLBIMVA with the ASID", write_tlbimva, VA_OWN | 7},
        {"TLBIMVAIS with the ASID", write_tlbimvais, VA_OWN | 7},
        {"TLBIMVAA", write_tlbimvaa, VA_OWN},
        {"TLBIMVAAIS", write_tlbimvaais, VA_OWN},
        {"TLBIALL", write_tlbiall, 0},
    };
    uint64_t *l3 = (uint64_t *)(0x46000000u + 7 * 2 * PAGE) + 512;
    uint64_t old = l3[0];
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        switch_long(spaces[7], 7);
        bool before = *word(VA_OWN) == 0x5007;
        switch_long(spaces[8], 8);
        bool other = *word(VA_OWN) == 0x5008;
        l3[0] = data_of(9) | LPAE_RW | LPAE_NG | LPAE_PAGE;
        dsb();
        cases[i].run(cases[i].argument);
        dsb();
        isb();
        other = other && *word(VA_OWN) == 0x5008;
        switch_long(spaces[7], 7);
        tap_ok(before && other && *word(VA_OWN) == 0x5009, "%s from another space: the change is seen after it",
               cases[i].name);
        l3[0] = old;
        tlb_flush_all();
    }
}

/* An ASID that is given to another space must be flushed first; then it is that space's. */
static void check_reuse(void)
{
    switch_long(spaces[3], 5);
    bool ok = *word(VA_OWN) == 0x5003 && probe_fetch(VA_CODE, 0) == 3;
    switch_long(spaces[0], 0);
    dsb();
    write_tlbiasid(5);
    write_bpiall(0);
    dsb();
    isb();
    switch_long(spaces[4], 5);
    tap_ok(ok && *word(VA_OWN) == 0x5004 && probe_fetch(VA_CODE, 0) == 4,
           "an ASID serves another space after TLBIASID");
    tlb_flush_all();
}

/* TTBCR.A1: the ASID is TTBR1's. */
static void check_a1(const uint64_t *shared)
{
    switch_long(spaces[0], 0);
    write_ttbr1_64((uint32_t)shared | 10ull << 48);
    write_ttbcr(LPAE_TTBCR | TTBCR_A1);
    isb();
    tlb_flush_all();
    switch_long(spaces[10], 0);
    uint32_t first = *word(VA_OWN);
    write_ttbr1_64((uint32_t)shared | 11ull << 48);
    isb();
    switch_long(spaces[11], 0);
    uint32_t second = *word(VA_OWN);
    tap_equal(first, 0x500a, "A1: space 10 under the ASID of TTBR1");
    tap_equal(second, 0x500b, "A1: space 11 under another one");
    write_ttbcr(LPAE_TTBCR);
    isb();
    tlb_flush_all();
}

/* Under the long format CONTEXTIDR names the process for a debugger and nothing else. */
static void check_contextidr(void)
{
    switch_long(spaces[1], 1);
    uint32_t before = *word(VA_OWN);
    write_contextidr(0x00123402);
    isb();
    tap_equal(before * 0x10000 + *word(VA_OWN), 0x50015001, "long format: CONTEXTIDR is no ASID");
    tap_equal(read_contextidr(), 0x00123402, "CONTEXTIDR keeps all 32 bits");
    tap_equal(read_ttbr0_64() >> 48, 1, "TTBR0 reads back its ASID");
    write_contextidr(0);
    isb();
}

/* ---- short format: the ASID is CONTEXTIDR[7:0] ---- */

static void switch_short(const uint32_t *l1, const uint32_t *reserved, uint32_t asid)
{
    write_ttbr0((uint32_t)reserved);
    isb();
    write_contextidr(asid);
    isb();
    write_ttbr0((uint32_t)l1);
    isb();
}

static uint32_t *make_short_space(uint32_t space)
{
    uint32_t *l1 = short_new();
    short_map_identity(l1);
    uint32_t leaf = SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW);
    *short_l2(l1, VA_OWN) = data_of(space) | leaf | SHORT_PAGE_NG;
    *short_l2(l1, VA_GLOBAL) = PA_GLOBAL | leaf;
    *short_l2(l1, VA_CODE) = (PA_SPACE + space * 2 * PAGE) | leaf | SHORT_PAGE_NG;
    return l1;
}

static void check_short(void)
{
    uint32_t *reserved = short_new();
    short_map_identity(reserved);
    uint32_t *l1[4];
    for (uint32_t i = 0; i < 4; i++)
        l1[i] = make_short_space(i);
    short_enable(reserved);
    uint32_t bad = 0;
    for (uint32_t n = 0; n < 64; n++) {
        uint32_t space = (n * 3 + n / 8) % 4;
        switch_short(l1[space], reserved, 0x40 + space);
        bad += *word(VA_OWN) != 0x5000 + space;
        bad += probe_fetch(VA_CODE, 0) != space;
        *word(VA_GLOBAL) += 1;
    }
    tap_equal(bad, 0, "short format: four spaces by the reserved-table order of writes");
    *word(PA_GLOBAL) = 0;
    switch_short(l1[1], reserved, 0x41);
    bool before = *word(VA_OWN) == 0x5001;
    *short_l2(l1[1], VA_OWN) =
        data_of(9) | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW) | SHORT_PAGE_NG;
    dsb();
    write_tlbiasid(0x41);
    dsb();
    isb();
    tap_ok(before && *word(VA_OWN) == 0x5009, "short format: TLBIASID makes a change seen");
    write_ttbr0((uint32_t)reserved);
    isb();
    tlb_flush_all();
    trap_begin();
    probe_read(VA_OWN, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 1 && (t.dfsr & 0x40f) == 5, "short format: the reserved table has nothing there");
}

int main(void)
{
    uint64_t *shared = lpae_new();
    lpae_map_identity(shared);
    for (uint32_t n = 0; n < N_SPACES; n++) {
        fill_space(n);
        spaces[n] = make_long_space(shared, n);
    }
    *word(PA_GLOBAL) = 0;
    code_sync();
    lpae_enable(spaces[0]);
    check_two();
    check_all();
    check_writes();
    check_invalidation();
    check_reuse();
    check_a1(shared);
    check_contextidr();
    mmu_disable();
    check_short();
    return tap_finish();
}
