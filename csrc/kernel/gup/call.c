/* SPDX-License-Identifier: GPL-2.0-or-later
 * The faces of get_user_pages (mm/gup.c): flags, ranges, fast first and slow for the rest. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"

/* ---- one call ---- */

/* gup_fast_fallback; the flags are complete. */
static int32_t gup_fast_fallback(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    start &= (uint32_t)PAGE_MASK;
    const uint64_t end = start + ((uint64_t)nr << PAGE_SHIFT);
    if (end > UINT32_MAX) {
        return -LINUX_EOVERFLOW;
    }
    if (end > k->layout.task_size) {
        return -LINUX_EFAULT;
    }
    const uint32_t before = gup->got;
    gup_fast(k, gup, start, (uint32_t)end);
    const uint32_t fast = gup->got - before;
    if (fast == nr || gup->flags & FOLL_FAST_ONLY) {
        return (int32_t)fast;
    }
    k->stats.gup_fast_stops++;
    gup->flags |= FOLL_TOUCH | FOLL_UNLOCKABLE;
    mmap_read_lock(k);
    const int32_t slow = gup_longterm_locked(k, gup, start + (fast << PAGE_SHIFT), nr - fast);
    mmap_read_unlock(k);
    if (slow < 0) {
        return fast ? (int32_t)fast : slow;
    }
    return (int32_t)fast + slow;
}

static int32_t call_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr, pe_kernel_function name)
{
    gup->mm->has_pinned |= (gup->flags & FOLL_PIN) != 0;
    chain_enter(k->cpu, name);
    chain_enter(k->cpu, PE_FN_GUP_FAST_FALLBACK);
    const int32_t pages = gup_fast_fallback(k, gup, start, nr);
    chain_leave(k->cpu);
    chain_leave(k->cpu);
    return pages;
}

int32_t get_user_pages_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    gup->flags |= FOLL_GET;
    return call_fast(k, gup, start, nr, PE_FN_GET_USER_PAGES_FAST);
}

int32_t pin_user_pages_fast(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    gup->flags |= FOLL_PIN;
    return call_fast(k, gup, start, nr, PE_FN_PIN_USER_PAGES_FAST);
}

/* get_user_pages, pin_user_pages: the caller holds the mmap lock. */
static int32_t call_slow(struct pe_kernel *k, struct gup *gup, uint32_t start, uint32_t nr)
{
    gup->mm->has_pinned |= (gup->flags & FOLL_PIN) != 0;
    gup->flags |= FOLL_TOUCH;
    return gup_longterm_locked(k, gup, start & (uint32_t)PAGE_MASK, nr);
}

/* ---- many calls, as gup_test makes them ---- */

static const struct {
    uint32_t flags;
    bool slow;
} CALLS[PE_GUP_CALLS] = {
    [PE_GUP_FAST] = {FOLL_GET, false},
    [PE_GUP_FAST_ONLY] = {FOLL_GET | FOLL_FAST_ONLY, false},
    [PE_PIN_FAST] = {FOLL_PIN, false},
    [PE_PIN_FAST_ONLY] = {FOLL_PIN | FOLL_FAST_ONLY, false},
    [PE_GUP] = {FOLL_GET, true},
    [PE_PIN] = {FOLL_PIN, true},
    [PE_PIN_LONGTERM] = {FOLL_PIN | FOLL_LONGTERM, true},
};

/* is_valid_gup_args, and the flags that gup_fast_fallback knows. */
static bool flags_are_valid(pe_gup_call call, uint32_t flags)
{
    const uint32_t internal = FOLL_GET | FOLL_PIN | FOLL_TOUCH | FOLL_FAST_ONLY | FOLL_UNLOCKABLE;
    const uint32_t known =
        FOLL_WRITE | FOLL_FORCE | FOLL_NOFAULT | FOLL_LONGTERM | FOLL_PCI_P2PDMA | FOLL_HONOR_NUMA_FAULT;
    const bool longterm = flags & FOLL_LONGTERM;
    return !(flags & internal) && !(flags & ~known) && !(longterm && !(CALLS[call].flags & FOLL_PIN));
}

struct request {
    pe_gup_call call;
    uint32_t flags;
    uint32_t addr;
    uint32_t nr;
};

static int32_t make_call(struct pe_kernel *k, const struct request *r, struct gup *gup)
{
    gup->flags = r->flags | CALLS[r->call].flags;
    if (CALLS[r->call].slow) {
        return call_slow(k, gup, r->addr, r->nr);
    }
    return gup->flags & FOLL_PIN ? pin_user_pages_fast(k, gup, r->addr, r->nr)
                                 : get_user_pages_fast(k, gup, r->addr, r->nr);
}

static uint64_t count_reports(const struct pe_kernel *k)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < PE_REPORT_KINDS; i++) {
        sum += k->reports.total[i];
    }
    return sum;
}

/* Of the fast walk: pages, and the first stop. */
static void account(pe_gup_result *out, const struct gup *gup, uint32_t fast)
{
    out->fast += fast;
    out->windows += gup->windows;
    if (!out->stop) {
        out->stop = gup->stop;
        out->stop_address = gup->stop_address;
    }
}

/* mm/gup_test.c: until a call gets less than it asked for. */
static void make_calls(struct pe_kernel *k, const struct request *all, uint32_t per_call, uint32_t *pfns,
                       pe_gup_result *out)
{
    uint32_t got = 0;
    for (uint32_t at = 0; at < all->nr;) {
        struct request r = *all;
        r.addr += at << PAGE_SHIFT;
        r.nr = all->nr - at < per_call ? all->nr - at : per_call;
        struct gup gup = {.mm = current_task(k)->mm, .pfns = pfns + got};
        const uint64_t fast = k->stats.gup_fast_pages;
        const int32_t pages = make_call(k, &r, &gup);
        account(out, &gup, (uint32_t)(k->stats.gup_fast_pages - fast));
        if (pages <= 0) {
            out->pages = got ? (int32_t)got : pages;
            return;
        }
        got += (uint32_t)pages;
        at += r.nr;
        if ((uint32_t)pages != r.nr) {
            break;
        }
    }
    out->pages = (int32_t)got;
}

static pe_status check_call(const struct pe_kernel *k, pe_gup_call call, uint32_t nr, uint32_t per_call, pe_error *err)
{
    if ((unsigned)call >= PE_GUP_CALLS) {
        return pe_fail(err, PE_ERR_ARGUMENT, "no call %d: 0 to %d are", (int)call, PE_GUP_CALLS - 1);
    }
    if (!nr || nr > 1u << 20 || !per_call) {
        return pe_fail(err, PE_ERR_ARGUMENT, "%u pages, %u a call: 1 to %u, and at least 1 a call, would be right", nr,
                       per_call, 1u << 20);
    }
    if (!current_task(k)->mm) {
        return pe_fail(err, PE_ERR_STATE, "CPU %u runs %s, which has no address space: switch to a process first",
                       k->cpu->id, current_task(k)->name);
    }
    return PE_OK;
}

pe_status pe_kernel_gup(pe_kernel *k, pe_gup_call call, uint32_t addr, uint32_t nr_pages, uint32_t pages_per_call,
                        uint32_t gup_flags, uint32_t *pfns, pe_gup_result *out, pe_error *err)
{
    const pe_status status = check_call(k, call, nr_pages, pages_per_call, err);
    if (status) {
        return status;
    }
    const struct request all = {.call = call, .flags = gup_flags, .addr = addr, .nr = nr_pages};
    const uint64_t reports = count_reports(k);
    *out = (pe_gup_result){0};
    if (!flags_are_valid(call, gup_flags)) {
        out->pages = -LINUX_EINVAL;
        return PE_OK;
    }
    if (CALLS[call].slow) {
        mmap_read_lock(k);
    }
    make_calls(k, &all, pages_per_call, pfns, out);
    if (CALLS[call].slow) {
        mmap_read_unlock(k);
    }
    out->reports = (uint32_t)(count_reports(k) - reports);
    return PE_OK;
}
