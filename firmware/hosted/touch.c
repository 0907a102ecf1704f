/* SPDX-License-Identifier: GPL-2.0-or-later
 * Memory of a process: touched page by page, checked, protected, given back; heap and stack.
 */
#include "sys.h"

#include "tap.h"

#define SIZE (8u << 20)

static uint32_t pattern(uint32_t address)
{
    return address * 2654435761u ^ 0x5a5a5a5au;
}

static bool filled(uint32_t from, uint32_t bytes)
{
    for (uint32_t at = from; at < from + bytes; at += PAGE) {
        if (*word_at(at) != pattern(at) || *word_at(at + PAGE - 4) != pattern(at + 1))
            return false;
    }
    return true;
}

static bool is_zero(uint32_t from, uint32_t bytes)
{
    for (uint32_t at = from; at < from + bytes; at += 1024) {
        if (*word_at(at) != 0)
            return false;
    }
    return true;
}

static void fill(uint32_t from, uint32_t bytes)
{
    for (uint32_t at = from; at < from + bytes; at += PAGE) {
        *word_at(at) = pattern(at);
        *word_at(at + PAGE - 4) = pattern(at + 1);
    }
}

static void test_mapping(void)
{
    const uint32_t at = sys_mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    tap_ok(!is_error(at) && at % PAGE == 0, "mmap of 8 MB");
    tap_ok(is_zero(at, SIZE), "pages that were only read are zero");
    fill(at, SIZE);
    tap_ok(filled(at, SIZE), "every page keeps what was written to it");
    tap_ok(sys_mprotect(at, SIZE, PROT_READ) == 0 && filled(at, SIZE), "a read-only mapping is read");
    tap_ok(sys_mprotect(at, SIZE, PROT_READ | PROT_WRITE) == 0, "mprotect back");
    tap_equal((uint32_t)sys_madvise(at, SIZE / 2, MADV_DONTNEED), 0, "MADV_DONTNEED of half");
    tap_ok(is_zero(at, SIZE / 2) && filled(at + SIZE / 2, SIZE / 2), "that half is zero, the other is not");
    tap_equal((uint32_t)sys_munmap(at + PAGE, PAGE), 0, "munmap of a page in the middle");
    tap_ok(sys_mmap(at + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE) == at + PAGE, "the hole is where mmap puts "
                                                                                        "it back");
    tap_equal((uint32_t)sys_munmap(at, SIZE), 0, "munmap of all");
    const uint32_t again = sys_mmap(at, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    tap_ok(again == at && is_zero(again, SIZE), "the same addresses again are zero");
    tap_equal((uint32_t)sys_munmap(at + 1, PAGE), (uint32_t)-EINVAL, "munmap of an odd address");
}

static void test_huge(void)
{
    const uint32_t at = sys_mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    sys_madvise(at, SIZE, MADV_HUGEPAGE);
    fill(at, SIZE);
    tap_ok(filled(at, SIZE), "huge pages keep what was written");
    tap_ok(sys_mprotect(at + PAGE, PAGE, PROT_READ) == 0 && filled(at, SIZE), "a huge page that was split too");
    sys_munmap(at, SIZE);
}

static void test_heap(void)
{
    const uint32_t start = sys_brk(0), end = start + 40 * PAGE;
    tap_equal(sys_brk(end), end, "brk grows");
    fill(start, 40 * PAGE);
    tap_ok(filled(start, 40 * PAGE), "the heap keeps what was written");
    tap_equal(sys_brk(start + PAGE), start + PAGE, "brk shrinks");
    tap_ok(sys_brk(end) == end && filled(start, PAGE) && is_zero(start + PAGE, 39 * PAGE), "what came back is zero");
    tap_equal(sys_brk(0xc0000000u), end, "brk does not reach the kernel");
}

static uint32_t __attribute__((noinline)) deep(uint32_t depth)
{
    volatile uint32_t frame[256];
    frame[0] = depth;
    frame[255] = depth ? deep(depth - 1) : 0;
    return frame[0] + frame[255];
}

int main(void)
{
    test_mapping();
    test_huge();
    test_heap();
    tap_equal(deep(1000), 500500, "the stack grows by 1 MB");
    tap_ok(sys_getpid() > 0, "getpid");
    tap_equal((uint32_t)sys_call(9999, 0, 0, 0, 0, 0, 0), (uint32_t)-ENOSYS, "a system call that there is not");
    return tap_finish();
}
