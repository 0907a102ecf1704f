/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions of every kind, from functions that are called from others, for tests of backtraces. */

typedef unsigned int u32;

#define NOINLINE __attribute__((noinline, noclone))
#define ABSENT 0x50000000u /* behind the end of RAM */
#ifdef __thumb__
#define STATE 1u
#else
#define STATE 0u
#endif
#define DISTRIBUTOR 0x08000000u
#define INTERFACE 0x08010000u
#define SGI 5

volatile u32 sink;
extern u32 in_user_mode(u32 (*function)(u32), u32 argument);
extern void no_instruction(void);

static inline volatile u32 *at(u32 address)
{
    return (volatile u32 *)address;
}

NOINLINE u32 leaf(u32 x)
{
    sink = x;
    return x + sink;
}

NOINLINE u32 reads_absent_memory(u32 x)
{
    u32 y = leaf(x);
    return y + *at(ABSENT) + leaf(y);
}

/* The handler goes on behind the instruction, as interrupt("ABORT") goes back to LR - 4. */
__attribute__((interrupt("ABORT"))) void data_handler(void)
{
    leaf(1);
}

NOINLINE u32 calls_the_system(u32 x)
{
    register u32 r0 __asm__("r0") = x;
    __asm__ volatile("svc #2" : "+r"(r0) : : "memory");
    return r0 + leaf(x);
}

NOINLINE void svc_in_c(u32 x)
{
    leaf(x);
    if (x == 7)
        reads_absent_memory(x); /* an exception in an exception */
}

NOINLINE void irq_in_c(void)
{
    u32 which = *at(INTERFACE + 0xc);
    leaf(which);
    *at(INTERFACE + 0x10) = which;
}

NOINLINE void undefined_in_c(const u32 *frame)
{
    leaf(frame[0]);
}

NOINLINE u32 is_interrupted(u32 x)
{
    __asm__ volatile("cpsie i");
    *at(DISTRIBUTOR + 0xf00) = 2u << 24 | SGI;
    for (u32 i = 0; i < 20; i++)
        x = leaf(x);
    __asm__ volatile("cpsid i");
    return x;
}

NOINLINE u32 goes_astray(u32 x)
{
    __asm__ volatile("adr r8, 1f\n\tmov r3, %0\n\tblx r3\n1:" : : "r"(ABSENT | STATE) : "r3", "r8", "lr", "memory");
    return leaf(x);
}

NOINLINE u32 as_user(u32 x)
{
    return calls_the_system(x) + leaf(x);
}

NOINLINE u32 meets_no_instruction(u32 x)
{
    no_instruction();
    return leaf(x);
}

int main(void)
{
    *at(DISTRIBUTOR) = 1;
    *at(INTERFACE + 4) = 0xf0;
    *at(INTERFACE) = 1;
    u32 sum = calls_the_system(3) + reads_absent_memory(4) + calls_the_system(7) + is_interrupted(5);
    sum += meets_no_instruction(6) + goes_astray(7) + in_user_mode(as_user, 8);
    sink = sum;
    return 0;
}

void __aeabi_unwind_cpp_pr0(void) {}
void __aeabi_unwind_cpp_pr1(void) {}
