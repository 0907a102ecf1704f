/* SPDX-License-Identifier: GPL-2.0-or-later
 * get_user_pages. */
#ifndef PYEMU_ABI_KERNEL_GUP_H
#define PYEMU_ABI_KERNEL_GUP_H

#include "abi/kernel/process.h"

typedef enum pe_gup_call {
    PE_GUP_FAST = 0,      /* get_user_pages_fast */
    PE_GUP_FAST_ONLY = 1, /* get_user_pages_fast_only */
    PE_PIN_FAST = 2,      /* pin_user_pages_fast */
    PE_PIN_FAST_ONLY = 3,
    PE_GUP = 4, /* get_user_pages */
    PE_PIN = 5, /* pin_user_pages */
    PE_PIN_LONGTERM = 6,
} pe_gup_call;
#define PE_GUP_CALLS 7

/* gup_flags, as FOLL_* of include/linux/mm_types.h */
#define PE_FOLL_WRITE    0x001
#define PE_FOLL_FORCE    0x008
#define PE_FOLL_NOFAULT  0x020
#define PE_FOLL_LONGTERM 0x100

/* Why the fast walk ended before its last page, in the order of its checks (mm/gup.c). */
typedef enum pe_gup_stop {
    PE_GUP_STOP_NONE = 0,
    PE_GUP_STOP_NO_FAST_GUP = 1, /* compiled out: classic tables, a remedy */
    PE_GUP_STOP_SEQCOUNT = 2,    /* fork write-protects */
    PE_GUP_STOP_PGD_NONE = 3,
    PE_GUP_STOP_PMD_ABSENT = 4,
    PE_GUP_STOP_PMD_ACCESS = 5,
    PE_GUP_STOP_PTE_TABLE = 6, /* pte_offset_map gave none, or a lock was not free */
    PE_GUP_STOP_PTE_ACCESS = 7,
    PE_GUP_STOP_PTE_SPECIAL = 8,
    PE_GUP_STOP_FOLIO = 9,    /* no reference to be had */
    PE_GUP_STOP_CHANGED = 10, /* PMD or PTE is not what was read */
    PE_GUP_STOP_NOT_ALLOWED = 11,
    PE_GUP_STOP_UNSHARE = 12,
    PE_GUP_STOP_PIN_LONGTERM = 13,
} pe_gup_stop;

typedef struct pe_gup_result {
    int32_t pages; /* got; or a negative errno when there is none */
    uint32_t fast; /* of them by the fast walk */
    pe_gup_stop stop;
    uint32_t stop_address;
    uint32_t windows; /* highmem PTE tables mapped by the fast walk */
    uint32_t reports; /* made in this call */
} pe_gup_result;

/* mm/gup_test.c, struct gup_test. */
typedef struct pe_gup_test {
    uint64_t get_delta_usec;
    uint64_t put_delta_usec;
    uint64_t addr;
    uint64_t size;
    uint32_t nr_pages_per_call;
    uint32_t gup_flags;
    uint32_t test_flags;
    uint32_t which_pages[8];
} pe_gup_test;

/* Pages of the address space that runs on the CPU, a number of them a call, as gup_test asks for them: until a call
 * gets less than it asked for.  pfns: room for nr_pages (1 to 2^20).  PE_ERR_STATE where a kernel thread runs. */
pe_status pe_kernel_gup(pe_kernel *kernel, pe_gup_call call, uint32_t addr, uint32_t nr_pages, uint32_t pages_per_call,
                        uint32_t gup_flags, uint32_t *pfns, pe_gup_result *out, pe_error *err);
/* put_page and unpin_user_pages: references of pages that pe_kernel_gup gave.  PE_ERR_STATE at the first page that has
 * none to give back; those before it are done. */
pe_status pe_kernel_gup_put(pe_kernel *kernel, const uint32_t *pfns, size_t count, pe_error *err);
pe_status pe_kernel_unpin(pe_kernel *kernel, const uint32_t *pfns, size_t count, pe_error *err);

typedef struct pe_gup_test_result {
    pe_gup_result gup;
    uint64_t get_cycles, put_cycles;
    uint64_t get_instructions, put_instructions;
} pe_gup_test_result;

/* mm/gup_test.c: gets test->size bytes from test->addr on and puts them back.  The times are those of the bill at the
 * core's clock; 0 without a core. */
pe_status pe_kernel_gup_test(pe_kernel *kernel, pe_gup_call call, pe_gup_test *test, pe_gup_test_result *out,
                             pe_error *err);

/* What another CPU does at an address while the next fast walk is between its two looks at the entry; it is undone when
 * the walk is over. */
typedef enum pe_gup_race {
    PE_GUP_RACE_PTE = 0,    /* mprotect has cleared the entry, to write it again */
    PE_GUP_RACE_PMD = 1,    /* the same of the PMD entry */
    PE_GUP_RACE_FORK = 2,   /* fork write-protects: write_protect_seq */
    PE_GUP_RACE_FREEZE = 3, /* a split holds the folio frozen: no references */
} pe_gup_race;
pe_status pe_kernel_gup_race(pe_kernel *kernel, pe_gup_race race, uint32_t addr, pe_error *err);

#endif
