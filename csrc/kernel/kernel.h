/* SPDX-License-Identifier: GPL-2.0-or-later
 * The model of Linux' memory management: all of its state.
 *
 * What hardware or ARM code could see lies in guest RAM: tables, windows, page contents.  What only the kernel's own C
 * code would see (struct page, zones, VMAs, locks) is native; its size in lowmem is accounted for. */
#ifndef PYEMU_KERNEL_H
#define PYEMU_KERNEL_H

#include "error.h"
#include "kernel/context/locks.h"
#include "kernel/gup/gup.h"
#include "kernel/kmap/kmap.h"
#include "kernel/layout.h"
#include "kernel/memory/heap.h"
#include "kernel/memory/zone.h"
#include "kernel/process/mm.h"
#include "kernel/tables/pgtable.h"
#include "mem/mem.h"

struct bill {
    pe_ledger *ledger; /* NULL: nothing is billed */
    pe_caches *caches; /* NULL: every access hits L1 */
    pe_tlb *tlb[PE_MAX_CPUS];
    bool owned; /* not the machine's */
    pe_core core;
    uint32_t cycles_per_insn; /* in 256ths */
    struct {
        uint64_t insns_x16, cycles_x4096; /* fractions that wait to become whole */
    } part[PE_MAX_CPUS];
};

struct reports {
    pe_kernel_report kept[PE_REPORTS_KEPT];
    uint32_t count;
    uint64_t total[PE_REPORT_KINDS];
    uint64_t blocked[PE_REPORT_KINDS];
};

struct swapper {
    uint64_t fixmap_pa[2]; /* PTE pages of ffc00000 and ffe00000 */
    uint64_t pkmap_pa;
    uint64_t vectors_pa;
};

/* kmalloc-64: first levels of LPAE address spaces. */
struct pgd_slab {
    uint32_t page;
    uint64_t used; /* a bit for each object */
};

struct pgd_slabs {
    struct pgd_slab *slab;
    uint32_t count, capacity;
};

struct tasks {
    struct task **slot; /* by pid - 1; NULL where there is none */
    uint32_t count, capacity;
    uint32_t lowest; /* no slot below it is free */
    struct mm *mms;
    uint32_t next_mm;
    uint32_t zero_page;   /* index of empty_zero_page */
    uint32_t boot_tables; /* frames in use as tables that are init_mm's */
    uint32_t slab;        /* pages of kernel objects, a list, or NO_PAGE */
    uint64_t slab_bytes;
    uint32_t slab_pages;
    pe_thp thp;
};

struct asids {
    uint64_t generation;
    uint64_t map[4]; /* 256 bits */
    uint32_t next;
};

struct hosted;

struct table_batch {
    uint32_t head; /* frames that wait for a grace period, a list, or NO_PAGE */
    uint32_t count;
};

struct pe_kernel {
    pe_kernel_config config;
    pe_kernel_costs costs;
    pe_kernel_layout layout;
    struct reservations reserved;
    pe_mem *mem;         /* borrowed */
    pe_machine *machine; /* borrowed, or NULL */
    uint8_t *ram;        /* host address of PHYS_OFFSET */

    struct kernel_cpu cpus[PE_MAX_CPUS];
    struct kernel_cpu *cpu; /* the one that runs */

    struct frames frames;
    struct zone zones[PE_ZONES];
    const struct pgtable_bits *bits;
    struct swapper swapper;
    struct pgd_slabs pgd_slabs;
    struct pkmap pkmap;
    struct tasks tasks;
    struct asids asids;
    struct table_batch batch;
    struct lock_state locks[PE_LOCKS];
    struct gup_race race;

    struct heap heap;
    struct hosted *hosted; /* NULL: no program was started */
    struct trace *trace;   /* NULL: nobody looks */

    struct bill bill;
    struct reports reports;
    pe_kernel_stats stats;
};

/* Host address of a frame's first byte. */
static inline uint8_t *page_host(const struct pe_kernel *k, const struct page *page)
{
    return k->ram + ((uint64_t)page_index(&k->frames, page) << PAGE_SHIFT);
}

/* NULL where [pa, pa + len) is not RAM: descriptors in guest RAM can hold anything. */
static inline uint8_t *phys_host(const struct pe_kernel *k, uint64_t pa, uint64_t len)
{
    const uint64_t offset = pa - k->layout.phys_offset;
    const uint64_t size = k->layout.ram_end - k->layout.phys_offset;
    return offset < size && len <= size - offset ? k->ram + offset : NULL;
}

/* __va and __pa of lowmem. */
static inline uint32_t phys_to_virt(const struct pe_kernel *k, uint64_t pa)
{
    return (uint32_t)(pa - k->layout.phys_offset) + k->layout.page_offset;
}

static inline uint64_t virt_to_phys(const struct pe_kernel *k, uint32_t va)
{
    return va - k->layout.page_offset + k->layout.phys_offset;
}

static inline bool is_rt(const struct pe_kernel *k)
{
    return k->config.preemption == PE_PREEMPT_RT;
}

static inline bool is_traced(const struct pe_kernel *k)
{
    return __builtin_expect(k->trace != NULL, 0);
}

/* Whether stores to guest memory are to be told before they are made. */
static inline bool is_observed(const struct pe_kernel *k)
{
    return __builtin_expect(k->trace != NULL || k->machine != NULL, 0);
}
void observe_entry(struct pe_kernel *k, const uint8_t *host, uint32_t size, uint64_t value);
void observe_page(struct pe_kernel *k, const uint8_t *host, uint32_t bytes);

static inline struct task *current_task(const struct pe_kernel *k)
{
    return k->cpu->current;
}

#endif
