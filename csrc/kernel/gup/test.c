/* SPDX-License-Identifier: GPL-2.0-or-later
 * The kernel's own gup_test (mm/gup_test.c): gets pages, puts them back, times both. */
#include "kernel/cost.h"
#include "kernel/gup/gup.h"

#include <stdlib.h>

struct meter {
    uint64_t cycles, instructions;
};

static struct meter read_meter(const struct pe_kernel *k)
{
    struct meter m = {0};
    pe_bill bill;
    if (k->bill.ledger && pe_ledger_read(k->bill.ledger, k->cpu->id, true, &bill, NULL) == PE_OK) {
        m.cycles = pe_ledger_cycles(k->bill.ledger, k->cpu->id);
        m.instructions = bill.events[PE_COST_INSTRUCTIONS];
    }
    return m;
}

static uint64_t microseconds(const struct pe_kernel *k, uint64_t cycles)
{
    const uint64_t hz = k->bill.core.clock_hz;
    return hz ? cycles / hz * 1000000 + cycles % hz * 1000000 / hz : 0;
}

static pe_status check_test(const pe_gup_test *test, pe_error *err)
{
    if (test->addr > UINT32_MAX || test->size > UINT64_C(1) << 32 || test->size < PAGE_SIZE) {
        return pe_fail(err, PE_ERR_ARGUMENT,
                       "0x%llx bytes from 0x%llx on: at least a page of 32-bit addresses would be right",
                       (unsigned long long)test->size, (unsigned long long)test->addr);
    }
    return PE_OK;
}

/* Gets and puts; pfns: room for nr. */
static pe_status run(struct pe_kernel *k, pe_gup_call call, pe_gup_test *test, uint32_t *pfns, uint32_t nr,
                     pe_gup_test_result *out, pe_error *err)
{
    const uint32_t per_call = test->nr_pages_per_call < nr ? test->nr_pages_per_call : nr;
    const struct meter start = read_meter(k);
    pe_status status =
        pe_kernel_gup(k, call, (uint32_t)test->addr, nr, per_call, test->gup_flags, pfns, &out->gup, err);
    const struct meter middle = read_meter(k);
    if (status) {
        return status;
    }
    const size_t got = out->gup.pages > 0 ? (size_t)out->gup.pages : 0;
    const bool pinned = call != PE_GUP && call != PE_GUP_FAST && call != PE_GUP_FAST_ONLY;
    status = pinned ? pe_kernel_unpin(k, pfns, got, err) : pe_kernel_gup_put(k, pfns, got, err);
    const struct meter end = read_meter(k);
    out->get_cycles = middle.cycles - start.cycles;
    out->put_cycles = end.cycles - middle.cycles;
    out->get_instructions = middle.instructions - start.instructions;
    out->put_instructions = end.instructions - middle.instructions;
    test->get_delta_usec = microseconds(k, out->get_cycles);
    test->put_delta_usec = microseconds(k, out->put_cycles);
    test->size = (uint64_t)got << PAGE_SHIFT;
    return status;
}

pe_status pe_kernel_gup_test(pe_kernel *k, pe_gup_call call, pe_gup_test *test, pe_gup_test_result *out, pe_error *err)
{
    pe_status status = check_test(test, err);
    if (status) {
        return status;
    }
    const uint32_t nr = (uint32_t)(test->size >> PAGE_SHIFT);
    uint32_t *pfns = malloc(nr * sizeof *pfns);
    if (!pfns) {
        return pe_fail(err, PE_ERR_MEMORY, "the host has no memory for a list of %u pages", nr);
    }
    *out = (pe_gup_test_result){0};
    status = run(k, call, test, pfns, nr, out, err);
    free(pfns);
    return status;
}
