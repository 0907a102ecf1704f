/* SPDX-License-Identifier: GPL-2.0-or-later
 * Where the model executes: CPUs, tasks, what is disabled, and the chain of functions that led here. */
#ifndef PYEMU_KERNEL_CONTEXT_H
#define PYEMU_KERNEL_CONTEXT_H

#include "kernel/context/trace.h"

#define KM_MAX_IDX_DEBUG 33
#define CHAIN_MAX        32 /* deeper frames are counted but not kept */
#define LOCKS_HELD_MAX   16

struct mm;
struct user_context;

/* Windows of a task (include/linux/sched.h, struct kmap_ctrl). */
struct kmap_ctrl {
    uint32_t idx;
    uint64_t pteval[KM_MAX_IDX_DEBUG]; /* by slot, as the window's PTE holds it */
};

struct task {
    uint32_t pid; /* from 1; 0 marks a free slot */
    uint32_t parent;
    char name[16];
    struct mm *mm; /* NULL: a kernel thread */
    uint32_t cpu;  /* where it runs or ran last */
    bool running;
    uint32_t preempt_count;
    uint32_t rcu_depth;
    uint32_t migrate_disabled;
    uint32_t pagefault_disabled;
    uint32_t held; /* locks, outermost first */
    uint8_t locks[LOCKS_HELD_MAX];
    struct kmap_ctrl kmap_ctrl;
    uint32_t stack[2]; /* indices of the pages of its kernel stack, or NO_PAGE */
    bool exited;
    int32_t exit_status;
    struct user_context *user; /* of a hosted program; NULL */
};

struct kernel_cpu {
    uint32_t id;
    struct task *current; /* never NULL: at first the idle task */
    struct task idle;
    uint32_t irqs_off; /* depth of local_irq_disable and _save */
    uint32_t hardirq;
    struct {
        uint8_t functions[CHAIN_MAX]; /* pe_kernel_function, outermost first */
        uint32_t depth;
    } chain;
    uint64_t active_asid; /* arch/arm/mm/context.c */
    uint64_t reserved_asid;
    bool tlb_flush_pending;
    struct mm *active_mm;     /* whose tables are in TTBR0: the task's, or what the last one left; NULL: init_mm */
    pe_regime regime;         /* of the task that runs */
    struct pe_kernel *traced; /* NULL: nobody looks */
};

/* Push and pop what a report's call chain is made of: the first and last thing of a modelled function. */
static inline void chain_enter(struct kernel_cpu *cpu, pe_kernel_function function)
{
    if (cpu->chain.depth < CHAIN_MAX) {
        cpu->chain.functions[cpu->chain.depth] = (uint8_t)function;
    }
    cpu->chain.depth++;
    if (__builtin_expect(cpu->traced != NULL, 0)) {
        trace_function(cpu->traced, true);
    }
}

static inline void chain_leave(struct kernel_cpu *cpu)
{
    if (__builtin_expect(cpu->traced != NULL, 0)) {
        trace_function(cpu->traced, false);
    }
    cpu->chain.depth--;
}

/* include/linux/irqflags.h, preempt.h, rcupdate.h.  All of the CPU that runs, and its task. */
void local_irq_save(struct pe_kernel *k);
void local_irq_restore(struct pe_kernel *k);
void preempt_disable(struct pe_kernel *k);
void preempt_enable(struct pe_kernel *k);
void rcu_read_lock(struct pe_kernel *k);
void rcu_read_unlock(struct pe_kernel *k);
void migrate_disable(struct pe_kernel *k);
void migrate_enable(struct pe_kernel *k);
void pagefault_disable(struct pe_kernel *k);
void pagefault_enable(struct pe_kernel *k);
bool in_atomic(const struct pe_kernel *k);

/* Reports unless the context may sleep: preempt count 0, interrupts on, no RCU section (__might_resched). */
void might_sleep(struct pe_kernel *k);
/* The same for a sleeping lock under PREEMPT_RT, which an RCU section does not forbid (rtlock_might_resched). */
void rtlock_might_resched(struct pe_kernel *k, pe_lock lock);

/* context/report.c: counts it, and keeps it if it is the first of its kind, lock and chain. */
void report(struct pe_kernel *k, pe_report_kind kind, pe_lock lock, bool blocked, uint32_t value);

#endif
