/* SPDX-License-Identifier: GPL-2.0-or-later
 * Watched memory: watchpoints, and the record of stores to translation tables.
 *
 * A page that is watched gets no entry in the soft TLB that would let the watched kind of access pass unseen.  Such an
 * access is let through to a window of MMIO, which carries it out, and the entry is dropped at once.  Where an
 * instruction may reach a watchpoint the fill is refused and the instruction runs alone, so that the stop is behind
 * it. */
#include "machine/debug.h"
#include "machine/devices/devices.h"
#include "mmu/descriptors.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_MASK        0xfffull
#define LONG_LINK_BITS   0x000fff0000000fffull /* 51:40 and 11:2 are 0 in what software writes, then 0b11 */
#define SHORT_LINK_BITS  0x213u                /* bits 9 and 4 too, then 0b01 */
#define LAST_TABLE_REACH 0x100000u             /* of a table of small pages; twice that with long descriptors */

static size_t map_bytes(const pe_machine *m)
{
    return (size_t)((BOARD_FLASH_END + m->config.ram_size) / PE_PAGE_SIZE);
}

static uint64_t load(const pe_machine *m, uint64_t pa, uint32_t size)
{
    uint64_t value = 0;
    const uint8_t *host = pe_mem_host(m->mem, pa, size);
    if (host) {
        memcpy(&value, host, size);
    }
    return value;
}

/* ---- the window ---- */

/* The engine counts the entries of its soft TLB, and doubles the table at a flush when the count is high.  An entry
 * that moves to the victim TLB and is dropped there is taken off twice (QEMU accel/tcg/cputlb.c,
 * tlb_set_page_with_attrs and tlb_flush_vtlb_page_mask_locked).  Where code and a window share a slot, and the window
 * is dropped each time, the unsigned count falls below 0: 256 entries were seen to become 524,288.  A flush of all sets
 * it to 0. */
#define SLOTS 256u /* at first: CPU_TLB_DYN_DEFAULT_BITS = 8 */

static void drop(pe_cpu *cpu, uint32_t index)
{
    struct debug_cpu *c = cpu->debug;
    const uint32_t between = (c->open[index].va ^ c->open[index].pc) >> 12;
    if (between && between % SLOTS == 0) {
        fill_forget_all(cpu);
    } else {
        fill_forget(cpu, c->open[index].va);
    }
    cpu->fills_since_flush -= cpu->fills_since_flush != 0; /* code of that page is filled again: no sign of thrashing */
    c->open[index] = c->open[--c->nopen];
}

static void open_window(pe_cpu *cpu, uint32_t va, uint64_t pa)
{
    struct debug_cpu *c = cpu->debug;
    for (uint32_t i = c->nopen; i-- > 0;) {
        if (c->open[i].va == va) {
            c->open[i] = c->open[--c->nopen];
        }
    }
    if (c->nopen == DEBUG_OPEN_PAGES) {
        drop(cpu, 0);
    }
    c->open[c->nopen++] = (open_page){pa, va, cpu->probe.regs[15]};
}

/* As if there were no window: a store to flash is a command, and its answers hide the array. */
static uint64_t through_load(pe_cpu *cpu, uint64_t pa, uint32_t size)
{
    return is_flash(pa) && !flash_shows_array(cpu->machine, pa) ? flash_window_read(cpu->uc, pa, size, cpu)
                                                                : load(cpu->machine, pa, size);
}

static bool through_store(pe_cpu *cpu, uint64_t pa, uint32_t size, uint64_t value)
{
    if (is_flash(pa)) {
        flash_window_write(cpu->uc, pa, size, value, cpu);
        return true;
    }
    uint8_t *host = pe_mem_host(cpu->machine->mem, pa, size);
    if (host) {
        memcpy(host, &value, size);
    }
    return host != NULL;
}

/* The page that an access to the window means; the engine gives 32 bits of its address. */
static bool find_open(const struct debug_cpu *c, uint64_t offset, uint32_t *index)
{
    for (*index = c->nopen; (*index)-- > 0;) {
        if ((uint32_t)c->open[*index].pa == (uint32_t)(offset & ~PAGE_MASK)) {
            return true;
        }
    }
    return false;
}

uint64_t watch_address(const pe_cpu *cpu, uint64_t pa)
{
    uint32_t index;
    return cpu->debug && find_open(cpu->debug, pa - DEBUG_WINDOW, &index)
               ? cpu->debug->open[index].pa | (pa & PAGE_MASK)
               : pa;
}

static uint64_t insns_before(pe_cpu *cpu, uint32_t pc)
{
    return run_total_insns(cpu->machine) - cpu->insns + run_insns_before(cpu, pc);
}

static bool overlaps(const pe_watch *w, uint32_t va, uint64_t pa, uint32_t size)
{
    const uint64_t at = w->physical ? pa : va;
    return at < w->address + w->size && w->address < at + size;
}

static void note_hit(pe_cpu *cpu, const pe_watch_hit *hit)
{
    struct debug_machine *d = cpu->machine->debug;
    const uint32_t kind = hit->write ? PE_WATCH_WRITE : PE_WATCH_READ;
    for (uint32_t i = 0; i < d->nwatches && !d->hit_pending; i++) {
        const bool sees = d->watches[i].physical || !hit->function; /* a Kernel model stores by physical address */
        if (sees && d->watches[i].access & kind && overlaps(&d->watches[i], hit->va, hit->pa, hit->size)) {
            d->hit = *hit;
            d->hit.watch = d->watches[i];
            d->has_hit = d->hit_pending = true;
        }
    }
}

static bool goes_on(const pe_table_write *last, const pe_table_write *w)
{
    return !w->function && last->size == 4 && w->size == 4 && last->pa + 4 == w->pa && !(last->pa & 7) &&
           last->pc == w->pc && last->insns == w->insns && last->cpu == w->cpu;
}

static void record(struct debug_machine *d, const pe_table_write *w)
{
    pe_table_write *last = d->ring_count ? &d->ring[(d->ring_count - 1) % d->ring_room] : NULL;
    if (last && goes_on(last, w)) { /* STRD */
        last->size = 8;
        last->old_value |= w->old_value << 32;
        last->new_value |= w->new_value << 32;
    } else {
        d->ring[d->ring_count++ % d->ring_room] = *w;
    }
}

static bool is_table(const pe_machine *m, uint64_t page)
{
    const uint8_t *tables = m->debug->tables;
    return tables && tables[page];
}

static void note_table(pe_machine *m, uint64_t pa, uint32_t level)
{
    uint64_t offset;
    if (!fill_ram_offset(m, pa, &offset)) {
        return;
    }
    const uint64_t page = offset >> 12;
    const bool known = is_table(m, page);
    m->debug->tables[page] = (uint8_t)level;
    if (!known && m->writable_pages[page >> 3] >> (page & 7) & 1) {
        fill_flush_all(m);
        m->writable_pages[page >> 3] = (uint8_t)(m->writable_pages[page >> 3] & ~(1u << (page & 7)));
    }
}

/* A table that is linked into another is one from then on: what is stored there before its first use counts. */
static void note_link(pe_cpu *cpu, uint64_t page, uint64_t pa, uint32_t size, uint32_t pc)
{
    pe_machine *m = cpu->machine;
    const bool lpae = cpu->regime.ttbcr & TTBCR_EAE;
    const uint32_t level = m->debug->tables[page];
    if (level >= (lpae ? 3u : 2u)) {
        return;
    }
    uint32_t address, bytes;
    if (lpae && size < 8 && !(pa & 4) && align_decode(cpu, pc, &address, &bytes) && bytes >= 8) {
        return; /* the upper half comes next */
    }
    const uint64_t descriptor = load(m, pa & ~(lpae ? 7ull : 3ull), lpae ? 8 : 4);
    if (lpae && (descriptor & LONG_LINK_BITS) == (LD_VALID | LD_TABLE)) {
        note_table(m, descriptor & LD_ADDRESS, level + 1);
    } else if (!lpae && (descriptor & SHORT_LINK_BITS) == SD_L1_TABLE) {
        note_table(m, descriptor & SD_L2_BASE, level + 1);
    }
}

static void window_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    pe_machine *m = cpu->machine;
    struct debug_cpu *c = cpu->debug;
    uint32_t index;
    if (size > 8 || !find_open(c, offset, &index)) {
        return;
    }
    const open_page page = c->open[index];
    const uint32_t at = (uint32_t)(offset & PAGE_MASK);
    const uint64_t pa = page.pa | at;
    const uint64_t old = load(m, pa, size);
    if (!through_store(cpu, pa, size, value)) {
        return;
    }
    const uint64_t new = load(m, pa, size), insns = insns_before(cpu, page.pc);
    uint64_t ram;
    if (fill_ram_offset(m, pa, &ram) && is_table(m, ram >> 12)) {
        record(m->debug, &(pe_table_write){insns, pa, old, new, page.pc, page.va | at, cpu->probe.regs[14],
                                           (uint8_t)size, (uint8_t)cpu->index, cpu_privileged(cpu), 0});
        note_link(cpu, ram >> 12, pa, size, page.pc);
    }
    if (c->opened) {
        note_hit(cpu, &(pe_watch_hit){.pa = pa,
                                      .old_value = old,
                                      .new_value = new,
                                      .insns = insns,
                                      .va = page.va | at,
                                      .pc = page.pc,
                                      .size = size,
                                      .cpu = cpu->index,
                                      .write = true});
    }
    drop(cpu, index);
}

static uint64_t window_read(uc_engine *uc, uint64_t offset, unsigned size, void *user)
{
    (void)uc;
    pe_cpu *cpu = user;
    struct debug_cpu *c = cpu->debug;
    uint32_t index;
    if (size > 8 || !find_open(c, offset, &index)) {
        return 0;
    }
    const open_page page = c->open[index];
    const uint32_t at = (uint32_t)(offset & PAGE_MASK);
    const uint64_t value = through_load(cpu, page.pa | at, size);
    if (c->opened) {
        note_hit(cpu, &(pe_watch_hit){.pa = page.pa | at,
                                      .old_value = value,
                                      .new_value = value,
                                      .insns = insns_before(cpu, page.pc),
                                      .va = page.va | at,
                                      .pc = page.pc,
                                      .size = size,
                                      .cpu = cpu->index});
    }
    drop(cpu, index);
    return value;
}

static pe_status make_window(pe_machine *m, pe_error *err)
{
    pe_status status = debug_new(m, err);
    if (status != PE_OK || m->debug->has_window) {
        return status;
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        pe_cpu *cpu = m->cpu[i];
        const uc_err e =
            m->engine.mmio_map(cpu->uc, DEBUG_WINDOW, DEBUG_WINDOW_SIZE, window_read, cpu, window_write, cpu);
        if (e != UC_ERR_OK) {
            return pe_fail(err, PE_ERR_ENGINE, "libunicorn cannot map a window: %s", m->engine.strerror(e));
        }
    }
    m->debug->has_window = true;
    return PE_OK;
}

/* ---- fills ---- */

/* The kinds of access that are watched in a page. */
static uint32_t watched(const struct debug_machine *d, uint32_t va, uint64_t pa)
{
    uint32_t access = 0;
    for (uint32_t i = 0; i < d->nwatches; i++) {
        const pe_watch *w = &d->watches[i];
        if ((w->address ^ (w->physical ? pa : va)) <= PAGE_MASK) {
            access |= w->access;
        }
    }
    return access;
}

/* Whether the instruction at PC may reach a watchpoint in this page; one that is not known may. */
static bool may_reach(pe_cpu *cpu, uint32_t va, uint64_t pa, uint32_t kind)
{
    const struct debug_machine *d = cpu->machine->debug;
    uint32_t address, bytes;
    if (!align_decode(cpu, cpu->probe.regs[15], &address, &bytes)) {
        return true;
    }
    const uint64_t low = address < va ? va : address, end = (uint64_t)address + bytes;
    for (uint32_t i = 0; i < d->nwatches; i++) {
        const pe_watch *w = &d->watches[i];
        const uint64_t first = w->physical ? w->address - pa + va : w->address;
        if (w->access & kind && (w->address ^ (w->physical ? pa : va)) <= PAGE_MASK && low < first + w->size &&
            first < end) {
            return true;
        }
    }
    return low >= (uint64_t)va + PE_PAGE_SIZE || end <= va; /* misread: it is said to be elsewhere */
}

bool watch_fill(pe_cpu *cpu, uint32_t va, pe_access access, const pe_translation *t, uint64_t page, uc_tlb_entry *entry)
{
    pe_machine *m = cpu->machine;
    const struct debug_machine *d = m->debug;
    const uint64_t pa = t->pa & ~PAGE_MASK;
    const uint32_t kind = access == PE_WRITE ? PE_WATCH_WRITE : PE_WATCH_READ;
    if (d->saved) {
        if (access == PE_WRITE) {
            rewind_save_page(m, page);
        } else if (!(d->saved[page >> 3] >> (page & 7) & 1)) {
            entry->perms &= ~(uint32_t)UC_PROT_WRITE;
        }
    }
    const uint32_t found = d->nwatches ? watched(d, va & ~0xfffu, pa) : 0;
    const uint32_t seen = found | (is_table(m, page) ? PE_WATCH_WRITE : 0);
    if (!seen) {
        return true;
    }
    if (access != PE_WRITE) {
        entry->perms &= ~(uint32_t)UC_PROT_WRITE;
    }
    if (access == PE_FETCH) {
        entry->perms &= found & PE_WATCH_READ ? ~(uint32_t)UC_PROT_READ : ~0u;
        return true;
    }
    if (!(seen & kind)) {
        entry->perms &= access == PE_WRITE && seen & PE_WATCH_READ ? ~(uint32_t)UC_PROT_READ : ~0u;
        return true;
    }
    if (found & kind && !cpu->debug->opened && !(m->run_flags & PE_RUN_THROUGH) &&
        may_reach(cpu, va & ~0xfffu, pa, kind)) {
        cpu->debug->must_look = true;
        return false;
    }
    open_window(cpu, va & ~0xfffu, pa);
    entry->paddr = DEBUG_WINDOW + (uint32_t)pa;
    entry->perms &= access == PE_WRITE ? (uint32_t)UC_PROT_WRITE : (uint32_t)UC_PROT_READ;
    return true;
}

/* ---- tables ---- */

void watch_host_store(pe_machine *m, const pe_table_write *w)
{
    struct debug_machine *d = m->debug;
    if (d && d->tables) {
        record(d, w);
    }
    if (d && m->current && !(m->run_flags & PE_RUN_THROUGH)) {
        note_hit(m->current, &(pe_watch_hit){.pa = w->pa,
                                             .old_value = w->old_value,
                                             .new_value = w->new_value,
                                             .insns = w->insns,
                                             .pc = w->pc,
                                             .size = w->size,
                                             .cpu = w->cpu,
                                             .write = true,
                                             .function = w->function});
    }
}

void watch_note_tables(pe_cpu *cpu, uint32_t va)
{
    pe_machine *m = cpu->machine;
    struct debug_machine *d = m->debug;
    pe_walk walk;
    if (!d->tables) {
        return;
    }
    pe_translate_steps(m->mem, &cpu->regime, va, PE_READ, true, &walk);
    for (uint32_t i = 0; i < walk.nsteps; i++) {
        note_table(m, walk.steps[i].descriptor_pa, walk.steps[i].level);
    }
}

pe_status pe_machine_record_tables(pe_machine *m, uint64_t room, pe_error *err)
{
    pe_status status = room ? make_window(m, err) : PE_OK;
    struct debug_machine *d = m->debug;
    if (status != PE_OK || !d) {
        return status;
    }
    if (d->tables) {
        munmap(d->tables, map_bytes(m));
    }
    free(d->ring);
    d->ring = NULL;
    d->tables = NULL;
    d->ring_room = d->ring_count = d->ring_oldest = 0;
    fill_flush_all(m);
    if (!room) {
        return PE_OK;
    }
    void *map = mmap(NULL, map_bytes(m), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    d->ring = room < SIZE_MAX / sizeof *d->ring ? calloc(room, sizeof *d->ring) : NULL;
    if (map == MAP_FAILED || !d->ring) {
        if (map != MAP_FAILED) {
            munmap(map, map_bytes(m));
        }
        free(d->ring);
        d->ring = NULL;
        return pe_fail(err, PE_ERR_MEMORY, "no memory to keep %llu stores", (unsigned long long)room);
    }
    d->tables = map;
    d->ring_room = room;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        for (uint64_t va = 0; m->cpu[i]->regime.sctlr & SCTLR_M && va >> 32 == 0; va += LAST_TABLE_REACH) {
            watch_note_tables(m->cpu[i], (uint32_t)va);
        }
    }
    return PE_OK;
}

static uint64_t oldest(const struct debug_machine *d)
{
    const uint64_t kept = d->ring_count > d->ring_room ? d->ring_count - d->ring_room : 0;
    return kept > d->ring_oldest ? kept : d->ring_oldest;
}

void watch_forget_after(pe_machine *m, uint64_t count)
{
    struct debug_machine *d = m->debug;
    d->ring_oldest = oldest(d);
    if (d->ring_count > count) {
        d->ring_count = count > d->ring_oldest ? count : d->ring_oldest;
    }
}

size_t pe_machine_table_writes(const pe_machine *m, uint64_t from, pe_table_write *out, size_t max, uint64_t *first)
{
    const struct debug_machine *d = m->debug;
    const uint64_t begin = d ? oldest(d) : 0;
    size_t stored = 0;
    *first = from > begin ? from : begin;
    for (uint64_t i = *first; d && i < d->ring_count && stored < max; i++) {
        out[stored++] = d->ring[i % d->ring_room];
    }
    return stored;
}

/* ---- watchpoints ---- */

static bool same(const pe_watch *a, const pe_watch *b)
{
    return a->address == b->address && a->size == b->size && a->access == b->access && a->physical == b->physical;
}

pe_status pe_machine_watch_add(pe_machine *m, const pe_watch *watch, pe_error *err)
{
    const uint64_t last = watch->address + watch->size - 1;
    if (!watch->size || watch->size > PE_PAGE_SIZE || last / PE_PAGE_SIZE != watch->address / PE_PAGE_SIZE) {
        return pe_fail(err, PE_ERR_ARGUMENT, "%u bytes at 0x%llx: a watchpoint has at least one byte, within a page",
                       watch->size, (unsigned long long)watch->address);
    }
    if (!watch->access || watch->access > (PE_WATCH_READ | PE_WATCH_WRITE)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "unknown kind of access %u", watch->access);
    }
    if (last >> (watch->physical ? PE_MEM_ADDRESS_BITS : 32)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "0x%llx is above the address space", (unsigned long long)last);
    }
    pe_status status = make_window(m, err);
    if (status != PE_OK) {
        return status;
    }
    struct debug_machine *d = m->debug;
    if (d->nwatches == PE_MAX_WATCHPOINTS) {
        return pe_fail(err, PE_ERR_STATE, "all %u watchpoints are in use", PE_MAX_WATCHPOINTS);
    }
    d->watches[d->nwatches++] = *watch;
    fill_flush_all(m);
    return PE_OK;
}

pe_status pe_machine_watch_remove(pe_machine *m, const pe_watch *watch, pe_error *err)
{
    struct debug_machine *d = m->debug;
    for (uint32_t i = 0; d && i < d->nwatches; i++) {
        if (same(&d->watches[i], watch)) {
            d->watches[i] = d->watches[--d->nwatches];
            fill_flush_all(m);
            return PE_OK;
        }
    }
    return pe_fail(err, PE_ERR_ARGUMENT, "no such watchpoint at 0x%llx", (unsigned long long)watch->address);
}

bool pe_machine_watch_hit(const pe_machine *m, pe_watch_hit *out)
{
    if (!m->debug || !m->debug->has_hit) {
        return false;
    }
    *out = m->debug->hit;
    return true;
}
