/* SPDX-License-Identifier: GPL-2.0-or-later
 * fork: pages are shared until somebody writes, and shared mappings for ever.
 */
#include "sys.h"

#include "tap.h"

#define PAGES 600u /* two PTE tables */
#define BYTES (PAGES * PAGE)

static uint32_t memory, shared;
static uint32_t depth;

static bool holds(uint32_t value)
{
    for (uint32_t i = 0; i < PAGES; i++) {
        if (*word_at(memory + i * PAGE + 4 * (i % 1024)) != value + i)
            return false;
    }
    return true;
}

static void write_all(uint32_t value)
{
    for (uint32_t i = 0; i < PAGES; i++)
        *word_at(memory + i * PAGE + 4 * (i % 1024)) = value + i;
}

static int child_sees_then_writes(void)
{
    if (!holds(1000))
        return 1;
    write_all(2000);
    *word_at(shared) = 77;
    return holds(2000) ? 42 : 2;
}

static int child_that_only_reads(void)
{
    return holds(1000) ? 43 : 1;
}

/* Each generation writes, and looks whether its own child's writes stay away. */
static int generations(void)
{
    const uint32_t mine = 10000 * ++depth;
    write_all(mine);
    if (depth < 5 && in_child(generations) != EXITED(44))
        return 1;
    return holds(mine) ? 44 : 2;
}

static int parent_of_pid(void)
{
    return sys_getppid() == *(volatile int *)word_at(shared + 4) ? 45 : 1;
}

static void test_many(void)
{
    int pids[20], status;
    uint32_t ended = 0, sum = 0;
    for (int i = 0; i < 20; i++) {
        pids[i] = sys_fork();
        if (pids[i] == 0) {
            write_all((uint32_t)i << 16);
            sys_exit(holds((uint32_t)i << 16) ? i : 99);
        }
    }
    while (sys_wait(-1, &status) > 0) {
        ended++;
        sum += (uint32_t)status >> 8;
    }
    tap_equal(ended, 20, "twenty children side by side end");
    tap_equal(sum, 190, "and none of them saw another's pages");
    tap_ok(holds(1000), "nor does their parent");
    tap_equal((uint32_t)sys_wait(-1, &status), (uint32_t)-ECHILD, "then there is none to wait for");
}

int main(void)
{
    memory = sys_mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    shared = sys_mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    write_all(1000);
    *(volatile int *)word_at(shared + 4) = sys_getpid();
    tap_equal((uint32_t)in_child(child_sees_then_writes), EXITED(42),
              "a child sees its parent's pages and writes its own");
    tap_ok(holds(1000), "its writes are not its parent's");
    tap_equal(*word_at(shared), 77, "but those to shared memory are");
    const int pid = sys_fork();
    if (pid == 0)
        sys_exit(child_that_only_reads());
    write_all(1000); /* the same values, to pages of its own */
    int status = 0;
    tap_equal((uint32_t)sys_wait(pid, &status), (uint32_t)pid, "wait4 returns the child");
    tap_equal((uint32_t)status, EXITED(43), "a parent's writes are not its child's");
    tap_equal((uint32_t)in_child(generations), EXITED(44), "five generations keep their pages apart");
    tap_equal((uint32_t)in_child(parent_of_pid), EXITED(45), "getppid of a child");
    test_many();
    return tap_finish();
}
