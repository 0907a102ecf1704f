/* SPDX-License-Identifier: GPL-2.0-or-later
 * One sentence for the result of a walk: level, index, descriptor and, for a fault, what would have to differ. */
#include "mmu/walk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct sink {
    char *text;
    size_t size;
    size_t used;
} sink;

__attribute__((format(printf, 2, 3))) static void say(sink *out, const char *format, ...)
{
    if (out->used >= out->size) {
        return;
    }
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out->text + out->used, out->size - out->used, format, args);
    va_end(args);
    out->used += n > 0 ? (size_t)n : 0;
}

static bool is_long(const pe_regime *regime)
{
    return regime->ttbcr & TTBCR_EAE;
}

static const char *leaf_name(const pe_regime *regime, const pe_translation *t)
{
    if (is_long(regime)) {
        return t->level == 3 ? "page" : "block";
    }
    if (t->flags & PE_TF_SUPERSECTION) {
        return "supersection";
    }
    return t->level == 1 ? "section" : t->flags & PE_TF_LARGE ? "large page" : "small page";
}

static void say_step(sink *out, const pe_step *step)
{
    say(out, "L%u[%" PRIu32 "] @0x%" PRIx64 " = 0x%" PRIx64, step->level, step->index, step->descriptor_pa,
        step->descriptor);
}

static void say_prot(sink *out, unsigned prot)
{
    static const char *const names[8] = {
        "no access",      "read only",        "write only",        "read and write",
        "only execution", "read and execute", "write and execute", "everything",
    };
    say(out, "%s", names[prot & 7u]);
}

/* A walk that never read a descriptor. */
static void say_not_started(sink *out, const pe_regime *regime, uint32_t va)
{
    unsigned t0sz = TTBCR_T0SZ(regime->ttbcr), t1sz = TTBCR_T1SZ(regime->ttbcr);
    if (is_long(regime)) {
        pe_region region = pe_region_long(regime->ttbcr, va);
        if (region.gap) {
            say(out,
                "level 1 translation fault: 0x%" PRIx32 " lies between the range of TTBR0 (up to 0x%" PRIx32
                ", T0SZ = %u) and that of TTBR1 (from 0x%" PRIx32 ", T1SZ = %u)",
                va, UINT32_MAX >> t0sz, t0sz, ~(UINT32_MAX >> t1sz), t1sz);
            return;
        }
        say(out, "level 1 translation fault: walks from TTBR%d are disabled by TTBCR.EPD%d", region.second,
            region.second);
        return;
    }
    pe_region region = pe_region_short(regime->ttbcr, va);
    say(out, "level 1 translation fault: walks from TTBR%d are disabled by TTBCR.PD%d", region.second, region.second);
}

static void say_unreadable(sink *out, const pe_regime *regime, const pe_walk *walk)
{
    const pe_step *step = &walk->steps[walk->nsteps - 1];
    say(out, "level %u table outside memory: L%u[%" PRIu32 "] @0x%" PRIx64 " cannot be read, table from ", step->level,
        step->level, step->index, step->descriptor_pa);
    if (walk->nsteps > 1) {
        say_step(out, step - 1);
    } else {
        say(out, "TTBR%u = 0x%" PRIx64, step->ttbr, step->ttbr ? regime->ttbr1 : regime->ttbr0);
    }
}

static void say_absent(sink *out, const pe_regime *regime, const pe_step *step)
{
    unsigned last = is_long(regime) ? 3 : 2;
    if (step->kind == PE_DESC_RESERVED) {
        say(out, "level %u descriptor is reserved: ", step->level);
    } else {
        say(out, "level %u %s not present: ", step->level, step->level == last ? "page" : "table");
    }
    say_step(out, step);
}

static void say_fault(sink *out, const pe_regime *regime, uint32_t va, const pe_walk *walk)
{
    const pe_translation *t = &walk->result;
    if (walk->nsteps == 0) {
        say_not_started(out, regime, va);
        return;
    }
    const pe_step *last = &walk->steps[walk->nsteps - 1];
    switch (t->fault) {
    case PE_FAULT_EXTERNAL_WALK: say_unreadable(out, regime, walk); return;
    case PE_FAULT_TRANSLATION: say_absent(out, regime, last); return;
    case PE_FAULT_ACCESS_FLAG:
        say(out, "level %u %s has its access flag clear: ", t->level, leaf_name(regime, t));
        break;
    case PE_FAULT_DOMAIN:
        say(out, "level %u %s is in domain %u, to which DACR 0x%" PRIx32 " gives no access: ", t->level,
            leaf_name(regime, t), t->domain, regime->dacr);
        break;
    case PE_FAULT_PERMISSION:
        say(out, "level %u %s permits ", t->level, leaf_name(regime, t));
        say_prot(out, t->prot);
        say(out, ": ");
        break;
    default: say(out, "%s fault: ", pe_fault_name(t->fault)); break;
    }
    say_step(out, last);
}

void pe_walk_describe(const pe_regime *regime, uint32_t va, const pe_walk *walk, char *text, size_t size)
{
    sink out = {text, size, 0};
    const pe_translation *t = &walk->result;
    if (size) {
        text[0] = '\0';
    }
    if (walk->nsteps > PE_MAX_STEPS) {
        return;
    }
    if (t->fault != PE_FAULT_NONE) {
        say_fault(&out, regime, va, walk);
    } else if (t->flags & PE_TF_MMU_OFF || walk->nsteps == 0) {
        say(&out, "MMU off: 0x%" PRIx32 " is physical", va);
    } else {
        say(&out, "0x%" PRIx32 " is 0x%" PRIx64 ", level %u %s permits ", va, t->pa, t->level, leaf_name(regime, t));
        say_prot(&out, t->prot);
        say(&out, ": ");
        say_step(&out, &walk->steps[walk->nsteps - 1]);
    }
}
