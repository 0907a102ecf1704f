/* SPDX-License-Identifier: GPL-2.0-or-later
 * The C half of the vectors: records, skips, or ends the run.
 */
#include "trap.h"

#include "cp15.h"
#include "tap.h"

#define USER_EXIT_SVC 0x55

extern const char user_resume[];

static struct trap last;
static bool expecting;
static trap_hook hook;

void trap_begin(void)
{
    last = (struct trap){0};
    write_dfsr(0);
    write_ifsr(0);
    write_dfar(0);
    write_ifar(0);
    expecting = true;
    dsb();
}

struct trap trap_end(void)
{
    dsb();
    __asm__ volatile("" ::: "memory");
    expecting = false;
    return last;
}

void trap_set_hook(trap_hook new_hook)
{
    hook = new_hook;
    dsb();
}

const char *trap_name(enum trap_kind kind)
{
    static const char *const names[] = {"none", "undefined", "svc", "prefetch abort", "data abort", "irq", "fiq"};
    return names[kind];
}

static uint32_t instruction_size(const struct trap_frame *frame)
{
    if (!(frame->cpsr & CPSR_T))
        return 4;
    return *(const volatile uint16_t *)frame->pc >> 11 >= 0x1d ? 4 : 2;
}

/* ITAdvance, A2.5.2: bits 4:0 shift up until the low three are empty. */
static uint32_t it_advance(uint32_t cpsr)
{
    uint32_t it = ((cpsr >> 8) & 0xfc) | ((cpsr >> 25) & 3);
    it = (it & 7) == 0 ? 0 : (it & 0xe0) | ((it << 1) & 0x1f);
    return (cpsr & ~CPSR_IT) | ((it & 0xfc) << 8) | ((it & 3) << 25);
}

void trap_skip(struct trap_frame *frame)
{
    frame->pc += instruction_size(frame);
    frame->cpsr = it_advance(frame->cpsr);
}

static uint32_t svc_immediate(const struct trap_frame *frame)
{
    if (frame->cpsr & CPSR_T)
        return *(const volatile uint16_t *)(frame->pc - 2) & 0xff;
    return *(const volatile uint32_t *)(frame->pc - 4) & 0xffffff;
}

static bool leave_user(enum trap_kind kind, struct trap_frame *frame)
{
    if (kind != TRAP_SVC || (frame->cpsr & CPSR_MODE) != CPSR_MODE_USR || (frame->cpsr & CPSR_T) ||
        svc_immediate(frame) != USER_EXIT_SVC)
        return false;
    frame->pc = (uint32_t)user_resume;
    frame->cpsr = (frame->cpsr & ~(CPSR_MODE | CPSR_IT)) | CPSR_MODE_SVC;
    return true;
}

static void record(enum trap_kind kind, const struct trap_frame *frame)
{
    last.count++;
    last.kind = kind;
    last.pc = frame->pc;
    last.spsr = frame->cpsr;
    last.entry_cpsr = read_cpsr();
    last.dfsr = read_dfsr();
    last.dfar = read_dfar();
    last.ifsr = read_ifsr();
    last.ifar = read_ifar();
    if (kind == TRAP_SVC)
        last.svc = svc_immediate(frame);
}

void trap_handler(enum trap_kind kind, struct trap_frame *frame)
{
    if (kind == TRAP_UNDEF)
        frame->pc -= frame->cpsr & CPSR_T ? 2 : 4;
    if (leave_user(kind, frame))
        return;
    if (expecting)
        record(kind, frame);
    if (hook && hook(kind, frame))
        return;
    if (!expecting || kind == TRAP_IRQ || kind == TRAP_FIQ || last.count > 1000)
        tap_bail("unexpected %s on CPU %u: pc %08x cpsr %08x dfsr %03x dfar %08x ifsr %03x ifar %08x", trap_name(kind),
                 (unsigned)cpu_index(), (unsigned)frame->pc, (unsigned)frame->cpsr, (unsigned)read_dfsr(),
                 (unsigned)read_dfar(), (unsigned)read_ifsr(), (unsigned)read_ifar());
    if (kind == TRAP_PABT) {
        frame->pc = frame->r[12]; /* ARM code, see probe.S */
        frame->cpsr &= ~(CPSR_T | CPSR_IT);
    } else if (kind != TRAP_SVC) {
        trap_skip(frame);
    }
}
