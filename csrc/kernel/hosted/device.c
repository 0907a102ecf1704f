/* SPDX-License-Identifier: GPL-2.0-or-later
 * /sys/kernel/debug/gup_test (mm/gup_test.c): get_user_pages of the program that asks, timed, and pages that stay
 * pinned and are read through kmap_local windows. */
#include "kernel/cost.h"
#include "kernel/hosted/hosted.h"

#include <errno.h>
#include <stdlib.h>

#define IOC_TYPE(command)   ((command) >> 8 & 0xff)
#define IOC_NUMBER(command) ((command) & 0xff)
#define IOC_SIZE(command)   ((command) >> 16 & 0x3fff)

#define PIN_LONGTERM_TEST_START 7u
#define PIN_LONGTERM_TEST_STOP  8u
#define PIN_LONGTERM_TEST_READ  9u

#define USE_WRITE 1u
#define USE_FAST  2u

#define LONGTERM_MAX_PAGES (1u << 20)

struct pin_longterm_test {
    uint64_t addr;
    uint64_t size;
    uint32_t flags;
    uint32_t padding;
};

_Static_assert(sizeof(pe_gup_test) == 80, "as the EABI lays it out");
_Static_assert(sizeof(struct pin_longterm_test) == 24, "as the EABI lays it out");

static int32_t benchmark(struct pe_kernel *k, pe_gup_call call, uint32_t argument)
{
    pe_gup_test test;
    pe_gup_test_result result;
    if (!copy_from_user(k, &test, argument, sizeof test)) {
        return -EFAULT;
    }
    if (test.size < PAGE_SIZE) { /* nothing to do */
        test.get_delta_usec = test.put_delta_usec = test.size = 0;
    } else if (pe_kernel_gup_test(k, call, &test, &result, NULL) != PE_OK) {
        return -EINVAL;
    }
    return copy_to_user(k, argument, &test, sizeof test) ? 0 : -EFAULT;
}

static int32_t longterm_start(struct pe_kernel *k, uint32_t argument)
{
    struct longterm *l = &k->hosted->longterm;
    struct pin_longterm_test test;
    if (l->pfns) {
        return -EINVAL;
    }
    if (!copy_from_user(k, &test, argument, sizeof test)) {
        return -EFAULT;
    }
    const uint64_t nr = test.size >> PAGE_SHIFT;
    if (test.flags & ~(USE_WRITE | USE_FAST) || (test.addr | test.size) & (PAGE_SIZE - 1) || !nr ||
        nr > LONGTERM_MAX_PAGES || test.addr > UINT32_MAX) {
        return -EINVAL;
    }
    if (!(l->pfns = heap_alloc(k, nr, sizeof *l->pfns))) {
        return -ENOMEM;
    }
    const uint32_t flags = PE_FOLL_LONGTERM | (test.flags & USE_WRITE ? PE_FOLL_WRITE : 0);
    const pe_gup_call call = test.flags & USE_FAST ? PE_PIN_FAST : PE_PIN_LONGTERM;
    pe_gup_result got = {0};
    const pe_status status =
        pe_kernel_gup(k, call, (uint32_t)test.addr, (uint32_t)nr, (uint32_t)nr, flags, l->pfns, &got, NULL);
    l->count = status == PE_OK && got.pages > 0 ? (uint32_t)got.pages : 0;
    if (l->count == nr) {
        return 0;
    }
    gup_test_release(k);
    return got.pages < 0 ? got.pages : -EFAULT;
}

/* Page by page through a window: highmem has no other address. */
static int32_t longterm_read(struct pe_kernel *k, uint32_t argument)
{
    const struct longterm *l = &k->hosted->longterm;
    uint64_t to;
    if (!l->pfns) {
        return -EINVAL;
    }
    if (!copy_from_user(k, &to, argument, sizeof to)) {
        return -EFAULT;
    }
    for (uint32_t i = 0; i < l->count; i++, to += PAGE_SIZE) {
        struct page *page = pfn_to_page(&k->frames, l->pfns[i]);
        const uint32_t window = kmap_local_page(k, page);
        cost_stream(k, window, page_to_phys(&k->frames, page), PAGE_SIZE, PE_READ);
        const bool copied = to <= UINT32_MAX && copy_to_user(k, (uint32_t)to, page_host(k, page), PAGE_SIZE);
        kunmap_local(k, window);
        if (!copied) {
            return -EFAULT;
        }
    }
    return 0;
}

void gup_test_release(struct pe_kernel *k)
{
    struct longterm *l = &k->hosted->longterm;
    if (l->pfns) {
        pe_kernel_unpin(k, l->pfns, l->count, NULL);
        heap_free(k, l->pfns);
        *l = (struct longterm){0};
    }
}

int32_t gup_test_ioctl(struct pe_kernel *k, uint32_t command, uint32_t argument)
{
    static const struct {
        uint32_t size;
        pe_gup_call call;
    } BENCHMARKS[6] = {[1] = {80, PE_GUP_FAST},
                       [2] = {80, PE_PIN_FAST},
                       [3] = {80, PE_PIN_LONGTERM},
                       [4] = {80, PE_GUP},
                       [5] = {80, PE_PIN}};
    const uint32_t number = IOC_NUMBER(command);
    if (IOC_TYPE(command) != 'g') {
        return -EINVAL;
    }
    if (number >= 1 && number <= 5 && IOC_SIZE(command) == BENCHMARKS[number].size) {
        return benchmark(k, BENCHMARKS[number].call, argument);
    }
    switch (number) {
    case PIN_LONGTERM_TEST_START: return longterm_start(k, argument);
    case PIN_LONGTERM_TEST_STOP: gup_test_release(k); return 0;
    case PIN_LONGTERM_TEST_READ: return longterm_read(k, argument);
    default: return -EINVAL;
    }
}
