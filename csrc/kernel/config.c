/* SPDX-License-Identifier: GPL-2.0-or-later
 * Which configurations can be: the rules of arch/arm/Kconfig and mm/Kconfig, and ranges of values. */
#include "kernel/config.h"

#include "error.h"
#include "timing/core.h"

#include <inttypes.h>

#define MB (UINT64_C(1) << 20)

/* ---- rules ---- */

static bool has(const pe_kernel_config *c, uint32_t flag)
{
    return c->flags & flag;
}

static bool is_lpae(const pe_kernel_config *c)
{
    return c->tables == PE_TABLES_LPAE;
}

static bool split_3g_opt(const pe_kernel_config *c)
{
    return is_lpae(c) && c->vmsplit == PE_VMSPLIT_3G_OPT;
}

static bool highpte_alone(const pe_kernel_config *c)
{
    return has(c, PE_KERNEL_HIGHPTE) && !has(c, PE_KERNEL_HIGHMEM);
}

/* Each remedy is a patch that takes the place of the rule. */
static bool highpte_and_rt(const pe_kernel_config *c)
{
    return has(c, PE_KERNEL_HIGHPTE) && c->preemption == PE_PREEMPT_RT && c->remedy == PE_REMEDY_NONE;
}

static bool classic_beyond_4g(const pe_kernel_config *c)
{
    return !is_lpae(c) && c->ram_bytes > (UINT64_C(1) << 32) - PE_BOARD_RAM_BASE;
}

static bool classic_thp(const pe_kernel_config *c)
{
    return !is_lpae(c) && has(c, PE_KERNEL_THP);
}

static bool classic_swiotlb(const pe_kernel_config *c)
{
    return !is_lpae(c) && has(c, PE_KERNEL_SWIOTLB);
}

static bool classic_pan(const pe_kernel_config *c)
{
    return !is_lpae(c) && has(c, PE_KERNEL_TTBR0_PAN);
}

static bool debug_and_many_cpus(const pe_kernel_config *c)
{
    return (has(c, PE_KERNEL_DEBUG_KMAP_LOCAL) || c->high_get == PE_HIGH_GET_DEBUG) && c->nr_cpus > 16;
}

static bool debug_without_highmem(const pe_kernel_config *c)
{
    return c->high_get == PE_HIGH_GET_DEBUG && !has(c, PE_KERNEL_HIGHMEM);
}

static const struct {
    bool (*broken)(const pe_kernel_config *c);
    pe_kernel_rule rule;
} RULES[] = {
    {split_3g_opt,
     {"VMSPLIT_3G_OPT", "VMSPLIT_3G_OPT depends on !ARM_LPAE",
      "vmsplit 3g, 2g or 1g, whose kernel begins at a multiple of 1 GB, or classic tables", false}},
    {highpte_alone, {"HIGHPTE", "HIGHPTE depends on HIGHMEM", "highmem on, or highpte off", false}},
    {highpte_and_rt,
     {"HIGHPTE", "HIGHPTE depends on HIGHMEM && !PREEMPT_RT", "highpte off, another preemption model, or a remedy",
      true}},
    {classic_beyond_4g,
     {"ARM_LPAE", "RAM above 4 GB depends on ARM_LPAE (short descriptors hold 32 bits of address)",
      "lpae tables, or 3G of RAM and less", false}},
    {classic_thp,
     {"TRANSPARENT_HUGEPAGE", "HAVE_ARCH_TRANSPARENT_HUGEPAGE depends on ARM_LPAE", "lpae tables, or thp off", false}},
    {classic_swiotlb, {"SWIOTLB", "SWIOTLB depends on ARM_LPAE", "lpae tables, or swiotlb off", false}},
    {classic_pan, {"CPU_TTBR0_PAN", "CPU_TTBR0_PAN depends on ARM_LPAE", "lpae tables, or ttbr0_pan off", false}},
    {debug_and_many_cpus,
     {"NR_CPUS", "NR_CPUS is at most 16 with DEBUG_KMAP_LOCAL", "nr_cpus of 16 and less, or no debug windows", false}},
    {debug_without_highmem,
     {"DEBUG_HIGHMEM", "DEBUG_HIGHMEM depends on HIGHMEM", "highmem on, or high_get on or erratum", false}},
};

size_t pe_kernel_config_rules(const pe_kernel_config *config, pe_kernel_rule *out, size_t max)
{
    size_t found = 0;
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        if (RULES[i].broken(config)) {
            if (found < max) {
                out[found] = RULES[i].rule;
            }
            found++;
        }
    }
    return found;
}

/* ---- values ---- */

uint32_t config_page_offset(pe_vmsplit vmsplit)
{
    switch (vmsplit) {
    case PE_VMSPLIT_3G: break;
    case PE_VMSPLIT_3G_OPT: return 0xb0000000u;
    case PE_VMSPLIT_2G: return 0x80000000u;
    case PE_VMSPLIT_1G: return 0x40000000u;
    }
    return 0xc0000000u;
}

static pe_status check_enum(const char *name, uint32_t value, uint32_t last, pe_error *err)
{
    if (value <= last) {
        return PE_OK;
    }
    return pe_fail(err, PE_ERR_ARGUMENT, "%s: %" PRIu32 " is no such value: 0 to %" PRIu32 " are", name, value, last);
}

static pe_status check_memory(const pe_kernel_config *c, pe_error *err)
{
    const uint64_t least = 64 * MB, most = UINT64_C(64) << 30, step = 2 * MB;
    if (c->ram_bytes < least || c->ram_bytes > most || c->ram_bytes % step) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "ram_bytes: %" PRIu64 " bytes cannot be mapped by sections: a multiple of 2M from 64M to 64G "
                       "would be right",
                       c->ram_bytes);
    }
    /* arch/arm/mm/mmu.c, early_vmalloc */
    const uint64_t top = VMALLOC_END - (config_page_offset(c->vmsplit) + 40 * MB);
    if (c->vmalloc_bytes && (c->vmalloc_bytes < 16 * MB || c->vmalloc_bytes > top || c->vmalloc_bytes % step)) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "vmalloc_bytes: %" PRIu64 " bytes do not fit: a multiple of 2M from 16M to %" PRIu64
                       "M would be right",
                       c->vmalloc_bytes, top / MB & ~UINT64_C(1));
    }
    return PE_OK;
}

static pe_status check_cpus(const pe_kernel_config *c, pe_error *err)
{
    if (c->nr_cpus < 1 || c->nr_cpus > 32) {
        return pe_fail(err, PE_ERR_ARGUMENT, "nr_cpus: %" PRIu32 " windows' worth of CPUs: 1 to 32 would be right",
                       c->nr_cpus);
    }
    const uint32_t most = c->nr_cpus < PE_MAX_CPUS ? c->nr_cpus : PE_MAX_CPUS;
    if (c->cpus < 1 || c->cpus > most) {
        return pe_fail(err, PE_ERR_ARGUMENT, "cpus: %" PRIu32 " CPUs: 1 to %" PRIu32 " would be right", c->cpus, most);
    }
    return PE_OK;
}

static pe_status check_values(const pe_kernel_config *c, pe_error *err)
{
    pe_status status;
    if ((status = check_enum("tables", (uint32_t)c->tables, PE_TABLES_CLASSIC, err)) ||
        (status = check_enum("vmsplit", (uint32_t)c->vmsplit, PE_VMSPLIT_1G, err)) ||
        (status = check_enum("preemption", (uint32_t)c->preemption, PE_PREEMPT_RT, err)) ||
        (status = check_enum("high_get", (uint32_t)c->high_get, PE_HIGH_GET_DEBUG, err)) ||
        (status = check_enum("remedy", (uint32_t)c->remedy, PE_REMEDY_SKIP_HIGH_GET, err)) ||
        (status = check_enum("timing", (uint32_t)c->timing, PE_TIMING_CACHE, err)) || (status = check_memory(c, err)) ||
        (status = check_cpus(c, err))) {
        return status;
    }
    if (c->timing != PE_TIMING_OFF && !c->core) {
        return pe_fail(err, PE_ERR_ARGUMENT, "core: none given: timing needs the parameters of one");
    }
    return c->core ? pe_core_check(c->core, err) : PE_OK;
}

pe_status pe_kernel_config_check(const pe_kernel_config *config, pe_error *err)
{
    pe_status status = check_values(config, err);
    if (status) {
        return status;
    }
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        const pe_kernel_rule *rule = &RULES[i].rule;
        if (RULES[i].broken(config) && !(rule->forceable && config->flags & PE_KERNEL_FORCE)) {
            return pe_fail(err, PE_ERR_ARGUMENT, "%s: %s would be right%s", rule->rule, rule->remedy,
                           rule->forceable ? "; force builds it all the same" : "");
        }
    }
    return PE_OK;
}

pe_kernel_config config_in_force(const pe_kernel_config *config)
{
    pe_kernel_config c = *config;
    if (c.remedy == PE_REMEDY_NO_HIGHPTE && c.preemption == PE_PREEMPT_RT) {
        c.flags &= ~(uint32_t)PE_KERNEL_HIGHPTE;
    }
    if (c.high_get == PE_HIGH_GET_DEBUG) {
        c.flags |= PE_KERNEL_DEBUG_KMAP_LOCAL; /* lib/Kconfig.debug: DEBUG_HIGHMEM selects it */
    }
    if (!c.vmalloc_bytes) {
        c.vmalloc_bytes = 240 * MB;
    }
    return c;
}
