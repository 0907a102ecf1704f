/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the running CPU and its task have disabled: interrupts, preemption, RCU grace periods, migration. */
#include "kernel/context/context.h"

#include "kernel/cost.h"

/* One step down of a counter that must not pass zero. */
static void step_down(struct pe_kernel *k, uint32_t *counter)
{
    if (*counter) {
        (*counter)--;
    } else {
        report(k, PE_REPORT_UNBALANCED, PE_LOCKS, false, 0);
    }
}

/* Without PREEMPT_COUNT and PREEMPT_RCU these are barriers of the compiler. */
static void cost_counter(struct pe_kernel *k, uint32_t sixteenths)
{
    if (k->config.preemption >= PE_PREEMPT_FULL) {
        cost_insns(k, sixteenths);
    }
}

static void traced(struct pe_kernel *k, pe_context_change change, uint32_t depth)
{
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = PE_TRACE_CONTEXT, .code = (uint8_t)change, .value = depth});
    }
}

void local_irq_save(struct pe_kernel *k)
{
    cost_insns(k, k->costs.locks.irqsave / 2);
    k->cpu->irqs_off++;
    traced(k, PE_CONTEXT_IRQ_DISABLE, k->cpu->irqs_off);
}

void local_irq_restore(struct pe_kernel *k)
{
    cost_insns(k, k->costs.locks.irqsave - k->costs.locks.irqsave / 2);
    step_down(k, &k->cpu->irqs_off);
    traced(k, PE_CONTEXT_IRQ_ENABLE, k->cpu->irqs_off);
}

void preempt_disable(struct pe_kernel *k)
{
    cost_counter(k, k->costs.locks.preempt / 2);
    current_task(k)->preempt_count++;
    traced(k, PE_CONTEXT_PREEMPT_DISABLE, current_task(k)->preempt_count);
}

void preempt_enable(struct pe_kernel *k)
{
    cost_counter(k, k->costs.locks.preempt - k->costs.locks.preempt / 2);
    step_down(k, &current_task(k)->preempt_count);
    traced(k, PE_CONTEXT_PREEMPT_ENABLE, current_task(k)->preempt_count);
}

void rcu_read_lock(struct pe_kernel *k)
{
    cost_counter(k, k->costs.locks.rcu_read / 2);
    current_task(k)->rcu_depth++;
    traced(k, PE_CONTEXT_RCU_LOCK, current_task(k)->rcu_depth);
}

void rcu_read_unlock(struct pe_kernel *k)
{
    cost_counter(k, k->costs.locks.rcu_read - k->costs.locks.rcu_read / 2);
    step_down(k, &current_task(k)->rcu_depth);
    traced(k, PE_CONTEXT_RCU_UNLOCK, current_task(k)->rcu_depth);
}

void migrate_disable(struct pe_kernel *k)
{
    cost_insns(k, k->costs.kmap.migrate_disable);
    current_task(k)->migrate_disabled++;
    traced(k, PE_CONTEXT_MIGRATE_DISABLE, current_task(k)->migrate_disabled);
}

void migrate_enable(struct pe_kernel *k)
{
    cost_insns(k, k->costs.kmap.migrate_enable);
    step_down(k, &current_task(k)->migrate_disabled);
    traced(k, PE_CONTEXT_MIGRATE_ENABLE, current_task(k)->migrate_disabled);
}

void pagefault_disable(struct pe_kernel *k)
{
    current_task(k)->pagefault_disabled++;
}

void pagefault_enable(struct pe_kernel *k)
{
    step_down(k, &current_task(k)->pagefault_disabled);
}

bool in_atomic(const struct pe_kernel *k)
{
    return current_task(k)->preempt_count || k->cpu->hardirq;
}

void might_sleep(struct pe_kernel *k)
{
    if (in_atomic(k) || k->cpu->irqs_off || current_task(k)->rcu_depth) {
        report(k, PE_REPORT_SLEEPING_FUNCTION, PE_LOCKS, false, 0);
    }
}

void rtlock_might_resched(struct pe_kernel *k, pe_lock lock)
{
    const bool atomic = in_atomic(k) || k->cpu->irqs_off;
    if (!atomic) {
        return;
    }
    const bool occupied = k->locks[lock].occupied;
    report(k, PE_REPORT_SLEEPING_FUNCTION, lock, occupied, 0);
    if (occupied) {
        report(k, PE_REPORT_SCHEDULING_ATOMIC, lock, true, 0);
    }
}

/* ---- from outside ---- */

pe_status pe_kernel_context_read(const pe_kernel *k, uint32_t cpu, pe_kernel_context *out, pe_error *err)
{
    if (cpu >= k->config.cpus) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no CPU %u: there are %u", cpu, k->config.cpus);
    }
    const struct kernel_cpu *c = &k->cpus[cpu];
    const struct task *t = c->current;
    *out = (pe_kernel_context){
        .cpu = cpu,
        .pid = t->pid,
        .irqs_disabled = c->irqs_off,
        .in_hardirq = c->hardirq,
        .preempt_count = t->preempt_count,
        .rcu_depth = t->rcu_depth,
        .migrate_disabled = t->migrate_disabled,
        .kmap_depth = t->kmap_ctrl.idx,
        .held = t->held < PE_REPORT_HELD ? t->held : PE_REPORT_HELD,
    };
    memcpy(out->locks, t->locks, sizeof out->locks);
    return PE_OK;
}

static pe_status unbalanced(pe_error *err, const char *what)
{
    return pe_fail(err, PE_ERR_STATE, "%s is not disabled: nothing to enable", what);
}

/* A handler may have turned interrupts on, and left them so. */
static void hardirq(struct pe_kernel *k, bool enter)
{
    k->cpu->hardirq += enter ? 1u : UINT32_MAX;
    if (enter) {
        k->cpu->irqs_off++;
    } else if (k->cpu->irqs_off) {
        k->cpu->irqs_off--;
    }
}

pe_status pe_kernel_context_change(pe_kernel *k, pe_context_change change, pe_error *err)
{
    struct task *t = current_task(k);
    switch (change) {
    case PE_CONTEXT_IRQ_DISABLE: local_irq_save(k); return PE_OK;
    case PE_CONTEXT_PREEMPT_DISABLE: preempt_disable(k); return PE_OK;
    case PE_CONTEXT_RCU_LOCK: rcu_read_lock(k); return PE_OK;
    case PE_CONTEXT_MIGRATE_DISABLE: migrate_disable(k); return PE_OK;
    case PE_CONTEXT_HARDIRQ_ENTER: hardirq(k, true); return PE_OK;
    case PE_CONTEXT_IRQ_ENABLE:
        if (!k->cpu->irqs_off) {
            return unbalanced(err, "interrupts: local_irq_disable");
        }
        local_irq_restore(k);
        return PE_OK;
    case PE_CONTEXT_PREEMPT_ENABLE:
        if (!t->preempt_count) {
            return unbalanced(err, "preemption");
        }
        preempt_enable(k);
        return PE_OK;
    case PE_CONTEXT_RCU_UNLOCK:
        if (!t->rcu_depth) {
            return unbalanced(err, "RCU");
        }
        rcu_read_unlock(k);
        return PE_OK;
    case PE_CONTEXT_MIGRATE_ENABLE:
        if (!t->migrate_disabled) {
            return unbalanced(err, "migration");
        }
        migrate_enable(k);
        return PE_OK;
    case PE_CONTEXT_HARDIRQ_EXIT:
        if (!k->cpu->hardirq) {
            return unbalanced(err, "hard-irq context");
        }
        hardirq(k, false);
        return PE_OK;
    }
    return pe_fail(err, PE_ERR_ARGUMENT, "context change %d is unknown: 0 to %d are known", (int)change,
                   (int)PE_CONTEXT_HARDIRQ_EXIT);
}
