/* SPDX-License-Identifier: GPL-2.0-or-later
 * From blocks that ran to categories of the bill, and what the bill shows while the guest stands still.
 *
 * The clock counts whole cycles of all blocks together; fractions of categories and privileges wait until they are
 * whole.  When that is looked at must not matter, so they are billed for good only where the privilege changes.  What
 * else is billed, for the eyes of those outside, is taken back before the guest runs on (timed_show, timed_hide). */
#include "machine/timed/timed.h"

void timed_gather_runs(timed_cpu *c, const timed_code *code, const timed_detail *detail, const uint32_t runs[2])
{
    for (size_t who = 0; who < 2; who++) {
        const uint64_t n = runs[who];
        pe_bill *bill = &c->account->bill[who];
        c->work_x16[who] += (int64_t)(n * (code->x16 - detail->l1_x16));
        c->l1_x16[who] += (int64_t)(n * detail->l1_x16);
        bill->events[PE_COST_INSTRUCTIONS] += n * code->insns;
        bill->events[PE_COST_L1] += n * detail->loads;
        c->executed.blocks[who] += n;
        c->executed.stores[who] += n * detail->stores;
    }
}

static uint64_t billed(const ledger_cpu *account)
{
    uint64_t sum = 0;
    for (size_t cost = 0; cost < PE_COSTS; cost++) {
        sum += account->bill[0].cycles[cost] + account->bill[1].cycles[cost];
    }
    return sum;
}

/* Bills whole cycles of what is due, at most `left`; all of them when `rest` is so.  Returns how many. */
static uint64_t bill_due(int64_t *due_x16, uint64_t *cycles, uint64_t left, bool rest)
{
    const uint64_t due = *due_x16 > 0 ? (uint64_t)*due_x16 >> 4 : 0, taken = rest || due > left ? left : due;
    *cycles += taken;
    *due_x16 -= (int64_t)(taken << 4);
    return taken;
}

void timed_bill_insns(timed_cpu *c, uint32_t insns)
{
    c->account->bill[c->privileged].events[PE_COST_INSTRUCTIONS] += insns;
    c->account->clock += insns;
    c->work_x16[c->privileged] += (int64_t)insns << 4;
}

void timed_gather(timed_cpu *c)
{
    for (uint32_t i = 0; i < c->ndirty; i++) {
        timed_code *code = timed_code_at(c->dirty[i].page, c->dirty[i].index);
        const timed_detail *detail = (const timed_detail *)c->dirty[i].page->detail.data + c->dirty[i].index;
        timed_gather_runs(c, code, detail, code->runs);
        code->runs[0] = code->runs[1] = 0;
    }
    c->ndirty = 0;
    for (size_t who = 0; who < 2; who++) {
        c->work_x16[who] += c->taken_x16[who];
        c->taken_x16[who] = 0;
    }
}

void timed_settle(timed_cpu *c)
{
    timed_gather(c);
    pe_bill *bill = c->account->bill;
    uint64_t left = c->account->clock - billed(c->account);
    for (size_t who = 0; who < 2; who++) {
        left -= bill_due(&c->l1_x16[who], &bill[who].cycles[PE_COST_L1], left, false);
    }
    const bool who = c->privileged;
    left -= bill_due(&c->work_x16[!who], &bill[!who].cycles[PE_COST_INSTRUCTIONS], left, false);
    bill_due(&c->work_x16[who], &bill[who].cycles[PE_COST_INSTRUCTIONS], left, true);
}

/* ---- held blocks ---- */

void timed_park(pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    c->held_insns = cpu->held.on ? c->held_insns : cpu->insns;
    c->parked = c->code;
    c->code = NULL;
}

void timed_unpark(pe_cpu *cpu)
{
    cpu->timed->code = cpu->timed->parked;
    cpu->timed->parked = NULL;
}

void timed_pass(pe_cpu *cpu, bool held)
{
    if (!held) { /* an IT block that nobody saw begin */
        timed_bill_insns(cpu->timed, 1);
    } else if (!cpu->held.begun) {
        timed_begin_held(cpu);
        timed_park(cpu);
    }
}

/* What was executed of the parked block. */
static void bill_parked(pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    const uint32_t done = cpu->held.next - c->code_va;
    if (!c->parked || !done || c->parked == &c->orphan.code) {
        return;
    }
    const uint32_t index = (uint32_t)(c->parked - timed_code_at(c->blocks, 0));
    timed_bill_part(cpu, c->code_va, done);
    c->parked = timed_code_at(c->blocks, index); /* finding may have moved it */
}

void timed_abandon(pe_cpu *cpu)
{
    bill_parked(cpu);
    cpu->timed->parked = NULL;
    cpu->timed->missed = cpu->timed->trapped = false;
}

/* ---- what the bill shows ---- */

/* Numbers that only grow: what others add meanwhile stays. */
static void take_back(void *counts, const void *before, const void *after, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t now, was, shown;
        memcpy(&now, (const char *)counts + at, sizeof now);
        memcpy(&was, (const char *)before + at, sizeof was);
        memcpy(&shown, (const char *)after + at, sizeof shown);
        now -= shown - was;
        memcpy((char *)counts + at, &now, sizeof now);
    }
}

static void show(pe_cpu *cpu)
{
    timed_cpu *c = cpu->timed;
    timed_gather(c);
    timed_shown *s = &c->shown;
    *s = (timed_shown){.on = true,
                       .account[0] = *c->account,
                       .executed[0] = c->executed,
                       .rest = c->rest,
                       .missed_regs = c->missed_regs,
                       .missed = c->missed};
    memcpy(s->work_x16, c->work_x16, sizeof s->work_x16);
    memcpy(s->l1_x16, c->l1_x16, sizeof s->l1_x16);
    if (cpu->held.on) {
        bill_parked(cpu);
    }
    timed_settle(c);
    s->account[1] = *c->account;
    s->executed[1] = c->executed;
}

static void hide(timed_cpu *c)
{
    timed_shown *s = &c->shown;
    take_back(c->account, &s->account[0], &s->account[1], sizeof *c->account);
    take_back(&c->executed, &s->executed[0], &s->executed[1], sizeof c->executed);
    c->rest = s->rest;
    c->missed_regs = s->missed_regs;
    c->missed = s->missed;
    memcpy(c->work_x16, s->work_x16, sizeof s->work_x16);
    memcpy(c->l1_x16, s->l1_x16, sizeof s->l1_x16);
    s->on = false;
}

void timed_show(pe_machine *m)
{
    for (uint32_t i = 0; m->timed && i < m->config.ncpus; i++) {
        if (!m->cpu[i]->timed->shown.on) {
            show(m->cpu[i]);
        }
    }
}

bool timed_hide(pe_machine *m)
{
    bool shown = false;
    for (uint32_t i = 0; m->timed && i < m->config.ncpus; i++) {
        if (m->cpu[i]->timed->shown.on) {
            hide(m->cpu[i]->timed);
            shown = true;
        }
    }
    return shown;
}
