/* SPDX-License-Identifier: GPL-2.0-or-later
 * What the model does, event by event, with its cycles. */
#ifndef PYEMU_ABI_KERNEL_TRACE_H
#define PYEMU_ABI_KERNEL_TRACE_H

#include "abi/kernel/gup.h"

typedef enum pe_trace_kind {
    PE_TRACE_ENTER = 0,    /* code: pe_kernel_function */
    PE_TRACE_LEAVE = 1,    /* the same */
    PE_TRACE_CONTEXT = 2,  /* code: pe_context_change; value: the depth now */
    PE_TRACE_LOCK = 3,     /* code: pe_lock; value 1: it may sleep (PREEMPT_RT, mmap_lock); old 1: another holds it */
    PE_TRACE_UNLOCK = 4,   /* code: pe_lock */
    PE_TRACE_TRYLOCK = 5,  /* code: pe_lock: another holds it, and so the caller goes without */
    PE_TRACE_READ = 6,     /* an entry of a table: code: its level; va: of the entry; value */
    PE_TRACE_WRITE = 7,    /* an entry: value, and the old one; size bytes */
    PE_TRACE_TLBI = 8,     /* code: pe_tlbi; va; value 1: broadcast */
    PE_TRACE_BARRIER = 9,  /* code 0: DSB, 1: ISB */
    PE_TRACE_CHECK = 10,   /* of the fast walk, at va: code: pe_gup_stop; 0: the entry allows the access */
    PE_TRACE_GRAB = 11,    /* pa: of the page; value: references of its folio now; code: pe_gup_stop */
    PE_TRACE_RECHECK = 12, /* as PE_TRACE_CHECK, with the reference taken: nothing has changed, and it is allowed */
    PE_TRACE_PUT = 13,     /* pa; value: references now; 0: the page is free */
    PE_TRACE_REPORT = 14,  /* code: pe_report_kind; value: pe_lock, PE_LOCKS: none */
} pe_trace_kind;
#define PE_TRACE_KINDS 15

typedef struct pe_trace_event {
    uint64_t cycles, insns; /* billed to its CPU from the beginning of the record to the end of it */
    uint64_t pa, value, old_value;
    uint32_t va;
    uint8_t kind; /* pe_trace_kind */
    uint8_t code;
    uint8_t size;
    uint8_t cpu;
    uint32_t depth; /* of the chain of functions */
} pe_trace_event;

/* Keeps the first `room` events from now on and counts the others; 0: no more.  What the model does and bills is the
 * same with it. */
pe_status pe_kernel_trace(pe_kernel *kernel, uint64_t room, pe_error *err);
/* Those from number `from` on, up to max; *total is how many there were, kept or not.  Returns how many are stored. */
size_t pe_kernel_trace_read(const pe_kernel *kernel, uint64_t from, pe_trace_event *out, size_t max, uint64_t *total);

#endif
