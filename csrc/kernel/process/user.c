/* SPDX-License-Identifier: GPL-2.0-or-later
 * What a user program does with its memory: accesses that fault until the tables allow them. */
#include "kernel/cost.h"

/* As many as one access can take: no table, no page, copy on write, access flag, dirty. */
#define FAULTS_MAX 8

/* Whom an access belongs to, and by which registers its addresses are translated. */
struct user {
    struct mm *mm;
    pe_regime regime;
};

static pe_status begin(struct pe_kernel *k, uint32_t pid, struct user *user, pe_fault_result *out, pe_error *err)
{
    const struct task *task = run_task(k, pid, err);
    *out = (pe_fault_result){0};
    if (!task) {
        return PE_ERR_ARGUMENT;
    }
    if (!task->mm) {
        return pe_fail(err, PE_ERR_STATE, "task %u is a kernel thread: it has no user memory", pid);
    }
    user->mm = task->mm;
    regime_of(k, user->mm, &user->regime);
    return PE_OK;
}

/* True: out->pa is where the access goes. */
static bool access_page(struct pe_kernel *k, const struct user *user, uint32_t addr, pe_access access,
                        pe_fault_result *out)
{
    for (uint32_t i = 0; i < FAULTS_MAX; i++) {
        pe_translation t;
        pe_translate(k->mem, &user->regime, addr, access, false, &t);
        if (t.fault == PE_FAULT_NONE) {
            out->pa = t.pa;
            return true;
        }
        if (!do_page_fault(k, user->mm, addr, access, out)) {
            return false;
        }
    }
    /* The kernel sees nothing wrong with tables that keep faulting: the task would hang. */
    out->signal = SIGKILL;
    out->address = addr;
    return false;
}

pe_status pe_kernel_touch(pe_kernel *k, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t stride, pe_access access,
                          uint64_t *touched, pe_fault_result *out, pe_error *err)
{
    if (!stride || (unsigned)access > PE_FETCH) {
        return pe_fail(err, PE_ERR_ARGUMENT, "an access of kind %d each %u bytes is none", (int)access, stride);
    }
    struct user user;
    const pe_status status = begin(k, pid, &user, out, err);
    *touched = 0;
    if (status) {
        return status;
    }
    for (uint64_t at = addr; at < (uint64_t)addr + bytes && at <= UINT32_MAX; at += stride) {
        if (!access_page(k, &user, (uint32_t)at, access, out)) {
            break;
        }
        ++*touched;
    }
    return PE_OK;
}

static pe_status copy(pe_kernel *k, uint32_t pid, uint32_t addr, uint8_t *buf, uint32_t bytes, bool write,
                      uint32_t *done, pe_fault_result *out, pe_error *err)
{
    struct user user;
    const pe_status status = begin(k, pid, &user, out, err);
    *done = 0;
    while (!status && *done < bytes) {
        const uint32_t at = addr + *done, room = PAGE_SIZE - at % PAGE_SIZE;
        const uint32_t part = bytes - *done < room ? bytes - *done : room;
        if (at < addr || !access_page(k, &user, at, write ? PE_WRITE : PE_READ, out)) {
            break;
        }
        struct page *page = pfn_to_page(&k->frames, out->pa >> PAGE_SHIFT);
        uint8_t *host = phys_host(k, out->pa, part);
        if (!page || !host) {
            return pe_fail(err, PE_ERR_RANGE, "0x%x is at physical 0x%llx, which is no RAM", at,
                           (unsigned long long)out->pa);
        }
        if (write) {
            page->flags |= PE_PG_BACKED;
            observe_page(k, host, part);
            memcpy(host, buf + *done, part);
        } else {
            memcpy(buf + *done, host, part);
        }
        *done += part;
    }
    return status;
}

pe_status pe_kernel_user_read(pe_kernel *k, uint32_t pid, uint32_t addr, void *buf, uint32_t bytes, uint32_t *done,
                              pe_fault_result *out, pe_error *err)
{
    return copy(k, pid, addr, buf, bytes, false, done, out, err);
}

pe_status pe_kernel_user_write(pe_kernel *k, uint32_t pid, uint32_t addr, const void *buf, uint32_t bytes,
                               uint32_t *done, pe_fault_result *out, pe_error *err)
{
    return copy(k, pid, addr, (uint8_t *)(uintptr_t)buf, bytes, true, done, out, err);
}
