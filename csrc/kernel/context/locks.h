/* SPDX-License-Identifier: GPL-2.0-or-later
 * Locks: raw_spinlock_t spins on every kernel, spinlock_t sleeps under PREEMPT_RT, mmap_lock always sleeps. */
#ifndef PYEMU_KERNEL_LOCKS_H
#define PYEMU_KERNEL_LOCKS_H

#include "kernel/context/context.h"

struct lock_state {
    bool occupied; /* by a task of another CPU: whoever wants it has to wait */
    uint64_t acquisitions;
    uint64_t contended;
};

/* Bill, checks and reports are made here.  A lock that is occupied is counted as contended and then taken: where the
 * caller may not sleep, the report says that it would really have blocked. */
void spin_lock(struct pe_kernel *k, pe_lock lock);
void spin_unlock(struct pe_kernel *k, pe_lock lock);
void spin_lock_irqsave(struct pe_kernel *k, pe_lock lock);
void spin_unlock_irqrestore(struct pe_kernel *k, pe_lock lock);
/* False where it is occupied.  A report where PREEMPT_RT forbids the attempt (hard-irq context). */
bool spin_trylock(struct pe_kernel *k, pe_lock lock);
void raw_spin_lock_irqsave(struct pe_kernel *k, pe_lock lock);
void raw_spin_unlock_irqrestore(struct pe_kernel *k, pe_lock lock);
void mmap_read_lock(struct pe_kernel *k);
void mmap_read_unlock(struct pe_kernel *k);
void mmap_write_lock(struct pe_kernel *k);
void mmap_write_unlock(struct pe_kernel *k);

#endif
