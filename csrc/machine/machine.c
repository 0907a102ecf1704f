/* SPDX-License-Identifier: GPL-2.0-or-later
 * Construction of a machine, and what the outside may do to it between runs. */
#include "machine/timed/timed.h"

#include <stdlib.h>
#include <sys/mman.h>

#define MIN_RAM 0x1000000ull    /* 16 MB */
#define MAX_RAM 0x1000000000ull /* 64 GB */

static size_t page_map_bytes(const pe_machine_config *config)
{
    return (size_t)((BOARD_FLASH_END + config->ram_size) / PE_PAGE_SIZE / 8);
}

/* Zero until touched, so that a large machine costs nothing. */
static uint8_t *page_map(const pe_machine_config *config)
{
    void *map =
        mmap(NULL, page_map_bytes(config), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

static pe_status check_config(const pe_machine_config *c, pe_error *err)
{
    if (c->ram_size < MIN_RAM || c->ram_size > MAX_RAM || c->ram_size % 0x100000) {
        return pe_fail(err, PE_ERR_ARGUMENT, "RAM of %llu bytes: wanted is a multiple of 1 MB from 16 MB to 64 GB",
                       (unsigned long long)c->ram_size);
    }
    if (c->ram_base != BOARD_RAM_BASE) {
        return pe_fail(err, PE_ERR_ARGUMENT, "RAM at 0x%llx: this board has it at 0x%x",
                       (unsigned long long)c->ram_base, BOARD_RAM_BASE);
    }
    if (c->ncpus < 1 || c->ncpus > PE_MAX_CPUS) {
        return pe_fail(err, PE_ERR_ARGUMENT, "%u CPUs: wanted is 1 to %u", c->ncpus, PE_MAX_CPUS);
    }
    if (c->cpu_model > PE_CPU_CORTEX_A7) {
        return pe_fail(err, PE_ERR_ARGUMENT, "unknown CPU model %u", (unsigned)c->cpu_model);
    }
    return PE_OK;
}

static pe_status make_memory(pe_machine *m, pe_error *err)
{
    m->mem = pe_mem_new(err);
    if (!m->mem) {
        return PE_ERR_MEMORY;
    }
    pe_status status = pe_mem_add_ram(m->mem, m->config.ram_base, m->config.ram_size, 0, err);
    for (uint32_t bank = 0; status == PE_OK && bank < 2; bank++) {
        status = pe_mem_add_ram(m->mem, bank * BOARD_FLASH_SIZE, BOARD_FLASH_SIZE, PE_MEM_READONLY, err);
    }
    if (status == PE_OK) {
        m->ram_host = pe_mem_host(m->mem, m->config.ram_base, m->config.ram_size);
        m->code_pages = page_map(&m->config);
        m->writable_pages = page_map(&m->config);
        m->patched_pages = page_map(&m->config);
        if (!m->code_pages || !m->writable_pages || !m->patched_pages) {
            return pe_fail(err, PE_ERR_MEMORY, "no memory for the page maps");
        }
    }
    return status;
}

pe_machine *pe_machine_new(const pe_machine_config *config, pe_error *err)
{
    if (check_config(config, err) != PE_OK) {
        return NULL;
    }
    pe_machine *m = calloc(1, sizeof *m);
    if (!m) {
        pe_fail(err, PE_ERR_MEMORY, "no memory for a machine");
        return NULL;
    }
    m->config = *config;
    m->config.quantum = config->quantum ? config->quantum : 20000;
    pe_status status = engine_load(&m->engine, err);
    if (status == PE_OK) {
        status = make_memory(m, err);
    }
    for (uint32_t i = 0; status == PE_OK && i < config->ncpus; i++) {
        m->cpu[i] = cpu_new(m, i, err);
        status = m->cpu[i] ? PE_OK : PE_ERR_ENGINE;
    }
    if (status == PE_OK) {
        engine_find_internals(&m->engine);
        status = timed_new(m, err);
    }
    if (status != PE_OK) {
        pe_machine_free(m);
        return NULL;
    }
    m->config.core = NULL; /* the caller's */
    devices_reset(m);
    return m;
}

pe_power pe_machine_power(const pe_machine *m, uint32_t cpu)
{
    return cpu < m->config.ncpus ? m->cpu[cpu]->power : PE_POWER_OFF;
}

void pe_machine_free(pe_machine *m)
{
    if (!m) {
        return;
    }
    if (m->hosted.gone) {
        m->hosted.gone(m->hosted.context);
    }
    timed_free(m);
    debug_free(m);
    for (uint32_t i = 0; i < PE_MAX_CPUS; i++) {
        cpu_free(m->cpu[i]);
    }
    uint8_t *maps[] = {m->code_pages, m->writable_pages, m->patched_pages};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        if (maps[i]) {
            munmap(maps[i], page_map_bytes(&m->config));
        }
    }
    pe_mem_free(m->mem);
    free(m->out.data);
    free(m->in.data);
    free(m);
}

pe_mem *pe_machine_mem(pe_machine *m)
{
    return m->mem;
}

pe_status pe_machine_set_flash(pe_machine *m, uint32_t bank, const void *image, uint64_t size, pe_error *err)
{
    if (bank > 1 || size > BOARD_FLASH_SIZE) {
        return pe_fail(err, PE_ERR_ARGUMENT, "flash bank %u, %llu bytes: there are banks 0 and 1 of 64 MB", bank,
                       (unsigned long long)size);
    }
    return pe_machine_write(m, bank * BOARD_FLASH_SIZE, image, size, err);
}

pe_status pe_machine_reset(pe_machine *m, uint32_t pc, pe_error *err)
{
    const pe_status status = timed_reset(m, err);
    if (status != PE_OK) {
        return status;
    }
    m->time = 0;
    m->current = NULL;
    m->last_cpu = m->config.ncpus - 1;
    m->suspended.valid = false;
    devices_reset(m);
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        cpu_reset(m->cpu[i], pc, 0);
        m->cpu[i]->power = i ? PE_POWER_OFF : PE_POWER_ON;
    }
    m->started = true;
    return PE_OK;
}

void pe_machine_stats(const pe_machine *m, pe_stats *out)
{
    *out = m->stats;
    out->insns = run_total_insns(m);
    out->time_ns = machine_ns(m);
}

pe_status pe_machine_write(pe_machine *m, uint64_t pa, const void *buf, uint64_t len, pe_error *err)
{
    rewind_host_write(m, pa, len);
    pe_status status = pe_mem_write(m->mem, pa, buf, len, err);
    if (status == PE_OK && len) {
        fill_drop_code(m, pa, len);
    }
    return status;
}

void pe_machine_tlb_flush(pe_machine *m)
{
    fill_flush_all(m);
    for (uint32_t i = 0; m->timed && i < m->config.ncpus; i++) {
        timed_invalidate_tlb(m->cpu[i], PE_TLBI_ALL, 0, 0);
    }
}

static pe_status check_cpu(const pe_machine *m, uint32_t cpu, pe_error *err)
{
    return cpu < m->config.ncpus
               ? PE_OK
               : pe_fail(err, PE_ERR_ARGUMENT, "CPU %u: the machine has %u, counted from 0", cpu, m->config.ncpus);
}

pe_status pe_machine_regime(pe_machine *m, uint32_t cpu, pe_regime *out, bool *privileged, pe_error *err)
{
    pe_status status = check_cpu(m, cpu, err);
    if (status == PE_OK) {
        *out = m->cpu[cpu]->regime;
        *privileged = cpu_privileged(m->cpu[cpu]);
    }
    return status;
}

void *pe_machine_engine(pe_machine *m, uint32_t cpu)
{
    return cpu < m->config.ncpus ? m->cpu[cpu]->uc : NULL;
}

/* ---- console ---- */

size_t pe_machine_console_read(pe_machine *m, void *buf, size_t size)
{
    return queue_pop(&m->out, buf, size);
}

pe_status pe_machine_console_write(pe_machine *m, const void *buf, size_t len, pe_error *err)
{
    if (!queue_push(&m->in, buf, len)) {
        return pe_fail(err, PE_ERR_MEMORY, "no memory for %zu bytes of console input", len);
    }
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        if (m->cpu[i]->wants_input) {
            return PE_OK; /* SYS_READC takes it */
        }
    }
    uart_pull_input(m);
    return PE_OK;
}

bool pe_machine_console_close(pe_machine *m)
{
    bool waiting = false;
    m->in_closed = true;
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        waiting |= m->cpu[i]->wants_input == WANTS_BYTE_OR_END;
    }
    return waiting;
}

/* ---- breakpoints ---- */

/* From an IT instruction to the last one of its block: the engine does not stop within one. */
#define IT_REACH 14u

static pe_status hook_break(pe_machine *m, uint32_t slot, pe_error *err)
{
    const uint32_t va = m->breakpoints[slot];
    for (uint32_t i = 0; i < m->config.ncpus; i++) {
        pe_cpu *cpu = m->cpu[i];
        uc_err e =
            m->engine.hook_add(cpu->uc, &cpu->break_hooks[slot], UC_HOOK_CODE, (void *)(uintptr_t)debug_break_hook, cpu,
                               (uint64_t)(va > IT_REACH ? va - IT_REACH : 0), (uint64_t)va);
        if (e != UC_ERR_OK) {
            return pe_fail(err, PE_ERR_ENGINE, "breakpoint at 0x%08x: %s", va, m->engine.strerror(e));
        }
        m->engine.ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0)); /* blocks translated without it */
    }
    return PE_OK;
}

pe_status pe_machine_break_add(pe_machine *m, uint32_t va, pe_error *err)
{
    for (uint32_t i = 0; i < m->nbreakpoints; i++) {
        if (m->breakpoints[i] == va) {
            return PE_OK;
        }
    }
    if (m->nbreakpoints == PE_MAX_BREAKPOINTS) {
        return pe_fail(err, PE_ERR_STATE, "all %u breakpoints are in use", PE_MAX_BREAKPOINTS);
    }
    m->breakpoints[m->nbreakpoints] = va;
    pe_status status = hook_break(m, m->nbreakpoints, err);
    m->nbreakpoints += status == PE_OK;
    return status;
}

pe_status pe_machine_break_remove(pe_machine *m, uint32_t va, pe_error *err)
{
    for (uint32_t slot = 0; slot < m->nbreakpoints; slot++) {
        if (m->breakpoints[slot] != va) {
            continue;
        }
        const uint32_t last = --m->nbreakpoints;
        m->breakpoints[slot] = m->breakpoints[last];
        for (uint32_t i = 0; i < m->config.ncpus; i++) {
            pe_cpu *cpu = m->cpu[i];
            m->engine.hook_del(cpu->uc, cpu->break_hooks[slot]);
            cpu->break_hooks[slot] = cpu->break_hooks[last];
            m->engine.ctl(cpu->uc, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
        }
        return PE_OK;
    }
    return pe_fail(err, PE_ERR_ARGUMENT, "no breakpoint at 0x%08x", va);
}
