/* SPDX-License-Identifier: GPL-2.0-or-later
 * Alignment: what faults with SCTLR.A, what always faults, what never does (ARM DDI 0406C A3.2.1, Table A3-1).
 */
#include "cp15.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define VA      0x80000000u /* two pages of normal memory, then a hole */
#define NOWHERE 0x80010000u

typedef uint32_t access_function(uint32_t va, uint32_t value);
access_function a_ldr, a_ldrh, a_ldrsh, a_str, a_strh, a_ldr_thumb, a_ldrh_thumb, a_str_thumb, a_ldrb, a_ldrd, a_strd,
    a_ldm, a_stm, a_ldmdb, a_ldrex, a_ldrexh, a_ldrexd, a_ldrd_thumb, a_ldm_thumb;

struct alignment {
    const char *name;
    access_function *run;
    uint32_t checked; /* alignment with SCTLR.A = 1, in bytes */
    uint32_t always;  /* alignment without it */
    bool write;
    int32_t first; /* offset of the lowest address accessed: decrement-before starts below */
};

static const struct alignment table[] = {
    {"LDR", a_ldr, 4, 1, false, 0},
    {"LDRH", a_ldrh, 2, 1, false, 0},
    {"LDRSH", a_ldrsh, 2, 1, false, 0},
    {"LDRB", a_ldrb, 1, 1, false, 0},
    {"STR", a_str, 4, 1, true, 0},
    {"STRH", a_strh, 2, 1, true, 0},
    {"Thumb LDR", a_ldr_thumb, 4, 1, false, 0},
    {"Thumb LDRH", a_ldrh_thumb, 2, 1, false, 0},
    {"Thumb STR", a_str_thumb, 4, 1, true, 0},
    {"LDRD", a_ldrd, 4, 4, false, 0},
    {"STRD", a_strd, 4, 4, true, 0},
    {"Thumb LDRD", a_ldrd_thumb, 4, 4, false, 0},
    {"LDM", a_ldm, 4, 4, false, 0},
    {"STM", a_stm, 4, 4, true, 0},
    {"Thumb LDM", a_ldm_thumb, 4, 4, false, 0},
    {"LDMDB", a_ldmdb, 4, 4, false, -8},
    {"LDREX", a_ldrex, 4, 4, false, 0},
    {"LDREXH", a_ldrexh, 2, 2, false, 0},
    {"LDREXD", a_ldrexd, 8, 8, false, 0},
};
#define N_TABLE (sizeof table / sizeof table[0])

static uint32_t status;

static bool is_alignment_fault(const struct trap *t, const struct alignment *a, uint32_t va)
{
    return t->count == 1 && t->kind == TRAP_DABT && t->dfar == va + (uint32_t)a->first &&
           (t->dfsr & 0xe3f) == (status | (a->write ? 0x800u : 0u));
}

static void check(const struct alignment *a, bool sctlr_a, bool user)
{
    uint32_t need = sctlr_a ? a->checked : a->always;
    uint32_t bad = 0;
    for (uint32_t offset = 0; offset < 8; offset++) {
        uint32_t va = VA + 0x100 + offset;
        trap_begin();
        if (user)
            user_call((uint32_t)a->run, va, 0x01020304);
        else
            a->run(va, 0x01020304);
        struct trap t = trap_end();
        bool ok = va % need ? is_alignment_fault(&t, a, va) : t.count == 0;
        if (!ok && bad++ == 0)
            tap_note("  offset %u: %u x %s dfsr %03x dfar %08x", (unsigned)offset, (unsigned)t.count, trap_name(t.kind),
                     (unsigned)t.dfsr, (unsigned)t.dfar);
    }
    tap_ok(bad == 0, "%s with SCTLR.A = %u, %s: must be aligned to %u", a->name, sctlr_a, user ? "user" : "privileged",
           (unsigned)need);
}

static void set_a(bool on)
{
    write_sctlr(on ? read_sctlr() | SCTLR_A : read_sctlr() & ~SCTLR_A);
    isb();
}

/* The check of SCTLR.A comes before the translation. */
static void check_order(void)
{
    trap_begin();
    a_ldr(NOWHERE + 1, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 1 && (t.dfsr & 0x23f) == status && t.dfar == NOWHERE + 1,
           "SCTLR.A = 1: an unaligned address that is not mapped gives the alignment fault");
}

static void check_values(void)
{
    volatile uint8_t *bytes = (volatile uint8_t *)VA;
    for (uint32_t i = 0; i < 16; i++)
        bytes[0xff8 + i] = (uint8_t)(0xa0 + i);
    tap_equal(a_ldr(VA + 0xffd, 0), 0xa8a7a6a5, "an unaligned LDR over two pages");
    tap_equal(a_ldrh(VA + 0xfff, 0), 0xa8a7, "an unaligned LDRH over two pages");
    a_str(VA + 0xffe, 0x44332211);
    tap_ok(bytes[0xffe] == 0x11 && bytes[0xfff] == 0x22 && bytes[0x1000] == 0x33 && bytes[0x1001] == 0x44 &&
               bytes[0x1002] == 0xaa,
           "an unaligned STR over two pages");
    trap_begin();
    a_ldr(VA + 0x1ffe, 0);
    struct trap t = trap_end();
    tap_ok(t.count == 1 && (t.dfar & ~0xfffu) == VA + 0x2000, "an unaligned LDR into a missing page faults there");
    uint32_t before = *(volatile uint16_t *)(VA + 0x1ffe);
    trap_begin();
    a_str(VA + 0x1ffe, ~before);
    t = trap_end();
    tap_ok(t.count == 1 && (t.dfsr & 0x800) && (t.dfar & ~0xfffu) == VA + 0x2000,
           "an unaligned STR into a missing page faults there");
}

static void check_table(void)
{
    for (uint32_t on = 0; on < 2; on++) {
        set_a(on);
        for (uint32_t i = 0; i < N_TABLE; i++)
            check(&table[i], on, false);
        for (uint32_t i = 0; i < N_TABLE; i++)
            check(&table[i], on, true);
        if (on)
            check_order();
        else
            check_values();
        set_a(false);
    }
}

int main(void)
{
    uint64_t *root = lpae_new();
    lpae_map_identity(root);
    for (uint32_t i = 0; i < 2; i++)
        *lpae_slot(root, VA + i * PAGE, 3) = (CLEAR + i * PAGE) | LPAE_RW | LPAE_PAGE;
    lpae_enable(root);
    status = 0x221;
    tap_note("long descriptors");
    check_table();
    mmu_disable();
    mmu_forget_tables();
    uint32_t *short_root = short_new();
    short_map_identity(short_root);
    for (uint32_t i = 0; i < 2; i++)
        *short_l2(short_root, VA + i * PAGE) =
            (CLEAR + i * PAGE) | SHORT_SMALL | SHORT_SMALL_NORMAL | SHORT_PAGE_AP(SHORT_AP_RW);
    short_enable(short_root);
    status = 0x001;
    tap_note("short descriptors");
    check_table();
    return tap_finish();
}
