/* SPDX-License-Identifier: GPL-2.0-or-later
 * User programs on the machine whose kernel is the model: their registers, files, system calls and ends. */
#ifndef PYEMU_KERNEL_HOSTED_H
#define PYEMU_KERNEL_HOSTED_H

#include "kernel/kernel.h"
#include "machine/machine.h"

#define FILES_MAX 16

enum file_kind {
    FILE_NONE = 0,
    FILE_CONSOLE = 1,
    FILE_ZERO = 2, /* /dev/zero */
    FILE_GUP_TEST = 3,
};

/* What a task has besides what the model knows: the rest of its thread_info and files_struct. */
struct user_context {
    uint32_t r[16]; /* of user mode; valid while it does not run */
    uint32_t cpsr;
    uint32_t fpscr;
    uint64_t d[32];
    uint32_t tls; /* TPIDRURO */
    uint8_t files[FILES_MAX];
    bool waits; /* for a child; then it makes its call again */
    uint64_t stuck_insns;
    uint32_t stuck;
};

/* Pages that /sys/kernel/debug/gup_test keeps pinned (mm/gup_test.c, pin_longterm_test_start). */
struct longterm {
    uint32_t *pfns;
    uint32_t count;
};

struct hosted {
    uint32_t first; /* pid of the program that was started; its end is that of the run */
    struct longterm longterm;
    uint32_t unknown_calls[8]; /* numbers of system calls that there are not, first come */
    uint32_t unknown_count;
    pe_program_death deaths[PE_PROGRAM_DEATHS];
    uint32_t death_count;
};

static inline pe_cpu *hosted_cpu(const struct pe_kernel *k)
{
    return k->machine->cpu[k->cpu->id];
}

/* hosted/user.c: get_user and put_user of many bytes, with the faults that they take.  False: -EFAULT. */
bool copy_from_user(struct pe_kernel *k, void *to, uint32_t from, uint32_t len);
bool copy_to_user(struct pe_kernel *k, uint32_t to, const void *from, uint32_t len);

/* hosted/switch.c */
void user_save(struct pe_kernel *k);                     /* registers of the CPU to its task */
void user_load(struct pe_kernel *k);                     /* and back, with the tables of its mm */
void hosted_schedule(struct pe_kernel *k, bool preempt); /* another task, where one is ready */
/* The task that runs ends with a wait status. */
void hosted_exit(struct pe_kernel *k, int32_t status);

/* hosted/syscall.c */
void system_call(struct pe_kernel *k, pe_cpu *cpu);

/* hosted/device.c: /sys/kernel/debug/gup_test.  A value or a negative errno. */
int32_t gup_test_ioctl(struct pe_kernel *k, uint32_t command, uint32_t argument);
void gup_test_release(struct pe_kernel *k);

void hosted_release(struct pe_kernel *k);

#endif
