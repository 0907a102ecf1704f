/* SPDX-License-Identifier: GPL-2.0-or-later
 * The soft TLB: fills from our walk, and W^X so that no translated code outlives its bytes.
 *
 * The engine tracks self-modifying code by virtual address only, so aliases would run stale translations.  Here a page
 * of memory is either code (its soft-TLB entries carry no write permission) or writable (no execute permission):
 *   - a fetch from a page that some entry may write flushes all soft TLBs and makes it code;
 *   - a store to a code page drops its translations on every CPU, flushes and makes it writable. */
#include "machine/timed/timed.h"
#include "machine/clock.h"

#define FLASH_PAGES (BOARD_FLASH_END / PE_PAGE_SIZE)

static inline bool bit_test(const uint8_t *map, uint64_t bit)
{
    return map[bit >> 3] >> (bit & 7) & 1;
}

static inline void bit_set(uint8_t *map, uint64_t bit)
{
    map[bit >> 3] = (uint8_t)(map[bit >> 3] | 1u << (bit & 7));
}

static inline void bit_clear(uint8_t *map, uint64_t bit)
{
    map[bit >> 3] = (uint8_t)(map[bit >> 3] & ~(1u << (bit & 7)));
}

void fill_forget(pe_cpu *cpu, uint32_t va)
{
    static const cp15_reg TLBIMVA = {8, 7, 0, 1, false};
    cpu_set_cp15(cpu, TLBIMVA, va);
}

void fill_forget_all(pe_cpu *cpu)
{
    clock_enter(machine_engine_ns(cpu->machine));
    cpu->machine->engine.ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TLB_FLUSH, 0));
    clock_leave();
}

void fill_flush(pe_cpu *cpu)
{
    run_hear_stop(cpu->machine);
    fill_forget_all(cpu);
    cpu->machine->stats.tlb_flushes++;
    cpu->fills_since_flush = 0;
    cpu->generation++; /* other code may be mapped now */
    memset(cpu->large, 0, sizeof cpu->large);
    for (size_t i = 0; i < FETCH_ENTRIES; i++) {
        cpu->fetched[i].host = NULL;
    }
}

/* The engine keeps pages of 4 KB only and would drop no more than the one that is named. */
static void note_large(pe_cpu *cpu, uint32_t va, uint32_t size_log2)
{
    const uint32_t granule = va >> 20;
    if (bit_test(cpu->large, granule)) {
        return;
    }
    const uint32_t count = size_log2 > 20 ? 1u << (size_log2 - 20) : 1;
    const uint32_t first = granule & ~(count - 1);
    for (uint32_t i = 0; i < count; i++) {
        bit_set(cpu->large, first + i);
    }
}

void fill_flush_va(pe_cpu *cpu, uint32_t va)
{
    cpu->generation++;
    if (bit_test(cpu->large, va >> 20)) {
        fill_flush(cpu);
    } else {
        fill_forget(cpu, va);
    }
}

void fill_flush_all(pe_machine *m)
{
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        fill_flush(m->cpu[i]);
    }
}

static void drop_page(pe_machine *m, uint64_t page)
{
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        pe_cpu *cpu = m->cpu[i];
        if (m->engine.tb_invalidate_phys_range) {
            m->engine.tb_invalidate_phys_range(cpu->uc, page << 12, (page + 1) << 12);
        } else {
            m->engine.ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
        }
        cpu->generation++;
    }
    if (m->timed) {
        timed_drop_code(m, page);
    }
    bit_clear(m->code_pages, page);
    bit_clear(m->patched_pages, page);
    m->stats.code_invalidations++;
}

void fill_drop_code(pe_machine *m, uint64_t pa, uint64_t len)
{
    bool dropped = false;
    for (uint64_t at = pa & ~0xfffull; at < pa + len; at += PE_PAGE_SIZE) {
        uint64_t offset;
        if (fill_ram_offset(m, at, &offset) && bit_test(m->code_pages, offset >> 12)) {
            drop_page(m, offset >> 12);
            dropped = true;
        }
    }
    if (dropped) {
        fill_flush_all(m);
    }
}

/* LDRT, STRT and their relatives use the user's permissions in any mode; the engine does not say so (ARM DDI 0406C
 * A4.6.4). */
static bool insn_is_unprivileged(uint32_t insn, bool thumb)
{
    if (thumb) { /* first halfword in the upper half: 1111100x0xxxnnnn tttt1110iiiiiiii, Rn not PC */
        return (insn & 0xfe800f00u) == 0xf8000e00u && (insn & 0x000f0000u) != 0x000f0000u;
    }
    if (insn >> 28 == 0xf || (insn & 0x01200000u) != 0x00200000u) { /* P = 0 and W = 1 */
        return false;
    }
    if ((insn & 0x0c000000u) == 0x04000000u) {
        return !(insn & 0x02000000u) || !(insn & 0x10u);
    }
    return (insn & 0x0e000090u) == 0x00000090u && (insn & 0x60u);
}

bool fill_fetch(pe_cpu *cpu, uint32_t pc, uint32_t *insn)
{
    const bool thumb = *cpu->thumb;
    uint32_t value = 0;
    for (uint32_t got = 0; got < 4; got += 2) {
        uint32_t va = pc + got;
        fetched_page *slot = &cpu->fetched[va >> 12 & (FETCH_ENTRIES - 1)];
        if (!slot->host || slot->page != va >> 12) {
            pe_translation t;
            pe_translate(cpu->machine->mem, &cpu->regime, va, PE_FETCH, true, &t);
            if (t.fault == PE_FAULT_PERMISSION) { /* user code may be closed to PL1 */
                pe_translate(cpu->machine->mem, &cpu->regime, va, PE_FETCH, false, &t);
            }
            const uint8_t *host = t.fault ? NULL : pe_mem_host(cpu->machine->mem, t.pa & ~0xfffull, PE_PAGE_SIZE);
            if (!host) {
                return false;
            }
            *slot = (fetched_page){va >> 12, host};
        }
        uint16_t half;
        memcpy(&half, slot->host + (va & 0xfff), 2);
        value |= (uint32_t)half << (thumb ? (got ? 0 : 16) : got * 8);
        if (thumb && !got && half < 0xe800) {
            value = half;
            break;
        }
    }
    *insn = value;
    return true;
}

/* cpu_restore_state, which the engine runs before each data fill and most memory hooks, leaves the IT bits of the
 * middle of a block behind; the next block would run conditionally. */
void fill_forget_it_state(pe_cpu *cpu)
{
    if (*cpu->thumb) {
        uint32_t cpsr = cpu_reg(cpu, UC_ARM_REG_CPSR);
        if (cpsr & CPSR_IT) {
            cpu_set_reg(cpu, UC_ARM_REG_CPSR, cpsr & ~CPSR_IT);
        }
    }
}

/* The engine resizes its soft TLB at flushes only, so a guest that needs more pages than it holds and never flushes
 * would miss for ever: such a guest is helped by a flush, after which the table is twice as large. */
#define GROW_AFTER_FILLS 512u /* twice the entries of the smallest table that the engine starts with */
#define GROW_LIMIT       (1u << 22)

static void grow_if_thrashing(pe_cpu *cpu)
{
    if (cpu->timed || ++cpu->fills_since_flush < cpu->grow_after) { /* the model needs each miss */
        return;
    }
    fill_flush(cpu);
    cpu->grow_after = cpu->grow_after < GROW_LIMIT ? cpu->grow_after * 2 : GROW_LIMIT;
}

void fill_reset(pe_cpu *cpu)
{
    cpu->grow_after = GROW_AFTER_FILLS;
    fill_flush(cpu);
}

static bool fill_fail(pe_cpu *cpu, pe_access access, uint32_t va, const pe_translation *t)
{
    cpu->fault = (pending_fault){true, access, va, *t};
    return false;
}

static void translate(pe_cpu *cpu, uint32_t va, pe_access access, pe_translation *t)
{
    const pe_machine *m = cpu->machine;
    const bool privileged = cpu_privileged(cpu), modelled = cpu->timed && access != PE_FETCH;
    if (modelled) {
        timed_translate(cpu, va, access, privileged, t);
    } else {
        pe_translate(m->mem, &cpu->regime, va, access, privileged, t);
    }
    if (privileged && access != PE_FETCH && (t->fault || t->prot != t->prot_other)) {
        uint32_t insn;
        if (fill_fetch(cpu, cpu->probe.regs[15], &insn) && insn_is_unprivileged(insn, *cpu->thumb)) {
            if (modelled) {
                timed_translate_again(cpu, va, access, false, t);
            } else {
                pe_translate(m->mem, &cpu->regime, va, access, false, t);
            }
        }
    }
}

/* With a cycle model the soft TLB must not let pass what a micro-TLB would not. */
static uint32_t seen_only(const pe_cpu *cpu, uint32_t va, uint32_t perms)
{
    return cpu->timed ? perms & (timed_seen(cpu, va) | (uint32_t)UC_PROT_EXEC) : perms;
}

static uint32_t grant_fetch(pe_cpu *cpu, uint32_t va, const pe_translation *t, uint64_t page)
{
    pe_machine *m = cpu->machine;
    if (!bit_test(m->code_pages, page)) {
        if (bit_test(m->writable_pages, page)) {
            fill_flush_all(m);
            bit_clear(m->writable_pages, page);
        }
        bit_set(m->code_pages, page);
        if (scan_page_has_untrapped(m, pe_mem_host(m->mem, t->pa, PE_PAGE_SIZE))) {
            bit_set(m->patched_pages, page);
        }
    }
    const uint8_t *host = pe_mem_host(m->mem, t->pa, PE_PAGE_SIZE);
    cpu->fetched[va >> 12 & (FETCH_ENTRIES - 1)] = (fetched_page){va >> 12, host};
    if (bit_test(m->patched_pages, page)) {
        scan_patch_page(cpu, va, host);
    }
    return UC_PROT_EXEC | (t->prot & PE_PROT_READ ? UC_PROT_READ : 0);
}

static uint32_t grant_data(pe_cpu *cpu, pe_access access, const pe_translation *t, uint64_t page)
{
    pe_machine *m = cpu->machine;
    uint32_t perms = t->prot & PE_PROT_READ ? UC_PROT_READ : 0;
    if (bit_test(m->code_pages, page)) {
        if (access == PE_READ) {
            return perms | (t->prot & PE_PROT_EXEC ? UC_PROT_EXEC : 0);
        }
        drop_page(m, page);
        fill_flush_all(m);
    }
    if (t->prot & PE_PROT_WRITE && page >= FLASH_PAGES) {
        bit_set(m->writable_pages, page);
        perms |= UC_PROT_WRITE;
    }
    return perms;
}

/* Stores to flash are commands, loads are too where the bank does not show its array. */
static uint32_t grant_flash_window(const pe_machine *m, const pe_translation *t)
{
    const uint32_t read = t->prot & PE_PROT_READ && !flash_shows_array(m, t->pa) ? UC_PROT_READ : 0;
    return read | (t->prot & PE_PROT_WRITE ? UC_PROT_WRITE : 0);
}

bool fill_hook(uc_engine *uc, uint64_t va64, uc_mem_type type, uc_tlb_entry *entry, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    pe_machine *m = cpu->machine;
    const uint32_t va = (uint32_t)va64;
    const pe_access access = type == UC_MEM_FETCH ? PE_FETCH : type == UC_MEM_WRITE ? PE_WRITE : PE_READ;
    pe_translation t;
    run_hear_stop(m);
    translate(cpu, va, access, &t);
    if (__builtin_expect(m->debug != NULL, 0)) {
        watch_note_tables(cpu, va);
    }
    m->stats.walks += cpu->regime.sctlr & SCTLR_M;
    if (t.fault) {
        return fill_fail(cpu, access, va, &t);
    }
    uint64_t offset;
    entry->paddr = t.pa;
    const bool ram = fill_ram_offset(m, t.pa, &offset);
    if (!ram) {
        if (!devices_at(m, t.pa) || access == PE_FETCH) {
            t.fault = PE_FAULT_EXTERNAL;
            return fill_fail(cpu, access, va, &t);
        }
        entry->perms = (t.prot & PE_PROT_READ ? UC_PROT_READ : 0) | (t.prot & PE_PROT_WRITE ? UC_PROT_WRITE : 0);
    } else if (is_flash(t.pa) && (access == PE_WRITE || !flash_shows_array(m, t.pa))) {
        entry->paddr = BOARD_FLASH_WINDOW + t.pa;
        entry->perms = grant_flash_window(m, &t);
    } else {
        entry->perms =
            access == PE_FETCH ? grant_fetch(cpu, va, &t, offset >> 12) : grant_data(cpu, access, &t, offset >> 12);
    }
    entry->perms = seen_only(cpu, va, entry->perms);
    if (__builtin_expect(m->debug && ram, 0) && !watch_fill(cpu, va, access, &t, offset >> 12, entry)) {
        return false;
    }
    if (cpu->timed && ram) {
        timed_note_cacheable(cpu, &t, offset >> 12);
    }
    m->stats.fills++;
    if (entry->paddr < DEBUG_WINDOW) { /* whose entries go after one access */
        grow_if_thrashing(cpu);
    }
    if (t.size_log2 > 12 && !(t.flags & PE_TF_MMU_OFF)) { /* after the flushes above, which this entry outlives */
        note_large(cpu, va, t.size_log2);
    }
    if (access != PE_FETCH) {
        fill_forget_it_state(cpu);
    }
    return true;
}
