/* SPDX-License-Identifier: GPL-2.0-or-later
 * Hosted programs. */
#ifndef PYEMU_ABI_KERNEL_HOSTED_H
#define PYEMU_ABI_KERNEL_HOSTED_H

#include "abi/kernel/gup.h"

/* A program in user mode on the machine, whose kernel is the model: aborts, system calls and undefined instructions
 * come here, not to vectors. */
typedef struct pe_program_segment {
    uint32_t va;
    uint32_t memory_bytes; /* zero behind the data */
    uint32_t prot;         /* PE_PROT_* */
    uint32_t data_bytes;
    const void *data;
} pe_program_segment;

typedef struct pe_program {
    const char *name;
    const pe_program_segment *segments; /* by address */
    size_t segment_count;
    uint32_t entry;    /* bit 0: in Thumb state */
    const void *stack; /* what lies at the stack pointer: argc, argv and so on up to the top */
    size_t stack_bytes;
} pe_program;

/* Why a program was ended by a signal. */
#define PE_PROGRAM_DEATHS 8
typedef struct pe_program_death {
    uint32_t pid;
    char name[16];
    uint32_t signal, code; /* si_signo, si_code */
    uint32_t address;      /* si_addr */
    bool fetch, write;
    uint32_t r[16];
    uint32_t cpsr;
    char walk[512]; /* what the tables said of the address, as pe_walk_describe has it; empty without a fault of them */
} pe_program_death;

/* The first byte behind the stack of a program. */
uint32_t pe_kernel_program_stack_top(const pe_kernel *kernel);
/* Loads a program into a task of its own; pe_machine_run then runs it, and ends with PE_STOP_EXIT and its exit status,
 * or 128 and the signal.  The machine has to be reset before the model is made.  PE_ERR_MEMORY: of the guest. */
pe_status pe_kernel_program_start(pe_kernel *kernel, const pe_program *program, uint32_t *pid, pe_error *err);
/* Those of all its processes, first come: up to max; returns how many are kept. */
size_t pe_kernel_program_deaths(const pe_kernel *kernel, pe_program_death *out, size_t max);
/* Numbers of system calls that were answered with ENOSYS because there is no such one here. */
size_t pe_kernel_program_unknown_calls(const pe_kernel *kernel, uint32_t *out, size_t max);

#endif
