/* SPDX-License-Identifier: GPL-2.0-or-later
 * Address space and lowmem by configuration (arch/arm/mm/mmu.c, init.c; asm/memory.h, pgtable.h, highmem.h, fixmap.h).
 */
#include "kernel/layout.h"

#include "error.h"
#include "kernel/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MB          (UINT64_C(1) << 20)
#define PAGE        UINT64_C(4096)
#define TEXT_OFFSET 0x208000u /* of multi-platform kernels (arch/arm/Makefile) */

#define FIXADDR_START 0xffc80000u
#define FIXADDR_TOP   0xffeff000u
#define VECTORS_BASE  0xffff0000u
#define PKMAP_BYTES   0x200000u

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

/* ---- virtual addresses ---- */

static void set_addresses(const pe_kernel_config *c, pe_kernel_layout *l)
{
    const bool highmem = c->flags & PE_KERNEL_HIGHMEM;
    const bool lpae = c->tables == PE_TABLES_LPAE;
    l->phys_offset = PE_BOARD_RAM_BASE;
    l->page_offset = config_page_offset(c->vmsplit);
    /* adjust_lowmem_bounds */
    const uint64_t most = VMALLOC_END - c->vmalloc_bytes - VMALLOC_OFFSET - l->page_offset;
    const uint64_t lowmem = c->ram_bytes < most ? c->ram_bytes : most;
    l->lowmem_limit = l->phys_offset + lowmem;
    l->ram_end = highmem ? l->phys_offset + c->ram_bytes : l->lowmem_limit;
    l->high_memory = (uint32_t)(l->page_offset + lowmem);
    l->vmalloc_start = (l->high_memory + VMALLOC_OFFSET) & ~(VMALLOC_OFFSET - 1);
    l->vmalloc_end = VMALLOC_END;
    l->task_size = l->page_offset - 0x1000000u;
    l->task_unmapped_base = (uint32_t)round_up(l->task_size / 3, 16 * MB);
    l->modules_start = l->task_size;
    l->pkmap_base = highmem ? l->page_offset - PKMAP_BYTES : 0;
    l->modules_end = highmem ? l->pkmap_base : l->page_offset;
    l->fdt_base = VMALLOC_END;
    l->fdt_bytes = (uint32_t)((lpae ? 4 : 2) * MB);
    l->fixaddr_start = FIXADDR_START;
    l->fixaddr_top = FIXADDR_TOP;
    l->vectors_base = VECTORS_BASE;
    l->kmap_slots = c->flags & PE_KERNEL_DEBUG_KMAP_LOCAL ? 33 : 16;
    l->struct_page_bytes = c->flags & PE_KERNEL_MEMCG ? 36 : 32;
    l->swapper_pa = l->phys_offset + TEXT_OFFSET - (lpae ? 0x5000 : 0x4000);
}

size_t pe_kernel_layout_areas(const pe_kernel_layout *l, pe_kernel_range *out, size_t max)
{
    const pe_kernel_range areas[] = {
        {"user", 0x2000, l->task_size - 1},
        {"modules", l->modules_start, l->modules_end - 1},
        {"PKMAP", l->pkmap_base, l->pkmap_base + PKMAP_BYTES - 1},
        {"lowmem", l->page_offset, l->high_memory - 1},
        {"vmalloc", l->vmalloc_start, l->vmalloc_end - 1},
        {"FDT", l->fdt_base, l->fdt_base + l->fdt_bytes - 1},
        {"fixmap", l->fixaddr_start, l->fixaddr_top + PAGE - 1},
        {"vectors", l->vectors_base, l->vectors_base + 2 * PAGE - 1},
    };
    size_t found = 0;
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++) {
        if (areas[i].start) {
            if (found < max) {
                out[found] = areas[i];
            }
            found++;
        }
    }
    return found;
}

/* ---- what the boot takes ---- */

/* memblock gives from the top of lowmem down. */
struct boot {
    struct reservations *taken;
    uint64_t top;
    uint64_t floor; /* end of the kernel image */
};

static void take(struct boot *b, const char *name, uint64_t start, uint64_t bytes)
{
    b->taken->range[b->taken->count++] = (pe_kernel_range){name, start, start + bytes - 1};
}

static uint64_t take_top(struct boot *b, const char *name, uint64_t bytes, uint64_t align)
{
    if (!bytes) {
        return b->top;
    }
    /* What does not fit is found by the caller: top is then below floor. */
    b->top = bytes + align < b->top ? (b->top - bytes) / align * align : 0;
    take(b, name, b->top, bytes);
    return b->top;
}

/* alloc_large_system_hash: entries of 4 bytes for 2^scale bytes of lowmem that mem_map leaves. */
static uint64_t hash_bytes(const pe_kernel_layout *l, uint32_t scale)
{
    const uint64_t lowmem = l->lowmem_limit - l->phys_offset - l->mem_map_bytes;
    const uint64_t wanted = round_up(lowmem / PAGE, 256) >> (scale - 12);
    uint64_t entries = 1;
    while (entries < wanted) {
        entries *= 2;
    }
    return entries * 4;
}

/* dma_contiguous_reserve: at the end of what DMA reaches, in highmem if there is some.  Where RAM goes on above 4 GB
 * that first place is given up but never given back, and the area goes to the end of lowmem. */
static void take_cma(struct boot *b, const pe_kernel_config *c, const pe_kernel_layout *l)
{
    const uint64_t bytes = c->boot.cma_bytes, four_gb = UINT64_C(1) << 32;
    if (!bytes) {
        return;
    }
    uint64_t end = l->ram_end < four_gb ? l->ram_end : four_gb - 2 * MB;
    if (l->ram_end >= four_gb + bytes) {
        take(b, "CMA, given up", end - bytes, bytes);
        end = l->lowmem_limit;
    }
    if (end <= l->lowmem_limit) {
        b->top = end - bytes;
    }
    b->taken->cma_start = end - bytes;
    b->taken->cma_end = end;
}

/* Boot loaders put it 128 MB into RAM. */
static bool fdt_is_low(const pe_kernel_config *c)
{
    return c->ram_bytes < 256 * MB;
}

static void take_image(struct boot *b, const pe_kernel_config *c, pe_kernel_layout *l)
{
    const uint64_t start = l->phys_offset + c->boot.image_offset, end = start + c->boot.image_bytes;
    const uint64_t init = l->phys_offset + c->boot.init_offset;
    take(b, "swapper_pg_dir", l->swapper_pa, c->tables == PE_TABLES_LPAE ? 0x5000 : 0x4000);
    if (c->boot.init_bytes) {
        take(b, "kernel text", start, init - start);
        take(b, "kernel data", init + c->boot.init_bytes, end - init - c->boot.init_bytes);
        b->taken->init_start = init;
        b->taken->init_end = init + c->boot.init_bytes;
    } else {
        take(b, "kernel image", start, end - start);
    }
    b->floor = end;
    if (!fdt_is_low(c) && c->boot.fdt_bytes) {
        l->fdt_pa = l->phys_offset + 128 * MB;
        take(b, "device tree", l->fdt_pa, c->boot.fdt_bytes);
        b->floor = l->fdt_pa + c->boot.fdt_bytes;
    }
}

static void take_lowmem(struct boot *b, const pe_kernel_config *c, pe_kernel_layout *l)
{
    b->taken->early_tables = 13;
    if (b->taken->cma_end && b->taken->cma_end <= l->lowmem_limit) {
        b->taken->early_tables += (uint32_t)(c->boot.cma_bytes / (2 * MB)); /* dma_contiguous_remap: by the page */
    }
    b->taken->early_tables_pa = take_top(b, "early page tables", b->taken->early_tables * PAGE, PAGE);
    l->mem_map_bytes = (l->ram_end - l->phys_offset) / PAGE * l->struct_page_bytes;
    l->mem_map_pa = take_top(b, "mem_map", l->mem_map_bytes, PAGE);
    l->mem_map_va = (uint32_t)(l->mem_map_pa - l->phys_offset) + l->page_offset;
    if (fdt_is_low(c)) {
        l->fdt_pa = take_top(b, "device tree", c->boot.fdt_bytes, PAGE);
    }
    take_top(b, "per-CPU areas", c->boot.percpu_bytes * c->cpus, PAGE);
    take_top(b, "dentry hash", hash_bytes(l, 13), PAGE);
    take_top(b, "inode hash", hash_bytes(l, 14), PAGE);
    if (c->flags & PE_KERNEL_SWIOTLB && l->ram_end >= UINT64_C(1) << 32) {
        take_top(b, "swiotlb", c->boot.swiotlb_bytes, PAGE);
        take_top(b, "swiotlb slots", round_up(c->boot.swiotlb_bytes / 128, PAGE), PAGE); /* 16 bytes for 2 KB */
    }
}

static int by_start(const void *a, const void *b)
{
    const pe_kernel_range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static pe_status check_boot(const pe_kernel_config *c, const pe_kernel_layout *l, pe_error *err)
{
    const pe_kernel_boot *boot = &c->boot;
    const uint64_t lowmem = l->lowmem_limit - l->phys_offset;
    const uint64_t each[] = {boot->image_offset, boot->image_bytes,  boot->init_offset, boot->init_bytes,
                             boot->fdt_bytes,    boot->percpu_bytes, boot->cma_bytes};
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        if (each[i] >= lowmem) {
            return pe_fail(err, PE_ERR_ARGUMENT,
                           "boot: %" PRIu64 " bytes are more than lowmem, which has %" PRIu64 " MB", each[i],
                           lowmem / MB);
        }
    }
    const uint64_t image_end = boot->image_offset + boot->image_bytes;
    if (!boot->image_bytes || boot->image_offset % PAGE || boot->image_offset < TEXT_OFFSET) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "boot: a kernel image at 0x%" PRIx64 ": whole pages from 0x208000 on would be right",
                       boot->image_offset);
    }
    if (boot->init_bytes &&
        (boot->init_offset % PAGE || boot->init_bytes % PAGE || boot->init_offset <= boot->image_offset ||
         boot->rodata_offset < boot->image_offset || boot->rodata_offset > boot->init_offset ||
         boot->init_offset + boot->init_bytes >= image_end)) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "boot: init at 0x%" PRIx64 ": whole pages inside the image 0x%" PRIx64 "-0x%" PRIx64
                       " would be right",
                       boot->init_offset, boot->image_offset, image_end);
    }
    if (boot->cma_bytes % (8 * MB)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "boot: a CMA area of %" PRIu64 " bytes: a multiple of 8M would be right",
                       boot->cma_bytes);
    }
    return PE_OK;
}

pe_status layout_init(const pe_kernel_config *config, pe_kernel_layout *layout, struct reservations *taken,
                      pe_error *err)
{
    memset(layout, 0, sizeof *layout);
    memset(taken, 0, sizeof *taken);
    set_addresses(config, layout);
    pe_status status = check_boot(config, layout, err);
    if (status) {
        return status;
    }
    struct boot boot = {.taken = taken, .top = layout->lowmem_limit};
    take_cma(&boot, config, layout);
    take_image(&boot, config, layout);
    take_lowmem(&boot, config, layout);
    if (boot.top < boot.floor + 2 * MB) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "lowmem of %" PRIu64 " MB does not hold the kernel and %" PRIu64 " MB of mem_map: less RAM, "
                       "another vmsplit or a smaller vmalloc area would be right",
                       (layout->lowmem_limit - layout->phys_offset) / MB, layout->mem_map_bytes / MB);
    }
    qsort(taken->range, taken->count, sizeof taken->range[0], by_start);
    return PE_OK;
}

pe_status pe_kernel_layout_of(const pe_kernel_config *config, pe_kernel_layout *out, pe_error *err)
{
    pe_status status = pe_kernel_config_check(config, err);
    if (status) {
        return status;
    }
    const pe_kernel_config force = config_in_force(config);
    struct reservations taken;
    return layout_init(&force, out, &taken, err);
}
