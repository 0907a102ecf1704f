/* SPDX-License-Identifier: GPL-2.0-or-later
 * Whether the parameters of a core can be: geometry, ranges, and what would be right instead. */
#include "timing/core.h"
#include "error.h"

#include <inttypes.h>
#include <string.h>

bool pe_is_power_of_two(uint32_t value)
{
    return value && !(value & (value - 1));
}

/* The power of two next to value, at most twice as far off as the other one. */
static uint64_t near_power_of_two(uint64_t value)
{
    uint64_t power = 1;
    while (power * 2 <= value) {
        power *= 2;
    }
    return value - power > power * 2 - value ? power * 2 : power;
}

static pe_status check_range(const char *group, const char *key, uint64_t value, uint64_t low, uint64_t high,
                             pe_error *err)
{
    if (value >= low && value <= high) {
        return PE_OK;
    }
    return pe_fail(err, PE_ERR_ARGUMENT,
                   "%s%s%s: %" PRIu64 " is not in range: %" PRIu64 " to %" PRIu64 " would be right", group,
                   *group ? "." : "", key, value, low, high);
}

static pe_status check_policy(const char *group, pe_replacement policy, pe_error *err)
{
    return check_range(group, "replacement", (uint64_t)policy, PE_REPLACE_LRU, PE_REPLACE_RANDOM, err);
}

pe_status pe_cache_check(const char *group, const pe_cache_params *p, pe_error *err)
{
    pe_status status;
    if ((status = check_range(group, "ways", p->ways, 1, PE_MAX_WAYS, err)) ||
        (status = check_range(group, "line_bytes", p->line_bytes, 16, 256, err)) ||
        (status = check_range(group, "size_bytes", p->size_bytes, 16, PE_MAX_CACHE_BYTES, err)) ||
        (status = check_range(group, "hit_cycles", p->hit_cycles, 1, PE_MAX_CYCLES, err)) ||
        (status = check_policy(group, p->replacement, err))) {
        return status;
    }
    if (!pe_is_power_of_two(p->line_bytes)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "%s.line_bytes: %u is no power of two: %u would be right", group,
                       p->line_bytes, (unsigned)near_power_of_two(p->line_bytes));
    }
    const uint32_t set_bytes = p->ways * p->line_bytes;
    if (p->size_bytes % set_bytes || !pe_is_power_of_two(p->size_bytes / set_bytes)) {
        const uint64_t sets = near_power_of_two(p->size_bytes < set_bytes ? 1 : p->size_bytes / set_bytes);
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "%s.size_bytes: %u is not %u ways x a power of two of sets x lines of %u bytes: %" PRIu64
                       " would be right",
                       group, p->size_bytes, p->ways, p->line_bytes, sets * set_bytes);
    }
    return PE_OK;
}

pe_status pe_tlb_check(const char *group, const pe_tlb_params *p, pe_error *err)
{
    pe_status status;
    if ((status = check_range(group, "entries", p->entries, 1, PE_MAX_TLB_ENTRIES, err)) ||
        (status = check_range(group, "ways", p->ways, 1, p->entries, err)) ||
        (status = check_range(group, "miss_cycles", p->miss_cycles, 0, PE_MAX_CYCLES, err)) ||
        (status = check_policy(group, p->replacement, err))) {
        return status;
    }
    if (p->entries % p->ways || !pe_is_power_of_two(p->entries / p->ways)) {
        const uint64_t sets = near_power_of_two(p->entries / p->ways);
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "%s.entries: %u is not %u ways x a power of two of sets: %" PRIu64 " would be right", group,
                       p->entries, p->ways, sets * p->ways);
    }
    if (!(p->page_bytes & PE_PAGE_SIZE) || p->page_bytes & ~PE_TLB_PAGE_SIZES) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "%s.page_bytes: the sizes add up to 0x%x: 4096 and any of 65536, 1048576, 2097152, 16777216 and "
                       "1073741824 would be right",
                       group, p->page_bytes);
    }
    return PE_OK;
}

static pe_status check_optional_tlb(const char *group, const pe_tlb_params *p, pe_error *err)
{
    return p->entries ? pe_tlb_check(group, p, err) : PE_OK;
}

static pe_status check_walk(const pe_walk_params *p, pe_error *err)
{
    if (p->cache_entries == 0) {
        return PE_OK;
    }
    if (!pe_is_power_of_two(p->cache_reach_bytes) || p->cache_reach_bytes < PE_PAGE_SIZE) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "walk.cache_reach_bytes: %u is no power of two from 4096 on: 1048576 would be right",
                       p->cache_reach_bytes);
    }
    return PE_OK;
}

/* Keys whose range is all that matters. */
#define KEY(group, key, low, high) {#group, #key, offsetof(pe_core, group.key), low, high}
#define CYCLES(group, key)         KEY(group, key##_cycles, 0, PE_MAX_CYCLES)

static const struct {
    const char *group, *key;
    size_t offset;
    uint32_t low, high;
} RANGES[] = {
    KEY(pipeline, issue_width, 1, 16),
    KEY(pipeline, window_entries, 0, 1024),
    KEY(pipeline, loads_width, 1, 16),
    KEY(pipeline, stores_width, 1, 16),
    KEY(pipeline, multiple_registers, 1, 16),
    CYCLES(pipeline, taken_branch),
    CYCLES(pipeline, mispredict),
    KEY(pipeline, history_entries, 1, 1 << 20),
    KEY(pipeline, return_entries, 0, 256),
    CYCLES(latency, alu),
    CYCLES(latency, shift),
    CYCLES(latency, multiply),
    CYCLES(latency, multiply_long),
    CYCLES(latency, divide),
    CYCLES(latency, vfp_add),
    CYCLES(latency, vfp_multiply),
    CYCLES(latency, vfp_multiply_add),
    CYCLES(latency, vfp_divide),
    CYCLES(latency, vfp_sqrt),
    CYCLES(latency, vfp_move),
    CYCLES(latency, neon_add),
    CYCLES(latency, neon_multiply),
    CYCLES(latency, coprocessor),
    KEY(memory, dram_ns, 0, 100000),
    KEY(memory, line_fill_entries, 1, PE_MAX_LINE_FILLS),
    CYCLES(memory, line_transfer),
    KEY(memory, store_entries, 0, 1024),
    KEY(walk, cache_entries, 0, PE_MAX_WALK_ENTRIES),
    CYCLES(system, exception_entry),
    CYCLES(system, exception_return),
    CYCLES(system, tlbi),
    CYCLES(system, tlbi_broadcast),
    CYCLES(system, dsb),
    CYCLES(system, dmb),
    CYCLES(system, isb),
    CYCLES(system, mcr),
    CYCLES(system, exclusive),
    CYCLES(system, cache_line),
};

static pe_status check_ranges(const pe_core *core, pe_error *err)
{
    for (size_t i = 0; i < sizeof RANGES / sizeof RANGES[0]; i++) {
        uint32_t value;
        memcpy(&value, (const char *)core + RANGES[i].offset, sizeof value);
        pe_status status = check_range(RANGES[i].group, RANGES[i].key, value, RANGES[i].low, RANGES[i].high, err);
        if (status) {
            return status;
        }
    }
    const uint32_t history = core->pipeline.history_entries;
    if (!pe_is_power_of_two(history)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "pipeline.history_entries: %u is no power of two: %u would be right",
                       history, (unsigned)near_power_of_two(history));
    }
    return PE_OK;
}

/* Inclusion of lines needs L2 lines that hold whole L1 lines. */
static pe_status check_lines(const pe_core *core, pe_error *err)
{
    if (core->l2.line_bytes < core->l1d.line_bytes || core->l2.line_bytes < core->l1i.line_bytes) {
        const uint32_t l1 = core->l1d.line_bytes > core->l1i.line_bytes ? core->l1d.line_bytes : core->l1i.line_bytes;
        return pe_fail(err, PE_ERR_ARGUMENT, "l2.line_bytes: %u is less than a line of L1: %u or more would be right",
                       core->l2.line_bytes, l1);
    }
    return PE_OK;
}

pe_status pe_core_check(const pe_core *core, pe_error *err)
{
    pe_status status;
    if ((status = check_range("", "clock_hz", core->clock_hz, 1000000, 10000000000ull, err)) ||
        (status = check_ranges(core, err)) || (status = pe_cache_check("l1i", &core->l1i, err)) ||
        (status = pe_cache_check("l1d", &core->l1d, err)) || (status = pe_cache_check("l2", &core->l2, err)) ||
        (status = check_lines(core, err)) ||
        (status = pe_tlb_check("micro_instruction", &core->micro_instruction, err)) ||
        (status = pe_tlb_check("micro_load", &core->micro_load, err)) ||
        (status = check_optional_tlb("micro_store", &core->micro_store, err)) ||
        (status = pe_tlb_check("main_tlb", &core->main_tlb, err)) || (status = check_walk(&core->walk, err))) {
        return status;
    }
    return PE_OK;
}

uint32_t pe_core_dram_cycles(const pe_core *core)
{
    return (uint32_t)((core->memory.dram_ns * core->clock_hz + 500000000u) / 1000000000u);
}
