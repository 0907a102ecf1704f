/* SPDX-License-Identifier: GPL-2.0-or-later
 * The branch predictor: branches whose direction alone can be wrong are resolved inline. */
#ifndef PYEMU_TIMING_PREDICTOR_H
#define PYEMU_TIMING_PREDICTOR_H

#include "pyemu.h"
#include "archive.h"

#define HISTORY_MASK   0xfffu
#define TARGET_ENTRIES 512u
#define MAX_RETURNS    256u
#define COUNTER_TAKEN  2u /* and above */

struct pe_predictor {
    uint8_t *counters;
    uint32_t counter_mask;
    uint32_t history; /* taken or not, the latest in bit 0 */
    uint32_t depth;   /* of the return stack */
    uint32_t top;     /* where the next return address goes */
    uint32_t valid;   /* how many there are, at most depth */
    uint32_t returns[MAX_RETURNS];
    uint32_t targets[TARGET_ENTRIES];
    pe_predictor_stats stats;
};

/* What it has learnt and counted. */
void predictor_parts(archive *a, pe_predictor *predictor);

static inline uint32_t predictor_mixed(const pe_predictor *p, uint32_t address)
{
    return address >> 1 ^ p->history;
}

/* Kinds up to PE_BRANCH_CONDITIONAL: nothing but a direction can be wrong.  Four counters to a byte, for the host's
 * cache; no branch that follows the guest's. */
static inline bool predictor_resolve_direction(pe_predictor *p, pe_branch branch, uint32_t address, bool taken)
{
    static const uint8_t then[2][4] = {{0, 0, 1, 2}, {1, 2, 3, 3}};
    p->stats.branches[branch]++;
    if (branch != PE_BRANCH_CONDITIONAL) {
        return false;
    }
    const uint32_t index = predictor_mixed(p, address) & p->counter_mask, shift = (index & 3) * 2;
    uint8_t *byte = &p->counters[index >> 2];
    const uint32_t counter = *byte >> shift & 3;
    const bool wrong = (counter >= COUNTER_TAKEN) != taken;
    *byte = (uint8_t)(*byte ^ (counter ^ then[taken][counter]) << shift);
    p->history = (p->history << 1 | taken) & HISTORY_MASK;
    p->stats.mispredicted[branch] += wrong;
    return wrong;
}

#endif
