/* SPDX-License-Identifier: GPL-2.0-or-later
 * Whose ledger, caches and TLBs a model bills: its own, or those of the machine that it runs on. */
#include "kernel/bill.h"

#include "kernel/kernel.h"

static pe_status make_own(struct pe_kernel *k, pe_error *err)
{
    struct bill *b = &k->bill;
    const pe_kernel_config *c = &k->config;
    b->owned = true;
    if (!(b->ledger = pe_ledger_new(c->cpus, err))) {
        return err->status;
    }
    for (uint32_t i = 0; i < c->cpus && c->timing >= PE_TIMING_TLB; i++) {
        if (!(b->tlb[i] = pe_tlb_new(&b->core, err))) {
            return err->status;
        }
    }
    if (c->timing == PE_TIMING_CACHE && !(b->caches = pe_caches_new(&b->core, c->cpus, err))) {
        return err->status;
    }
    return PE_OK;
}

/* The machine's objects are read-only to its users; the model is a part of what runs on it. */
static void borrow(struct pe_kernel *k)
{
    struct bill *b = &k->bill;
    b->ledger = (pe_ledger *)(uintptr_t)pe_machine_ledger(k->machine);
    b->caches = (pe_caches *)(uintptr_t)pe_machine_caches(k->machine);
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        b->tlb[i] = pe_machine_tlb(k->machine, i);
    }
}

pe_status bill_init(struct pe_kernel *k, pe_error *err)
{
    const pe_kernel_config *c = &k->config;
    if (c->flags & PE_KERNEL_FUNCTIONAL) {
        return PE_OK;
    }
    if (!c->costs) {
        return pe_fail(err, PE_ERR_ARGUMENT, "costs: none given: a bill needs instruction counts");
    }
    k->costs = *c->costs;
    k->config.costs = &k->costs;
    k->bill.cycles_per_insn = 16;
    if (c->core) {
        k->bill.core = *c->core;
        k->config.core = &k->bill.core;
    }
    if (c->timing != PE_TIMING_OFF) {
        k->bill.cycles_per_insn = k->costs.cycles_per_insn;
    }
    if (k->machine && pe_machine_timing(k->machine) != PE_TIMING_OFF) {
        borrow(k);
        return PE_OK;
    }
    pe_error local = {0};
    return make_own(k, err ? err : &local);
}

void bill_release(struct pe_kernel *k)
{
    struct bill *b = &k->bill;
    if (b->owned) {
        pe_ledger_free(b->ledger);
        pe_caches_free(b->caches);
        for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
            pe_tlb_free(b->tlb[i]);
        }
    }
}
