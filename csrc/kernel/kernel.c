/* SPDX-License-Identifier: GPL-2.0-or-later
 * Making a model of the kernel, and letting it go. */
#include "kernel/kernel.h"

#include "kernel/bill.h"
#include "kernel/config.h"
#include "kernel/hosted/hosted.h"

#include <stdio.h>
#include <stdlib.h>

static pe_status check_memory(const struct pe_kernel *k, pe_error *err)
{
    const pe_mem_segment *ram = pe_mem_find(k->mem, k->layout.phys_offset, k->config.ram_bytes);
    if (ram) {
        return PE_OK;
    }
    return pe_fail(err, PE_ERR_RANGE, "no segment of memory holds 0x%llx bytes from 0x%llx on",
                   (unsigned long long)k->config.ram_bytes, (unsigned long long)k->layout.phys_offset);
}

static void cpus_init(struct pe_kernel *k)
{
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        struct kernel_cpu *cpu = &k->cpus[i];
        cpu->id = i;
        cpu->current = &cpu->idle;
        cpu->idle.cpu = i;
        cpu->idle.running = true;
        snprintf(cpu->idle.name, sizeof cpu->idle.name, "swapper/%hhu", (uint8_t)i);
    }
    k->cpu = &k->cpus[0];
}

static pe_status init(struct pe_kernel *k, const pe_kernel_config *config, pe_error *err)
{
    pe_status status = pe_kernel_config_check(config, err);
    if (status) {
        return status;
    }
    k->config = config_in_force(config);
    if ((status = layout_init(&k->config, &k->layout, &k->reserved, err)) || (status = check_memory(k, err))) {
        return status;
    }
    k->ram = pe_mem_host(k->mem, k->layout.phys_offset, k->config.ram_bytes);
    k->bits = k->config.tables == PE_TABLES_LPAE ? &pgtable_lpae : &pgtable_classic;
    cpus_init(k);
    if ((status = heap_init(k, err)) || (status = zones_init(k, err)) || (status = swapper_init(k, err))) {
        return status;
    }
    for (uint32_t i = 0; i < k->config.cpus; i++) {
        regime_of(k, NULL, &k->cpus[i].regime);
    }
    if ((status = processes_init(k, err))) {
        return status;
    }
    k->stats = (pe_kernel_stats){0};
    return bill_init(k, err); /* the boot is not billed */
}

pe_kernel *pe_kernel_new(const pe_kernel_config *config, pe_mem *mem, pe_machine *machine, pe_error *err)
{
    struct pe_kernel *k = calloc(1, sizeof *k);
    if (!k) {
        pe_fail(err, PE_ERR_MEMORY, "the host has no memory left for a kernel model");
        return NULL;
    }
    k->mem = mem;
    k->machine = machine;
    if (init(k, config, err)) {
        pe_kernel_free(k);
        return NULL;
    }
    return k;
}

void pe_kernel_free(pe_kernel *k)
{
    if (k) {
        processes_release(k);
        heap_free(k, k->pgd_slabs.slab);
        hosted_release(k);
        zones_release(k);
        bill_release(k);
        trace_release(k);
        heap_release(k);
        free(k);
    }
}

const pe_kernel_config *pe_kernel_configuration(const pe_kernel *k)
{
    return &k->config;
}

const pe_kernel_layout *pe_kernel_layout_read(const pe_kernel *k)
{
    return &k->layout;
}

pe_status pe_kernel_cpu_regime(const pe_kernel *k, uint32_t cpu, pe_regime *out, pe_error *err)
{
    if (cpu >= k->config.cpus) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no CPU %u: there are %u", cpu, k->config.cpus);
    }
    *out = k->cpus[cpu].regime;
    return PE_OK;
}

uint32_t pe_kernel_pageblock_order(const pe_kernel *k)
{
    return k->frames.pageblock_order;
}

size_t pe_kernel_reservations(const pe_kernel *k, pe_kernel_range *out, size_t max)
{
    for (size_t i = 0; i < k->reserved.count && i < max; i++) {
        out[i] = k->reserved.range[i];
    }
    return k->reserved.count;
}

void pe_kernel_read_stats(const pe_kernel *k, pe_kernel_stats *out)
{
    *out = k->stats;
}
