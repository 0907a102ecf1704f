/* SPDX-License-Identifier: GPL-2.0-or-later
 * User memory as the kernel reads and writes it: by the tables of the task that runs (arch/arm/lib/copy_from_user.S).
 */
#include "kernel/cost.h"
#include "kernel/hosted/hosted.h"

#define TRIES_MAX 4 /* absent, then without access flag, then clean */

/* The place of an address of the task that runs, faulted in.  False: it has none. */
static bool user_phys(struct pe_kernel *k, uint32_t va, pe_access access, uint64_t *pa)
{
    struct task *task = current_task(k);
    for (uint32_t i = 0; i < TRIES_MAX && task->mm; i++) {
        pe_translation t;
        pe_translate(k->mem, &k->cpu->regime, va, access, false, &t);
        if (!t.fault) {
            *pa = t.pa;
            return true;
        }
        pe_fault_result result = {0};
        if (!do_page_fault(k, task->mm, va, access, &result)) {
            return false;
        }
    }
    return false;
}

static bool copy(struct pe_kernel *k, uint32_t va, uint8_t *at, uint32_t len, pe_access access)
{
    if (len > k->layout.task_size || va > k->layout.task_size - len) {
        return false;
    }
    while (len) {
        const uint32_t room = PAGE_SIZE - (va & (PAGE_SIZE - 1)), part = len < room ? len : room;
        uint64_t pa;
        uint8_t *host;
        if (!user_phys(k, va, access, &pa) || !(host = phys_host(k, pa, part))) {
            return false;
        }
        cost_stream(k, va, pa, part, access);
        if (access == PE_WRITE) {
            observe_page(k, host, part);
            memcpy(host, at, part);
            if (k->machine) {
                fill_drop_code(k->machine, pa, part);
            }
        } else {
            memcpy(at, host, part);
        }
        va += part;
        at += part;
        len -= part;
    }
    return true;
}

bool copy_from_user(struct pe_kernel *k, void *to, uint32_t from, uint32_t len)
{
    return copy(k, from, to, len, PE_READ);
}

bool copy_to_user(struct pe_kernel *k, uint32_t to, const void *from, uint32_t len)
{
    return copy(k, to, (uint8_t *)(uintptr_t)from, len, PE_WRITE);
}
