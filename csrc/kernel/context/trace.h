/* SPDX-License-Identifier: GPL-2.0-or-later
 * Events of the model for whoever looks.  An event comes behind what is billed for it. */
#ifndef PYEMU_KERNEL_TRACE_H
#define PYEMU_KERNEL_TRACE_H

#include "pyemu.h"

struct trace {
    pe_trace_event *event;
    uint64_t room, count;
    uint64_t cycles[PE_MAX_CPUS], insns[PE_MAX_CPUS]; /* when it began */
};

void trace_add(struct pe_kernel *k, const pe_trace_event *event);
/* A function's entry or exit, from context.h, where the model is known by its CPU only. */
void trace_function(struct pe_kernel *k, bool enter);
void trace_release(struct pe_kernel *k);

#endif
