"""get_user_pages: what it gives, what it counts, how fast and slow share the work, errors and flags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Kernel, KernelConfig, MigrateType
from pyemu.kernel.context import read_context
from pyemu.kernel.gup import (
    Foll,
    GupCall,
    GupStop,
    get_user_pages,
    gup_test,
    put_pages,
    unpin_pages,
)
from pyemu.kernel.kmap import windows
from pyemu.kernel.memory import PageFlag
from pyemu.kernel.process import Map, Process, Prot, spawn
from pyemu.kernel.reports import read_reports
from pyemu.native import NativeError
from tests.kernel.user_tables import PAGE, PMD_SIZE, UserTables

ADDR = 0x2000_0000
BIAS = 1024  # GUP_PIN_COUNTING_BIAS
EINVAL, EFAULT, EOVERFLOW = -22, -14, -75
FAST = (GupCall.GUP_FAST, GupCall.GUP_FAST_ONLY, GupCall.PIN_FAST, GupCall.PIN_FAST_ONLY)


def model(**options: Any) -> Kernel:
    return Kernel(KernelConfig(**{"memory_bytes": GIB, "functional": True, **options}))


def mapped(kernel: Kernel, pages: int = 16, *, huge: bool = False, touch: bool = True) -> Process:
    process = spawn(kernel, "gup")
    flags = Map.PRIVATE | Map.FIXED | (Map.HUGEPAGE if huge else Map.NOHUGEPAGE)
    process.mmap(pages * PAGE, ADDR, flags=flags)
    if touch:
        process.touch(ADDR, pages * PAGE, write=True)
    process.run()
    return process


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with model() as kernel:
        yield kernel


# ---- pages and counts ----


@pytest.mark.parametrize("call", GupCall)
@pytest.mark.parametrize("per_call", [1, 3, 16])
def test_the_pages_are_those_of_the_tables(kernel: Kernel, call: GupCall, per_call: int) -> None:
    tables = UserTables(kernel, mapped(kernel))
    result = get_user_pages(kernel, call, ADDR, 16, pages_per_call=per_call, flags=Foll.WRITE)
    assert result.pfns == tuple(tables.pfn(ADDR + page * PAGE) for page in range(16))
    assert result.fast == (16 if call in FAST else 0)
    assert (result.error, result.stop, result.reports) == (0, GupStop.NONE, 0)
    assert read_context(kernel).kmap_depth == 0
    assert not any(slot.pte for slot in windows(kernel))


@pytest.mark.parametrize("call", GupCall)
def test_a_reference_is_one_and_a_pin_is_the_bias(kernel: Kernel, call: GupCall) -> None:
    mapped(kernel)
    (pfn,) = get_user_pages(kernel, call, ADDR, 1, flags=Foll.WRITE).pfns
    page = kernel.page(pfn)
    assert page.refcount == 1 + (BIAS if call.pins else 1)
    assert PageFlag.REFERENCED in PageFlag(page.flags)
    (unpin_pages if call.pins else put_pages)(kernel, [pfn])
    assert kernel.page(pfn).refcount == 1
    kernel.check()


@pytest.mark.parametrize("call", GupCall)
def test_a_huge_page_counts_references_and_pins_in_its_head(kernel: Kernel, call: GupCall) -> None:
    mapped(kernel, 1024, huge=True)
    result = get_user_pages(kernel, call, ADDR + 5 * PAGE, 600, flags=Foll.WRITE)
    first, second = result.pfns[0] - 5, result.pfns[507]
    assert result.pfns == (*range(first + 5, first + 512), *range(second, second + 93))
    for head, count in ((first, 507), (second, 93)):
        page = kernel.page(head)
        assert (page.refcount, page.pincount) == (1 + count, count if call.pins else 0)
    assert result.windows == 0
    (unpin_pages if call.pins else put_pages)(kernel, result.pfns)
    assert (kernel.page(first).refcount, kernel.page(first).pincount) == (1, 0)
    kernel.check()


def test_a_page_lives_on_while_it_is_pinned(kernel: Kernel) -> None:
    process = mapped(kernel)
    (pfn,) = get_user_pages(kernel, GupCall.PIN_FAST, ADDR, 1, flags=Foll.WRITE).pfns
    process.munmap(ADDR, 16 * PAGE)
    assert kernel.page(pfn).refcount == BIAS
    freed = kernel.stats["pages_freed"]
    unpin_pages(kernel, [pfn])
    assert kernel.stats["pages_freed"] == freed + 1
    kernel.check()


def test_a_pinned_page_is_copied_at_fork_so_that_its_owner_keeps_it(kernel: Kernel) -> None:
    process = mapped(kernel)
    tables = UserTables(kernel, process)
    (pfn,) = get_user_pages(kernel, GupCall.PIN_FAST, ADDR, 1, flags=Foll.WRITE).pfns
    child = process.fork()
    assert tables.pfn(ADDR) == pfn
    assert UserTables(kernel, child).pfn(ADDR) != pfn
    assert process.touch(ADDR, write=True).faults == 0


def test_the_zero_page_is_got_but_never_pinned(kernel: Kernel) -> None:
    process = mapped(kernel, touch=False)
    process.touch(ADDR)
    zero = UserTables(kernel, process).pfn(ADDR)
    before = kernel.page(zero).refcount
    assert PageFlag.ZERO in PageFlag(kernel.page(zero).flags)
    result = get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 1)
    assert (result.pfns, result.fast, result.stop) == ((zero,), 0, GupStop.PTE_SPECIAL)
    assert kernel.page(zero).refcount == before + 1
    put_pages(kernel, result.pfns)


# ---- fast first, slow for the rest ----


def test_the_slow_path_goes_on_where_the_fast_walk_stopped(kernel: Kernel) -> None:
    process = mapped(kernel, touch=False)
    process.touch(ADDR, 5 * PAGE, write=True)
    result = get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 16, flags=Foll.WRITE)
    assert (len(result.pfns), result.fast, result.stop) == (16, 5, GupStop.PTE_ACCESS)
    assert result.stop_address == ADDR + 5 * PAGE
    assert process.info.anon == 16
    assert kernel.stats["gup_fast_stops"] == 1
    tables = UserTables(kernel, process)
    assert result.pfns == tuple(tables.pfn(ADDR + page * PAGE) for page in range(16))


def test_fast_only_does_not_fault_in(kernel: Kernel) -> None:
    process = mapped(kernel, touch=False)
    process.touch(ADDR, 5 * PAGE, write=True)
    faults = kernel.stats["faults"]
    result = get_user_pages(kernel, GupCall.GUP_FAST_ONLY, ADDR, 16, flags=Foll.WRITE)
    assert (len(result.pfns), result.error) == (5, 0)
    assert kernel.stats["faults"] == faults


def test_a_write_to_a_shared_page_is_copied_first(kernel: Kernel) -> None:
    process = mapped(kernel)
    child = process.fork()
    before = UserTables(kernel, child).pfn(ADDR)
    child.run()
    result = get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 1, flags=Foll.WRITE)
    assert (result.stop, result.fast) == (GupStop.PTE_ACCESS, 0)
    assert result.pfns[0] != before
    assert UserTables(kernel, process).pfn(ADDR) == before


@pytest.mark.parametrize("call", [GupCall.PIN_FAST, GupCall.PIN])
def test_a_read_pin_of_a_shared_anonymous_page_unshares_it(kernel: Kernel, call: GupCall) -> None:
    """Otherwise a later write of the process would leave the pin with a page that nobody uses."""
    process = mapped(kernel)
    process.fork()
    process.run()
    before = UserTables(kernel, process).pfn(ADDR)
    result = get_user_pages(kernel, call, ADDR, 1)
    assert result.stop is (GupStop.UNSHARE if call is GupCall.PIN_FAST else GupStop.NONE)
    assert result.pfns[0] != before
    process.touch(ADDR, write=True)
    assert UserTables(kernel, process).pfn(ADDR) == result.pfns[0]


def test_a_read_reference_of_a_shared_page_does_not_unshare(kernel: Kernel) -> None:
    process = mapped(kernel)
    process.fork()
    process.run()
    before = UserTables(kernel, process).pfn(ADDR)
    result = get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 1)
    assert (result.pfns, result.fast) == ((before,), 1)


def test_slow_gup_makes_a_page_dirty_and_young_for_its_user(kernel: Kernel) -> None:
    mapped(kernel, touch=False)
    (pfn,) = get_user_pages(kernel, GupCall.GUP, ADDR, 1, flags=Foll.WRITE).pfns
    assert PageFlag(kernel.page(pfn).flags) & (PageFlag.REFERENCED | PageFlag.ANON) == (
        PageFlag.REFERENCED | PageFlag.ANON
    )


@pytest.mark.parametrize("call", [GupCall.GUP_FAST, GupCall.GUP])
def test_huge_pages_are_faulted_in_whole(kernel: Kernel, call: GupCall) -> None:
    mapped(kernel, 1024, huge=True, touch=False)
    result = get_user_pages(kernel, call, ADDR, 1024, flags=Foll.WRITE)
    assert len(result.pfns) == 1024
    assert kernel.stats["faults_huge"] == 2
    assert kernel.stats["faults"] == 2


@pytest.mark.parametrize("call", [GupCall.GUP, GupCall.GUP_FAST])
def test_classic_tables_have_only_the_slow_path(call: GupCall) -> None:
    with model(tables="classic") as kernel:
        mapped(kernel)
        result = get_user_pages(kernel, call, ADDR, 16, flags=Foll.WRITE)
        assert (len(result.pfns), result.fast) == (16, 0)
        assert result.stop is (GupStop.NO_FAST_GUP if call is GupCall.GUP_FAST else GupStop.NONE)
        put_pages(kernel, result.pfns)
        kernel.check()


# ---- errors ----


@pytest.mark.parametrize("call", FAST)
@pytest.mark.parametrize(
    ("addr", "pages", "error"),
    [
        (0xFFFF_F000, 2, EOVERFLOW),
        (0xBF00_0000 - PAGE, 2, EFAULT),
        (0xC000_0000, 1, EFAULT),
    ],
)
def test_ranges_outside_the_user_space(
    kernel: Kernel, call: GupCall, addr: int, pages: int, error: int
) -> None:
    mapped(kernel)
    result = get_user_pages(kernel, call, addr, pages)
    assert (result.pfns, result.error) == ((), error)


@pytest.mark.parametrize("call", [GupCall.GUP_FAST, GupCall.GUP, GupCall.PIN])
def test_an_address_without_an_area_is_efault(kernel: Kernel, call: GupCall) -> None:
    mapped(kernel)
    assert get_user_pages(kernel, call, 0x1000_0000, 1).error == EFAULT
    behind = get_user_pages(kernel, call, ADDR + 14 * PAGE, 4)
    assert (len(behind.pfns), behind.error) == (2, 0)


@pytest.mark.parametrize("call", [GupCall.GUP_FAST, GupCall.GUP])
def test_what_the_area_forbids_is_efault(kernel: Kernel, call: GupCall) -> None:
    process = mapped(kernel)
    process.mprotect(ADDR, 4 * PAGE, Prot.READ)
    process.mprotect(ADDR + 8 * PAGE, 4 * PAGE, Prot.NONE)
    assert get_user_pages(kernel, call, ADDR, 1, flags=Foll.WRITE).error == EFAULT
    assert get_user_pages(kernel, call, ADDR, 4).error == 0
    assert get_user_pages(kernel, call, ADDR + 8 * PAGE, 1).error == EFAULT


def test_force_reads_and_writes_what_a_debugger_may(kernel: Kernel) -> None:
    process = mapped(kernel)
    process.mprotect(ADDR, 4 * PAGE, Prot.READ)
    result = get_user_pages(kernel, GupCall.GUP, ADDR, 1, flags=Foll.WRITE | Foll.FORCE)
    assert (len(result.pfns), result.error) == (1, 0)
    process.mprotect(ADDR, 4 * PAGE, Prot.NONE)
    assert len(get_user_pages(kernel, GupCall.GUP, ADDR, 1, flags=Foll.FORCE).pfns) == 1


def test_nofault_does_not_fault(kernel: Kernel) -> None:
    mapped(kernel, touch=False)
    faults = kernel.stats["faults"]
    assert get_user_pages(kernel, GupCall.GUP, ADDR, 1, flags=Foll.NOFAULT).error == EFAULT
    assert kernel.stats["faults"] == faults


def test_longterm_belongs_to_pins(kernel: Kernel) -> None:
    mapped(kernel)
    for call in (GupCall.GUP, GupCall.GUP_FAST, GupCall.GUP_FAST_ONLY):
        assert get_user_pages(kernel, call, ADDR, 1, flags=Foll.LONGTERM).error == EINVAL
    assert get_user_pages(kernel, GupCall.PIN_FAST, ADDR, 1, flags=Foll.LONGTERM).error == 0


@pytest.mark.parametrize("flags", [1 << 1, 1 << 19, 1 << 20, 1 << 16, 1 << 30])
def test_flags_that_no_caller_may_give_are_einval(kernel: Kernel, flags: int) -> None:
    mapped(kernel)
    for call in GupCall:
        result = get_user_pages(kernel, call, ADDR, 1, flags=Foll(flags))
        assert (result.pfns, result.error) == ((), EINVAL)


def test_a_kernel_thread_has_no_pages(kernel: Kernel) -> None:
    with pytest.raises(NativeError, match="CPU 0 runs swapper/0, which has no address space"):
        get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 1)


@pytest.mark.parametrize(("pages", "per_call"), [(0, 1), (1 << 21, 1), (1, 0)])
def test_a_call_needs_a_number_of_pages(kernel: Kernel, pages: int, per_call: int) -> None:
    mapped(kernel)
    with pytest.raises(NativeError, match=r"pages, .* a call"):
        get_user_pages(kernel, GupCall.GUP_FAST, ADDR, pages, pages_per_call=per_call)


def test_what_was_not_taken_is_not_given_back(kernel: Kernel) -> None:
    process = mapped(kernel)
    pfn = UserTables(kernel, process).pfn(ADDR)
    with pytest.raises(NativeError, match="no reference but those of its mappings"):
        put_pages(kernel, [pfn])
    with pytest.raises(NativeError, match="is not pinned"):
        unpin_pages(kernel, [pfn])
    with pytest.raises(NativeError, match="no frame has pfn 0x5"):
        unpin_pages(kernel, [5])
    assert kernel.page(pfn).refcount == 1


# ---- gup_test ----


def test_gup_test_goes_on_until_a_call_gets_less_than_it_asked_for(kernel: Kernel) -> None:
    mapped(kernel)
    whole = gup_test(kernel, GupCall.GUP_FAST, ADDR, 16 * PAGE, 5, Foll.WRITE)
    assert (whole.pages, whole.size, whole.error) == (16, 16 * PAGE, 0)
    short = gup_test(kernel, GupCall.GUP_FAST, ADDR, 20 * PAGE, 5, Foll.WRITE)
    assert (short.pages, short.error) == (16, 0)
    none = gup_test(kernel, GupCall.GUP_FAST, 0x1000_0000, 20 * PAGE, 5)
    assert (none.pages, none.error) == (0, EFAULT)
    kernel.check()


# ---- long-term pins ----


def test_a_longterm_pin_moves_the_page_out_of_cma() -> None:
    with model(memory_bytes=256 * MIB) as kernel:
        process = mapped(kernel, 64, touch=False)
        process.touch(ADDR, 4 * PAGE, write=True)
        taken = kernel.alloc_bulk(1 << 20)
        assert process.touch(ADDR + 4 * PAGE, 4 * PAGE, write=True).count == 4
        tables = UserTables(kernel, process)
        pfns = [tables.pfn(ADDR + page * PAGE) for page in range(8)]
        assert [kernel.page(pfn).migrate_type is MigrateType.CMA for pfn in pfns] == [False] * 4 + [True] * 4
        process.write(ADDR + 4 * PAGE, b"moves along")
        for pfn in taken[:1000]:
            kernel.free_pages(pfn)
        result = get_user_pages(kernel, GupCall.PIN_FAST, ADDR, 8, flags=Foll.WRITE | Foll.LONGTERM)
        assert (len(result.pfns), result.fast, result.stop) == (8, 4, GupStop.PIN_LONGTERM)
        assert result.pfns[:4] == tuple(pfns[:4])
        assert all(kernel.page(pfn).migrate_type is not MigrateType.CMA for pfn in result.pfns)
        assert all(kernel.page(pfn).refcount == 0 for pfn in pfns[4:])
        assert process.read(ADDR + 4 * PAGE, 11) == b"moves along"
        unpin_pages(kernel, result.pfns)
        kernel.check()


def test_a_longterm_pin_fails_where_the_page_cannot_leave_cma() -> None:
    with model(memory_bytes=256 * MIB) as kernel:
        process = mapped(kernel, 64, touch=False)
        process.touch(ADDR, write=True)
        kernel.alloc_bulk(1 << 20)
        process.touch(ADDR + PAGE, write=True)
        result = get_user_pages(kernel, GupCall.PIN_LONGTERM, ADDR + PAGE, 1, flags=Foll.WRITE)
        assert (result.pfns, result.error) == ((), -12)
        assert kernel.page(UserTables(kernel, process).pfn(ADDR + PAGE)).refcount == 1


def test_shared_memory_is_the_same_page_for_all(kernel: Kernel) -> None:
    process = spawn(kernel, "shared")
    process.mmap(2 * PMD_SIZE, ADDR, flags=Map.SHARED | Map.FIXED)
    process.touch(ADDR, 2 * PMD_SIZE, write=True)
    child = process.fork()
    got = []
    for task in (process, child):
        task.touch(ADDR, 2 * PMD_SIZE)
        task.run()
        got.append(get_user_pages(kernel, GupCall.PIN_FAST, ADDR, 1024, flags=Foll.LONGTERM).pfns)
    assert got[0] == got[1]
    assert kernel.page(got[0][0]).refcount >= 2 * BIAS
    assert not read_reports(kernel)


def test_highmem_and_lowmem_tables_are_walked_alike() -> None:
    pages = []
    for highpte in (True, False):
        with model(highpte=highpte) as kernel:
            tables = UserTables(kernel, mapped(kernel))
            pte = tables.pte(ADDR)
            assert pte is not None
            assert (pte >= kernel.layout.lowmem_limit) == highpte
            result = get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 16)
            assert result.windows == (1 if highpte else 0)
            pages.append([pfn - tables.pfn(ADDR) for pfn in result.pfns])
    assert pages[0] == pages[1]
