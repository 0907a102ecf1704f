/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the micro-benchmarks share: mappings in either table format, the cycle counter, lines of the protocol.
 *
 * Built with SHORT_TABLES the tables are those of a core without LPAE.
 */
#ifndef FW_BENCH_H
#define FW_BENCH_H

#include <stdint.h>

#include "mmu.h"

#ifdef SHORT_TABLES
#define BLOCK_BYTES      MB
#define DESCRIPTOR_BYTES 4u
#else
#define BLOCK_BYTES      (2 * MB)
#define DESCRIPTOR_BYTES 8u
#endif

#define LINE   64u         /* the longest line of the cores: an access to each such piece is one to each line */
#define DATA   0x44000000u /* 64 MB, mapped one to one by blocks */
#define WINDOW 0x80000000u /* from here up to 0xf0000000 nothing is mapped at the start */

/* A loop in assembly (loop.inc): returns the cycles that `count` turns took. */
typedef uint32_t (*bench_loop)(uint32_t count, uint32_t a, uint32_t b, uint32_t c);

/* Turns MMU, caches and PMCCNTR on, on the identity map of mmu.h. */
void bench_start(void);
_Noreturn void bench_finish(void);

/* Cacheable memory, read-write and never executable; a page may be made read-only. */
void bench_map_page(uint32_t va, uint32_t pa);
void bench_map_page_read_only(uint32_t va, uint32_t pa);
void bench_map_block(uint32_t va, uint32_t pa);
/* Where the last-level descriptor of a page that bench_map_page mapped is. */
uint32_t bench_descriptor_of(uint32_t va);
/* New descriptors are seen from here on; and no point of a curve depends on what the one before left in the TLBs. */
void bench_flush_tlbs(void);

/* The cycles of a loop without those of reading the counter. */
uint32_t bench_once(bench_loop loop, uint32_t count, uint32_t a, uint32_t b, uint32_t c);
/* The second of two equal runs: the first one warms caches, TLBs and the predictor. */
uint32_t bench_measure(bench_loop loop, uint32_t count, uint32_t a, uint32_t b, uint32_t c);
/* The same less what an empty loop of as many turns takes; 0 when that takes longer. */
uint32_t bench_measure_net(bench_loop loop, bench_loop empty, uint32_t count, uint32_t a, uint32_t b, uint32_t c);

/* The smallest multiple of n that is at least `least`. */
uint32_t bench_rounds(uint32_t n, uint32_t least);

/* A line: bench_line, any keys, bench_result. */
void bench_line(const char *benchmark);
void bench_number(const char *key, uint32_t value);
void bench_word(const char *key, const char *value);
void bench_result(uint32_t cycles, uint32_t count);

/* The numbers below n, each once, in a pseudo-random order; n is at most BENCH_MAX_ORDER. */
#define BENCH_MAX_ORDER 16384u
const uint16_t *bench_order(uint32_t n);

/* Links words into a ring in the order in which they come. */
struct ring {
    uint32_t first, last;
};
static inline void ring_add(struct ring *ring, uint32_t va)
{
    if (ring->first == 0)
        ring->first = va;
    else
        *(volatile uint32_t *)ring->last = va;
    ring->last = va;
}
static inline void ring_close(const struct ring *ring)
{
    *(volatile uint32_t *)ring->last = ring->first;
}

/* Follows a ring: each load's address is what the load before it found.  A multiple of CHASE_LOADS. */
#define CHASE_LOADS 8u
uint32_t bench_chase(uint32_t first, uint32_t loads);

#endif
