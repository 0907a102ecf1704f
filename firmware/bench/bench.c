/* SPDX-License-Identifier: GPL-2.0-or-later
 * Mappings in either table format, the cycle counter, and the lines that a benchmark prints.
 */
#include "bench.h"

#include "semihost.h"
#include "tap.h"

CP15_WRITE(pmcr, 0, c9, c12, 0)
CP15_WRITE(pmcntenset, 0, c9, c12, 1)

#define PMCR_E            (1u << 0)
#define PMCR_C            (1u << 2)
#define PMCNTEN_CYCLES    (1u << 31)
#define TTBR_WALKS_CACHED 0x4au /* IRGN and RGN write-back write-allocate, S (B4.1.154) */
#define LINE_SIZE         160

uint32_t loop_nothing(uint32_t count, uint32_t a, uint32_t b, uint32_t c);
uint32_t chase_loop(uint32_t count, uint32_t first, uint32_t b, uint32_t c);

static uint32_t clock_cycles; /* what starting and stopping the clock takes */

/* ---- mappings ---- */

#ifdef SHORT_TABLES

static uint32_t *root;

static void enable(void)
{
    root = short_new();
    short_map_identity(root);
    short_enable(root);
    write_ttbr0((uint32_t)root | TTBR_WALKS_CACHED);
    isb();
    tlb_flush_all();
}

void bench_map_page(uint32_t va, uint32_t pa)
{
    *short_l2(root, va) = pa | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_SMALL_XN | SHORT_PAGE_AP(SHORT_AP_RW);
}

void bench_map_page_read_only(uint32_t va, uint32_t pa)
{
    *short_l2(root, va) = pa | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_SMALL_XN | SHORT_PAGE_AP(SHORT_AP_RO);
}

void bench_map_block(uint32_t va, uint32_t pa)
{
    *short_l1(root, va) = pa | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_XN | SHORT_SECTION_AP(SHORT_AP_RW);
}

uint32_t bench_descriptor_of(uint32_t va)
{
    return (uint32_t)short_l2(root, va);
}

#else

static uint64_t *root;

static void enable(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
}

void bench_map_page(uint32_t va, uint32_t pa)
{
    *lpae_slot(root, va, 3) = pa | LPAE_RW | LPAE_XN | LPAE_PAGE;
}

void bench_map_page_read_only(uint32_t va, uint32_t pa)
{
    *lpae_slot(root, va, 3) = pa | LPAE_RX | LPAE_XN | LPAE_PAGE;
}

void bench_map_block(uint32_t va, uint32_t pa)
{
    *lpae_slot(root, va, 2) = pa | LPAE_RW | LPAE_XN | LPAE_BLOCK;
}

uint32_t bench_descriptor_of(uint32_t va)
{
    return (uint32_t)lpae_slot(root, va, 3);
}

#endif

void bench_flush_tlbs(void)
{
    tlb_flush_all();
}

/* ---- a run ---- */

void bench_start(void)
{
    enable();
    write_sctlr(read_sctlr() | SCTLR_Z);
    isb();
    write_pmcr(PMCR_E | PMCR_C);
    write_pmcntenset(PMCNTEN_CYCLES);
    isb();
    clock_cycles = bench_measure(loop_nothing, 0, 0, 0, 0);
}

_Noreturn void bench_finish(void)
{
    semihost_write0("@ end\n");
    semihost_exit(0);
}

uint32_t bench_once(bench_loop loop, uint32_t count, uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t cycles = loop(count, a, b, c);
    return cycles > clock_cycles ? cycles - clock_cycles : 0;
}

uint32_t bench_measure(bench_loop loop, uint32_t count, uint32_t a, uint32_t b, uint32_t c)
{
    bench_once(loop, count, a, b, c);
    return bench_once(loop, count, a, b, c);
}

uint32_t bench_measure_net(bench_loop loop, bench_loop empty, uint32_t count, uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t with = bench_measure(loop, count, a, b, c), without = bench_measure(empty, count, a, b, c);
    return with > without ? with - without : 0;
}

uint32_t bench_chase(uint32_t first, uint32_t loads)
{
    return bench_once(chase_loop, loads / CHASE_LOADS, first, 0, 0);
}

/* Without a division, which the compiler's library may do in Thumb state: there is ARM code only. */
uint32_t bench_rounds(uint32_t n, uint32_t least)
{
    uint32_t rounds = n;
    while (rounds < least)
        rounds += n;
    return rounds;
}

/* ---- lines ---- */

static char line[LINE_SIZE];
static uint32_t used;

static void put_text(const char *text)
{
    for (; *text; text++) {
        if (used >= LINE_SIZE - 1)
            tap_bail("a line is longer than %u characters", LINE_SIZE - 1);
        line[used++] = *text;
    }
    line[used] = 0;
}

static void put_decimal(uint32_t value)
{
    char digits[11], *at = &digits[10];
    *at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put_text(at);
}

void bench_line(const char *benchmark)
{
    used = 0;
    put_text("@ ");
    put_text(benchmark);
}

void bench_word(const char *key, const char *value)
{
    put_text(" ");
    put_text(key);
    put_text("=");
    put_text(value);
}

void bench_number(const char *key, uint32_t value)
{
    bench_word(key, "");
    put_decimal(value);
}

void bench_result(uint32_t cycles, uint32_t count)
{
    bench_number("cycles", cycles);
    bench_number("count", count);
    put_text("\n");
    semihost_write0(line);
}

/* ---- orders ---- */

static uint16_t order[BENCH_MAX_ORDER];

static uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* Fisher and Yates. */
const uint16_t *bench_order(uint32_t n)
{
    uint32_t state = 2463534242u;
    if (n > BENCH_MAX_ORDER)
        tap_bail("an order of %u numbers: at most %u", (unsigned)n, BENCH_MAX_ORDER);
    for (uint32_t i = 0; i < n; i++)
        order[i] = (uint16_t)i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t j = (uint32_t)(((uint64_t)next_random(&state) * i) >> 32);
        const uint16_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
    return order;
}
