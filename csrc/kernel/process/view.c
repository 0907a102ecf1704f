/* SPDX-License-Identifier: GPL-2.0-or-later
 * What can be asked about tasks and their address spaces (/proc/PID/maps, status). */
#include "kernel/process/raw.h"
#include "kernel/process/rmap.h"

static uint32_t table_rss(const struct pe_kernel *k, const uint8_t *host, uint32_t first, uint32_t last)
{
    uint32_t count = 0;
    for (uint32_t at = first; (at = next_entry(k, host, at, last)) < last; at++) {
        count += vm_normal_page(k, pte_load(k, host, at)) != NULL;
    }
    return count;
}

static uint32_t area_rss(const struct pe_kernel *k, const struct mm *mm, const struct vm_area *area)
{
    uint32_t count = 0;
    for (uint32_t at = area->start; at < area->end;) {
        uint64_t end;
        const pmdval_t value = raw_pmd(k, mm, at, &end);
        const uint32_t next = end < area->end ? (uint32_t)end : area->end;
        const uint8_t *host = raw_table(k, value);
        if (host) {
            count += table_rss(k, host, pte_index(at), pte_index(at) + ((next - at) >> PAGE_SHIFT));
        } else if (pmd_trans_huge(k, value)) {
            count += (next - at) >> PAGE_SHIFT;
        }
        at = next;
    }
    return count;
}

size_t pe_kernel_areas(const pe_kernel *k, uint32_t pid, pe_area_info *out, size_t max)
{
    const struct task *task = find_task((struct pe_kernel *)(uintptr_t)k, pid);
    const struct mm *mm = task ? task->mm : NULL;
    if (!mm) {
        return 0;
    }
    for (size_t i = 0; i < mm->area_count && i < max; i++) {
        const struct vm_area *a = &mm->areas[i];
        uint32_t flags = PE_MMAP_ANONYMOUS | (a->flags & VM_SHARED ? PE_MMAP_SHARED : PE_MMAP_PRIVATE);
        flags |= a->flags & VM_GROWSDOWN ? PE_MMAP_GROWSDOWN : 0;
        flags |= a->flags & VM_NORESERVE ? PE_MMAP_NORESERVE : 0;
        flags |= a->flags & VM_HUGEPAGE ? PE_MMAP_HUGEPAGE : 0;
        flags |= a->flags & VM_NOHUGEPAGE ? PE_MMAP_NOHUGEPAGE : 0;
        out[i] = (pe_area_info){
            .start = a->start,
            .end = a->end,
            .prot = (a->flags & VM_READ ? PE_PROT_READ : 0) | (a->flags & VM_WRITE ? PE_PROT_WRITE : 0) |
                    (a->flags & VM_EXEC ? PE_PROT_EXEC : 0),
            .flags = flags,
            .rss = area_rss(k, mm, a),
        };
    }
    return mm->area_count;
}

static void describe(const struct task *task, pe_task_info *out)
{
    *out = (pe_task_info){
        .pid = task->pid,
        .parent = task->parent,
        .running = task->running,
        .exited = task->exited,
        .exit_status = task->exit_status,
        .cpu = task->cpu,
        .kmap_depth = task->kmap_ctrl.idx,
    };
    memcpy(out->name, task->name, sizeof out->name);
    if (task->mm) {
        out->pgd_pa = task->mm->pgd_pa;
        out->asid = (uint32_t)(task->mm->context_id & 0xff);
        out->areas = task->mm->area_count;
        out->pte_tables = task->mm->nr_ptes;
        out->pmd_tables = task->mm->nr_pmds;
        out->anon = task->mm->rss_anon;
        out->huge = task->mm->rss_huge;
        out->shared = task->mm->rss_shared;
    }
}

size_t pe_kernel_tasks(const pe_kernel *k, pe_task_info *out, size_t max)
{
    size_t count = 0;
    for (uint32_t i = 0; i < k->tasks.count; i++) {
        if (k->tasks.slot[i]) {
            if (count < max) {
                describe(k->tasks.slot[i], &out[count]);
            }
            count++;
        }
    }
    return count;
}

static pe_status get_task(const pe_kernel *k, uint32_t pid, const struct task **task, pe_error *err)
{
    *task = find_task((struct pe_kernel *)(uintptr_t)k, pid);
    return *task ? PE_OK : pe_fail(err, PE_ERR_ARGUMENT, "no task has the pid %u", pid);
}

pe_status pe_kernel_task(const pe_kernel *k, uint32_t pid, pe_task_info *out, pe_error *err)
{
    const struct task *task;
    const pe_status status = get_task(k, pid, &task, err);
    if (!status) {
        describe(task, out);
    }
    return status;
}

pe_status pe_kernel_task_regime(const pe_kernel *k, uint32_t pid, pe_regime *out, pe_error *err)
{
    const struct task *task;
    const pe_status status = get_task(k, pid, &task, err);
    if (!status) {
        regime_of(k, task->mm, out);
    }
    return status;
}

uint32_t pe_kernel_tables_waiting(const pe_kernel *k)
{
    uint32_t count = 0;
    for (uint32_t at = k->batch.head; at != NO_PAGE; at = k->frames.pages[at].next) {
        count += k->frames.pages[at].flags & PE_PG_TABLE ? 1 : 0;
    }
    return count;
}
