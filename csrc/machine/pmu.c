/* SPDX-License-Identifier: GPL-2.0-or-later
 * The performance monitors, PMUv2 (ARM DDI 0406C C12.8; Cortex-A15 TRM 11, Cortex-A7 TRM 11): registers, counters,
 * overflow.  Every access is trapped (HDCR.TPM).  What an event has counted since reset says timed_event; a counter
 * adds up what passes of it while it is enabled. */
#include "machine/timed/timed.h"

#define PMCR_E          0x01u
#define PMCR_P          0x02u /* resets the event counters; reads as zero */
#define PMCR_C          0x04u /* resets PMCCNTR; reads as zero */
#define PMCR_D          0x08u /* PMCCNTR counts every 64th cycle */
#define PMCR_KEPT       0x39u /* E, D, X, DP */
#define PMCR_CORTEX_A15 0x410f0000u
#define PMCR_CORTEX_A7  0x41070000u
#define PMCR_N_SHIFT    11

#define PMXEVTYPER_P     0x80000000u /* not PL1 */
#define PMXEVTYPER_U     0x40000000u /* not PL0 */
#define PMXEVTYPER_NSK   0x20000000u /* turns P round in Non-secure state */
#define PMXEVTYPER_NSU   0x10000000u /* and U */
#define PMXEVTYPER_EVENT 0x000000ffu
#define PMXEVTYPER_MODES 0xf8000000u

#define CYCLES          PMU_COUNTERS /* the place of PMCCNTR among the counters */
#define CYCLES_BIT      0x80000000u
#define CYCLES_SELECTED 31u
#define PMUSERENR_EN    1u

static pmu_state *state_of(const pe_cpu *cpu)
{
    return &cpu->machine->board.pmu[cpu->index];
}

static uint32_t event_counters(const pe_cpu *cpu)
{
    return cpu->machine->config.cpu_model == PE_CPU_CORTEX_A7 ? 4 : PMU_COUNTERS;
}

static uint32_t all_counters(const pe_cpu *cpu)
{
    return CYCLES_BIT | ((1u << event_counters(cpu)) - 1);
}

static uint32_t bit_of(uint32_t counter)
{
    return counter == CYCLES ? CYCLES_BIT : 1u << counter;
}

/* ---- counting ---- */

static uint32_t event_of(const pe_cpu *cpu, uint32_t counter)
{
    return counter == CYCLES ? PMU_CPU_CYCLES : state_of(cpu)->counter[counter].type & PMXEVTYPER_EVENT;
}

static uint64_t event_value(const pe_cpu *cpu, uint32_t counter)
{
    uint64_t value = 0; /* and so it stays where the event is not known */
    timed_event(cpu, event_of(cpu, counter), &value);
    return value;
}

/* The machine is in Non-secure state always. */
static bool type_counts(uint32_t type, bool privileged)
{
    return privileged ? !(type & PMXEVTYPER_P) == !(type & PMXEVTYPER_NSK)
                      : !(type & PMXEVTYPER_U) == !(type & PMXEVTYPER_NSU);
}

/* Without a cycle model nobody knows when the privilege changes: then every counter counts at both. */
static bool counter_runs(const pe_cpu *cpu, uint32_t counter)
{
    const pmu_state *p = state_of(cpu);
    return p->control & PMCR_E && p->enabled & bit_of(counter) &&
           (!cpu->timed || type_counts(p->counter[counter].type, p->privileged));
}

static void add(pmu_state *p, uint32_t counter, uint64_t events)
{
    pmu_counter *c = &p->counter[counter];
    if (events > UINT32_MAX - c->count) {
        p->overflowed |= bit_of(counter);
    }
    c->count += (uint32_t)events;
}

/* Brings a counter up to now; from here on it goes by the registers as they then are. */
static void advance(pe_cpu *cpu, uint32_t counter)
{
    pmu_state *p = state_of(cpu);
    pmu_counter *c = &p->counter[counter];
    const uint64_t value = event_value(cpu, counter);
    uint64_t passed = counter_runs(cpu, counter) ? value - c->since : 0;
    c->since = value;
    if (counter == CYCLES && p->control & PMCR_D) {
        passed += p->divided % 64;
        p->divided = passed % 64;
        passed /= 64;
    }
    add(p, counter, passed);
}

static void advance_all(pe_cpu *cpu)
{
    for (uint32_t i = 0; i < event_counters(cpu); i++) {
        advance(cpu, i);
    }
    advance(cpu, CYCLES);
}

/* ---- the interrupt: a level (ARM DDI 0406C C12.1.4) ---- */

static bool output(const pmu_state *p)
{
    return p->control & PMCR_E && p->overflowed & p->interrupts;
}

/* Counters whose overflow would raise the line. */
static uint32_t awaited(const pmu_state *p)
{
    return p->control & PMCR_E && !output(p) ? p->enabled & p->interrupts : 0;
}

void pmu_update(pe_cpu *cpu)
{
    const pmu_state *p = state_of(cpu);
    if (awaited(p)) {
        advance_all(cpu);
    }
    gic_set_level(cpu->machine, cpu->index, BOARD_IRQ_PMU, output(p));
}

/* Events until a counter is at zero again. */
static uint64_t events_left(const pe_cpu *cpu, uint32_t counter)
{
    const pmu_state *p = state_of(cpu);
    const pmu_counter *c = &p->counter[counter];
    const uint64_t counts = (uint64_t)UINT32_MAX + 1 - c->count;
    const uint64_t events = counter == CYCLES && p->control & PMCR_D ? counts * 64 - p->divided % 64 : counts;
    const uint64_t passed = event_value(cpu, counter) - c->since;
    return passed < events ? events - passed : 0;
}

/* The least of f over the counters that may raise the line. */
static uint64_t first_overflow(const pe_cpu *cpu, uint64_t (*f)(const pe_cpu *cpu, uint32_t counter, uint64_t left))
{
    const uint32_t counters = awaited(state_of(cpu));
    uint64_t first = NEVER, value;
    for (uint32_t counter = 0; counters && counter <= CYCLES; counter++) {
        if (counters & bit_of(counter) && counter_runs(cpu, counter) &&
            timed_event(cpu, event_of(cpu, counter), &value)) {
            const uint64_t at = f(cpu, counter, events_left(cpu, counter));
            first = at < first ? at : first;
        }
    }
    return first;
}

/* Cycles pass with time, instructions on the CPU that runs; all else happens in traps. */
static uint64_t overflow_time(const pe_cpu *cpu, uint32_t counter, uint64_t left)
{
    const pe_machine *m = cpu->machine;
    if (event_of(cpu, counter) == PMU_CPU_CYCLES) {
        const uint64_t at = (machine_ns(m) + left) * TIME_UNITS_PER_NS;
        return at < TIME_HORIZON ? at : NEVER;
    }
    const bool runs = event_of(cpu, counter) == PMU_INST_RETIRED && cpu == m->current;
    return runs ? machine_time(m) + left * m->slice_share : NEVER;
}

uint64_t pmu_next_event(const pe_machine *m)
{
    uint64_t next = NEVER;
    for (uint32_t i = 0; !m->timed && i < m->config.ncpus; i++) {
        const uint64_t at = first_overflow(m->cpu[i], overflow_time);
        next = at < next ? at : next;
    }
    return next;
}

/* Only of cycles it is known when they come.  Other events are looked at again when those left may have come, at eight
 * in a cycle, which is more than any core does: so an overflow is seen at the first block after it. */
static uint64_t overflow_clock(const pe_cpu *cpu, uint32_t counter, uint64_t left)
{
    const uint64_t wait = event_of(cpu, counter) == PMU_CPU_CYCLES || !left ? left : left / 8 + 1;
    return cpu->timed->account->clock + wait;
}

uint64_t pmu_deadline(const pe_cpu *cpu)
{
    return first_overflow(cpu, overflow_clock);
}

/* ---- from outside ---- */

void pmu_reset(pe_cpu *cpu)
{
    pmu_state *p = state_of(cpu);
    *p = (pmu_state){.privileged = true, .contextidr_writes = p->contextidr_writes, .ttbr_writes = p->ttbr_writes};
    pmu_resume(cpu);
}

void pmu_sync(pe_cpu *cpu)
{
    advance_all(cpu);
}

void pmu_resume(pe_cpu *cpu)
{
    for (uint32_t i = 0; i <= CYCLES; i++) {
        state_of(cpu)->counter[i].since = event_value(cpu, i);
    }
}

void pmu_change_privilege(pe_cpu *cpu, bool privileged)
{
    pmu_state *p = state_of(cpu);
    const bool matters = p->control & PMCR_E && p->enabled & p->filtered;
    if (matters) {
        advance_all(cpu);
    }
    p->privileged = privileged;
    if (matters && awaited(p)) {
        run_kick(cpu->machine);
    }
}

void pmu_note_write(pe_cpu *cpu, cp15_reg reg)
{
    pmu_state *p = state_of(cpu);
    p->contextidr_writes += !reg.is64 && reg.crn == 13;
    p->ttbr_writes += reg.is64 || (reg.crn == 2 && reg.opc2 < 2);
    pmu_update(cpu);
}

/* ---- registers ---- */

/* CRm << 4 | opc2 */
enum {
    PMCR = 0xc0,
    PMCNTENSET,
    PMCNTENCLR,
    PMOVSR,
    PMSWINC,
    PMSELR,
    PMCEID0,
    PMCEID1,
    PMCCNTR = 0xd0,
    PMXEVTYPER,
    PMXEVCNTR,
    PMUSERENR = 0xe0,
    PMINTENSET,
    PMINTENCLR,
    PMOVSSET,
};

bool pmu_has(cp15_reg reg)
{
    return !reg.is64 && reg.crn == 9 && reg.opc1 == 0 && reg.crm >= 12 && reg.crm <= 14;
}

static bool allowed(const pe_cpu *cpu, uint32_t reg, bool read)
{
    if (cpu_privileged(cpu)) {
        return true;
    }
    switch (reg) {
    case PMUSERENR: return read;
    case PMINTENSET:
    case PMINTENCLR: return false;
    default: return state_of(cpu)->user & PMUSERENR_EN;
    }
}

/* The counter that PMSELR chooses; NULL: there is none, then PMXEVTYPER and PMXEVCNTR read as zero. */
static pmu_counter *selected(const pe_cpu *cpu)
{
    pmu_state *p = state_of(cpu);
    return p->selected < event_counters(cpu) ? &p->counter[p->selected] : NULL;
}

static uint32_t known_events(const pe_cpu *cpu)
{
    uint32_t known = 1u << PMU_SW_INCR;
    for (uint32_t event = 0; event < 32; event++) {
        uint64_t value;
        known |= (uint32_t)timed_event(cpu, event, &value) << event;
    }
    return known;
}

static uint32_t read_type(const pe_cpu *cpu)
{
    const pmu_counter *c = selected(cpu);
    const pmu_state *p = state_of(cpu);
    return c ? c->type : p->selected == CYCLES_SELECTED ? p->counter[CYCLES].type : 0;
}

static bool read_register(const pe_cpu *cpu, uint32_t reg, uint64_t *value)
{
    const pmu_state *p = state_of(cpu);
    const pmu_counter *c = selected(cpu);
    switch (reg) {
    case PMCR:
        *value = cpu->machine->config.cpu_model == PE_CPU_CORTEX_A7 ? PMCR_CORTEX_A7 : PMCR_CORTEX_A15;
        *value |= event_counters(cpu) << PMCR_N_SHIFT | p->control;
        return true;
    case PMCNTENSET:
    case PMCNTENCLR: *value = p->enabled; return true;
    case PMOVSR:
    case PMOVSSET: *value = p->overflowed; return true;
    case PMSELR: *value = p->selected; return true;
    case PMCEID0: *value = known_events(cpu); return true;
    case PMCEID1: *value = 0; return true;
    case PMCCNTR: *value = p->counter[CYCLES].count; return true;
    case PMXEVTYPER: *value = read_type(cpu); return true;
    case PMXEVCNTR: *value = c ? c->count : 0; return true;
    case PMUSERENR: *value = p->user; return true;
    case PMINTENSET:
    case PMINTENCLR: *value = p->interrupts; return true;
    default: return false;
    }
}

static void write_control(pe_cpu *cpu, uint32_t value)
{
    pmu_state *p = state_of(cpu);
    p->control = value & PMCR_KEPT;
    for (uint32_t i = 0; value & PMCR_P && i < event_counters(cpu); i++) {
        p->counter[i].count = 0;
    }
    if (value & PMCR_C) {
        p->counter[CYCLES].count = 0;
        p->divided = 0;
    }
}

static void write_type(pe_cpu *cpu, uint32_t value)
{
    pmu_state *p = state_of(cpu);
    if (!selected(cpu) && p->selected != CYCLES_SELECTED) {
        return;
    }
    const uint32_t counter = selected(cpu) ? p->selected : CYCLES;
    p->counter[counter].type = value & (counter == CYCLES ? PMXEVTYPER_MODES : PMXEVTYPER_MODES | PMXEVTYPER_EVENT);
    p->counter[counter].since = event_value(cpu, counter);
    const bool everywhere = type_counts(value, true) && type_counts(value, false);
    p->filtered = everywhere ? p->filtered & ~bit_of(counter) : p->filtered | bit_of(counter);
}

static void software_increment(pe_cpu *cpu, uint32_t counters)
{
    pmu_state *p = state_of(cpu);
    for (uint32_t i = 0; i < event_counters(cpu); i++) {
        if (counters >> i & 1 && event_of(cpu, i) == PMU_SW_INCR && counter_runs(cpu, i)) {
            add(p, i, 1);
        }
    }
}

static bool write_register(pe_cpu *cpu, uint32_t reg, uint32_t value)
{
    pmu_state *p = state_of(cpu);
    const uint32_t counters = value & all_counters(cpu);
    switch (reg) {
    case PMCR: write_control(cpu, value); return true;
    case PMCNTENSET: p->enabled |= counters; return true;
    case PMCNTENCLR: p->enabled &= ~counters; return true;
    case PMOVSR: p->overflowed &= ~counters; return true;
    case PMOVSSET: p->overflowed |= counters; return true;
    case PMSWINC: software_increment(cpu, counters); return true;
    case PMSELR: p->selected = value & 31; return true;
    case PMCCNTR: p->counter[CYCLES].count = value; return true;
    case PMXEVTYPER: write_type(cpu, value); return true;
    case PMXEVCNTR:
        if (selected(cpu)) {
            selected(cpu)->count = value;
        }
        return true;
    case PMUSERENR: p->user = value & PMUSERENR_EN; return true;
    case PMINTENSET: p->interrupts |= counters; return true;
    case PMINTENCLR: p->interrupts &= ~counters; return true;
    default: return false;
    }
}

bool pmu_access(pe_cpu *cpu, cp15_reg reg, bool read, uint64_t *value)
{
    const uint32_t number = (uint32_t)reg.crm << 4 | reg.opc2;
    if (!allowed(cpu, number, read)) {
        return false;
    }
    advance_all(cpu);
    if (read) {
        return read_register(cpu, number, value);
    }
    const bool known = write_register(cpu, number, (uint32_t)*value);
    pmu_update(cpu);
    if (awaited(state_of(cpu))) {
        run_kick(cpu->machine);
    }
    return known;
}
