/* SPDX-License-Identifier: GPL-2.0-or-later
 * Branches by what they do: the cost of a turn of a loop with one of them.
 *
 *     branches pattern=P                       conditional: always, never, alternating, period4, period8, random; and
 *                                              none, the same turn without it
 *     branches pattern=indirect targets=N      N targets in turn; indirect_random: in no order
 *     branches pattern=calls depth=N           N calls inside one another, and their returns; of one of them
 */
#include "bench.h"

#define TURNS     32768u
#define CALLS     16384u
#define FUNCTIONS 64u
#define FUNCTION  16u /* bytes */
#define SEED      0xace1u

uint32_t branch_pattern(uint32_t count, uint32_t bits, uint32_t b, uint32_t c);
uint32_t branch_none(uint32_t count, uint32_t bits, uint32_t b, uint32_t c);
uint32_t branch_random(uint32_t count, uint32_t seed, uint32_t b, uint32_t c);
uint32_t branch_indirect(uint32_t count, uint32_t targets, uint32_t b, uint32_t c);
uint32_t branch_indirect_random(uint32_t count, uint32_t targets, uint32_t seed, uint32_t c);
uint32_t branch_calls(uint32_t count, uint32_t skipped_bytes, uint32_t b, uint32_t c);

static void begin(const char *pattern)
{
    bench_line("branches");
    bench_word("pattern", pattern);
}

static void conditional(const char *pattern, bench_loop loop, uint32_t bits)
{
    begin(pattern);
    bench_result(bench_measure(loop, TURNS, bits, 0, 0), TURNS);
}

static void indirect(const char *pattern, bench_loop loop, uint32_t targets)
{
    begin(pattern);
    bench_number("targets", targets);
    bench_result(bench_measure(loop, TURNS, targets, SEED, 0), TURNS);
}

static void calls(uint32_t depth_log2)
{
    const uint32_t depth = 1u << depth_log2, descents = CALLS >> depth_log2;
    begin("calls");
    bench_number("depth", depth);
    bench_result(bench_measure(branch_calls, descents, (FUNCTIONS + 1 - depth) * FUNCTION, 0, 0), descents * depth);
}

int main(void)
{
    bench_start();
    conditional("none", branch_none, 0);
    conditional("always", branch_pattern, 0xffffffff);
    conditional("never", branch_pattern, 0);
    conditional("alternating", branch_pattern, 0x55555555);
    conditional("period4", branch_pattern, 0x11111111);
    conditional("period8", branch_pattern, 0x01010101);
    conditional("random", branch_random, SEED);
    indirect("indirect", branch_indirect, 1);
    indirect("indirect", branch_indirect, 2);
    indirect("indirect", branch_indirect, 4);
    indirect("indirect_random", branch_indirect_random, 2);
    indirect("indirect_random", branch_indirect_random, 4);
    for (uint32_t depth_log2 = 0; depth_log2 <= 6; depth_log2++)
        calls(depth_log2);
    bench_finish();
}
