"""Sleeping locks below gup_fast: what PREEMPT_RT with HIGHPTE reports, and what each remedy costs."""

from __future__ import annotations

from typing import Any

import pytest

from pyemu.config import GIB, UserError
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.context import Disabled, disabled, occupied
from pyemu.kernel.gup import Foll, GupCall, GupResult, GupStop, get_user_pages, gup_test
from pyemu.kernel.process import Map, spawn
from pyemu.kernel.reports import Lock, ReportKind, read_reports
from tests.kernel.user_tables import PAGE, PMD_SIZE

ADDR = 0x2000_0000
CHAIN = (
    "get_user_pages_fast",
    "gup_fast_fallback",
    "gup_fast",
    "gup_fast_pgd_range",
    "gup_fast_pte_range",
    "__pte_offset_map",
    "__kmap_local_page_prot",
    "kmap_high_get",
)
REMEDIES = ("no-highpte", "no-fast-gup", "trylock", "skip-high-get")


def model(**options: Any) -> Kernel:
    return Kernel(
        KernelConfig(
            **{"memory_bytes": GIB, "preemption": "rt", "highpte": True, "high_get": "on", **options}
        )
    )


def populate(kernel: Kernel, size: int = 4 * PMD_SIZE) -> None:
    process = spawn(kernel, "gup_test")
    process.mmap(size, ADDR, flags=Map.PRIVATE | Map.FIXED | Map.NOHUGEPAGE)
    process.touch(ADDR, size, write=True)
    process.run()


def fast(kernel: Kernel, pages: int = 16, call: GupCall = GupCall.GUP_FAST) -> GupResult:
    return get_user_pages(kernel, call, ADDR, pages, pages_per_call=4, flags=Foll.WRITE)


def test_the_combination_is_refused_without_force() -> None:
    with pytest.raises(UserError, match=r"HIGHPTE depends on HIGHMEM && !PREEMPT_RT"):
        model()


def test_the_forced_combination_reports_both_locks_with_the_chain_and_completes() -> None:
    with model(force=True) as kernel:
        populate(kernel)
        assert not read_reports(kernel)  # faults may sleep
        result = fast(kernel)
        assert (len(result.pfns), result.fast, result.stop) == (16, 16, GupStop.NONE)
        kmap, bucket = read_reports(kernel)
        assert (kmap.kind, kmap.lock) == (ReportKind.SLEEPING_FUNCTION, Lock.KMAP)
        assert kmap.chain == (*CHAIN, "rt_spin_lock")
        assert (bucket.kind, bucket.lock) == (ReportKind.SLEEPING_FUNCTION, Lock.PAGE_ADDRESS)
        assert bucket.chain == (*CHAIN, "page_address", "rt_spin_lock")
        assert bucket.held == (Lock.KMAP,)
        for report in (kmap, bucket):
            assert (report.count, report.blocked, report.irqs_disabled) == (4, False, True)
            assert (report.preempt_count, report.in_hardirq, report.name) == (0, False, "gup_test")
        assert result.reports == 8


@pytest.mark.parametrize("lock", [Lock.KMAP, Lock.PAGE_ADDRESS])
def test_a_lock_that_is_really_held_blocks(lock: Lock) -> None:
    with model(force=True) as kernel:
        populate(kernel)
        with occupied(kernel, lock):
            fast(kernel)
        blocked = {(report.kind, report.lock): report.blocked for report in read_reports(kernel)}
        assert blocked[ReportKind.SCHEDULING_ATOMIC, lock]
        assert blocked[ReportKind.SLEEPING_FUNCTION, lock]
        other = Lock.PAGE_ADDRESS if lock is Lock.KMAP else Lock.KMAP
        assert not blocked[ReportKind.SLEEPING_FUNCTION, other]
        assert (ReportKind.SCHEDULING_ATOMIC, other) not in blocked


@pytest.mark.parametrize("call", [GupCall.PIN_FAST, GupCall.GUP_FAST_ONLY, GupCall.PIN_FAST_ONLY])
def test_every_fast_call_takes_the_same_way(call: GupCall) -> None:
    with model(force=True) as kernel:
        populate(kernel)
        fast(kernel, call=call)
        first = "pin_user_pages_fast" if call.pins else "get_user_pages_fast"
        assert [report.chain for report in read_reports(kernel)] == [
            (first, *CHAIN[1:], "rt_spin_lock"),
            (first, *CHAIN[1:], "page_address", "rt_spin_lock"),
        ]


def test_slow_gup_may_sleep() -> None:
    with model(force=True) as kernel:
        populate(kernel)
        assert fast(kernel, call=GupCall.GUP).reports == 0
        assert not read_reports(kernel)


@pytest.mark.parametrize("high_get", ["erratum", "debug"])
def test_without_kmap_high_get_nothing_is_reported(high_get: str) -> None:
    with model(force=True, high_get=high_get) as kernel:
        populate(kernel)
        assert (fast(kernel).windows, fast(kernel).reports) == (4, 0)
        assert not read_reports(kernel)


@pytest.mark.parametrize("preemption", ["none", "voluntary", "full"])
def test_a_kernel_that_is_not_rt_spins_and_reports_nothing(preemption: str) -> None:
    with model(preemption=preemption) as kernel:
        populate(kernel)
        assert fast(kernel).reports == 0
        assert kernel.stats["kmap_high_get"] > 0
        assert kernel.stats["kmap_high_get_hits"] == 0


def test_huge_pages_and_lowmem_tables_need_no_lock() -> None:
    with model(force=True) as kernel:
        process = spawn(kernel)
        process.mmap(4 * PMD_SIZE, ADDR, flags=Map.PRIVATE | Map.FIXED | Map.HUGEPAGE)
        process.touch(ADDR, 4 * PMD_SIZE, write=True)
        assert fast(kernel).reports == 0
    with model(force=True, memory_bytes=GIB // 2) as kernel:
        populate(kernel)
        assert fast(kernel).reports == 0


# ---- remedies ----


def per_page(**options: Any) -> float:
    with model(**options) as kernel:
        populate(kernel)
        times = gup_test(kernel, GupCall.GUP_FAST, ADDR, 4 * PMD_SIZE, 1, Foll.WRITE)
        assert (times.pages, times.reports) == (2048, 0 if "remedy" in options else 2 * 2048)
        kernel.check()
        return times.get_instructions / times.pages


@pytest.mark.parametrize("remedy", REMEDIES)
def test_no_remedy_leaves_a_report(remedy: str) -> None:
    with model(remedy=remedy) as kernel:
        populate(kernel)
        result = fast(kernel)
        assert (len(result.pfns), result.reports) == (16, 0)
        assert not read_reports(kernel)
        assert result.fast == (0 if remedy == "no-fast-gup" else 16)
        assert result.windows == (0 if remedy in ("no-highpte", "no-fast-gup") else 4)


def test_each_remedy_has_its_cost() -> None:
    costs = {remedy: per_page(remedy=remedy) for remedy in REMEDIES}
    broken = per_page(force=True)
    # Without tables in highmem there is no window; skipping kmap_high_get spares the locks, not the window.
    assert costs["no-highpte"] < costs["skip-high-get"] < costs["trylock"] <= broken < costs["no-fast-gup"]
    assert costs["skip-high-get"] - costs["no-highpte"] > 212


def test_trylock_goes_the_slow_way_where_the_lock_is_taken() -> None:
    with model(remedy="trylock") as kernel:
        populate(kernel)
        with occupied(kernel, Lock.KMAP):
            result = fast(kernel)
        assert (len(result.pfns), result.fast, result.reports) == (16, 0, 0)
        assert (result.stop, result.stop_address) == (GupStop.PTE_TABLE, ADDR)


def test_trylock_does_not_help_in_a_hard_interrupt() -> None:
    """perf's overflow handler calls get_user_page_fast_only, and an rtmutex is not even tried there."""
    with model(remedy="trylock") as kernel:
        populate(kernel)
        with disabled(kernel, Disabled.HARDIRQ):
            result = fast(kernel, 1, GupCall.GUP_FAST_ONLY)
        assert len(result.pfns) == 1
        kinds = {(report.kind, report.lock) for report in read_reports(kernel)}
        assert kinds == {
            (ReportKind.TRYLOCK_IN_HARDIRQ, Lock.KMAP),
            (ReportKind.TRYLOCK_IN_HARDIRQ, Lock.PAGE_ADDRESS),
        }


@pytest.mark.parametrize("remedy", ["skip-high-get", "no-highpte"])
def test_the_other_remedies_help_there_too(remedy: str) -> None:
    with model(remedy=remedy) as kernel:
        populate(kernel)
        with disabled(kernel, Disabled.HARDIRQ):
            assert len(fast(kernel, 1, GupCall.GUP_FAST_ONLY).pfns) == 1
        assert not read_reports(kernel)


def test_a_table_that_pkmap_maps_is_used_there_and_its_count_falls_again() -> None:
    """A page table is hardly ever in PKMAP; where one is, kmap_high_get spares the window."""
    from pyemu.kernel.kmap import kmap, pkmap
    from pyemu.kernel.process import Process
    from tests.kernel.user_tables import UserTables

    with model(preemption="voluntary") as kernel:
        populate(kernel)
        pte = UserTables(kernel, Process(kernel, 1)).pte(ADDR)
        assert pte is not None
        kmap(kernel, pte // PAGE)
        before = kernel.stats["kmap_local"]
        assert len(fast(kernel).pfns) == 16
        assert kernel.stats["kmap_local"] == before
        assert kernel.stats["kmap_high_get_hits"] == 4
        assert max(slot.count for slot in pkmap(kernel)) == 2
