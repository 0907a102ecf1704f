/* SPDX-License-Identifier: GPL-2.0-or-later
 * How a kernel is configured. */
#ifndef PYEMU_ABI_KERNEL_CONFIG_H
#define PYEMU_ABI_KERNEL_CONFIG_H

#include "abi/machine.h"

/* The memory management of 32-bit ARM Linux on guest memory: names are the kernel's. */
typedef struct pe_kernel pe_kernel;

typedef enum pe_kernel_tables {
    PE_TABLES_LPAE = 0,
    PE_TABLES_CLASSIC = 1, /* short descriptors, a Linux and a hardware half in each PTE page */
} pe_kernel_tables;

typedef enum pe_vmsplit {
    PE_VMSPLIT_3G = 0,
    PE_VMSPLIT_3G_OPT = 1,
    PE_VMSPLIT_2G = 2,
    PE_VMSPLIT_1G = 3,
} pe_vmsplit;

typedef enum pe_preemption {
    PE_PREEMPT_NONE = 0,
    PE_PREEMPT_VOLUNTARY = 1,
    PE_PREEMPT_FULL = 2,
    PE_PREEMPT_RT = 3,
} pe_preemption;

/* ARCH_NEEDS_KMAP_HIGH_GET (arch/arm/include/asm/highmem.h) */
typedef enum pe_high_get {
    PE_HIGH_GET_ON = 0,
    PE_HIGH_GET_ERRATUM = 1, /* not defined: ARM_ERRATA_798181 */
    PE_HIGH_GET_DEBUG = 2,   /* answers NULL without a lock: DEBUG_HIGHMEM with a cache that does not alias */
} pe_high_get;

/* What is done about a sleeping lock below gup_fast. */
typedef enum pe_remedy {
    PE_REMEDY_NONE = 0,
    PE_REMEDY_NO_HIGHPTE = 1,    /* HIGHPTE depends on !PREEMPT_RT (fedadc413723) */
    PE_REMEDY_NO_FAST_GUP = 2,   /* no HAVE_GUP_FAST with both (the -rt patch queue) */
    PE_REMEDY_TRYLOCK = 3,       /* a lock that is not free ends gup_fast, and the slow path does the rest */
    PE_REMEDY_SKIP_HIGH_GET = 4, /* PIPT caches need no kmap_high_get */
} pe_remedy;

/* pe_kernel_config.flags */
#define PE_KERNEL_HIGHMEM          0x0001
#define PE_KERNEL_HIGHPTE          0x0002
#define PE_KERNEL_THP              0x0004 /* TRANSPARENT_HUGEPAGE */
#define PE_KERNEL_MEMCG            0x0008 /* struct page is 36 bytes, not 32 */
#define PE_KERNEL_ZONE_DMA         0x0010 /* lowmem is ZONE_DMA, ZONE_NORMAL is empty */
#define PE_KERNEL_SWIOTLB          0x0020 /* its buffer is taken when RAM reaches above 4 GB */
#define PE_KERNEL_DEBUG_KMAP_LOCAL 0x0040 /* guard slots: 33 windows a CPU, every second one used */
#define PE_KERNEL_TTBR0_PAN        0x0080 /* CPU_TTBR0_PAN: TTBR1 translates the kernel's half alone never */
#define PE_KERNEL_FORCE            0x1000 /* build what Kconfig forbids, where the model can */
#define PE_KERNEL_FUNCTIONAL       0x2000 /* nothing is billed */

/* What a boot takes from memory before the allocator gets it; bytes.  mem_map, hash tables and page tables follow from
 * the rest of the configuration. */
typedef struct pe_kernel_boot {
    uint64_t image_offset;  /* of _stext from PHYS_OFFSET */
    uint64_t image_bytes;   /* _stext to _end */
    uint64_t rodata_offset; /* of __start_rodata from PHYS_OFFSET: text ends, read-only data begins */
    uint64_t init_offset;   /* of __init_begin from PHYS_OFFSET: read-only data ends */
    uint64_t init_bytes;    /* given back after the boot */
    uint64_t fdt_bytes;
    uint64_t percpu_bytes;  /* of each CPU */
    uint64_t swiotlb_bytes; /* of the buffer, without its slots */
    uint64_t cma_bytes;     /* for DMA, lent to movable pages; counts as memory.  Where RAM reaches above 4 GB as many
                             * bytes of highmem are lost (mm/cma.c tries there first and never gives them back) */
} pe_kernel_boot;

#endif
