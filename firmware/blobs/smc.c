/* SPDX-License-Identifier: GPL-2.0-or-later
 * Self-modifying code, and code that is written through another address than it runs at (ARM DDI 0406C A3.5.4).
 *
 * Each change is followed by the maintenance that the architecture asks for.  The rounds matter: a translator that
 * notices only the first write to a page passes round one and fails later.
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define PA_CODE 0x42000000u
#define VA_X    0x80000000u /* read-only, executable */
#define VA_X2   0x80100000u /* the same page again */
#define VA_W    0x80200000u /* the same page, writable, never executable */
#define VA_WX   0x80300000u /* the same page, writable and executable */
#define ROUNDS  200u

#define MOV_R0(n) (0xe3000000u | ((n) & 0xf000u) << 4 | ((n) & 0xfffu)) /* movw r0, #n */
#define BX_LR     0xe12fff1eu

static uint64_t *root;

static volatile uint32_t *word(uint32_t address)
{
    return (volatile uint32_t *)address;
}

/* ---- maintenance ---- */

static void by_address(uint32_t written, uint32_t executed)
{
    write_dccmvau(written);
    dsb();
    write_icimvau(executed);
    write_bpiall(0);
    dsb();
    isb();
}

static void by_all(uint32_t written, uint32_t executed)
{
    (void)executed;
    write_dccmvau(written);
    dsb();
    write_iciallu(0);
    write_bpiall(0);
    dsb();
    isb();
}

static void by_all_shareable(uint32_t written, uint32_t executed)
{
    (void)executed;
    write_dccmvau(written);
    dsb();
    write_icialluis(0);
    dsb();
    isb();
}

static const struct {
    const char *name;
    void (*run)(uint32_t written, uint32_t executed);
} maintenance[] = {{"DCCMVAU, ICIMVAU", by_address}, {"ICIALLU", by_all}, {"ICIALLUIS", by_all_shareable}};

/* ---- where it is written, where it runs ---- */

static const struct {
    const char *name;
    uint32_t write, execute;
} places[] = {
    {"written and run at the same address", VA_WX, VA_WX},
    {"written through an alias", VA_W, VA_X},
    {"written through the identity map", PA_CODE, VA_X},
    {"written through an executable alias", VA_WX, VA_X},
};

static void check_place(uint32_t p, uint32_t m)
{
    uint32_t bad = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (round % 2) /* the first store to the page is not always the one that matters */
            *word(places[p].write + 0x7c0) = round;
        *word(places[p].write) = MOV_R0(round * 7);
        *word(places[p].write + 4) = BX_LR;
        dsb();
        maintenance[m].run(places[p].write, places[p].execute);
        bad += probe_fetch(places[p].execute, 0) != round * 7;
        /* once more without a change: the second run must not be special */
        bad += probe_fetch(places[p].execute, 0) != round * 7;
    }
    tap_equal(bad, 0, "%s, %s: %u rounds", places[p].name, maintenance[m].name, ROUNDS);
}

/* One page that runs at two addresses and is written through a third. */
static void check_two_addresses(void)
{
    uint32_t bad = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        *word(VA_W + 0x700) = round;
        *word(VA_W + 0x100) = MOV_R0(round);
        *word(VA_W + 0x104) = BX_LR;
        code_sync();
        bad += probe_fetch(VA_X + 0x100, 0) != round;
        bad += probe_fetch(VA_X2 + 0x100, 0) != round;
    }
    tap_equal(bad, 0, "run at two addresses, written through a third: both see each change");
}

/* Data and code in one page: the data changes all the time, the code only now and then. */
static void check_data_beside_code(void)
{
    uint32_t bad = 0;
    volatile uint32_t *counter = word(VA_WX + 0x800);
    *counter = 0;
    for (uint32_t round = 0; round < 20; round++) {
        *word(VA_WX + 0x200) = MOV_R0(round);
        *word(VA_WX + 0x204) = BX_LR;
        code_sync();
        for (uint32_t i = 0; i < 50; i++) {
            bad += probe_fetch(VA_WX + 0x200, 0) != round;
            *counter += 1;
        }
    }
    tap_equal(bad, 0, "code runs right in a page whose data change");
    tap_equal(*counter, 1000, "and the data are right");
}

/* ldr r1,[pc..]; add; str in its own page; loops 100 times */
static void check_code_that_writes_beside_itself(void)
{
    static const uint32_t code[] = {
        0xe28f1c01u, /* add r1, pc, #0x100 */
        0xe3a02064u, /* mov r2, #100 */
        0xe3a00000u, /* mov r0, #0 */
        0xe4812004u, /* 1: str r2, [r1], #4 */
        0xe0800002u, /* add r0, r0, r2 */
        0xe2522001u, /* subs r2, r2, #1 */
        0x1afffffbu, /* bne 1b */
        BX_LR,
    };
    for (uint32_t i = 0; i < sizeof code / sizeof code[0]; i++)
        *word(VA_WX + 0x400 + i * 4) = code[i];
    code_sync();
    uint32_t sum = 0;
    uint32_t result = probe_fetch(VA_WX + 0x400, 0);
    for (uint32_t i = 0; i < 100; i++)
        sum += *word(PA_CODE + 0x400 + 8 + 0x100 + i * 4);
    tap_equal(result, 5050, "code that stores into its own page runs right");
    tap_equal(sum, 5050, "and its stores arrive");
}

/* The instruction behind the store and its ISB, in the same straight line of code. */
static void check_next_instruction(void)
{
    static const uint32_t code[] = {
        0xe59f1018u, /* ldr r1, [pc, #24]: the new instruction */
        0xe58f100cu, /* str r1, [pc, #12]: over the movw below */
        0xf57ff04fu, /* dsb */
        0xee070f15u, /* mcr p15, 0, r0, c7, c5, 0: ICIALLU */
        0xf57ff04fu, /* dsb */
        0xf57ff06fu, /* isb */
        0xe3000000u, /* overwritten */
        BX_LR,       0,
    };
    uint32_t bad = 0;
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < sizeof code / sizeof code[0]; i++)
            *word(VA_WX + 0x600 + i * 4) = code[i];
        *word(VA_WX + 0x600 + 8 + 24) = MOV_R0(1000 + round);
        code_sync();
        bad += probe_fetch(VA_WX + 0x600, 0) != 1000 + round;
    }
    tap_equal(bad, 0, "code that overwrites an instruction just ahead of itself: 50 rounds");
}

/* Two physical pages take turns at one virtual address. */
static void check_remap(void)
{
    const uint32_t va = 0x80400000;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 4; i++) {
        *word(PA_CODE + (i + 1) * PAGE) = MOV_R0(i + 1);
        *word(PA_CODE + (i + 1) * PAGE + 4) = BX_LR;
    }
    code_sync();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        *lpae_slot(root, va, 3) = 0;
        tlb_flush_page(va);
        *lpae_slot(root, va, 3) = (PA_CODE + (round % 4 + 1) * PAGE) | LPAE_RX | LPAE_PAGE;
        dsb();
        code_sync();
        bad += probe_fetch(va, 0) != round % 4 + 1;
    }
    tap_equal(bad, 0, "four pages take turns at one address");
}

/* Written with byte, halfword, doubleword and multiple stores, and by user mode. */
void store_double(uint32_t va, uint32_t low, uint32_t high);
void store_multiple(uint32_t va, uint32_t low, uint32_t high);
void store_exclusive(uint32_t va, uint32_t low, uint32_t high);
void store_thumb(uint32_t va, uint32_t low, uint32_t high);

static void check_stores(void)
{
    static const char *const names[] = {
        "STRB", "STRH", "STRD", "STM", "STREX", "STR in Thumb state", "STR in user mode"};
    for (uint32_t kind = 0; kind < sizeof names / sizeof names[0]; kind++) {
        uint32_t bad = 0, va = VA_W + 0xc00;
        for (uint32_t round = 0; round < 50; round++) {
            uint32_t new = MOV_R0(round * 256 + kind);
            switch (kind) {
            case 0:
                for (uint32_t i = 0; i < 4; i++)
                    *(volatile uint8_t *)(va + i) = (uint8_t)(new >> i * 8);
                *word(va + 4) = BX_LR;
                break;
            case 1:
                for (uint32_t i = 0; i < 2; i++)
                    *(volatile uint16_t *)(va + i * 2) = (uint16_t)(new >> i * 16);
                *word(va + 4) = BX_LR;
                break;
            case 2: store_double(va, new, BX_LR); break;
            case 3: store_multiple(va, new, BX_LR); break;
            case 4: store_exclusive(va, new, BX_LR); break;
            case 5: store_thumb(va, new, BX_LR); break;
            default: user_call((uint32_t)probe_write, va, new); break; /* BX LR is there from before */
            }
            code_sync();
            bad += probe_fetch(VA_X + 0xc00, 0) != round * 256 + kind;
        }
        tap_equal(bad, 0, "written by %s: 50 rounds", names[kind]);
    }
}

/* Code at the end of a page that falls into the next one; only the second changes. */
static void check_fall_through(void)
{
    uint32_t bad = 0;
    *lpae_slot(root, VA_X + PAGE, 3) = (PA_CODE + PAGE) | LPAE_RX | LPAE_PAGE;
    tlb_flush_all();
    *word(VA_W + PAGE - 4) = 0xe1a00000; /* nop */
    for (uint32_t round = 0; round < 50; round++) {
        *word(PA_CODE + PAGE) = MOV_R0(round + 3);
        *word(PA_CODE + PAGE + 4) = BX_LR;
        code_sync();
        bad += probe_fetch(VA_X + PAGE - 4, 0) != round + 3;
    }
    tap_equal(bad, 0, "code that falls into the next page sees that page change");
}

/* A Thumb instruction over a page end: only its second half, in the second page, changes. */
static void check_over_page_end(void)
{
    uint32_t bad = 0;
    *(volatile uint16_t *)(PA_CODE + PAGE - 2) = 0xf240; /* movw r0, #n: the low byte of the second half is n */
    *(volatile uint16_t *)(PA_CODE + PAGE + 2) = 0x4770; /* bx lr */
    for (uint32_t round = 0; round < 50; round++) {
        *word(PA_CODE + PAGE + 0x800) = round;
        *(volatile uint16_t *)(PA_CODE + PAGE) = (uint16_t)(round + 1);
        code_sync();
        bad += probe_fetch((VA_X + PAGE - 2) | 1, 0) != round + 1;
    }
    tap_equal(bad, 0, "a Thumb instruction over a page end sees its second half change");
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    /* by pages: the region at PA_CODE must be executable at VA_X and writable at VA_W */
    *lpae_slot(root, VA_X, 3) = PA_CODE | LPAE_RX | LPAE_PAGE;
    *lpae_slot(root, VA_X2, 3) = PA_CODE | LPAE_RX | LPAE_PAGE;
    *lpae_slot(root, VA_W, 3) = PA_CODE | LPAE_RW | LPAE_XN | LPAE_PAGE;
    *lpae_slot(root, VA_WX, 3) = PA_CODE | LPAE_RW | LPAE_PAGE;
    lpae_enable(root);
    for (uint32_t p = 0; p < sizeof places / sizeof places[0]; p++)
        for (uint32_t m = 0; m < sizeof maintenance / sizeof maintenance[0]; m++)
            check_place(p, m);
    check_two_addresses();
    check_data_beside_code();
    check_code_that_writes_beside_itself();
    check_next_instruction();
    check_remap();
    check_stores();
    check_fall_through();
    check_over_page_end();
    return tap_finish();
}
