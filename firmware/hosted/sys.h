/* SPDX-License-Identifier: GPL-2.0-or-later
 * Linux as a user program sees it: system calls that return a value or a negative errno.
 */
#ifndef FW_SYS_H
#define FW_SYS_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE 4096u

#define PROT_NONE  0u
#define PROT_READ  1u
#define PROT_WRITE 2u

#define MAP_SHARED    0x01u
#define MAP_PRIVATE   0x02u
#define MAP_ANONYMOUS 0x20u

#define MADV_DONTNEED 4u
#define MADV_HUGEPAGE 14u

#define ENOENT 2
#define EBADF  9
#define ECHILD 10
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EINVAL 22
#define ENOTTY 25
#define ENOSYS 38

#define SIGILL  4
#define SIGBUS  7
#define SIGSEGV 11

int sys_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f);

_Noreturn void sys_exit(int status);
int sys_fork(void);
int sys_wait(int pid, int *status);
int sys_getpid(void);
int sys_getppid(void);
int sys_write(int fd, const void *data, uint32_t bytes);
int sys_open(const char *path);
int sys_close(int fd);
int sys_ioctl(int fd, uint32_t command, void *argument);
uint32_t sys_brk(uint32_t end);
/* Anonymous memory; the address, or a negative errno, which error() tells apart. */
uint32_t sys_mmap(uint32_t address, uint32_t bytes, uint32_t prot, uint32_t flags);
int sys_munmap(uint32_t address, uint32_t bytes);
int sys_mprotect(uint32_t address, uint32_t bytes, uint32_t prot);
int sys_madvise(uint32_t address, uint32_t bytes, uint32_t advice);

static inline bool is_error(uint32_t value)
{
    return value > (uint32_t)-4096;
}

static inline volatile uint32_t *word_at(uint32_t address)
{
    return (volatile uint32_t *)address;
}

/* Runs it in a child; what wait4 says of the child. */
int in_child(int (*function)(void));

#define EXITED(code)   ((code) << 8)
#define KILLED(signal) (signal)

/* mm/gup_test.h */
struct gup_test {
    uint64_t get_delta_usec;
    uint64_t put_delta_usec;
    uint64_t addr;
    uint64_t size;
    uint32_t nr_pages_per_call;
    uint32_t gup_flags;
    uint32_t test_flags;
    uint32_t which_pages[8];
};

struct pin_longterm_test {
    uint64_t addr;
    uint64_t size;
    uint32_t flags;
};

#define IOC(direction, number, size) ((direction) << 30 | (uint32_t)(size) << 16 | 'g' << 8 | (number))
#define GUP_FAST_BENCHMARK           IOC(3u, 1, sizeof(struct gup_test))
#define PIN_FAST_BENCHMARK           IOC(3u, 2, sizeof(struct gup_test))
#define PIN_LONGTERM_BENCHMARK       IOC(3u, 3, sizeof(struct gup_test))
#define GUP_BASIC_TEST               IOC(3u, 4, sizeof(struct gup_test))
#define PIN_BASIC_TEST               IOC(3u, 5, sizeof(struct gup_test))
#define PIN_LONGTERM_TEST_START      IOC(1u, 7, sizeof(struct pin_longterm_test))
#define PIN_LONGTERM_TEST_STOP       IOC(0u, 8, 0)
#define PIN_LONGTERM_TEST_READ       IOC(1u, 9, sizeof(uint64_t))

#define GUP_TEST_FILE "/sys/kernel/debug/gup_test"
#define FOLL_WRITE    1u
#define USE_WRITE     1u
#define USE_FAST      2u

#endif
