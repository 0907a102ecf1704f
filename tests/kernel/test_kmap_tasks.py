"""Windows of tasks: across context switches, fork and exit; waiting for PKMAP as a task of several."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import GIB
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.kernel.bill import read_spent
from pyemu.kernel.context import read_context
from pyemu.kernel.kmap import kmap, kmap_local, kmap_waiting, kunmap, kunmap_local, windows
from pyemu.kernel.process import Process, spawn
from pyemu.kernel.reports import ReportKind, read_reports
from pyemu.mmu import Access, translate
from pyemu.native import NativeError

PAGE = 4096


def model(**options: Any) -> Kernel:
    return Kernel(KernelConfig(**{"memory_bytes": GIB, "functional": True, **options}))


def window(kernel: Kernel, process: Process) -> int:
    process.run()
    va = kmap_local(kernel, kernel.alloc_pages(0, Gfp.HIGHMEM))
    assert va is not None
    return va


def in_use(kernel: Kernel, cpu: int = 0) -> list[tuple[int, int]]:
    return [(slot.va, slot.pfn) for slot in windows(kernel, cpu) if slot.pte]


# ---- context switch ----


@pytest.mark.parametrize("debug", [False, True])
def test_windows_leave_and_come_with_their_task(debug: bool) -> None:
    with model(debug_kmap_local=debug, nr_cpus=4) as kernel:
        first, second = spawn(kernel, "first"), spawn(kernel, "second")
        for _ in range(3):
            window(kernel, first)
        mine = in_use(kernel)
        assert len(mine) == 3
        second.run()
        assert in_use(kernel) == []
        window(kernel, second)
        theirs = in_use(kernel)
        assert theirs[0][0] == mine[0][0]  # the same slot: its CPU's, not its task's
        first.run()
        assert in_use(kernel) == mine
        assert read_context(kernel).kmap_depth == (6 if debug else 3)
        second.run()
        assert in_use(kernel) == theirs
        assert not read_reports(kernel)


def test_a_switch_costs_an_entry_and_a_flush_for_each_window_and_nothing_without() -> None:
    with model(functional=False) as kernel:
        first, second = spawn(kernel), spawn(kernel)
        second.run()  # each has its ASID from now on
        first.run()
        spent, flushes = [], []
        for _ in range(3):
            before, stats = read_spent(kernel), kernel.stats["tlbi_local"]
            second.run()
            first.run()
            spent.append((read_spent(kernel) - before).insns)
            flushes.append(kernel.stats["tlbi_local"] - stats)
            window(kernel, first)
        assert flushes == [0, 4, 8]  # two TLBIMVA a window, out and in
        assert spent[1] - spent[0] == pytest.approx(spent[2] - spent[1], abs=2)
        assert spent[1] > spent[0]


def test_a_task_with_a_window_does_not_migrate() -> None:
    with model(cpus=2, nr_cpus=4) as kernel:
        process = spawn(kernel)
        va = window(kernel, process)
        with pytest.raises(NativeError, match="migrat"):
            process.run(1)
        process.run(0)
        kunmap_local(kernel, va)
        process.run(1)
        assert process.info.cpu == 1


def test_each_cpu_has_windows_of_its_own() -> None:
    with model(cpus=2, nr_cpus=4) as kernel:
        first, second = spawn(kernel, cpu=0), spawn(kernel, cpu=1)
        vas = [window(kernel, first), window(kernel, second)]
        assert vas == [0xFFEF_E000, 0xFFEE_E000]
        assert [len(in_use(kernel, cpu)) for cpu in (0, 1)] == [1, 1]
        for cpu, va in enumerate(vas):
            seen = translate(kernel.memory, kernel.regime(cpu), va, Access.READ, privileged=True)
            assert seen.ok


def test_a_switch_in_kmap_atomic_is_reported_unless_the_kernel_is_rt() -> None:
    from pyemu.kernel.kmap import kmap_atomic

    for preemption in ("voluntary", "rt"):
        with model(preemption=preemption) as kernel:
            first, second = spawn(kernel), spawn(kernel)
            first.run()
            kmap_atomic(kernel, kernel.alloc_pages(0, Gfp.HIGHMEM))
            second.run()
            kinds = [report.kind for report in read_reports(kernel)]
            assert kinds == ([] if preemption == "rt" else [ReportKind.SCHEDULING_ATOMIC])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["map", "unmap", "run"])), max_size=60))
def test_windows_of_tasks_agree_with_stacks_in_python(steps: list[tuple[int, str]]) -> None:
    with model() as kernel:
        processes = [spawn(kernel, f"task{index}") for index in range(4)]
        pfns = kernel.alloc_bulk(8, 0, Gfp.HIGHMEM)
        stacks: list[list[tuple[int, int]]] = [[] for _ in processes]
        for number, (who, what) in enumerate(steps):
            processes[who].run()
            stack = stacks[who]
            if what == "map" and len(stack) < 15:
                va = kmap_local(kernel, pfns[number % 8])
                assert va is not None
                stack.append((va, pfns[number % 8]))
            elif what == "unmap" and stack:
                kunmap_local(kernel, stack.pop()[0])
            assert in_use(kernel) == stack
        assert not read_reports(kernel)


# ---- fork and exit ----


def test_a_window_that_is_open_at_fork_is_reported_and_not_inherited() -> None:
    with model() as kernel:
        parent = spawn(kernel, "parent")
        window(kernel, parent)
        window(kernel, parent)
        child = parent.fork()
        (report,) = read_reports(kernel)
        assert (report.kind, report.value, report.name) == (ReportKind.KMAP_LEAK, 2, "parent")
        assert child.info.kmap_depth == 0
        assert parent.info.kmap_depth == 2
        child.run()
        assert in_use(kernel) == []


def test_a_fork_without_windows_is_not_reported() -> None:
    with model() as kernel:
        parent = spawn(kernel)
        kunmap_local(kernel, window(kernel, parent))
        parent.fork()
        assert not read_reports(kernel)


def test_a_window_that_is_open_at_exit_is_closed_by_the_last_switch_and_no_check_sees_it() -> None:
    with model() as kernel:
        process = spawn(kernel)
        window(kernel, process)
        process.exit()
        assert in_use(kernel) == []
        assert not read_reports(kernel)
        other = spawn(kernel)
        va = window(kernel, other)
        kunmap_local(kernel, va)
        assert not read_reports(kernel)


# ---- PKMAP ----


def test_tasks_wait_for_pkmap_and_all_of_them_are_woken() -> None:
    with model() as kernel:
        holder, *waiters = (spawn(kernel, name) for name in ("holder", "one", "two", "three"))
        holder.run()
        pfns = kernel.alloc_bulk(512 + 3, 0, Gfp.HIGHMEM)
        assert all(kmap(kernel, pfn) for pfn in pfns[:512])
        for waiter, pfn in zip(waiters, pfns[512:], strict=True):
            waiter.run()
            assert kmap(kernel, pfn) is None
        assert kmap_waiting(kernel) == [waiter.pid for waiter in waiters]
        holder.run()
        assert kunmap(kernel, pfns[7]) == [waiter.pid for waiter in waiters]
        # Whoever comes first gets the slot, the others wait again.
        waiters[1].run()
        assert kmap(kernel, pfns[513]) is not None
        waiters[0].run()
        assert kmap(kernel, pfns[512]) is None
        assert kmap_waiting(kernel) == [waiters[0].pid]
        assert kernel.stats["kmap_high_waits"] == 4


def test_a_waiter_finds_the_page_mapped_by_somebody_else_meanwhile() -> None:
    with model() as kernel:
        holder, waiter = spawn(kernel), spawn(kernel)
        holder.run()
        *pfns, late = kernel.alloc_bulk(513, 0, Gfp.HIGHMEM)
        for pfn in pfns:
            kmap(kernel, pfn)
        waiter.run()
        assert kmap(kernel, late) is None
        holder.run()
        kunmap(kernel, pfns[0])
        va = kmap(kernel, late)
        waiter.run()
        assert kmap(kernel, late) == va
        assert kernel.stats["kmap_high_new"] == 513
