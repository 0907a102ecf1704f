/* SPDX-License-Identifier: GPL-2.0-or-later
 * Pages of this program, pinned, and read by the kernel through its kmap_local windows.
 */
#include "sys.h"

#include "tap.h"

#define PAGES 32u
#define BYTES (PAGES * PAGE)

static int device;
static uint32_t memory, copy;

static uint32_t pattern(uint32_t offset, uint32_t seed)
{
    return (offset + seed) * 2654435761u;
}

static void fill(uint32_t seed)
{
    for (uint32_t at = 0; at < BYTES; at += 4)
        *word_at(memory + at) = pattern(at, seed);
}

static bool read_back(uint32_t seed)
{
    uint64_t to = copy;
    if (sys_ioctl(device, PIN_LONGTERM_TEST_READ, &to) != 0)
        return false;
    for (uint32_t at = 0; at < BYTES; at += 4) {
        if (*word_at(copy + at) != pattern(at, seed))
            return false;
    }
    return true;
}

static int start(uint32_t from, uint32_t bytes, uint32_t flags)
{
    struct pin_longterm_test test = {.addr = from, .size = bytes, .flags = flags};
    return sys_ioctl(device, PIN_LONGTERM_TEST_START, &test);
}

static int child_writes(void)
{
    fill(4000);
    return read_back(3000) ? 6 : 1;
}

int main(void)
{
    device = sys_open(GUP_TEST_FILE);
    memory = sys_mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    copy = sys_mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    for (uint32_t flags = USE_WRITE; flags <= (USE_WRITE | USE_FAST); flags += USE_FAST) {
        fill(1000 * flags);
        tap_equal((uint32_t)start(memory, BYTES, flags), 0, "pages are pinned, %s", flags & USE_FAST ? "fast" : "slow");
        tap_ok(read_back(1000 * flags), "the windows show them");
        fill(2000 * flags);
        tap_ok(read_back(2000 * flags), "and what was written to them since");
        tap_equal((uint32_t)start(memory, BYTES, flags), (uint32_t)-EINVAL, "one set of pages at a time");
        tap_equal((uint32_t)sys_ioctl(device, PIN_LONGTERM_TEST_STOP, (void *)0), 0, "they are unpinned");
    }
    tap_ok(!read_back(0), "then there is nothing to read");
    fill(3000);
    tap_equal((uint32_t)start(memory, BYTES, USE_WRITE), 0, "pinned again");
    tap_equal((uint32_t)in_child(child_writes), EXITED(6),
              "a child's writes go to copies, the windows show the pinned pages");
    tap_ok(read_back(3000), "and the parent's pages stay where they are pinned");
    uint64_t nowhere = 8;
    tap_equal((uint32_t)sys_ioctl(device, PIN_LONGTERM_TEST_READ, &nowhere), (uint32_t)-EFAULT, "a copy to nowhere");
    sys_ioctl(device, PIN_LONGTERM_TEST_STOP, (void *)0);
    tap_equal((uint32_t)start(memory + 4, BYTES, 0), (uint32_t)-EINVAL, "an odd address");
    tap_equal((uint32_t)start(memory, 0, 0), (uint32_t)-EINVAL, "no pages");
    tap_equal((uint32_t)start(memory, BYTES, 64), (uint32_t)-EINVAL, "an unknown flag");
    tap_ok(start(0x10, 4 * PAGE, 0) < 0 && start(PAGE, PAGE, 0) < 0, "pages that are not there");
    return tap_finish();
}
