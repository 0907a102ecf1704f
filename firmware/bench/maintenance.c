/* SPDX-License-Identifier: GPL-2.0-or-later
 * What single operations cost: barriers, system registers, TLB and cache maintenance, exclusives.
 *
 * TLBIALL takes the loop's own entry away each time, so its figure has walks in it; the other TLB operations name an
 * address or an ASID that nothing uses.  store_dccmvac cleans a line that the store before has made dirty.
 */
#include "bench.h"

#define TURNS     1024u
#define EACH_TURN 8u
#define ABSENT    (WINDOW + PAGE)
#define OTHER     7u /* an ASID */

#define OPERATION(name) uint32_t operate_##name(uint32_t count, uint32_t mapped, uint32_t absent, uint32_t asid);
OPERATION(nothing)
OPERATION(dsb)
OPERATION(dmb)
OPERATION(isb)
OPERATION(mcr)
OPERATION(mrc)
OPERATION(tlbiall)
OPERATION(tlbimva)
OPERATION(tlbiasid)
OPERATION(tlbimvais)
OPERATION(dccmvac)
OPERATION(store_dccmvac)
OPERATION(ldrex_strex)

static const struct {
    const char *name;
    bench_loop loop;
} operations[] = {
    {"dsb", operate_dsb},
    {"dmb", operate_dmb},
    {"isb", operate_isb},
    {"mcr", operate_mcr},
    {"mrc", operate_mrc},
    {"tlbiall", operate_tlbiall},
    {"tlbimva", operate_tlbimva},
    {"tlbiasid", operate_tlbiasid},
    {"tlbimvais", operate_tlbimvais},
    {"dccmvac", operate_dccmvac},
    {"store_dccmvac", operate_store_dccmvac},
    {"ldrex_strex", operate_ldrex_strex},
};

int main(void)
{
    bench_start();
    for (uint32_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        bench_line("maintenance");
        bench_word("operation", operations[i].name);
        bench_result(bench_measure_net(operations[i].loop, operate_nothing, TURNS, DATA, ABSENT, OTHER),
                     TURNS * EACH_TURN);
    }
    bench_finish();
}
