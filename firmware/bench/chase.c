/* SPDX-License-Identifier: GPL-2.0-or-later
 * Latency of a load by working set: each load's address is what the load before it found.
 *
 *     chase         one load a line, all lines of a page before the next page: caches alone, TLBs hardly matter
 *     chase_random  one load a line, in random order over all pages, mapped by blocks and by pages
 */
#include "bench.h"

#define PAGES_WINDOW   WINDOW
#define LINES_OF_PAGE  (PAGE / LINE)
#define WARM_LOADS     (128 * KB)
#define MEASURED_LOADS (64 * KB)
#define LEAST_LOADS    (16 * KB)

static const uint32_t sizes[] = {
    4 * KB,  8 * KB,      12 * KB,     16 * KB,  20 * KB,  24 * KB,  28 * KB,  32 * KB,  40 * KB,  48 * KB,
    64 * KB, 96 * KB,     128 * KB,    192 * KB, 256 * KB, 384 * KB, 512 * KB, 640 * KB, 768 * KB, 896 * KB,
    MB,      MB + MB / 4, MB + MB / 2, 2 * MB,   3 * MB,   4 * MB,   8 * MB,   16 * MB,  32 * MB,  64 * MB,
};
static const uint32_t random_sizes[] = {
    4 * KB, 8 * KB, 16 * KB, 32 * KB, 64 * KB, 128 * KB, 256 * KB, 512 * KB, MB, 2 * MB, 4 * MB, 8 * MB, 16 * MB,
};

/* Whole rounds where the ring is short; a part of one where it is long, of which no line is met twice. */
static uint32_t loads_for(uint32_t bytes)
{
    const uint32_t lines = bytes / LINE;
    if (lines >= MEASURED_LOADS)
        return MEASURED_LOADS;
    return bench_rounds(lines, LEAST_LOADS);
}

static void measure(uint32_t first, uint32_t bytes)
{
    const uint32_t lines = bytes / LINE, loads = loads_for(bytes);
    uint32_t warm = 4 * lines < WARM_LOADS ? 4 * lines : WARM_LOADS;
    if (warm < loads)
        warm = loads;
    bench_flush_tlbs();
    bench_chase(first, warm);
    bench_result(bench_chase(first, loads), loads);
}

/* In each page the lines come in the order x -> 5x + c (mod 64), which meets each of them once. */
static uint32_t link_by_pages(uint32_t bytes)
{
    const uint32_t pages = bytes / PAGE;
    const uint16_t *order = bench_order(pages);
    struct ring ring = {0};
    for (uint32_t i = 0; i < pages; i++) {
        const uint32_t page = DATA + order[i] * PAGE;
        uint32_t x = order[i] * 7u % LINES_OF_PAGE;
        for (uint32_t n = 0; n < LINES_OF_PAGE; n++) {
            ring_add(&ring, page + x * LINE);
            x = (5 * x + 2 * order[i] + 1) % LINES_OF_PAGE;
        }
    }
    ring_close(&ring);
    return ring.first;
}

/* x -> ax + c (mod lines), a = 1 (mod 4) and c odd, lines a power of two: each once. */
static uint32_t link_at_random(uint32_t base, uint32_t bytes)
{
    const uint32_t mask = bytes / LINE - 1;
    uint32_t x = 0;
    for (uint32_t n = 0; n <= mask; n++) {
        const uint32_t next = (1664525u * x + 1013904223u) & mask;
        *(volatile uint32_t *)(base + x * LINE) = base + next * LINE;
        x = next;
    }
    return base;
}

static void chase(uint32_t bytes)
{
    const uint32_t first = link_by_pages(bytes);
    bench_line("chase");
    bench_number("bytes", bytes);
    measure(first, bytes);
}

static void chase_random(uint32_t base, uint32_t page_bytes, uint32_t bytes)
{
    const uint32_t first = link_at_random(base, bytes);
    bench_line("chase_random");
    bench_number("bytes", bytes);
    bench_number("page_bytes", page_bytes);
    measure(first, bytes);
}

int main(void)
{
    bench_start();
    for (uint32_t at = 0; at < 16 * MB; at += PAGE)
        bench_map_page(PAGES_WINDOW + at, DATA + at);
    bench_flush_tlbs();
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        chase(sizes[i]);
    for (uint32_t i = 0; i < sizeof random_sizes / sizeof random_sizes[0]; i++)
        chase_random(DATA, BLOCK_BYTES, random_sizes[i]);
    for (uint32_t i = 0; i < sizeof random_sizes / sizeof random_sizes[0]; i++)
        chase_random(PAGES_WINDOW, PAGE, random_sizes[i]);
    bench_finish();
}
