/* SPDX-License-Identifier: GPL-2.0-or-later
 * Locks: what taking one costs, forbids and reports (kernel/locking/spinlock_rt.c, include/linux/spinlock.h). */
#include "kernel/context/locks.h"

#include "kernel/cost.h"

static const struct {
    const char *name;
    bool raw;
} LOCKS[PE_LOCKS] = {
    [PE_LOCK_KMAP] = {"kmap_lock", false},
    [PE_LOCK_PAGE_ADDRESS] = {"page_address_htable[n].lock", false},
    [PE_LOCK_PAGE_TABLE] = {"ptlock_ptr(page)", false},
    [PE_LOCK_INIT_MM] = {"init_mm.page_table_lock", false},
    [PE_LOCK_ZONE] = {"zone->lock", false},
    [PE_LOCK_PKMAP_WAIT] = {"pkmap_map_wait.lock", false},
    [PE_LOCK_CPU_ASID] = {"cpu_asid_lock", true},
    [PE_LOCK_RQ] = {"rq->lock", true},
    [PE_LOCK_MMAP] = {"mmap_lock", false},
};

const char *pe_lock_name(pe_lock lock)
{
    return (unsigned)lock < PE_LOCKS ? LOCKS[lock].name : NULL;
}

static bool sleeps(const struct pe_kernel *k, pe_lock lock)
{
    return is_rt(k) && !LOCKS[lock].raw;
}

static void traced(struct pe_kernel *k, pe_trace_kind kind, pe_lock lock)
{
    if (is_traced(k)) {
        trace_add(k, &(pe_trace_event){.kind = (uint8_t)kind,
                                       .code = (uint8_t)lock,
                                       .value = sleeps(k, lock) || lock == PE_LOCK_MMAP,
                                       .old_value = k->locks[lock].occupied});
    }
}

static void hold(struct pe_kernel *k, pe_lock lock)
{
    struct task *t = current_task(k);
    if (t->held < LOCKS_HELD_MAX) {
        t->locks[t->held] = (uint8_t)lock;
    }
    t->held++;
    k->stats.lock_acquisitions++;
    k->locks[lock].acquisitions++;
    if (k->locks[lock].occupied) {
        k->stats.lock_contended++;
        k->locks[lock].contended++;
    }
    traced(k, PE_TRACE_LOCK, lock);
}

/* Locks may be given back in any order: the last one of this kind goes. */
static void drop(struct pe_kernel *k, pe_lock lock)
{
    struct task *t = current_task(k);
    const uint32_t kept = t->held < LOCKS_HELD_MAX ? t->held : LOCKS_HELD_MAX;
    for (uint32_t i = kept; i-- > 0;) {
        if (t->locks[i] == (uint8_t)lock) {
            memmove(&t->locks[i], &t->locks[i + 1], kept - i - 1);
            t->held--;
            return;
        }
    }
    if (t->held > LOCKS_HELD_MAX) {
        t->held--;
    } else {
        report(k, PE_REPORT_UNBALANCED, lock, false, 0);
    }
}

static void bill_lock(struct pe_kernel *k, bool rt)
{
    cost_insns(k, (rt ? k->costs.locks.rt_lock : k->costs.locks.spin_lock) / 2);
    cost_exclusive(k);
}

void spin_lock(struct pe_kernel *k, pe_lock lock)
{
    const bool rt = sleeps(k, lock);
    if (rt) {
        chain_enter(k->cpu, PE_FN_SPIN_LOCK);
        rtlock_might_resched(k, lock);
        chain_leave(k->cpu);
        rcu_read_lock(k);
        migrate_disable(k);
    } else {
        preempt_disable(k);
    }
    bill_lock(k, rt);
    hold(k, lock);
}

void spin_unlock(struct pe_kernel *k, pe_lock lock)
{
    const bool rt = sleeps(k, lock);
    drop(k, lock);
    bill_lock(k, rt);
    traced(k, PE_TRACE_UNLOCK, lock);
    if (rt) {
        migrate_enable(k);
        rcu_read_unlock(k);
    } else {
        preempt_enable(k);
    }
}

void spin_lock_irqsave(struct pe_kernel *k, pe_lock lock)
{
    if (!sleeps(k, lock)) {
        local_irq_save(k);
    }
    spin_lock(k, lock);
}

void spin_unlock_irqrestore(struct pe_kernel *k, pe_lock lock)
{
    spin_unlock(k, lock);
    if (!sleeps(k, lock)) {
        local_irq_restore(k);
    }
}

bool spin_trylock(struct pe_kernel *k, pe_lock lock)
{
    const bool rt = sleeps(k, lock);
    if (rt && k->cpu->hardirq) {
        chain_enter(k->cpu, PE_FN_SPIN_LOCK);
        report(k, PE_REPORT_TRYLOCK_IN_HARDIRQ, lock, false, 0);
        chain_leave(k->cpu);
    }
    if (k->locks[lock].occupied) {
        bill_lock(k, rt);
        k->stats.lock_contended++;
        k->locks[lock].contended++;
        traced(k, PE_TRACE_TRYLOCK, lock);
        return false;
    }
    if (rt) {
        rcu_read_lock(k);
        migrate_disable(k);
    } else {
        preempt_disable(k);
    }
    bill_lock(k, rt);
    hold(k, lock);
    return true;
}

void raw_spin_lock_irqsave(struct pe_kernel *k, pe_lock lock)
{
    local_irq_save(k);
    preempt_disable(k);
    bill_lock(k, false);
    hold(k, lock);
}

void raw_spin_unlock_irqrestore(struct pe_kernel *k, pe_lock lock)
{
    drop(k, lock);
    bill_lock(k, false);
    traced(k, PE_TRACE_UNLOCK, lock);
    preempt_enable(k);
    local_irq_restore(k);
}

static void mmap_lock(struct pe_kernel *k)
{
    might_sleep(k);
    bill_lock(k, false);
    hold(k, PE_LOCK_MMAP);
}

static void mmap_unlock(struct pe_kernel *k)
{
    drop(k, PE_LOCK_MMAP);
    bill_lock(k, false);
    traced(k, PE_TRACE_UNLOCK, PE_LOCK_MMAP);
}

void mmap_read_lock(struct pe_kernel *k)
{
    mmap_lock(k);
}

void mmap_read_unlock(struct pe_kernel *k)
{
    mmap_unlock(k);
}

void mmap_write_lock(struct pe_kernel *k)
{
    mmap_lock(k);
}

void mmap_write_unlock(struct pe_kernel *k)
{
    mmap_unlock(k);
}

pe_status pe_kernel_lock_occupy(pe_kernel *k, pe_lock lock, bool occupied, pe_error *err)
{
    if ((unsigned)lock >= PE_LOCKS) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no lock %d: 0 to %d are", (int)lock, PE_LOCKS - 1);
    }
    if (k->locks[lock].occupied == occupied) {
        return pe_fail(err, PE_ERR_STATE, "%s is %s already", LOCKS[lock].name, occupied ? "occupied" : "free");
    }
    k->locks[lock].occupied = occupied;
    return PE_OK;
}
