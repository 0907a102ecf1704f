/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree of calls for tests of backtraces: every kind of frame that a compiler makes. */
#include <stdarg.h>

typedef unsigned int u32;

#define NOINLINE __attribute__((noinline, noclone))

volatile u32 sink;
static u32 (*volatile pointer)(u32);

NOINLINE u32 leaf(u32 x)
{
    return x * 3 + 1;
}

NOINLINE u32 leaf_that_stores(u32 x)
{
    sink = x;
    return sink + 1;
}

NOINLINE u32 leaf_with_loop(const u32 *from, u32 count)
{
    u32 sum = 0;
    for (u32 i = 0; i < count; i++)
        sum += from[i] ^ (sum << 3);
    return sum;
}

NOINLINE u32 tail(u32 x)
{
    sink = x;
    return leaf_that_stores(x + 1);
}

NOINLINE u32 tail_with_frame(u32 x)
{
    u32 y = leaf(x) + leaf_that_stores(x);
    return tail(y);
}

NOINLINE u32 early_exit(u32 x)
{
    if (x < 3)
        return x + sink;
    u32 a = leaf(x), b = leaf_that_stores(a), c = leaf(b);
    return a + leaf(b) + c;
}

NOINLINE u32 recursive(u32 n)
{
    return n ? n + recursive(n - 1) : leaf(n);
}

NOINLINE u32 many_registers(u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
{
    u32 r[8] = {leaf(a), leaf(b), leaf(c), leaf(d), leaf(e), leaf(f), leaf(a + b), leaf(c + d)};
    return r[0] ^ r[1] ^ r[2] ^ r[3] ^ r[4] ^ r[5] ^ r[6] ^ r[7] ^ leaf_with_loop(r, 8);
}

NOINLINE u32 frame_of_hundreds(u32 x)
{
    volatile u32 room[180]; /* 720 bytes: 0xb2 in the bytecode */
    room[x] = leaf(x);
    return room[x] + leaf_that_stores(x);
}

NOINLINE u32 frame_of_thousands(u32 x)
{
    volatile u32 room[5000]; /* more than an immediate holds */
    room[x] = leaf(x);
    return room[x] + leaf_that_stores(x);
}

NOINLINE u32 frame_of_a_size_that_is_computed(u32 n)
{
    volatile u32 *room = __builtin_alloca(n * 4);
    for (u32 i = 0; i < n; i++)
        room[i] = leaf(i);
    return room[n - 1] + leaf_with_loop((const u32 *)room, n);
}

NOINLINE u32 variadic(u32 count, ...)
{
    va_list list;
    u32 sum = 0;
    va_start(list, count);
    while (count--)
        sum += leaf(va_arg(list, u32));
    va_end(list);
    return sum;
}

NOINLINE u32 switches(u32 x)
{
    switch (x) {
    case 0: return leaf(x);
    case 1: return leaf_that_stores(x) + 1;
    case 2: return recursive(2) + 2;
    case 3: sink = 3; break;
    case 4: sink = leaf(4); break;
    case 5: return x << 3;
    case 6: return tail(x);
    default: return early_exit(x);
    }
    return sink;
}

NOINLINE u32 by_pointer(u32 x)
{
    pointer = x & 1 ? leaf : tail;
    return pointer(x) + 1;
}

#ifdef __ARM_FP
NOINLINE double scaled(double x)
{
    sink = (u32)x;
    return x * 1.5;
}

NOINLINE u32 saves_vfp(u32 n)
{
    double a = n, b = n + 1.0, c = n * 3.0, d = 1;
    for (u32 i = 0; i < 2; i++) {
        d += scaled(a) * b + c;
        a += b;
        c -= scaled(c);
    }
    return (u32)(a + b + c + d);
}
#else
NOINLINE u32 saves_vfp(u32 n)
{
    return leaf(n);
}
#endif

#ifdef OTHER_STATE
__attribute__((target(OTHER_STATE))) NOINLINE u32 in_the_other_state(u32 x)
{
    return leaf(x) + leaf_that_stores(x);
}
#else
#define in_the_other_state leaf
#endif

/* The end: no code is behind its call, nor behind that of its caller. */
__attribute__((noreturn)) NOINLINE void ends(u32 x)
{
    static const u32 normal[2] = {0x20026, 0};
    register u32 r0 __asm__("r0") = 0x18;
    register u32 r1 __asm__("r1") = normal[0];
    sink = leaf(x) + leaf_that_stores(x);
    r0 = 0x18;
    r1 = normal[0];
#ifdef __thumb__
    __asm__ volatile("svc 0xab" : : "r"(r0), "r"(r1) : "memory");
#else
    __asm__ volatile("svc 0x123456" : : "r"(r0), "r"(r1) : "memory");
#endif
    for (;;)
        ;
}

NOINLINE u32 gives_up(u32 x)
{
    u32 y = leaf(x);
    if (leaf(y) != 0)
        ends(y);
    return y;
}

NOINLINE u32 behind_what_gives_up(volatile u32 *x)
{
    u32 room[32];
    for (u32 i = 0; i < 32; i++)
        room[i] = leaf(*x);
    return leaf_with_loop(room, 32);
}

extern u32 by_hand(u32 x);

int main(void)
{
    u32 sum = tail_with_frame(1) + early_exit(1) + early_exit(5) + recursive(3);
    sum += many_registers(1, 2, 3, 4, 5, 6) + frame_of_hundreds(7) + frame_of_thousands(8);
    sum += frame_of_a_size_that_is_computed(3) + variadic(2, 1, 2) + saves_vfp(2);
    for (u32 i = 0; i < 8; i++)
        sum += switches(i);
    sum += by_pointer(0) + by_pointer(1) + in_the_other_state(3) + by_hand(4);
    sink = sum;
    return (int)(gives_up(sum) + behind_what_gives_up(&sink));
}

/* What the tables name as their routines; nothing is thrown. */
void __aeabi_unwind_cpp_pr0(void) {}
void __aeabi_unwind_cpp_pr1(void) {}
void __aeabi_unwind_cpp_pr2(void) {}
void routine_of_a_language(void) {}
