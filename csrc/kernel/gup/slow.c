/* SPDX-License-Identifier: GPL-2.0-or-later
 * __get_user_pages (mm/gup.c): the walk under the mmap lock, which faults in what is absent. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"

/* A fault that does not help is not taken for ever. */
#define FAULTS_MAX 16

enum follow {
    FOLLOW_GOT = 0,
    FOLLOW_ABSENT = 1,  /* or not permitted: a fault is due */
    FOLLOW_UNSHARE = 2, /* -EMLINK: FAULT_FLAG_UNSHARE is due */
    FOLLOW_EFAULT = 3,
    FOLLOW_ENOMEM = 4,
    FOLLOW_EEXIST = 5, /* an entry without a struct page */
};

/* One step of a call. */
struct step {
    const struct vm_area *area;
    uint32_t addr;
    uint32_t nr;  /* pages that are wanted from addr on */
    uint32_t got; /* of them by this step */
};

static bool is_cow_mapping(const struct vm_area *area)
{
    return (area->flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

/* check_vma_flags */
static bool area_permits(const struct vm_area *area, uint32_t flags)
{
    if (flags & FOLL_WRITE) {
        return area->flags & VM_WRITE || (flags & FOLL_FORCE && is_cow_mapping(area));
    }
    return area->flags & VM_READ || (flags & FOLL_FORCE && area->flags & VM_MAYREAD);
}

/* can_follow_write_pte, can_follow_write_pmd: FOLL_FORCE may write to a page that copy-on-write made its own. */
static bool can_follow_write(const struct pe_kernel *k, const struct gup *gup, const struct step *step, bool writable,
                             struct page *page)
{
    if (writable) {
        return true;
    }
    if (!(gup->flags & FOLL_FORCE) || step->area->flags & (VM_SHARED | VM_WRITE) || !is_cow_mapping(step->area)) {
        return false;
    }
    return page && page_head(&k->frames, page)->flags & PE_PG_ANON && page->flags & PE_PG_EXCLUSIVE;
}

static void touch(struct pe_kernel *k, const struct gup *gup, struct page *page)
{
    if (gup->flags & FOLL_TOUCH) {
        folio_set_flags(k, page, PE_PG_REFERENCED | (gup->flags & FOLL_WRITE ? PE_PG_DIRTY : 0));
    }
}

static void record(struct pe_kernel *k, struct gup *gup, struct step *step, const struct page *page, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        gup->pfns[gup->got++] = page_to_pfn(&k->frames, page) + i;
    }
    step->got = nr;
    k->stats.gup_slow_pages += nr;
}

/* What a page (the head of a block's) and the right to write to it say, before a reference is taken. */
static enum follow check_page(const struct pe_kernel *k, const struct gup *gup, const struct step *step, bool writable,
                              struct page *page)
{
    if (gup->flags & FOLL_WRITE && !can_follow_write(k, gup, step, writable, page)) {
        return FOLLOW_ABSENT;
    }
    if (page && !writable && gup_must_unshare(k, page, gup->flags, false, is_cow_mapping(step->area))) {
        return FOLLOW_UNSHARE;
    }
    return FOLLOW_GOT;
}

/* follow_huge_pmd: the rest of the block in one go. */
static enum follow follow_huge(struct pe_kernel *k, struct gup *gup, struct step *step, const struct pmd *pmd,
                               pmdval_t value)
{
    struct page *first = pmd_page(k, value & ~(uint64_t)(PMD_SIZE - 1));
    if (!first || k->frames.count - page_index(&k->frames, first) < HPAGE_PAGES) {
        return FOLLOW_EFAULT;
    }
    struct page *page = first + pte_index(step->addr);
    const enum follow answer = check_page(k, gup, step, pmd_write(k, value), page_head(&k->frames, page));
    if (answer != FOLLOW_GOT) {
        return answer;
    }
    const uint32_t left = HPAGE_PAGES - pte_index(step->addr), nr = step->nr < left ? step->nr : left;
    if (!try_grab_folio(k, page, nr, gup->flags)) {
        return FOLLOW_ENOMEM;
    }
    const pmdval_t touched = value | k->bits->young | (gup->flags & FOLL_WRITE ? k->bits->dirty : 0);
    if (gup->flags & FOLL_TOUCH && touched != value) {
        set_pmd_at(k, step->addr, pmd, touched);
    }
    cost_insns(k, k->costs.gup.slow_page + (uint64_t)k->costs.gup.fast_leaf_page * (nr - 1));
    cost_page(k, page, PE_WRITE);
    gup_trace_grab(k, page);
    touch(k, gup, page);
    record(k, gup, step, page, nr);
    return FOLLOW_GOT;
}

/* What follow_page_pte does with the entry, under its lock. */
static enum follow follow_entry(struct pe_kernel *k, struct gup *gup, struct step *step, pteval_t pte)
{
    const struct pgtable_bits *b = k->bits;
    if (!pte_present(b, pte)) { /* PROT_NONE is: FOLL_FORCE may look at it */
        return FOLLOW_ABSENT;
    }
    struct page *page = pfn_to_page(&k->frames, pte_pfn(b, pte));
    const bool normal = page && !(pte & b->special); /* vm_normal_page */
    const enum follow answer = check_page(k, gup, step, pte_write(b, pte), normal ? page : NULL);
    if (answer != FOLLOW_GOT) {
        return answer;
    }
    if (!normal && !(page && page->flags & PE_PG_ZERO)) {
        return FOLLOW_EEXIST;
    }
    if (!try_grab_folio(k, page, 1, gup->flags)) {
        return FOLLOW_ENOMEM;
    }
    cost_page(k, page, PE_WRITE);
    gup_trace_grab(k, page);
    touch(k, gup, page);
    record(k, gup, step, page, 1);
    return FOLLOW_GOT;
}

static enum follow follow_page_pte(struct pe_kernel *k, struct gup *gup, struct step *step, const struct pmd *pmd)
{
    struct pte_table table;
    enum follow answer = FOLLOW_ABSENT;
    chain_enter(k->cpu, PE_FN_FOLLOW_PAGE_PTE);
    cost_insns(k, k->costs.gup.slow_page + (gup->flags & FOLL_PIN ? k->costs.gup.slow_pin_page : 0));
    if (pte_offset_map_lock(k, pmd, &table)) {
        answer = follow_entry(k, gup, step, ptep_get(k, &table, pte_index(step->addr)));
        pte_unmap_unlock(k, &table);
    }
    chain_leave(k->cpu);
    return answer;
}

/* follow_page_mask */
static enum follow follow_page(struct pe_kernel *k, struct gup *gup, struct step *step)
{
    struct pmd pmd;
    pmd_offset(k, gup->mm, step->addr, &pmd);
    if (!pmd.host) {
        return FOLLOW_ABSENT;
    }
    const pmdval_t value = pmd_read(k, &pmd);
    if (pmd_none(k, value) || !pmd_present(k, value)) {
        return FOLLOW_ABSENT;
    }
    if (!pmd_trans_huge(k, value)) {
        return follow_page_pte(k, gup, step, &pmd);
    }
    spin_lock(k, PE_LOCK_PAGE_TABLE); /* pmd_lock */
    const enum follow answer = follow_huge(k, gup, step, &pmd, value);
    spin_unlock(k, PE_LOCK_PAGE_TABLE);
    return answer;
}

/* faultin_page: 0, or a negative errno. */
static int32_t faultin_page(struct pe_kernel *k, const struct gup *gup, const struct step *step, bool unshare)
{
    if (gup->flags & FOLL_NOFAULT) {
        return -LINUX_EFAULT;
    }
    const uint32_t write = gup->flags & FOLL_WRITE ? FAULT_FLAG_WRITE : 0;
    struct vm_area *area = find_vma(gup->mm, step->addr);
    const uint32_t fault = handle_mm_fault(k, gup->mm, area, step->addr, unshare ? FAULT_FLAG_UNSHARE : write);
    if (fault & VM_FAULT_OOM) {
        return -LINUX_ENOMEM;
    }
    return fault & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV) ? -LINUX_EFAULT : 0;
}

/* At least one page at step->addr, or a negative errno. */
static int32_t get_page(struct pe_kernel *k, struct gup *gup, struct step *step)
{
    for (uint32_t faults = 0; faults < FAULTS_MAX; faults++) {
        const enum follow answer = follow_page(k, gup, step);
        int32_t error = 0;
        switch (answer) {
        case FOLLOW_GOT: return 0;
        case FOLLOW_ABSENT:
        case FOLLOW_UNSHARE: error = faultin_page(k, gup, step, answer == FOLLOW_UNSHARE); break;
        case FOLLOW_EFAULT: error = -LINUX_EFAULT; break;
        case FOLLOW_ENOMEM: error = -LINUX_ENOMEM; break;
        case FOLLOW_EEXIST: error = -LINUX_EEXIST; break;
        }
        if (error) {
            return error;
        }
    }
    return -LINUX_EFAULT;
}

/* Stops at the first page that cannot be had; its errno counts when there was none before it. */
static int32_t get_pages(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    uint32_t done = 0;
    while (done < nr) {
        struct step step = {.addr = start + (done << PAGE_SHIFT), .nr = nr - done};
        step.area = find_vma(gup->mm, step.addr);
        int32_t error = -LINUX_EFAULT;
        if (step.area && step.area->start <= step.addr && area_permits(step.area, gup->flags)) {
            const uint32_t room = (step.area->end - step.addr) >> PAGE_SHIFT;
            step.nr = step.nr < room ? step.nr : room;
            error = get_page(k, gup, &step);
        }
        if (error) {
            return done ? (int32_t)done : error;
        }
        done += step.got;
    }
    return (int32_t)done;
}

int32_t get_user_pages_locked(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    chain_enter(k->cpu, PE_FN_GET_USER_PAGES);
    cost_insns(k, k->costs.gup.slow_call);
    const int32_t pages = get_pages(k, gup, start, nr);
    chain_leave(k->cpu);
    return pages;
}
