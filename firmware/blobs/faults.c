/* SPDX-License-Identifier: GPL-2.0-or-later
 * The fault matrix: every kind, level, access and privilege in both descriptor formats (ARM DDI 0406C B3.12, B3.13).
 *
 * One table of descriptors a format; each descriptor gets six accesses (read, write, fetch; privileged, user) and
 * each result is compared with what the rights of the descriptor say, FSR and FAR included.
 */
#include "faults.h"

#include "cp15.h"
#include "mmu.h"
#include "tap.h"

/* A page of its own: code that returns 7 at the start, data behind it. */
uint32_t probe_page[1024] __attribute__((aligned(4096))) = {0xe3a00007 /* mov r0, #7 */, 0xe12fff1e /* bx lr */};

static const char *const access_names[] = {"privileged read", "privileged write", "privileged fetch",
                                           "user read",       "user write",       "user fetch"};

static uint32_t run_probe(uint32_t (*probe)(uint32_t, uint32_t), enum access access, uint32_t va)
{
    if (access >= USER_READ)
        return user_call((uint32_t)probe, va, 0x600d);
    return probe(va, 0x600d);
}

static struct trap do_access(enum access access, uint32_t va, uint32_t *value)
{
    trap_begin();
    switch (access % 3) {
    case PRIV_READ: *value = run_probe(probe_read, access, va); break;
    case PRIV_WRITE: *value = run_probe(probe_write, access, va); break;
    default: *value = run_probe(probe_fetch, access, va); break;
    }
    return trap_end();
}

/* What is architecturally fixed: status, LPAE, WnR, CM; for domain faults also the domain. */
static uint32_t fsr_mask(uint32_t fsr, bool fetch)
{
    uint32_t mask = read_ttbcr() & TTBCR_EAE ? 0x23f : 0x60f;
    if (!fetch)
        mask |= 1u << 11 | 1u << 13;
    if (!fetch && !(read_ttbcr() & TTBCR_EAE) && ((fsr & 0x40f) == 9 || (fsr & 0x40f) == 0xb))
        mask |= 0xf0;
    return mask;
}

static bool fault_is_right(const struct trap *t, enum access access, uint32_t va, uint32_t fsr)
{
    bool fetch = access % 3 == PRIV_FETCH, write = access % 3 == PRIV_WRITE;
    uint32_t mode = t->spsr & CPSR_MODE;
    if (t->count != 1 || mode != (access >= USER_READ ? CPSR_MODE_USR : CPSR_MODE_SVC))
        return false;
    if ((t->entry_cpsr & (CPSR_MODE | CPSR_I | CPSR_T)) != (CPSR_MODE_ABT | CPSR_I))
        return false;
    uint32_t mask = fsr_mask(fsr, fetch);
    if (fetch)
        return t->kind == TRAP_PABT && t->pc == va && t->ifar == va && (t->ifsr & mask) == (fsr & mask) && t->dfsr == 0;
    return t->kind == TRAP_DABT && t->dfar == va && (t->dfsr & mask) == (fsr | (write ? 1u << 11 : 0)) && t->ifsr == 0;
}

static bool success_is_right(const struct trap *t, enum access access, uint32_t value)
{
    if (t->count != 0)
        return false;
    if (access % 3 == PRIV_FETCH)
        return value == 7;
    return access % 3 == PRIV_WRITE || value != PROBE_NOTHING;
}

void check_accesses(const char *name, uint32_t va, const uint32_t fsr[6])
{
    uint32_t bad = 0;
    for (enum access access = PRIV_READ; access <= USER_FETCH; access++) {
        /* data beside the code, at an offset that shows whether the FAR is exact */
        uint32_t at = access % 3 == PRIV_FETCH ? va : va + 0x234;
        uint32_t value;
        struct trap t = do_access(access, at, &value);
        bool ok = fsr[access] ? fault_is_right(&t, access, at, fsr[access]) : success_is_right(&t, access, value);
        if (ok)
            continue;
        bad++;
        tap_note(
            "  %s at %08x: expected fsr %03x, got %u x %s pc %08x dfsr %03x dfar %08x ifsr %03x ifar %08x spsr %08x",
            access_names[access], (unsigned)at, (unsigned)fsr[access], (unsigned)t.count, trap_name(t.kind),
            (unsigned)t.pc, (unsigned)t.dfsr, (unsigned)t.dfar, (unsigned)t.ifsr, (unsigned)t.ifar, (unsigned)t.spsr);
    }
    tap_ok(bad == 0, "%s", name);
}

void check_all_fault(const char *name, uint32_t va, uint32_t fsr)
{
    const uint32_t all[6] = {fsr, fsr, fsr, fsr, fsr, fsr};
    check_accesses(name, va, all);
}

/* The breakpoint instruction is a prefetch abort with its own status; IFAR is UNKNOWN. */
extern const char bkpt_arm[], bkpt_thumb[];

void check_breakpoint(uint32_t fsr)
{
    static const struct {
        const char *name;
        const char *code;
        uint32_t thumb;
    } cases[] = {{"BKPT in ARM state", bkpt_arm, 0}, {"BKPT in Thumb state", bkpt_thumb, 1}};
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t user = 0; user < 2; user++) {
            uint32_t target = (uint32_t)cases[i].code | cases[i].thumb;
            trap_begin();
            if (user)
                user_call((uint32_t)probe_fetch, target, 0);
            else
                probe_fetch(target, 0);
            struct trap t = trap_end();
            bool ok = t.count == 1 && t.kind == TRAP_PABT && t.pc == (uint32_t)cases[i].code &&
                      (t.ifsr & (fsr & 0x200 ? 0x23f : 0x60f)) == fsr && !(t.spsr & CPSR_T) == !cases[i].thumb;
            if (!tap_ok(ok, "%s, %s: debug event %03x", cases[i].name, user ? "user" : "privileged", (unsigned)fsr))
                tap_note("  got %u x %s pc %08x ifsr %03x", (unsigned)t.count, trap_name(t.kind), (unsigned)t.pc,
                         (unsigned)t.ifsr);
        }
    }
}

int main(void)
{
    check_long_faults();
    mmu_disable();
    mmu_forget_tables();
    check_short_faults();
    return tap_finish();
}
