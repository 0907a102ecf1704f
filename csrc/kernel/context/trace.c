/* SPDX-License-Identifier: GPL-2.0-or-later
 * The record of events that pe_kernel_trace switches on. */
#include "kernel/context/trace.h"

#include "kernel/kernel.h"
#include "machine/machine.h"
#include "timing/ledger.h"

#include <stdlib.h>

static void read_account(const struct pe_kernel *k, uint32_t cpu, uint64_t *cycles, uint64_t *insns)
{
    const pe_ledger *ledger = k->bill.ledger;
    if (ledger) {
        const ledger_cpu *account = &ledger->cpu[cpu];
        *cycles = account->clock;
        *insns = account->bill[0].events[PE_COST_INSTRUCTIONS] + account->bill[1].events[PE_COST_INSTRUCTIONS];
    }
}

void trace_add(struct pe_kernel *k, const pe_trace_event *event)
{
    struct trace *t = k->trace;
    if (t->count < t->room) {
        pe_trace_event *out = &t->event[t->count];
        const uint32_t id = k->cpu->id;
        *out = *event;
        out->cpu = (uint8_t)id;
        out->depth = k->cpu->chain.depth;
        read_account(k, id, &out->cycles, &out->insns);
        out->cycles -= t->cycles[id];
        out->insns -= t->insns[id];
    }
    t->count++;
}

void trace_function(struct pe_kernel *k, bool enter)
{
    const struct kernel_cpu *cpu = k->cpu;
    const uint32_t at = cpu->chain.depth - 1;
    const uint8_t function = at < CHAIN_MAX ? cpu->chain.functions[at] : PE_FUNCTIONS;
    trace_add(k, &(pe_trace_event){.kind = enter ? PE_TRACE_ENTER : PE_TRACE_LEAVE, .code = function});
}

/* ---- stores to guest memory ---- */

static uint64_t phys_of(const struct pe_kernel *k, const uint8_t *host)
{
    return (uint64_t)(host - k->ram) + k->layout.phys_offset;
}

void observe_page(struct pe_kernel *k, const uint8_t *host, uint32_t bytes)
{
    if (k->machine) {
        rewind_host_write(k->machine, phys_of(k, host), bytes);
    }
}

/* The function that stores: the innermost of the chain. */
static uint8_t current_function(const struct kernel_cpu *cpu)
{
    const uint32_t depth = cpu->chain.depth < CHAIN_MAX ? cpu->chain.depth : CHAIN_MAX;
    return depth ? cpu->chain.functions[depth - 1] : PE_FN_SYSTEM_CALL;
}

/* For the debugger of the machine: at the instruction for which the model acts. */
static void note_store(const struct pe_kernel *k, const pe_table_write *store)
{
    pe_table_write w = *store;
    const pe_cpu *cpu = k->machine->cpu[k->cpu->id];
    if (k->machine->debug && cpu) {
        w.insns = run_total_insns(k->machine);
        w.pc = cpu_reg(cpu, UC_ARM_REG_PC);
        w.lr = cpu_reg(cpu, UC_ARM_REG_LR);
        w.cpu = (uint8_t)k->cpu->id;
        w.privileged = true;
        w.function = (uint8_t)(current_function(k->cpu) + 1);
        watch_host_store(k->machine, &w);
    }
}

void observe_entry(struct pe_kernel *k, const uint8_t *host, uint32_t size, uint64_t value)
{
    uint64_t old = 0;
    memcpy(&old, host, size);
    observe_page(k, host, size);
    if (k->machine) {
        note_store(
            k, &(pe_table_write){.pa = phys_of(k, host), .old_value = old, .new_value = value, .size = (uint8_t)size});
    }
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = PE_TRACE_WRITE,
                                       .size = (uint8_t)size,
                                       .pa = phys_of(k, host),
                                       .value = value,
                                       .old_value = old});
    }
}

/* ---- the record ---- */

static void attach(struct pe_kernel *k, struct trace *trace)
{
    k->trace = trace;
    for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
        k->cpus[i].traced = trace ? k : NULL;
    }
}

void trace_release(struct pe_kernel *k)
{
    if (k->trace) {
        free(k->trace->event);
        free(k->trace);
        attach(k, NULL);
    }
}

pe_status pe_kernel_trace(pe_kernel *k, uint64_t room, pe_error *err)
{
    trace_release(k);
    if (!room) {
        return PE_OK;
    }
    struct trace *trace = calloc(1, sizeof *trace);
    pe_trace_event *events = room < SIZE_MAX / sizeof *events ? calloc(room, sizeof *events) : NULL;
    if (!trace || !events) {
        free(trace);
        free(events);
        return pe_fail(err, PE_ERR_MEMORY, "no memory to keep %llu events", (unsigned long long)room);
    }
    *trace = (struct trace){.event = events, .room = room};
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        read_account(k, i, &trace->cycles[i], &trace->insns[i]);
    }
    attach(k, trace);
    return PE_OK;
}

size_t pe_kernel_trace_read(const pe_kernel *k, uint64_t from, pe_trace_event *out, size_t max, uint64_t *total)
{
    const struct trace *t = k->trace;
    const uint64_t kept = !t ? 0 : t->count < t->room ? t->count : t->room;
    size_t stored = 0;
    *total = t ? t->count : 0;
    while (stored < max && from + stored < kept) {
        out[stored] = t->event[from + stored];
        stored++;
    }
    return stored;
}
