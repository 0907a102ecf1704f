"""Tasks: fork and copy on write, exit and wait, switches and ASIDs, tables freed after a grace period."""

from __future__ import annotations

from collections.abc import Iterator
from errno import ECHILD, ENOMEM
from typing import Any

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig, Map, Process, Prot, Signal
from pyemu.kernel.context import Disabled, disabled, read_context
from pyemu.kernel.reports import read_reports
from pyemu.native import NativeError
from tests.kernel.programs import start_program

PAGE = 4096
RW = Prot.READ | Prot.WRITE


@pytest.fixture(params=["lpae", "classic"])
def kernel(request: Any) -> Iterator[Kernel]:
    with Kernel(KernelConfig(functional=True, tables=request.param, cpus=2)) as kernel:
        yield kernel
        kernel.check()


def written(process: Process, pages: int = 1) -> int:
    at = process.mmap(pages * PAGE)
    process.touch(at, pages * PAGE, write=True)
    return at


# ---- fork ----


def test_the_first_writer_copies_and_the_last_one_writes_in_place(kernel: Kernel) -> None:
    parent = kernel.spawn()
    at = written(parent)
    parent.write(at, b"both")
    pa = parent.touch(at).pa
    child = parent.fork()
    assert child.touch(at).pa == pa
    assert kernel.page(pa // PAGE).refcount == 2
    parent.write(at, b"mine")
    assert parent.touch(at).pa != pa
    assert child.read(at, 4) == b"both"
    child.write(at, b"last")
    assert child.touch(at).pa == pa
    stats = kernel.stats
    assert (stats["faults_cow"], stats["faults_cow_reused"]) == (1, 1)


def test_what_was_never_written_is_not_copied(kernel: Kernel) -> None:
    parent = kernel.spawn()
    at = parent.mmap(8 * MIB)
    parent.touch(at, 8 * MIB)
    shared = parent.mmap(4 * PAGE, flags=Map.SHARED)
    parent.write(shared, b"s")
    child = parent.fork()
    assert child.info.pte_tables == 0
    assert len(child.areas) == 2
    assert child.read(at, 1) == b"\0"
    assert child.read(shared, 1) == b"s"


def test_a_fork_without_memory_for_its_tables_leaves_nothing_behind() -> None:
    with Kernel(KernelConfig(memory_bytes=128 * MIB, functional=True)) as kernel:
        parent = kernel.spawn()
        at = parent.mmap(1 * GIB, flags=Map.PRIVATE | Map.NORESERVE)
        parent.touch(at, 1 * GIB, write=True, stride=2 * MIB)
        children: list[Process] = []
        errno = 0
        while not errno:
            try:
                children.append(parent.fork())
            except OSError as problem:
                errno = problem.errno or -1
        assert errno == ENOMEM
        assert len(children) > 10
        free = kernel.meminfo.mem_free
        with pytest.raises(OSError):
            parent.fork()
        assert kernel.meminfo.mem_free == free
        kernel.check()
        children[0].exit()
        parent.wait()
        assert parent.fork().info.pte_tables == 512


# ---- exit and wait ----


def test_a_child_stays_until_its_parent_waits(kernel: Kernel) -> None:
    parent = kernel.spawn("shell")
    assert parent.fork().pid == 2
    assert parent.wait() is None
    Process(kernel, 2).exit(42)
    assert [(t.pid, t.name, t.exited) for t in kernel.tasks] == [(1, "shell", False), (2, "shell", True)]
    assert parent.wait() == (2, 42)
    with pytest.raises(OSError) as info:
        parent.wait()
    assert info.value.errno == ECHILD
    assert parent.fork().pid == 2, "the lowest that is free"


def test_orphans_are_reaped_by_themselves(kernel: Kernel) -> None:
    parent = kernel.spawn()
    child, dead = parent.fork(), parent.fork()
    dead.exit()
    parent.exit()
    assert [t.pid for t in kernel.tasks] == [child.pid]
    child.exit()
    assert kernel.tasks == []


def test_exit_gives_everything_back(kernel: Kernel) -> None:
    before = kernel.meminfo
    program = start_program(kernel)
    at = program.mmap(64 * MIB)
    program.touch(at, 64 * MIB, write=True)
    child = program.fork()
    child.touch(at, 10 * MIB, write=True)
    for process in (program, child):
        process.exit()
    assert kernel.meminfo == before


# ---- context switches and ASIDs ----


def test_whoever_acts_becomes_the_one_that_runs(kernel: Kernel) -> None:
    one, two = kernel.spawn("one"), kernel.spawn("two", cpu=1)
    at = written(one)
    assert (read_context(kernel, 0).pid, read_context(kernel, 1).pid) == (1, 0)
    written(two)
    assert (read_context(kernel, 0).pid, read_context(kernel, 1).pid) == (1, 2)
    assert kernel.regime(0) == one.regime
    assert kernel.regime(1) == two.regime
    one.run(cpu=1)
    assert (read_context(kernel, 0).pid, read_context(kernel, 1).pid) == (0, 1)
    assert one.touch(at, write=True).faults == 0
    assert not two.info.running


def test_each_address_space_has_an_asid_of_its_own(kernel: Kernel) -> None:
    processes = [kernel.spawn() for _ in range(40)]
    for process in processes:
        process.run()
    assert sorted(p.info.asid for p in processes) == list(range(1, 41))
    assert processes[3].regime.contextidr | processes[3].regime.ttbr0 >> 48 == 4


def test_the_256th_address_space_begins_a_generation_and_flushes_each_cpu_once(kernel: Kernel) -> None:
    keeper = kernel.spawn(cpu=1)
    keeper.run()
    asid = keeper.info.asid
    others = [kernel.spawn() for _ in range(254)]
    for process in others:
        process.run()
    assert kernel.stats["asid_rollovers"] == 0
    assert {p.info.asid for p in [keeper, *others]} == set(range(1, 256))
    flushes = kernel.stats["tlbi_local"]
    extra = kernel.spawn()
    extra.run()
    assert kernel.stats["asid_rollovers"] == 1
    assert kernel.stats["tlbi_local"] == flushes + 1
    assert keeper.info.asid == asid, "it runs: its ASID is reserved"
    assert extra.info.asid != asid
    others[0].run()
    other = kernel.spawn(cpu=1)
    other.run()
    assert kernel.stats["tlbi_local"] == flushes + 2, "the other CPU, at its first switch"
    keeper.run()
    assert keeper.info.asid == asid
    running = {extra.info.asid, others[0].info.asid, other.info.asid, keeper.info.asid}
    assert len(running) == 4


def test_a_task_that_may_not_migrate_stays_on_its_cpu(kernel: Kernel) -> None:
    process = kernel.spawn()
    process.run()
    with disabled(kernel, Disabled.MIGRATION), pytest.raises(NativeError, match="may not leave CPU 0"):
        process.run(cpu=1)
    process.run(cpu=1)
    assert process.info.cpu == 1


def test_a_switch_with_preemption_disabled_is_scheduling_while_atomic(kernel: Kernel) -> None:
    one, two = kernel.spawn(), kernel.spawn()
    one.run()
    with disabled(kernel, Disabled.PREEMPTION):
        two.run()
        one.run()
    found = [r for r in read_reports(kernel) if "SCHEDULING_ATOMIC" in r.kind.name]
    assert [(r.pid, r.preempt_count) for r in found] == [(1, 1)]
    assert "__schedule" in found[0].chain


# ---- tables ----


def test_tables_are_freed_by_batches_after_a_grace_period() -> None:
    with Kernel(KernelConfig(functional=True, cpus=2)) as kernel:
        process, other = kernel.spawn(), kernel.spawn(cpu=1)
        at = process.mmap(64 * MIB)
        process.touch(at, 64 * MIB, write=True, stride=2 * MIB)
        other.run()
        with disabled(kernel, Disabled.IRQS):
            process.munmap(at, 64 * MIB)
            assert kernel.tables_waiting == 32
            assert kernel.meminfo.page_tables >= 32
            assert process.info.pte_tables == 0
            kernel.check()
            other.run()
        process.mmap(PAGE)
        assert kernel.tables_waiting == 0
        assert kernel.stats["tables_freed"] == 32
        assert kernel.stats["table_batches"] == 1


def test_a_batch_holds_1021_tables() -> None:
    with Kernel(KernelConfig(functional=True, memory_bytes=2 * GIB)) as kernel:
        process = kernel.spawn()
        at = process.mmap(1022 * 2 * MIB, 0x20000000, flags=Map.PRIVATE | Map.NORESERVE)
        process.touch(at, 1022 * 2 * MIB, write=True, stride=2 * MIB)
        process.munmap(at, 1022 * 2 * MIB)
        assert kernel.stats["table_batches"] == 2
        assert kernel.stats["tables_freed"] >= 1022


def test_short_descriptors_need_no_grace_period() -> None:
    with Kernel(KernelConfig(functional=True, tables="classic", cpus=2)) as kernel:
        process, other = kernel.spawn(), kernel.spawn(cpu=1)
        at = written(process)
        other.run()
        with disabled(kernel, Disabled.IRQS):
            process.munmap(at, PAGE)
            assert (kernel.tables_waiting, kernel.meminfo.page_tables) == (0, 0)
            other.run()


def test_a_table_goes_with_the_last_area_of_its_2_mb(kernel: Kernel) -> None:
    process = kernel.spawn()
    for addr in (0x40000000, 0x40100000, 0x40200000):
        process.mmap(PAGE, addr, flags=Map.PRIVATE | Map.FIXED | Map.POPULATE)
    assert process.info.pte_tables == 2
    process.munmap(0x40000000, PAGE)
    assert process.info.pte_tables == 2
    process.munmap(0x40100000, PAGE)
    assert process.info.pte_tables == 1
    pmds = process.info.pmd_tables
    process.munmap(0x40200000, PAGE)
    assert process.info.pte_tables == 0
    assert process.info.pmd_tables == max(pmds - 1, 0), "the PMD page of the slot too"


def test_the_private_pmd_page_of_the_modules_stays_until_the_end() -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        process = kernel.spawn()
        assert process.info.pmd_tables == 1
        at = written(process)
        process.munmap(at, PAGE)
        assert (process.info.pte_tables, process.info.pmd_tables) == (0, 1)


# ---- remote accesses to a signal ----


def test_a_signal_stops_a_range_where_it_happens(kernel: Kernel) -> None:
    process = kernel.spawn()
    at = process.mmap(4 * PAGE)
    process.munmap(at + 3 * PAGE, PAGE)
    done = process.touch(at, 4 * PAGE, write=True)
    assert (done.count, done.faults, done.signal) == (3, 4, Signal.SIGSEGV)
    assert kernel.stats["faults_bad"] == 1
