/* SPDX-License-Identifier: GPL-2.0-or-later
 * A model: rules, layout, life. */
#ifndef PYEMU_ABI_KERNEL_MODEL_H
#define PYEMU_ABI_KERNEL_MODEL_H

#include "abi/kernel/bill.h"

typedef struct pe_kernel_config {
    uint64_t ram_bytes; /* from PHYS_OFFSET on, which is PE_BOARD_RAM_BASE */
    pe_kernel_tables tables;
    pe_vmsplit vmsplit;
    pe_preemption preemption;
    pe_high_get high_get;
    pe_remedy remedy;
    uint32_t flags;         /* PE_KERNEL_* */
    uint32_t cpus;          /* that are online: 1 to PE_MAX_CPUS */
    uint32_t nr_cpus;       /* NR_CPUS: windows are laid out for so many */
    uint64_t vmalloc_bytes; /* `vmalloc=`; 0: 240 MB */
    pe_kernel_boot boot;
    pe_timing timing;             /* of the bill; without a core an instruction takes one cycle */
    const pe_core *core;          /* copied; may be NULL with PE_TIMING_OFF */
    const pe_kernel_costs *costs; /* copied; may be NULL with PE_KERNEL_FUNCTIONAL */
} pe_kernel_config;

/* What Kconfig or arithmetic says against a configuration. */
typedef struct pe_kernel_rule {
    const char *symbol; /* "HIGHPTE" */
    const char *rule;   /* "HIGHPTE depends on HIGHMEM && !PREEMPT_RT" */
    const char *remedy; /* what would be right, in words */
    bool forceable;     /* PE_KERNEL_FORCE builds it all the same */
} pe_kernel_rule;

/* The broken rules of a configuration, PE_KERNEL_FORCE ignored: up to max; returns how many there are. */
size_t pe_kernel_config_rules(const pe_kernel_config *config, pe_kernel_rule *out, size_t max);
/* PE_ERR_ARGUMENT with the first rule that stands against it, or with a value that is out of range. */
pe_status pe_kernel_config_check(const pe_kernel_config *config, pe_error *err);

/* Something that the boot took, or that has a fixed place; ends are the last byte. */
typedef struct pe_kernel_range {
    const char *name;
    uint64_t start; /* physical, or virtual in pe_kernel_layout_areas */
    uint64_t end;
} pe_kernel_range;

/* Addresses by configuration (FACTS of arch/arm/include/asm/memory.h, pgtable.h, highmem.h, fixmap.h). */
typedef struct pe_kernel_layout {
    uint64_t phys_offset;
    uint64_t ram_end;      /* first byte behind RAM */
    uint64_t lowmem_limit; /* first physical byte behind lowmem */
    uint32_t page_offset;
    uint32_t task_size;
    uint32_t task_unmapped_base;
    uint32_t modules_start, modules_end;
    uint32_t pkmap_base;  /* 0 without highmem */
    uint32_t high_memory; /* first virtual byte behind lowmem */
    uint32_t vmalloc_start, vmalloc_end;
    uint32_t fdt_base, fdt_bytes;
    uint32_t fixaddr_start, fixaddr_top;
    uint32_t vectors_base;
    uint32_t kmap_slots; /* KM_MAX_IDX */
    uint32_t struct_page_bytes;
    uint64_t fdt_pa;     /* of the device tree */
    uint64_t swapper_pa; /* swapper_pg_dir */
    uint64_t mem_map_pa;
    uint32_t mem_map_va;
    uint64_t mem_map_bytes;
} pe_kernel_layout;

/* Without a model: what the configuration makes of the address space and of lowmem. */
pe_status pe_kernel_layout_of(const pe_kernel_config *config, pe_kernel_layout *out, pe_error *err);
/* Virtual areas, ordered by start ("modules", "PKMAP", "lowmem", "vmalloc", ...); up to max, returns how many. */
size_t pe_kernel_layout_areas(const pe_kernel_layout *layout, pe_kernel_range *out, size_t max);

/* RAM of mem has to cover ram_bytes from PHYS_OFFSET on, in one segment, all zero.  mem is borrowed, and must live as
 * long as the model; machine may be NULL, otherwise mem is its memory and hosted programs run on its CPUs: the bill
 * then goes to its ledger, caches and TLBs. */
pe_kernel *pe_kernel_new(const pe_kernel_config *config, pe_mem *mem, pe_machine *machine, pe_error *err);
void pe_kernel_free(pe_kernel *kernel);
/* The configuration in force: remedies applied, defaults filled in.  Borrowed. */
const pe_kernel_config *pe_kernel_configuration(const pe_kernel *kernel);
const pe_kernel_layout *pe_kernel_layout_read(const pe_kernel *kernel);
/* The registers with which a CPU translates now: those of its task, or of init_mm alone. */
pe_status pe_kernel_cpu_regime(const pe_kernel *kernel, uint32_t cpu, pe_regime *out, pe_error *err);
uint32_t pe_kernel_pageblock_order(const pe_kernel *kernel);
/* What the boot took from memory, ordered by start; up to max, returns how many there are. */
size_t pe_kernel_reservations(const pe_kernel *kernel, pe_kernel_range *out, size_t max);

/* What the hardware is to see of a Linux PTE: the entry as it is stored (LPAE), or its copy at +2048 (classic). global:
 * an address of the kernel. */
uint64_t pe_kernel_hardware_pte(pe_kernel_tables tables, uint64_t pte, bool global);

#endif
