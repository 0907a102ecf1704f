/* SPDX-License-Identifier: GPL-2.0-or-later
 * System calls from outside: the task runs, its call is made, what waited for a grace period is free. */
#include "kernel/cost.h"

#include <errno.h>

/* The task that calls, with an address space; NULL: the error says why not. */
static struct task *enter(struct pe_kernel *k, uint32_t pid, pe_error *err)
{
    struct task *task = run_task(k, pid, err);
    if (task && !task->mm) {
        pe_fail(err, PE_ERR_STATE, "task %u is a kernel thread: it has no address space", pid);
        return NULL;
    }
    if (task) {
        syscall_enter(k);
    }
    return task;
}

static pe_status no_task(const pe_error *err)
{
    return err && err->status ? err->status : PE_ERR_ARGUMENT;
}

pe_status pe_kernel_spawn(pe_kernel *k, const char *name, uint32_t cpu, int64_t *result, pe_error *err)
{
    if (cpu >= k->config.cpus) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no CPU %u: there are %u", cpu, k->config.cpus);
    }
    const struct task *task = task_spawn(k, name, cpu);
    *result = task ? (int64_t)task->pid : -ENOMEM;
    return PE_OK;
}

pe_status pe_kernel_fork(pe_kernel *k, uint32_t pid, int64_t *result, pe_error *err)
{
    struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = kernel_clone(k, task);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_exit(pe_kernel *k, uint32_t pid, int32_t status, pe_error *err)
{
    struct task *task = run_task(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    syscall_enter(k);
    do_exit(k, task, status);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_wait(pe_kernel *k, uint32_t pid, uint32_t child, int32_t *status, int64_t *result, pe_error *err)
{
    struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *status = 0;
    *result = do_wait(k, task, child, status);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_switch(pe_kernel *k, uint32_t pid, uint32_t cpu, pe_error *err)
{
    if (cpu >= k->config.cpus) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no CPU %u: there are %u", cpu, k->config.cpus);
    }
    struct task *task = pid ? find_task(k, pid) : &k->cpus[cpu].idle;
    if (!task || task->exited) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no task that runs has the pid %u", pid);
    }
    if (task->migrate_disabled && task->cpu != cpu) {
        return pe_fail(err, PE_ERR_STATE, "task %u may not leave CPU %u: migrate_disable is %u", pid, task->cpu,
                       task->migrate_disabled);
    }
    switch_to(k, cpu, task);
    return PE_OK;
}

/* ---- memory ---- */

/* mm_populate: pages are made without an exception each. */
static void populate(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t bytes, bool write)
{
    pe_regime regime;
    regime_of(k, mm, &regime);
    mmap_read_lock(k);
    for (uint32_t at = start; at - start < bytes; at += PAGE_SIZE) {
        pe_translation t;
        pe_translate(k->mem, &regime, at, write ? PE_WRITE : PE_READ, false, &t);
        struct vm_area *area = find_vma(mm, at);
        if (t.fault && area && handle_mm_fault(k, mm, area, at, write ? FAULT_FLAG_WRITE : 0)) {
            break;
        }
    }
    mmap_read_unlock(k);
}

pe_status pe_kernel_mmap(pe_kernel *k, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t prot, uint32_t flags,
                         int64_t *result, pe_error *err)
{
    const struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = do_mmap(k, task->mm, addr, bytes, prot, flags);
    if (*result >= 0 && flags & PE_MMAP_POPULATE && prot) {
        populate(k, task->mm, (uint32_t)*result, bytes, prot & PE_PROT_WRITE);
    }
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_munmap(pe_kernel *k, uint32_t pid, uint32_t addr, uint32_t bytes, int64_t *result, pe_error *err)
{
    const struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = do_munmap(k, task->mm, addr, bytes);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_mprotect(pe_kernel *k, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t prot, int64_t *result,
                             pe_error *err)
{
    const struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = do_mprotect(k, task->mm, addr, bytes, prot);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_madvise(pe_kernel *k, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t advice, int64_t *result,
                            pe_error *err)
{
    const struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = do_madvise(k, task->mm, addr, bytes, advice);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_mremap(pe_kernel *k, uint32_t pid, uint32_t addr, uint32_t old_bytes, uint32_t bytes,
                           uint32_t flags, uint32_t new_addr, int64_t *result, pe_error *err)
{
    const struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = do_mremap(k, task->mm, addr, old_bytes, bytes, flags, new_addr);
    syscall_leave(k);
    return PE_OK;
}

pe_status pe_kernel_brk(pe_kernel *k, uint32_t pid, uint32_t brk, int64_t *result, pe_error *err)
{
    const struct task *task = enter(k, pid, err);
    if (!task) {
        return no_task(err);
    }
    *result = do_brk(k, task->mm, brk);
    syscall_leave(k);
    return PE_OK;
}

/* ---- settings ---- */

pe_status pe_kernel_set_start_brk(pe_kernel *k, uint32_t pid, uint32_t start_brk, pe_error *err)
{
    const struct task *task = find_task(k, pid);
    if (!task || !task->mm) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no task with an address space has the pid %u", pid);
    }
    if (start_brk >= k->layout.task_size || task->mm->brk != task->mm->start_brk) {
        return pe_fail(err, PE_ERR_ARGUMENT, "a heap cannot begin at 0x%x: above TASK_SIZE, or it has begun",
                       start_brk);
    }
    task->mm->start_brk = task->mm->brk = start_brk;
    return PE_OK;
}

pe_status pe_kernel_set_thp(pe_kernel *k, pe_thp thp, pe_error *err)
{
    if ((unsigned)thp > PE_THP_ALWAYS) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no setting %d of transparent huge pages: 0 to 2 are", (int)thp);
    }
    if (thp != PE_THP_NEVER && !(k->config.flags & PE_KERNEL_THP)) {
        return pe_fail(err, PE_ERR_ARGUMENT, "TRANSPARENT_HUGEPAGE is not in this kernel");
    }
    k->tasks.thp = thp;
    return PE_OK;
}
