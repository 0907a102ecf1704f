/* SPDX-License-Identifier: GPL-2.0-or-later
 * TLB maintenance: an entry that was used stays until it is invalidated, by every form of the operation and for every
 * size of mapping; entries that fault are never kept (ARM DDI 0406C B3.9, B3.10).
 *
 * The architecture lets a TLB forget an entry at any time.  The tests marked "stale" ask for more: this machine keeps
 * a mapping that nothing displaced.
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define PA_OLD 0x42000000u /* two regions of RAM that look different */
#define PA_NEW 0x44000000u

static uint64_t *long_root;
static uint32_t *short_root;

/* ---- mappings ---- */

enum format { LONG, SHORT };

struct leaf {
    const char *name;
    enum format format;
    uint32_t va, size;
    uint32_t block; /* size of one descriptor */
};

static const struct leaf leaves[] = {
    {"long 4 KB page", LONG, 0x80000000, PAGE, PAGE},    {"long 2 MB block", LONG, 0xc0000000, 2 * MB, 2 * MB},
    {"short small page", SHORT, 0x80000000, PAGE, PAGE}, {"short large page", SHORT, 0x80100000, 64 * KB, PAGE},
    {"short section", SHORT, 0x80200000, MB, MB},        {"short supersection", SHORT, 0x81000000, 16 * MB, MB},
};
#define N_LEAVES (sizeof leaves / sizeof leaves[0])

static void set_leaf(const struct leaf *leaf, uint32_t pa)
{
    for (uint32_t at = 0; at < leaf->size; at += leaf->block) {
        uint32_t va = leaf->va + at;
        if (leaf->format == LONG && leaf->size == PAGE)
            *lpae_slot(long_root, va, 3) = pa | LPAE_RW | LPAE_PAGE;
        else if (leaf->format == LONG)
            *lpae_slot(long_root, va, 2) = pa | LPAE_RW | LPAE_BLOCK;
        else if (leaf->size == PAGE)
            *short_l2(short_root, va) = pa | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW);
        else if (leaf->size == 64 * KB)
            *short_l2(short_root, va) = pa | SHORT_LARGE | SHORT_LARGE_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW);
        else if (leaf->size == MB)
            *short_l1(short_root, va) = pa | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(SHORT_AP_RW);
        else
            *short_l1(short_root, va) = pa | SHORT_SUPERSECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(SHORT_AP_RW);
    }
    dsb();
}

static void clear_leaf(const struct leaf *leaf)
{
    for (uint32_t at = 0; at < leaf->size; at += leaf->block) {
        uint32_t va = leaf->va + at;
        if (leaf->format == LONG)
            *lpae_slot(long_root, va, leaf->size == PAGE ? 3 : 2) = 0;
        else if (leaf->size < MB)
            *short_l2(short_root, va) = 0;
        else
            *short_l1(short_root, va) = 0;
    }
    dsb();
}

/* ---- operations ---- */

enum argument { NONE, VA, VA_ASID, ASID };

struct operation {
    const char *name;
    void (*run)(uint32_t argument);
    enum argument argument;
};

static const struct operation operations[] = {
    {"TLBIALL", write_tlbiall, NONE},
    {"TLBIMVA", write_tlbimva, VA},
    {"TLBIMVA of another ASID", write_tlbimva, VA_ASID},
    {"TLBIMVAA", write_tlbimvaa, VA},
    {"TLBIALLIS", write_tlbiallis, NONE},
    {"TLBIMVAIS", write_tlbimvais, VA},
    {"TLBIMVAAIS", write_tlbimvaais, VA},
    {"DTLBIALL", write_dtlbiall, NONE},
    {"DTLBIMVA", write_dtlbimva, VA},
};
#define N_OPERATIONS (sizeof operations / sizeof operations[0])

static void run_operation(const struct operation *op, uint32_t va)
{
    uint32_t argument = op->argument == NONE ? 0 : va & 0xfffff000;
    if (op->argument == VA_ASID)
        argument |= 0x55; /* the mappings are global: they match any ASID */
    dsb();
    op->run(argument);
    dsb();
    isb();
}

/* ---- reading a leaf in several places, so that a TLB that cuts it into pages must drop all of them ---- */

#define N_PLACES 4

static uint32_t place(const struct leaf *leaf, uint32_t i)
{
    static const uint32_t spread[N_PLACES] = {0x28000, 0x2d000, 0xfb000, 0xffbf000};
    return leaf->va + (spread[i] & (leaf->size - 1)) + 0x10 * i;
}

static uint32_t count_marked(const struct leaf *leaf, uint32_t pa)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < N_PLACES; i++) {
        uint32_t va = place(leaf, i);
        hits += *(volatile uint32_t *)va == pa + (va - leaf->va);
    }
    return hits;
}

static void mark(const struct leaf *leaf, uint32_t pa)
{
    for (uint32_t i = 0; i < N_PLACES; i++) {
        uint32_t at = pa + (place(leaf, i) - leaf->va);
        *(volatile uint32_t *)at = at;
    }
}

static void check_operation(const struct leaf *leaf, const struct operation *op)
{
    set_leaf(leaf, PA_OLD);
    tlb_flush_all();
    uint32_t before = count_marked(leaf, PA_OLD);
    set_leaf(leaf, PA_NEW);
    uint32_t stale = count_marked(leaf, PA_OLD);
    /* one address, none of those that were read */
    run_operation(op, leaf->va + (0x77000 & (leaf->size - 1)));
    uint32_t after = count_marked(leaf, PA_NEW);
    tap_equal(before * 100 + stale * 10 + after, N_PLACES * 111, "%s, %s: stale until it, new after it", leaf->name,
              op->name);
}

/* Break before make: the entry goes, the operation, the new entry comes. */
static void check_break_before_make(const struct leaf *leaf)
{
    const struct operation *op = &operations[5];
    set_leaf(leaf, PA_OLD);
    tlb_flush_all();
    uint32_t before = count_marked(leaf, PA_OLD);
    clear_leaf(leaf);
    uint32_t stale = count_marked(leaf, PA_OLD);
    run_operation(op, leaf->va);
    trap_begin();
    for (uint32_t i = 0; i < N_PLACES; i++)
        probe_read(place(leaf, i), 0);
    struct trap t = trap_end();
    tap_equal(before * 10 + stale, N_PLACES * 11, "%s: an unmapped page can be read as long as its entry is cached",
              leaf->name);
    tap_ok(t.count == N_PLACES && t.kind == TRAP_DABT, "%s: break, %s: every page of it faults", leaf->name, op->name);
    set_leaf(leaf, PA_NEW);
    tap_equal(count_marked(leaf, PA_NEW), N_PLACES, "%s: make: seen at once, for an entry that faults is not cached",
              leaf->name);
}

static void check_leaf(const struct leaf *leaf)
{
    mark(leaf, PA_OLD);
    mark(leaf, PA_NEW);
    for (uint32_t i = 0; i < N_OPERATIONS; i++)
        check_operation(leaf, &operations[i]);
    check_break_before_make(leaf);
    clear_leaf(leaf);
    tlb_flush_all();
}

/* ---- rights ---- */

static bool write_faults(uint32_t va)
{
    trap_begin();
    probe_write(va, 1);
    return trap_end().count == 1;
}

static void check_rights(void)
{
    const uint32_t va = 0x80003000;
    uint64_t *entry = lpae_slot(long_root, va, 3);
    *entry = PA_OLD | LPAE_RW | LPAE_PAGE;
    tlb_flush_all();
    bool before = write_faults(va);
    *entry |= LPAE_AP2;
    dsb();
    bool stale = write_faults(va);
    tlb_flush_page(va);
    bool after = write_faults(va);
    tap_ok(!before && !stale && after, "a page made read-only is writable until TLBIMVAA (stale), then faults");
    *entry &= ~LPAE_AP2;
    tlb_flush_page(va);
    tap_ok(!write_faults(va), "made writable again: TLBIMVAA, then the write works");
    *entry = (PA_OLD | LPAE_RW | LPAE_PAGE) & ~LPAE_AF;
    tlb_flush_page(va);
    before = write_faults(va);
    *entry |= LPAE_AF;
    dsb();
    tap_ok(before && !write_faults(va), "setting the access flag needs no TLB maintenance");
}

/* ---- instruction side ---- */

#define CODE_RETURNS(n) {0xe3a00000 | (n), 0xe12fff1e}

static void check_fetch(void)
{
    static const uint32_t code[2][2] = {CODE_RETURNS(1), CODE_RETURNS(2)};
    static const struct operation fetch_operations[] = {
        {"TLBIALL", write_tlbiall, NONE},   {"TLBIMVA", write_tlbimva, VA},   {"TLBIMVAA", write_tlbimvaa, VA},
        {"ITLBIALL", write_itlbiall, NONE}, {"ITLBIMVA", write_itlbimva, VA}, {"TLBIMVAAIS", write_tlbimvaais, VA},
    };
    const uint32_t va = 0x80008000;
    uint64_t *entry = lpae_slot(long_root, va, 3);
    for (uint32_t i = 0; i < 2; i++) {
        ((volatile uint32_t *)(PA_OLD + i * PAGE))[0] = code[i][0];
        ((volatile uint32_t *)(PA_OLD + i * PAGE))[1] = code[i][1];
    }
    for (uint32_t i = 0; i < sizeof fetch_operations / sizeof fetch_operations[0]; i++) {
        *entry = PA_OLD | LPAE_RX | LPAE_PAGE;
        tlb_flush_all();
        code_sync();
        uint32_t before = probe_fetch(va, 0);
        *entry = (PA_OLD + PAGE) | LPAE_RX | LPAE_PAGE;
        run_operation(&fetch_operations[i], va);
        code_sync();
        uint32_t after = probe_fetch(va, 0);
        tap_equal(before * 10 + after, 12, "%s: the code of the new page runs after it", fetch_operations[i].name);
    }
    *entry = 0;
    tlb_flush_all();
    code_sync();
    trap_begin();
    probe_fetch(va, 0);
    struct trap t = trap_end();
    tap_ok(t.kind == TRAP_PABT && t.ifar == va, "after unmapping and TLBIALL the fetch faults");
}

/* A block becomes a table of pages and back: sizes change under the same addresses. */
static void check_split(void)
{
    const uint32_t va = 0xc0400000;
    uint64_t *l2 = lpae_slot(long_root, va, 2);
    for (uint32_t i = 0; i < 512; i++) {
        *(volatile uint32_t *)(PA_OLD + i * PAGE) = i;
        *(volatile uint32_t *)(PA_NEW + i * PAGE) = 511 - i;
    }
    *l2 = PA_OLD | LPAE_RW | LPAE_BLOCK;
    tlb_flush_all();
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 512; i++)
        bad += *(volatile uint32_t *)(va + i * PAGE) != i;
    *l2 = 0;
    tlb_flush_page(va);
    for (uint32_t i = 0; i < 512; i++)
        *lpae_slot(long_root, va + i * PAGE, 3) = (PA_NEW + i * PAGE) | LPAE_RW | LPAE_PAGE;
    dsb();
    for (uint32_t i = 0; i < 512; i++)
        bad += *(volatile uint32_t *)(va + i * PAGE) != 511 - i;
    tap_equal(bad, 0, "a 2 MB block broken up into 512 pages after one TLBIMVAA");
    uint64_t table = *l2;
    *l2 = 0;
    dsb();
    for (uint32_t i = 0; i < 512; i++)
        write_tlbimvaa(va + i * PAGE);
    dsb();
    isb();
    *l2 = PA_OLD | LPAE_RW | LPAE_BLOCK;
    dsb();
    for (uint32_t i = 0; i < 512; i++)
        bad += *(volatile uint32_t *)(va + i * PAGE) != i;
    tap_ok(bad == 0 && table != 0, "512 pages put together to a block after one TLBIMVAA each");
}

int main(void)
{
    long_root = lpae_new();
    short_root = short_new();
    lpae_map_identity(long_root);
    short_map_identity(short_root);
    enum format format = LONG;
    lpae_enable(long_root);
    for (uint32_t i = 0; i < N_LEAVES; i++) {
        if (leaves[i].format != format) {
            check_rights();
            check_fetch();
            check_split();
            format = leaves[i].format;
            short_enable(short_root);
        }
        check_leaf(&leaves[i]);
    }
    return tap_finish();
}
