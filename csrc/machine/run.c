/* SPDX-License-Identifier: GPL-2.0-or-later
 * The run loop: CPUs take turns on one host thread; guest time is the work they did. */
#include "machine/insn.h"
#include "machine/timed/timed.h"
#include "machine/clock.h"

/* A slice ends at least this often, so that pe_machine_stop is heard; it changes nothing that the guest sees. */
#define SLICE_INSNS 1000000u

/* ---- time ---- */

uint64_t machine_time(const pe_machine *m)
{
    if (m->timed) {
        return m->time + timed_slice_time(m);
    }
    return m->current ? m->time + (m->current->insns - m->slice_insns) * m->slice_share : m->time;
}

uint64_t run_total_insns(const pe_machine *m)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        total += m->cpu[i]->insns;
    }
    return total;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The instruction count at which the current CPU must stop for an event at `time`; 0: at once. */
static uint64_t insns_at(const pe_machine *m, uint64_t time)
{
    const uint64_t now = machine_time(m);
    if (time == NEVER || m->timed) { /* there the clock says when */
        return NEVER;
    }
    return time > now ? m->current->insns + (time - now + m->slice_share - 1) / m->slice_share : 0;
}

/* Sets the current CPU's deadline from the slice, the limits and the timers.  The current block is counted as a whole
 * while it runs, and less when it ends early: no deadline may be reckoned from that count, or a guest that makes us
 * plan in each of such blocks would never reach one. */
static void plan(pe_machine *m)
{
    pe_cpu *cpu = m->current;
    const uint64_t event = min64(timer_next_event(m), m->time_limit);
    uint64_t deadline = min64(m->slice_deadline, insns_at(m, event));
    if (m->run_limit != NEVER) {
        const uint64_t others = run_total_insns(m) - cpu->insns;
        deadline = min64(deadline, m->run_limit > others ? m->run_limit - others : 0);
    }
    cpu->planned = deadline;
    /* A line that is up but masked: look at the masks before each block. */
    const bool at_once =
        cpu->irq_line || cpu->fiq_line || m->stopping || m->stop_request || cpu->held_end || timed_detects_stale(cpu);
    cpu->deadline = at_once ? 0 : min64(deadline, debug_near_at(cpu));
    if (cpu->timed) {
        cpu->timed->deadline = min64(event == NEVER ? NEVER : timed_clock_at(m, event), pmu_deadline(cpu));
    }
}

void run_kick(pe_machine *m)
{
    if (m->current) {
        plan(m);
    }
}

static void set_stop(pe_machine *m, pe_stop stop)
{
    if (!m->stopping) {
        m->stopping = true;
        m->stop = stop;
    }
    if (m->current) {
        m->current->end = END_HALT;
        m->current->deadline = 0;
    }
}

void run_halt(pe_machine *m, pe_stop_reason reason, uint32_t cpu, int32_t status, uint32_t address)
{
    set_stop(m, (pe_stop){.reason = reason, .cpu = cpu, .status = status, .address = address});
    if (m->current) {
        cpu_stop_engine(m->current);
    }
}

void run_halt_after_block(pe_machine *m, pe_stop_reason reason)
{
    set_stop(m, (pe_stop){.reason = reason, .cpu = m->current ? m->current->index : 0});
}

/* ---- instruction counting ---- */

static uint32_t thumb_count(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    uint32_t count = 0, insn;
    for (uint32_t at = 0; at < size; at += insn_length(insn, true)) {
        if (!fill_fetch(cpu, va + at, &insn)) {
            return count + (size - at + 1) / 2;
        }
        count++;
    }
    return count;
}

uint32_t run_count_insns(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    if (!*cpu->thumb) {
        return size >> 2;
    }
    block_count *slot = &cpu->counts[(va >> 1 ^ va >> 12) & (COUNT_ENTRIES - 1)];
    if (slot->va != va || slot->size != size || slot->generation != cpu->generation) {
        *slot = (block_count){va, cpu->generation, (uint16_t)size, (uint16_t)thumb_count(cpu, va, size)};
    }
    return slot->insns;
}

void run_uncount(pe_cpu *cpu, uint32_t next_pc)
{
    if (cpu->timed) {
        timed_cut(cpu, next_pc);
        return;
    }
    const uint32_t done = next_pc - cpu->block_va;
    if (done < cpu->block_size) {
        cpu->insns -= run_count_insns(cpu, cpu->block_va, cpu->block_size) -
                      (done ? run_count_insns(cpu, cpu->block_va, done) : 0);
        cpu->block_size = done;
    }
}

static bool interrupt_allowed(const pe_cpu *cpu)
{
    const uint8_t masks = *cpu->masks;
    return (cpu->irq_line && !(masks & CPSR_I)) || (cpu->fiq_line && !(masks & CPSR_F));
}

static bool past_plan(const pe_cpu *cpu)
{
    return cpu->insns >= cpu->planned || (cpu->timed && cpu->timed->account->clock >= cpu->timed->deadline);
}

/* The block at hand is the rest of one that was broken off: what is due before a block was looked at then. */
static bool is_held(pe_cpu *cpu)
{
    if (cpu->block_va != cpu->held_next) {
        cpu->held_end = 0;
        plan(cpu->machine);
        return false;
    }
    cpu->held_next += cpu->block_size;
    if (cpu->held_next >= cpu->held_end) {
        cpu->held_next = 1; /* no address: the next block is a whole one */
    }
    return true;
}

bool run_block_ends(pe_cpu *cpu)
{
    if (timed_detects_stale(cpu)) {
        timed_ask_again(cpu);
    }
    if (cpu->end == END_NONE) {
        if (cpu->held_end && is_held(cpu)) {
            return false;
        }
        if (cpu->timed && cpu->timed->account->clock >= cpu->timed->deadline) {
            plan(cpu->machine); /* pmu_deadline is an early guess */
        }
        if (!past_plan(cpu) && !interrupt_allowed(cpu) && !cpu->machine->stop_request && !debug_is_near(cpu)) {
            return false;
        }
        cpu->end = END_DEADLINE;
    }
    cpu->block_size = 0;
    cpu_stop_engine(cpu);
    return true;
}

/* The block at hand was counted, and is past the deadline. */
static void __attribute__((noinline)) block_deadline(pe_cpu *cpu, uint64_t before)
{
    const uint64_t after = cpu->insns;
    cpu->insns = before;
    if (!run_block_ends(cpu)) {
        cpu->insns = after;
    }
}

static void __attribute__((noinline)) thumb_block(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    const uint64_t before = cpu->insns;
    cpu->insns = before + run_count_insns(cpu, va, size);
    if (before >= cpu->deadline) {
        block_deadline(cpu, before);
    }
}

/* Runs before every block: kept so small that it needs no stack frame. */
void run_block_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    cpu->block_va = (uint32_t)address;
    cpu->block_size = size;
    if (__builtin_expect(*cpu->thumb, 0)) {
        thumb_block(cpu, (uint32_t)address, size);
        return;
    }
    const uint64_t before = cpu->insns;
    cpu->insns = before + (size >> 2);
    if (__builtin_expect(before >= cpu->deadline, 0)) {
        block_deadline(cpu, before);
    }
}

/* ---- hooks of one instruction ---- */

/* Before the Thumb instruction at pc; the next block hook stops the engine. */
static void leave_block(pe_cpu *cpu, uint32_t pc)
{
    cpu->leaving = true;
    cpu->deadline = 0;
    engine_leave_block(&cpu->machine->engine, cpu->uc, pc | 1);
}

/* Whether an IT instruction may apply to the one at pc: three of 32 bits may lie between. */
static bool may_be_in_it_block(pe_cpu *cpu, uint32_t pc)
{
    for (uint32_t back = 2; back <= 14; back += 2) {
        uint32_t insn;
        if (!fill_fetch(cpu, pc - back, &insn)) {
            return true;
        }
        const uint32_t half = insn < 0x10000 ? insn : insn >> 16;
        if ((half & 0xff00) == 0xbf00 && half & 0xf) {
            return true;
        }
    }
    return false;
}

bool run_find_it_state(pe_cpu *cpu, uint32_t pc)
{
    if (!*cpu->thumb) {
        return true;
    }
    if (cpu->leaving) {
        return false;
    }
    if (!may_be_in_it_block(cpu, pc)) {
        return true;
    }
    const bool first = cpu->block_va == pc && cpu->start_pc == pc &&
                       cpu->insns == cpu->start_insns + run_count_insns(cpu, pc, cpu->block_size);
    if (first) {
        cpu_set_reg(cpu, UC_ARM_REG_CPSR, (cpu_reg(cpu, UC_ARM_REG_CPSR) & ~CPSR_IT) | cpu->start_it);
        return true;
    }
    run_uncount(cpu, pc);
    cpu->end = cpu->end == END_NONE ? END_DEADLINE : cpu->end;
    leave_block(cpu, pc);
    return false;
}

uint64_t run_insns_before(pe_cpu *cpu, uint32_t va)
{
    const uint32_t done = va - cpu->block_va;
    if (done >= cpu->block_size) {
        return cpu->insns;
    }
    return cpu->insns - run_count_insns(cpu, cpu->block_va, cpu->block_size) +
           (done ? run_count_insns(cpu, cpu->block_va, done) : 0);
}

void run_hold(pe_cpu *cpu, uint32_t va)
{
    if (cpu->held_end || va != cpu->block_va) {
        cpu->held_end = cpu->held_end ? cpu->held_end : cpu->block_va + cpu->block_size;
        cpu->held_next = va;
    }
    run_uncount(cpu, va);
}

void run_break_off(pe_cpu *cpu, uint32_t va, slice_end end)
{
    run_hold(cpu, va);
    cpu->end = end;
    cpu_stop_engine(cpu);
}

/* ---- one CPU's turn ---- */

static void take_interrupt(pe_cpu *cpu)
{
    const uint8_t masks = *cpu->masks;
    if (cpu->fiq_line && !(masks & CPSR_F)) {
        exception_fiq(cpu);
    } else if (cpu->irq_line && !(masks & CPSR_I)) {
        exception_irq(cpu);
    }
}

static void wait_for_interrupt(pe_cpu *cpu)
{
    cpu->machine->stats.wfi++;
    if (!cpu->irq_line && !cpu->fiq_line) {
        cpu->power = CPU_WAITING;
    }
}

/* The engine returned by itself: a fault of the guest, or WFI. */
static pe_status engine_returned(pe_cpu *cpu, uc_err status, pe_error *err)
{
    if (status == UC_ERR_OK) {
        wait_for_interrupt(cpu);
        return PE_OK;
    }
    if (status == UC_ERR_EXCEPTION && debug_must_look(cpu)) {
        return PE_OK;
    }
    if (status == UC_ERR_EXCEPTION && cpu->fault.valid) {
        const pending_fault fault = cpu->fault;
        uint32_t address = (uint32_t)*cpu->probe.fault_address;
        cpu->fault.valid = false;
        if (fault.access == PE_FETCH) {
            cpu->block_size = 0; /* the block that jumped here is over */
            if (debug_has_arrived(cpu)) {
                return PE_OK; /* the abort is the next step */
            }
            if (cpu->timed) {
                timed_fetch_abort(cpu, cpu_reg(cpu, UC_ARM_REG_PC), address);
            }
        }
        exception_abort(cpu, fault.access, address, &fault.translation);
        return PE_OK;
    }
    if (status == UC_ERR_EXCEPTION || status == UC_ERR_INSN_INVALID) {
        exception_undef(cpu, cpu_reg(cpu, UC_ARM_REG_PC));
        return PE_OK;
    }
    return pe_fail(err, PE_ERR_ENGINE, "libunicorn stopped at PC 0x%08x: %s", cpu_reg(cpu, UC_ARM_REG_PC),
                   cpu->machine->engine.strerror(status));
}

/* A new turn, or the rest of one that the debugger broke off. */
static void slice_begins(pe_machine *m, pe_cpu *cpu, uint32_t running)
{
    const suspension *rest = &m->suspended;
    const uint64_t length = running > 1 ? m->config.quantum : SLICE_INSNS;
    m->current = cpu;
    m->slice_insns = cpu->insns;
    m->slice_share = rest->valid ? rest->share : TIME_UNITS_PER_NS / running;
    if (m->timed) {
        m->timed->slice_clock = cpu->timed->account->clock;
        m->timed->running = rest->valid ? rest->running : running;
    }
    m->slice_deadline = cpu->insns + (rest->valid ? rest->left : length);
    m->suspended.valid = false;
    cpu->end = END_NONE;
}

static bool stopped_by_debugger(const pe_machine *m)
{
    const pe_stop_reason reason = m->stop.reason;
    return m->stopping && (reason == PE_STOP_BREAKPOINT || reason == PE_STOP_STEP || reason == PE_STOP_WATCHPOINT ||
                           reason == PE_STOP_POSITION);
}

/* Whether the turn goes on with the next run: the debugger broke it off, or in front of a host of programs, whose
 * tasks take turns by it, anything did. */
static bool turn_is_broken_off(const pe_machine *m, const pe_cpu *cpu)
{
    if (cpu->power != CPU_ON || cpu->end == END_YIELD) {
        return false;
    }
    if (m->hosted.take) {
        return stopped_by_debugger(m) || (!m->stopping && cpu->insns < m->slice_deadline);
    }
    return stopped_by_debugger(m) && (cpu->held_end || !past_plan(cpu));
}

static void slice_ends(pe_machine *m, pe_cpu *cpu)
{
    clock_leave();
    m->time = machine_time(m);
    m->current = NULL;
    if (cpu->timed) {
        timed_settle(cpu->timed);
    }
    if (turn_is_broken_off(m, cpu)) {
        m->suspended = (suspension){true, cpu->index, m->timed ? m->timed->running : 1, m->slice_share,
                                    m->slice_deadline > cpu->insns ? m->slice_deadline - cpu->insns : 0};
    } else {
        timer_update_all(m);
    }
}

static bool slice_goes_on(const pe_machine *m, const pe_cpu *cpu)
{
    return cpu->end == END_NONE && cpu->power == CPU_ON && !m->stopping && !m->stop_request &&
           (cpu->held_end || !past_plan(cpu));
}

static pe_status run_engine(pe_cpu *cpu, pe_error *err)
{
    pe_status status = PE_OK;
    cpu->fault.valid = false;
    cpu->block_size = 0;
    cpu->start_pc = cpu_reg(cpu, UC_ARM_REG_PC);
    cpu->start_it = *cpu->thumb ? cpu_reg(cpu, UC_ARM_REG_CPSR) & CPSR_IT : 0;
    cpu->start_insns = cpu->insns;
    cpu->leaving = false;
    const uc_err e = cpu->machine->engine.emu_start(cpu->uc, cpu->start_pc | *cpu->thumb, 0, 0, 0);
    if (cpu->end == END_NONE) {
        status = engine_returned(cpu, e, err);
    }
    debug_returned(cpu);
    if (cpu->timed) {
        timed_finish(cpu, cpu_reg(cpu, UC_ARM_REG_PC));
    }
    return status;
}

static pe_status slice(pe_machine *m, pe_cpu *cpu, uint32_t running, pe_error *err)
{
    pe_status status = PE_OK;
    slice_begins(m, cpu, running);
    clock_enter(machine_engine_ns(m));
    engine_enter(&m->engine, cpu->uc);
    plan(m);
    while (status == PE_OK && slice_goes_on(m, cpu) && !debug_is_done(cpu)) {
        if (!cpu->held_end) {
            take_interrupt(cpu);
        }
        if (m->stopping || debug_is_done(cpu)) {
            break;
        }
        plan(m);
        align_update(cpu);
        scan_trim(cpu);
        if (debug_start(cpu)) {
            status = run_engine(cpu, err);
        }
        if (cpu->end == END_HOSTED) {
            hosted_take(cpu);
        } else if (cpu->end == END_DEADLINE || cpu->end == END_STEP) {
            cpu->end = END_NONE;
        }
    }
    debug_is_done(cpu);
    if (m->hosted.slice_over && !m->stopping && status == PE_OK && cpu->insns >= m->slice_deadline) {
        m->hosted.slice_over(m->hosted.context, cpu);
    }
    engine_leave();
    slice_ends(m, cpu);
    return status;
}

/* ---- the machine's turns ---- */

static void wake(pe_machine *m)
{
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        pe_cpu *cpu = m->cpu[i];
        const bool input = cpu->wants_input && (m->in.count || (m->in_closed && cpu->wants_input == WANTS_BYTE_OR_END));
        if (cpu->power == CPU_WAITING && (cpu->irq_line || cpu->fiq_line || input)) {
            cpu->power = CPU_ON;
            cpu->wants_input = WANTS_NOTHING;
        }
    }
}

static uint32_t count_running(const pe_machine *m)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        running += m->cpu[i]->power == CPU_ON;
    }
    return running;
}

static pe_cpu *next_cpu(pe_machine *m)
{
    for (uint32_t i = 1; i <= m->config.ncpus; i++) {
        const uint32_t index = (m->last_cpu + i) % m->config.ncpus;
        if (m->cpu[index]->power == CPU_ON) {
            m->stats.switches += index != m->last_cpu;
            m->last_cpu = index;
            return m->cpu[index];
        }
    }
    return NULL;
}

/* Nobody runs: on to the next timer event, or stop. */
static void idle(pe_machine *m, const pe_run *run)
{
    const uint64_t next = timer_next_event(m);
    bool waiting = false;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        waiting |= m->cpu[i]->power == CPU_WAITING;
    }
    if (!waiting) {
        run_halt(m, PE_STOP_POWEROFF, 0, 0, 0);
    } else if (run->stop_when_idle && !m->idle_reported) {
        m->idle_reported = true;
        run_halt(m, next == NEVER ? PE_STOP_DEADLOCK : PE_STOP_IDLE, 0, 0, 0);
        m->stop.next_event_ns = next == NEVER ? NEVER : (next + TIME_UNITS_PER_NS - 1) / TIME_UNITS_PER_NS;
    } else if (next == NEVER) {
        run_halt(m, PE_STOP_DEADLOCK, 0, 0, 0);
    } else {
        m->idle_reported = false;
        m->time = min64(next, m->time_limit) > m->time ? min64(next, m->time_limit) : m->time;
        timer_update_all(m);
    }
}

static void check_limits(pe_machine *m)
{
    if (m->stopping) {
        return;
    }
    if (m->stop_request) {
        run_halt(m, PE_STOP_REQUESTED, 0, 0, 0);
    } else if (run_total_insns(m) >= m->run_limit) {
        run_halt(m, PE_STOP_LIMIT, 0, 0, 0);
    } else if (m->time >= m->time_limit) {
        run_halt(m, PE_STOP_TIME, 0, 0, 0);
    }
}

pe_status pe_machine_run(pe_machine *m, const pe_run *run, pe_stop *stop, pe_error *err)
{
    const uint64_t before = run_total_insns(m);
    pe_status status = PE_OK;
    if (!m->started) {
        return pe_fail(err, PE_ERR_STATE, "the machine has no entry point yet: pe_machine_reset sets it");
    }
    m->stopping = false;
    m->stop_request = false;
    m->run_limit = run->max_insns && run->max_insns < NEVER - before ? before + run->max_insns : NEVER;
    m->time_limit =
        run->max_time_ns && run->max_time_ns < NEVER / TIME_UNITS_PER_NS ? run->max_time_ns * TIME_UNITS_PER_NS : NEVER;
    m->console_until = run->console_until;
    m->console_until_length = run->console_until ? strlen(run->console_until) : 0;
    m->console_matched = 0;
    debug_run_begins(m, run);
    if (!m->suspended.valid) {
        timer_update_all(m);
    }
    while (status == PE_OK && !m->stopping) {
        if (!m->suspended.valid) {
            wake(m);
        }
        pe_cpu *cpu = m->suspended.valid ? m->cpu[m->suspended.cpu] : next_cpu(m);
        if (cpu) {
            m->idle_reported = false;
            status = slice(m, cpu, count_running(m), err);
        } else {
            idle(m, run);
        }
        check_limits(m);
    }
    m->console_until = NULL;
    m->stop.insns = run_total_insns(m) - before;
    *stop = m->stop;
    return status;
}

void pe_machine_stop(pe_machine *m)
{
    m->stop_request = true;
}
