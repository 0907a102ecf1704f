"""How often each path maps PTE tables and invalidates TLBs, and what it bills."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig, Map, Process, Prot
from pyemu.kernel.bill import read_spent
from pyemu.kernel.gup import Foll, GupCall, get_user_pages

PAGE, HUGE = 4096, 2 * MIB
RW = Prot.READ | Prot.WRITE
AT = 0x40000000


def mapped(process: Process, length: int, *, touched: int | None = None) -> None:
    process.mmap(length, AT, flags=Map.PRIVATE | Map.FIXED)
    process.touch(AT, length if touched is None else touched, write=True)


def prepare_beside(process: Process) -> Callable[[], object]:
    mapped(process, 2 * PAGE, touched=PAGE)
    return lambda: process.touch(AT + PAGE, write=True)


def prepare_first(process: Process) -> Callable[[], object]:
    mapped(process, PAGE, touched=0)
    return lambda: process.touch(AT, write=True)


def prepare_dirty(process: Process) -> Callable[[], object]:
    process.mmap(PAGE, AT, flags=Map.SHARED | Map.FIXED)
    process.touch(AT)
    return lambda: process.touch(AT, write=True)


def prepare_old(process: Process) -> Callable[[], object]:
    mapped(process, PAGE)
    child = process.fork()
    child.run()
    return lambda: child.touch(AT)


def prepare_copy(process: Process) -> Callable[[], object]:
    mapped(process, PAGE)
    process.fork()
    return lambda: process.touch(AT, write=True)


def prepare_fork(process: Process) -> Callable[[], object]:
    mapped(process, 3 * HUGE)
    return process.fork


def prepare_move(process: Process) -> Callable[[], object]:
    mapped(process, 3 * HUGE)
    return lambda: process.mremap(AT, 3 * HUGE, 3 * HUGE, new_addr=0x60000000)


def prepare_unmap(process: Process) -> Callable[[], object]:
    mapped(process, 3 * HUGE)
    return lambda: process.munmap(AT, 3 * HUGE)


def prepare_exit(process: Process) -> Callable[[], object]:
    mapped(process, 3 * HUGE)
    return process.exit


def prepare_protect(process: Process) -> Callable[[], object]:
    mapped(process, 3 * HUGE)
    return lambda: process.mprotect(AT, 3 * HUGE, Prot.READ)


def prepare_split(process: Process) -> Callable[[], object]:
    process.mmap(HUGE, AT, flags=Map.PRIVATE | Map.FIXED | Map.HUGEPAGE)
    process.touch(AT, write=True)
    return lambda: process.mprotect(AT, PAGE, Prot.READ)


# What is prepared: maps of PTE tables, how deep they nest, invalidations that are broadcast.
PATHS: dict[Callable[[Process], Callable[[], object]], tuple[int, int, int]] = {
    prepare_beside: (2, 1, 0),
    prepare_first: (1, 1, 0),
    prepare_dirty: (1, 1, 1),
    prepare_old: (1, 1, 1),
    prepare_copy: (2, 2, 1),  # the data of the copy nest, not the tables
    prepare_fork: (2 * 3, 2, 1),
    prepare_move: (3 * 3, 2, 3 * 512 + 1025),  # munmap looks at the old tables again, and frees them
    prepare_unmap: (3, 1, 3 * 512),
    prepare_exit: (3, 1, 1),
    prepare_protect: (3, 1, 3 * 512),
    prepare_split: (1 + 1, 1, 512 + 1),
}


@pytest.mark.parametrize("prepare", PATHS, ids=lambda p: p.__name__.removeprefix("prepare_"))
def test_paths_map_tables_and_invalidate_as_often_as_the_kernel(
    prepare: Callable[[Process], Callable[[], object]],
) -> None:
    with Kernel(KernelConfig(memory_bytes=2 * GIB, functional=True)) as kernel:
        process = kernel.spawn()
        act = prepare(process)
        before = kernel.stats
        act()
        after = kernel.stats
        maps, depth, invalidations = PATHS[prepare]
        assert after["pte_maps"] - before["pte_maps"] == maps
        assert after["pte_windows"] - before["pte_windows"] == maps, "every table is highmem"
        assert after["tlbi_broadcast"] - before["tlbi_broadcast"] == invalidations
        assert after["kmap_local_depth_max"] == max(depth, before["kmap_local_depth_max"])


def test_without_highpte_no_window_is_made_for_a_table() -> None:
    with Kernel(KernelConfig(functional=True, highpte=False)) as kernel:
        process = kernel.spawn()
        mapped(process, 4 * HUGE)
        process.fork()
        assert kernel.stats["pte_tables_high"] == 0
        assert kernel.stats["pte_windows"] == 0
        assert kernel.stats["pte_maps"] > 0


def fork_bill(memory: int) -> tuple[int, int, int]:
    """Instructions, local invalidations and PTE tables of one fork of 512 tables."""
    with Kernel(KernelConfig(memory_bytes=memory, high_get="erratum")) as kernel:
        process = kernel.spawn()
        process.mmap(GIB, AT, flags=Map.PRIVATE | Map.FIXED | Map.NORESERVE)
        process.touch(AT, GIB, write=True, stride=HUGE)
        insns, invalidations = read_spent(kernel).insns, kernel.stats["tlbi_local"]
        child = process.fork()
        insns = read_spent(kernel).insns - insns
        return insns, kernel.stats["tlbi_local"] - invalidations, child.info.pte_tables


def test_fork_pays_three_windows_for_each_table_in_highmem() -> None:
    """The child's table is cleared and filled, the parent's read: 212 instructions and 4 TLBIMVA a window."""
    low, low_invalidations, tables = fork_bill(512 * MIB)
    high, high_invalidations, _ = fork_bill(2 * GIB)
    assert tables == 512
    assert high - low == pytest.approx(3 * 212 * tables, rel=0.05)
    assert high_invalidations - low_invalidations == 3 * 4 * tables


def test_a_pinned_page_stays_the_parents_and_the_child_gets_a_copy() -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        parent = kernel.spawn()
        mapped(parent, 2 * PAGE)
        parent.write(AT, b"pinned")
        got = get_user_pages(kernel, GupCall.PIN_FAST, AT, 1, flags=Foll.WRITE)
        child = parent.fork()
        assert parent.touch(AT, write=True).faults == 0, "not write-protected"
        assert parent.touch(AT).pa // PAGE == got.pfns[0]
        assert child.read(AT, 6) == b"pinned"
        assert child.touch(AT).pa // PAGE != got.pfns[0]
        assert parent.touch(AT + PAGE, write=True).faults == 1, "its neighbour is"
        assert kernel.stats["pages_copied"] == 2
        kernel.check()
