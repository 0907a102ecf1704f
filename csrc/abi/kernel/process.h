/* SPDX-License-Identifier: GPL-2.0-or-later
 * Processes. */
#ifndef PYEMU_ABI_KERNEL_PROCESS_H
#define PYEMU_ABI_KERNEL_PROCESS_H

#include "abi/kernel/memory.h"
#include "abi/kernel/context.h"

#define PE_MMAP_SHARED          0x01
#define PE_MMAP_PRIVATE         0x02
#define PE_MMAP_FIXED           0x10
#define PE_MMAP_ANONYMOUS       0x20
#define PE_MMAP_GROWSDOWN       0x100 /* a stack: grows down to an access, 8 MB at most */
#define PE_MMAP_NORESERVE       0x4000
#define PE_MMAP_POPULATE        0x8000
#define PE_MMAP_HUGEPAGE        0x10000 /* as MADV_HUGEPAGE after it */
#define PE_MMAP_NOHUGEPAGE      0x20000
#define PE_MMAP_FIXED_NOREPLACE 0x100000

/* /sys/kernel/mm/transparent_hugepage/enabled.  Read faults get huge pages too (use_zero_page 0). */
typedef enum pe_thp {
    PE_THP_NEVER = 0,
    PE_THP_MADVISE = 1, /* at first */
    PE_THP_ALWAYS = 2,
} pe_thp;

typedef struct pe_area_info {
    uint32_t start, end; /* end is the first byte behind it */
    uint32_t prot;       /* PE_PROT_* */
    uint32_t flags;      /* PE_MMAP_* */
    uint32_t rss;        /* pages present */
} pe_area_info;

typedef struct pe_task_info {
    uint32_t pid, parent;
    char name[16];
    bool running, exited;
    int32_t exit_status;
    uint32_t cpu;
    uint64_t pgd_pa; /* 0: no address space */
    uint32_t asid;
    uint32_t areas;
    uint32_t pte_tables, pmd_tables; /* pages */
    uint32_t anon, huge, shared;     /* pages mapped */
    uint32_t kmap_depth;
} pe_task_info;

/* What became of an access. */
typedef struct pe_fault_result {
    uint64_t pa;      /* of the address, when signal is 0 */
    uint32_t signal;  /* 0, or SIGSEGV 11, SIGBUS 7, SIGKILL 9 (no memory) */
    uint32_t code;    /* SEGV_MAPERR 1, SEGV_ACCERR 2 */
    uint32_t faults;  /* taken on the way, 0 where the tables allowed it at once */
    uint32_t address; /* that faulted */
} pe_fault_result;

/* Whatever a task does runs on its CPU, and switches to it first.  PE_ERR_ARGUMENT, PE_ERR_STATE: no such task, or one
 * that has exited.  What the kernel answers is in `result`: a value, or a negative errno. */

/* A task of no parent with an empty address space, of CPU `cpu`; its pid. */
pe_status pe_kernel_spawn(pe_kernel *kernel, const char *name, uint32_t cpu, int64_t *result, pe_error *err);
pe_status pe_kernel_fork(pe_kernel *kernel, uint32_t pid, int64_t *result, pe_error *err);
/* The task is gone at once, or when its parent waits for it. */
pe_status pe_kernel_exit(pe_kernel *kernel, uint32_t pid, int32_t status, pe_error *err);
/* The pid that was reaped, 0 where no child has exited yet; child 0: any. */
pe_status pe_kernel_wait(pe_kernel *kernel, uint32_t pid, uint32_t child, int32_t *status, int64_t *result,
                         pe_error *err);
/* Makes a task the one that runs on a CPU, and that CPU the one that runs; pid 0: its idle task. */
pe_status pe_kernel_switch(pe_kernel *kernel, uint32_t pid, uint32_t cpu, pe_error *err);
/* prot: PE_PROT_*, flags: PE_MMAP_*. */
pe_status pe_kernel_mmap(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t prot, uint32_t flags,
                         int64_t *result, pe_error *err);
pe_status pe_kernel_munmap(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, int64_t *result,
                           pe_error *err);
pe_status pe_kernel_mprotect(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t prot,
                             int64_t *result, pe_error *err);
/* advice: MADV_DONTNEED 4, MADV_HUGEPAGE 14, MADV_NOHUGEPAGE 15 */
pe_status pe_kernel_madvise(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t advice,
                            int64_t *result, pe_error *err);
/* flags: MREMAP_MAYMOVE 1, MREMAP_FIXED 2 */
pe_status pe_kernel_mremap(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t old_bytes, uint32_t bytes,
                           uint32_t flags, uint32_t new_addr, int64_t *result, pe_error *err);
pe_status pe_kernel_brk(pe_kernel *kernel, uint32_t pid, uint32_t brk, int64_t *result, pe_error *err);
/* Where the heap begins, as a program's loader decides: before any pe_kernel_brk. */
pe_status pe_kernel_set_start_brk(pe_kernel *kernel, uint32_t pid, uint32_t start_brk, pe_error *err);
pe_status pe_kernel_set_thp(pe_kernel *kernel, pe_thp thp, pe_error *err);

/* One access from user mode in each stride of [addr, addr + bytes), by the task's tables, with the faults that it
 * takes.  touched: how many were made before one ended in a signal, which out describes; otherwise out is of the last,
 * with the faults of all. */
pe_status pe_kernel_touch(pe_kernel *kernel, uint32_t pid, uint32_t addr, uint32_t bytes, uint32_t stride,
                          pe_access access, uint64_t *touched, pe_fault_result *out, pe_error *err);
/* The same, with the bytes; done: how many were copied. */
pe_status pe_kernel_user_read(pe_kernel *kernel, uint32_t pid, uint32_t addr, void *buf, uint32_t bytes, uint32_t *done,
                              pe_fault_result *out, pe_error *err);
pe_status pe_kernel_user_write(pe_kernel *kernel, uint32_t pid, uint32_t addr, const void *buf, uint32_t bytes,
                               uint32_t *done, pe_fault_result *out, pe_error *err);

/* Ordered by address: up to max, returns how many there are; 0 where there is no such address space. */
size_t pe_kernel_areas(const pe_kernel *kernel, uint32_t pid, pe_area_info *out, size_t max);
/* Ordered by pid, those that have exited and wait for their parent included: up to max, returns how many there are. */
size_t pe_kernel_tasks(const pe_kernel *kernel, pe_task_info *out, size_t max);
pe_status pe_kernel_task(const pe_kernel *kernel, uint32_t pid, pe_task_info *out, pe_error *err);
/* The registers with which the task's tables translate. */
pe_status pe_kernel_task_regime(const pe_kernel *kernel, uint32_t pid, pe_regime *out, pe_error *err);
/* Tables that wait for an RCU grace period. */
uint32_t pe_kernel_tables_waiting(const pe_kernel *kernel);

#endif
