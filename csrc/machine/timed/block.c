/* SPDX-License-Identifier: GPL-2.0-or-later
 * Blocks as they run: their cost, what follows a branch, exceptions, trapped system registers. */
#include "machine/timed/timed.h"

static void __attribute__((noinline)) bill_extras(const timed_machine *t, timed_cpu *c, const timed_extra *e)
{
    const pe_system_params *s = &t->core.system;
    const uint32_t trapped = e->system_writes && c->trapped;
    const struct {
        pe_cost cost;
        uint32_t count, cycles;
    } extras[] = {
        {PE_COST_BARRIERS, e->dsb, s->dsb_cycles},
        {PE_COST_BARRIERS, e->dmb, s->dmb_cycles},
        {PE_COST_BARRIERS, e->isb, s->isb_cycles},
        {PE_COST_LOCKS, e->exclusives, s->exclusive_cycles},
        {PE_COST_SYSTEM, e->system_writes - trapped, s->mcr_cycles},
    };
    for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
        for (uint32_t n = 0; n < extras[i].count; n++) {
            ledger_add(c->account, c->privileged, extras[i].cost, extras[i].cycles);
        }
    }
}

static void __attribute__((noinline)) note_dirty(timed_cpu *c, const timed_code *code)
{
    if (c->ndirty == DIRTY_ENTRIES) {
        timed_gather(c);
    }
    c->dirty[c->ndirty++] = (timed_dirty){c->blocks, (uint32_t)(code - timed_code_at(c->blocks, 0))};
}

/* ---- the end of a block ---- */

static void __attribute__((noinline)) bill_rare(const timed_machine *t, timed_cpu *c, const timed_code *code)
{
    if (code->extra == TIMED_ORPHAN) {
        const uint32_t runs[2] = {!c->privileged, c->privileged};
        timed_gather_runs(c, code, &c->orphan.detail, runs);
        bill_extras(t, c, &c->orphan.extra);
    } else {
        bill_extras(t, c, (const timed_extra *)c->blocks->extra.data + code->extra);
    }
}

static inline void bill_code(const timed_machine *t, timed_cpu *c, timed_code *code, bool taken)
{
    const bool who = c->privileged;
    const uint32_t taken_x16 = code->taken_x16 & (0u - taken), x16 = c->rest + code->x16 + taken_x16;
    c->taken_x16[who] += taken_x16;
    c->account->clock += x16 >> 4;
    c->rest = x16 & 15;
    if (__builtin_expect(!(code->runs[0] | code->runs[1]), 0)) {
        note_dirty(c, code);
    }
    code->runs[who]++;
    if (__builtin_expect(code->extra, 0)) {
        bill_rare(t, c, code);
    }
    c->missed_regs = c->missed ? code->loaded_regs : 0;
    c->missed = false;
}

static void __attribute__((noinline)) bill_mispredicted(const timed_machine *t, timed_cpu *c)
{
    ledger_add(c->account, c->privileged, PE_COST_BRANCHES, t->core.pipeline.mispredict_cycles);
}

static void __attribute__((noinline)) follow_target(const timed_machine *t, timed_cpu *c, const timed_code *code,
                                                    uint32_t at, uint32_t next, uint32_t after)
{
    if (pe_predictor_resolve(c->predictor, (pe_branch)code->branch, at, next, after)) {
        bill_mispredicted(t, c);
    }
    if (code->branch == PE_BRANCH_EXCEPTION_RETURN && next != after) {
        c->executed.exception_returns++;
        ledger_add(c->account, c->privileged, PE_COST_EXCEPTIONS, t->core.system.exception_return_cycles);
    }
}

static inline void follow_branch(const timed_machine *t, timed_cpu *c, const timed_code *code, uint32_t next,
                                 uint32_t after)
{
    const uint32_t at = after - 4 + 2 * code->thumb;
    if (code->branch > PE_BRANCH_CONDITIONAL) {
        follow_target(t, c, code, at, next, after);
    } else if (__builtin_expect(predictor_resolve_direction(c->predictor, (pe_branch)code->branch, at, next != after),
                                0)) {
        bill_mispredicted(t, c);
    }
}

static inline void finish(pe_cpu *cpu, timed_cpu *c, uint32_t next)
{
    timed_code *code = c->code;
    if (!code) {
        return;
    }
    const timed_machine *t = cpu->machine->timed;
    const uint32_t after = c->code_va + code->size;
    c->code = NULL;
    bill_code(t, c, code, next != after);
    follow_branch(t, c, code, next, after);
}

void timed_finish(pe_cpu *cpu, uint32_t next)
{
    finish(cpu, cpu->timed, next);
}

void timed_cut(pe_cpu *cpu, uint32_t next)
{
    timed_cpu *c = cpu->timed;
    timed_code *code = c->code;
    const uint32_t done = next - c->code_va;
    if (!code) {
        return;
    }
    c->code = NULL;
    if (done < code->size) {
        const bool held = cpu->held.on;
        cpu->insns -= held ? 0 : code->insns; /* finding may move it */
        code = done ? timed_find_code(cpu, c->code_va, done) : NULL;
        if (held) {
            block_uncount(cpu, next);
        } else {
            cpu->insns += code ? code->insns : 0; /* more than before, if the block wrote over itself */
            cpu->block_size = done;
        }
    }
    if (code) {
        bill_code(cpu->machine->timed, c, code, false);
    }
    c->missed = false;
    c->trapped = false;
}

void timed_bill_part(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    timed_code *code = timed_find_code(cpu, va, size);
    if (code) {
        bill_code(cpu->machine->timed, cpu->timed, code, false);
    }
}

/* Its code could not be found by the model, which knows of no mapping there. */
static void run_unknown(pe_cpu *cpu, timed_cpu *c, uint32_t va, uint32_t size)
{
    const uint32_t insns = run_count_insns(cpu, va, size);
    cpu->insns += insns;
    timed_bill_insns(c, insns);
}

static void __attribute__((noinline)) change_privilege(pe_cpu *cpu, bool privileged)
{
    timed_settle(cpu->timed); /* so that fractions of cycles stay with the privilege that they belong to */
    cpu->timed->privileged = privileged;
    pmu_change_privilege(cpu, privileged);
}

static inline void begin(pe_cpu *cpu, timed_cpu *c, uint32_t va, uint32_t size)
{
    const bool privileged = (*c->mode & CPSR_MODE) != MODE_USR;
    if (__builtin_expect(privileged != c->privileged, 0)) {
        change_privilege(cpu, privileged);
    }
    c->next_access = 0;
    *c->unsynced = 1; /* the engine clears it whenever it starts */
    const timed_entered *in = &c->entered[va >> 12 & (ENTERED_PAGES - 1)];
    if (__builtin_expect(in->page != va >> 12, 0) && !(in = timed_enter_page(cpu, va))) {
        run_unknown(cpu, c, va, size);
        return;
    }
    tlb_count_hits(c->tlb, PE_FETCH, in->page != c->page);
    c->page = in->page;
    c->blocks = in->blocks;
    c->page_pa = in->pa;
    const uint32_t index = c->blocks->at[(va & (PE_PAGE_SIZE - 1)) >> 1];
    timed_code *code = timed_code_at(c->blocks, index);
    if (__builtin_expect(!index || code->size != size || code->thumb != *cpu->thumb, 0) &&
        !(code = timed_find_code(cpu, va, size))) {
        run_unknown(cpu, c, va, size);
        return;
    }
    c->code = code;
    c->code_va = va;
    cpu->insns += code->insns;
    if (cpu->machine->timed->caches) {
        timed_fetch_lines(cpu, va, size);
    }
}

void timed_begin_held(pe_cpu *cpu)
{
    const uint64_t insns = cpu->insns;
    begin(cpu, cpu->timed, cpu->held.start, cpu->held.size);
    cpu->timed->held_insns = cpu->insns;
    cpu->insns = insns;
    cpu->held.begun = true;
}

/* The next piece of a held block. */
static void __attribute__((noinline)) begin_piece(pe_cpu *cpu, timed_cpu *c)
{
    if (cpu->held.begun) {
        timed_unpark(cpu);
        *c->unsynced = 1;
    } else {
        timed_begin_held(cpu);
    }
    cpu->insns += run_count_insns(cpu, cpu->block_va, cpu->block_size);
}

void timed_block_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    timed_cpu *c = cpu->timed;
    const uint32_t va = (uint32_t)address;
    finish(cpu, c, va);
    cpu->block_va = va;
    cpu->block_size = size;
    if (__builtin_expect(cpu->insns >= cpu->deadline || c->account->clock >= c->deadline, 0)) {
        if (run_block_ends(cpu)) {
            return;
        }
        if (cpu->held.on) {
            begin_piece(cpu, c);
            return;
        }
    }
    begin(cpu, c, va, size);
}

void timed_fetch_abort(pe_cpu *cpu, uint32_t next, uint32_t fault_va)
{
    timed_cpu *c = cpu->timed;
    const bool privileged = cpu_privileged(cpu);
    timed_finish(cpu, next);
    if (privileged != c->privileged) { /* by the branch that led here */
        change_privilege(cpu, privileged);
    }
    timed_enter_page(cpu, fault_va);
    c->page = NO_PAGE;
}

void timed_exception(pe_cpu *cpu, uint32_t target)
{
    timed_cpu *c = cpu->timed;
    timed_finish(cpu, target);
    if (!c->privileged) {
        change_privilege(cpu, true);
    }
    c->executed.exceptions++;
    ledger_add(c->account, true, PE_COST_EXCEPTIONS, cpu->machine->timed->core.system.exception_entry_cycles);
}

static pe_cost class_of(cp15_reg reg)
{
    if (!reg.is64 && reg.crn == 8) {
        return PE_COST_TLB_MAINTENANCE;
    }
    return !reg.is64 && reg.crn == 7 && reg.crm != 8 ? PE_COST_CACHE_MAINTENANCE : PE_COST_SYSTEM;
}

void timed_trap(pe_cpu *cpu, cp15_reg reg)
{
    const pe_system_params *s = &cpu->machine->timed->core.system;
    const pe_cost cost = class_of(reg);
    uint32_t cycles = s->mcr_cycles;
    if (cost == PE_COST_TLB_MAINTENANCE) {
        cycles = reg.crm == TLBI_INNER_SHAREABLE ? s->tlbi_broadcast_cycles : s->tlbi_cycles;
    } else if (cost == PE_COST_CACHE_MAINTENANCE) {
        cycles = s->cache_line_cycles;
    }
    ledger_add(cpu->timed->account, cpu->timed->privileged, cost, cycles);
}
