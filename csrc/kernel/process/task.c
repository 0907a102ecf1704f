/* SPDX-License-Identifier: GPL-2.0-or-later
 * Tasks: made, forked, switched between, ended, reaped. */
#include "kernel/cost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* task_struct, signal_struct, sighand_struct, files_struct, mm_struct, pid and cred of a 32-bit SMP kernel. */
#define TASK_OBJECTS_BYTES 6144u

struct task *find_task(struct pe_kernel *k, uint32_t pid)
{
    return pid - 1 < k->tasks.count ? k->tasks.slot[pid - 1] : NULL;
}

/* ---- made and freed ---- */

static bool reserve_slot(struct pe_kernel *k, uint32_t *slot)
{
    struct tasks *t = &k->tasks;
    while (t->lowest < t->count && t->slot[t->lowest]) {
        t->lowest++;
    }
    if (t->lowest == t->capacity) {
        const uint32_t capacity = t->capacity ? 2 * t->capacity : 16;
        struct task **grown =
            heap_grow(k, t->slot, t->capacity * sizeof(struct task *), capacity * sizeof(struct task *));
        if (!grown) {
            return false;
        }
        t->slot = grown;
        t->capacity = capacity;
    }
    *slot = t->lowest;
    return true;
}

static void free_stack(struct pe_kernel *k, struct task *task)
{
    for (uint32_t i = 0; i < 2 && task->stack[i] != NO_PAGE; i++) {
        struct page *page = &k->frames.pages[task->stack[i]];
        page->flags &= ~(uint32_t)PE_PG_SLAB;
        page_zone(k->zones, &k->frames, page)->kernel_stack--;
        put_page(k, page);
        task->stack[i] = NO_PAGE;
    }
}

/* VMAP_STACK: 8 KB of single pages, which vmalloc takes from highmem. */
static bool alloc_stack(struct pe_kernel *k, struct task *task)
{
    task->stack[0] = task->stack[1] = NO_PAGE;
    for (uint32_t i = 0; i < 2; i++) {
        struct page *page = alloc_pages(k, PE_GFP_HIGHMEM, 0);
        if (!page) {
            free_stack(k, task);
            return false;
        }
        page->flags |= PE_PG_SLAB;
        page_zone(k->zones, &k->frames, page)->kernel_stack++;
        task->stack[i] = page_index(&k->frames, page);
    }
    return true;
}

static struct task *task_new(struct pe_kernel *k)
{
    uint32_t slot;
    struct task *task = heap_alloc(k, 1, sizeof *task);
    if (!task || !reserve_slot(k, &slot) || !slab_charge(k, TASK_OBJECTS_BYTES)) {
        heap_free(k, task);
        return NULL;
    }
    if (!alloc_stack(k, task)) {
        slab_uncharge(k, TASK_OBJECTS_BYTES);
        heap_free(k, task);
        return NULL;
    }
    task->pid = slot + 1;
    k->tasks.slot[slot] = task;
    k->tasks.count += slot == k->tasks.count;
    return task;
}

static void task_free(struct pe_kernel *k, struct task *task)
{
    free_stack(k, task);
    slab_uncharge(k, TASK_OBJECTS_BYTES);
    k->tasks.slot[task->pid - 1] = NULL;
    if (task->pid - 1 < k->tasks.lowest) {
        k->tasks.lowest = task->pid - 1;
    }
    heap_free(k, task->user);
    heap_free(k, task);
}

struct task *task_spawn(struct pe_kernel *k, const char *name, uint32_t cpu)
{
    struct task *task = task_new(k);
    if (!task) {
        return NULL;
    }
    if (!(task->mm = mm_alloc(k))) {
        task_free(k, task);
        return NULL;
    }
    task->cpu = cpu;
    snprintf(task->name, sizeof task->name, "%s", name);
    return task;
}

int32_t kernel_clone(struct pe_kernel *k, struct task *parent)
{
    chain_enter(k->cpu, PE_FN_DO_FORK);
    cost_insns(k, k->costs.process.fork_call);
    struct task *child = task_new(k);
    if (child) {
        child->parent = parent->pid;
        child->cpu = parent->cpu;
        memcpy(child->name, parent->name, sizeof child->name);
        child->kmap_ctrl = parent->kmap_ctrl; /* dup_task_struct copies everything */
        kmap_local_fork(k, child);
        child->mm = parent->mm ? dup_mm(k, parent->mm) : NULL;
        if (parent->mm && !child->mm) {
            task_free(k, child);
            child = NULL;
        }
    }
    k->stats.forks += child != NULL;
    chain_leave(k->cpu);
    return child ? (int32_t)child->pid : -ENOMEM;
}

/* ---- exit and wait ---- */

static void orphan_children(struct pe_kernel *k, uint32_t parent)
{
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        struct task *child = k->tasks.slot[i];
        if (child && child->parent == parent) {
            child->parent = 0;
            if (child->exited) {
                task_free(k, child); /* init reaps it */
            }
        }
    }
}

void do_exit(struct pe_kernel *k, struct task *task, int32_t status)
{
    struct mm *mm = task->mm;
    task->mm = NULL;
    k->stats.exits++;
    if (mm) {
        mmput(k, mm);
    }
    task->exited = true;
    task->exit_status = status;
    if (task->running) {
        switch_to(k, task->cpu, &k->cpus[task->cpu].idle);
    }
    orphan_children(k, task->pid);
    if (!find_task(k, task->parent)) {
        task_free(k, task);
    }
}

int32_t do_wait(struct pe_kernel *k, struct task *parent, uint32_t child, int32_t *status)
{
    bool any = false;
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        struct task *task = k->tasks.slot[i];
        if (!task || task->parent != parent->pid || (child && task->pid != child)) {
            continue;
        }
        any = true;
        if (task->exited) {
            const int32_t pid = (int32_t)task->pid;
            *status = task->exit_status;
            task_free(k, task);
            return pid;
        }
    }
    return any ? 0 : -ECHILD;
}

/* ---- switch ---- */

static void leave_other_cpu(struct pe_kernel *k, struct task *task)
{
    struct kernel_cpu *old = &k->cpus[task->cpu];
    if (task->running && old->current == task) {
        old->current = &old->idle;
        old->idle.running = true;
        task->running = false;
    }
}

/* switch_mm: a kernel thread goes on with the tables of the last task. */
static void switch_mm(struct pe_kernel *k, const struct task *next)
{
    if (next->mm && next->mm != k->cpu->active_mm) {
        cost_insns(k, k->costs.process.switch_mm);
        check_and_switch_context(k, next->mm);
    }
}

void switch_to(struct pe_kernel *k, uint32_t cpu, struct task *task)
{
    k->cpu = &k->cpus[cpu];
    struct task *prev = k->cpu->current;
    if (prev == task) {
        return;
    }
    if (task->cpu != cpu) {
        leave_other_cpu(k, task);
    }
    chain_enter(k->cpu, PE_FN_SCHEDULE);
    if (in_atomic(k)) {
        report(k, PE_REPORT_SCHEDULING_ATOMIC, PE_LOCKS, false, prev->preempt_count);
    }
    raw_spin_lock_irqsave(k, PE_LOCK_RQ);
    if (prev->kmap_ctrl.idx) {
        kmap_local_sched_out(k, prev);
    }
    switch_mm(k, task);
    raw_spin_unlock_irqrestore(k, PE_LOCK_RQ);
    prev->running = false;
    task->running = true;
    task->cpu = cpu;
    k->cpu->current = task;
    k->stats.context_switches++;
    if (task->kmap_ctrl.idx) {
        kmap_local_sched_in(k, task);
    }
    chain_leave(k->cpu);
}

/* ---- calls from outside ---- */

struct task *run_task(struct pe_kernel *k, uint32_t pid, pe_error *err)
{
    struct task *task = find_task(k, pid);
    if (!task) {
        pe_fail(err, PE_ERR_ARGUMENT, "no task has the pid %u", pid);
        return NULL;
    }
    if (task->exited) {
        pe_fail(err, PE_ERR_STATE, "task %u has exited", pid);
        return NULL;
    }
    switch_to(k, task->cpu, task);
    return task;
}

void syscall_enter(struct pe_kernel *k)
{
    chain_enter(k->cpu, PE_FN_SYSTEM_CALL);
    cost_exception(k);
    cost_insns(k, k->costs.process.system_call);
}

void syscall_leave(struct pe_kernel *k)
{
    chain_leave(k->cpu);
    rcu_grace_period(k);
}

/* ---- all ---- */

pe_status processes_init(struct pe_kernel *k, pe_error *err)
{
    k->tasks.slab = NO_PAGE;
    k->batch.head = NO_PAGE;
    k->tasks.thp = PE_THP_MADVISE;
    asids_init(k);
    struct page *zero = alloc_pages(k, PE_GFP_ZERO, 0);
    if (!zero) {
        return pe_fail(err, PE_ERR_MEMORY, "the boot leaves no page for the zero page");
    }
    zero->flags |= PE_PG_ZERO;
    k->tasks.zero_page = page_index(&k->frames, zero);
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        k->tasks.boot_tables += k->zones[i].page_tables;
    }
    return PE_OK;
}

static void mm_release(struct pe_kernel *k, struct mm *mm)
{
    for (uint32_t i = 0; i < mm->area_count; i++) {
        struct shared_pages *shared = mm->areas[i].shared;
        if (shared && --shared->users == 0) {
            heap_free(k, shared->page);
            heap_free(k, shared);
        }
    }
    heap_free(k, mm->areas);
    heap_free(k, mm);
}

void processes_release(struct pe_kernel *k)
{
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        heap_free(k, k->tasks.slot[i] ? k->tasks.slot[i]->user : NULL);
        heap_free(k, k->tasks.slot[i]);
    }
    heap_free(k, k->tasks.slot);
    while (k->tasks.mms) {
        struct mm *mm = k->tasks.mms;
        k->tasks.mms = mm->next;
        mm_release(k, mm);
    }
}
