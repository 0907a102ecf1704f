/* SPDX-License-Identifier: GPL-2.0-or-later
 * Thumb IT blocks whose loads and stores miss in the TLB, or fault: what executes must depend on nothing but the flags
 * (ARM DDI 0406C A2.5.2, B1.8.3).
 */
#include "cp15.h"
#include "gic.h"
#include "mmu.h"
#include "tap.h"
#include "timer.h"
#include "trap.h"

#define VA      0x80000000u /* pages for data; the TLB is flushed before each use */
#define PA      0x42000000u
#define N_PAGES 16u

#define VA_CODE 0x80100000u /* two pages for code that crosses from one to the other */

static uint64_t *root;

/* What a routine counts: every instruction that must execute adds its own bit to r0. */
extern const char it_eq_load[], it_ne_load[], it_ite_load[], it_itt_loads[], it_ittt_loads[], it_itete_loads[],
    it_stores[], it_push[], it_then_compare[], it_taken_branch[], it_skipped_load[], it_load_multiple[], it_load_pc[],
    it_last_of_four[];

struct it_case {
    const char *name;
    const char *code;
    uint32_t z;        /* the Z flag on entry */
    uint32_t expected; /* r0 */
    uint32_t pages;    /* accesses that happen: bit n, page n of VA */
    uint8_t it[4];     /* ITSTATE at the nth of them */
};

static const struct it_case cases[] = {
    {"it eq, load taken", it_eq_load, 1, 0x3f, 1, {0x08}},
    {"it eq, load skipped", it_eq_load, 0, 0x3e, 0, {0}},
    {"it ne, load taken", it_ne_load, 0, 0x3f, 1, {0x18}},
    {"it ne, load skipped", it_ne_load, 1, 0x3e, 0, {0}},
    {"ite eq, load in the first place", it_ite_load, 1, 0x3d, 1, {0x0c}},
    {"ite eq, load in the second place", it_ite_load, 0, 0x3e, 2, {0x18}},
    {"itt eq, two loads", it_itt_loads, 1, 0x3f, 3, {0x04, 0x08}},
    {"itt eq, two loads skipped", it_itt_loads, 0, 0x3c, 0, {0}},
    {"ittt eq, three loads", it_ittt_loads, 1, 0x3f, 7, {0x02, 0x04, 0x08}},
    {"itete eq, loads one and three", it_itete_loads, 1, 0x35, 5, {0x0b, 0x0c}},
    {"itete eq, loads two and four", it_itete_loads, 0, 0x3a, 10, {0x16, 0x18}},
    {"itte eq, two stores", it_stores, 1, 0x33, 3, {0x06, 0x0c}},
    {"itte eq, one store", it_stores, 0, 0x34, 4, {0x18}},
    {"ite eq with a load, then push and pop", it_push, 1, 0x3d, 1, {0x0c}},
    {"ite eq with a load, then a compare that turns the flags", it_then_compare, 1, 0x3d, 1, {0x0c}},
    {"itt eq with a load and a branch out of the block", it_taken_branch, 1, 0x3d, 1, {0x04}},
    {"itt eq with a load and a branch, both skipped", it_taken_branch, 0, 0x3e, 0, {0}},
    {"itttt ne skipped, a load behind the block", it_skipped_load, 1, 0x30, 1, {0}},
    {"ite eq with a load of five registers", it_load_multiple, 1, 0x3d, 1, {0x0c}},
    {"it eq with a load into PC", it_load_pc, 1, 0x39, 1, {0x08}},
    {"itttt eq, load in the last place", it_last_of_four, 1, 0x3f, 1, {0x08}},
};
#define N_CASES (sizeof cases / sizeof cases[0])

uint32_t run_routine(uint32_t code, uint32_t z);

static uint64_t leaf_of(uint32_t page)
{
    return (PA + page * PAGE) | LPAE_RW | LPAE_XN | LPAE_PAGE;
}

static void set_pages(bool present)
{
    for (uint32_t i = 0; i < N_PAGES; i++)
        *lpae_slot(root, VA + i * PAGE, 3) = present ? leaf_of(i) : 0;
    tlb_flush_all();
}

/* ---- faults in IT blocks: the handler checks ITSTATE, maps the page and goes back to the instruction ---- */

static uint32_t faults, faulted_pages;
static uint32_t seen_it[8];
static bool seen_thumb;

static uint32_t it_of(uint32_t cpsr)
{
    return ((cpsr >> 8) & 0xfc) | ((cpsr >> 25) & 3);
}

static bool map_and_retry(enum trap_kind kind, struct trap_frame *frame)
{
    if (kind != TRAP_DABT || faults >= 8)
        return false;
    uint32_t page = (read_dfar() - VA) / PAGE;
    if (page >= N_PAGES)
        return false;
    seen_it[faults++] = it_of(frame->cpsr);
    seen_thumb = seen_thumb && (frame->cpsr & CPSR_T);
    faulted_pages |= 1u << page;
    *lpae_slot(root, VA + page * PAGE, 3) = leaf_of(page);
    dsb();
    return true;
}

static uint32_t run_case(const struct it_case *c, bool user)
{
    if (user)
        return user_call((uint32_t)run_routine, (uint32_t)c->code | 1, c->z);
    return run_routine((uint32_t)c->code | 1, c->z);
}

static void check_case(const struct it_case *c, bool user)
{
    const char *mode = user ? "user" : "privileged";
    set_pages(true);
    uint32_t missing = run_case(c, user);
    uint32_t hitting = run_case(c, user);
    if (!tap_ok(missing == c->expected && hitting == c->expected, "%s: %s, TLB miss and hit", c->name, mode))
        tap_note("  executed %02x on a miss, %02x on a hit, expected %02x", (unsigned)missing, (unsigned)hitting,
                 (unsigned)c->expected);
    set_pages(false);
    faults = faulted_pages = 0;
    seen_thumb = true;
    trap_set_hook(map_and_retry);
    uint32_t faulting = run_case(c, user);
    trap_set_hook(0);
    bool ok = faulting == c->expected && faulted_pages == c->pages && seen_thumb;
    uint32_t n = 0;
    for (uint32_t page = 0; page < 4; page++) {
        if (c->pages >> page & 1) {
            ok = ok && seen_it[n] == c->it[n];
            n++;
        }
    }
    ok = ok && n == faults;
    if (!tap_ok(ok, "%s: %s, each access faults and is repeated", c->name, mode))
        tap_note("  executed %02x, expected %02x; faults on pages %x, expected %x; ITSTATE %02x %02x %02x",
                 (unsigned)faulting, (unsigned)c->expected, (unsigned)faulted_pages, (unsigned)c->pages,
                 (unsigned)seen_it[0], (unsigned)seen_it[1], (unsigned)seen_it[2]);
}

/* ---- a fault that is skipped, as an exception table would ---- */

static void check_skip(void)
{
    set_pages(false);
    trap_begin();
    uint32_t executed = run_routine((uint32_t)it_itt_loads | 1, 1);
    struct trap t = trap_end();
    tap_ok(t.count == 2 && executed == 0x3f, "itt eq, two loads that fault and are skipped: the rest runs");
    set_pages(true);
}

/* ---- SVC and UDF in an IT block ---- */

extern const char it_svc[], it_udf[];

static uint32_t exception_it;

static bool note_it(enum trap_kind kind, struct trap_frame *frame)
{
    exception_it = it_of(frame->cpsr);
    if (kind == TRAP_UNDEF)
        trap_skip(frame);
    return true;
}

static void check_exceptions(void)
{
    trap_set_hook(note_it);
    for (uint32_t user = 0; user < 2; user++) {
        struct it_case c = {"", it_svc, 1, 0x3d, 0, {0}};
        exception_it = 0xff;
        uint32_t executed = run_case(&c, user);
        /* user mode leaves by an SVC of its own, which is not passed to the hook */
        tap_ok(executed == 0x3d && exception_it == 0x18,
               "SVC in ite eq, %s: SPSR has the ITSTATE of the next instruction", user ? "user" : "privileged");
        c.code = it_udf;
        exception_it = 0xff;
        executed = run_case(&c, user);
        tap_ok(executed == 0x3d && exception_it == 0x0c, "UDF in ite eq, %s: SPSR has its own ITSTATE",
               user ? "user" : "privileged");
    }
    trap_set_hook(0);
}

/* ---- fetch faults between two instructions of an IT block, and inside one ---- */

extern const char cross_block[], cross_block_page[], cross_block_end[];
extern const char cross_wide[], cross_wide_page[], cross_wide_end[];

static struct {
    uint32_t count, ifar, pc, it;
} fetch;

static bool map_code_and_retry(enum trap_kind kind, struct trap_frame *frame)
{
    if (kind != TRAP_PABT || fetch.count > 1)
        return false;
    fetch.count++;
    fetch.ifar = read_ifar();
    fetch.pc = frame->pc;
    fetch.it = it_of(frame->cpsr);
    *lpae_slot(root, VA_CODE + PAGE, 3) = (PA + PAGE) | LPAE_RX | LPAE_PAGE;
    dsb();
    return true;
}

/* Copies code so that `boundary` comes to lie at the start of the second page. */
static uint32_t place_code(const char *start, const char *boundary, const char *end)
{
    uint32_t before = (uint32_t)(boundary - start);
    volatile uint16_t *to = (volatile uint16_t *)(PA + PAGE - before);
    for (uint32_t i = 0; i < (uint32_t)(end - start) / 2; i++)
        to[i] = ((const uint16_t *)start)[i];
    *lpae_slot(root, VA_CODE, 3) = PA | LPAE_RX | LPAE_PAGE;
    *lpae_slot(root, VA_CODE + PAGE, 3) = 0;
    tlb_flush_all();
    code_sync();
    return VA_CODE + PAGE - before;
}

static void check_fetch_faults(void)
{
    for (uint32_t user = 0; user < 2; user++) {
        const char *mode = user ? "user" : "privileged";
        uint32_t code = place_code(cross_block, cross_block_page, cross_block_end);
        struct it_case c = {"", (const char *)code, 1, 0x37, 0, {0}};
        fetch.count = 0;
        trap_set_hook(map_code_and_retry);
        uint32_t executed = run_case(&c, user);
        trap_set_hook(0);
        bool ok = executed == 0x37 && fetch.count == 1 && fetch.ifar == VA_CODE + PAGE && fetch.pc == fetch.ifar;
        if (!tap_ok(ok && fetch.it == 0x12, "itett eq over a page end, %s: the fetch of its second instruction faults",
                    mode))
            tap_note("  executed %02x, %u faults, ifar %08x pc %08x it %02x", (unsigned)executed, (unsigned)fetch.count,
                     (unsigned)fetch.ifar, (unsigned)fetch.pc, (unsigned)fetch.it);
        uint32_t wide = place_code(cross_wide, cross_wide_page, cross_wide_end);
        c.code = (const char *)wide;
        fetch.count = 0;
        trap_set_hook(map_code_and_retry);
        executed = run_case(&c, user);
        trap_set_hook(0);
        /* the instruction starts two bytes before the page; the address that faults is in the second one */
        ok = executed == 0x3f && fetch.count == 1 && fetch.pc == VA_CODE + PAGE - 2 && fetch.ifar == VA_CODE + PAGE;
        if (!tap_ok(ok && fetch.it == 0x08, "a 32-bit instruction over a page end, %s: its second half faults", mode))
            tap_note("  executed %02x, %u faults, ifar %08x pc %08x it %02x", (unsigned)executed, (unsigned)fetch.count,
                     (unsigned)fetch.ifar, (unsigned)fetch.pc, (unsigned)fetch.it);
    }
}

/* ---- many misses under all conditions: a checksum that must come out the same with and without misses ---- */

uint32_t it_storm(uint32_t va, uint32_t rounds);

static void check_storm(void)
{
    for (uint32_t i = 0; i < N_PAGES; i++)
        *(volatile uint32_t *)(PA + i * PAGE) = i * 0x01010101;
    uint32_t reference = it_storm(PA, 200); /* identity map: always a hit after the first */
    set_pages(true);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 20; i++) {
        tlb_flush_all();
        bad += it_storm(VA, 200) != reference;
    }
    tap_equal(bad, 0, "20 runs over cold pages give the checksum of a warm run");
    uint32_t user_bad = 0;
    for (uint32_t i = 0; i < 20; i++) {
        tlb_flush_all();
        user_bad += user_call((uint32_t)it_storm, VA, 200) != reference;
    }
    tap_equal(user_bad, 0, "the same in user mode");
}

/* Interrupts between the instructions of the same routine: SPSR must carry the IT state over. */
static volatile uint32_t irqs;

static bool on_timer(enum trap_kind kind, struct trap_frame *frame)
{
    (void)frame;
    if (kind != TRAP_IRQ)
        return false;
    uint32_t iar = *gicc(GICC_IAR);
    irqs++;
    write_cntp_tval(300 + irqs % 97); /* 5 us and a little, another phase each time */
    isb();
    *gicc(GICC_EOIR) = iar;
    dsb();
    return true;
}

static void check_interrupts(void)
{
    uint32_t reference = it_storm(PA, 20000), bad = 0;
    gic_init();
    gic_enable(INTID_TIMER_PHYSICAL);
    trap_set_hook(on_timer);
    write_cntp_tval(300);
    write_cntp_ctl(CNT_ENABLE);
    isb();
    for (uint32_t i = 0; i < 5; i++) {
        irq_enable();
        bad += it_storm(VA, 20000) != reference;
        irq_disable();
    }
    write_cntp_ctl(0);
    isb();
    trap_set_hook(0);
    tap_ok(bad == 0 && irqs > 10, "the same with timer interrupts all the time");
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    set_pages(true);
    for (uint32_t i = 0; i < N_CASES; i++) {
        check_case(&cases[i], false);
        check_case(&cases[i], true);
    }
    check_skip();
    check_exceptions();
    check_fetch_faults();
    check_storm();
    check_interrupts();
    return tap_finish();
}
