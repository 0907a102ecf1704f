/* SPDX-License-Identifier: GPL-2.0-or-later
 * The short-descriptor half of the fault matrix.
 */
#include <stddef.h>

#include "cp15.h"
#include "faults.h"
#include "mmu.h"
#include "tap.h"

#define DEBUG_EVENT 0x02u
#define EXTERNAL    0x08u

/* Index 0: section or supersection, 1: page. */
static const uint32_t translation[2] = {0x05, 0x07};
static const uint32_t access_flag[2] = {0x03, 0x06};
static const uint32_t domain_fault[2] = {0x09, 0x0b};
static const uint32_t permission[2] = {0x0d, 0x0f};

enum leaf { SECTION, SUPERSECTION, LARGE_PAGE, SMALL_PAGE, N_LEAVES };

#define DOMAIN 5u

static const char *const leaf_names[N_LEAVES] = {"section", "supersection", "large page", "small page"};
static const uint32_t leaf_va[N_LEAVES] = {0x80000000, 0x81000000, 0x90000000, 0x90100000};

static uint32_t *root;

static bool is_page(enum leaf leaf)
{
    return leaf >= LARGE_PAGE;
}

static uint32_t va_of(enum leaf leaf)
{
    static const uint32_t size[N_LEAVES] = {MB, 16 * MB, 64 * KB, PAGE};
    return leaf_va[leaf] + ((uint32_t)probe_page & (size[leaf] - 1));
}

struct rights {
    uint32_t ap;
    bool xn, pxn;
};

/* A supersection has no domain of its own: it is in domain 0. */
static uint32_t domain_of(enum leaf leaf)
{
    return leaf == SUPERSECTION ? 0 : DOMAIN;
}

static uint32_t descriptor(enum leaf leaf, const struct rights *r)
{
    uint32_t pa = (uint32_t)probe_page;
    switch (leaf) {
    case SECTION:
        return (pa & 0xfff00000) | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(r->ap) |
               SHORT_DOMAIN(DOMAIN) | (r->xn ? SHORT_SECTION_XN : 0) | (r->pxn ? SHORT_PXN_SECTION : 0);
    case SUPERSECTION:
        return (pa & 0xff000000) | SHORT_SUPERSECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(r->ap) |
               (r->xn ? SHORT_SECTION_XN : 0) | (r->pxn ? SHORT_PXN_SECTION : 0);
    case LARGE_PAGE:
        return (pa & 0xffff0000) | SHORT_LARGE | SHORT_LARGE_NORMAL | SHORT_PAGE_AP(r->ap) |
               (r->xn ? SHORT_LARGE_XN : 0);
    default: return pa | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(r->ap) | (r->xn ? SHORT_SMALL_XN : 0);
    }
}

/* The first-level entry of a page is its table: PXN and the domain live there. */
static void set(enum leaf leaf, uint32_t value, bool pxn)
{
    uint32_t copies = leaf == SUPERSECTION || leaf == LARGE_PAGE ? 16 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        if (is_page(leaf))
            *short_l2(root, (leaf_va[leaf] & 0xffff0000) + (copies > 1 ? i * PAGE : va_of(leaf) - leaf_va[leaf])) =
                value;
        else
            *short_l1(root, leaf_va[leaf] + i * MB) = value;
    }
    if (is_page(leaf)) {
        uint32_t *table = short_l1(root, leaf_va[leaf]);
        *table = (*table & 0xfffffc00) | SHORT_TABLE | SHORT_DOMAIN(DOMAIN) | (pxn ? SHORT_PXN_TABLE : 0);
    }
    tlb_flush_all();
}

static void set_rights(enum leaf leaf, const struct rights *r)
{
    set(leaf, descriptor(leaf, r), r->pxn);
}

static void set_domain(uint32_t domain, uint32_t access)
{
    write_dacr((SHORT_DOMAIN_CLIENT0 & ~(3u << domain * 2)) | access << domain * 2);
    isb();
}

#define CLIENT  1u
#define MANAGER 3u

static const char *describe(char *text, enum leaf leaf, const char *what, const struct rights *r)
{
    char *p = text;
    for (const char *s = leaf_names[leaf]; *s; s++)
        *p++ = *s;
    for (const char *s = what; *s; s++)
        *p++ = *s;
    if (r) {
        for (uint32_t bit = 3; bit > 0; bit--)
            *p++ = r->ap >> (bit - 1) & 1 ? '1' : '0';
        for (const char *s = r->xn ? " XN" : ""; *s; s++)
            *p++ = *s;
        for (const char *s = r->pxn ? " PXN" : ""; *s; s++)
            *p++ = *s;
    }
    *p = 0;
    return text;
}

/* read and write rights of AP[2:0], Table B3-8: privileged, then user; AP 100 is reserved */
static const uint8_t ap_table[8] = {
    0x00, 0x03, 0x13, 0x33, 0x00, 0x01, 0x11, 0x11, /* low nibble privileged: 1 read, 2 write; high nibble user */
};

static void check_rights(enum leaf leaf, const char *what, const struct rights *r, uint32_t rw)
{
    uint32_t deny = permission[is_page(leaf)];
    bool pr = rw & 1, pw = rw & 2, ur = rw & 0x10, uw = rw & 0x20;
    const uint32_t fsr[6] = {pr ? 0 : deny, pw ? 0 : deny, pr && !r->xn && !r->pxn ? 0 : deny,
                             ur ? 0 : deny, uw ? 0 : deny, ur && !r->xn ? 0 : deny};
    char text[96];
    check_accesses(describe(text, leaf, what, r), va_of(leaf), fsr);
}

static void check_permissions(void)
{
    for (enum leaf leaf = SECTION; leaf < N_LEAVES; leaf++) {
        set_domain(domain_of(leaf), CLIENT);
        for (uint32_t i = 0; i < 32; i++) {
            struct rights r = {i & 7, i & 8, i & 16};
            /* reserved */
            if (r.ap == 4)
                continue;
            set_rights(leaf, &r);
            check_rights(leaf, " rights: AP ", &r, ap_table[r.ap]);
        }
    }
}

/* AFE = 1: AP[2:1] as in the long format, AP[0] the access flag. */
static void check_simple_permissions(void)
{
    static const uint8_t simple[4] = {0x03, 0x33, 0x01, 0x11};
    write_sctlr(read_sctlr() | SCTLR_AFE);
    isb();
    tlb_flush_all();
    for (enum leaf leaf = SECTION; leaf < N_LEAVES; leaf++) {
        set_domain(domain_of(leaf), CLIENT);
        for (uint32_t i = 0; i < 16; i++) {
            struct rights r = {(i & 3) << 1 | 1, i & 4, i & 8};
            set_rights(leaf, &r);
            check_rights(leaf, " rights with AFE: AP ", &r, simple[i & 3]);
        }
        struct rights young = {6, true, false};
        char text[96];
        set_rights(leaf, &young);
        check_all_fault(
            describe(text, leaf, " with AFE, AP[0] clear and no rights: access flag fault goes first", NULL),
            va_of(leaf), access_flag[is_page(leaf)]);
        if (leaf != SUPERSECTION) {
            set_domain(domain_of(leaf), 0);
            check_all_fault(
                describe(text, leaf, " with AFE, AP[0] clear, no access to the domain: access flag fault", NULL),
                va_of(leaf), access_flag[is_page(leaf)]);
        }
    }
    set_domain(DOMAIN, CLIENT);
    write_sctlr(read_sctlr() & ~SCTLR_AFE);
    isb();
    tlb_flush_all();
}

static void check_domains(void)
{
    static const uint32_t nothing[6] = {0};
    char text[96];
    for (enum leaf leaf = SECTION; leaf < N_LEAVES; leaf++) {
        if (leaf == SUPERSECTION)
            continue; /* domain 0 also holds this code */
        struct rights all = {3, false, false}, none = {0, true, true};
        uint32_t fault = domain_fault[is_page(leaf)] | DOMAIN << 4;
        set_rights(leaf, &all);
        set_domain(DOMAIN, 0);
        check_all_fault(describe(text, leaf, " in a domain without access: domain fault", NULL), va_of(leaf), fault);
        set_rights(leaf, &none);
        check_all_fault(
            describe(text, leaf, " without rights in a domain without access: domain fault goes first", NULL),
            va_of(leaf), fault);
        set_domain(DOMAIN, MANAGER);
        check_accesses(describe(text, leaf, " without rights, XN, in a manager domain: everything works", NULL),
                       va_of(leaf), nothing);
        set_domain(DOMAIN, CLIENT);
    }
}

/* No translation: the fault is reported before the domain is looked at. */
static void check_missing(void)
{
    char text[96];
    for (uint32_t access = 0; access < 2; access++) {
        set_domain(DOMAIN, access);
        const char *what =
            access ? " missing: translation fault" : " missing in a domain without access: translation fault";
        for (enum leaf leaf = SECTION; leaf < N_LEAVES; leaf++) {
            uint32_t invalid = is_page(leaf) ? 0xfffffffc & (uint32_t)probe_page : SHORT_DOMAIN(DOMAIN);
            set(leaf, invalid, false);
            check_all_fault(describe(text, leaf, what, NULL), va_of(leaf), translation[is_page(leaf)]);
        }
    }
    set_domain(DOMAIN, CLIENT);
}

static void set_ttbcr(uint32_t value)
{
    write_ttbcr(value);
    isb();
    tlb_flush_all();
}

static void check_external(void)
{
    /* 0b000000 is a hole between the devices; RAM of up to 2 GB ends below c0000000 */
    const uint32_t hole = 0x0b000000, far = 0xf0000000;
    *short_l1(root, 0xa0000000) = hole | SHORT_SECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(SHORT_AP_RW);
    *short_l2(root, 0xa0100000) = hole | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW);
    *short_l1(root, 0xa0200000) = far | SHORT_TABLE;
    for (uint32_t i = 0; i < 16; i++) /* PA[39:36] in bits 8:5, PA[35:32] in 23:20 */
        *short_l1(root, 0xa1000000 + i * MB) =
            SHORT_SUPERSECTION | SHORT_SECTION_NORMAL | SHORT_SECTION_AP(SHORT_AP_RW) | 3u << 5;
    tlb_flush_all();
    check_all_fault("section of a hole in the board: external abort", 0xa0000000, EXTERNAL);
    check_all_fault("page of a hole in the board: external abort", 0xa0100000, EXTERNAL);
    check_all_fault("supersection at 30_00000000: external abort", 0xa1000000, EXTERNAL);
    check_all_fault("second-level table in a hole: external abort on the walk, level 2", 0xa0200000, 0x0e);
    write_ttbr1(far);
    set_ttbcr(TTBCR_N(1));
    check_all_fault("TTBR1 in a hole: external abort on the walk, level 1", 0xa0000000, 0x0c);
    set_ttbcr(TTBCR_N(1) | TTBCR_PD1);
    check_all_fault("PD1: translation fault of a section", 0xa0000000, translation[0]);
    write_ttbr1((uint32_t)root);
    set_ttbcr(0);
}

void check_short_faults(void)
{
    root = short_new();
    short_map_identity(root);
    short_enable(root);
    check_permissions();
    check_missing();
    check_domains();
    check_simple_permissions();
    check_external();
    check_breakpoint(DEBUG_EVENT);
}
