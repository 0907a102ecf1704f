/* SPDX-License-Identifier: GPL-2.0-or-later
 * Children that do what they must not: each ends in its signal, and nobody else is hurt.
 */
#include "sys.h"

#include "tap.h"

#define KERNEL 0xc0008000u

static uint32_t memory, code;
static volatile uint32_t null_page = 0x10, stop_at = 0;

static int read_null(void)
{
    return (int)*word_at(null_page);
}

static int write_null(void)
{
    *word_at(null_page) = 1;
    return 0;
}

static int read_kernel(void)
{
    return (int)*word_at(KERNEL);
}

static int write_kernel_window(void)
{
    *word_at(0xffefe000u) = 1;
    return 0;
}

static int write_read_only(void)
{
    sys_mprotect(memory, PAGE, PROT_READ);
    *word_at(memory) = 1;
    return 0;
}

static int read_none(void)
{
    sys_mprotect(memory, PAGE, PROT_NONE);
    return (int)*word_at(memory);
}

static int write_own_text(void)
{
    *word_at(0x10000) = 0;
    return 0;
}

static int execute_data(void)
{
    ((void (*)(void))(uintptr_t)code)();
    return 0;
}

static int execute_kernel(void)
{
    ((void (*)(void))(uintptr_t)KERNEL)();
    return 0;
}

static int undefined(void)
{
    __asm__ volatile("udf #0");
    return 0;
}

static int privileged(void)
{
    uint32_t value;
    __asm__ volatile("mrc p15, 0, %0, c2, c0, 0" : "=r"(value));
    return (int)value;
}

static int unmapped(void)
{
    sys_munmap(memory, PAGE);
    return (int)*word_at(memory);
}

static int deeper(uint32_t depth)
{
    volatile uint32_t frame[1024];
    frame[0] = depth;
    return depth == stop_at ? 0 : deeper(depth + 1) + (int)frame[0];
}

static int overflow(void)
{
    return deeper(1);
}

int main(void)
{
    static const struct {
        int (*run)(void);
        int signal;
        const char *what;
    } CASES[] = {
        {read_null, SIGSEGV, "a load from address 16"},
        {write_null, SIGSEGV, "a store to address 16"},
        {read_kernel, SIGSEGV, "a load from the kernel's lowmem"},
        {write_kernel_window, SIGSEGV, "a store to a kmap_local window"},
        {write_read_only, SIGSEGV, "a store to a read-only page"},
        {read_none, SIGSEGV, "a load from a PROT_NONE page"},
        {write_own_text, SIGSEGV, "a store to its own code"},
        {execute_data, SIGSEGV, "a jump to data"},
        {execute_kernel, SIGSEGV, "a jump to the kernel"},
        {undefined, SIGILL, "an undefined instruction"},
        {privileged, SIGILL, "a read of TTBR0"},
        {unmapped, SIGSEGV, "a load from a page that was unmapped"},
        {overflow, SIGSEGV, "a stack without end"},
    };
    memory = sys_mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    code = sys_mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    *word_at(memory) = 12345;
    *word_at(code) = 0xe12fff1eu; /* bx lr */
    for (uint32_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        tap_equal((uint32_t)in_child(CASES[i].run), (uint32_t)KILLED(CASES[i].signal), "%s: signal %d", CASES[i].what,
                  CASES[i].signal);
    tap_equal(*word_at(memory), 12345, "their parent's memory is as it was");
    return tap_finish();
}
