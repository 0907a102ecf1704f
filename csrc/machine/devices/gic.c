/* SPDX-License-Identifier: GPL-2.0-or-later
 * GICv2 without security extensions (ARM IHI 0048B): distributor and CPU interfaces for up to 8 CPUs, 288 interrupts,
 * 32 priority levels as the Cortex-A15's own controller. */
#include "machine/machine.h"

#define SPURIOUS      1023u
#define PRIORITY_MASK 0xf8u
#define IDLE_PRIORITY 0x100u

#define GICC_ENABLE_GRP0 0x001u
#define GICC_ENABLE_GRP1 0x002u
#define GICC_ACKCTL      0x004u
#define GICC_FIQEN       0x008u
#define GICC_CBPR        0x010u
#define GICC_EOIMODE     0x200u

static inline bool is_private(uint32_t irq)
{
    return irq < 32;
}

static inline bool bit(const uint32_t *words, uint32_t irq)
{
    return words[irq / 32] >> (irq % 32) & 1;
}

/* The word that holds these 32 interrupts as one CPU sees them. */
static uint32_t *enabled_word(gic_state *g, uint32_t cpu, uint32_t word)
{
    return word ? &g->enabled[word] : &g->cpu[cpu].enabled;
}

static uint32_t *pending_word(gic_state *g, uint32_t cpu, uint32_t word)
{
    return word ? &g->pending[word] : &g->cpu[cpu].pending;
}

static uint32_t *active_word(gic_state *g, uint32_t cpu, uint32_t word)
{
    return word ? &g->active[word] : &g->cpu[cpu].active;
}

static uint32_t *level_word(gic_state *g, uint32_t cpu, uint32_t word)
{
    return word ? &g->level[word] : &g->cpu[cpu].level;
}

static uint8_t *priority_of(gic_state *g, uint32_t cpu, uint32_t irq)
{
    return is_private(irq) ? &g->cpu[cpu].priority[irq] : &g->priority[irq];
}

/* Bits of 32 interrupts that are edge-triggered; SGIs are. */
static uint32_t edge_word(const gic_state *g, uint32_t word)
{
    uint32_t edges = 0;
    for (uint32_t i = 0; i < 32; i++) {
        edges |= (g->config[word * 2 + i / 16] >> (2 * (i % 16) + 1) & 1) << i;
    }
    return word ? edges : edges | 0xffff;
}

/* What is pending: latched, or a level that is high now. */
static uint32_t pending_now(gic_state *g, uint32_t cpu, uint32_t word)
{
    uint32_t level = *level_word(g, cpu, word);
    return *pending_word(g, cpu, word) | (level ? level & ~edge_word(g, word) : 0);
}

static uint32_t running_priority(const gic_cpu *c)
{
    return c->nrunning ? c->running_priority[c->nrunning - 1] : IDLE_PRIORITY;
}

/* The pending interrupt of highest priority that may go to a CPU: SPURIOUS when there is none. */
static uint32_t best_pending(pe_machine *m, uint32_t cpu, uint32_t *priority)
{
    gic_state *g = &m->board.gic;
    uint32_t best = SPURIOUS;
    *priority = IDLE_PRIORITY;
    for (uint32_t word = 0; word < GIC_IRQS / 32; word++) {
        uint32_t candidates = pending_now(g, cpu, word) & *enabled_word(g, cpu, word) & ~*active_word(g, cpu, word);
        for (; candidates; candidates &= candidates - 1) {
            const uint32_t irq = word * 32 + (uint32_t)__builtin_ctz(candidates);
            const bool group1 = bit(g->group, irq);
            if (!is_private(irq) && !(g->targets[irq] >> cpu & 1)) {
                continue;
            }
            if (g->ctlr & (group1 ? 2u : 1u) && *priority_of(g, cpu, irq) < *priority) {
                *priority = *priority_of(g, cpu, irq);
                best = irq;
            }
        }
    }
    return best;
}

static uint32_t group_priority(uint32_t priority, uint32_t bpr)
{
    return priority & (0xfffffffeu << bpr);
}

/* The interrupt that would be acknowledged now. */
static uint32_t signalled(pe_machine *m, uint32_t cpu)
{
    const gic_cpu *c = &m->board.gic.cpu[cpu];
    uint32_t priority;
    const uint32_t irq = best_pending(m, cpu, &priority);
    if (irq == SPURIOUS || priority >= c->pmr) {
        return SPURIOUS;
    }
    const bool group1 = bit(m->board.gic.group, irq);
    const uint32_t bpr = group1 && !(c->ctlr & GICC_CBPR) ? (c->abpr ? c->abpr - 1 : 0) : c->bpr;
    if (c->nrunning && group_priority(priority, bpr) >= group_priority(running_priority(c), bpr)) {
        return SPURIOUS;
    }
    return c->ctlr & (group1 ? GICC_ENABLE_GRP1 : GICC_ENABLE_GRP0) ? irq : SPURIOUS;
}

static void update(pe_machine *m)
{
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        const uint32_t irq = signalled(m, i);
        const bool fiq = irq != SPURIOUS && !bit(m->board.gic.group, irq) && m->board.gic.cpu[i].ctlr & GICC_FIQEN;
        m->cpu[i]->fiq_line = fiq;
        m->cpu[i]->irq_line = irq != SPURIOUS && !fiq;
    }
    run_kick(m);
}

void gic_refresh(pe_machine *m)
{
    update(m);
}

void gic_reset(pe_machine *m)
{
    gic_state *g = &m->board.gic;
    memset(g, 0, sizeof *g);
    for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
        g->cpu[i].abpr = 1;
        g->cpu[i].enabled = 0xffff; /* SGIs are always enabled */
    }
    for (uint32_t irq = 32; m->config.ncpus == 1 && irq < GIC_IRQS; irq++) {
        g->targets[irq] = 1;
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        m->cpu[i]->irq_line = m->cpu[i]->fiq_line = false;
    }
}

void gic_set_level(pe_machine *m, uint32_t cpu, uint32_t irq, bool level)
{
    gic_state *g = &m->board.gic;
    uint32_t *word = level_word(g, cpu, irq / 32);
    const uint32_t mask = 1u << (irq % 32);
    if (level == (bool)(*word & mask)) {
        return;
    }
    *word ^= mask;
    if (level && edge_word(g, irq / 32) & mask) {
        *pending_word(g, cpu, irq / 32) |= mask;
    }
    update(m);
}

/* ---- distributor ---- */

static uint32_t identification(uint32_t offset)
{
    static const uint8_t id[12] = {0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1};
    return offset >= 0xfd0 ? id[(offset - 0xfd0) / 4] : 0;
}

static uint32_t dist_word(pe_machine *m, uint32_t cpu, uint32_t offset)
{
    gic_state *g = &m->board.gic;
    const uint32_t word = offset % 0x80 / 4;
    if (offset < 0x80) {
        switch (offset) {
        case 0x0: return g->ctlr;
        case 0x4: return (GIC_IRQS / 32 - 1) | (m->config.ncpus - 1) << 5;
        case 0x8: return 0x0000043b; /* ARM, as the A15's */
        default: return 0;
        }
    }
    if (offset >= 0xc00 && offset < 0xd00) {
        const uint32_t index = (offset - 0xc00) / 4;
        return index < GIC_IRQS / 16 ? g->config[index] : 0;
    }
    if (offset >= 0xf00) {
        return identification(offset);
    }
    if (word >= GIC_IRQS / 32) {
        return 0;
    }
    switch (offset / 0x80) {
    case 1: return g->group[word];
    case 2:
    case 3: return *enabled_word(g, cpu, word);
    case 4:
    case 5: return pending_now(g, cpu, word);
    case 6:
    case 7: return *active_word(g, cpu, word);
    default: return 0;
    }
}

static uint8_t dist_byte(pe_machine *m, uint32_t cpu, uint32_t offset)
{
    gic_state *g = &m->board.gic;
    if (offset >= 0x400 && offset < 0x400 + GIC_IRQS) {
        return *priority_of(g, cpu, offset - 0x400);
    }
    if (offset >= 0x800 && offset < 0x800 + GIC_IRQS) {
        const uint32_t irq = offset - 0x800;
        const uint32_t own = m->config.ncpus > 1 ? 1u << cpu : 0;
        return (uint8_t)(is_private(irq) ? own : g->targets[irq]);
    }
    if (offset >= 0xf10 && offset < 0xf30) {
        return g->cpu[cpu].sgi_source[offset % 16];
    }
    return (uint8_t)(dist_word(m, cpu, offset & ~3u) >> (8 * (offset & 3)));
}

static bool by_byte(uint32_t offset)
{
    return (offset >= 0x400 && offset < 0xc00) || (offset >= 0xf10 && offset < 0xf30);
}

uint32_t gic_dist_read(pe_machine *m, uint32_t cpu, uint32_t offset, unsigned size)
{
    uint32_t value = 0;
    if (size == 4 && !by_byte(offset)) {
        return dist_word(m, cpu, offset & ~3u);
    }
    for (unsigned i = 0; i < size && i < 4; i++) {
        value |= (uint32_t)dist_byte(m, cpu, offset + i) << (8 * i);
    }
    return value;
}

static void send_sgi(pe_machine *m, uint32_t cpu, uint32_t value)
{
    gic_state *g = &m->board.gic;
    const uint32_t irq = value & 15, all = (1u << m->config.ncpus) - 1;
    uint32_t targets = value >> 16 & 0xff;
    switch (value >> 24 & 3) {
    case 1: targets = all & ~(1u << cpu); break;
    case 2: targets = 1u << cpu; break;
    default: break;
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        if (targets >> i & 1) {
            g->cpu[i].sgi_source[irq] = (uint8_t)(g->cpu[i].sgi_source[irq] | 1u << cpu);
            g->cpu[i].pending |= 1u << irq;
        }
    }
    if (targets & all & ~(1u << cpu) && m->current && m->current->end == END_NONE) {
        m->current->end = END_YIELD; /* the other CPU's turn, at the next block */
        m->slice_deadline = 0;
    }
}

static void dist_write_byte(pe_machine *m, uint32_t cpu, uint32_t offset, uint8_t value)
{
    gic_state *g = &m->board.gic;
    if (offset >= 0x400 && offset < 0x400 + GIC_IRQS) {
        *priority_of(g, cpu, offset - 0x400) = value & PRIORITY_MASK;
    } else if (offset >= 0x820 && offset < 0x800 + GIC_IRQS && m->config.ncpus > 1) {
        g->targets[offset - 0x800] = value & (uint8_t)((1u << m->config.ncpus) - 1);
    } else if (offset >= 0xf10 && offset < 0xf30) {
        uint8_t *source = &g->cpu[cpu].sgi_source[offset % 16];
        *source = (uint8_t)(offset < 0xf20 ? *source & ~value : *source | value);
        const uint32_t mask = 1u << (offset % 16);
        g->cpu[cpu].pending = *source ? g->cpu[cpu].pending | mask : g->cpu[cpu].pending & ~mask;
    }
}

static void dist_write_word(pe_machine *m, uint32_t cpu, uint32_t offset, uint32_t value)
{
    gic_state *g = &m->board.gic;
    const uint32_t word = offset % 0x80 / 4;
    if (offset == 0) {
        g->ctlr = value & 3;
    } else if (offset == 0xf00) {
        send_sgi(m, cpu, value);
    } else if (offset >= 0xc00 && offset < 0xd00) {
        const uint32_t index = (offset - 0xc00) / 4;
        if (index > 0 && index < GIC_IRQS / 16) {
            g->config[index] = value & 0xaaaaaaaau;
        }
    } else if (offset >= 0x80 && offset < 0x400 && word < GIC_IRQS / 32) {
        const uint32_t sgis = word ? 0 : 0xffff; /* enabled for ever; pending by SGIR only */
        switch (offset / 0x80) {
        case 1: g->group[word] = value; break;
        case 2: *enabled_word(g, cpu, word) |= value; break;
        case 3: *enabled_word(g, cpu, word) &= ~(value & ~sgis); break;
        case 4: *pending_word(g, cpu, word) |= value & ~sgis; break;
        case 5: *pending_word(g, cpu, word) &= ~(value & ~sgis); break;
        case 6: *active_word(g, cpu, word) |= value; break;
        case 7: *active_word(g, cpu, word) &= ~value; break;
        default: break;
        }
    }
}

void gic_dist_write(pe_machine *m, uint32_t cpu, uint32_t offset, unsigned size, uint32_t value)
{
    if (by_byte(offset)) {
        for (unsigned i = 0; i < size && i < 4; i++) {
            dist_write_byte(m, cpu, offset + i, (uint8_t)(value >> (8 * i)));
        }
    } else if (size == 4) {
        dist_write_word(m, cpu, offset & ~3u, value);
    }
    update(m);
}

/* ---- CPU interface ---- */

static uint32_t acknowledge(pe_machine *m, uint32_t cpu)
{
    gic_state *g = &m->board.gic;
    gic_cpu *c = &g->cpu[cpu];
    const uint32_t irq = signalled(m, cpu);
    uint32_t value = irq;
    if (irq == SPURIOUS) {
        return SPURIOUS;
    }
    const uint32_t mask = 1u << (irq % 32);
    if (irq < 16) {
        const uint32_t source = (uint32_t)__builtin_ctz(c->sgi_source[irq]);
        value |= source << 10;
        c->sgi_source[irq] = (uint8_t)(c->sgi_source[irq] & ~(1u << source));
    }
    if (irq >= 16 || !c->sgi_source[irq]) {
        *pending_word(g, cpu, irq / 32) &= ~mask;
    }
    *active_word(g, cpu, irq / 32) |= mask;
    if (c->nrunning < GIC_IRQS) {
        c->running[c->nrunning] = (uint16_t)irq;
        c->running_priority[c->nrunning++] = *priority_of(g, cpu, irq);
    }
    update(m);
    return value;
}

static void deactivate(pe_machine *m, uint32_t cpu, uint32_t irq)
{
    *active_word(&m->board.gic, cpu, irq / 32) &= ~(1u << (irq % 32));
}

static void end_of_interrupt(pe_machine *m, uint32_t cpu, uint32_t irq)
{
    gic_cpu *c = &m->board.gic.cpu[cpu];
    if (irq >= GIC_IRQS) {
        return;
    }
    for (uint32_t i = c->nrunning; i-- > 0;) {
        if (c->running[i] == irq) {
            c->nrunning--;
            memmove(&c->running[i], &c->running[i + 1], (c->nrunning - i) * sizeof c->running[0]);
            memmove(&c->running_priority[i], &c->running_priority[i + 1], c->nrunning - i);
            break;
        }
    }
    if (!(c->ctlr & GICC_EOIMODE)) {
        deactivate(m, cpu, irq);
    }
    update(m);
}

uint32_t gic_cpu_read(pe_machine *m, uint32_t cpu, uint32_t offset)
{
    gic_cpu *c = &m->board.gic.cpu[cpu];
    uint32_t priority;
    switch (offset) {
    case 0x00: return c->ctlr;
    case 0x04: return c->pmr;
    case 0x08: return c->bpr;
    case 0x0c:
    case 0x20: return acknowledge(m, cpu);
    case 0x14: return c->nrunning ? running_priority(c) : 0xff;
    case 0x18:
    case 0x28: {
        const uint32_t irq = best_pending(m, cpu, &priority);
        return irq < 16 ? irq | (uint32_t)__builtin_ctz(c->sgi_source[irq]) << 10 : irq;
    }
    case 0x1c: return c->abpr;
    case 0xfc: return 0x0002043b; /* GICv2, ARM */
    default: return 0;
    }
}

void gic_cpu_write(pe_machine *m, uint32_t cpu, uint32_t offset, uint32_t value)
{
    gic_cpu *c = &m->board.gic.cpu[cpu];
    switch (offset) {
    case 0x00: c->ctlr = value & (0x1f | GICC_EOIMODE); break;
    case 0x04: c->pmr = value & PRIORITY_MASK; break;
    case 0x08: c->bpr = value & 7; break;
    case 0x1c: c->abpr = value & 7; break;
    case 0x10:
    case 0x24: end_of_interrupt(m, cpu, value & 0x3ff); return;
    case 0x1000:
        if ((value & 0x3ff) < GIC_IRQS) {
            deactivate(m, cpu, value & 0x3ff);
        }
        break;
    default: return;
    }
    update(m);
}
