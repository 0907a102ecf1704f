/* SPDX-License-Identifier: GPL-2.0-or-later
 * System calls of hosted programs: a small part of Linux' EABI (arch/arm/tools/syscall.tbl). */
#include "kernel/cost.h"
#include "kernel/hosted/hosted.h"

#include <errno.h>
#include <stdlib.h>

#define SYS_EXIT           1u
#define SYS_FORK           2u
#define SYS_READ           3u
#define SYS_WRITE          4u
#define SYS_OPEN           5u
#define SYS_CLOSE          6u
#define SYS_GETPID         20u
#define SYS_BRK            45u
#define SYS_IOCTL          54u
#define SYS_GETPPID        64u
#define SYS_MUNMAP         91u
#define SYS_WAIT4          114u
#define SYS_CLONE          120u
#define SYS_MPROTECT       125u
#define SYS_SCHED_YIELD    158u
#define SYS_MREMAP         163u
#define SYS_MMAP2          192u
#define SYS_MADVISE        220u
#define SYS_GETTID         224u
#define SYS_EXIT_GROUP     248u
#define SYS_CLOCK_GETTIME  263u
#define SYS_OPENAT         322u
#define SYS_ARM_CACHEFLUSH 0xf0002u
#define SYS_ARM_SET_TLS    0xf0005u

#define SIGCHLD       17u
#define CLONE_SIGNAL  0xffu
#define WAIT_NOHANG   1u
#define PATH_MAX_HERE 64u
#define WRITE_PART    512u
#define WRITE_MAX     0x100000u /* of one call: nobody hears the console meanwhile */

struct call {
    pe_cpu *cpu;
    uint32_t a[6]; /* r0 to r5 */
    uint32_t next_pc;
    bool restarts; /* the task waits: r0 stays */
    bool gone;     /* another task runs now */
};

static struct mm *mm_of(const struct pe_kernel *k)
{
    return current_task(k)->mm;
}

/* ---- files ---- */

static int32_t file_kind(const struct pe_kernel *k, uint32_t fd)
{
    const struct user_context *u = current_task(k)->user;
    return fd < FILES_MAX && u->files[fd] != FILE_NONE ? u->files[fd] : -EBADF;
}

/* getname: a path of at most so many bytes.  False: -EFAULT. */
static bool read_path(struct pe_kernel *k, uint32_t va, char path[PATH_MAX_HERE])
{
    for (uint32_t i = 0; i < PATH_MAX_HERE; i++) {
        if (!copy_from_user(k, &path[i], va + i, 1)) {
            return false;
        }
        if (!path[i]) {
            return true;
        }
    }
    path[PATH_MAX_HERE - 1] = 0;
    return true;
}

static int64_t sys_open(struct pe_kernel *k, uint32_t name)
{
    static const struct {
        const char *path;
        uint8_t kind;
    } FILES[] = {
        {"/sys/kernel/debug/gup_test", FILE_GUP_TEST}, {"/dev/zero", FILE_ZERO}, {"/dev/console", FILE_CONSOLE}};
    struct user_context *u = current_task(k)->user;
    char path[PATH_MAX_HERE];
    if (!read_path(k, name, path)) {
        return -EFAULT;
    }
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        if (strcmp(path, FILES[i].path) != 0) {
            continue;
        }
        for (uint32_t fd = 0; fd < FILES_MAX; fd++) {
            if (u->files[fd] == FILE_NONE) {
                u->files[fd] = FILES[i].kind;
                return fd;
            }
        }
        return -EMFILE;
    }
    return -ENOENT;
}

static int64_t sys_close(struct pe_kernel *k, uint32_t fd)
{
    const int32_t kind = file_kind(k, fd);
    if (kind < 0) {
        return kind;
    }
    current_task(k)->user->files[fd] = FILE_NONE;
    if (kind == FILE_GUP_TEST) {
        gup_test_release(k);
    }
    return 0;
}

static int64_t write_console(struct pe_kernel *k, uint32_t va, uint32_t len)
{
    uint8_t part[WRITE_PART];
    uint32_t done = 0;
    while (done < len && done < WRITE_MAX) {
        const uint32_t n = len - done < WRITE_PART ? len - done : WRITE_PART;
        if (!copy_from_user(k, part, va + done, n)) {
            return done ? (int64_t)done : -EFAULT;
        }
        console_put(k->machine, part, n);
        done += n;
    }
    return done;
}

static int64_t sys_write(struct pe_kernel *k, uint32_t fd, uint32_t va, uint32_t len)
{
    const int32_t kind = file_kind(k, fd);
    switch (kind) {
    case FILE_CONSOLE: return write_console(k, va, len);
    case FILE_ZERO: return (int64_t)(len & INT32_MAX);
    case FILE_GUP_TEST: return -EINVAL;
    default: return kind;
    }
}

/* The console is at its end. */
static int64_t sys_read(struct pe_kernel *k, uint32_t fd, uint32_t va, uint32_t len)
{
    static const uint8_t zero[WRITE_PART];
    const int32_t kind = file_kind(k, fd);
    if (kind != FILE_ZERO) {
        return kind == FILE_CONSOLE ? 0 : kind == FILE_GUP_TEST ? -EINVAL : kind;
    }
    uint32_t done = 0;
    while (done < len && done < WRITE_MAX) {
        const uint32_t n = len - done < WRITE_PART ? len - done : WRITE_PART;
        if (!copy_to_user(k, va + done, zero, n)) {
            return done ? (int64_t)done : -EFAULT;
        }
        done += n;
    }
    return done;
}

/* ---- memory ---- */

static int64_t sys_mmap2(struct pe_kernel *k, const struct call *c)
{
    uint32_t flags = c->a[3];
    if (!(flags & PE_MMAP_ANONYMOUS)) {
        const int32_t kind = file_kind(k, c->a[4]);
        if (kind != FILE_ZERO) { /* whose pages are anonymous, or shared memory */
            return kind < 0 ? kind : -ENODEV;
        }
        flags |= PE_MMAP_ANONYMOUS;
    }
    const uint32_t known = PE_MMAP_SHARED | PE_MMAP_PRIVATE | PE_MMAP_FIXED | PE_MMAP_ANONYMOUS | PE_MMAP_GROWSDOWN |
                           PE_MMAP_NORESERVE | PE_MMAP_POPULATE;
    const uint32_t prot = c->a[2] & (PE_PROT_READ | PE_PROT_WRITE | PE_PROT_EXEC);
    return do_mmap(k, mm_of(k), c->a[0], c->a[1], prot, flags & known);
}

/* ---- tasks ---- */

static int64_t sys_fork(struct pe_kernel *k)
{
    struct task *parent = current_task(k);
    struct user_context *u = heap_alloc(k, 1, sizeof *u);
    if (!u) {
        return -ENOMEM;
    }
    const int32_t pid = kernel_clone(k, parent);
    if (pid < 0) {
        heap_free(k, u);
        return pid;
    }
    user_save(k);
    *u = *parent->user;
    u->r[0] = 0;
    find_task(k, (uint32_t)pid)->user = u;
    return pid;
}

static int64_t sys_clone(struct pe_kernel *k, struct call *c)
{
    if (c->a[0] & ~CLONE_SIGNAL || (c->a[0] && c->a[0] != SIGCHLD) || c->a[1]) { /* no threads */
        return -EINVAL;
    }
    return sys_fork(k);
}

static int64_t sys_wait4(struct pe_kernel *k, struct call *c)
{
    struct task *task = current_task(k);
    int32_t status = 0;
    const int32_t wanted = (int32_t)c->a[0];
    if (wanted == 0 || wanted < -1) { /* no process groups */
        return -EINVAL;
    }
    const int32_t pid = do_wait(k, task, wanted > 0 ? (uint32_t)wanted : 0, &status);
    if (pid == 0 && !(c->a[2] & WAIT_NOHANG)) {
        cpu_set_reg(c->cpu, UC_ARM_REG_PC, (c->next_pc - (*c->cpu->thumb ? 2 : 4)) | *c->cpu->thumb);
        c->restarts = true;
        return 0;
    }
    if (pid > 0 && c->a[1] && !copy_to_user(k, c->a[1], &status, sizeof status)) {
        return -EFAULT;
    }
    return pid;
}

static int64_t sys_exit(struct pe_kernel *k, struct call *c)
{
    c->gone = true;
    syscall_leave(k);
    hosted_exit(k, (int32_t)((c->a[0] & 0xff) << 8));
    return 0;
}

static int64_t sys_clock_gettime(struct pe_kernel *k, uint32_t va)
{
    const uint64_t ns = machine_ns(k->machine);
    const uint32_t time[2] = {(uint32_t)(ns / 1000000000u), (uint32_t)(ns % 1000000000u)};
    return copy_to_user(k, va, time, sizeof time) ? 0 : -EFAULT;
}

static int64_t sys_set_tls(struct pe_kernel *k, const struct call *c)
{
    (void)k;
    cpu_set_cp15(c->cpu, (cp15_reg){13, 0, 0, 3, false}, c->a[0]);
    return 0;
}

static int64_t unknown(struct pe_kernel *k, uint32_t number)
{
    struct hosted *h = k->hosted;
    for (uint32_t i = 0; i < h->unknown_count; i++) {
        if (h->unknown_calls[i] == number) {
            return -ENOSYS;
        }
    }
    if (h->unknown_count < sizeof h->unknown_calls / sizeof h->unknown_calls[0]) {
        h->unknown_calls[h->unknown_count++] = number;
    }
    return -ENOSYS;
}

/* ---- dispatch ---- */

static int64_t memory_call(struct pe_kernel *k, uint32_t number, const struct call *c)
{
    switch (number) {
    case SYS_BRK: return do_brk(k, mm_of(k), c->a[0]);
    case SYS_MUNMAP: return do_munmap(k, mm_of(k), c->a[0], c->a[1]);
    case SYS_MPROTECT: return do_mprotect(k, mm_of(k), c->a[0], c->a[1], c->a[2]);
    case SYS_MREMAP: return do_mremap(k, mm_of(k), c->a[0], c->a[1], c->a[2], c->a[3], c->a[4]);
    case SYS_MMAP2: return sys_mmap2(k, c);
    case SYS_MADVISE: return do_madvise(k, mm_of(k), c->a[0], c->a[1], c->a[2]);
    default: return unknown(k, number);
    }
}

static int64_t dispatch(struct pe_kernel *k, uint32_t number, struct call *c)
{
    switch (number) {
    case SYS_EXIT:
    case SYS_EXIT_GROUP: return sys_exit(k, c);
    case SYS_FORK: return sys_fork(k);
    case SYS_CLONE: return sys_clone(k, c);
    case SYS_WAIT4: return sys_wait4(k, c);
    case SYS_READ: return sys_read(k, c->a[0], c->a[1], c->a[2]);
    case SYS_WRITE: return sys_write(k, c->a[0], c->a[1], c->a[2]);
    case SYS_OPEN: return sys_open(k, c->a[0]);
    case SYS_OPENAT: return sys_open(k, c->a[1]);
    case SYS_CLOSE: return sys_close(k, c->a[0]);
    case SYS_IOCTL: {
        const int32_t kind = file_kind(k, c->a[0]);
        return kind == FILE_GUP_TEST ? gup_test_ioctl(k, c->a[1], c->a[2]) : kind < 0 ? kind : -ENOTTY;
    }
    case SYS_GETPID:
    case SYS_GETTID: return current_task(k)->pid;
    case SYS_GETPPID: return current_task(k)->parent;
    case SYS_SCHED_YIELD: return 0;
    case SYS_CLOCK_GETTIME: return sys_clock_gettime(k, c->a[1]);
    case SYS_ARM_CACHEFLUSH: return 0;
    case SYS_ARM_SET_TLS: return sys_set_tls(k, c);
    default: return memory_call(k, number, c);
    }
}

void system_call(struct pe_kernel *k, pe_cpu *cpu)
{
    struct call c = {.cpu = cpu, .next_pc = cpu_reg(cpu, UC_ARM_REG_PC)};
    static const int ARGUMENTS[6] = {UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_R2,
                                     UC_ARM_REG_R3, UC_ARM_REG_R4, UC_ARM_REG_R5};
    for (size_t i = 0; i < 6; i++) {
        c.a[i] = cpu_reg(cpu, ARGUMENTS[i]);
    }
    const uint32_t number = cpu_reg(cpu, UC_ARM_REG_R7);
    syscall_enter(k);
    const int64_t result = dispatch(k, number, &c);
    if (c.gone) {
        return;
    }
    syscall_leave(k);
    if (c.restarts) {
        current_task(k)->user->waits = true;
        hosted_schedule(k, false);
        return;
    }
    cpu_set_reg(cpu, UC_ARM_REG_R0, (uint32_t)result);
    if (number == SYS_SCHED_YIELD) {
        hosted_schedule(k, true);
    }
}
