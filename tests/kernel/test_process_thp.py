"""Transparent huge pages: who gets them, what splits them, what happens to their deposited PTE pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Advice, Kernel, KernelConfig, Map, Process, Prot, Thp
from pyemu.kernel.memory import PageFlag
from pyemu.mmu import translate
from pyemu.native import NativeError

PAGE, HUGE = 4096, 2 * MIB


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel(KernelConfig(memory_bytes=2 * GIB, functional=True)) as kernel:
        yield kernel
        kernel.check()


@pytest.fixture
def process(kernel: Kernel) -> Process:
    return kernel.spawn()


def huge_area(process: Process, pages: int = 1) -> int:
    """An area of huge pages, all of them written; its start is aligned."""
    at = process.mmap(pages * HUGE, 0x20000000, flags=Map.PRIVATE | Map.HUGEPAGE)
    assert process.touch(at, pages * HUGE, write=True).faults == pages
    assert process.info.huge == 512 * pages
    return at


def leaf_size(process: Process, addr: int) -> int:
    return translate(process.kernel.memory, process.regime, addr, privileged=False).size


@pytest.mark.parametrize(
    ("policy", "advice", "huge"),
    [
        (Thp.NEVER, Map.HUGEPAGE, False),
        (Thp.MADVISE, Map.NONE, False),
        (Thp.MADVISE, Map.HUGEPAGE, True),
        (Thp.ALWAYS, Map.NONE, True),
        (Thp.ALWAYS, Map.NOHUGEPAGE, False),
    ],
)
def test_policy_and_advice_decide_who_gets_huge_pages(
    kernel: Kernel, process: Process, policy: Thp, advice: Map, huge: bool
) -> None:
    kernel.set_thp(policy)
    at = process.mmap(2 * HUGE, 0x20000000, flags=Map.PRIVATE | advice)
    process.touch(at, write=True)
    assert process.info.huge == (512 if huge else 0)
    assert leaf_size(process, at) == (HUGE if huge else PAGE)


def test_only_what_covers_a_whole_aligned_2_mb_becomes_huge(kernel: Kernel, process: Process) -> None:
    kernel.set_thp(Thp.ALWAYS)
    at = process.mmap(2 * HUGE, 0x20000000 + PAGE)
    process.touch(at, write=True)
    process.touch(0x20000000 + 2 * HUGE, write=True)
    assert process.info.huge == 0
    process.touch(0x20000000 + HUGE, write=True)
    assert process.info.huge == 512


def test_each_huge_page_deposits_a_pte_page(kernel: Kernel, process: Process) -> None:
    at = huge_area(process, 3)
    assert (process.info.pte_tables, process.info.pmd_tables) == (3, 2)
    process.munmap(at, 3 * HUGE)
    assert process.info.pte_tables == 0
    assert kernel.tables_waiting == 0


def test_a_huge_page_is_one_folio_with_one_reference(kernel: Kernel, process: Process) -> None:
    pfn = process.touch(huge_area(process)).pa // PAGE
    head = kernel.page(pfn)
    assert (head.refcount, head.mapcount, head.order) == (1, 1, 9)
    assert head.flags & PageFlag.HEAD
    assert kernel.page(pfn + 511).head == pfn
    assert kernel.meminfo.anon_huge_pages == 512


@pytest.mark.parametrize("way", ["munmap", "mprotect", "madvise", "mremap"])
def test_a_part_that_goes_or_changes_splits_the_block_and_keeps_the_rest(
    kernel: Kernel, process: Process, way: str
) -> None:
    at = huge_area(process, 2)
    process.write(at + 100 * PAGE, b"stays")
    pa = process.touch(at + 100 * PAGE).pa
    if way == "munmap":
        process.munmap(at + 7 * PAGE, PAGE)
    elif way == "mprotect":
        process.mprotect(at + 7 * PAGE, PAGE, Prot.READ)
    elif way == "madvise":
        process.madvise(at + 7 * PAGE, PAGE, Advice.DONTNEED)
    else:
        process.mremap(at + 7 * PAGE, PAGE, PAGE, new_addr=0x30000000)
    assert kernel.stats["thp_splits"] == 1
    assert process.info.huge == 512
    assert (leaf_size(process, at), leaf_size(process, at + HUGE)) == (PAGE, HUGE)
    assert process.touch(at + 100 * PAGE).pa == pa
    assert process.read(at + 100 * PAGE, 5) == b"stays"
    assert process.touch(at + 100 * PAGE, write=True).faults == 0, "write and dirty were kept"
    assert kernel.page(pa // PAGE - 100).refcount == (511 if way in ("munmap", "madvise") else 512)


@pytest.mark.parametrize("way", ["munmap", "mprotect", "mremap"])
def test_a_whole_block_is_not_split(kernel: Kernel, process: Process, way: str) -> None:
    at = huge_area(process, 3)
    if way == "munmap":
        process.munmap(at + HUGE, HUGE)
    elif way == "mprotect":
        process.mprotect(at + HUGE, HUGE, Prot.READ)
        assert process.touch(at + HUGE, write=True).count == 0
    else:
        pa = process.touch(at + HUGE).pa
        moved = process.mremap(at + HUGE, HUGE, HUGE, new_addr=0x30000000)
        assert process.touch(moved).pa == pa
        assert leaf_size(process, moved) == HUGE
    assert kernel.stats["thp_splits"] == 0


def test_a_partly_unmapped_folio_is_freed_with_its_last_page(kernel: Kernel, process: Process) -> None:
    process.mmap(PAGE, 0x10000, flags=Map.PRIVATE | Map.POPULATE)
    free = kernel.meminfo.mem_free
    at = huge_area(process)
    process.munmap(at + PAGE, HUGE - PAGE)
    assert kernel.meminfo.anon_pages == 1 + 512
    process.munmap(at, PAGE)
    assert kernel.meminfo.anon_pages == 1
    assert kernel.meminfo.mem_free == free


def test_fork_shares_the_block_and_a_write_splits_the_writers_alone(kernel: Kernel, process: Process) -> None:
    at = huge_area(process)
    process.write(at, b"old")
    pfn = process.touch(at).pa // PAGE
    child = process.fork()
    assert kernel.page(pfn).refcount == 2
    assert child.info.huge == 512
    child.write(at, b"new")
    assert (process.read(at, 3), child.read(at, 3)) == (b"old", b"new")
    assert (process.info.huge, child.info.huge) == (512, 0)
    assert kernel.stats["faults_cow"] == 1
    assert kernel.page(pfn).refcount == 1 + 511
    child.exit()
    process.wait(child)
    assert process.touch(at, write=True).faults == 1, "write-protected by fork, now nobody else's"
    assert process.info.huge == 512
    assert kernel.stats["faults_cow"] == 1


def test_without_2_mb_that_touch_small_pages_do(kernel: Kernel) -> None:
    eater = kernel.spawn()
    while kernel.meminfo.mem_free > 40_000:
        at = eater.mmap(64 * MIB, flags=Map.PRIVATE | Map.NORESERVE)
        eater.touch(at, 64 * MIB, write=True)
    process = kernel.spawn()
    at = process.mmap(600 * MIB, flags=Map.PRIVATE | Map.HUGEPAGE | Map.NORESERVE)
    process.touch(at, 600 * MIB, write=True)
    info = process.info
    assert 0 < info.huge < info.anon


@pytest.mark.parametrize("tables", ["lpae", "classic"])
def test_a_kernel_without_huge_pages_says_so(tables: str) -> None:
    with Kernel(KernelConfig(functional=True, tables=tables, thp=False)) as kernel:  # type: ignore[arg-type]
        process = kernel.spawn()
        at = process.mmap(2 * HUGE, flags=Map.PRIVATE | Map.HUGEPAGE)
        process.touch(at, 2 * HUGE, write=True)
        assert process.info.huge == 0
        with pytest.raises(OSError):
            process.madvise(at, HUGE, Advice.HUGEPAGE)
        with pytest.raises(NativeError, match="TRANSPARENT_HUGEPAGE"):
            kernel.set_thp(Thp.ALWAYS)
