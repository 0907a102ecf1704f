/* SPDX-License-Identifier: GPL-2.0-or-later
 * Round trips into a handler that returns at once: entry, one instruction, return.
 *
 *     svc          SVC
 *     undefined    UDF
 *     permission   data abort: a store to a page that is read-only
 *     translation  data abort: a load from a page that is not there, with the walk that finds it so
 */
#include "bench.h"

#define TRIPS     8192u
#define READ_ONLY WINDOW
#define ABSENT    (WINDOW + PAGE) /* its last-level table is there */

extern const char vectors[], bench_vectors[];

uint32_t raise_nothing(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t raise_svc(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t raise_undefined(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t raise_by_store(uint32_t count, uint32_t va, uint32_t b, uint32_t c);
uint32_t raise_by_load(uint32_t count, uint32_t va, uint32_t b, uint32_t c);

static void measure(const char *kind, bench_loop loop, uint32_t va)
{
    write_vbar((uint32_t)bench_vectors);
    isb();
    const uint32_t cycles = bench_measure_net(loop, raise_nothing, TRIPS, va, 0, 0);
    write_vbar((uint32_t)vectors);
    isb();
    bench_line("exceptions");
    bench_word("kind", kind);
    bench_result(cycles, TRIPS);
}

int main(void)
{
    bench_start();
    bench_map_page_read_only(READ_ONLY, DATA);
    bench_flush_tlbs();
    measure("svc", raise_svc, 0);
    measure("undefined", raise_undefined, 0);
    measure("permission", raise_by_store, READ_ONLY);
    measure("translation", raise_by_load, ABSENT);
    bench_finish();
}
