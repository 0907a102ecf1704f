/* SPDX-License-Identifier: GPL-2.0-or-later
 * Loads, stores and fetches in the modelled caches, and how long the core waits for them.
 *
 * Out of order, misses that do not depend on one another are on their way together (the interval model: Karkhanis and
 * Smith, ISCA 2004; Eyerman and others, ACM TOCS 27:2, 2009).  docs/model.md gives the rules and their sources. */
#include "machine/timed/timed.h"

/* ---- waiting ---- */

/* latency: beyond a hit of L1; billed: what of it the core waits. */
static void bill_wait(const timed_machine *t, timed_cpu *c, const pe_cache *l1, uint32_t latency, uint64_t billed)
{
    const uint32_t to_l2 = t->core.l2.hit_cycles - l1->params.hit_cycles;
    const uint64_t beyond = latency > to_l2 ? latency - to_l2 : 0, dram = billed < beyond ? billed : beyond;
    if (beyond) {
        ledger_add(c->account, c->privileged, PE_COST_DRAM, dram);
    }
    if (!beyond || billed > dram) {
        ledger_add(c->account, c->privileged, PE_COST_L2, billed - dram);
    }
}

/* Whether the address of the running block's latest access, a load, comes from a load that missed.  Instructions whose
 * condition failed had no access: then the next load of the list is taken, and the count goes on from there. */
static bool waits_for_miss(timed_cpu *c)
{
    if (!c->code) {
        return false;
    }
    const pe_block_access *access = (const pe_block_access *)c->blocks->access.data + c->code->access;
    uint32_t index = c->next_access - 1;
    while (index < c->code->accesses && access[index].store) {
        index++;
    }
    if (index >= c->code->accesses) {
        return false;
    }
    c->next_access = index + 1;
    return (access[index].after_load && c->missed) || access[index].address_regs & c->missed_regs;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t load_wait(const timed_machine *t, pe_cpu *cpu, timed_cpu *c, uint32_t latency)
{
    const pe_memory_params *memory = &t->core.memory;
    const uint32_t window = t->core.pipeline.window_entries;
    const uint64_t now = c->account->clock;
    const uint64_t insns = cpu->held.on ? c->held_insns : cpu->insns; /* at the end of the block */
    const bool alone = !window || waits_for_miss(c), first = alone || insns - c->group_insns >= window;
    /* Without the others' waits it would have come that much earlier. */
    const uint64_t begin = later(first ? now : now - c->group_stalls, c->fills[c->fill_next]);
    const uint64_t end = later(begin + latency, c->transferred + memory->line_transfer_cycles);
    const uint64_t hidden = now + (alone ? 0 : t->hidden_cycles), wait = end > hidden ? end - hidden : 0;
    c->transferred = end;
    c->fills[c->fill_next] = end;
    c->fill_next = c->fill_next + 1 == memory->line_fill_entries ? 0 : c->fill_next + 1;
    if (first) {
        c->group_insns = insns;
        c->group_stalls = 0;
    }
    c->group_stalls += wait;
    return wait;
}

static uint64_t store_wait(const timed_machine *t, timed_cpu *c, uint32_t latency)
{
    const pe_memory_params *memory = &t->core.memory;
    const uint64_t now = c->account->clock;
    const uint64_t each = later(latency / memory->line_fill_entries, memory->line_transfer_cycles);
    c->stores_done = later(c->stores_done, now) + each;
    const uint64_t room = now + memory->store_entries * each;
    return c->stores_done > room ? c->stores_done - room : 0;
}

/* ---- data ---- */

static bool is_cacheable(const pe_cpu *cpu, uint64_t offset)
{
    return cpu->timed->data_cached && !(cpu->machine->timed->uncached_pages[offset >> 15] >> (offset >> 12 & 7) & 1);
}

static void __attribute__((noinline)) load_slow(pe_cpu *cpu, timed_cpu *c, pe_cache *l1, uint64_t pa)
{
    timed_machine *t = cpu->machine->timed;
    uint64_t offset;
    if (!fill_ram_offset(cpu->machine, pa, &offset)) {
        return; /* a device */
    }
    if (!is_cacheable(cpu, offset)) {
        c->executed.uncached++;
        const uint32_t latency = t->core.l2.hit_cycles + t->dram_cycles - l1->params.hit_cycles;
        bill_wait(t, c, l1, latency, latency);
        return;
    }
    l1->stats.reads++;
    const uint32_t latency = caches_load_slow(t->caches, cpu->index, l1, pa) - l1->params.hit_cycles;
    bill_wait(t, c, l1, latency, load_wait(t, cpu, c, latency));
    c->missed = true;
}

static void __attribute__((noinline)) store_slow(pe_cpu *cpu, timed_cpu *c, pe_cache *l1, uint64_t pa)
{
    timed_machine *t = cpu->machine->timed;
    uint64_t offset;
    if (!fill_ram_offset(cpu->machine, pa, &offset)) {
        return;
    }
    uint32_t latency = t->core.l2.hit_cycles + t->dram_cycles - l1->params.hit_cycles;
    if (is_cacheable(cpu, offset)) {
        l1->stats.writes++;
        latency = caches_store_slow(t->caches, cpu->index, pa) - l1->params.hit_cycles;
    } else {
        c->executed.uncached++;
    }
    bill_wait(t, c, l1, latency, store_wait(t, c, latency));
}

void timed_memory_hook(uc_engine *uc, uc_mem_type type, uint64_t pa, int size, int64_t value, void *user)
{
    (void)uc, (void)size, (void)value;
    pe_cpu *cpu = user;
    timed_cpu *c = cpu->timed;
    pe_cache *l1 = &cpu->machine->timed->caches->l1d[cpu->index];
    c->next_access++;
    if (__builtin_expect(pa >= DEBUG_WINDOW, 0)) {
        pa = watch_address(cpu, pa);
    }
    if (__builtin_expect(!cpu->unsynced, 0)) {
        fill_forget_it_state(cpu); /* the engine has restored its state for us */
    }
    uint64_t *way = cache_find(l1, cache_line(l1, pa));
    if (type == UC_MEM_READ) {
        if (__builtin_expect(way && c->data_cached, 1)) {
            l1->stats.reads++;
        } else {
            load_slow(cpu, c, l1, pa);
        }
        return;
    }
    if (__builtin_expect(way && !(*way & LINE_SHARED) && c->data_cached, 1)) {
        l1->stats.writes++;
        *way |= LINE_DIRTY;
    } else {
        store_slow(cpu, c, l1, pa);
    }
}

/* Inner and outer non-cacheable, or no Normal memory: MAIR (ARM DDI 0406C B4.1.104). */
void timed_note_cacheable(pe_cpu *cpu, const pe_translation *t, uint64_t page)
{
    uint8_t *byte = &cpu->machine->timed->uncached_pages[page >> 3];
    const uint8_t bit = (uint8_t)(1u << (page & 7));
    const bool cacheable = t->attr >> 4 && t->attr != 0x44;
    if (!cacheable != !!(*byte & bit)) {
        *byte ^= bit;
    }
}

/* ---- fetches ---- */

void timed_fetch_lines(pe_cpu *cpu, uint32_t va, uint32_t size)
{
    const timed_machine *t = cpu->machine->timed;
    timed_cpu *c = cpu->timed;
    pe_cache *l1 = &t->caches->l1i[cpu->index];
    const uint32_t offset = va & (PE_PAGE_SIZE - 1), end = offset + size > PE_PAGE_SIZE ? PE_PAGE_SIZE : offset + size;
    const uint64_t last = cache_line(l1, c->page_pa + end - 1);
    for (uint64_t line = cache_line(l1, c->page_pa + offset); line <= last; line++) {
        if (line == c->fetched_line) {
            continue;
        }
        c->fetched_line = line;
        uint32_t cycles = t->core.l2.hit_cycles + t->dram_cycles;
        if (cpu->regime.sctlr & SCTLR_I) {
            cycles = caches_load(t->caches, cpu->index, l1, line << l1->line_shift);
        }
        if (cycles > l1->params.hit_cycles) {
            bill_wait(t, c, l1, cycles - l1->params.hit_cycles, cycles - l1->params.hit_cycles);
        }
    }
}

/* ---- maintenance ---- */

static pe_cache_operation operation_of(cp15_reg reg)
{
    return reg.crm == 6 ? PE_CACHE_INVALIDATE : reg.crm == 14 ? PE_CACHE_CLEAN_INVALIDATE : PE_CACHE_CLEAN;
}

/* By set and way: the levels count from 0, L2 is 1 (ARM DDI 0406C B4.2.1). */
static void maintain_set_way(pe_cpu *cpu, pe_cache_operation operation, uint32_t value)
{
    pe_caches *caches = cpu->machine->timed->caches;
    const uint32_t level = value >> 1 & 7;
    if (level > 1) {
        return;
    }
    const pe_cache *cache = level ? &caches->l2 : &caches->l1d[cpu->index];
    const uint32_t way_bits = cache->ways > 1 ? 32 - (uint32_t)__builtin_clz(cache->ways - 1) : 0;
    const uint32_t way = way_bits ? value >> (32 - way_bits) : 0;
    const uint64_t set =
        value >> cache->line_shift & (way_bits ? (1u << (32 - way_bits - cache->line_shift)) - 1 : ~0u);
    if (set > cache->set_mask || way >= cache->ways) {
        return;
    }
    const uint64_t line = cache->lines[set * cache->ways + way];
    if (line != LINE_NONE) {
        pe_caches_maintain(caches, operation, line >> LINE_FLAGS_SHIFT << cache->line_shift);
    }
}

/* On one CPU, or on all. */
static void forget_fetched(pe_cpu *cpu, bool all)
{
    pe_machine *m = cpu->machine;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        if (all || i == cpu->index) {
            pe_caches_maintain_fetch(m->timed->caches, i);
            m->cpu[i]->timed->fetched_line = NO_LINE;
        }
    }
}

static void maintain_line(pe_cpu *cpu, cp15_reg reg, uint32_t va)
{
    pe_machine *m = cpu->machine;
    pe_translation t;
    pe_translate(m->mem, &cpu->regime, va, PE_READ, cpu_privileged(cpu), &t);
    if (t.fault) {
        return;
    }
    if (reg.crm != 5) {
        pe_caches_maintain(m->timed->caches, operation_of(reg), t.pa);
        return;
    }
    pe_caches_maintain_fetch_line(m->timed->caches, t.pa);
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        m->cpu[i]->timed->fetched_line = NO_LINE;
    }
}

void timed_maintain_caches(pe_cpu *cpu, cp15_reg reg, uint32_t value)
{
    if (!cpu->machine->timed->caches) {
        return;
    }
    if (reg.crm == 1 || (reg.crm == 5 && reg.opc2 == 0)) { /* ICIALLUIS, ICIALLU */
        forget_fetched(cpu, reg.crm == 1);
    } else if (reg.opc2 == 2) {
        maintain_set_way(cpu, operation_of(reg), value);
    } else {
        maintain_line(cpu, reg, value);
    }
}
