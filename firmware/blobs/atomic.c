/* SPDX-License-Identifier: GPL-2.0-or-later
 * Two CPUs: PSCI, exclusive accesses of every size, locks, events, software-generated and private interrupts
 * (ARM DDI 0406C A3.4, ARM DEN 0022, ARM IHI 0048B).
 */
#include "gic.h"
#include "mmu.h"
#include "psci.h"
#include "smp.h"
#include "tap.h"
#include "timer.h"
#include "trap.h"

#define INCREMENTS 100000u
#define LOCKED     20000u
#define PINGS      2000u
#define SGIS       200u

static uint64_t *root;

/* ---- exclusive increments ---- */

static struct {
    volatile uint32_t word __attribute__((aligned(64)));
    volatile uint16_t half __attribute__((aligned(64)));
    volatile uint8_t byte __attribute__((aligned(64)));
    volatile uint64_t twice __attribute__((aligned(64)));
} shared;

void exclusive_add_word(volatile uint32_t *at, uint32_t count),
    exclusive_add_half(volatile uint16_t *at, uint32_t count), exclusive_add_byte(volatile uint8_t *at, uint32_t count),
    exclusive_add_double(volatile uint64_t *at, uint32_t count),
    exclusive_add_word_thumb(volatile uint32_t *at, uint32_t count);

static uint32_t add_word(uint32_t count)
{
    exclusive_add_word(&shared.word, count);
    return count;
}

static uint32_t add_word_thumb(uint32_t count)
{
    exclusive_add_word_thumb(&shared.word, count);
    return count;
}

static uint32_t add_half(uint32_t count)
{
    exclusive_add_half(&shared.half, count);
    return count;
}

static uint32_t add_byte(uint32_t count)
{
    exclusive_add_byte(&shared.byte, count);
    return count;
}

static uint32_t add_double(uint32_t count)
{
    exclusive_add_double(&shared.twice, count);
    return count;
}

static void both(smp_function function, uint32_t count)
{
    smp_post(function, count);
    function(count);
    smp_wait();
}

static void check_increments(void)
{
    shared.word = 0;
    both(add_word, INCREMENTS);
    tap_equal(shared.word, 2 * INCREMENTS, "LDREX/STREX: two CPUs, 100,000 increments each");
    shared.word = 0;
    both(add_word_thumb, INCREMENTS);
    tap_equal(shared.word, 2 * INCREMENTS, "LDREX/STREX in Thumb state");
    shared.half = 0;
    both(add_half, INCREMENTS);
    tap_equal(shared.half, (2 * INCREMENTS) & 0xffff, "LDREXH/STREXH");
    shared.byte = 0;
    both(add_byte, INCREMENTS);
    tap_equal(shared.byte, (2 * INCREMENTS) & 0xff, "LDREXB/STREXB");
    shared.twice = 0xfffffff0ull;
    both(add_double, INCREMENTS);
    /* each step adds 2^32 + 1: carries show whether both words move together */
    uint64_t expected = 0xfffffff0ull;
    for (uint32_t i = 0; i < 2 * INCREMENTS; i++)
        expected += 0x100000001ull;
    tap_equal(shared.twice, expected, "LDREXD/STREXD: 64 bits in one piece");
}

/* ---- the monitor itself ---- */

uint32_t monitor_without_ldrex(volatile uint32_t *at), monitor_after_clrex(volatile uint32_t *at),
    monitor_twice(volatile uint32_t *at), monitor_plain(volatile uint32_t *at);

static void check_monitor(void)
{
    shared.word = 5;
    tap_equal(monitor_plain(&shared.word), 0, "STREX after LDREX succeeds");
    tap_equal(shared.word, 0x77, "and stores");
    shared.word = 5;
    tap_equal(monitor_without_ldrex(&shared.word), 1, "STREX without LDREX fails");
    tap_equal(shared.word, 5, "and stores nothing");
    tap_equal(monitor_after_clrex(&shared.word), 1, "STREX after CLREX fails");
    tap_equal(monitor_twice(&shared.word), 1, "a second STREX after one LDREX fails");
}

static volatile uint32_t handshake;

static uint32_t overwrite(uint32_t value)
{
    shared.word = value;
    dsb();
    return 0;
}

uint32_t exclusive_load(volatile uint32_t *at), exclusive_store(volatile uint32_t *at, uint32_t value);

/* LDREX here, a store by CPU 1, STREX here. */
static void check_contention(void)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < 100; i++) {
        shared.word = i;
        exclusive_load(&shared.word);
        smp_call(overwrite, i + 1000);
        failed += exclusive_store(&shared.word, 0xbad);
        failed += shared.word == i + 1000;
    }
    tap_equal(failed, 200, "STREX fails when the other CPU has stored in between: 100 rounds");
}

/* ---- locks ---- */

static volatile uint32_t lock, ticket_next, ticket_owner;
static struct {
    volatile uint32_t a;
    uint32_t gap[31];
    volatile uint32_t b;
} guarded;

void spin_lock(volatile uint32_t *at), spin_unlock(volatile uint32_t *at);

static uint32_t under_lock(uint32_t count)
{
    uint32_t torn = 0;
    for (uint32_t i = 0; i < count; i++) {
        spin_lock(&lock);
        torn += guarded.a != guarded.b;
        guarded.a = guarded.a + 1;
        guarded.b = guarded.b + 1;
        spin_unlock(&lock);
    }
    return torn;
}

uint32_t exclusive_fetch_add(volatile uint32_t *at, uint32_t value);

static uint32_t under_ticket(uint32_t count)
{
    uint32_t torn = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t mine = exclusive_fetch_add(&ticket_next, 1);
        while (ticket_owner != mine)
            wfe();
        dmb();
        torn += guarded.a != guarded.b;
        guarded.a = guarded.a + 1;
        guarded.b = guarded.b + 1;
        dmb();
        ticket_owner = mine + 1;
        sev();
    }
    return torn;
}

static void check_locks(void)
{
    guarded.a = guarded.b = 0;
    smp_post(under_lock, LOCKED);
    uint32_t torn = under_lock(LOCKED);
    torn += smp_wait();
    tap_equal(torn, 0, "spinlock with WFE and SEV: nobody sees a half-done update");
    tap_equal(guarded.a, 2 * LOCKED, "and no update is lost, 20,000 on each CPU");
    guarded.a = guarded.b = 0;
    smp_post(under_ticket, LOCKED / 4);
    torn = under_ticket(LOCKED / 4);
    torn += smp_wait();
    tap_equal(torn, 0, "ticket lock: nobody sees a half-done update");
    tap_equal(guarded.a, LOCKED / 2, "and no update is lost");
}

/* ---- messages ---- */

static uint32_t answer_pings(uint32_t count)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        while (handshake != 2 * i + 1)
            wfe();
        dmb();
        bad += guarded.a != i;
        guarded.b = i * 3;
        dmb();
        handshake = 2 * i + 2;
        sev();
    }
    return bad;
}

static void check_messages(void)
{
    uint32_t bad = 0;
    handshake = 0;
    smp_post(answer_pings, PINGS);
    for (uint32_t i = 0; i < PINGS; i++) {
        guarded.a = i;
        dmb();
        handshake = 2 * i + 1;
        sev();
        while (handshake != 2 * i + 2)
            wfe();
        dmb();
        bad += guarded.b != i * 3;
    }
    bad += smp_wait();
    tap_equal(bad, 0, "2,000 messages there and back with WFE, SEV and DMB");
}

/* ---- interrupts ---- */

static volatile uint32_t irq_count[2], irq_last[2];

static bool on_irq(enum trap_kind kind, struct trap_frame *frame)
{
    (void)frame;
    if (kind != TRAP_IRQ)
        return false;
    uint32_t iar = *gicc(GICC_IAR), cpu = cpu_index();
    if ((iar & 0x3ff) == INTID_SPURIOUS)
        return true;
    if ((iar & 0x3ff) == INTID_TIMER_VIRTUAL) {
        write_cntv_ctl(0);
        isb();
    }
    irq_last[cpu] = iar;
    irq_count[cpu]++;
    dmb();
    *gicc(GICC_EOIR) = iar;
    dsb();
    sev();
    return true;
}

static uint32_t receive_sgis(uint32_t count)
{
    gic_init();
    uint32_t until = irq_count[1] + count;
    handshake = 1;
    sev();
    irq_enable();
    while (irq_count[1] != until)
        wfi();
    irq_disable();
    return irq_last[1];
}

static void check_sgis(void)
{
    gic_init();
    uint32_t bad = 0;
    handshake = 0;
    smp_post(receive_sgis, SGIS);
    while (!handshake)
        wfe();
    for (uint32_t i = 0; i < SGIS; i++) {
        uint32_t before = irq_count[1];
        gic_send_sgi(i % 16, 2);
        while (irq_count[1] == before)
            wfe();
        dmb();
        bad += irq_last[1] != i % 16; /* from CPU 0: bits 12:10 are 0 */
    }
    smp_wait();
    tap_equal(bad, 0, "200 SGIs wake CPU 1 from WFI, with their number and sender");
}

static uint32_t send_sgi(uint32_t argument)
{
    gic_init();
    dsb();
    *gicd(GICD_SGIR) = argument;
    return 0;
}

static void check_sgi_targets(void)
{
    static const struct {
        const char *name;
        uint32_t sgir; /* written by CPU 1 */
        bool arrives;
    } cases[] = {
        {"to CPU 0 by list", 1u << 16 | 9, true},
        {"to all but the sender", 1u << 24 | 9, true},
        {"to the sender only", 2u << 24 | 9, false},
        {"to both by list", 3u << 16 | 9, true},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t before = irq_count[0];
        irq_enable();
        smp_call(send_sgi, cases[i].sgir);
        uint64_t until = read_cntpct() + CNT_HZ / 1000;
        while (irq_count[0] == before && read_cntpct() < until)
            ;
        irq_disable();
        bool came = irq_count[0] == before + 1 && irq_last[0] == (9 | 1u << 10);
        tap_ok(cases[i].arrives ? came : irq_count[0] == before, "SGI of CPU 1 %s: %s CPU 0, and names its sender",
               cases[i].name, cases[i].arrives ? "reaches" : "does not reach");
    }
}

static uint32_t own_timer(uint32_t milliseconds)
{
    gic_init();
    gic_enable(INTID_TIMER_VIRTUAL);
    uint32_t before = irq_count[1];
    irq_enable();
    uint64_t due = read_cntvct() + milliseconds * (CNT_HZ / 1000);
    write_cntv_cval(due);
    write_cntv_ctl(CNT_ENABLE);
    isb();
    while ((irq_last[1] & 0x3ff) != INTID_TIMER_VIRTUAL)
        wfi();
    irq_disable();
    return read_cntvct() >= due && irq_count[1] > before;
}

static void check_private(void)
{
    uint32_t before = irq_count[0];
    irq_last[1] = 0;
    irq_enable();
    uint32_t on_time = smp_call(own_timer, 3);
    irq_disable();
    tap_equal(on_time, 1, "CPU 1's own timer interrupts CPU 1");
    tap_equal(irq_count[0], before, "and not CPU 0: the interrupt is private");
    tap_ok(!(*gicd(GICD_ISENABLER) >> INTID_TIMER_VIRTUAL & 1), "its enable bit is banked");
}

/* ---- PSCI ---- */

static void check_start(int32_t status)
{
    tap_equal((uint32_t)status, PSCI_SUCCESS, "CPU_ON of CPU 1");
    struct smp_entry_state s = smp_entry_state();
    tap_equal(s.cpsr & (CPSR_MODE | CPSR_I | CPSR_F | CPSR_T | CPSR_E), CPSR_MODE_SVC | CPSR_I | CPSR_F,
              "CPU 1 starts in SVC mode with interrupts masked");
    tap_equal(s.sctlr & (SCTLR_M | SCTLR_C | SCTLR_V), 0, "CPU 1 starts with its MMU off");
    tap_equal(s.mpidr & 0x80ffffff, 0x80000001, "CPU 1's MPIDR");
    tap_equal((uint32_t)psci_hvc(PSCI_AFFINITY_INFO, 1, 0, 0), 0, "AFFINITY_INFO: CPU 1 is on");
    tap_equal((uint32_t)psci_cpu_on(1, 0), (uint32_t)PSCI_ALREADY_ON, "CPU_ON once more: ALREADY_ON");
}

static uint32_t turn_off(uint32_t argument)
{
    (void)argument;
    mmu_disable();
    psci_hvc(PSCI_CPU_OFF, 0, 0, 0);
    return 0;
}

static void check_off_and_on(void)
{
    smp_post(turn_off, 0);
    while (psci_hvc(PSCI_AFFINITY_INFO, 1, 0, 0) == 0)
        ;
    tap_equal((uint32_t)psci_hvc(PSCI_AFFINITY_INFO, 1, 0, 0), 1, "CPU_OFF: AFFINITY_INFO says off");
    tap_equal((uint32_t)smp_start(root), PSCI_SUCCESS, "CPU_ON a second time");
    shared.word = 0;
    both(add_word, 1000);
    tap_equal(shared.word, 2000, "and CPU 1 works again");
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    int32_t status = smp_start(root);
    if (status != PSCI_SUCCESS)
        tap_bail("CPU_ON of CPU 1 returned %d: this blob needs two CPUs", (int)status);
    check_start(status);
    check_monitor();
    check_increments();
    check_contention();
    check_locks();
    check_messages();
    trap_set_hook(on_irq);
    check_sgis();
    check_sgi_targets();
    check_private();
    check_off_and_on();
    return tap_finish();
}
