/* SPDX-License-Identifier: GPL-2.0-or-later
 * Blocks as they run: how many instructions that is, whether one may begin, and leaving one in its middle. */
#include "machine/insn.h"
#include "machine/timed/timed.h"

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

void block_uncount(pe_cpu *cpu, uint32_t next_pc)
{
    const uint32_t done = next_pc - cpu->block_va;
    if (done < cpu->block_size) {
        cpu->insns -= run_count_insns(cpu, cpu->block_va, cpu->block_size) -
                      (done ? run_count_insns(cpu, cpu->block_va, done) : 0);
        cpu->block_size = done;
    }
}

void run_uncount(pe_cpu *cpu, uint32_t next_pc)
{
    if (cpu->timed) {
        timed_cut(cpu, next_pc);
    } else {
        block_uncount(cpu, next_pc);
    }
}

/* ---- a block in pieces ---- */

static bool is_within(const held_block *h, uint32_t va)
{
    return va - h->start < h->size;
}

void block_release(pe_cpu *cpu)
{
    if (cpu->timed) {
        timed_abandon(cpu);
    }
    cpu->held.on = false;
}

void run_hold(pe_cpu *cpu, uint32_t va)
{
    held_block *h = &cpu->held;
    const held_block whole = {.on = true, .begun = true, .start = cpu->block_va, .size = cpu->block_size};
    if (!is_within(h->on ? h : &whole, va)) {
        run_uncount(cpu, va);
        return;
    }
    if (cpu->timed) {
        timed_park(cpu);
    }
    *h = h->on ? *h : whole;
    h->next = va;
    h->left = h->size - (va - h->start);
    block_uncount(cpu, va);
}

void block_hold_whole(pe_cpu *cpu)
{
    cpu->held = (held_block){
        .on = true, .start = cpu->block_va, .size = cpu->block_size, .next = cpu->block_va, .left = cpu->block_size};
}

void block_pass(pe_cpu *cpu, uint32_t length)
{
    held_block *h = &cpu->held;
    if (cpu->timed) {
        timed_pass(cpu, h->on);
    }
    cpu->insns++;
    if (!h->on) {
        return;
    }
    h->next += length;
    h->left -= length < h->left ? length : h->left;
    if (!h->left) {
        if (cpu->timed) {
            timed_unpark(cpu);
            timed_finish(cpu, h->next);
        }
        h->on = false;
    }
}

void block_ends_at(pe_cpu *cpu, uint32_t va, slice_end end)
{
    block_uncount(cpu, va);
    if (cpu->timed) {
        timed_finish(cpu, va);
    }
    cpu->held.on = false;
    cpu->end = end;
    cpu_stop_engine(cpu);
}

/* The block at hand is the rest of one that was broken off: what is due before a block was looked at then. */
static bool goes_on(pe_cpu *cpu)
{
    held_block *h = &cpu->held;
    if (cpu->block_va != h->next) {
        block_release(cpu);
        run_plan(cpu->machine);
        return false;
    }
    if (cpu->block_size > h->left && !debug_ends_exactly(cpu)) {
        return false;
    }
    const uint32_t size = cpu->block_size < h->left ? cpu->block_size : h->left;
    h->next += size;
    h->left -= size;
    return true;
}

/* ---- whether a block may begin ---- */

static bool interrupt_allowed(const pe_cpu *cpu)
{
    const uint8_t masks = *cpu->masks;
    return (cpu->irq_line && !(masks & CPSR_I)) || (cpu->fiq_line && !(masks & CPSR_F));
}

static bool must_end(pe_cpu *cpu)
{
    if (cpu->timed && cpu->timed->account->clock >= cpu->timed->deadline) {
        run_plan(cpu->machine); /* pmu_deadline is an early guess */
    }
    if (run_past_plan(cpu) || interrupt_allowed(cpu) || cpu->machine->stop_request) {
        cpu->end = END_DEADLINE;
    }
    return cpu->end != END_NONE || debug_holds(cpu);
}

bool run_block_ends(pe_cpu *cpu)
{
    held_block *h = &cpu->held;
    const bool over = h->on && !h->left;
    h->on &= !over;
    if (cpu->end == END_NONE) {
        if (over) {
            run_plan(cpu->machine);
        }
        if (h->on && goes_on(cpu)) {
            return false;
        }
        if (!h->on && timed_detects_stale(cpu)) {
            timed_ask_again(cpu);
        }
        if (!h->on && !must_end(cpu)) {
            return false;
        }
    }
    cpu->lost_it = run_begins_in_it(cpu);
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
    const bool first = cpu->block_va == pc && cpu->start_pc == pc && (!cpu->held.on || cpu->held.start == pc) &&
                       cpu->insns == cpu->start_insns + run_count_insns(cpu, pc, cpu->block_size);
    if (first) {
        cpu_set_reg(cpu, UC_ARM_REG_CPSR, (cpu_reg(cpu, UC_ARM_REG_CPSR) & ~CPSR_IT) | cpu->start_it);
        return true;
    }
    run_uncount(cpu, pc);
    cpu->held.on = false;
    cpu->end = cpu->end == END_NONE ? END_DEADLINE : cpu->end;
    leave_block(cpu, pc);
    return false;
}

bool run_begins_in_it(const pe_cpu *cpu)
{
    return cpu->start_it && cpu->block_va == cpu->start_pc && cpu->insns == cpu->start_insns;
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

void run_break_off(pe_cpu *cpu, uint32_t va, slice_end end)
{
    run_hold(cpu, va);
    cpu->end = end;
    cpu_stop_engine(cpu);
}
