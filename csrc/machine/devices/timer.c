/* SPDX-License-Identifier: GPL-2.0-or-later
 * The generic timer (ARM DDI 0406C B8): a 62.5 MHz count of guest time, a physical and a virtual channel for each CPU.
 * CNTVOFF is zero, so both counters agree. */
#include "machine/machine.h"

#define CTL_ENABLE 1u
#define CTL_IMASK  2u

uint64_t timer_count(const pe_machine *m)
{
    return machine_ns(m) / NS_PER_TICK;
}

static bool output(const timer_channel *channel, uint64_t count)
{
    return (channel->ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE && count >= channel->cval;
}

void timer_update(pe_machine *m, uint32_t cpu)
{
    const timer_state *t = &m->board.timer[cpu];
    const uint64_t count = timer_count(m);
    gic_set_level(m, cpu, BOARD_IRQ_PHYS_TIMER, output(&t->phys, count));
    gic_set_level(m, cpu, BOARD_IRQ_VIRT_TIMER, output(&t->virt, count));
    pmu_update(m->cpu[cpu]);
}

void timer_update_all(pe_machine *m)
{
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        timer_update(m, i);
    }
}

void timer_set(pe_machine *m, uint32_t cpu, timer_channel *channel, uint32_t ctl, uint64_t cval)
{
    channel->ctl = ctl;
    channel->cval = cval;
    timer_update(m, cpu);
    run_kick(m);
}

/* When a channel's output will rise: never, if it is off, masked or up already; 0 when it is due, but the interrupt
 * controller has not been told. */
static uint64_t channel_event(const timer_channel *channel, uint64_t count, bool up)
{
    const uint64_t last = TIME_HORIZON / (NS_PER_TICK * TIME_UNITS_PER_NS);
    if (output(channel, count)) {
        return up ? NEVER : 0;
    }
    if ((channel->ctl & (CTL_ENABLE | CTL_IMASK)) != CTL_ENABLE || channel->cval >= last) {
        return NEVER;
    }
    return channel->cval * NS_PER_TICK * TIME_UNITS_PER_NS;
}

uint64_t timer_next_event(const pe_machine *m)
{
    const uint64_t count = timer_count(m);
    uint64_t next = pmu_next_event(m);
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        const timer_state *t = &m->board.timer[i];
        const uint32_t level = m->board.gic.cpu[i].level;
        const uint64_t phys = channel_event(&t->phys, count, level >> BOARD_IRQ_PHYS_TIMER & 1);
        const uint64_t virt = channel_event(&t->virt, count, level >> BOARD_IRQ_VIRT_TIMER & 1);
        next = phys < next ? phys : next;
        next = virt < next ? virt : next;
    }
    return next;
}
