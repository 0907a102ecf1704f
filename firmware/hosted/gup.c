/* SPDX-License-Identifier: GPL-2.0-or-later
 * get_user_pages by way of /sys/kernel/debug/gup_test, as the kernel's selftest asks for it.
 */
#include "sys.h"

#include "tap.h"

#define SIZE (4u << 20)

static int device;
static uint32_t memory;

static const struct {
    uint32_t command;
    const char *name;
} COMMANDS[] = {
    {GUP_FAST_BENCHMARK, "GUP_FAST_BENCHMARK"},
    {PIN_FAST_BENCHMARK, "PIN_FAST_BENCHMARK"},
    {PIN_LONGTERM_BENCHMARK, "PIN_LONGTERM_BENCHMARK"},
    {GUP_BASIC_TEST, "GUP_BASIC_TEST"},
    {PIN_BASIC_TEST, "PIN_BASIC_TEST"},
};

static struct gup_test request(uint32_t from, uint32_t bytes, uint32_t per_call)
{
    return (struct gup_test){.addr = from, .size = bytes, .nr_pages_per_call = per_call, .gup_flags = FOLL_WRITE};
}

static void test_commands(void)
{
    for (uint32_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        for (uint32_t per_call = 1; per_call <= 512; per_call *= 8) {
            struct gup_test test = request(memory, SIZE, per_call);
            const int status = sys_ioctl(device, COMMANDS[i].command, &test);
            tap_ok(status == 0 && test.size == SIZE, "%s, %lu pages a call: all pages", COMMANDS[i].name, per_call);
        }
    }
    struct gup_test test = request(memory, SIZE, 64);
    sys_ioctl(device, GUP_FAST_BENCHMARK, &test);
    tap_note("GUP_FAST_BENCHMARK: Time: get:%llu put:%llu us", (unsigned long long)test.get_delta_usec,
             (unsigned long long)test.put_delta_usec);
}

static void test_absent_pages(void)
{
    const uint32_t fresh = sys_mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    struct gup_test test = request(fresh, SIZE, 64);
    tap_ok(sys_ioctl(device, GUP_FAST_BENCHMARK, &test) == 0 && test.size == SIZE, "absent pages are faulted in");
    tap_equal(*word_at(fresh + PAGE), 0, "and are zero");
    sys_munmap(fresh + SIZE / 2, SIZE / 2);
    test = request(fresh, SIZE, 64);
    tap_equal((uint32_t)sys_ioctl(device, GUP_FAST_BENCHMARK, &test), 0, "half of a range");
    tap_equal(test.size, SIZE / 2, "is what there is of it");
    sys_mprotect(fresh, PAGE, PROT_READ);
    test = request(fresh, PAGE, 1);
    tap_ok(sys_ioctl(device, GUP_FAST_BENCHMARK, &test) == 0 && test.size == 0, "no read-only page for writing");
    test = request(fresh, PAGE, 1);
    test.gup_flags = 0;
    tap_ok(sys_ioctl(device, GUP_FAST_BENCHMARK, &test) == 0 && test.size == PAGE, "but for reading");
    sys_munmap(fresh, SIZE / 2);
}

static int forked(void)
{
    for (uint32_t at = memory; at < memory + SIZE; at += PAGE) {
        if (*word_at(at) != at)
            return 1;
    }
    struct gup_test test = request(memory, SIZE, 8);
    return sys_ioctl(device, PIN_FAST_BENCHMARK, &test) == 0 && test.size == SIZE ? 5 : 2;
}

static void test_mistakes(void)
{
    struct gup_test test = request(memory, SIZE, 1);
    tap_equal((uint32_t)sys_open("/etc/passwd"), (uint32_t)-ENOENT, "there are no other files");
    tap_equal((uint32_t)sys_ioctl(11, GUP_FAST_BENCHMARK, &test), (uint32_t)-EBADF, "a file that is not open");
    tap_equal((uint32_t)sys_ioctl(1, GUP_FAST_BENCHMARK, &test), (uint32_t)-ENOTTY, "the console is no such device");
    tap_equal((uint32_t)sys_ioctl(device, IOC(3u, 77, 80), &test), (uint32_t)-EINVAL, "a command that there is not");
    tap_equal((uint32_t)sys_ioctl(device, GUP_FAST_BENCHMARK, (void *)8), (uint32_t)-EFAULT, "a pointer to nothing");
    tap_equal((uint32_t)sys_ioctl(device, GUP_FAST_BENCHMARK, (void *)0xfffff000u), (uint32_t)-EFAULT,
              "a pointer to the kernel");
    test.addr = 0x100000000ull;
    tap_equal((uint32_t)sys_ioctl(device, GUP_FAST_BENCHMARK, &test), (uint32_t)-EINVAL, "an address beyond 32 bits");
    test = request(memory, SIZE, 0);
    tap_ok(sys_ioctl(device, GUP_FAST_BENCHMARK, &test) <= 0, "no pages a call");
}

int main(void)
{
    device = sys_open(GUP_TEST_FILE);
    if (!tap_ok(device >= 0, "open " GUP_TEST_FILE))
        tap_bail("there is no device");
    memory = sys_mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    for (uint32_t at = memory; at < memory + SIZE; at += PAGE)
        *word_at(at) = at;
    test_commands();
    test_absent_pages();
    tap_equal((uint32_t)in_child(forked), EXITED(5), "a child's pages too, after its parent's were pinned");
    test_mistakes();
    tap_equal((uint32_t)sys_close(device), 0, "close");
    return tap_finish();
}
