/* SPDX-License-Identifier: GPL-2.0-or-later
 * Address translation operations and PAR, both formats, with results and faults (ARM DDI 0406C B4.2.4, B4.1.112).
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define VA 0x80000000u

enum stage { CPR, CPW, CUR, CUW };

static const char *const stage_names[4] = {"ATS1CPR", "ATS1CPW", "ATS1CUR", "ATS1CUW"};

static void translate(enum stage stage, uint32_t va)
{
    static void (*const run[4])(uint32_t) = {write_ats1cpr, write_ats1cpw, write_ats1cur, write_ats1cuw};
    run[stage](va);
    isb();
}

static uint64_t par_long(enum stage stage, uint32_t va)
{
    translate(stage, va);
    return read_par_64();
}

static uint32_t par_short(enum stage stage, uint32_t va)
{
    translate(stage, va);
    return read_par();
}

/* Each case has the status that the four operations must report; 0 is success. */
struct case_long {
    const char *name;
    unsigned level;
    uint64_t descriptor;
    uint8_t status[4];
};

#define FAR_PA 0x1234567000ull /* there need be no memory: nothing is accessed */

static const struct case_long long_cases[] = {
    {"level 3, both read-write", 3, FAR_PA | LPAE_RW | LPAE_PAGE, {0, 0, 0, 0}},
    {"level 3, both read-only", 3, FAR_PA | LPAE_RX | LPAE_PAGE, {0, 0xf, 0, 0xf}},
    {"level 3, privileged read-write", 3, FAR_PA | LPAE_NORMAL | LPAE_PAGE, {0, 0, 0xf, 0xf}},
    {"level 3, privileged read-only", 3, FAR_PA | LPAE_NORMAL | LPAE_AP2 | LPAE_PAGE, {0, 0xf, 0xf, 0xf}},
    {"level 3, XN does not matter", 3, FAR_PA | LPAE_RW | LPAE_XN | LPAE_PXN | LPAE_PAGE, {0, 0, 0, 0}},
    {"level 3, access flag clear", 3, (FAR_PA | LPAE_RW | LPAE_PAGE) & ~LPAE_AF, {0xb, 0xb, 0xb, 0xb}},
    {"level 3, missing", 3, 0, {7, 7, 7, 7}},
    {"level 3, reserved type", 3, FAR_PA | LPAE_RW | LPAE_BLOCK, {7, 7, 7, 7}},
    {"level 2, both read-write", 2, 0x1234400000ull | LPAE_RW | LPAE_BLOCK, {0, 0, 0, 0}},
    {"level 2, both read-only", 2, 0x1234400000ull | LPAE_RX | LPAE_BLOCK, {0, 0xe, 0, 0xe}},
    {"level 2, privileged read-write", 2, 0x1234400000ull | LPAE_NORMAL | LPAE_BLOCK, {0, 0, 0xe, 0xe}},
    {"level 2, access flag clear", 2, (0x1234400000ull | LPAE_RW | LPAE_BLOCK) & ~LPAE_AF, {0xa, 0xa, 0xa, 0xa}},
    {"level 2, missing", 2, 0, {6, 6, 6, 6}},
    {"level 1, both read-write", 1, 0x1240000000ull | LPAE_RW | LPAE_BLOCK, {0, 0, 0, 0}},
    {"level 1, privileged read-only", 1, 0x1240000000ull | LPAE_NORMAL | LPAE_AP2 | LPAE_BLOCK, {0, 0xd, 0xd, 0xd}},
    {"level 1, access flag clear", 1, (0x1240000000ull | LPAE_RW | LPAE_BLOCK) & ~LPAE_AF, {9, 9, 9, 9}},
    {"level 1, missing", 1, 0, {5, 5, 5, 5}},
};

static const uint32_t long_offset[4] = {0, 0x345678, 0x145678, 0x678};

/* LPAE 11, F 0; the rest of the status fields are checked by value. */
static bool par_long_is(uint64_t par, const struct case_long *c, enum stage stage)
{
    if (c->status[stage])
        return (par & 0xb7f) == (0x801u | (uint32_t)c->status[stage] << 1);
    uint64_t size = c->level == 1 ? 0x40000000ull : c->level == 2 ? 0x200000 : 0x1000;
    uint64_t pa = ((c->descriptor & 0xfffffff000ull) & ~(size - 1)) + (long_offset[c->level] & (size - 1));
    /* ATTR 63:56 is MAIR's ff, SH 8:7 inner */
    return (par & 0xfffffff000ull) == (pa & 0xfffffff000ull) && (par & 0x981) == 0x980 && par >> 56 == 0xff;
}

static void check_long(uint64_t *root)
{
    for (uint32_t i = 0; i < sizeof long_cases / sizeof long_cases[0]; i++) {
        const struct case_long *c = &long_cases[i];
        uint32_t base = c->level == 1 ? VA : c->level == 2 ? 0xc0000000 : 0xc1000000;
        *lpae_slot(root, base, c->level) = c->descriptor;
        tlb_flush_all();
        uint32_t bad = 0;
        for (enum stage stage = CPR; stage <= CUW; stage++) {
            uint64_t par = par_long(stage, base + long_offset[c->level]);
            if (!par_long_is(par, c, stage) && bad++ == 0)
                tap_note("  %s: par %llx", stage_names[stage], (unsigned long long)par);
        }
        tap_ok(bad == 0, "long, %s: four operations", c->name);
        *lpae_slot(root, base, c->level) = 0;
        tlb_flush_all();
    }
}

/* Memory type and shareability as PAR reports them. */
static void check_long_attributes(uint64_t *root)
{
    static const struct {
        const char *name;
        uint64_t bits;
        uint32_t attr, sh;
    } cases[] = {
        {"strongly ordered", LPAE_ATTR(0), 0x00, 0},
        {"device", LPAE_ATTR(4), 0x04, 0},
        {"normal, non-cacheable, outer shareable", LPAE_ATTR(1) | 2 << 8, 0x44, 2},
        {"normal, write-through, inner shareable", LPAE_ATTR(2) | LPAE_SH, 0xaa, 3},
        {"normal, write-back, not shareable", LPAE_ATTR(3), 0xee, 0},
        {"normal, write-back write-allocate, inner shareable", LPAE_ATTR(7) | LPAE_SH, 0xff, 3},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *lpae_slot(root, 0xc1000000, 3) = FAR_PA | LPAE_AF | cases[i].bits | LPAE_PAGE;
        tlb_flush_all();
        uint64_t par = par_long(CPR, 0xc1000000);
        tap_equal(par >> 56, cases[i].attr, "long, %s: PAR.ATTR", cases[i].name);
        if (cases[i].attr & 0xf0) /* shareability means nothing for device memory */
            tap_equal(par >> 7 & 3, cases[i].sh, "long, %s: PAR.SH", cases[i].name);
    }
}

static void check_long_hierarchy(uint64_t *root)
{
    uint64_t *l2 = lpae_slot(root, 0xc1000000, 2);
    *lpae_slot(root, 0xc1000000, 3) = FAR_PA | LPAE_RW | LPAE_PAGE;
    uint64_t table = *l2;
    *l2 = table | LPAE_APTABLE_NOU;
    tlb_flush_all();
    tap_ok(!(par_long(CPW, 0xc1000000) & 1) && (par_long(CUR, 0xc1000000) & 0x7f) == 0x1f,
           "long, APTable[0]: user faults");
    *l2 = table | LPAE_APTABLE_RO;
    tlb_flush_all();
    tap_ok((par_long(CPW, 0xc1000000) & 0x7f) == 0x1f && !(par_long(CUR, 0xc1000000) & 1),
           "long, APTable[1]: writes fault");
    *l2 = table;
    tlb_flush_all();
}

/* ---- short format ---- */

enum leaf { SECTION, SUPERSECTION, LARGE_PAGE, SMALL_PAGE };

struct case_short {
    const char *name;
    enum leaf leaf;
    uint32_t descriptor;
    uint32_t dacr; /* of domain 0 */
    uint8_t status[4];
};

#define SEC(ap)   (0xa5500000u | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(ap))
#define SUPER(ap) (0xa6000000u | SHORT_SUPERSECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(ap))
#define LARGE(ap) (0xa7780000u | SHORT_LARGE | SHORT_LARGE_NORMAL | SHORT_PAGE_AP(ap))
#define SMALL(ap) (0xa8888000u | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(ap))

static const struct case_short short_cases[] = {
    {"section, both read-write", SECTION, SEC(3), 1, {0, 0, 0, 0}},
    {"section, privileged read-write", SECTION, SEC(1), 1, {0, 0, 0xd, 0xd}},
    {"section, user read-only", SECTION, SEC(2), 1, {0, 0, 0, 0xd}},
    {"section, privileged read-only", SECTION, SEC(5), 1, {0, 0xd, 0xd, 0xd}},
    {"section, both read-only", SECTION, SEC(7), 1, {0, 0xd, 0, 0xd}},
    {"section, no access", SECTION, SEC(0), 1, {0xd, 0xd, 0xd, 0xd}},
    {"section, missing", SECTION, 0, 1, {5, 5, 5, 5}},
    {"section in a domain without access", SECTION, SEC(3) | SHORT_DOMAIN(6), 1, {9, 9, 9, 9}},
    {"section without rights in a manager domain", SECTION, SEC(0) | SHORT_DOMAIN(7), 1, {0, 0, 0, 0}},
    {"supersection, both read-write", SUPERSECTION, SUPER(3), 1, {0, 0, 0, 0}},
    {"supersection at 12_a6000000", SUPERSECTION, SUPER(3) | 2u << 20 | 1u << 5, 1, {0, 0, 0, 0}},
    {"supersection, privileged read-write", SUPERSECTION, SUPER(1), 1, {0, 0, 0xd, 0xd}},
    {"large page, both read-write", LARGE_PAGE, LARGE(3), 1, {0, 0, 0, 0}},
    {"large page, user read-only", LARGE_PAGE, LARGE(2), 1, {0, 0, 0, 0xf}},
    {"small page, both read-write", SMALL_PAGE, SMALL(3), 1, {0, 0, 0, 0}},
    {"small page, privileged read-write", SMALL_PAGE, SMALL(1), 1, {0, 0, 0xf, 0xf}},
    {"small page, both read-only", SMALL_PAGE, SMALL(7), 1, {0, 0xf, 0, 0xf}},
    {"small page, no access", SMALL_PAGE, SMALL(0), 1, {0xf, 0xf, 0xf, 0xf}},
    {"small page, XN does not matter", SMALL_PAGE, SMALL(3) | SHORT_SMALL_XN, 1, {0, 0, 0, 0}},
    {"small page, missing", SMALL_PAGE, 0, 1, {7, 7, 7, 7}},
};

#define SHORT_OFFSET 0x00045678u

static uint32_t expected_pa(const struct case_short *c)
{
    static const uint32_t size[] = {MB, 16 * MB, 64 * KB, PAGE};
    uint32_t mask = size[c->leaf] - 1;
    return ((c->descriptor & ~mask) | (SHORT_OFFSET & mask)) & 0xfffff000;
}

static bool par_short_is(uint32_t par, const struct case_short *c, enum stage stage)
{
    if (c->status[stage])
        return (par & 0x3f) == ((uint32_t)c->status[stage] << 1 | 1);
    if (c->leaf == SUPERSECTION) {
        uint32_t extended = (c->descriptor >> 20 & 0xf) | (c->descriptor >> 5 & 0xf) << 4;
        return (par & 3) == 2 && par >> 24 == c->descriptor >> 24 && (par >> 16 & 0xff) == extended;
    }
    /* bits 11:0: NOS 10, NS 9, SH 7, outer 3:2, inner 6:4 are checked elsewhere */
    return (par & 3) == 0 && (par & 0xfffff000) == expected_pa(c);
}

static void set_short(uint32_t *root, enum leaf leaf, uint32_t descriptor)
{
    uint32_t copies = leaf == SUPERSECTION || leaf == LARGE_PAGE ? 16 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        if (leaf == LARGE_PAGE || leaf == SMALL_PAGE)
            *short_l2(root, 0x90000000 + (SHORT_OFFSET & (leaf == LARGE_PAGE ? ~0xffffu : ~0xfffu)) + i * PAGE) =
                descriptor;
        else
            *short_l1(root, VA + i * MB) = descriptor;
    }
    tlb_flush_all();
}

static void check_short(uint32_t *root)
{
    write_dacr(SHORT_DOMAIN_CLIENT0 | 3u << 14); /* domain 6 no access, 7 manager */
    isb();
    for (uint32_t i = 0; i < sizeof short_cases / sizeof short_cases[0]; i++) {
        const struct case_short *c = &short_cases[i];
        bool page = c->leaf == LARGE_PAGE || c->leaf == SMALL_PAGE;
        set_short(root, c->leaf, c->descriptor);
        uint32_t bad = 0;
        for (enum stage stage = CPR; stage <= CUW; stage++) {
            uint32_t par = par_short(stage, (page ? 0x90000000 : VA) + SHORT_OFFSET);
            if (!par_short_is(par, c, stage) && bad++ == 0)
                tap_note("  %s: par %08x", stage_names[stage], (unsigned)par);
        }
        tap_ok(bad == 0, "short, %s: four operations", c->name);
        set_short(root, c->leaf, 0);
    }
}

/* The exception to the rule: an external abort on the walk of an AT operation is taken as a data abort. */
static void check_walk_abort(const char *name, uint32_t va, uint32_t status)
{
    uint32_t bad = 0, mask = status & 0x200 ? 0x23f : 0x60f;
    for (enum stage stage = CPR; stage <= CUW; stage++) {
        trap_begin();
        translate(stage, va);
        struct trap t = trap_end();
        bool ok = t.count == 1 && t.kind == TRAP_DABT && (t.dfsr & mask) == status && t.dfar == va;
        if (!ok && bad++ == 0)
            tap_note("  %s: %u x %s dfsr %03x dfar %08x", stage_names[stage], (unsigned)t.count, trap_name(t.kind),
                     (unsigned)t.dfsr, (unsigned)t.dfar);
    }
    tap_ok(bad == 0, "%s: a data abort, for four operations", name);
}

static void check_long_walk_aborts(uint64_t *root)
{
    root[2] = 0x3000000000ull | LPAE_TABLE;
    uint64_t *l2 = lpae_slot(root, 0xc2000000, 2);
    *l2 = 0x3000000000ull | LPAE_TABLE;
    tlb_flush_all();
    check_walk_abort("long, level 2 table outside memory", VA + 0x345678, 0x216);
    check_walk_abort("long, level 3 table outside memory", 0xc2045678, 0x217);
    root[2] = 0;
    *l2 = 0;
    tlb_flush_all();
}

static void check_short_walk_aborts(uint32_t *root)
{
    *short_l1(root, VA) = 0xf0000000u | SHORT_TABLE;
    tlb_flush_all();
    check_walk_abort("short, second-level table outside memory", VA + 0x45678, 0x0e);
    *short_l1(root, VA) = 0;
    tlb_flush_all();
}

/* An AT operation reports any other fault in PAR and nowhere else. */
static void check_no_side_effects(uint32_t va)
{
    trap_begin();
    write_dfsr(0x5a);
    write_dfar(0x12345678);
    for (enum stage stage = CPR; stage <= CUW; stage++)
        translate(stage, va);
    uint32_t dfsr = read_dfsr(), dfar = read_dfar();
    struct trap t = trap_end();
    tap_ok(t.count == 0 && dfsr == 0x5a && dfar == 0x12345678,
           "a fault in an AT operation takes no exception, leaves DFSR, DFAR");
}

/* The operations see the tables, not a stale TLB entry that was invalidated. */
static void check_after_change(uint64_t *root)
{
    uint64_t *entry = lpae_slot(root, 0xc1000000, 3);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 100; i++) {
        *entry = (FAR_PA + i * PAGE) | LPAE_RW | LPAE_PAGE;
        tlb_flush_page(0xc1000000);
        bad += (par_long(CPR, 0xc1000000) & 0xfffffff000ull) != FAR_PA + i * PAGE;
        *entry = 0;
        tlb_flush_page(0xc1000000);
        bad += (par_long(CPR, 0xc1000000) & 0x7f) != 0xf;
    }
    tap_equal(bad, 0, "100 changes of an entry, each seen after its TLBIMVAA");
}

static void check_mmu_off(void)
{
    mmu_disable();
    uint32_t par = par_short(CPR, 0x87654321);
    tap_equal(par & 0xfffff001, 0x87654000, "MMU off: flat");
    par = par_short(CUW, 0x12345678);
    tap_equal(par & 0xfffff001, 0x12345000, "MMU off: flat for user writes too");
}

int main(void)
{
    uint64_t *root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    check_long(root);
    check_long_attributes(root);
    check_long_hierarchy(root);
    check_long_walk_aborts(root);
    check_after_change(root);
    check_no_side_effects(0xf0000000);
    mmu_disable();
    mmu_forget_tables();
    uint32_t *short_root = short_new();
    short_map_identity(short_root);
    short_enable(short_root);
    check_short(short_root);
    check_short_walk_aborts(short_root);
    check_no_side_effects(0xf0000000);
    check_mmu_off();
    return tap_finish();
}
