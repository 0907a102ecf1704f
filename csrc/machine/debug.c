/* SPDX-License-Identifier: GPL-2.0-or-later
 * Exact stops: single steps, a place in the run by its count of instructions, breakpoints.
 *
 * A block within which it will stop is held: only there does the engine call step_hook before every instruction.  The
 * hooks may make the engine end blocks earlier than it would, for which reason no whole block runs with them.
 *
 * The engine does not stop within a Thumb IT block, so there it stops at the IT instruction; from there debug_start
 * goes on one instruction at a time: IT itself and what its condition excludes need no engine, and any other
 * instruction runs as the last of a block of one. */
#include "machine/debug.h"
#include "machine/insn.h"
#include "machine/timed/timed.h"

#include <stdlib.h>

#define NEAR_INSNS 1024u /* more than any block has */
#define UNMAPPED   UINT64_MAX

pe_status debug_new(pe_machine *m, pe_error *err)
{
    if (m->debug) {
        return PE_OK;
    }
    struct debug_machine *d = calloc(1, sizeof *d);
    if (!d) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for debugging");
    }
    m->debug = d;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        m->cpu[i]->debug = &d->cpu[i];
    }
    return PE_OK;
}

void debug_free(pe_machine *m)
{
    if (!m->debug) {
        return;
    }
    rewind_free(m);
    pe_machine_record_tables(m, 0, NULL);
    free(m->debug);
    m->debug = NULL;
}

/* ---- where a run shall end ---- */

void debug_run_begins(pe_machine *m, const pe_run *run)
{
    m->stop_at = run->stop_at ? run->stop_at : NEVER;
    m->stop_exceptions = run->stop_exceptions ? run->stop_exceptions : NEVER;
    m->step = run->step;
    m->run_flags = run->flags;
    if ((run->stop_at || run->step) && debug_new(m, NULL) != PE_OK) {
        m->stop_at = NEVER;
        m->step = 0;
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        pe_cpu *cpu = m->cpu[i];
        if (cpu->debug) {
            cpu->debug->base = cpu->insns + cpu->exceptions;
        }
        if (run->flags & PE_RUN_LEAVE) {
            cpu->break_skip_va = cpu_reg(cpu, UC_ARM_REG_PC);
            cpu->break_skip_insns = cpu->insns;
        }
    }
}

static bool is_stepped(const pe_cpu *cpu)
{
    const uint32_t step = cpu->machine->step;
    return step == PE_STEP_ANY || step == cpu->index + 1;
}

/* Instructions that this CPU may still execute before the place of the run; NEVER: it has none. */
static uint64_t insns_left(const pe_cpu *cpu)
{
    const pe_machine *m = cpu->machine;
    if (m->stop_at == NEVER) {
        return NEVER;
    }
    const uint64_t done = run_total_insns(m);
    return m->stop_at > done ? m->stop_at - done : 0;
}

uint64_t debug_near_at(const pe_cpu *cpu)
{
    const pe_machine *m = cpu->machine;
    if (m->stop_at == NEVER) {
        return NEVER;
    }
    const uint64_t others = run_total_insns(m) - cpu->insns;
    return m->stop_at > others + NEAR_INSNS ? m->stop_at - others - NEAR_INSNS : 0;
}

/* The engine does not run now. */
static void halt(pe_cpu *cpu, pe_stop_reason reason)
{
    const slice_end end = cpu->end;
    run_halt_after_block(cpu->machine, reason);
    cpu->machine->stop.address = cpu_reg(cpu, UC_ARM_REG_PC);
    cpu->end = end == END_YIELD ? end : END_HALT;
}

static bool has_stepped(const pe_cpu *cpu)
{
    return is_stepped(cpu) && cpu->insns + cpu->exceptions != cpu->debug->base;
}

bool debug_has_arrived(const pe_cpu *cpu)
{
    return cpu->debug && !cpu->debug->alone && (has_stepped(cpu) || !insns_left(cpu));
}

/* Instructions that may be executed until then, NEVER: more than a block has. */
static uint64_t left_until_stop(const pe_cpu *cpu)
{
    const uint64_t left = insns_left(cpu);
    if (is_stepped(cpu) && left) {
        return !has_stepped(cpu);
    }
    return left > NEAR_INSNS ? NEVER : left;
}

bool debug_is_done(pe_cpu *cpu)
{
    if (!cpu->machine->stopping && debug_has_arrived(cpu)) {
        halt(cpu, has_stepped(cpu) ? PE_STOP_STEP : PE_STOP_POSITION);
    }
    return cpu->machine->stopping;
}

/* ---- breakpoints ---- */

static bool is_break(const pe_machine *m, uint32_t va)
{
    for (uint32_t i = 0; i < m->nbreakpoints; i++) {
        if (m->breakpoints[i] == va) {
            return !(m->run_flags & PE_RUN_THROUGH);
        }
    }
    return false;
}

/* A breakpoint before the instruction of this count that was not yet reported. */
static bool stops_at_break(const pe_cpu *cpu, uint32_t va, uint64_t insns)
{
    return is_break(cpu->machine, va) && !(cpu->break_skip_va == va && cpu->break_skip_insns == insns);
}

static void report_break(pe_cpu *cpu, uint32_t va, uint64_t insns)
{
    cpu->break_skip_va = va;
    cpu->break_skip_insns = insns;
    run_halt_after_block(cpu->machine, PE_STOP_BREAKPOINT);
    cpu->machine->stop.address = va;
}

/* Number of instructions in the block of an IT instruction, and where it ends; 0: this is none. */
static uint32_t it_block(pe_cpu *cpu, uint32_t va, uint32_t *end)
{
    uint32_t insn;
    if (!*cpu->thumb || !fill_fetch(cpu, va, &insn) || (insn & 0xffffff00u) != 0xbf00u || !(insn & 0xfu)) {
        return 0;
    }
    const uint32_t count = 4 - (uint32_t)__builtin_ctz(insn & 0xfu);
    *end = va + 2;
    for (uint32_t i = 0; i < count; i++) {
        *end += fill_fetch(cpu, *end, &insn) ? insn_length(insn, true) : 2;
    }
    return count;
}

static bool has_break(const pe_cpu *cpu, uint32_t first, uint32_t end)
{
    for (uint32_t va = first; va < end; va += 2) {
        if (is_break(cpu->machine, va)) {
            return true;
        }
    }
    return false;
}

/* Whether the engine runs one instruction of an IT block now, or another that it may not stop in. */
static bool runs_alone(const pe_cpu *cpu)
{
    return cpu->debug && (cpu->debug->alone || cpu->debug->in_it);
}

bool debug_looks_at_blocks(const pe_cpu *cpu)
{
    return cpu->debug && (cpu->debug->armed || is_stepped(cpu));
}

static bool is_armed(const pe_cpu *cpu)
{
    const struct debug_cpu *c = cpu->debug;
    return c->armed && c->hooked_va == cpu->held.start && c->hooked_size == cpu->held.size;
}

/* Whether the block that is about to begin was translated with hooks in it. */
static bool is_hooked(const pe_cpu *cpu)
{
    const struct debug_cpu *c = cpu->debug;
    return c->armed &&
           (cpu->block_va - c->hooked_va <= c->hooked_size || c->hooked_va - cpu->block_va < cpu->block_size);
}

bool debug_holds(pe_cpu *cpu)
{
    if (!cpu->debug) {
        return false;
    }
    const uint64_t left = left_until_stop(cpu);
    const bool it = run_begins_in_it(cpu) && (left != NEVER || has_break(cpu, cpu->block_va, cpu->block_va + 14));
    const bool within = it || (left && left != NEVER && run_count_insns(cpu, cpu->block_va, cpu->block_size) > left);
    const bool hooked = is_hooked(cpu);
    const bool alone = (runs_alone(cpu) || cpu->debug->opened) && cpu->insns != cpu->start_insns; /* and that is over */
    if (within && !hooked) {
        block_hold_whole(cpu);
    }
    cpu->debug->unhook |= hooked;
    if (within || !left || hooked || alone) {
        cpu->end = END_STEP;
        return true;
    }
    return false;
}

bool debug_ends_exactly(pe_cpu *cpu)
{
    if (debug_new(cpu->machine, NULL) != PE_OK || is_armed(cpu)) {
        return true;
    }
    cpu->debug->exact = true;
    cpu->end = END_STEP;
    return false;
}

/* Called at a breakpoint and at the few instructions before it, of which one may be an IT whose block holds it. */
void debug_break_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc, (void)size;
    pe_cpu *cpu = user;
    const uint32_t va = (uint32_t)address;
    uint32_t end;
    if (runs_alone(cpu) || cpu->end != END_NONE || cpu->machine->stopping) {
        return;
    }
    if (is_break(cpu->machine, va)) {
        const uint64_t insns = run_insns_before(cpu, va);
        if (stops_at_break(cpu, va, insns)) {
            run_break_off(cpu, va, END_BREAK);
            report_break(cpu, va, insns);
            return;
        }
    }
    if (it_block(cpu, va, &end) && has_break(cpu, va + 2, end) && debug_new(cpu->machine, NULL) == PE_OK) {
        cpu->debug->alone = true;
        cpu->debug->stop_insns = NEVER; /* it was not executed */
        run_break_off(cpu, va, END_STEP);
    }
}

/* ---- steps ---- */

/* Whether va lies in the IT block that was seen last; notes a new one. */
static bool in_shadow(pe_cpu *cpu, uint32_t va, uint32_t *count)
{
    struct debug_cpu *c = cpu->debug;
    uint32_t end;
    *count = it_block(cpu, va, &end);
    if (*count) {
        c->shadow_first = va + 2;
        c->shadow_end = end;
        return false;
    }
    return *cpu->thumb && va >= c->shadow_first && va < c->shadow_end;
}

static void step_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc, (void)size;
    pe_cpu *cpu = user;
    struct debug_cpu *c = cpu->debug;
    const uint32_t va = (uint32_t)address;
    uint32_t count;
    if (!c->armed || cpu->end != END_NONE || in_shadow(cpu, va, &count)) {
        return;
    }
    if (cpu->held.on && va != cpu->block_va && va == cpu->held.start + cpu->held.size) {
        block_ends_at(cpu, va, END_STEP);
        return;
    }
    if (run_insns_before(cpu, va) + count >= c->stop_insns) {
        run_break_off(cpu, va, END_STEP);
    }
}

bool debug_stops_at(pe_cpu *cpu, uint32_t pc)
{
    const struct debug_cpu *c = cpu->debug;
    if (!runs_alone(cpu) && is_break(cpu->machine, pc) && stops_at_break(cpu, pc, run_insns_before(cpu, pc))) {
        return true;
    }
    const bool stoppable = c && !(pc >= c->shadow_first && pc < c->shadow_end);
    return stoppable && cpu->held.on && is_armed(cpu) && run_insns_before(cpu, pc) >= c->stop_insns;
}

/* What the engine has translated of a page, with hooks or without. */
static void drop_translations(pe_cpu *cpu, uint64_t page)
{
    const pe_engine *e = &cpu->machine->engine;
    if (e->tb_invalidate_phys_range && page != UNMAPPED) {
        e->tb_invalidate_phys_range(cpu->uc, page << 12, (page + 1) << 12);
    } else {
        e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    }
}

static uint64_t page_of(const pe_cpu *cpu, uint32_t va)
{
    pe_translation t;
    uint64_t offset;
    pe_translate(cpu->machine->mem, &cpu->regime, va, PE_READ, true, &t);
    return !t.fault && fill_ram_offset(cpu->machine, t.pa, &offset) ? offset >> 12 : UNMAPPED;
}

static void disarm(pe_cpu *cpu)
{
    struct debug_cpu *c = cpu->debug;
    if (c->armed) {
        cpu->machine->engine.hook_del(cpu->uc, c->step_hook);
        drop_translations(cpu, c->hooked_page);
        c->armed = false;
    }
}

/* Hooks in the held block and behind it. */
static void arm(pe_cpu *cpu)
{
    const held_block *h = &cpu->held;
    struct debug_cpu *c = cpu->debug;
    if (is_armed(cpu)) {
        return;
    }
    disarm(cpu);
    c->hooked_va = h->start;
    c->hooked_size = h->size;
    c->hooked_page = page_of(cpu, h->start);
    c->armed = cpu->machine->engine.hook_add(cpu->uc, &c->step_hook, UC_HOOK_CODE, (void *)(uintptr_t)step_hook, cpu,
                                             (uint64_t)h->start, (uint64_t)h->start + h->size) == UC_ERR_OK;
    drop_translations(cpu, c->hooked_page);
}

/* An instruction that only moves PC and the IT state: IT, or one whose condition fails. */
static void pass_over(pe_cpu *cpu, uint32_t pc, uint32_t length, uint32_t cpsr)
{
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, cpsr);
    cpu_set_reg(cpu, UC_ARM_REG_PC, (pc + length) | 1);
    block_pass(cpu, length);
    cpu->debug->alone = false;
}

/* One Thumb instruction at an IT or in its block; true: the engine must run it. */
static bool start_thumb(pe_cpu *cpu, uint32_t pc, uint32_t cpsr)
{
    struct debug_cpu *c = cpu->debug;
    uint32_t insn, end;
    if (!fill_fetch(cpu, pc, &insn)) {
        return true;
    }
    if (!(cpsr & CPSR_IT)) {
        if (it_block(cpu, pc, &end)) {
            pass_over(cpu, pc, 2, cpsr | (insn & 0xfc) << 8 | (insn & 3) << 25);
            return false;
        }
        return true;
    }
    if (!condition_holds(it_state(cpsr) >> 4, cpsr)) {
        pass_over(cpu, pc, insn_length(insn, true), it_advance(cpsr));
        return false;
    }
    c->in_it = true;
    c->it_cpsr = cpsr;
    const uint32_t last = (it_state(cpsr) & 0xf0) | 8;
    cpu_set_reg(cpu, UC_ARM_REG_CPSR, (cpsr & ~CPSR_IT) | (last & 0xfc) << 8 | (last & 3) << 25);
    return true;
}

bool debug_start(pe_cpu *cpu)
{
    struct debug_cpu *c = cpu->debug;
    if (!c) {
        return true;
    }
    const uint32_t pc = cpu_reg(cpu, UC_ARM_REG_PC), cpsr = *cpu->thumb ? cpu_reg(cpu, UC_ARM_REG_CPSR) : 0;
    const bool it = cpsr & CPSR_IT, held = cpu->held.on && cpu->held.left && cpu->held.next == pc, exact = c->exact;
    c->exact = false;
    if (it && condition_holds(it_state(cpsr) >> 4, cpsr) && stops_at_break(cpu, pc, cpu->insns)) {
        report_break(cpu, pc, cpu->insns);
        return false;
    }
    uint64_t left = held ? left_until_stop(cpu) : NEVER;
    uint32_t end;
    const uint32_t count = *cpu->thumb ? it_block(cpu, pc, &end) : 0;
    if (held && (c->alone || (it && (left != NEVER || has_break(cpu, pc, pc + 14))))) {
        left = 1;
    }
    if (held && (left != NEVER || exact)) {
        arm(cpu);
    } else if (c->unhook || !is_stepped(cpu)) {
        disarm(cpu);
    }
    c->unhook = false;
    c->shadow_first = c->shadow_end = 0;
    c->stop_insns = left == NEVER ? NEVER : cpu->insns + left;
    if (left == NEVER) {
        return true;
    }
    if (it || (count && left <= count)) {
        if (!start_thumb(cpu, pc, cpsr)) {
            return false;
        }
        c->stop_insns = cpu->insns + 1;
    }
    return true;
}

/* CPSR with the IT state that the guest has after what the engine did of the instruction. */
static void leave_it(pe_cpu *cpu, bool executed)
{
    struct debug_cpu *c = cpu->debug;
    if (c->in_it) {
        const uint32_t now = cpu_reg(cpu, UC_ARM_REG_CPSR) & ~CPSR_IT;
        const uint32_t then = executed ? it_advance(c->it_cpsr) : c->it_cpsr;
        c->in_it = false;
        cpu_set_reg(cpu, UC_ARM_REG_CPSR, now | (then & CPSR_IT));
    }
}

void debug_exception(pe_cpu *cpu)
{
    if (cpu->debug && cpu->debug->in_it) { /* the engine has cleared the state unless the instruction failed */
        leave_it(cpu, !(cpu_reg(cpu, UC_ARM_REG_CPSR) & CPSR_IT));
    }
}

bool debug_must_look(pe_cpu *cpu)
{
    if (!cpu->debug || !cpu->debug->must_look) {
        return false;
    }
    run_hold(cpu, cpu_reg(cpu, UC_ARM_REG_PC));
    cpu->end = END_STEP;
    return true;
}

static void heed_watch(pe_cpu *cpu)
{
    struct debug_machine *d = cpu->machine->debug;
    if (d && d->hit_pending) {
        d->hit_pending = false;
        halt(cpu, PE_STOP_WATCHPOINT);
    }
}

void debug_hosted(pe_cpu *cpu)
{
    heed_watch(cpu);
    if (!cpu->machine->stopping && pe_machine_exceptions(cpu->machine) >= cpu->machine->stop_exceptions) {
        halt(cpu, PE_STOP_POSITION);
    }
}

void debug_returned(pe_cpu *cpu)
{
    struct debug_cpu *c = cpu->debug;
    if (!c) {
        return;
    }
    leave_it(cpu, cpu->insns >= c->stop_insns);
    c->opened = c->must_look; /* once more, with the watched pages open */
    c->alone = c->must_look || (c->alone && cpu->end == END_STEP && cpu->insns < c->stop_insns);
    c->must_look = false;
    heed_watch(cpu);
}
