/* SPDX-License-Identifier: GPL-2.0-or-later
 * mremap (mm/mremap.c): shrink, grow in place, or move. */
#include "kernel/process/protect.h"

#include "kernel/cost.h"

#include <errno.h>

struct move {
    uint32_t from, old_bytes;
    uint32_t to, bytes;
};

/* copy_vma: an area without pages may be anywhere in its object, so that it merges with what is there. */
static struct vm_area moved_area(const struct vm_area *old, const struct move *m)
{
    struct vm_area area = *old;
    area.start = m->to;
    area.end = m->to + m->bytes;
    if (!old->shared && !old->faulted) {
        area.pgoff = m->to >> PAGE_SHIFT;
    } else {
        area.pgoff = old->pgoff + ((m->from - old->start) >> PAGE_SHIFT);
    }
    return area;
}

static int64_t move_vma(struct pe_kernel *k, struct mm *mm, const struct move *m)
{
    const struct vm_area area = moved_area(find_vma(mm, m->from), m);
    if (m->bytes > m->old_bytes && !may_expand(k, m->bytes - m->old_bytes, area.flags)) {
        return -ENOMEM;
    }
    if (area.shared) {
        area.shared->users++;
    }
    cost_insns(k, k->costs.process.vma_operation);
    if (!area_insert(k, mm, &area)) {
        shared_put(k, area.shared);
        return -ENOMEM;
    }
    const uint32_t moved = move_page_tables(k, mm, m->from, m->to, m->old_bytes);
    if (moved < m->old_bytes) {
        move_page_tables(k, mm, m->to, m->from, moved);
        unmap_region(k, mm, m->to, m->to + m->bytes);
        return -ENOMEM;
    }
    return unmap_region(k, mm, m->from, m->from + m->old_bytes) ? (int64_t)m->to : -ENOMEM;
}

/* vma_expandable, and the area grows. */
static bool grow_in_place(struct pe_kernel *k, struct mm *mm, struct vm_area *area, uint32_t end)
{
    const struct vm_area *next = area + 1;
    const bool last = next == mm->areas + mm->area_count;
    if (end > k->layout.task_size || end < area->end || (!last && next->start < end) ||
        !may_expand(k, end - area->end, area->flags)) {
        return false;
    }
    cost_insns(k, k->costs.process.vma_operation);
    area->end = end;
    area_merge(k, mm, area->start, end);
    return true;
}

static int64_t move_to(struct pe_kernel *k, struct mm *mm, struct move m)
{
    const uint32_t task_size = k->layout.task_size;
    if (m.to % PAGE_SIZE || m.bytes > task_size || m.to > task_size - m.bytes || m.to < FIRST_USER_ADDRESS ||
        (m.from < m.to + m.bytes && m.to < m.from + m.old_bytes)) {
        return -EINVAL;
    }
    if (!unmap_region(k, mm, m.to, m.to + m.bytes)) {
        return -ENOMEM;
    }
    if (m.old_bytes > m.bytes) {
        if (!unmap_region(k, mm, m.from + m.bytes, m.from + m.old_bytes)) {
            return -ENOMEM;
        }
        m.old_bytes = m.bytes;
    }
    return move_vma(k, mm, &m);
}

static int64_t remap(struct pe_kernel *k, struct mm *mm, struct move m, uint32_t flags)
{
    struct vm_area *area = find_vma(mm, m.from);
    if (!area || area->start > m.from || m.old_bytes > area->end - m.from) {
        return -EFAULT;
    }
    if (flags & MREMAP_FIXED) {
        return move_to(k, mm, m);
    }
    if (m.bytes <= m.old_bytes) {
        const uint32_t end = m.from + m.old_bytes;
        return m.bytes == m.old_bytes || unmap_region(k, mm, m.from + m.bytes, end) ? (int64_t)m.from : -ENOMEM;
    }
    if (area->end - m.from == m.old_bytes && grow_in_place(k, mm, area, m.from + m.bytes)) {
        return m.from;
    }
    const int64_t to = flags & MREMAP_MAYMOVE ? get_unmapped_area(k, mm, 0, m.bytes) : -ENOMEM;
    if (to < 0) {
        return to;
    }
    m.to = (uint32_t)to;
    return move_vma(k, mm, &m);
}

int64_t do_mremap(struct pe_kernel *k, struct mm *mm, uint32_t addr, uint32_t old_bytes, uint32_t bytes, uint32_t flags,
                  uint32_t new_addr)
{
    const uint32_t round = PAGE_SIZE - 1;
    const struct move m = {
        .from = addr,
        .old_bytes = (old_bytes + round) & ~round,
        .to = new_addr,
        .bytes = (bytes + round) & ~round,
    };
    if (flags & ~(uint32_t)(MREMAP_MAYMOVE | MREMAP_FIXED) || (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)) ||
        addr % PAGE_SIZE || !m.bytes || !m.old_bytes || m.bytes > k->layout.task_size) {
        return -EINVAL;
    }
    mmap_write_lock(k);
    const int64_t result = remap(k, mm, m, flags);
    mmap_write_unlock(k);
    return result;
}
