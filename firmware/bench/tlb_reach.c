/* SPDX-License-Identifier: GPL-2.0-or-later
 * Reach of the TLBs: a ring with one load in each of a number of pages, so that what a load costs beyond an L1 hit is
 * translation.
 *
 *     tlb_reach pages=N page_bytes=B  N places 4 KB apart, mapped by pages or by blocks of B bytes
 *     block_reach blocks=N            N blocks, one place in each
 */
#include "bench.h"

#define PAGES_WINDOW  WINDOW
#define BLOCKS_WINDOW (WINDOW + 256 * MB)
#define FRAMES        DATA
#define BLOCK_FRAME   (DATA + 2 * MB) /* 2 MB: every block of the window shows it, or its half */
#define MAX_PAGES     8192u
#define MAX_BY_BLOCK  4096u
#define MAX_BLOCKS    768u
#define WARM_ROUNDS   24u
#define LEAST_LOADS   (32 * KB)

static const uint32_t counts[] = {
    4,   6,   8,   10,  12,  16,  20,   24,   28,   30,   32,   34,   36,   40,   48,   56,
    64,  80,  96,  112, 120, 128, 136,  160,  192,  224,  256,  288,  320,  384,  448,  480,
    512, 544, 576, 640, 768, 896, 1024, 1280, 1536, 2048, 3072, 4096, 4608, 6144, 8192,
};

/* Page i shows its own word of a few frames: however many pages, the words fit L1. */
static uint32_t word_of_page(uint32_t i)
{
    return PAGES_WINDOW + i * PAGE + i * 4 % PAGE;
}

/* All blocks show the same 512 lines, two to each set of an L1 of 32 KB with two ways; each block has a word of its own
 * in them. */
static uint32_t word_by_block(uint32_t i)
{
    return BLOCKS_WINDOW + i * PAGE + (i / 4 * LINE) % PAGE + i / 512 * 4;
}

static uint32_t word_of_block(uint32_t i)
{
    return BLOCKS_WINDOW + i * BLOCK_BYTES + i * 4;
}

static void map(void)
{
    for (uint32_t i = 0; i < MAX_PAGES; i++)
        bench_map_page(PAGES_WINDOW + i * PAGE, FRAMES + i * 4 / PAGE * PAGE);
    for (uint32_t i = 0; i < MAX_BLOCKS; i++)
        bench_map_block(BLOCKS_WINDOW + i * BLOCK_BYTES, BLOCK_FRAME + i * BLOCK_BYTES % (2 * MB));
    bench_flush_tlbs();
}

static void measure(uint32_t (*word_of)(uint32_t), uint32_t n)
{
    const uint16_t *order = bench_order(n);
    struct ring ring = {0};
    for (uint32_t i = 0; i < n; i++)
        ring_add(&ring, word_of(order[i]));
    ring_close(&ring);
    uint32_t loads = bench_rounds(n, LEAST_LOADS);
    loads -= loads % CHASE_LOADS;
    bench_flush_tlbs();
    bench_chase(ring.first, WARM_ROUNDS * n);
    bench_result(bench_chase(ring.first, loads), loads);
}

static void pages(uint32_t n, uint32_t page_bytes)
{
    bench_line("tlb_reach");
    bench_number("pages", n);
    bench_number("page_bytes", page_bytes);
    measure(page_bytes == PAGE ? word_of_page : word_by_block, n);
}

static void blocks(uint32_t n)
{
    bench_line("block_reach");
    bench_number("blocks", n);
    bench_number("page_bytes", BLOCK_BYTES);
    measure(word_of_block, n);
}

int main(void)
{
    bench_start();
    map();
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        pages(counts[i], PAGE);
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] <= MAX_BY_BLOCK; i++)
        pages(counts[i], BLOCK_BYTES);
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] <= MAX_BLOCKS; i++)
        blocks(counts[i]);
    bench_finish();
}
