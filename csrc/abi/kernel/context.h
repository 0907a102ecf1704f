/* SPDX-License-Identifier: GPL-2.0-or-later
 * Execution context, locks and reports. */
#ifndef PYEMU_ABI_KERNEL_CONTEXT_H
#define PYEMU_ABI_KERNEL_CONTEXT_H

#include "abi/kernel/model.h"

/* The model's functions, as they stand in a call chain. */
typedef enum pe_kernel_function {
    PE_FN_GET_USER_PAGES_FAST = 0,
    PE_FN_PIN_USER_PAGES_FAST = 1,
    PE_FN_GUP_FAST_FALLBACK = 2,
    PE_FN_GUP_FAST = 3,
    PE_FN_GUP_FAST_PGD_RANGE = 4,
    PE_FN_GUP_FAST_PMD_LEAF = 5,
    PE_FN_GUP_FAST_PTE_RANGE = 6,
    PE_FN_GET_USER_PAGES = 7, /* __get_user_pages */
    PE_FN_FOLLOW_PAGE_PTE = 8,
    PE_FN_HANDLE_MM_FAULT = 9,
    PE_FN_DO_ANONYMOUS_PAGE = 10,
    PE_FN_DO_WP_PAGE = 11,
    PE_FN_COPY_PTE_RANGE = 12,
    PE_FN_ZAP_PTE_RANGE = 13,
    PE_FN_CHANGE_PTE_RANGE = 14,
    PE_FN_MOVE_PTES = 15,
    PE_FN_SPLIT_HUGE_PMD = 16,
    PE_FN_PTE_OFFSET_MAP = 17, /* __pte_offset_map */
    PE_FN_KMAP_LOCAL_PAGE_PROT = 18,
    PE_FN_KMAP_LOCAL_PFN_PROT = 19,
    PE_FN_KUNMAP_LOCAL = 20,
    PE_FN_KMAP_HIGH_GET = 21,
    PE_FN_KMAP_HIGH = 22,
    PE_FN_KUNMAP_HIGH = 23,
    PE_FN_PAGE_ADDRESS = 24,
    PE_FN_SPIN_LOCK = 25, /* rt_spin_lock under PREEMPT_RT */
    PE_FN_CLEAR_HIGHPAGE = 26,
    PE_FN_COPY_HIGHPAGE = 27,
    PE_FN_ALLOC_PAGES = 28,
    PE_FN_DUP_MMAP = 29,
    PE_FN_EXIT_MMAP = 30,
    PE_FN_SCHEDULE = 31,
    PE_FN_KMAP_LOCAL_SCHED_OUT = 32,
    PE_FN_KMAP_LOCAL_SCHED_IN = 33,
    PE_FN_PERF_GET_PAGE_SIZE = 34,
    PE_FN_FUTEX_KEY = 35, /* get_futex_key */
    PE_FN_SYSTEM_CALL = 36,
    PE_FN_DATA_ABORT = 37,
    PE_FN_DO_FORK = 38, /* kernel_clone */
} pe_kernel_function;
#define PE_FUNCTIONS 39
const char *pe_kernel_function_name(pe_kernel_function function); /* "gup_fast_pte_range"; NULL past the end */

typedef enum pe_lock {
    PE_LOCK_KMAP = 0,         /* kmap_lock */
    PE_LOCK_PAGE_ADDRESS = 1, /* page_address_htable[n].lock */
    PE_LOCK_PAGE_TABLE = 2,   /* ptl */
    PE_LOCK_INIT_MM = 3,      /* init_mm.page_table_lock */
    PE_LOCK_ZONE = 4,         /* zone->lock */
    PE_LOCK_PKMAP_WAIT = 5,   /* pkmap_map_wait */
    PE_LOCK_CPU_ASID = 6,     /* cpu_asid_lock: raw */
    PE_LOCK_RQ = 7,           /* rq->lock: raw */
    PE_LOCK_MMAP = 8,         /* mmap_lock: sleeps on every kernel */
} pe_lock;
#define PE_LOCKS 9
const char *pe_lock_name(pe_lock lock); /* "kmap_lock"; NULL past the end */

typedef enum pe_report_kind {
    PE_REPORT_SLEEPING_FUNCTION = 0,    /* "sleeping function called from invalid context" */
    PE_REPORT_SCHEDULING_ATOMIC = 1,    /* "scheduling while atomic": it really had to wait */
    PE_REPORT_KMAP_LIFO = 2,            /* a window unmapped that is not the last one made */
    PE_REPORT_KMAP_DEPTH = 3,           /* more windows than KM_MAX_IDX: a BUG */
    PE_REPORT_KMAP_LEAK = 4,            /* a task forked with a window open */
    PE_REPORT_KMAP_NOT_EMPTY = 5,       /* the window's PTE is in use: a BUG */
    PE_REPORT_HARDIRQ_WITH_IRQS_ON = 6, /* kmap_local in hard-irq context with interrupts enabled */
    PE_REPORT_TRYLOCK_IN_HARDIRQ = 7,   /* rtmutex trylock in hard-irq context */
    PE_REPORT_UNBALANCED = 8,           /* preempt count, RCU or migrate_disable below zero */
    PE_REPORT_BAD_PMD = 9,              /* a block for an address of the kernel, or a PMD entry that is no table */
    PE_REPORT_KMAP_ADDRESS = 10,        /* kunmap_local of what is no kernel address */
} pe_report_kind;
#define PE_REPORT_KINDS 11

#define PE_REPORT_CHAIN 24
#define PE_REPORT_HELD  8
/* The fields of the kernel's own message (kernel/sched/core.c, __might_resched). */
typedef struct pe_kernel_report {
    uint64_t count; /* of the same kind, lock and chain; the rest is that of the first */
    pe_report_kind kind;
    uint32_t lock; /* pe_lock; PE_LOCKS: none */
    uint32_t cpu;
    uint32_t pid;
    char name[16];
    bool blocked; /* another held the lock: the task really had to sleep */
    bool in_hardirq;
    bool irqs_disabled;
    uint32_t preempt_count, preempt_expected;
    uint32_t rcu_depth, rcu_expected;
    uint32_t migrate_disabled;
    uint32_t value; /* of the kind: the depth, the address */
    uint32_t held;  /* locks held, outermost first */
    uint8_t locks[8];
    uint32_t depth;    /* of the chain, outermost first */
    uint8_t chain[24]; /* pe_kernel_function */
} pe_kernel_report;

#define PE_REPORTS_KEPT 64 /* different ones; later ones are only counted */
/* Reports in the order of their first occurrence: up to max; returns how many are kept. */
size_t pe_kernel_reports(const pe_kernel *kernel, pe_kernel_report *out, size_t max);
/* How many of a kind there were, and how many of those would really have blocked. */
uint64_t pe_kernel_report_count(const pe_kernel *kernel, pe_report_kind kind, uint64_t *blocked);
void pe_kernel_reports_clear(pe_kernel *kernel);

typedef struct pe_kernel_context {
    uint32_t cpu;
    uint32_t pid;
    bool irqs_disabled;
    bool in_hardirq;
    uint32_t preempt_count;
    uint32_t rcu_depth;
    uint32_t migrate_disabled;
    uint32_t kmap_depth; /* windows of the current task */
    uint32_t held;
    uint8_t locks[8];
} pe_kernel_context;
pe_status pe_kernel_context_read(const pe_kernel *kernel, uint32_t cpu, pe_kernel_context *out, pe_error *err);

/* What a caller of the modelled functions may have done before. */
typedef enum pe_context_change {
    PE_CONTEXT_IRQ_DISABLE = 0, /* local_irq_disable; nests */
    PE_CONTEXT_IRQ_ENABLE = 1,
    PE_CONTEXT_PREEMPT_DISABLE = 2,
    PE_CONTEXT_PREEMPT_ENABLE = 3,
    PE_CONTEXT_RCU_LOCK = 4,
    PE_CONTEXT_RCU_UNLOCK = 5,
    PE_CONTEXT_MIGRATE_DISABLE = 6,
    PE_CONTEXT_MIGRATE_ENABLE = 7,
    PE_CONTEXT_HARDIRQ_ENTER = 8, /* interrupts are off in it */
    PE_CONTEXT_HARDIRQ_EXIT = 9,
} pe_context_change;
/* Changes the context of the CPU that runs.  PE_ERR_STATE where it would not balance. */
pe_status pe_kernel_context_change(pe_kernel *kernel, pe_context_change change, pe_error *err);
/* Another task of another CPU takes or gives back a lock, so that whoever wants it meanwhile has to wait. */
pe_status pe_kernel_lock_occupy(pe_kernel *kernel, pe_lock lock, bool occupied, pe_error *err);

#endif
