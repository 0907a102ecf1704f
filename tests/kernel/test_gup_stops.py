"""Each reason for which the fast walk stops, and the order in which it looks for them (mm/gup.c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pyemu.config import GIB, MIB
from pyemu.kernel import Gfp, Kernel, KernelConfig, MigrateType
from pyemu.kernel.context import occupied, read_context
from pyemu.kernel.gup import Foll, GupCall, GupRace, GupResult, GupStop, arm_race, get_user_pages
from pyemu.kernel.process import Map, Process, Prot, spawn
from pyemu.kernel.reports import Lock, ReportKind, read_reports
from tests.kernel.user_tables import (
    ADDRESS,
    PAGE,
    PMD_SIZE,
    PRESENT,
    RDONLY,
    SPECIAL,
    TABLE,
    USER,
    VALID,
    UserTables,
)

ADDR = 0x2000_0000
KERNEL_TEXT_PFN = 0x4040_0000 >> 12


def model(**options: Any) -> Kernel:
    return Kernel(KernelConfig(**{"memory_bytes": GIB, "functional": True, **options}))


def mapped(kernel: Kernel, size: int = 2 * PMD_SIZE, *, huge: bool = False) -> UserTables:
    process = spawn(kernel, "gup")
    flags = Map.PRIVATE | Map.FIXED | (Map.HUGEPAGE if huge else Map.NOHUGEPAGE)
    process.mmap(size, ADDR, flags=flags)
    process.touch(ADDR, size, write=True)
    process.run()
    return UserTables(kernel, process)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with model() as kernel:
        yield kernel


def fast(
    kernel: Kernel,
    addr: int = ADDR,
    pages: int = 4,
    call: GupCall = GupCall.GUP_FAST_ONLY,
    flags: Foll = Foll.WRITE,
) -> GupResult:
    """The fast walk alone; it leaves the context as it was."""
    before = read_context(kernel)
    result = get_user_pages(kernel, call, addr, pages, flags=flags)
    assert read_context(kernel) == before
    return result


def stopped(result: GupResult, why: GupStop, addr: int, got: int) -> None:
    assert (result.stop, result.stop_address, len(result.pfns)) == (why, addr, got)


def references(kernel: Kernel, tables: UserTables, pages: int = 4) -> list[int]:
    return [kernel.page(tables.pfn(ADDR + page * PAGE)).refcount for page in range(pages)]


# ---- one by one ----


def test_classic_tables_have_no_fast_walk() -> None:
    with model(tables="classic") as kernel:
        process = spawn(kernel)
        process.mmap(PAGE, ADDR, flags=Map.PRIVATE | Map.FIXED)
        process.touch(ADDR, write=True)
        stopped(fast(kernel, pages=1), GupStop.NO_FAST_GUP, ADDR, 0)


def test_a_pin_during_a_fork_gives_everything_back(kernel: Kernel) -> None:
    tables = mapped(kernel)
    before = references(kernel, tables)
    arm_race(kernel, GupRace.FORK, ADDR + 2 * PAGE)
    stopped(fast(kernel, call=GupCall.PIN_FAST_ONLY), GupStop.SEQCOUNT, ADDR, 0)
    assert references(kernel, tables) == before
    assert len(fast(kernel, call=GupCall.PIN_FAST_ONLY).pfns) == 4


def test_a_reference_during_a_fork_stays(kernel: Kernel) -> None:
    mapped(kernel)
    arm_race(kernel, GupRace.FORK, ADDR + 2 * PAGE)
    stopped(fast(kernel), GupStop.NONE, 0, 4)


def test_no_entry_in_the_first_level(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.process.mmap(PAGE, 0x4000_0000, flags=Map.PRIVATE | Map.FIXED)
    stopped(fast(kernel, 0x4000_0000, 1), GupStop.PGD_NONE, 0x4000_0000, 0)


def test_no_table(kernel: Kernel) -> None:
    mapped(kernel)
    stopped(fast(kernel, ADDR + 2 * PMD_SIZE - 2 * PAGE), GupStop.PMD_ABSENT, ADDR + 2 * PMD_SIZE, 2)


@pytest.mark.parametrize("huge", [True, False])
def test_an_invalidated_pmd(kernel: Kernel, huge: bool) -> None:
    tables = mapped(kernel, huge=huge)
    tables.write_pmd(ADDR, tables.read_pmd(ADDR) & ~VALID)
    stopped(fast(kernel), GupStop.PMD_ABSENT, ADDR, 0)


def test_a_block_that_may_not_be_written(kernel: Kernel) -> None:
    tables = mapped(kernel, huge=True)
    tables.process.mprotect(ADDR, PMD_SIZE, Prot.READ)
    stopped(fast(kernel), GupStop.PMD_ACCESS, ADDR, 0)
    stopped(fast(kernel, flags=Foll.NONE), GupStop.NONE, 0, 4)


def test_a_block_that_is_not_the_users_is_got_all_the_same(kernel: Kernel) -> None:
    """The generic pmd_access_permitted looks at the right to write alone."""
    tables = mapped(kernel, huge=True)
    tables.write_pmd(ADDR, tables.read_pmd(ADDR) & ~USER)
    stopped(fast(kernel), GupStop.NONE, 0, 4)


def test_a_table_outside_ram(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.write_pmd(ADDR, tables.read_pmd(ADDR) & ~ADDRESS | 0x10_0000_0000)
    stopped(fast(kernel), GupStop.PTE_TABLE, ADDR, 0)
    assert [report.kind for report in read_reports(kernel)] == [ReportKind.BAD_PMD]


@pytest.mark.parametrize("lock", [Lock.KMAP, Lock.PAGE_ADDRESS])
def test_a_lock_that_is_not_free_with_the_remedy_trylock(lock: Lock) -> None:
    with model(preemption="rt", highpte=True, remedy="trylock") as kernel:
        mapped(kernel)
        with occupied(kernel, lock):
            stopped(fast(kernel), GupStop.PTE_TABLE, ADDR, 0)
            assert not read_reports(kernel)
            whole = get_user_pages(kernel, GupCall.GUP_FAST, ADDR, 4, flags=Foll.WRITE)
        assert (len(whole.pfns), whole.fast) == (4, 0)


@pytest.mark.parametrize("taken", [VALID, TABLE, USER])
def test_an_entry_that_is_not_the_users(kernel: Kernel, taken: int) -> None:
    tables = mapped(kernel)
    tables.write_pte(ADDR + PAGE, tables.read_pte(ADDR + PAGE) & ~taken)
    stopped(fast(kernel, flags=Foll.NONE), GupStop.PTE_ACCESS, ADDR + PAGE, 1)


def test_an_entry_of_an_area_without_access(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.process.mprotect(ADDR + 2 * PAGE, PAGE, Prot.NONE)
    stopped(fast(kernel, flags=Foll.NONE), GupStop.PTE_ACCESS, ADDR + 2 * PAGE, 2)


def test_an_entry_that_may_not_be_written(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.process.mprotect(ADDR + 3 * PAGE, PAGE, Prot.READ)
    stopped(fast(kernel), GupStop.PTE_ACCESS, ADDR + 3 * PAGE, 3)
    stopped(fast(kernel, flags=Foll.NONE), GupStop.NONE, 0, 4)


def test_young_and_dirty_do_not_matter(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.write_pte(ADDR, tables.read_pte(ADDR) & ~((1 << 10) | (1 << 55)))
    stopped(fast(kernel), GupStop.NONE, 0, 4)


def test_a_special_entry(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.write_pte(ADDR + PAGE, tables.read_pte(ADDR + PAGE) | SPECIAL)
    stopped(fast(kernel), GupStop.PTE_SPECIAL, ADDR + PAGE, 1)


@pytest.mark.parametrize("pa", [0x1000, 0x3FFF_F000, 0x8000_0000, ADDRESS])
def test_a_page_outside_ram(kernel: Kernel, pa: int) -> None:
    tables = mapped(kernel)
    tables.write_pte(ADDR + PAGE, tables.read_pte(ADDR + PAGE) & ~ADDRESS | pa)
    stopped(fast(kernel), GupStop.FOLIO, ADDR + PAGE, 1)


@pytest.mark.parametrize("huge", [True, False])
@pytest.mark.parametrize("call", [GupCall.GUP_FAST_ONLY, GupCall.PIN_FAST_ONLY])
def test_a_frozen_folio(kernel: Kernel, huge: bool, call: GupCall) -> None:
    tables = mapped(kernel, huge=huge)
    arm_race(kernel, GupRace.FREEZE, ADDR)
    stopped(fast(kernel, call=call), GupStop.FOLIO, ADDR, 0)
    if not huge:
        assert references(kernel, tables) == [1] * 4


def test_a_free_page(kernel: Kernel) -> None:
    tables = mapped(kernel)
    free = kernel.alloc_pages(0, Gfp.HIGHMEM)
    kernel.free_pages(free)
    tables.write_pte(ADDR, tables.read_pte(ADDR) & ~ADDRESS | free << 12)
    stopped(fast(kernel), GupStop.FOLIO, ADDR, 0)
    assert kernel.page(free).refcount == 0


@pytest.mark.parametrize("race", [GupRace.PTE, GupRace.PMD])
@pytest.mark.parametrize("call", [GupCall.GUP_FAST_ONLY, GupCall.PIN_FAST_ONLY])
def test_an_entry_that_changes_meanwhile(kernel: Kernel, race: GupRace, call: GupCall) -> None:
    tables = mapped(kernel)
    entries = tables.read_pmd(ADDR), tables.read_pte(ADDR + 2 * PAGE)
    arm_race(kernel, race, ADDR + 2 * PAGE)
    result = fast(kernel, call=call)
    stopped(result, GupStop.CHANGED, ADDR + 2 * PAGE, 2)
    count = 1024 if call.pins else 1
    assert references(kernel, tables) == [1 + count, 1 + count, 1, 1]
    assert (tables.read_pmd(ADDR), tables.read_pte(ADDR + 2 * PAGE)) == entries


def test_a_block_that_changes_meanwhile(kernel: Kernel) -> None:
    tables = mapped(kernel, huge=True)
    head = (tables.read_pmd(ADDR) & ADDRESS) >> 12
    arm_race(kernel, GupRace.PMD, ADDR)
    stopped(fast(kernel, call=GupCall.PIN_FAST_ONLY), GupStop.CHANGED, ADDR, 0)
    assert (kernel.page(head).refcount, kernel.page(head).pincount) == (1, 0)


def test_a_page_whose_dirtying_somebody_has_to_know(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.write_pte(ADDR + PAGE, tables.read_pte(ADDR + PAGE) & ~ADDRESS | KERNEL_TEXT_PFN << 12)
    call, flags = GupCall.PIN_FAST_ONLY, Foll.WRITE | Foll.LONGTERM
    before = kernel.page(KERNEL_TEXT_PFN).refcount
    stopped(fast(kernel, call=call, flags=flags), GupStop.NOT_ALLOWED, ADDR + PAGE, 1)
    assert kernel.page(KERNEL_TEXT_PFN).refcount == before


@pytest.mark.parametrize("huge", [True, False])
def test_a_read_pin_of_what_is_shared_since_a_fork(kernel: Kernel, huge: bool) -> None:
    tables = mapped(kernel, huge=huge)
    tables.process.fork()
    tables.process.run()
    stopped(fast(kernel, call=GupCall.PIN_FAST_ONLY, flags=Foll.NONE), GupStop.UNSHARE, ADDR, 0)
    stopped(fast(kernel, flags=Foll.NONE), GupStop.NONE, 0, 4)


def test_a_longterm_pin_of_a_page_in_cma() -> None:
    with model(memory_bytes=256 * MIB) as kernel:
        process = spawn(kernel)
        process.mmap(PMD_SIZE, ADDR, flags=Map.PRIVATE | Map.FIXED)
        process.touch(ADDR, write=True)
        kernel.alloc_bulk(1 << 20)
        process.touch(ADDR + PAGE, write=True)
        pfn = UserTables(kernel, process).pfn(ADDR + PAGE)
        assert kernel.page(pfn).migrate_type is MigrateType.CMA
        result = fast(kernel, pages=2, call=GupCall.PIN_FAST_ONLY, flags=Foll.WRITE | Foll.LONGTERM)
        stopped(result, GupStop.PIN_LONGTERM, ADDR + PAGE, 1)
        assert kernel.page(pfn).refcount == 1
        stopped(fast(kernel, pages=2, call=GupCall.PIN_FAST_ONLY), GupStop.NONE, 0, 2)


# ---- in order ----

# The defects of an entry in the order in which they are found; each test has one and all that come later.
DEFECTS = (
    GupStop.PTE_ACCESS,
    GupStop.PTE_SPECIAL,
    GupStop.FOLIO,
    GupStop.CHANGED,
    GupStop.NOT_ALLOWED,
)


@pytest.mark.parametrize("first", range(len(DEFECTS)), ids=[stop.name for stop in DEFECTS])
def test_the_checks_of_an_entry_come_in_the_kernels_order(kernel: Kernel, first: int) -> None:
    tables = mapped(kernel)
    entry = tables.read_pte(ADDR) & ~ADDRESS | KERNEL_TEXT_PFN << 12
    here = DEFECTS[first:]
    if GupStop.PTE_ACCESS in here:
        entry &= ~USER
    if GupStop.PTE_SPECIAL in here:
        entry |= SPECIAL
    if GupStop.FOLIO in here:
        entry = entry & ~ADDRESS | 0x1000
    tables.write_pte(ADDR, entry)
    if GupStop.CHANGED in here:
        arm_race(kernel, GupRace.PTE, ADDR)
    result = fast(kernel, call=GupCall.PIN_FAST_ONLY, flags=Foll.WRITE | Foll.LONGTERM)
    stopped(result, DEFECTS[first], ADDR, 0)


def test_a_change_comes_before_unsharing(kernel: Kernel) -> None:
    """Of a writer and of a reader, so that no entry has both; a change comes before either."""
    tables = mapped(kernel)
    tables.process.fork()
    tables.process.run()
    arm_race(kernel, GupRace.PTE, ADDR)
    call, flags = GupCall.PIN_FAST_ONLY, Foll.LONGTERM
    stopped(fast(kernel, call=call, flags=flags), GupStop.CHANGED, ADDR, 0)
    stopped(fast(kernel, call=call, flags=flags), GupStop.UNSHARE, ADDR, 0)


def test_levels_come_from_the_top(kernel: Kernel) -> None:
    tables = mapped(kernel)
    tables.write_pte(ADDR, 0)
    stopped(fast(kernel), GupStop.PTE_ACCESS, ADDR, 0)
    pmd = tables.read_pmd(ADDR)
    tables.write_pmd(ADDR, 0)
    stopped(fast(kernel), GupStop.PMD_ABSENT, ADDR, 0)
    assert pmd & PRESENT == PRESENT
    kernel.memory.write(tables.pgd(ADDR), bytes(8))
    stopped(fast(kernel), GupStop.PGD_NONE, ADDR, 0)


def test_the_first_stop_of_many_calls_is_named(kernel: Kernel) -> None:
    tables = mapped(kernel)
    for page in (3, 9):
        tables.write_pte(ADDR + page * PAGE, tables.read_pte(ADDR + page * PAGE) & ~USER)
    result = get_user_pages(kernel, GupCall.GUP_FAST_ONLY, ADDR, 16, pages_per_call=2)
    stopped(result, GupStop.PTE_ACCESS, ADDR + 3 * PAGE, 3)


def forge(kernel: Kernel, process: Process, value: int) -> GupResult:
    tables = UserTables(kernel, process)
    tables.write_pmd(ADDR, value)
    return fast(kernel)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (VALID | 0x7FFF_0000_0000 | RDONLY, GupStop.PMD_ACCESS),
        (VALID | (ADDRESS & ~(PMD_SIZE - 1)), GupStop.FOLIO),
        (VALID | 0x7FE0_0000 + (1 << 30), GupStop.FOLIO),
        (PRESENT | ADDRESS, GupStop.PTE_TABLE),
        (TABLE, GupStop.PMD_ABSENT),
        ((1 << 64) - 1, GupStop.PTE_TABLE),
    ],
)
def test_forged_pmds_end_the_walk(kernel: Kernel, value: int, why: GupStop) -> None:
    tables = mapped(kernel)
    stopped(forge(kernel, tables.process, value), why, ADDR, 0)
