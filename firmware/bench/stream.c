/* SPDX-License-Identifier: GPL-2.0-or-later
 * Bandwidth: passes over a buffer whose accesses do not wait for one another.  The cost is that of a line of 64 bytes.
 *
 *     l2_fill bytes=N           one load a line: how fast lines come
 *     stream access=A bytes=N   the whole line: ldr, ldm, str, stm, or copy (ldm and stm, N bytes to N bytes)
 */
#include "bench.h"

#define COPY_TO     (DATA + 32 * MB)
#define LEAST_LINES 16384u
#define WARM_PASSES 6u
#define WARM_BYTES  MB

uint32_t stream_fill(uint32_t lines, uint32_t from, uint32_t to, uint32_t c);
uint32_t stream_ldr(uint32_t lines, uint32_t from, uint32_t to, uint32_t c);
uint32_t stream_ldm(uint32_t lines, uint32_t from, uint32_t to, uint32_t c);
uint32_t stream_str(uint32_t lines, uint32_t from, uint32_t to, uint32_t c);
uint32_t stream_stm(uint32_t lines, uint32_t from, uint32_t to, uint32_t c);
uint32_t stream_copy(uint32_t lines, uint32_t from, uint32_t to, uint32_t c);

static const uint32_t sizes[] = {4 * KB,   8 * KB,   16 * KB, 32 * KB, 64 * KB, 128 * KB,
                                 256 * KB, 512 * KB, MB,      2 * MB,  4 * MB,  8 * MB};

static const struct {
    const char *name;
    bench_loop loop;
} accesses[] = {
    {"ldr", stream_ldr}, {"ldm", stream_ldm}, {"str", stream_str}, {"stm", stream_stm}, {"copy", stream_copy},
};

/* Passes until LEAST_LINES, after some that do not count: a cache that replaces at random needs several before all of
 * what fits is in it. */
static void measure(bench_loop loop, uint32_t bytes)
{
    const uint32_t lines = bytes / LINE;
    uint32_t cycles = 0, count = 0;
    for (uint32_t pass = 0; pass == 0 || (pass < WARM_PASSES && bytes <= WARM_BYTES); pass++)
        bench_once(loop, lines, DATA, COPY_TO, 0);
    do {
        cycles += bench_once(loop, lines, DATA, COPY_TO, 0);
        count += lines;
    } while (count < LEAST_LINES);
    bench_result(cycles, count);
}

int main(void)
{
    bench_start();
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bench_line("l2_fill");
        bench_number("bytes", sizes[i]);
        measure(stream_fill, sizes[i]);
    }
    for (uint32_t a = 0; a < sizeof accesses / sizeof accesses[0]; a++) {
        for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            bench_line("stream");
            bench_word("access", accesses[a].name);
            bench_number("bytes", sizes[i]);
            measure(accesses[a].loop, sizes[i]);
        }
    }
    bench_finish();
}
