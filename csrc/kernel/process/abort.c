/* SPDX-License-Identifier: GPL-2.0-or-later
 * Accesses from user mode: which fault, and what the kernel makes of it (arch/arm/mm/fault.c, do_page_fault). */
#include "kernel/cost.h"

#define STACK_LIMIT (8u << 20) /* RLIMIT_STACK */

/* expand_downwards: within the limit, and with a gap to what is below. */
static bool expand_stack(struct mm *mm, struct vm_area *area, uint32_t addr)
{
    addr &= (uint32_t)PAGE_MASK;
    if (addr < FIRST_USER_ADDRESS || area->end - addr > STACK_LIMIT) {
        return false;
    }
    if (area > mm->areas && !(area[-1].flags & VM_GROWSDOWN) && area[-1].flags & (VM_READ | VM_WRITE | VM_EXEC) &&
        addr - area[-1].end < STACK_GUARD_GAP) {
        return false;
    }
    if (area > mm->areas && area[-1].end > addr) {
        return false;
    }
    area->pgoff -= (area->start - addr) >> PAGE_SHIFT;
    area->start = addr;
    return true;
}

struct vm_area *find_extend_vma(struct mm *mm, uint32_t addr)
{
    struct vm_area *area = find_vma(mm, addr);
    if (!area || area->start <= addr) {
        return area;
    }
    return area->flags & VM_GROWSDOWN && expand_stack(mm, area, addr) ? area : NULL;
}

static bool access_ok(const struct vm_area *area, pe_access access)
{
    switch (access) {
    case PE_WRITE: return area->flags & VM_WRITE;
    case PE_FETCH: return area->flags & VM_EXEC;
    case PE_READ: break;
    }
    return area->flags & (VM_READ | VM_WRITE | VM_EXEC);
}

static bool bad_area(struct pe_kernel *k, uint32_t signal, uint32_t code, uint32_t addr, pe_fault_result *out)
{
    k->stats.faults_bad++;
    out->signal = signal;
    out->code = code;
    out->address = addr;
    return false;
}

static bool fault_in_area(struct pe_kernel *k, struct mm *mm, uint32_t addr, pe_access access, pe_fault_result *out)
{
    struct vm_area *area = addr < k->layout.task_size ? find_extend_vma(mm, addr) : NULL;
    if (!area) {
        return bad_area(k, SIGSEGV, SEGV_MAPERR, addr, out);
    }
    if (!access_ok(area, access)) {
        return bad_area(k, SIGSEGV, SEGV_ACCERR, addr, out);
    }
    const uint32_t flags = FAULT_FLAG_USER | (access == PE_WRITE ? FAULT_FLAG_WRITE : 0) |
                           (access == PE_FETCH ? FAULT_FLAG_INSTRUCTION : 0);
    const uint32_t result = handle_mm_fault(k, mm, area, addr, flags);
    if (result & VM_FAULT_OOM) {
        return bad_area(k, SIGKILL, 0, addr, out);
    }
    if (result & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)) {
        return bad_area(k, result & VM_FAULT_SIGBUS ? SIGBUS : SIGSEGV, SEGV_MAPERR, addr, out);
    }
    return true;
}

bool do_page_fault(struct pe_kernel *k, struct mm *mm, uint32_t addr, pe_access access, pe_fault_result *out)
{
    chain_enter(k->cpu, PE_FN_DATA_ABORT);
    cost_exception(k);
    cost_insns(k, k->costs.process.fault);
    out->faults++;
    mmap_read_lock(k);
    const bool handled = fault_in_area(k, mm, addr, access, out);
    mmap_read_unlock(k);
    chain_leave(k->cpu);
    return handled;
}
