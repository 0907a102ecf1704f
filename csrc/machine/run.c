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
void run_plan(pe_machine *m)
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
    const bool at_once = cpu->irq_line || cpu->fiq_line || m->stopping || m->stop_request || cpu->held.on ||
                         timed_detects_stale(cpu) || debug_looks_at_blocks(cpu);
    cpu->deadline = at_once ? 0 : min64(deadline, debug_near_at(cpu));
    if (cpu->timed) {
        cpu->timed->deadline = min64(event == NEVER ? NEVER : timed_clock_at(m, event), pmu_deadline(cpu));
    }
}

bool run_past_plan(const pe_cpu *cpu)
{
    return cpu->insns >= cpu->planned || (cpu->timed && cpu->timed->account->clock >= cpu->timed->deadline);
}

void run_kick(pe_machine *m)
{
    if (m->current) {
        run_plan(m);
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
        cpu->power = PE_POWER_WAITING;
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
    return m->stop_request || (m->stopping && (reason == PE_STOP_BREAKPOINT || reason == PE_STOP_STEP ||
                                               reason == PE_STOP_WATCHPOINT || reason == PE_STOP_POSITION));
}

/* Whether the turn goes on with the next run: the debugger broke it off.  Tasks of a host of programs take turns by it,
 * so there the end of a run breaks it off too. */
static bool turn_is_broken_off(const pe_machine *m, const pe_cpu *cpu)
{
    const bool run_is_over = m->stop_request || run_total_insns(m) >= m->run_limit;
    if (cpu->power != PE_POWER_ON || cpu->end == END_YIELD) {
        return false;
    }
    if (m->hosted.take && run_is_over && !m->stopping && cpu->insns < m->slice_deadline) {
        return true;
    }
    return stopped_by_debugger(m) && (m->hosted.take || cpu->held.on || !run_past_plan(cpu));
}

static void slice_ends(pe_machine *m, pe_cpu *cpu)
{
    clock_leave();
    if (m->timed) {
        timed_end_slice(m);
    } else {
        m->time = machine_time(m);
    }
    m->current = NULL;
    if (turn_is_broken_off(m, cpu)) {
        m->suspended = (suspension){true, cpu->index, m->timed ? m->timed->running : 1, m->slice_share,
                                    m->slice_deadline > cpu->insns ? m->slice_deadline - cpu->insns : 0};
    } else {
        timer_update_all(m);
    }
}

static bool slice_goes_on(const pe_machine *m, const pe_cpu *cpu)
{
    return cpu->end == END_NONE && cpu->power == PE_POWER_ON && !m->stopping && !m->stop_request &&
           (cpu->held.on || !run_past_plan(cpu));
}

static pe_status run_engine(pe_cpu *cpu, pe_error *err)
{
    pe_status status = PE_OK;
    cpu->fault.valid = false;
    cpu->block_size = 0;
    cpu->start_pc = cpu_reg(cpu, UC_ARM_REG_PC);
    cpu->start_it = *cpu->thumb ? cpu_reg(cpu, UC_ARM_REG_CPSR) & CPSR_IT : 0;
    cpu->start_insns = cpu->insns;
    cpu->leaving = cpu->lost_it = false;
    const uc_err e = cpu->machine->engine.emu_start(cpu->uc, cpu->start_pc | *cpu->thumb, 0, 0, 0);
    if (cpu->end == END_NONE) {
        status = engine_returned(cpu, e, err);
    }
    if (cpu->lost_it) {
        cpu_set_reg(cpu, UC_ARM_REG_CPSR, (cpu_reg(cpu, UC_ARM_REG_CPSR) & ~CPSR_IT) | cpu->start_it);
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
    run_plan(m);
    while (status == PE_OK && slice_goes_on(m, cpu) && !debug_is_done(cpu)) {
        if (!cpu->held.on) {
            take_interrupt(cpu);
        }
        if (m->stopping || debug_is_done(cpu)) {
            break;
        }
        run_plan(m);
        align_update(cpu);
        scan_trim(cpu);
        if (debug_start(cpu)) {
            status = run_engine(cpu, err);
        }
        if (cpu->end == END_HOSTED) {
            hosted_take(cpu);
            debug_hosted(cpu);
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
        if (cpu->power == PE_POWER_WAITING && (cpu->irq_line || cpu->fiq_line || input)) {
            cpu->power = PE_POWER_ON;
            cpu->wants_input = WANTS_NOTHING;
        }
    }
}

static uint32_t count_running(const pe_machine *m)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        running += m->cpu[i]->power == PE_POWER_ON;
    }
    return running;
}

static pe_cpu *next_cpu(pe_machine *m)
{
    for (uint32_t i = 1; i <= m->config.ncpus; i++) {
        const uint32_t index = (m->last_cpu + i) % m->config.ncpus;
        if (m->cpu[index]->power == PE_POWER_ON) {
            m->stats.switches += index != m->last_cpu;
            m->last_cpu = index;
            return m->cpu[index];
        }
    }
    return NULL;
}

static void pass_time(pe_machine *m, uint64_t until)
{
    if (until > m->time) {
        m->time = until;
        if (m->timed) {
            m->timed->time_rest = 0;
        }
    }
}

/* Nobody runs: on to the next timer event, or stop. */
static void idle(pe_machine *m, const pe_run *run)
{
    const uint64_t next = timer_next_event(m);
    bool waiting = false;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        waiting |= m->cpu[i]->power == PE_POWER_WAITING;
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
        pass_time(m, min64(next, m->time_limit));
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
    timed_hide(m);
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
    timed_show(m);
    m->console_until = NULL;
    m->stop.insns = run_total_insns(m) - before;
    *stop = m->stop;
    return status;
}

void pe_machine_stop(pe_machine *m)
{
    m->stop_request = true;
}
