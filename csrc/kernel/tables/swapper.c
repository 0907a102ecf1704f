/* SPDX-License-Identifier: GPL-2.0-or-later
 * init_mm's tables as the boot leaves them (arch/arm/mm/mmu.c, paging_init): swapper_pg_dir and all below it. */
#include "kernel/cost.h"
#include "kernel/tables/classic.h"
#include "kernel/tables/entry.h"
#include "kernel/tables/lpae.h"

/* ---- attributes, by what is mapped ---- */

enum kind {
    MAP_DATA,    /* read and write, never executed */
    MAP_TEXT,    /* read-only */
    MAP_RODATA,  /* read-only, never executed: also the device tree */
    MAP_VECTORS, /* readable for users: helpers */
    MAP_STUBS,
    MAP_DEVICE,
    MAP_KINDS,
};

#define LPAE_KERNEL (LPAE_MT_WRITEALLOC | LPAE_SHARED | LPAE_AF)

static const struct {
    uint64_t lpae_block, lpae_page;
    uint32_t section, small;
} ATTRIBUTES[MAP_KINDS] = {
    [MAP_DATA] = {LPAE_KERNEL | LPAE_XN, LPAE_KERNEL | LPAE_DIRTY | LPAE_XN, 0x1141e, 0x65f},
    [MAP_TEXT] = {LPAE_KERNEL | LPAE_AP2 | LPAE_RDONLY, 0, 0x1940e, 0},
    [MAP_RODATA] = {LPAE_KERNEL | LPAE_AP2 | LPAE_RDONLY | LPAE_XN, 0, 0x1941e, 0},
    [MAP_VECTORS] = {0, LPAE_KERNEL | LPAE_DIRTY | LPAE_RDONLY | LPAE_USER, 0, 0x5df},
    [MAP_STUBS] = {0, LPAE_KERNEL | LPAE_DIRTY | LPAE_RDONLY, 0, 0x4df},
    [MAP_DEVICE] = {0, LPAE_MT_DEVICE | LPAE_SHARED | LPAE_AF | LPAE_DIRTY | LPAE_XN, 0, 0x653},
};

static bool is_lpae(const struct pe_kernel *k)
{
    return k->config.tables == PE_TABLES_LPAE;
}

/* ---- sections ---- */

static void map_sections(struct pe_kernel *k, uint32_t va, uint64_t pa, uint64_t bytes, enum kind kind)
{
    const uint32_t step = is_lpae(k) ? PMD_SIZE : PMD_SIZE / 2;
    for (uint64_t at = 0; at < bytes; at += step) {
        const uint32_t address = va + (uint32_t)at;
        if (is_lpae(k)) {
            struct pmd pmd;
            pmd_offset(k, NULL, address, &pmd);
            store64(k, pmd.host, (pa + at) | ATTRIBUTES[kind].lpae_block | LPAE_VALID);
        } else {
            uint8_t *entry = phys_host(k, k->layout.swapper_pa + (address >> 20) * 4, 4);
            store32(k, entry, (uint32_t)(pa + at) | ATTRIBUTES[kind].section);
        }
    }
}

/* map_lowmem and, after the boot, set_kernel_text_ro and free_initmem: four stretches, cut at sections. */
static void map_lowmem(struct pe_kernel *k)
{
    const pe_kernel_boot *boot = &k->config.boot;
    const uint64_t section = is_lpae(k) ? PMD_SIZE : PMD_SIZE / 2;
    const uint64_t init = boot->init_bytes ? boot->init_offset : boot->image_offset;
    const uint64_t cma_is_low = k->reserved.cma_end && k->reserved.cma_end <= k->layout.lowmem_limit;
    const uint64_t end = cma_is_low ? k->reserved.cma_start : k->layout.lowmem_limit;
    const struct {
        uint64_t offset;
        enum kind kind;
    } part[] = {
        {0, MAP_DATA},
        {boot->image_offset, MAP_TEXT},
        {boot->init_bytes ? boot->rodata_offset : boot->image_offset, MAP_RODATA},
        {init, MAP_DATA},
        {end - k->layout.phys_offset, MAP_DATA},
    };
    for (uint32_t i = 0; i + 1 < sizeof part / sizeof part[0]; i++) {
        const uint64_t from = part[i].offset / section * section, to = part[i + 1].offset / section * section;
        map_sections(k, k->layout.page_offset + (uint32_t)from, k->layout.phys_offset + from, to - from, part[i].kind);
    }
}

/* ---- pages ---- */

static void install_table(struct pe_kernel *k, uint32_t va, uint64_t table_pa, uint32_t classic_bits)
{
    struct pmd pmd;
    pmd_offset(k, NULL, va, &pmd);
    if (is_lpae(k)) {
        store64(k, pmd.host, table_pa | LPAE_PRESENT);
    } else {
        classic_pmd_store(k, pmd.host, table_pa, classic_bits);
    }
}

static void map_page(struct pe_kernel *k, uint8_t *table, uint32_t va, uint64_t pa, enum kind kind)
{
    const pteval_t prot = is_lpae(k) ? ATTRIBUTES[kind].lpae_page | LPAE_PRESENT : ATTRIBUTES[kind].small;
    pte_store(k, table, pte_index(va), mk_pte(k, pa >> PAGE_SHIFT, prot), true);
}

/* memblock gives the early tables from the top of lowmem down. */
static uint64_t early_page(struct pe_kernel *k, uint32_t from_top)
{
    const uint64_t pa = k->reserved.early_tables_pa + (k->reserved.early_tables - 1 - from_top) * PAGE_SIZE;
    struct page *page = pfn_to_page(&k->frames, pa >> PAGE_SHIFT);
    page->flags |= PE_PG_BACKED;
    return pa;
}

enum early {
    EARLY_STUBS = 0,
    EARLY_VECTORS = 1,
    EARLY_FIXMAP_HIGH = 2,
    EARLY_PKMAP = 4,
    EARLY_FIXMAP_LOW = 5,
    EARLY_CMA = 12, /* and on */
};

static void map_vectors_and_fixmap(struct pe_kernel *k)
{
    struct swapper *s = &k->swapper;
    s->vectors_pa = early_page(k, EARLY_VECTORS);
    s->fixmap_pa[0] = early_page(k, EARLY_FIXMAP_LOW);
    s->fixmap_pa[1] = early_page(k, EARLY_FIXMAP_HIGH);
    install_table(k, 0xffc00000u, s->fixmap_pa[0], CLASSIC_TABLE_KERNEL);
    install_table(k, 0xffe00000u, s->fixmap_pa[1], CLASSIC_TABLE_VECTORS);
    uint8_t *table = phys_host(k, s->fixmap_pa[1], PAGE_SIZE);
    map_page(k, table, k->layout.vectors_base, s->vectors_pa, MAP_VECTORS);
    map_page(k, table, k->layout.vectors_base + PAGE_SIZE, early_page(k, EARLY_STUBS), MAP_STUBS);
    if (k->layout.pkmap_base) {
        s->pkmap_pa = early_page(k, EARLY_PKMAP);
        install_table(k, k->layout.pkmap_base, s->pkmap_pa, CLASSIC_TABLE_KERNEL);
    }
}

/* dma_contiguous_remap: an area that devices share is mapped by the page, so that attributes can change. */
static void map_low_cma(struct pe_kernel *k)
{
    const struct reservations *r = &k->reserved;
    if (!r->cma_end || r->cma_end > k->layout.lowmem_limit) {
        return;
    }
    uint32_t tables = 0;
    for (uint64_t pa = r->cma_start; pa < r->cma_end; pa += PMD_SIZE, tables++) {
        const uint64_t table = early_page(k, EARLY_CMA + tables);
        install_table(k, phys_to_virt(k, pa), table, CLASSIC_TABLE_KERNEL);
        for (uint32_t i = 0; i < PTRS_PER_PTE; i++) {
            const uint64_t at = pa + (uint64_t)i * PAGE_SIZE;
            map_page(k, phys_host(k, table, PAGE_SIZE), phys_to_virt(k, at), at, MAP_DATA);
        }
    }
}

/* ioremap of the board's devices, and the stacks of idle tasks: each area is followed by a page that stays empty. */
static bool map_vmalloc(struct pe_kernel *k)
{
    const struct {
        uint64_t pa;
        uint32_t pages;
    } device[] = {
        {PE_BOARD_GICD_BASE, PE_BOARD_GIC_SIZE / PAGE_SIZE},
        {PE_BOARD_GICC_BASE, PE_BOARD_GIC_SIZE / PAGE_SIZE},
        {PE_BOARD_UART_BASE, 1},
        {PE_BOARD_RTC_BASE, 1},
        {PE_BOARD_GPIO_BASE, 1},
    };
    struct page *page = alloc_pages(k, PE_GFP_ZERO, 0);
    if (!page) {
        return false;
    }
    page->flags |= PE_PG_SLAB | PE_PG_BACKED;
    uint32_t va = k->layout.vmalloc_start;
    install_table(k, va, page_to_phys(&k->frames, page), CLASSIC_TABLE_KERNEL);
    for (uint32_t i = 0; i < sizeof device / sizeof device[0]; i++) {
        for (uint32_t j = 0; j < device[i].pages; j++, va += PAGE_SIZE) {
            map_page(k, page_host(k, page), va, device[i].pa + (uint64_t)j * PAGE_SIZE, MAP_DEVICE);
        }
        va += PAGE_SIZE;
    }
    for (uint32_t cpu = 0; cpu < k->config.cpus; cpu++) {
        struct page *stack = alloc_pages(k, 0, 1); /* THREAD_SIZE: 8 KB */
        if (!stack) {
            return false;
        }
        page_zone(k->zones, &k->frames, stack)->kernel_stack += 2;
        stack->flags |= PE_PG_SLAB;
        for (uint32_t j = 0; j < 2; j++, va += PAGE_SIZE) {
            map_page(k, page_host(k, page), va, page_to_phys(&k->frames, stack + j), MAP_DATA);
        }
        va += PAGE_SIZE;
    }
    return true;
}

static void make_first_level(struct pe_kernel *k)
{
    const uint64_t pgd = k->layout.swapper_pa;
    for (uint32_t slot = 0; is_lpae(k) && slot < 4; slot++) {
        store64(k, phys_host(k, pgd + slot * 8, 8), (pgd + (slot + 1) * PAGE_SIZE) | LPAE_PRESENT | LPAE_PGD_SWAPPER);
    }
}

pe_status swapper_init(struct pe_kernel *k, pe_error *err)
{
    make_first_level(k);
    map_lowmem(k);
    map_low_cma(k);
    map_vectors_and_fixmap(k);
    if (k->layout.fdt_pa) {
        const uint64_t from = k->layout.fdt_pa & ~(uint64_t)(PMD_SIZE - 1);
        map_sections(k, k->layout.fdt_base, from, k->layout.fdt_bytes, MAP_RODATA);
    }
    if (!map_vmalloc(k)) {
        return pe_fail(err, PE_ERR_MEMORY, "no page of lowmem is left for tables of the vmalloc area");
    }
    return PE_OK;
}

/* ---- entries of windows ---- */

/* These tables are never replaced, so that the way to them needs no walk on the host; the bill has it. */
static uint64_t fixed_table(const struct pe_kernel *k, uint32_t va)
{
    if (va >= 0xffc00000u) {
        return k->swapper.fixmap_pa[va >= 0xffe00000u];
    }
    return k->layout.pkmap_base && va - k->layout.pkmap_base < PMD_SIZE ? k->swapper.pkmap_pa : 0;
}

void kernel_pte(struct pe_kernel *k, uint32_t va, struct pte_table *table, uint32_t *index)
{
    struct pmd pmd = {0};
    uint64_t pa = fixed_table(k, va);
    if (cost_billed(k) || !pa) { /* virt_to_kpte */
        pmd_offset(k, NULL, va, &pmd);
    }
    if (!pa && pmd.host && pmd_table(k, pmd_read(k, &pmd))) {
        pa = page_to_phys(&k->frames, pmd_page(k, load64(pmd.host)));
    } else if (pmd.host) {
        pmd_read(k, &pmd);
    }
    *index = pte_index(va);
    *table = (struct pte_table){0};
    if (pa) {
        table->pa = pa;
        table->va = phys_to_virt(k, pa);
        table->host = phys_host(k, pa, PAGE_SIZE);
        table->page = pfn_to_page(&k->frames, pa >> PAGE_SHIFT);
    }
}

void set_kernel_pte(struct pe_kernel *k, uint32_t va, pteval_t pte)
{
    struct pte_table table;
    uint32_t index;
    kernel_pte(k, va, &table, &index);
    if (table.host) {
        set_pte_at(k, va, &table, index, pte);
    }
}

pteval_t get_kernel_pte(struct pe_kernel *k, uint32_t va)
{
    struct pte_table table;
    uint32_t index;
    kernel_pte(k, va, &table, &index);
    return table.host ? pte_load(k, table.host, index) : 0;
}
