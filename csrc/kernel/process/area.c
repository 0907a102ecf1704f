/* SPDX-License-Identifier: GPL-2.0-or-later
 * Areas of an address space: an ordered array that is searched, split and merged (mm/vma.c). */
#include "kernel/cost.h"

#include <errno.h>
#include <stdlib.h>

/* ---- pages that areas share ---- */

struct shared_pages *shared_new(struct pe_kernel *k, uint32_t count)
{
    struct shared_pages *shared = heap_alloc(k, 1, sizeof *shared);
    uint32_t *page = heap_alloc(k, count, sizeof *page);
    if (!shared || !page) {
        heap_free(k, shared);
        heap_free(k, page);
        return NULL;
    }
    memset(page, 0xff, count * sizeof *page);
    *shared = (struct shared_pages){.users = 1, .count = count, .page = page};
    return shared;
}

void shared_put(struct pe_kernel *k, struct shared_pages *shared)
{
    if (!shared || --shared->users) {
        return;
    }
    for (uint32_t i = 0; i < shared->count; i++) {
        if (shared->page[i] != NO_PAGE) {
            struct page *page = &k->frames.pages[shared->page[i]];
            page_zone(k->zones, &k->frames, page)->shmem--;
            put_page(k, page);
        }
    }
    heap_free(k, shared->page);
    heap_free(k, shared);
}

/* ---- find ---- */

static uint32_t area_index(const struct mm *mm, uint32_t addr)
{
    uint32_t low = 0, high = mm->area_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (mm->areas[middle].end > addr) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct vm_area *find_vma(struct mm *mm, uint32_t addr)
{
    const uint32_t index = area_index(mm, addr);
    return index < mm->area_count ? &mm->areas[index] : NULL;
}

/* ---- the array ---- */

bool area_reserve(struct pe_kernel *k, struct mm *mm, uint32_t more)
{
    if (mm->area_count + more <= mm->area_capacity) {
        return true;
    }
    uint32_t capacity = mm->area_capacity ? mm->area_capacity * 2 : 8;
    while (capacity < mm->area_count + more) {
        capacity *= 2;
    }
    struct vm_area *areas = heap_grow(k, mm->areas, mm->area_capacity * sizeof *areas, capacity * sizeof *areas);
    if (!areas) {
        return false;
    }
    mm->areas = areas;
    mm->area_capacity = capacity;
    return true;
}

static void put_at(struct mm *mm, uint32_t index, const struct vm_area *area)
{
    memmove(&mm->areas[index + 1], &mm->areas[index], (mm->area_count - index) * sizeof *area);
    mm->areas[index] = *area;
    mm->area_count++;
}

void area_erase(struct pe_kernel *k, struct mm *mm, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        shared_put(k, mm->areas[i].shared);
    }
    const uint32_t after = mm->area_count - first - count;
    memmove(&mm->areas[first], &mm->areas[first + count], after * sizeof *mm->areas);
    mm->area_count -= count;
}

/* ---- split and merge ---- */

/* is_mergeable_vma, and offsets that go on.  Which anon_vma a page hangs on is not modelled. */
static bool mergeable(const struct vm_area *a, const struct vm_area *b)
{
    return a->end == b->start && a->flags == b->flags && a->shared == b->shared &&
           b->pgoff == a->pgoff + ((a->end - a->start) >> PAGE_SHIFT);
}

/* Area index + 1 becomes a part of area index. */
static void merge_with_next(struct pe_kernel *k, struct mm *mm, uint32_t index)
{
    struct vm_area *a = &mm->areas[index];
    a->end = a[1].end;
    a->faulted |= a[1].faulted;
    area_erase(k, mm, index + 1, 1);
}

void area_merge(struct pe_kernel *k, struct mm *mm, uint32_t start, uint32_t end)
{
    uint32_t i = area_index(mm, start);
    i -= i > 0;
    while (i + 1 < mm->area_count && mm->areas[i].start <= end) {
        if (mergeable(&mm->areas[i], &mm->areas[i + 1])) {
            merge_with_next(k, mm, i);
        } else {
            i++;
        }
    }
}

bool area_insert(struct pe_kernel *k, struct mm *mm, const struct vm_area *area)
{
    if (mm->area_count >= MAX_MAP_COUNT || !area_reserve(k, mm, 1)) {
        return false;
    }
    put_at(mm, area_index(mm, area->start), area);
    area_merge(k, mm, area->start, area->end);
    return true;
}

bool area_split(struct pe_kernel *k, struct mm *mm, uint32_t addr)
{
    struct vm_area *area = find_vma(mm, addr);
    if (!area || area->start >= addr) {
        return true;
    }
    const uint32_t index = (uint32_t)(area - mm->areas);
    if (!area_reserve(k, mm, 1)) {
        return false;
    }
    cost_insns(k, k->costs.process.vma_operation);
    struct vm_area upper = mm->areas[index];
    upper.pgoff += (addr - upper.start) >> PAGE_SHIFT;
    upper.start = addr;
    mm->areas[index].end = addr;
    if (upper.shared) {
        upper.shared->users++;
    }
    put_at(mm, index + 1, &upper);
    return true;
}

bool area_split_counted(struct pe_kernel *k, struct mm *mm, uint32_t addr)
{
    const struct vm_area *area = find_vma(mm, addr);
    const bool splits = area && area->start < addr;
    return (!splits || mm->area_count < MAX_MAP_COUNT) && area_split(k, mm, addr);
}

/* ---- protection ---- */

/* arch/arm/mm/mmu.c, protection_map: a private page becomes writable by a fault of its own. */
pteval_t vm_get_page_prot(const struct pe_kernel *k, uint32_t flags)
{
    const struct pgtable_bits *b = k->bits;
    pteval_t prot = b->user_page | b->young;
    if (!(flags & (VM_READ | VM_WRITE | VM_EXEC))) {
        return (prot & ~b->user) | b->rdonly | b->xn | b->none;
    }
    prot |= (flags & (VM_SHARED | VM_WRITE)) == (VM_SHARED | VM_WRITE) ? 0 : b->rdonly;
    return prot | (flags & VM_EXEC ? 0 : b->xn);
}

/* ---- placement ---- */

/* vm_start_gap: a stack keeps its distance from what is below. */
static uint32_t start_with_gap(const struct vm_area *area)
{
    const uint32_t gap = area->flags & VM_GROWSDOWN ? STACK_GUARD_GAP : 0;
    return area->start > gap ? area->start - gap : 0;
}

/* arch_pick_mmap_layout: without randomization the gap for an 8 MB stack is its lower bound of 128 MB. */
static uint32_t mmap_base(const struct pe_kernel *k)
{
    return k->layout.task_size - (128u << 20);
}

/* The highest place below high that ends a gap; 0: none. */
static uint32_t place_top_down(const struct mm *mm, uint32_t bytes, uint32_t low, uint32_t high)
{
    for (uint32_t i = area_index(mm, high - 1) + 1; i-- > 0;) {
        const uint32_t below = i ? mm->areas[i - 1].end : 0;
        uint32_t end = high;
        if (i < mm->area_count && start_with_gap(&mm->areas[i]) < end) {
            end = start_with_gap(&mm->areas[i]);
        }
        const uint32_t begin = below > low ? below : low;
        if (end > begin && end - begin >= bytes) {
            return end - bytes;
        }
        if (below <= low) {
            break;
        }
    }
    return 0;
}

static uint32_t place_bottom_up(const struct mm *mm, uint32_t bytes, uint32_t low, uint32_t high)
{
    uint32_t begin = low;
    for (uint32_t i = area_index(mm, low); i < mm->area_count; i++) {
        const uint32_t end = start_with_gap(&mm->areas[i]);
        if (end > begin && end - begin >= bytes) {
            break;
        }
        begin = mm->areas[i].end > begin ? mm->areas[i].end : begin;
    }
    return begin < high && high - begin >= bytes ? begin : 0;
}

/* arch_get_unmapped_area_topdown (arch/arm/mm/mmap.c): an ARM kernel's layout unless the stack is unlimited.  Caches
 * that do not alias need no colours; 32-bit kernels do not align for huge pages (4ef9ad19e176). */
int64_t get_unmapped_area(struct pe_kernel *k, struct mm *mm, uint32_t hint, uint32_t bytes)
{
    const uint32_t task_size = k->layout.task_size;
    cost_insns(k, k->costs.process.vma_operation);
    if (bytes > task_size) {
        return -ENOMEM;
    }
    if (hint) {
        const uint32_t addr = (hint + PAGE_SIZE - 1) & (uint32_t)PAGE_MASK;
        const struct vm_area *next = find_vma(mm, addr);
        const bool fits = addr >= FIRST_USER_ADDRESS && task_size - bytes >= addr;
        const uint32_t index = next ? (uint32_t)(next - mm->areas) : mm->area_count;
        const bool clear = !index || addr >= mm->areas[index - 1].end;
        if (fits && clear && (!next || addr + bytes <= start_with_gap(next))) {
            return addr;
        }
    }
    uint32_t addr = place_top_down(mm, bytes, FIRST_USER_ADDRESS, mmap_base(k));
    if (!addr) {
        addr = place_bottom_up(mm, bytes, mmap_base(k), task_size);
    }
    return addr ? (int64_t)addr : -ENOMEM;
}
