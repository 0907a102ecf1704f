/* SPDX-License-Identifier: GPL-2.0-or-later
 * Cost of a load that misses the TLBs, by where its descriptors are.  The words themselves lie in L1.
 *
 *     micro_hit         8 pages, found in the micro-TLB: what is to be subtracted from the others
 *     main_hit          misses the micro-TLB only
 *     l1                misses the main TLB; last-level table known to the walk cache, descriptor in L1D
 *     l2                the same, descriptor in L2: each in a line of its own
 *     dram              the same, descriptor in memory
 *     no_walk_cache     misses the main TLB and the walk cache; all descriptors in L1D
 *     no_walk_cache_l2  the same, descriptors in L2: each of the last and of the level above in a line of its own
 *     after_tlbimva     a walk right after its entry was invalidated by address
 *     after_tlbiall     a walk right after everything was invalidated
 */
#include "bench.h"

CP15_WRITE(dccimvac, 0, c7, c14, 1)

#define FRAMES         DATA
#define FLOOD          (DATA + MB) /* what L1D is filled with instead */
#define FLOOD_BYTES    (128 * KB)
#define DENSE          WINDOW              /* PAGES_DENSE pages side by side */
#define SPARSE         (WINDOW + 64 * MB)  /* PAGES_SPARSE pages, SPARSE_PAGES apart: 64 or 128 MB */
#define FAR            (WINDOW + 192 * MB) /* PAGES_FAR pages, about 1 MB apart */
#define FARTHEST       (WINDOW + 512 * MB) /* PAGES_FARTHEST pages, UPPER_REACH apart */
#define PAGES_DENSE    1024u
#define PAGES_SPARSE   2048u
#define PAGES_FAR      128u
#define PAGES_FARTHEST 64u
#define SPARSE_PAGES   (LINE / DESCRIPTOR_BYTES) /* their descriptors are a line apart */
#define WALK_REACH     MB                        /* what an entry of the walk cache stands for */
#define UPPER_REACH    (16 * MB)                 /* what a line of the level above the last one stands for */
#define LEAST_LOADS    (32 * KB)
#define WARM_ROUNDS    16u
#define COLD_ROUNDS    4u
#define FLOOD_ROUNDS   32u
#define INVALIDATIONS  2048u
#define INVALIDATED    100u /* of the dense pages: its descriptors of both levels lie in different sets */

uint32_t flood(uint32_t lines, uint32_t from, uint32_t b, uint32_t c);
uint32_t walk_after_tlbimva(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t only_tlbimva(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t walk_after_tlbiall(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t only_tlbiall(uint32_t count, uint32_t va, uint32_t b, uint32_t c);

static uint32_t dense(uint32_t i)
{
    return DENSE + i * PAGE + i * 4 % PAGE;
}

static uint32_t sparse(uint32_t i)
{
    return SPARSE + i * SPARSE_PAGES * PAGE + i * 4 % PAGE;
}

/* Pages 1 MB apart have descriptors that fight for the same sets of L1D and of the TLB: every eighth stretch takes
 * another page.  128 descriptors lie in 128 lines of L1D, and in 16 sets of a main TLB of 128 sets. */
static uint32_t far(uint32_t i)
{
    return FAR + i * WALK_REACH + i / 8 * SPARSE_PAGES * PAGE + i * 4;
}

static uint32_t farthest(uint32_t i)
{
    return FARTHEST + i * UPPER_REACH + i % 16 * SPARSE_PAGES * PAGE + i * 4;
}

static void map(uint32_t (*word_of)(uint32_t), uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bench_map_page(word_of(i) & ~(PAGE - 1), FRAMES + i * 4 / PAGE * PAGE);
}

static uint32_t link(uint32_t (*word_of)(uint32_t), uint32_t n)
{
    const uint16_t *order = bench_order(n);
    struct ring ring = {0};
    for (uint32_t i = 0; i < n; i++)
        ring_add(&ring, word_of(order[i]));
    ring_close(&ring);
    return ring.first;
}

/* All pages of a stretch of the walk cache before the next stretch. */
static uint32_t link_by_stretches(void)
{
    const uint32_t each = WALK_REACH / (SPARSE_PAGES * PAGE), stretches = PAGES_SPARSE / each;
    const uint16_t *order = bench_order(stretches);
    struct ring ring = {0};
    for (uint32_t i = 0; i < stretches; i++) {
        for (uint32_t j = 0; j < each; j++)
            ring_add(&ring, sparse(order[i] * each + j * 13 % each));
    }
    ring_close(&ring);
    return ring.first;
}

static void begin(const char *where, uint32_t pages)
{
    bench_line("walk_cost");
    bench_word("tables", where);
    bench_number("pages", pages);
}

static void warm(const char *where, uint32_t first, uint32_t pages)
{
    begin(where, pages);
    const uint32_t loads = bench_rounds(pages, LEAST_LOADS);
    bench_flush_tlbs();
    bench_chase(first, WARM_ROUNDS * pages);
    bench_result(bench_chase(first, loads), loads);
}

/* Each round begins with all descriptors cleaned and invalidated to the point of coherency; a round walks once a page,
 * and no two pages share a line of descriptors. */
static void cold(uint32_t first)
{
    uint32_t cycles = 0;
    begin("dram", PAGES_SPARSE);
    for (uint32_t round = 0; round < COLD_ROUNDS; round++) {
        for (uint32_t i = 0; i < PAGES_SPARSE; i++)
            write_dccimvac(bench_descriptor_of(sparse(i)));
        dsb();
        cycles += bench_chase(first, PAGES_SPARSE);
    }
    bench_result(cycles, COLD_ROUNDS * PAGES_SPARSE);
}

/* Each round begins with empty TLBs, and with L1D full of what nobody needs, but for the words themselves. */
static void flooded(void)
{
    const uint32_t first = link(farthest, PAGES_FARTHEST);
    uint32_t cycles = 0;
    begin("no_walk_cache_l2", PAGES_FARTHEST);
    for (uint32_t round = 0; round < FLOOD_ROUNDS; round++) {
        flood(FLOOD_BYTES / LINE, FLOOD, 0, 0);
        flood(PAGES_FARTHEST * 4 / LINE, FRAMES, 0, 0);
        bench_flush_tlbs();
        cycles += bench_chase(first, PAGES_FARTHEST);
    }
    bench_result(cycles, FLOOD_ROUNDS * PAGES_FARTHEST);
}

static void after(const char *where, bench_loop loop, bench_loop empty)
{
    begin(where, 1);
    bench_result(bench_measure_net(loop, empty, INVALIDATIONS, dense(INVALIDATED), 0, 0), INVALIDATIONS);
}

int main(void)
{
    bench_start();
    map(dense, PAGES_DENSE);
    map(sparse, PAGES_SPARSE);
    map(far, PAGES_FAR);
    map(farthest, PAGES_FARTHEST);
    bench_flush_tlbs();
    warm("micro_hit", link(dense, 8), 8);
    warm("main_hit", link(dense, 64), 64);
    warm("l1", link(dense, PAGES_DENSE), PAGES_DENSE);
    const uint32_t first = link_by_stretches();
    warm("l2", first, PAGES_SPARSE);
    cold(first);
    warm("no_walk_cache", link(far, PAGES_FAR), PAGES_FAR);
    flooded();
    after("after_tlbimva", walk_after_tlbimva, only_tlbimva);
    after("after_tlbiall", walk_after_tlbiall, only_tlbiall);
    bench_finish();
}
