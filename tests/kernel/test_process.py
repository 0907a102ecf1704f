"""Address spaces: where mappings go, how areas split and merge, what faults do and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST, EFAULT, EINVAL, ENOMEM, EPERM
from typing import Any

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Advice, Kernel, KernelConfig, Map, Process, Prot, Signal
from pyemu.kernel.memory import PageFlag
from pyemu.mmu import Access
from pyemu.native import NativeError

PAGE = 4096
RW = Prot.READ | Prot.WRITE
MMAP_BASE = 0xBF000000 - 128 * MIB
MAPERR, ACCERR = 1, 2


@pytest.fixture(params=["lpae", "classic"])
def kernel(request: Any) -> Iterator[Kernel]:
    with Kernel(KernelConfig(functional=True, tables=request.param)) as kernel:
        yield kernel
        kernel.check()


@pytest.fixture
def process(kernel: Kernel) -> Process:
    return kernel.spawn()


def spans(process: Process) -> list[tuple[int, int, Prot]]:
    return [(a.start, a.end, a.prot) for a in process.areas]


# ---- placement ----


def test_mappings_go_top_down_from_128_mb_below_task_size(process: Process) -> None:
    first = process.mmap(3 * PAGE)
    second = process.mmap(PAGE, prot=Prot.READ)
    assert (first, second) == (MMAP_BASE - 3 * PAGE, MMAP_BASE - 4 * PAGE)


def test_the_highest_gap_that_is_large_enough_is_taken(process: Process) -> None:
    at = process.mmap(10 * PAGE)
    process.munmap(at + 2 * PAGE, 2 * PAGE)
    process.munmap(at + 6 * PAGE, PAGE)
    assert process.mmap(PAGE) == at + 6 * PAGE
    assert process.mmap(2 * PAGE) == at + 2 * PAGE
    assert process.mmap(3 * PAGE) == at - 3 * PAGE


def test_without_room_below_mappings_go_bottom_up_from_there(process: Process) -> None:
    process.mmap(MMAP_BASE - 0x2000, flags=Map.PRIVATE | Map.NORESERVE)
    assert process.mmap(PAGE, prot=Prot.READ) == MMAP_BASE
    with pytest.raises(OSError) as info:
        process.mmap(128 * MIB)
    assert info.value.errno == ENOMEM


def test_a_hint_is_followed_only_where_it_is_free(process: Process) -> None:
    assert process.mmap(PAGE, 0x20000123) == 0x20001000
    assert process.mmap(2 * PAGE, 0x20000000, prot=Prot.READ) == MMAP_BASE - 2 * PAGE


def test_a_stack_keeps_a_gap_of_256_pages_from_new_mappings(process: Process) -> None:
    process.mmap(PAGE, MMAP_BASE - PAGE, flags=Map.PRIVATE | Map.GROWSDOWN | Map.FIXED)
    assert process.mmap(PAGE) == MMAP_BASE - PAGE - 256 * PAGE - PAGE


@pytest.mark.parametrize(
    ("length", "addr", "flags", "errno"),
    [
        (0, 0, Map.PRIVATE, EINVAL),
        (PAGE, 0, Map.NONE, EINVAL),
        (PAGE, 0, Map.SHARED | Map.PRIVATE, EINVAL),
        (PAGE, 0x1001, Map.PRIVATE | Map.FIXED, EINVAL),
        (PAGE, 0x1000, Map.PRIVATE | Map.FIXED, EPERM),
        (PAGE, 0xBF000000, Map.PRIVATE | Map.FIXED, ENOMEM),
        (0xC0000000, 0, Map.PRIVATE, ENOMEM),
        (2 * GIB, 0, Map.PRIVATE, ENOMEM),
        (0xFFFFFFFF, 0, Map.PRIVATE, ENOMEM),
    ],
)
def test_mappings_that_cannot_be_are_refused(
    process: Process, length: int, addr: int, flags: Map, errno: int
) -> None:
    with pytest.raises(OSError) as info:
        process.mmap(length, addr, flags=flags)
    assert info.value.errno == errno
    assert process.areas == []


def test_fixed_noreplace_does_not_replace(process: Process) -> None:
    at = process.mmap(2 * PAGE)
    with pytest.raises(OSError) as info:
        process.mmap(PAGE, at + PAGE, flags=Map.PRIVATE | Map.FIXED_NOREPLACE)
    assert info.value.errno == EEXIST


# ---- areas ----


def test_neighbours_that_are_alike_become_one_area(process: Process) -> None:
    process.mmap(PAGE, 0x20000000, flags=Map.PRIVATE | Map.FIXED)
    process.mmap(PAGE, 0x20002000, flags=Map.PRIVATE | Map.FIXED)
    assert len(process.areas) == 2
    process.mmap(PAGE, 0x20001000, flags=Map.PRIVATE | Map.FIXED)
    assert spans(process) == [(0x20000000, 0x20003000, RW)]


def test_shared_neighbours_of_two_objects_stay_apart(process: Process) -> None:
    process.mmap(PAGE, 0x20000000, flags=Map.SHARED | Map.FIXED)
    process.mmap(PAGE, 0x20001000, flags=Map.SHARED | Map.FIXED)
    assert len(process.areas) == 2


def test_a_change_of_rights_splits_an_area_and_its_reverse_merges_it(process: Process) -> None:
    at = process.mmap(5 * PAGE)
    end = at + 5 * PAGE
    process.mprotect(at + PAGE, 2 * PAGE, Prot.READ)
    cuts = at + PAGE, at + 3 * PAGE
    assert spans(process) == [(at, cuts[0], RW), (*cuts, Prot.READ), (cuts[1], end, RW)]
    process.mprotect(at + PAGE, 2 * PAGE, RW)
    assert spans(process) == [(at, end, RW)]


def test_a_hole_splits_an_area_and_takes_its_pages(kernel: Kernel, process: Process) -> None:
    at = process.mmap(5 * PAGE)
    process.touch(at, 5 * PAGE, write=True)
    before = kernel.meminfo.anon_pages
    process.munmap(at + 2 * PAGE, PAGE)
    assert spans(process) == [(at, at + 2 * PAGE, RW), (at + 3 * PAGE, at + 5 * PAGE, RW)]
    assert kernel.meminfo.anon_pages == before - 1
    gone = process.touch(at + 2 * PAGE)
    assert (gone.signal, gone.code, gone.address) == (Signal.SIGSEGV, MAPERR, at + 2 * PAGE)


def test_rights_of_a_range_with_a_hole_cannot_change(process: Process) -> None:
    at = process.mmap(3 * PAGE)
    process.munmap(at + PAGE, PAGE)
    with pytest.raises(OSError) as info:
        process.mprotect(at, 3 * PAGE, Prot.READ)
    assert info.value.errno == ENOMEM


def test_an_address_space_has_65530_areas_at_most(process: Process) -> None:
    at = process.mmap(65530 * 2 * PAGE, prot=Prot.READ, flags=Map.PRIVATE | Map.NORESERVE)
    for page in range(1, 2 * 65529, 2):
        process.munmap(at + page * PAGE, PAGE)
    assert len(process.areas) == 65530
    with pytest.raises(OSError) as info:
        process.mmap(PAGE)
    assert info.value.errno == ENOMEM
    with pytest.raises(OSError) as info:
        process.mprotect(at + 2 * 65529 * PAGE, PAGE, RW)
    assert info.value.errno == ENOMEM
    process.munmap(at, PAGE)
    process.mprotect(at + 2 * 65529 * PAGE, PAGE, RW)


# ---- faults ----


def test_a_page_reads_as_zero_and_costs_a_frame_only_when_written(kernel: Kernel, process: Process) -> None:
    at = process.mmap(2 * PAGE)
    assert process.read(at, 2 * PAGE) == bytes(2 * PAGE)
    info = process.info
    assert (info.anon, kernel.meminfo.anon_pages) == (0, 0)
    zero = process.touch(at).pa
    assert kernel.page(zero // PAGE).flags & PageFlag.ZERO
    assert process.touch(at + PAGE).pa == zero
    process.write(at, b"x")
    assert process.info.anon == 1
    assert process.read(at, 2) == b"x\0"


def test_one_fault_is_enough_for_a_first_access(process: Process) -> None:
    at = process.mmap(2 * PAGE)
    assert [process.touch(at, write=True).faults for _ in range(2)] == [1, 0]
    assert [process.touch(at + PAGE).faults for _ in range(2)] == [1, 0]
    assert process.touch(at + PAGE, write=True).faults == 1, "the zero page is read-only"


@pytest.mark.parametrize(
    ("prot", "refused"),
    [
        (Prot.NONE, {Access.READ, Access.WRITE, Access.FETCH}),
        (Prot.READ, {Access.WRITE, Access.FETCH}),
        (RW, {Access.FETCH}),
        (Prot.READ | Prot.EXEC, {Access.WRITE}),
        (RW | Prot.EXEC, set()),
    ],
)
@pytest.mark.parametrize("sharing", [Map.PRIVATE, Map.SHARED])
def test_accesses_that_an_area_does_not_allow_end_in_sigsegv(
    process: Process, prot: Prot, refused: set[Access], sharing: Map
) -> None:
    at = process.mmap(PAGE, prot=prot, flags=sharing)
    for access in Access:
        done = process.access(at, 1, access)
        wanted = (0, Signal.SIGSEGV, ACCERR) if access in refused else (1, Signal.NONE, 0)
        assert (done.count, done.signal, done.code) == wanted


def test_addresses_of_the_kernel_are_not_mapped_for_a_program(kernel: Kernel, process: Process) -> None:
    for addr in (0xBF000000, 0xC0000000, 0xC0208000, 0xFFFF0000 + 8 * PAGE, 0xFFFFF000, 0):
        done = process.touch(addr)
        assert (done.signal, done.code) == (Signal.SIGSEGV, MAPERR)


def test_pages_that_lost_their_rights_keep_their_content(process: Process) -> None:
    at = process.mmap(PAGE)
    process.write(at, b"kept")
    process.mprotect(at, PAGE, Prot.NONE)
    assert process.touch(at).code == ACCERR
    with pytest.raises(OSError) as info:
        process.read(at, 1)
    assert info.value.errno == EFAULT
    process.mprotect(at, PAGE, RW)
    assert process.read(at, 4) == b"kept"
    assert process.touch(at, write=True).faults == 0, "its page is nobody else's: no fault is needed"


def test_a_stack_grows_down_to_its_limit_and_keeps_its_gap(kernel: Kernel, process: Process) -> None:
    top = kernel.layout.task_size
    process.mmap(PAGE, top - PAGE, flags=Map.PRIVATE | Map.GROWSDOWN | Map.FIXED)
    assert process.touch(top - 8 * MIB, write=True).signal is Signal.NONE
    assert spans(process) == [(top - 8 * MIB, top, RW)]
    assert process.touch(top - 8 * MIB - 1, write=True).code == MAPERR

    other = kernel.spawn()
    other.mmap(PAGE, top - PAGE, flags=Map.PRIVATE | Map.GROWSDOWN | Map.FIXED)
    other.mmap(PAGE, top - 4 * MIB, flags=Map.PRIVATE | Map.FIXED)
    assert other.touch(top - 4 * MIB + 256 * PAGE, write=True).code == MAPERR
    assert other.touch(top - 4 * MIB + 257 * PAGE, write=True).signal is Signal.NONE


def test_populated_mappings_take_no_fault_later(process: Process) -> None:
    at = process.mmap(20 * PAGE, flags=Map.PRIVATE | Map.POPULATE)
    assert process.info.anon == 20
    assert process.touch(at, 20 * PAGE, write=True).faults == 0


def test_the_end_of_memory_kills(kernel: Kernel, process: Process) -> None:
    at = process.mmap(2 * GIB, flags=Map.PRIVATE | Map.NORESERVE)
    done = process.touch(at, 2 * GIB, write=True)
    assert done.signal is Signal.SIGKILL
    assert done.count > 200_000
    assert kernel.meminfo.mem_free <= kernel.meminfo.min_free + 1000


def test_memory_that_can_never_be_is_refused_unless_it_is_not_reserved(process: Process) -> None:
    with pytest.raises(OSError) as info:
        process.mmap(GIB + 64 * MIB)
    assert info.value.errno == ENOMEM
    process.mmap(GIB + 64 * MIB, prot=Prot.READ)
    process.mmap(GIB + 64 * MIB, flags=Map.PRIVATE | Map.NORESERVE)


# ---- shared memory, madvise, brk, mremap ----


def test_shared_pages_are_the_same_in_all_processes(kernel: Kernel, process: Process) -> None:
    at = process.mmap(4 * PAGE, flags=Map.SHARED)
    process.write(at, b"one")
    child = process.fork()
    child.write(at + 2 * PAGE, b"two")
    assert (child.read(at, 3), process.read(at + 2 * PAGE, 3)) == (b"one", b"two")
    assert child.touch(at).pa == process.touch(at).pa
    assert (kernel.meminfo.shmem, process.info.shared) == (2, 2)
    process.munmap(at, 4 * PAGE)
    assert child.read(at, 3) == b"one"
    child.munmap(at, 4 * PAGE)
    assert kernel.meminfo.shmem == 0


def test_the_page_behind_a_shared_object_is_sigbus(process: Process) -> None:
    at = process.mmap(PAGE, flags=Map.SHARED)
    at = process.mremap(at, PAGE, 3 * PAGE)
    assert process.touch(at, write=True).signal is Signal.NONE
    assert process.touch(at + PAGE, write=True).signal is Signal.SIGBUS


def test_pages_given_back_read_as_zero(kernel: Kernel, process: Process) -> None:
    at = process.mmap(3 * PAGE)
    process.write(at, b"gone")
    process.madvise(at, 3 * PAGE, Advice.DONTNEED)
    assert (process.info.anon, kernel.meminfo.anon_pages) == (0, 0)
    assert process.read(at, 4) == bytes(4)


def test_the_heap_grows_and_shrinks(process: Process) -> None:
    process.set_start_brk(0x100000)
    assert process.brk() == 0x100000
    assert process.brk(0x100000 + 5000) == 0x100000 + 5000
    process.write(0x100000 + 4999, b"x")
    assert process.brk(0x100800) == 0x100800
    assert spans(process) == [(0x100000, 0x101000, RW)]
    process.mmap(PAGE, 0x102000, flags=Map.PRIVATE | Map.FIXED)
    assert process.brk(0x104000) == 0x100800, "something is in the way"
    assert process.brk(0x1000) == 0x100800


def test_a_mapping_grows_in_place_where_it_can_and_moves_where_it_must(process: Process) -> None:
    at = process.mmap(2 * PAGE, 0x20000000)
    process.write(at + PAGE, b"here")
    assert process.mremap(at, 2 * PAGE, 4 * PAGE) == at
    process.mmap(PAGE, at + 4 * PAGE, prot=Prot.READ, flags=Map.PRIVATE | Map.FIXED)
    with pytest.raises(OSError) as info:
        process.mremap(at, 4 * PAGE, 5 * PAGE, may_move=False)
    assert info.value.errno == ENOMEM
    pa = process.touch(at + PAGE).pa
    moved = process.mremap(at, 4 * PAGE, 5 * PAGE)
    assert moved == MMAP_BASE - 5 * PAGE
    assert process.touch(moved + PAGE).pa == pa, "the page moved, its content was not copied"
    assert process.touch(at).code == MAPERR
    assert process.mremap(moved, 5 * PAGE, PAGE) == moved
    assert process.touch(moved + PAGE).code == MAPERR


def test_a_mapping_moves_to_a_place_of_choice_and_replaces_what_is_there(process: Process) -> None:
    at = process.mmap(600 * PAGE)
    process.touch(at, 600 * PAGE, write=True)
    process.write(at + 599 * PAGE, b"last")
    process.mmap(PAGE, 0x30000000, flags=Map.PRIVATE | Map.FIXED)
    assert process.mremap(at, 600 * PAGE, 600 * PAGE, new_addr=0x30000000) == 0x30000000
    assert process.read(0x30000000 + 599 * PAGE, 4) == b"last"
    assert spans(process) == [(0x30000000, 0x30000000 + 600 * PAGE, RW)]


@pytest.mark.parametrize(
    ("offset", "old", "new", "new_addr", "errno"),
    [
        (1, PAGE, PAGE, None, EINVAL),
        (0, PAGE, 0, None, EINVAL),
        (0, 9 * PAGE, 10 * PAGE, None, EFAULT),
        (-PAGE, PAGE, PAGE, None, EFAULT),
        (0, 4 * PAGE, 4 * PAGE, 0x20000800, EINVAL),
        (0, 4 * PAGE, 4 * PAGE, 0x20001000, EINVAL),
        (0, 4 * PAGE, 4 * PAGE, 0xBEFFF000, EINVAL),
    ],
)
def test_moves_that_cannot_be_are_refused(
    process: Process, offset: int, old: int, new: int, new_addr: int | None, errno: int
) -> None:
    at = process.mmap(4 * PAGE, 0x20000000)
    with pytest.raises(OSError) as info:
        process.mremap(at + offset, old, new, new_addr=new_addr)
    assert info.value.errno == errno
    assert spans(process) == [(at, at + 4 * PAGE, RW)]


# ---- wrong use ----


def test_a_process_that_is_gone_cannot_do_anything(process: Process) -> None:
    process.exit()
    with pytest.raises(NativeError, match="no task has the pid 1"):
        process.mmap(PAGE)
    assert process.areas == []


def test_numbers_that_are_no_addresses_are_refused(process: Process) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        process.mmap(1 << 32)
    with pytest.raises(ValueError, match="4 GB"):
        process.touch(-1)
    with pytest.raises(NativeError, match="no CPU 3"):
        process.kernel.spawn(cpu=3)
