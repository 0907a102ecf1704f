/* SPDX-License-Identifier: GPL-2.0-or-later
 * The bill: instructions, TLB, walk and caches of an operation of the model, on the CPU that runs. */
#include "kernel/cost.h"

#include "timing/hierarchy.h"
#include "timing/ledger.h"

void cost_insns_billed(struct pe_kernel *k, uint64_t sixteenths)
{
    const uint32_t id = k->cpu->id;
    uint64_t *insns = &k->bill.part[id].insns_x16, *cycles = &k->bill.part[id].cycles_x256;
    *insns += sixteenths;
    *cycles += sixteenths * k->bill.cycles_per_insn;
    ledger_cpu *account = &k->bill.ledger->cpu[id];
    pe_bill *bill = &account->bill[true];
    bill->events[PE_COST_INSTRUCTIONS] += *insns >> 4;
    bill->cycles[PE_COST_INSTRUCTIONS] += *cycles >> 8;
    account->clock += *cycles >> 8;
    *insns &= 15;
    *cycles &= 255;
}

void cost_event_billed(struct pe_kernel *k, pe_cost cost, uint32_t cycles)
{
    ledger_add(&k->bill.ledger->cpu[k->cpu->id], true, cost, cycles);
}

void cost_exception(struct pe_kernel *k)
{
    if (cost_billed(k)) {
        const pe_system_params *p = &k->bill.core.system;
        cost_event_billed(k, PE_COST_EXCEPTIONS, p->exception_entry_cycles + p->exception_return_cycles);
    }
}

static void access_cache(struct pe_kernel *k, pe_cache_use use, uint64_t pa)
{
    const struct bill *b = &k->bill;
    const uint32_t cpu = k->cpu->id;
    if (b->caches) {
        pe_ledger_add_access(b->ledger, cpu, true, b->caches, use, pe_caches_access(b->caches, cpu, use, pa));
    } else if (use == PE_CACHE_WALK) {
        pe_ledger_add(b->ledger, cpu, true, PE_COST_WALK, b->core.l2.hit_cycles);
    }
}

/* A miss of the main TLB reads descriptors, of which the walk cache spares all but the last. */
static void walk(struct pe_kernel *k, pe_tlb *tlb, uint32_t va, uint8_t asid, pe_access access, pe_tlb_result *result)
{
    pe_walk steps;
    pe_translate_steps(k->mem, &k->cpu->regime, va, access, true, &steps);
    pe_tlb_fill(tlb, va, asid, access, true, &steps.result, result);
    if (result->level == PE_TLB_MISS) {
        for (uint32_t i = result->walk_cached && steps.nsteps ? steps.nsteps - 1 : 0; i < steps.nsteps; i++) {
            access_cache(k, PE_CACHE_WALK, steps.steps[i].descriptor_pa);
        }
    }
}

static uint8_t current_asid(const pe_regime *regime)
{
    return regime->ttbcr >> 31 ? (uint8_t)(regime->ttbr0 >> 48) : (uint8_t)regime->contextidr;
}

static void access_tlb(struct pe_kernel *k, uint32_t va, pe_access access)
{
    pe_tlb *tlb = k->bill.tlb[k->cpu->id];
    if (!tlb) {
        return;
    }
    const uint8_t asid = current_asid(&k->cpu->regime);
    pe_tlb_result result;
    if (!pe_tlb_lookup(tlb, va, asid, access, &result)) {
        walk(k, tlb, va, asid, access, &result);
    }
    pe_ledger_add_tlb(k->bill.ledger, k->cpu->id, true, &k->bill.core, &result, access);
}

void cost_touch_billed(struct pe_kernel *k, uint32_t va, uint64_t pa, pe_access access)
{
    access_tlb(k, va, access);
    access_cache(k, access == PE_WRITE ? PE_CACHE_WRITE : PE_CACHE_READ, pa);
}

void cost_stream_billed(struct pe_kernel *k, uint32_t va, uint64_t pa, uint32_t bytes, pe_access access)
{
    if (!bytes) {
        return;
    }
    access_tlb(k, va, access);
    const uint32_t line = k->bill.core.l1d.line_bytes ? k->bill.core.l1d.line_bytes : 64;
    const uint64_t last = pa + bytes - 1;
    for (uint64_t at = pa & ~(uint64_t)(line - 1); at <= last; at += line) {
        access_cache(k, access == PE_WRITE ? PE_CACHE_WRITE : PE_CACHE_READ, at);
    }
}

const pe_ledger *pe_kernel_ledger(const pe_kernel *k)
{
    return k->bill.ledger;
}

const pe_caches *pe_kernel_caches(const pe_kernel *k)
{
    return k->bill.caches;
}

pe_tlb *pe_kernel_tlb(pe_kernel *k, uint32_t cpu)
{
    return cpu < k->config.cpus ? k->bill.tlb[cpu] : NULL;
}
