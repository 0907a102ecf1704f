/* SPDX-License-Identifier: GPL-2.0-or-later
 * The generic timer, physical and virtual, and its interrupts through the GIC (ARM DDI 0406C B8, ARM IHI 0048B).
 *
 * Nothing here depends on the speed of the host: waits end by the guest's own counter.
 */
#include "timer.h"

#include "gic.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

#define MS (CNT_HZ / 1000)

struct timer {
    const char *name;
    uint32_t intid;
    uint64_t (*count)(void);
    uint64_t (*cval)(void);
    void (*set_cval)(uint64_t);
    uint32_t (*tval)(void);
    void (*set_tval)(uint32_t);
    uint32_t (*ctl)(void);
    void (*set_ctl)(uint32_t);
};

static const struct timer timers[] = {
    {"physical", INTID_TIMER_PHYSICAL, read_cntpct, read_cntp_cval, write_cntp_cval, read_cntp_tval, write_cntp_tval,
     read_cntp_ctl, write_cntp_ctl},
    {"virtual", INTID_TIMER_VIRTUAL, read_cntvct, read_cntv_cval, write_cntv_cval, read_cntv_tval, write_cntv_tval,
     read_cntv_ctl, write_cntv_ctl},
};

/* ---- counters ---- */

static void check_counters(void)
{
    tap_equal(read_cntfrq(), CNT_HZ, "CNTFRQ");
    uint64_t last_p = 0, last_v = 0;
    uint32_t back = 0, apart = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        isb();
        uint64_t v1 = read_cntvct();
        isb();
        uint64_t p = read_cntpct();
        isb();
        uint64_t v2 = read_cntvct();
        back += p < last_p || v1 < last_v || v2 < v1;
        apart += p < v1 || p > v2;
        last_p = p;
        last_v = v2;
    }
    tap_equal(back, 0, "neither counter ever goes back, 10,000 reads of each");
    tap_equal(apart, 0, "the physical counter lies between two reads of the virtual one: no offset, one frequency");
    uint64_t start = read_cntpct();
    while (read_cntpct() == start)
        ;
    tap_ok(read_cntpct() > start, "the physical counter counts");
    start = read_cntvct();
    while (read_cntvct() == start)
        ;
    tap_ok(read_cntvct() > start, "the virtual counter counts");
}

/* Reads of the virtual counter in every encoding: Thumb, conditional, in IT blocks, any register pair. */
uint32_t cntvct_conditional(uint32_t take), cntvct_it(uint32_t take), cntpct_it(uint32_t take);
uint64_t cntvct_thumb(void), cntvct_high_registers(void);

static bool is_now(uint64_t value, uint64_t before)
{
    return value >= before && value <= read_cntvct();
}

static void check_encodings(void)
{
    bool ok = true;
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t before = read_cntvct();
        ok = ok && is_now(cntvct_thumb(), before);
        ok = ok && is_now(cntvct_high_registers(), before);
    }
    tap_ok(ok, "CNTVCT by Thumb MRRC and into other registers");
    tap_equal(cntvct_conditional(0), 0x33, "ARM MRRCEQ whose condition fails leaves its registers alone");
    tap_ok(cntvct_conditional(1) != 0x33, "and reads when it holds");
    tap_equal(cntvct_it(0), 0x33, "MRRC in an IT block whose condition fails leaves its registers alone");
    tap_ok(cntvct_it(1) != 0x33, "and reads when it holds");
    tap_equal(cntpct_it(0), 0x33, "the same for CNTPCT: condition fails");
    tap_ok(cntpct_it(1) != 0x33, "and holds");
}

/* Thumb instructions whose halves lie in two pages; bx lr follows. */
static uint32_t over_page_end(uint16_t first, uint16_t second)
{
    volatile uint16_t *code = (volatile uint16_t *)(CLEAR + PAGE - 2);
    code[0] = first;
    code[1] = second;
    code[2] = 0x4770;
    code_sync();
    return (CLEAR + PAGE - 2) | 1;
}

static void check_over_page_end(void)
{
    typedef uint64_t reader(void);
    typedef void writer(uint64_t);
    uint64_t before = read_cntvct();
    uint64_t value = ((reader *)over_page_end(0xec51, 0x0f1e))(); /* mrrc p15, 1, r0, r1, c14 */
    tap_ok(is_now(value, before), "a Thumb read of CNTVCT that lies over a page end");
    ((writer *)over_page_end(0xec41, 0x0f3e))(0x1122334455667788ull); /* mcrr p15, 3, r0, r1, c14 */
    tap_equal(read_cntv_cval(), 0x1122334455667788ull, "a Thumb write of CNTV_CVAL that lies over a page end");
}

extern const char user_cntvct[], user_cntpct[];

static void check_user_access(void)
{
    static const struct {
        const char *name;
        const char *code;
        uint32_t bit;
    } cases[] = {{"CNTPCT", user_cntpct, 1}, {"CNTVCT", user_cntvct, 2}};
    for (uint32_t i = 0; i < 2; i++) {
        write_cntkctl(0);
        isb();
        trap_begin();
        user_call((uint32_t)cases[i].code, 0, 0);
        struct trap denied = trap_end();
        write_cntkctl(cases[i].bit);
        isb();
        uint32_t before = (uint32_t)read_cntvct();
        trap_begin();
        uint32_t value = user_call((uint32_t)cases[i].code, 0, 0);
        struct trap granted = trap_end();
        tap_ok(denied.count == 1 && denied.kind == TRAP_UNDEF && denied.pc == (uint32_t)cases[i].code,
               "%s in user mode is undefined without its bit in CNTKCTL", cases[i].name);
        tap_ok(granted.count == 0 && value - before < MS * 1000, "%s in user mode reads the counter with it",
               cases[i].name);
    }
    write_cntkctl(0);
    isb();
}

/* ---- compare, status, mask: no interrupt ---- */

static void check_registers(const struct timer *t)
{
    t->set_ctl(0);
    isb();
    t->set_cval(0x123456789abcdef0ull);
    tap_equal(t->cval(), 0x123456789abcdef0ull, "%s timer: CVAL keeps 64 bits", t->name);
    t->set_ctl(CNT_ENABLE | CNT_IMASK);
    isb();
    tap_equal(t->ctl(), CNT_ENABLE | CNT_IMASK, "%s timer: far from its time, ISTATUS is clear", t->name);
    t->set_cval(0);
    isb();
    tap_equal(t->ctl(), CNT_ENABLE | CNT_IMASK | CNT_ISTATUS, "%s timer: CVAL in the past sets ISTATUS", t->name);
    t->set_cval(~0ull);
    isb();
    tap_equal(t->ctl() & CNT_ISTATUS, 0, "%s timer: a later CVAL clears it: the compare is unsigned", t->name);
    uint64_t before = t->count();
    t->set_tval(1000 * MS);
    isb();
    uint64_t cval = t->cval();
    tap_ok(cval >= before + 1000 * MS && cval <= t->count() + 1000 * MS, "%s timer: TVAL sets CVAL to the count and it",
           t->name);
    uint32_t tval = t->tval();
    tap_ok(tval <= 1000 * MS && tval > 0, "%s timer: TVAL reads what is left", t->name);
    t->set_tval(0xffffffff);
    isb();
    tap_equal(t->ctl() & CNT_ISTATUS, CNT_ISTATUS, "%s timer: TVAL is signed, -1 lies in the past", t->name);
    tap_ok((int32_t)t->tval() < 0, "%s timer: and reads negative", t->name);
    uint64_t deadline = t->count() + MS;
    t->set_cval(deadline);
    isb();
    bool early = false;
    while (t->count() < deadline) {
        uint32_t status = t->ctl() & CNT_ISTATUS;
        early = early || (status && t->count() < deadline);
    }
    while (!(t->ctl() & CNT_ISTATUS) && t->count() < deadline + 10 * MS)
        ;
    tap_ok(!early && (t->ctl() & CNT_ISTATUS), "%s timer: ISTATUS comes when the count reaches CVAL, not before",
           t->name);
    t->set_ctl(0);
    isb();
}

/* ---- interrupts ---- */

static const struct timer *current;
static volatile uint32_t irqs, irq_id;
static volatile uint64_t irq_count;
static volatile uint32_t irq_again; /* interval after which the handler wants the next one; 0: none */
static volatile bool irq_leave_level;

static bool on_irq(enum trap_kind kind, struct trap_frame *frame)
{
    (void)frame;
    if (kind != TRAP_IRQ)
        return false;
    irq_count = current->count();
    irq_id = *gicc(GICC_IAR) & 0x3ff;
    irqs++;
    if (irq_again && irqs < 20)
        current->set_cval(current->cval() + irq_again);
    else if (!irq_leave_level || irqs == 3)
        current->set_ctl(CNT_ENABLE | CNT_IMASK);
    isb();
    *gicc(GICC_EOIR) = irq_id;
    dsb();
    return true;
}

static void wait_for(const struct timer *t, uint64_t until)
{
    while (t->count() < until)
        ;
}

static void check_interrupt(const struct timer *t)
{
    gic_enable(t->intid);
    irqs = 0;
    uint64_t due = t->count() + 2 * MS;
    t->set_cval(due);
    t->set_ctl(CNT_ENABLE);
    isb();
    irq_enable();
    wait_for(t, due + 2 * MS);
    irq_disable();
    tap_equal(irqs, 1, "%s timer: one interrupt", t->name);
    tap_equal(irq_id, t->intid, "%s timer: its number is %u", t->name, (unsigned)t->intid);
    tap_ok(irq_count >= due, "%s timer: not before its time", t->name);
    tap_ok(!gic_is_pending(t->intid) && !gic_is_active(t->intid),
           "%s timer: neither pending nor active after EOI and mask", t->name);

    irqs = 0;
    t->set_ctl(CNT_ENABLE); /* still due: unmasking is enough */
    isb();
    irq_leave_level = true;
    irq_enable();
    wait_for(t, t->count() + MS);
    irq_disable();
    irq_leave_level = false;
    tap_equal(irqs, 3, "%s timer: the level interrupts again after each EOI until it is masked", t->name);

    irqs = 0;
    irq_again = MS;
    uint64_t start = t->count() + MS;
    t->set_cval(start);
    t->set_ctl(CNT_ENABLE);
    isb();
    irq_enable();
    while (irqs < 20)
        ;
    irq_disable();
    irq_again = 0;
    tap_ok(t->count() >= start + 19 * MS, "%s timer: 20 interrupts in steps of 1 ms take no less than that", t->name);
    tap_equal(t->cval(), start + 19 * MS, "%s timer: each handler saw the CVAL of the one before", t->name);
    t->set_ctl(0);
    isb();

    irqs = 0;
    t->set_cval(0);
    t->set_ctl(CNT_ENABLE | CNT_IMASK);
    isb();
    irq_enable();
    wait_for(t, t->count() + MS);
    tap_equal(irqs, 0, "%s timer: IMASK holds the interrupt back", t->name);
    gic_disable(t->intid);
    t->set_ctl(CNT_ENABLE);
    isb();
    wait_for(t, t->count() + MS);
    tap_equal(irqs, 0, "%s timer: so does the GIC when it is disabled there", t->name);
    tap_ok(gic_is_pending(t->intid), "%s timer: and it is pending", t->name);
    gic_enable(t->intid);
    wait_for(t, t->count() + MS);
    irq_disable();
    tap_equal(irqs, 1, "%s timer: it comes when it is enabled there", t->name);
    t->set_ctl(0);
    isb();
    gic_disable(t->intid);
}

/* ---- priorities ---- */

static void check_priority(const struct timer *t)
{
    gic_enable(t->intid);
    gic_set_priority(t->intid, 0xa0);
    *gicc(GICC_PMR) = 0xa0;
    irqs = 0;
    t->set_cval(0);
    t->set_ctl(CNT_ENABLE);
    isb();
    irq_enable();
    wait_for(t, t->count() + MS);
    tap_equal(irqs, 0, "a priority that is not higher than the mask does not interrupt");
    *gicc(GICC_PMR) = 0xb0;
    dsb();
    wait_for(t, t->count() + MS);
    irq_disable();
    tap_equal(irqs, 1, "it does when the mask is lowered");
    *gicc(GICC_PMR) = 0xff;
    gic_set_priority(t->intid, 0);
    t->set_ctl(0);
    isb();
    gic_disable(t->intid);
    tap_equal(*gicc(GICC_IAR) & 0x3ff, INTID_SPURIOUS, "an acknowledge with nothing pending is spurious");
}

/* ---- WFI ---- */

static void check_wfi(const struct timer *t)
{
    gic_enable(t->intid);
    irqs = 0;
    uint64_t due = t->count() + 5 * MS;
    t->set_cval(due);
    t->set_ctl(CNT_ENABLE);
    isb();
    tap_equal(read_isr() & CPSR_I, 0, "%s timer: ISR.I is clear before it is due", t->name);
    while (!gic_is_pending(t->intid))
        wfi();
    uint64_t woken = t->count();
    tap_equal(read_isr() & CPSR_I, CPSR_I, "%s timer: ISR.I is set when it is pending", t->name);
    tap_ok(woken >= due, "%s timer: WFI with IRQs masked in CPSR wakes up when it is due", t->name);
    tap_ok(irqs == 0 && gic_is_pending(t->intid), "%s timer: the interrupt is pending, not taken", t->name);
    irq_enable();
    isb();
    irq_disable();
    tap_equal(irqs, 1, "%s timer: it is taken as soon as CPSR lets it", t->name);
    due = t->count() + 5 * MS;
    t->set_cval(due);
    t->set_ctl(CNT_ENABLE);
    isb();
    irq_enable();
    while (irqs < 2)
        wfi();
    irq_disable();
    tap_ok(irq_count >= due, "%s timer: WFI with IRQs on: handler first, then the next instruction", t->name);
    t->set_ctl(0);
    isb();
    gic_disable(t->intid);
}

/* Both timers at different times at once. */
static volatile uint32_t order[2];

static bool note_order(enum trap_kind kind, struct trap_frame *frame)
{
    (void)frame;
    if (kind != TRAP_IRQ)
        return false;
    uint32_t id = *gicc(GICC_IAR) & 0x3ff;
    if (irqs < 2)
        order[irqs] = id;
    irqs++;
    (id == INTID_TIMER_PHYSICAL ? write_cntp_ctl : write_cntv_ctl)(0);
    isb();
    *gicc(GICC_EOIR) = id;
    dsb();
    return true;
}

static void check_both(void)
{
    trap_set_hook(note_order);
    gic_enable(INTID_TIMER_PHYSICAL);
    gic_enable(INTID_TIMER_VIRTUAL);
    irqs = 0;
    uint64_t now = read_cntpct();
    write_cntp_cval(now + 6 * MS);
    write_cntv_cval(now + 3 * MS);
    write_cntp_ctl(CNT_ENABLE);
    write_cntv_ctl(CNT_ENABLE);
    isb();
    irq_enable();
    while (irqs < 2)
        wfi();
    irq_disable();
    tap_ok(order[0] == INTID_TIMER_VIRTUAL && order[1] == INTID_TIMER_PHYSICAL, "two timers at once: each at its time");
}

int main(void)
{
    gic_init();
    check_counters();
    check_encodings();
    check_over_page_end();
    check_user_access();
    for (uint32_t i = 0; i < 2; i++)
        check_registers(&timers[i]);
    trap_set_hook(on_irq);
    for (uint32_t i = 0; i < 2; i++) {
        current = &timers[i];
        check_interrupt(&timers[i]);
        check_wfi(&timers[i]);
        check_priority(&timers[i]);
    }
    check_both();
    return tap_finish();
}
