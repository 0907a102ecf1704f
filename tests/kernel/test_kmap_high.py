"""PKMAP: kmap and kunmap with their counts, wrap-around and waiting; kmap_high_get and its locks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import GIB, MIB
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.kernel.context import Disabled, disabled, occupied
from pyemu.kernel.kmap import (
    kmap,
    kmap_local,
    kmap_waiting,
    kunmap,
    kunmap_local,
    page_address,
    pkmap,
    windows,
)
from pyemu.kernel.reports import Lock, ReportKind, read_reports
from pyemu.mmu import Access, translate
from pyemu.native import NativeError

PAGE = 4096
SLOTS = 512


def model(**options: Any) -> Kernel:
    return Kernel(KernelConfig(**{"memory_bytes": GIB, "functional": True, **options}))


def highmem_pages(kernel: Kernel, count: int) -> list[int]:
    return kernel.alloc_bulk(count, 0, Gfp.HIGHMEM)


def counts(kernel: Kernel) -> list[int]:
    return [slot.count for slot in pkmap(kernel)]


# ---- kmap and kunmap ----


@pytest.mark.parametrize("tables", ["lpae", "classic"])
def test_kmap_shows_the_page_to_hardware(tables: str) -> None:
    with model(tables=tables, highpte=None) as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        va = kmap(kernel, pfn)
        assert va is not None
        assert kernel.layout.pkmap_base <= va < kernel.layout.pkmap_base + SLOTS * PAGE
        seen = translate(kernel.memory, kernel.regime(), va, Access.WRITE, privileged=True)
        assert seen.ok
        assert seen.pa == pfn * PAGE
        assert page_address(kernel, pfn) == va


def test_kmap_of_lowmem_is_linear() -> None:
    with model() as kernel:
        pfn = kernel.alloc_pages()
        linear = pfn * PAGE - kernel.layout.phys_offset + kernel.layout.page_offset
        assert kmap(kernel, pfn) == page_address(kernel, pfn) == linear
        assert kunmap(kernel, pfn) == []
        assert not any(counts(kernel))


def test_the_count_is_one_more_than_the_users_and_stays_one_without_any() -> None:
    with model() as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        va = kmap(kernel, pfn)
        slot = next(index for index, slot in enumerate(pkmap(kernel)) if slot.va == va)
        seen = [counts(kernel)[slot]]
        kmap(kernel, pfn)
        seen.append(counts(kernel)[slot])
        for _ in range(2):
            kunmap(kernel, pfn)
            seen.append(counts(kernel)[slot])
        assert seen == [2, 3, 2, 1]
        # Not flushed yet: the page still has its address, and its next user gets the same.
        assert page_address(kernel, pfn) == va
        assert kmap(kernel, pfn) == va
        assert kernel.stats["kmap_high_new"] == 1


def test_slots_are_taken_round_robin_and_flushed_all_at_once_at_the_wrap() -> None:
    with model() as kernel:
        pfns = highmem_pages(kernel, 600)
        vas = []
        for pfn in pfns[:511]:
            vas.append(kmap(kernel, pfn))
            kunmap(kernel, pfn)
        base = kernel.layout.pkmap_base
        assert vas == [base + slot * PAGE for slot in range(1, 512)]
        assert kernel.stats["kmap_high_flushes"] == 0
        before = kernel.stats
        assert kmap(kernel, pfns[511]) == base
        after = kernel.stats
        assert after["kmap_high_flushes"] == 1
        assert after["tlbi_broadcast"] - before["tlbi_broadcast"] == SLOTS
        assert counts(kernel) == [2] + [0] * 511
        assert page_address(kernel, pfns[0]) is None


def test_a_wrap_keeps_mappings_that_are_in_use() -> None:
    with model() as kernel:
        kept, *others = highmem_pages(kernel, 700)
        va = kmap(kernel, kept)
        for pfn in others:
            kmap(kernel, pfn)
            kunmap(kernel, pfn)
        assert kernel.stats["kmap_high_flushes"] >= 1
        assert page_address(kernel, kept) == va


def test_an_exhausted_pkmap_makes_the_task_wait_and_kunmap_wakes_it() -> None:
    with model() as kernel:
        *pfns, late = highmem_pages(kernel, SLOTS + 1)
        assert all(kmap(kernel, pfn) for pfn in pfns)
        assert kmap(kernel, late) is None
        (waiter,) = kmap_waiting(kernel)
        assert waiter == 0  # the idle task of CPU 0 is who runs
        assert kernel.stats["kmap_high_waits"] == 1
        with pytest.raises(NativeError, match="waits for a slot of PKMAP already"):
            kmap(kernel, late)
        kmap_local(kernel, late)  # does not wait for anything
        assert kunmap(kernel, pfns[100]) == [waiter]
        assert kmap_waiting(kernel) == []
        assert kmap(kernel, late) == kernel.layout.pkmap_base + 101 * PAGE
        assert sorted(counts(kernel)) == [2] * SLOTS


def test_kunmap_wakes_nobody_while_another_user_is_left() -> None:
    with model() as kernel:
        *pfns, late = highmem_pages(kernel, SLOTS + 1)
        for pfn in [*pfns, pfns[0]]:
            kmap(kernel, pfn)
        assert kmap(kernel, late) is None
        assert kunmap(kernel, pfns[0]) == []
        assert kunmap(kernel, pfns[0]) == [0]


def test_kunmap_of_what_is_not_mapped_is_reported() -> None:
    with model() as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        kunmap(kernel, pfn)
        kmap(kernel, pfn)
        kunmap(kernel, pfn)
        kunmap(kernel, pfn)
        (report,) = read_reports(kernel)
        assert (report.kind, report.count) == (ReportKind.UNBALANCED, 2)


@pytest.mark.parametrize("section", [Disabled.PREEMPTION, Disabled.IRQS])
def test_kmap_may_sleep(section: Disabled) -> None:
    with model() as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        with disabled(kernel, section):
            kmap(kernel, pfn)
        (report,) = read_reports(kernel)
        assert report.kind is ReportKind.SLEEPING_FUNCTION
        assert report.lock is None


def test_without_highmem_there_is_no_pkmap() -> None:
    with model(highmem=False, memory_bytes=512 * MIB) as kernel:
        assert pkmap(kernel) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 39), st.booleans()), max_size=400), st.integers(0, 511))
def test_pkmap_agrees_with_a_plain_model(steps: list[tuple[int, bool]], start: int) -> None:
    with model() as kernel:
        pfns = highmem_pages(kernel, 40 + start)
        for pfn in pfns[40:]:
            kmap(kernel, pfn)
            kunmap(kernel, pfn)
        users = dict.fromkeys(range(40), 0)
        where: dict[int, int] = {}
        for page, up in steps:
            if up:
                va = kmap(kernel, pfns[page])
                assert va is not None
                if users[page]:
                    assert va == where[page]
                where[page] = va
                users[page] += 1
            elif users[page]:
                kunmap(kernel, pfns[page])
                users[page] -= 1
        slots = {slot.va: slot for slot in pkmap(kernel)}
        for page, count in users.items():
            if count:
                slot = slots[where[page]]
                assert (slot.count, slot.pfn) == (count + 1, pfns[page])
        assert all(bool(slot.pte) == bool(slot.count) for slot in slots.values())
        assert not read_reports(kernel)


# ---- kmap_high_get ----


def test_kmap_local_finds_a_page_that_pkmap_maps() -> None:
    with model(high_get="on") as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        va = kmap(kernel, pfn)
        assert kmap_local(kernel, pfn) == va
        assert not any(slot.pte for slot in windows(kernel))
        assert max(counts(kernel)) == 3
        assert kernel.stats["kmap_high_get_hits"] == 1
        assert va is not None
        kunmap_local(kernel, va)
        assert max(counts(kernel)) == 2


def test_kmap_high_get_revives_a_mapping_without_users() -> None:
    with model(high_get="on") as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        va = kmap(kernel, pfn)
        kunmap(kernel, pfn)
        assert kmap_local(kernel, pfn) == va
        assert max(counts(kernel)) == 2


def test_a_window_unmapped_by_its_pkmap_address_wakes_waiters() -> None:
    with model(high_get="on") as kernel:
        *pfns, late = highmem_pages(kernel, SLOTS + 1)
        for pfn in pfns:
            kmap(kernel, pfn)
        va = kmap_local(kernel, pfns[0])
        assert va is not None
        kunmap(kernel, pfns[0])
        assert kmap(kernel, late) is None
        kunmap_local(kernel, va)
        assert kmap_waiting(kernel) == []
        assert kmap(kernel, late) is not None


@pytest.mark.parametrize(
    ("options", "locks"),
    [
        ({"high_get": "on"}, 2),
        ({"high_get": "erratum"}, 0),
        ({"high_get": "debug", "nr_cpus": 4}, 0),
        ({"high_get": "on", "remedy": "skip-high-get"}, 0),
    ],
)
def test_the_two_locks_are_taken_only_where_kmap_high_get_looks(options: dict[str, Any], locks: int) -> None:
    with model(**options) as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        before = kernel.stats
        va = kmap_local(kernel, pfn)
        after = kernel.stats
        assert after["lock_acquisitions"] - before["lock_acquisitions"] == locks
        assert after["kmap_high_get"] - before["kmap_high_get"] == (1 if locks else 0)
        assert va is not None
        kunmap_local(kernel, va)


@pytest.mark.parametrize("high_get", ["on", "erratum", "debug"])
def test_kmap_turns_interrupts_off_around_its_lock_only_where_kmap_high_get_needs_it(high_get: str) -> None:
    """An instruction count apart: lock_kmap is spin_lock_irq or spin_lock."""
    from pyemu.kernel.bill import read_spent

    with model(high_get=high_get, functional=False, nr_cpus=4) as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        kmap(kernel, pfn)
        before = read_spent(kernel)
        for _ in range(100):
            kmap(kernel, pfn)
        kernel_insns = (read_spent(kernel) - before).insns
    with model(high_get="erratum", functional=False, nr_cpus=4) as other:
        (pfn,) = highmem_pages(other, 1)
        kmap(other, pfn)
        before = read_spent(other)
        for _ in range(100):
            kmap(other, pfn)
        plain_insns = (read_spent(other) - before).insns
    assert kernel_insns - plain_insns == (0 if high_get == "erratum" else 400)


@pytest.mark.parametrize("lock", [Lock.KMAP, Lock.PAGE_ADDRESS])
def test_trylock_gives_up_where_a_lock_is_not_free_and_interrupts_are_off(lock: Lock) -> None:
    with model(preemption="rt", highpte=True, remedy="trylock") as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        with occupied(kernel, lock):
            with disabled(kernel, Disabled.IRQS):
                assert kmap_local(kernel, pfn) is None
            assert not read_reports(kernel)
            va = kmap_local(kernel, pfn)  # where it may sleep, it waits
            assert va is not None
            kunmap_local(kernel, va)
        with disabled(kernel, Disabled.IRQS):
            assert kmap_local(kernel, pfn) is not None


def test_a_trylock_is_not_allowed_in_hardirq_on_rt() -> None:
    with model(preemption="rt", highpte=True, remedy="trylock") as kernel:
        (pfn,) = highmem_pages(kernel, 1)
        with disabled(kernel, Disabled.HARDIRQ):
            va = kmap_local(kernel, pfn)
        assert va is not None
        assert {(report.kind, report.lock) for report in read_reports(kernel)} == {
            (ReportKind.TRYLOCK_IN_HARDIRQ, Lock.KMAP),
            (ReportKind.TRYLOCK_IN_HARDIRQ, Lock.PAGE_ADDRESS),
        }
