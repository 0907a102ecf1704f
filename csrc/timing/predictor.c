/* SPDX-License-Identifier: GPL-2.0-or-later
 * The branch predictor: directions from counters and history, returns from a stack, other targets from a table.
 *
 * Targets of direct branches are known when they are decoded, so only their direction can be wrong.  A conditional
 * return that falls through leaves the stack alone and counts as predicted. */
#include "timing/predictor.h"
#include "error.h"

#include <stdlib.h>

pe_predictor *pe_predictor_new(const pe_core *core, pe_error *err)
{
    if (pe_core_check(core, err)) {
        return NULL;
    }
    pe_predictor *p = calloc(1, sizeof *p);
    uint8_t *counters = calloc((core->pipeline.history_entries + 3) / 4, 1);
    if (!p || !counters) {
        free(p);
        free(counters);
        pe_fail(err, PE_ERR_MEMORY, "no memory for a branch predictor");
        return NULL;
    }
    p->counters = counters;
    p->counter_mask = core->pipeline.history_entries - 1;
    p->depth = core->pipeline.return_entries;
    return p;
}

void pe_predictor_free(pe_predictor *predictor)
{
    if (predictor) {
        free(predictor->counters);
        free(predictor);
    }
}

static bool target_wrong(pe_predictor *p, uint32_t address, uint32_t next)
{
    uint32_t *target = &p->targets[predictor_mixed(p, address) % TARGET_ENTRIES];
    const bool wrong = *target != next;
    *target = next;
    return wrong;
}

static void push(pe_predictor *p, uint32_t address)
{
    if (p->depth) {
        p->returns[p->top] = address;
        p->top = p->top + 1 == p->depth ? 0 : p->top + 1;
        p->valid += p->valid < p->depth;
    }
}

static bool return_wrong(pe_predictor *p, uint32_t next)
{
    if (!p->valid) {
        return true;
    }
    p->valid--;
    p->top = (p->top ? p->top : p->depth) - 1;
    return p->returns[p->top] != next;
}

static bool resolve_target(pe_predictor *p, pe_branch branch, uint32_t address, uint32_t next, uint32_t after)
{
    switch (branch) {
    case PE_BRANCH_CALL: push(p, after); return false;
    case PE_BRANCH_CALL_INDIRECT: push(p, after); return target_wrong(p, address, next);
    case PE_BRANCH_INDIRECT: return target_wrong(p, address, next);
    case PE_BRANCH_RETURN: return next != after && return_wrong(p, next);
    case PE_BRANCH_NONE:
    case PE_BRANCH_DIRECT:
    case PE_BRANCH_CONDITIONAL:
    case PE_BRANCH_EXCEPTION_RETURN: break; /* the last one has a cost of its own */
    }
    return false;
}

bool pe_predictor_resolve(pe_predictor *predictor, pe_branch branch, uint32_t address, uint32_t next, uint32_t after)
{
    if ((unsigned)branch > PE_BRANCH_EXCEPTION_RETURN) {
        return false;
    }
    if (branch <= PE_BRANCH_CONDITIONAL) {
        return predictor_resolve_direction(predictor, branch, address, next != after);
    }
    const bool wrong = resolve_target(predictor, branch, address, next, after);
    predictor->stats.branches[branch]++;
    predictor->stats.mispredicted[branch] += wrong;
    return wrong;
}

size_t pe_predictor_replay(pe_predictor *predictor, const uint8_t *branch, const uint32_t *address,
                           const uint32_t *next, const uint32_t *after, uint8_t *mispredicted, size_t n)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const bool missed = pe_predictor_resolve(predictor, (pe_branch)branch[i], address[i], next[i], after[i]);
        wrong += missed;
        if (mispredicted) {
            mispredicted[i] = missed;
        }
    }
    return wrong;
}

void pe_predictor_read_stats(const pe_predictor *predictor, pe_predictor_stats *out)
{
    *out = predictor->stats;
}

void predictor_parts(archive *a, pe_predictor *p)
{
    archive_part(a, p->counters, ((size_t)p->counter_mask + 4) / 4);
    ARCHIVE(a, p->history);
    ARCHIVE(a, p->top);
    ARCHIVE(a, p->valid);
    ARCHIVE(a, p->returns);
    ARCHIVE(a, p->targets);
    ARCHIVE(a, p->stats);
}
