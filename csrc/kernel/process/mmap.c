/* SPDX-License-Identifier: GPL-2.0-or-later
 * mmap, munmap, mprotect, madvise and brk (mm/mmap.c, mm/vma.c, mm/mprotect.c, mm/madvise.c). */
#include "kernel/process/gather.h"
#include "kernel/process/protect.h"

#include "kernel/cost.h"

#include <errno.h>

#define PAGES_DOWN(bytes) ((bytes) & (uint32_t)PAGE_MASK)

/* PAGE_ALIGN; 0 where it wraps. */
static uint32_t page_align(uint32_t bytes)
{
    return PAGES_DOWN(bytes + PAGE_SIZE - 1);
}

static bool in_task(const struct pe_kernel *k, uint32_t addr, uint32_t bytes)
{
    return bytes <= k->layout.task_size && addr <= k->layout.task_size - bytes;
}

/* __vm_enough_memory with OVERCOMMIT_GUESS: only what can never be is refused. */
bool may_expand(const struct pe_kernel *k, uint32_t bytes, uint32_t flags)
{
    if ((flags & (VM_WRITE | VM_SHARED)) != VM_WRITE || flags & VM_NORESERVE) {
        return true;
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < PE_ZONES; i++) {
        total += k->zones[i].managed;
    }
    return bytes >> PAGE_SHIFT <= total;
}

/* ---- munmap ---- */

bool unmap_region(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end)
{
    /* The number of areas is only looked at where it will have grown (do_vmi_align_munmap). */
    const struct vm_area *area = find_vma(mm, start);
    if (area && area->start < start && area->end > end && mm->area_count >= MAX_MAP_COUNT) {
        return false;
    }
    if (!area_split(k, mm, start) || !area_split(k, mm, end)) {
        return false;
    }
    area = find_vma(mm, start);
    const uint32_t first = area ? (uint32_t)(area - mm->areas) : mm->area_count;
    uint32_t last = first;
    while (last < mm->area_count && mm->areas[last].start < end) {
        last++;
    }
    if (first == last) {
        return true;
    }
    struct mmu_gather tlb;
    tlb_gather_mmu(&tlb, mm, false);
    const uint32_t floor = first ? mm->areas[first - 1].end : FIRST_USER_ADDRESS;
    const uint32_t ceiling = last < mm->area_count ? mm->areas[last].start : pgtables_ceiling(k);
    for (uint32_t i = first; i < last; i++) {
        cost_insns(k, k->costs.process.vma_operation);
        unmap_page_range(k, &tlb, mm->areas[i].start, mm->areas[i].end);
    }
    for (uint32_t i = first; i < last; i++) {
        const uint32_t next = i + 1 < last ? mm->areas[i + 1].start : ceiling;
        free_pgd_range(k, &tlb, mm->areas[i].start, mm->areas[i].end, floor, next);
    }
    tlb_finish_mmu(k, &tlb);
    area_erase(k, mm, first, last - first);
    return true;
}

int64_t do_munmap(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes)
{
    bytes = page_align(bytes);
    if (addr % PAGE_SIZE || !bytes || !in_task(k, addr, bytes)) {
        return -EINVAL;
    }
    mmap_write_lock(k);
    const bool done = unmap_region(k, mm, addr, addr + bytes);
    mmap_write_unlock(k);
    return done ? 0 : -ENOMEM;
}

/* ---- mmap ---- */

static uint32_t vm_flags(uint32_t prot, uint32_t flags)
{
    uint32_t vm = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
    vm |= (prot & PE_PROT_READ ? VM_READ : 0) | (prot & PE_PROT_WRITE ? VM_WRITE : 0) |
          (prot & PE_PROT_EXEC ? VM_EXEC : 0);
    vm |= (flags & PE_MMAP_SHARED ? VM_SHARED : 0) | (flags & PE_MMAP_GROWSDOWN ? VM_GROWSDOWN : 0);
    vm |= (flags & PE_MMAP_HUGEPAGE ? VM_HUGEPAGE : 0) | (flags & PE_MMAP_NOHUGEPAGE ? VM_NOHUGEPAGE : 0);
    return vm | (flags & PE_MMAP_NORESERVE ? VM_NORESERVE : 0);
}

static int64_t mmap_region(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t vm)
{
    if (!may_expand(k, bytes, vm) || !unmap_region(k, mm, addr, addr + bytes)) {
        return -ENOMEM;
    }
    struct vm_area area = {.start = addr, .end = addr + bytes, .flags = vm, .pgoff = addr >> PAGE_SHIFT};
    if (vm & VM_SHARED) {
        area.pgoff = 0;
        if (!(area.shared = shared_new(k, bytes >> PAGE_SHIFT))) {
            return -ENOMEM;
        }
    }
    cost_insns(k, k->costs.process.vma_operation);
    if (!area_insert(k, mm, &area)) {
        shared_put(k, area.shared);
        return -ENOMEM;
    }
    return addr;
}

static bool is_free(struct mm *mm, uint32_t addr, uint32_t bytes)
{
    const struct vm_area *area = find_vma(mm, addr);
    return !area || area->start >= addr + bytes;
}

int64_t do_mmap(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t prot, uint32_t flags)
{
    const bool fixed = flags & (PE_MMAP_FIXED | PE_MMAP_FIXED_NOREPLACE);
    const uint32_t sharing = flags & (PE_MMAP_SHARED | PE_MMAP_PRIVATE);
    if (!bytes || sharing == 0 || sharing == (PE_MMAP_SHARED | PE_MMAP_PRIVATE) || !(flags & PE_MMAP_ANONYMOUS) ||
        (sharing == PE_MMAP_SHARED && flags & PE_MMAP_GROWSDOWN)) {
        return -EINVAL;
    }
    if (fixed && (addr % PAGE_SIZE || addr < FIRST_USER_ADDRESS)) {
        return addr % PAGE_SIZE ? -EINVAL : -EPERM;
    }
    bytes = page_align(bytes);
    if (!bytes || !in_task(k, fixed ? addr : 0, bytes)) {
        return -ENOMEM;
    }
    mmap_write_lock(k);
    int64_t got = fixed ? (int64_t)addr : get_unmapped_area(k, mm, addr, bytes);
    if (flags & PE_MMAP_FIXED_NOREPLACE && !is_free(mm, addr, bytes)) {
        got = -EEXIST;
    }
    if (got >= 0) {
        got = mmap_region(k, mm, (uint32_t)got, bytes, vm_flags(prot, flags));
    }
    mmap_write_unlock(k);
    return got;
}

/* ---- mprotect, madvise ---- */

/* Every byte of [start, end) belongs to an area. */
static bool is_mapped(struct mm *mm, uint32_t start, uint32_t end)
{
    const struct vm_area *area = find_vma(mm, start);
    const struct vm_area *stop = mm->areas + mm->area_count;
    for (; area && area < stop && area->start <= start; area++) {
        if (area->end >= end) {
            return true;
        }
        start = area->end;
    }
    return false;
}

/* The areas of [start, end), split off, get new flags and merge with their neighbours. */
static bool change_areas(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end, uint32_t clear, uint32_t set)
{
    if (!area_split_counted(k, mm, start) || !area_split_counted(k, mm, end)) {
        return false;
    }
    for (struct vm_area *area = find_vma(mm, start); area < mm->areas + mm->area_count && area->start < end; area++) {
        const uint32_t old = area->flags;
        cost_insns(k, k->costs.process.vma_operation);
        area->flags = (old & ~clear) | set;
        if ((old ^ area->flags) & (VM_READ | VM_WRITE | VM_EXEC)) {
            change_protection(k, mm, area, area->start, area->end);
        }
    }
    area_merge(k, mm, start, end);
    return true;
}

int64_t do_mprotect(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t prot)
{
    if (addr % PAGE_SIZE || prot & ~(uint32_t)(PE_PROT_READ | PE_PROT_WRITE | PE_PROT_EXEC)) {
        return -EINVAL;
    }
    if (!bytes) {
        return 0;
    }
    bytes = page_align(bytes);
    mmap_write_lock(k);
    int64_t result = -ENOMEM;
    if (bytes && in_task(k, addr, bytes) && is_mapped(mm, addr, addr + bytes) &&
        may_expand(k, bytes, prot & PE_PROT_WRITE ? VM_WRITE : 0)) {
        const bool done =
            change_areas(k, mm, addr, addr + bytes, VM_READ | VM_WRITE | VM_EXEC, vm_flags(prot, 0) & ~VM_MAY);
        result = done ? 0 : -ENOMEM;
    }
    mmap_write_unlock(k);
    return result;
}

static void zap_range(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end)
{
    struct mmu_gather tlb;
    tlb_gather_mmu(&tlb, mm, false);
    unmap_page_range(k, &tlb, start, end);
    tlb_finish_mmu(k, &tlb);
}

int64_t do_madvise(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t bytes, uint32_t advice)
{
    const bool huge = advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE;
    if (addr % PAGE_SIZE || (advice != MADV_DONTNEED && !huge) || (huge && !(k->config.flags & PE_KERNEL_THP)) ||
        (bytes && !page_align(bytes))) {
        return -EINVAL;
    }
    if (!bytes) {
        return 0;
    }
    bytes = page_align(bytes);
    mmap_write_lock(k);
    int64_t result = 0;
    if (!in_task(k, addr, bytes) || !is_mapped(mm, addr, addr + bytes)) {
        result = -ENOMEM;
    } else if (advice == MADV_DONTNEED) {
        zap_range(k, mm, addr, addr + bytes);
    } else {
        const uint32_t set = advice == MADV_HUGEPAGE ? VM_HUGEPAGE : VM_NOHUGEPAGE;
        result = change_areas(k, mm, addr, addr + bytes, VM_HUGEPAGE | VM_NOHUGEPAGE, set) ? 0 : -ENOMEM;
    }
    mmap_write_unlock(k);
    return result;
}

/* ---- brk ---- */

int64_t do_brk(struct pe_kernel *k, struct mm *mm, uint32_t brk)
{
    const uint32_t old = page_align(mm->brk), new = page_align(brk);
    const uint32_t vm = vm_flags(PE_PROT_READ | PE_PROT_WRITE, 0);
    if (brk < mm->start_brk || new < brk || !in_task(k, new, 0)) {
        return mm->brk;
    }
    mmap_write_lock(k);
    bool done = true;
    if (new < old) {
        done = unmap_region(k, mm, new, old);
    } else if (new > old) {
        done = is_free(mm, old, new - old) && mmap_region(k, mm, old, new - old, vm) >= 0;
    }
    if (done) {
        mm->brk = brk;
    }
    mmap_write_unlock(k);
    return mm->brk;
}
