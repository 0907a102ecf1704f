"""kmap_local: windows of the running task in guest RAM, their order, their number, their context."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import GIB, MIB
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.kernel.context import Disabled, disabled, read_context
from pyemu.kernel.kmap import (
    kmap,
    kmap_atomic,
    kmap_local,
    kunmap,
    kunmap_atomic,
    kunmap_local,
    windows,
)
from pyemu.kernel.reports import ReportKind, read_reports
from pyemu.mmu import Access, translate
from pyemu.native import check, error, lib

PAGE = 4096
PREEMPTION = ("none", "voluntary", "full", "rt")
FORMATS = ("lpae", "classic")


def model(**options: Any) -> Kernel:
    return Kernel(KernelConfig(**{"memory_bytes": GIB, "functional": True, **options}))


def highmem_page(kernel: Kernel) -> int:
    pfn = kernel.alloc_pages(0, Gfp.HIGHMEM)
    assert pfn * PAGE >= kernel.layout.lowmem_limit
    return pfn


def mapped(kernel: Kernel, pfn: int) -> int:
    va = kmap_local(kernel, pfn)
    assert va is not None
    return va


def reported(kernel: Kernel) -> list[ReportKind]:
    return [report.kind for report in read_reports(kernel)]


def enable_interrupts(kernel: Kernel) -> None:
    err = error()
    check(lib.pe_kernel_context_change(kernel.handle, lib.PE_CONTEXT_IRQ_ENABLE, err), err)


# ---- where windows are, and what reads them ----


# asm/fixmap.h: the early console's slot is FIXADDR_TOP, those of CPU 0 follow downwards.
@pytest.mark.parametrize(
    ("cpu", "slot", "debug", "va"),
    [
        (0, 0, False, 0xFFEFE000),
        (0, 15, False, 0xFFEEF000),
        (1, 0, False, 0xFFEEE000),
        (2, 0, False, 0xFFEDE000),
        (3, 0, False, 0xFFECE000),
        (3, 15, False, 0xFFEBF000),
        (0, 1, True, 0xFFEFD000),
        (0, 31, True, 0xFFEDF000),
        (1, 1, True, 0xFFEDC000),
        (2, 1, True, 0xFFEBB000),
        (3, 31, True, 0xFFE7C000),
    ],
)
def test_windows_lie_at_their_fixmap_addresses(cpu: int, slot: int, debug: bool, va: int) -> None:
    with model(cpus=4, nr_cpus=4, debug_kmap_local=debug) as kernel:
        assert windows(kernel, cpu)[slot].va == va


@pytest.mark.parametrize("tables", FORMATS)
def test_a_window_shows_the_page_to_hardware_and_nothing_once_it_is_gone(tables: str) -> None:
    with model(tables=tables, highpte=None) as kernel:
        pfn = highmem_page(kernel)
        kernel.memory.write(pfn * PAGE, b"highmem")
        va = mapped(kernel, pfn)
        assert va == 0xFFEFE000
        for access in (Access.READ, Access.WRITE):
            seen = translate(kernel.memory, kernel.regime(), va + 3, access, privileged=True)
            assert seen.ok
            assert seen.pa == pfn * PAGE + 3
        assert kernel.memory.read(seen.pa - 3, 7) == b"highmem"
        assert not translate(kernel.memory, kernel.regime(), va, Access.FETCH, privileged=True).ok
        assert not translate(kernel.memory, kernel.regime(), va, Access.READ, privileged=False).ok
        kunmap_local(kernel, va)
        assert not translate(kernel.memory, kernel.regime(), va, Access.READ, privileged=True).ok
        assert not reported(kernel)


def test_a_page_of_lowmem_needs_no_window() -> None:
    with model() as kernel:
        pfn = kernel.alloc_pages()
        va = mapped(kernel, pfn)
        assert va == pfn * PAGE - kernel.layout.phys_offset + kernel.layout.page_offset
        assert read_context(kernel).kmap_depth == 0
        kunmap_local(kernel, va)
        assert kernel.stats["kmap_local"] == 0
        assert not reported(kernel)


def test_a_window_flushes_its_own_tlb_entries_and_no_other_cpus() -> None:
    with model(cpus=2, nr_cpus=4, high_get="erratum") as kernel:
        before = kernel.stats
        kunmap_local(kernel, mapped(kernel, highmem_page(kernel)))
        after = kernel.stats
        spent = {name: after[name] - before[name] for name in ("tlbi_local", "tlbi_broadcast", "dsb", "isb")}
        assert spent == {"tlbi_local": 4, "tlbi_broadcast": 0, "dsb": 4, "isb": 2}


def test_a_modelled_tlb_does_not_keep_a_window_that_is_reused() -> None:
    """Each new window is read through the modelled TLB; a stale entry would spare the walk."""
    with model(functional=False, timing="tlb", core="cortex-a15") as kernel:
        from pyemu.kernel.bill import read_spent
        from pyemu.timing import Cost

        pfn = highmem_page(kernel)
        walks = []
        for _ in range(3):
            before = read_spent(kernel)
            page = kernel.alloc_pages(0, Gfp.HIGHMEM | Gfp.ZERO)
            walks.append((read_spent(kernel) - before).charges[Cost.WALK].events)
            kernel.free_pages(page)
        assert walks[1] >= 1
        assert walks[2] >= 1
        kernel.free_pages(pfn)


# ---- the stack ----


@pytest.mark.parametrize(("debug", "depth"), [(False, 15), (True, 16)])
def test_the_depth_limit_is_fifteen_and_sixteen_with_guard_slots(debug: bool, depth: int) -> None:
    with model(debug_kmap_local=debug, nr_cpus=4) as kernel:
        pfn = highmem_page(kernel)
        vas = [mapped(kernel, pfn) for _ in range(depth)]
        assert len(set(vas)) == depth
        assert kmap_local(kernel, pfn) is None
        (report,) = read_reports(kernel)
        assert report.kind is ReportKind.KMAP_DEPTH
        assert report.chain[-1] == "__kmap_local_pfn_prot"
        assert kernel.stats["kmap_local_depth_max"] == depth
        for va in reversed(vas):
            kunmap_local(kernel, va)
        assert read_context(kernel).migrate_disabled == 0
        assert reported(kernel) == [ReportKind.KMAP_DEPTH]


def test_guard_slots_stay_empty() -> None:
    with model(debug_kmap_local=True, nr_cpus=4) as kernel:
        pfn = highmem_page(kernel)
        for _ in range(16):
            mapped(kernel, pfn)
        slots = windows(kernel)
        assert [slot.guard for slot in slots] == [index % 2 == 0 for index in range(33)]
        assert [bool(slot.pte) for slot in slots] == [not slot.guard for slot in slots]


def test_windows_that_are_not_unmapped_in_reverse_order_are_reported() -> None:
    with model() as kernel:
        first, second = (mapped(kernel, highmem_page(kernel)) for _ in range(2))
        kunmap_local(kernel, first)
        (report,) = read_reports(kernel)
        assert report.kind is ReportKind.KMAP_LIFO
        assert report.value == first
        assert report.chain == ("kunmap_local_indexed",)
        # As the kernel has it: the entry of the given address is cleared, the stack loses its top.
        assert [slot.va for slot in windows(kernel) if slot.pte] == [second]
        assert read_context(kernel).kmap_depth == 1


def test_a_window_that_is_in_use_already_is_a_bug() -> None:
    with model() as kernel:
        pfn = highmem_page(kernel)
        first, second = mapped(kernel, pfn), mapped(kernel, pfn)
        kunmap_local(kernel, first)
        assert kmap_local(kernel, pfn) is None
        assert ReportKind.KMAP_NOT_EMPTY in reported(kernel)
        assert read_context(kernel).kmap_depth == 1
        assert [slot.va for slot in windows(kernel) if slot.pte] == [second]


def test_unmapping_where_nothing_is_mapped_is_reported() -> None:
    with model() as kernel:
        kunmap_local(kernel, windows(kernel)[0].va)
        assert reported(kernel) == [ReportKind.UNBALANCED]


def test_unmapping_what_is_no_kernel_address_is_reported() -> None:
    with model() as kernel:
        kunmap_local(kernel, 0x1000_0000)
        assert reported(kernel) == [ReportKind.KMAP_ADDRESS]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), max_size=80), st.sampled_from(FORMATS), st.booleans())
def test_the_windows_are_a_stack(pushes: list[bool], tables: str, debug: bool) -> None:
    with model(tables=tables, highpte=None, debug_kmap_local=debug, nr_cpus=4) as kernel:
        pfns = kernel.alloc_bulk(16, 0, Gfp.HIGHMEM)
        stack: list[tuple[int, int]] = []
        for index, push in enumerate(pushes):
            if push and len(stack) < 15:
                pfn = pfns[index % 16]
                stack.append((mapped(kernel, pfn), pfn))
            elif not push and stack:
                kunmap_local(kernel, stack.pop()[0])
            assert [(slot.va, slot.pfn) for slot in windows(kernel) if slot.pte] == stack
            assert read_context(kernel).migrate_disabled == len(stack)
        assert not reported(kernel)


# ---- context ----


@pytest.mark.parametrize("preemption", PREEMPTION)
def test_migration_stays_disabled_until_the_window_is_gone_and_preemption_does_not(preemption: str) -> None:
    with model(preemption=preemption) as kernel:
        outer = mapped(kernel, highmem_page(kernel))
        inner = mapped(kernel, highmem_page(kernel))
        inside = read_context(kernel)
        assert (inside.migrate_disabled, inside.preempt_count) == (2, 0)
        kunmap_local(kernel, inner)
        assert read_context(kernel).migrate_disabled == 1
        kunmap_local(kernel, outer)
        assert read_context(kernel).migrate_disabled == 0


@pytest.mark.parametrize("preemption", PREEMPTION)
def test_sleeping_in_a_window_is_allowed_under_each_preemption_model(preemption: str) -> None:
    with model(preemption=preemption) as kernel:
        va, other = mapped(kernel, highmem_page(kernel)), highmem_page(kernel)
        assert kmap(kernel, other)
        kunmap(kernel, other)
        kunmap_local(kernel, va)
        assert not reported(kernel)


@pytest.mark.parametrize("preemption", PREEMPTION)
def test_sleeping_in_kmap_atomic_is_reported_unless_the_kernel_is_rt(preemption: str) -> None:
    with model(preemption=preemption) as kernel:
        va, other = kmap_atomic(kernel, highmem_page(kernel)), highmem_page(kernel)
        assert va is not None
        inside = read_context(kernel)
        rt = preemption == "rt"
        assert (inside.preempt_count, inside.migrate_disabled) == ((0, 2) if rt else (1, 1))
        kmap(kernel, other)
        assert reported(kernel) == ([] if rt else [ReportKind.SLEEPING_FUNCTION])
        kunmap_atomic(kernel, va)
        assert read_context(kernel).preempt_count == read_context(kernel).migrate_disabled == 0


def test_kmap_atomic_of_lowmem_disables_preemption_all_the_same() -> None:
    with model() as kernel:
        va = kmap_atomic(kernel, kernel.alloc_pages())
        assert va is not None
        assert read_context(kernel).preempt_count == 1
        kunmap_atomic(kernel, va)
        assert read_context(kernel).preempt_count == 0


def test_a_failed_kmap_atomic_leaves_the_context_as_it_was() -> None:
    with model() as kernel:
        pfn = highmem_page(kernel)
        for _ in range(15):
            mapped(kernel, pfn)
        before = read_context(kernel)
        assert kmap_atomic(kernel, pfn) is None
        assert read_context(kernel) == before


def test_a_window_in_hardirq_with_interrupts_on_is_reported() -> None:
    with model() as kernel:
        pfn = highmem_page(kernel)
        with disabled(kernel, Disabled.HARDIRQ):
            kunmap_local(kernel, mapped(kernel, pfn))
            assert not reported(kernel)
            enable_interrupts(kernel)
            kunmap_local(kernel, mapped(kernel, pfn))
        assert reported(kernel) == [ReportKind.HARDIRQ_WITH_IRQS_ON]
        assert not read_context(kernel).irqs_disabled


def test_an_interrupt_maps_above_the_windows_of_the_task_that_it_interrupts() -> None:
    with model() as kernel:
        task = mapped(kernel, highmem_page(kernel))
        with disabled(kernel, Disabled.HARDIRQ):
            irq = mapped(kernel, highmem_page(kernel))
            assert irq == task - PAGE
            kunmap_local(kernel, irq)
        assert [slot.va for slot in windows(kernel) if slot.pte] == [task]


def test_a_frame_that_does_not_exist_is_refused() -> None:
    from pyemu.native import NativeError

    with model(memory_bytes=512 * MIB) as kernel, pytest.raises(NativeError, match="no frame has pfn 0x1"):
        kmap_local(kernel, 1)
