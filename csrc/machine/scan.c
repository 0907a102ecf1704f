/* SPDX-License-Identifier: GPL-2.0-or-later
 * Instructions that no trap reaches on this engine: the virtual timer and counter, which it answers from the host's
 * clock or not at all; the address translation operations, which it would answer with its own walk; and ISR, which it
 * answers from interrupt lines that are not ours; with modelled caches also their maintenance.  Code pages are searched
 * for them, and each gets a hook at its one address. */
#include "machine/insn.h"

#include <stdlib.h>

/* The engine compares every instruction that it translates with every hook, so there must not be many.  Beyond
 * MAX_PAGE_PATCHES one hook covers the page; at MAX_PATCHES all are dropped, and pages that still run get theirs anew:
 * it is larger than what the two pages of one block may need. */
#define MAX_PAGE_PATCHES 16u
#define MAX_PATCHES      512u

/* Maintenance of caches by address, by set and way, or whole (ARM DDI 0406C B3.18.6): not of branch predictors, no
 * barrier. */
static bool is_cache_maintenance(uint32_t crm, uint32_t opc2)
{
    switch (crm) {
    case 1: return opc2 == 0;
    case 5: return opc2 < 2;
    case 6:
    case 10:
    case 14: return opc2 == 1 || opc2 == 2;
    case 11: return opc2 == 1;
    default: return false;
    }
}

/* An ARM or Thumb-2 word that may be one of ours; the condition field is left open. */
static bool is_untrapped(uint32_t insn, bool caches)
{
    if ((insn & 0x0f000f10u) == 0x0e000f10u) { /* MCR, MRC p15 */
        const uint32_t crn = insn >> 16 & 0xf, crm = insn & 0xf, opc1 = insn >> 21 & 7, opc2 = insn >> 5 & 7;
        const bool read = insn >> 20 & 1;
        if (opc1) {
            return false;
        }
        switch (crn) {
        case 7: return !read && ((crm == 8 && opc2 < 4) || (caches && is_cache_maintenance(crm, opc2)));
        case 12: return read && crm == 1 && opc2 == 0;
        case 14: return crm == 3 && opc2 < 2;
        default: return false;
        }
    }
    if ((insn & 0x0fe00f00u) == 0x0c400f00u) { /* MCRR, MRRC p15, c14: CNTVCT and CNTV_CVAL */
        const uint32_t opc1 = insn >> 4 & 0xf;
        return (insn & 0xf) == 14 && (opc1 == 1 || opc1 == 3);
    }
    return false;
}

static bool models_caches(const pe_machine *m)
{
    return m->config.timing == PE_TIMING_CACHE;
}

static uint32_t thumb_order(uint32_t word)
{
    return word << 16 | word >> 16;
}

#define LAST_HALF (PE_PAGE_SIZE - 2)

/* Whether one of ours may begin at this place of a page.  A Thumb instruction that goes on in the next page is judged
 * by its first half alone: the hook looks again. */
static bool is_candidate(const uint8_t *host, uint32_t at, bool caches)
{
    if (at == LAST_HALF) {
        return host[at + 1] == 0xee || host[at + 1] == 0xec;
    }
    uint32_t word;
    memcpy(&word, host + at, 4);
    return (at % 4 == 0 && is_untrapped(word, caches)) || is_untrapped(thumb_order(word), caches);
}

bool scan_page_has_untrapped(const pe_machine *m, const uint8_t *host)
{
    for (uint32_t at = 0; at < PE_PAGE_SIZE; at += 2) {
        if (is_candidate(host, at, models_caches(m))) {
            return true;
        }
    }
    return false;
}

static void untrapped_hook(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    (void)uc, (void)size;
    pe_cpu *cpu = user;
    const uint32_t pc = (uint32_t)address;
    uint32_t insn;
    if (!fill_fetch(cpu, pc, &insn) || !is_untrapped(insn, models_caches(cpu->machine))) {
        return; /* other code lies here now */
    }
    if (debug_stops_at(cpu, pc)) {
        return;
    }
    const uint32_t condition = *cpu->thumb ? 14 : insn >> 28; /* the engine has looked at IT blocks */
    if (condition == 15 || !condition_holds(condition, cpu_reg(cpu, UC_ARM_REG_CPSR)) || !run_find_it_state(cpu, pc)) {
        return;
    }
    if (!trap_emulate_cp(cpu, pc, insn)) {
        fill_forget_it_state(cpu); /* the engine finds it undefined */
    }
}

static bool is_patched(const pe_cpu *cpu, uint32_t va, uint32_t last)
{
    for (size_t i = 0; i < cpu->npatches; i++) {
        if (cpu->patches[i].va == va && cpu->patches[i].last == last) {
            return true;
        }
    }
    return false;
}

static void patch(pe_cpu *cpu, uint32_t va, uint32_t last)
{
    const pe_engine *e = &cpu->machine->engine;
    if (cpu->trimming || is_patched(cpu, va, last)) {
        return;
    }
    if (cpu->npatches == cpu->patches_room) {
        size_t room = cpu->patches_room ? 2 * cpu->patches_room : 16;
        cpu_patch *grown = realloc(cpu->patches, room * sizeof *grown);
        if (!grown) {
            return;
        }
        cpu->patches = grown;
        cpu->patches_room = room;
    }
    cpu_patch *slot = &cpu->patches[cpu->npatches];
    *slot = (cpu_patch){.va = va, .last = last};
    if (e->hook_add(cpu->uc, &slot->hook, UC_HOOK_CODE, (void *)(uintptr_t)untrapped_hook, cpu, va, last) ==
        UC_ERR_OK) {
        cpu->npatches++;
    }
    if (cpu->npatches >= MAX_PATCHES && cpu->end == END_NONE) {
        cpu->end = END_DEADLINE; /* scan_trim runs before the engine does again */
        cpu_stop_engine(cpu);
    }
}

void scan_patch_page(pe_cpu *cpu, uint32_t va_page, const uint8_t *host)
{
    uint32_t found = 0;
    for (uint32_t at = 0; at < PE_PAGE_SIZE; at += 2) {
        found += is_candidate(host, at, models_caches(cpu->machine));
    }
    if (found > MAX_PAGE_PATCHES) {
        patch(cpu, va_page, va_page + PE_PAGE_SIZE - 1);
        return;
    }
    for (uint32_t at = 0; found && at < PE_PAGE_SIZE; at += 2) {
        if (is_candidate(host, at, models_caches(cpu->machine))) {
            patch(cpu, va_page + at, va_page + at);
        }
    }
}

void scan_trim(pe_cpu *cpu)
{
    const pe_engine *e = &cpu->machine->engine;
    if (cpu->npatches < MAX_PATCHES) {
        return;
    }
    cpu->trimming = true; /* to delete a hook the engine fetches from its page */
    for (size_t i = 0; i < cpu->npatches; i++) {
        e->hook_del(cpu->uc, cpu->patches[i].hook);
    }
    cpu->trimming = false;
    cpu->npatches = 0;
    e->ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    fill_flush(cpu);
}
