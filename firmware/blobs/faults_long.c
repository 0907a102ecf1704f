/* SPDX-License-Identifier: GPL-2.0-or-later
 * The long-descriptor half of the fault matrix.
 */
#include "cp15.h"
#include "faults.h"
#include "mmu.h"
#include "tap.h"

#define LPAE_FSR       0x200u
#define TRANSLATION(l) (LPAE_FSR | 0x04u | (uint32_t)(l))
#define ACCESS_FLAG(l) (LPAE_FSR | 0x08u | (uint32_t)(l))
#define PERMISSION(l)  (LPAE_FSR | 0x0cu | (uint32_t)(l))
#define EXTERNAL       (LPAE_FSR | 0x10u)
#define ON_WALK(l)     (LPAE_FSR | 0x14u | (uint32_t)(l))
#define DEBUG_EVENT    (LPAE_FSR | 0x22u)

static uint64_t *root;

/* Where each level maps the probe page; the block of the level starts below it. */
static uint32_t va_of(unsigned level)
{
    uint32_t pa = (uint32_t)probe_page;
    if (level == 1)
        return 0x80000000 + (pa - RAM);
    return level == 2 ? 0xc0000000 + (pa & (2 * MB - 1)) : 0xc1000000;
}

static uint64_t output_of(unsigned level)
{
    uint32_t pa = (uint32_t)probe_page;
    if (level == 1)
        return RAM | LPAE_BLOCK;
    return level == 2 ? (pa & ~(2 * MB - 1)) | LPAE_BLOCK : pa | LPAE_PAGE;
}

static void set(unsigned level, uint64_t descriptor)
{
    *lpae_slot(root, va_of(level), level) = descriptor;
    tlb_flush_all();
}

static const char *label(char *text, const char *format, unsigned level, uint64_t attributes)
{
    static const char hex[] = "0123456789abcdef";
    char *p = text;
    for (; *format; format++) {
        if (*format == '@')
            *p++ = hex[level];
        else
            *p++ = *format;
    }
    if (attributes & LPAE_AP1)
        for (const char *s = " AP1"; *s; s++)
            *p++ = *s;
    if (attributes & LPAE_AP2)
        for (const char *s = " AP2"; *s; s++)
            *p++ = *s;
    if (attributes & LPAE_XN)
        for (const char *s = " XN"; *s; s++)
            *p++ = *s;
    if (attributes & LPAE_PXN)
        for (const char *s = " PXN"; *s; s++)
            *p++ = *s;
    *p = 0;
    return text;
}

/* The rights of AP[2:1], XN, PXN and of SCTLR.WXN and UWXN: B3.7.1, B3.7.2. */
static void check_rights(const char *name, unsigned level, uint64_t attributes, uint32_t sctlr)
{
    bool user = attributes & LPAE_AP1, write = !(attributes & LPAE_AP2);
    bool xn = (attributes & LPAE_XN) || ((sctlr & SCTLR_WXN) && write);
    bool pxn = (attributes & LPAE_PXN) || ((sctlr & SCTLR_UWXN) && user && write);
    /* for user code WXN counts what user mode can write */
    bool user_xn = (attributes & LPAE_XN) || ((sctlr & SCTLR_WXN) && write && user);
    uint32_t deny = PERMISSION(level);
    const uint32_t fsr[6] = {0,
                             write ? 0 : deny,
                             xn || pxn ? deny : 0,
                             user ? 0 : deny,
                             user && write ? 0 : deny,
                             user && !user_xn ? 0 : deny};
    char text[96];
    check_accesses(label(text, name, level, attributes), va_of(level), fsr);
}

static const uint64_t attribute_bits[4] = {LPAE_AP1, LPAE_AP2, LPAE_XN, LPAE_PXN};

static uint64_t attributes_of(uint32_t bits)
{
    uint64_t attributes = 0;
    for (uint32_t i = 0; i < 4; i++)
        attributes |= bits >> i & 1 ? attribute_bits[i] : 0;
    return attributes;
}

static void check_permissions(void)
{
    for (unsigned level = 1; level <= 3; level++) {
        for (uint32_t bits = 0; bits < 16; bits++) {
            uint64_t attributes = attributes_of(bits);
            set(level, output_of(level) | LPAE_NORMAL | attributes);
            check_rights("long L@ rights:", level, attributes, 0);
        }
    }
}

static void check_write_implies_xn(void)
{
    static const struct {
        const char *name;
        uint32_t sctlr;
    } modes[] = {{"long L@ rights with WXN:", SCTLR_WXN}, {"long L@ rights with UWXN:", SCTLR_UWXN}};
    for (uint32_t m = 0; m < 2; m++) {
        for (unsigned level = 2; level <= 3; level++) {
            for (uint32_t bits = 0; bits < 16; bits++) {
                uint64_t attributes = attributes_of(bits);
                set(level, output_of(level) | LPAE_NORMAL | attributes);
                write_sctlr(read_sctlr() | modes[m].sctlr);
                isb();
                tlb_flush_all();
                check_rights(modes[m].name, level, attributes, modes[m].sctlr);
                write_sctlr(read_sctlr() & ~modes[m].sctlr);
                isb();
                tlb_flush_all();
            }
        }
    }
}

/* Attributes of a table entry limit all that lies below it: B3.6.1. */
static void check_hierarchy(void)
{
    static const struct {
        const char *name;
        uint64_t table; /* bits of the table entry */
        uint64_t as;    /* what it does to a leaf with AP1 */
    } cases[] = {
        {"APTable[0] at level @ hides from user:", LPAE_APTABLE_NOU, 0},
        {"APTable[1] at level @ makes read-only:", LPAE_APTABLE_RO, LPAE_AP1 | LPAE_AP2},
        {"APTable 11 at level @:", LPAE_APTABLE_NOU | LPAE_APTABLE_RO, LPAE_AP2},
        {"XNTable at level @:", LPAE_XNTABLE, LPAE_AP1 | LPAE_XN},
        {"PXNTable at level @:", LPAE_PXNTABLE, LPAE_AP1 | LPAE_PXN},
        {"all of them at level @:", LPAE_APTABLE_NOU | LPAE_APTABLE_RO | LPAE_XNTABLE | LPAE_PXNTABLE,
         LPAE_AP2 | LPAE_XN | LPAE_PXN},
    };
    set(3, output_of(3) | LPAE_NORMAL | LPAE_AP1);
    for (unsigned level = 1; level <= 2; level++) {
        uint64_t *entry = lpae_slot(root, va_of(3), level);
        uint64_t old = *entry;
        for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            *entry = old | cases[i].table;
            tlb_flush_all();
            bool user = cases[i].as & LPAE_AP1, write = !(cases[i].as & LPAE_AP2);
            bool xn = cases[i].as & LPAE_XN, pxn = cases[i].as & LPAE_PXN;
            uint32_t deny = PERMISSION(3);
            const uint32_t fsr[6] = {0,
                                     write ? 0 : deny,
                                     xn || pxn ? deny : 0,
                                     user ? 0 : deny,
                                     user && write ? 0 : deny,
                                     user && !xn ? 0 : deny};
            char text[96];
            check_accesses(label(text, cases[i].name, level, 0), va_of(3), fsr);
            *entry = old;
            tlb_flush_all();
        }
    }
}

static void check_missing(void)
{
    char text[96];
    for (unsigned level = 1; level <= 3; level++) {
        set(level, 0);
        check_all_fault(label(text, "long L@ zero: translation fault", level, 0), va_of(level), TRANSLATION(level));
        set(level, (output_of(level) | LPAE_RW) & ~1ull);
        check_all_fault(label(text, "long L@ bit 0 clear: translation fault", level, 0), va_of(level),
                        TRANSLATION(level));
        set(level, (output_of(level) | LPAE_RW) & ~LPAE_AF);
        check_all_fault(label(text, "long L@ AF clear: access flag fault", level, 0), va_of(level), ACCESS_FLAG(level));
        set(level, (output_of(level) | LPAE_NORMAL | LPAE_AP2 | LPAE_XN) & ~LPAE_AF);
        check_all_fault(label(text, "long L@ AF clear and no rights: access flag fault goes first", level, 0),
                        va_of(level), ACCESS_FLAG(level));
        set(level, 0);
    }
    set(3, (uint32_t)probe_page | LPAE_RW | LPAE_BLOCK);
    check_all_fault("long L3 type 01 is reserved: translation fault", va_of(3), TRANSLATION(3));
    set(3, 0);
}

static void check_external(void)
{
    char text[96];
    for (unsigned level = 1; level <= 3; level++) {
        set(level, UNMAPPED_PA | (output_of(level) & 3) | LPAE_RW);
        check_all_fault(label(text, "long L@ maps no memory: external abort", level, 0), va_of(level), EXTERNAL);
        set(level, 0);
    }
    for (unsigned level = 1; level <= 2; level++) {
        uint64_t *entry = lpae_slot(root, 0xc8000000, level);
        uint64_t old = *entry;
        *entry = UNMAPPED_PA | LPAE_TABLE;
        tlb_flush_all();
        check_all_fault(label(text, "long L@ points to a table outside memory: external abort on the walk", level, 0),
                        0xc8000000, ON_WALK(level + 1));
        *entry = old;
        tlb_flush_all();
    }
    write_ttbr1_64(UNMAPPED_PA);
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(1));
    isb();
    tlb_flush_all();
    check_all_fault("TTBR1 outside memory, T1SZ 1: external abort on the walk at level 1", 0xc0000000, ON_WALK(1));
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(2));
    isb();
    tlb_flush_all();
    check_all_fault("TTBR1 outside memory, T1SZ 2: external abort on the walk at level 2", 0xc0000000, ON_WALK(2));
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(2) | TTBCR_EPD1);
    isb();
    tlb_flush_all();
    check_all_fault("EPD1: translation fault at level 1", 0xc0000000, TRANSLATION(1));
    write_ttbcr(LPAE_TTBCR | TTBCR_T1SZ(2) | TTBCR_T0SZ(1));
    isb();
    tlb_flush_all();
    check_all_fault("between TTBR0 and TTBR1: translation fault at level 1", 0x80000000, TRANSLATION(1));
    write_ttbcr(LPAE_TTBCR);
    isb();
    tlb_flush_all();
}

void check_long_faults(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    check_permissions();
    check_missing();
    check_write_implies_xn();
    check_hierarchy();
    check_external();
    check_breakpoint(DEBUG_EVENT);
}
