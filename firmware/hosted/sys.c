/* SPDX-License-Identifier: GPL-2.0-or-later
 * System calls (arch/arm/tools/syscall.tbl), and what lib/tap.c prints by.
 */
#include "sys.h"

#include "semihost.h"

static uint32_t number_of(const void *p)
{
    return (uint32_t)(uintptr_t)p;
}

_Noreturn void sys_exit(int status)
{
    for (;;)
        sys_call(1, (uint32_t)status, 0, 0, 0, 0, 0);
}

int sys_fork(void)
{
    return sys_call(2, 0, 0, 0, 0, 0, 0);
}

int sys_wait(int pid, int *status)
{
    return sys_call(114, (uint32_t)pid, number_of(status), 0, 0, 0, 0);
}

int sys_getpid(void)
{
    return sys_call(20, 0, 0, 0, 0, 0, 0);
}

int sys_getppid(void)
{
    return sys_call(64, 0, 0, 0, 0, 0, 0);
}

int sys_write(int fd, const void *data, uint32_t bytes)
{
    return sys_call(4, (uint32_t)fd, number_of(data), bytes, 0, 0, 0);
}

int sys_open(const char *path)
{
    return sys_call(5, number_of(path), 2, 0, 0, 0, 0);
}

int sys_close(int fd)
{
    return sys_call(6, (uint32_t)fd, 0, 0, 0, 0, 0);
}

int sys_ioctl(int fd, uint32_t command, void *argument)
{
    return sys_call(54, (uint32_t)fd, command, number_of(argument), 0, 0, 0);
}

uint32_t sys_brk(uint32_t end)
{
    return (uint32_t)sys_call(45, end, 0, 0, 0, 0, 0);
}

uint32_t sys_mmap(uint32_t address, uint32_t bytes, uint32_t prot, uint32_t flags)
{
    return (uint32_t)sys_call(192, address, bytes, prot, flags | MAP_ANONYMOUS, (uint32_t)-1, 0);
}

int sys_munmap(uint32_t address, uint32_t bytes)
{
    return sys_call(91, address, bytes, 0, 0, 0, 0);
}

int sys_mprotect(uint32_t address, uint32_t bytes, uint32_t prot)
{
    return sys_call(125, address, bytes, prot, 0, 0, 0);
}

int sys_madvise(uint32_t address, uint32_t bytes, uint32_t advice)
{
    return sys_call(220, address, bytes, advice, 0, 0, 0);
}

int in_child(int (*function)(void))
{
    int status = -1;
    const int pid = sys_fork();
    if (pid == 0)
        sys_exit(function());
    return pid > 0 && sys_wait(pid, &status) == pid ? status : -1;
}

/* ---- of lib/tap.c ---- */

void semihost_write0(const char *text)
{
    uint32_t length = 0;
    while (text[length])
        length++;
    sys_write(1, text, length);
}

_Noreturn void semihost_exit(uint32_t status)
{
    sys_exit((int)status);
}
