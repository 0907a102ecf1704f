/* SPDX-License-Identifier: GPL-2.0-or-later
 * How an exception is entered: VBAR, high vectors, SCTLR.TE and EE, masks, nesting (ARM DDI 0406C B1.8, B1.9).
 */
#include "cp15.h"
#include "gic.h"
#include "mmu.h"
#include "tap.h"
#include "trap.h"

extern uint32_t vectors[];
extern uint32_t thumb_vectors[], recording_vectors[];
extern const char recording_vectors_end[];

/* What the recording vectors of vectors_asm.S store: the vector's number, CPSR on entry, LR and SPSR. */
struct entry {
    uint32_t vector, cpsr, lr, spsr;
};
extern volatile struct entry recorded;

void raise_undef(void), raise_svc(void), raise_data_abort(void), raise_prefetch_abort(void), raise_undef_thumb(void),
    raise_svc_thumb(void);
extern const char after_undef[], after_svc[], at_data_abort[], after_undef_thumb[], after_svc_thumb[];

#define NOWHERE 0xb0000000u
#define HIGH    0xffff0000u

static uint64_t *root;

static void use_vectors(const uint32_t *at)
{
    write_vbar((uint32_t)at);
    isb();
}

struct raise {
    const char *name;
    void (*run)(void);
    uint32_t vector, mode, lr;
    uint32_t thumb;
};

static struct raise raises[] = {
    {"undefined instruction", raise_undef, 1, CPSR_MODE_UND, 0, 0},
    {"SVC", raise_svc, 2, CPSR_MODE_SVC, 0, 0},
    {"prefetch abort", raise_prefetch_abort, 3, CPSR_MODE_ABT, NOWHERE + 4, 0},
    {"data abort", raise_data_abort, 4, CPSR_MODE_ABT, 0, 0},
    {"undefined instruction in Thumb state", raise_undef_thumb, 1, CPSR_MODE_UND, 0, 1},
    {"SVC in Thumb state", raise_svc_thumb, 2, CPSR_MODE_SVC, 0, 1},
};
#define N_RAISES (sizeof raises / sizeof raises[0])

static void set_return_addresses(void)
{
    raises[0].lr = (uint32_t)after_undef;
    raises[1].lr = (uint32_t)after_svc;
    raises[3].lr = (uint32_t)at_data_abort + 8;
    raises[4].lr = (uint32_t)after_undef_thumb;
    raises[5].lr = (uint32_t)after_svc_thumb;
}

static void check_raise(const struct raise *r, const char *how)
{
    recorded.vector = 0;
    uint32_t before = read_cpsr();
    r->run();
    uint32_t mask = CPSR_MODE | CPSR_T | CPSR_I | CPSR_F | CPSR_E | CPSR_A;
    /* IRQs are masked, FIQs stay, asynchronous aborts are masked except by undefined instructions and SVC */
    uint32_t cpsr = r->mode | CPSR_I | (before & (CPSR_F | CPSR_A));
    bool ok = recorded.vector == r->vector && (recorded.cpsr & mask) == cpsr && recorded.lr == r->lr &&
              (recorded.spsr & mask) == ((before & mask) | (r->thumb ? CPSR_T : 0));
    if (!tap_ok(ok, "%s: %s: vector, CPSR, LR and SPSR", how, r->name))
        tap_note("  vector %u cpsr %08x (%08x) lr %08x (%08x) spsr %08x", (unsigned)recorded.vector,
                 (unsigned)recorded.cpsr, (unsigned)cpsr, (unsigned)recorded.lr, (unsigned)r->lr,
                 (unsigned)recorded.spsr);
}

static void check_all(const char *how, const uint32_t *table)
{
    for (uint32_t i = 0; i < N_RAISES; i++) {
        use_vectors(table);
        check_raise(&raises[i], how);
        use_vectors(vectors);
    }
}

static void change_sctlr(uint32_t clear, uint32_t set)
{
    write_sctlr((read_sctlr() & ~clear) | set);
    isb();
}

static void check_high_vectors(void)
{
    *lpae_slot(root, HIGH, 3) = CLEAR | LPAE_RX | LPAE_PAGE;
    volatile uint32_t *copy = (volatile uint32_t *)CLEAR;
    for (uint32_t i = 0; i < (uint32_t)(recording_vectors_end - (const char *)recording_vectors) / 4; i++)
        copy[i] = recording_vectors[i];
    code_sync();
    tlb_flush_all();
    change_sctlr(0, SCTLR_V);
    for (uint32_t i = 0; i < N_RAISES; i++)
        check_raise(&raises[i], "SCTLR.V");
    change_sctlr(SCTLR_V, 0);
    *lpae_slot(root, HIGH, 3) = 0;
    tlb_flush_all();
}

/* EE also turns the walks' byte order: only with the MMU off can the tables stay as they are. */
static void check_endianness(void)
{
    mmu_disable();
    change_sctlr(0, SCTLR_EE);
    use_vectors(recording_vectors);
    recorded.vector = 0;
    raise_svc();
    change_sctlr(SCTLR_EE, 0);
    use_vectors(vectors);
    tap_ok(recorded.vector == 2 && (recorded.cpsr & CPSR_E) && !(recorded.spsr & CPSR_E),
           "SCTLR.EE: an exception is entered big-endian, and returns little-endian");
    lpae_enable(root);
}

/* A second abort in the handler of the first. */
static uint32_t depth, second_far;

static bool fault_again(enum trap_kind kind, struct trap_frame *frame)
{
    if (kind != TRAP_DABT)
        return false;
    if (++depth == 2) {
        second_far = read_dfar();
        trap_skip(frame);
        return true;
    }
    /* the second abort takes LR_abt and SPSR_abt of the first, which start.S has saved in the frame */
    __asm__ volatile("mov r3, lr\n\tldr r2, [%0]\n\tmov lr, r3" ::"r"(NOWHERE + 0x100) : "r2", "r3", "memory");
    trap_skip(frame);
    return true;
}

static void check_nesting(void)
{
    depth = 0;
    trap_set_hook(fault_again);
    probe_read(NOWHERE, 0);
    trap_set_hook(0);
    tap_ok(depth == 2 && second_far == NOWHERE + 0x100, "an abort in the handler of an abort, and back");
}

/* The flags and the masks survive. */
uint32_t flags_around_abort(uint32_t cpsr, uint32_t va);

static void check_flags(void)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t flags = i << 27; /* N, Z, C, V, Q */
        trap_begin();
        bad += (flags_around_abort(flags, NOWHERE) & 0xf8000000u) != flags;
        bad += trap_end().count != 1;
    }
    tap_equal(bad, 0, "N, Z, C, V and Q are the same after a data abort, all 32 combinations");
}

/* IRQs: masked by an exception, unmasked by its return. */
static volatile uint32_t irqs, irq_pending, irq_waited;

static bool on_irq(enum trap_kind kind, struct trap_frame *frame)
{
    if (kind == TRAP_SVC) {
        /* an SGI that comes now must wait */
        uint32_t before = irqs;
        gic_send_sgi(1, 1);
        dsb();
        isb();
        for (uint32_t i = 0; i < 1000 && !gic_is_pending(1); i++)
            ;
        irq_pending = gic_is_pending(1) && (read_isr() & CPSR_I);
        irq_waited = irqs == before;
        return true;
    }
    if (kind != TRAP_IRQ)
        return false;
    (void)frame;
    *gicc(GICC_EOIR) = *gicc(GICC_IAR);
    dsb();
    irqs++;
    return true;
}

static void check_masking(void)
{
    gic_init();
    trap_set_hook(on_irq);
    irqs = 0;
    irq_enable();
    raise_svc();
    isb();
    irq_disable();
    trap_set_hook(0);
    tap_equal(irq_pending, 1, "ISR.I and the GIC show an interrupt that is masked");
    tap_ok(irq_waited == 1, "an interrupt that comes during SVC handling waits");
    tap_equal(irqs, 1, "and is taken after its return");
}

int main(void)
{
    root = lpae_new();
    lpae_map_identity(root);
    lpae_enable(root);
    set_return_addresses();
    check_all("VBAR", recording_vectors);
    change_sctlr(0, SCTLR_TE);
    check_all("SCTLR.TE", thumb_vectors); /* MRS reads CPSR.T as 0: that Thumb code ran is the proof */
    change_sctlr(SCTLR_TE, 0);
    check_high_vectors();
    check_endianness();
    check_nesting();
    check_flags();
    check_masking();
    return tap_finish();
}
