/* SPDX-License-Identifier: GPL-2.0-or-later
 * Loads and stores by pages in use: whether they have micro-TLBs of their own.
 *
 *     loads   one load a page
 *     stores  one store a page
 *     same    one load and one store to the same page: both miss where there are two micro-TLBs
 *     apart   one load from each of N pages, one store to each of N others: where both share a micro-TLB, half as
 *             many pages fill it
 */
#include "bench.h"

#define FRAMES       DATA
#define MAX_PAGES    128u
#define OTHERS       (WINDOW + 4 * MB) /* the pages that are only stored to */
#define LEAST_ROUNDS 256u

uint32_t visit_load(uint32_t count, uint32_t first, uint32_t b, uint32_t c);
uint32_t visit_store(uint32_t count, uint32_t first, uint32_t pages, uint32_t c);
uint32_t visit_load_store(uint32_t count, uint32_t first, uint32_t distance, uint32_t c);

static const uint32_t counts[] = {4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 30, 32, 34, 36, 40, 48, 56, 64, 80, 96, 128};

/* A page's words begin a line further on than those of the page before: all of them lie in four frames. */
static uint32_t line_of_page(uint32_t i)
{
    return WINDOW + i * PAGE + i * LINE % PAGE;
}

static void map(void)
{
    for (uint32_t i = 0; i < MAX_PAGES; i++) {
        bench_map_page(WINDOW + i * PAGE, FRAMES + i * LINE / PAGE * PAGE);
        bench_map_page(OTHERS + i * PAGE, FRAMES + (2 + i * LINE / PAGE) * PAGE);
    }
    bench_flush_tlbs();
}

static void link(uint32_t n)
{
    const uint16_t *order = bench_order(n);
    struct ring ring = {0};
    for (uint32_t i = 0; i < n; i++)
        ring_add(&ring, line_of_page(order[i]));
    ring_close(&ring);
}

static void measure(const char *mix, uint32_t n, bench_loop loop, uint32_t b)
{
    const uint32_t visits = LEAST_ROUNDS * n;
    bench_line("store_tlb");
    bench_word("mix", mix);
    bench_number("pages", n);
    bench_flush_tlbs();
    bench_result(bench_measure(loop, visits, line_of_page(0), b, 0), visits);
}

int main(void)
{
    bench_start();
    map();
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const uint32_t n = counts[i];
        link(n);
        measure("loads", n, visit_load, 0);
        measure("stores", n, visit_store, n);
        measure("same", n, visit_load_store, 4);
        measure("apart", n, visit_load_store, OTHERS - WINDOW + 4);
    }
    bench_finish();
}
