"""The allocator against a plain-Python shadow: no frame lost, none used twice, all merged that can be."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from pyemu.config import GIB, MIB
from pyemu.kernel import Gfp, Kernel, KernelConfig, OutOfPages
from pyemu.kernel.memory import MigrateType, Zone
from pyemu.native import NativeError

MAX_ORDER = 11
BASE = 0x40000
# 64 MB of lowmem and 48 MB of highmem, of which 16 MB are CMA.
SMALL = KernelConfig(memory_bytes=112 * MIB, vmalloc_bytes=944 * MIB, functional=True)

gfps = st.sampled_from(
    [
        Gfp.KERNEL,
        Gfp.RECLAIMABLE,
        Gfp.HIGHMEM,
        Gfp.HIGHMEM | Gfp.MOVABLE,
        Gfp.HIGHMEM | Gfp.MOVABLE | Gfp.COMP,
        Gfp.HIGH,
    ]
)


@cache
def boundaries() -> tuple[int, frozenset[int]]:
    """The first frame of highmem, and the frames of the CMA area."""
    with Kernel(SMALL) as kernel:
        first = kernel.layout.lowmem_limit >> 12
        end = kernel.layout.ram_end >> 12
        cma = [p for p in range(BASE, end) if kernel.page(p).migrate_type is MigrateType.CMA]
        return first, frozenset(cma)


def merged(free: set[int], pageblock_order: int) -> tuple[Counter[int], Counter[int]]:
    """Free blocks by order, of lowmem and highmem, when every two buddies have become one."""
    highmem, cma = boundaries()
    zones = (Counter[int](), Counter[int]())
    blocks = set(free)
    for order in range(MAX_ORDER + 1):
        larger = set()
        for start in sorted(blocks):
            buddy = start ^ (1 << order)
            if start > buddy and buddy in blocks:
                continue
            whole = buddy in blocks and (start >= highmem) == (buddy >= highmem)
            if order >= pageblock_order:
                whole = whole and (start in cma) == (buddy in cma)
            if whole and order < MAX_ORDER:
                larger.add(start)
            else:
                zones[start >= highmem][order] += 1
                if buddy in blocks and buddy > start:
                    zones[buddy >= highmem][order] += 1
        blocks = larger
    return zones


class Allocator(RuleBasedStateMachine):
    """Random allocations and frees; the shadow is a set of frames."""

    blocks = Bundle("blocks")

    @initialize()
    def boot(self) -> None:
        self.kernel = Kernel(SMALL)
        self.order = self.kernel.pageblock_order
        end = self.kernel.layout.ram_end >> 12
        self.free = {pfn for pfn in range(BASE, end) if self.kernel.page(pfn).free}
        self.at_boot = frozenset(self.free)
        self.held: dict[int, int] = {}

    def teardown(self) -> None:
        if not hasattr(self, "kernel"):
            return
        for pfn, order in self.held.items():
            self.kernel.free_pages(pfn, order)
        self.held.clear()
        self.free = set(self.at_boot)
        self.blocks_agree()
        self.kernel.close()

    def take(self, pfn: int, order: int, gfp: Gfp) -> None:
        frames = set(range(pfn, pfn + (1 << order)))
        highmem, cma = boundaries()
        assert pfn % (1 << order) == 0
        assert frames <= self.free, "a frame that is in use, or was never given to the allocator"
        assert gfp & Gfp.HIGHMEM or pfn < highmem
        assert gfp & Gfp.MOVABLE or not frames & cma
        self.free -= frames
        self.held[pfn] = order

    @rule(target=blocks, order=st.integers(0, MAX_ORDER), gfp=gfps)
    def allocate(self, order: int, gfp: Gfp) -> object:
        try:
            pfn = self.kernel.alloc_pages(order, gfp)
        except OutOfPages:
            return multiple()
        self.take(pfn, order, gfp)
        return pfn

    @rule(target=blocks, count=st.integers(1, 3000), order=st.integers(0, 3), gfp=gfps)
    def allocate_many(self, count: int, order: int, gfp: Gfp) -> object:
        pfns = self.kernel.alloc_bulk(count, order, gfp)
        assert len(set(pfns)) == len(pfns) <= count
        for pfn in pfns:
            self.take(pfn, order, gfp)
        return multiple(*pfns[:: max(1, len(pfns) // 64)])

    @rule(pfn=consumes(blocks))
    def free_block(self, pfn: int) -> None:
        order = self.held.pop(pfn, None)
        if order is not None:
            self.kernel.free_pages(pfn, order)
            self.free |= set(range(pfn, pfn + (1 << order)))

    @rule(keep=st.integers(2, 7))
    def free_most(self, keep: int) -> None:
        for pfn in [pfn for i, pfn in enumerate(list(self.held)) if i % keep]:
            order = self.held.pop(pfn)
            self.kernel.free_pages(pfn, order)
            self.free |= set(range(pfn, pfn + (1 << order)))

    @invariant()
    def blocks_agree(self) -> None:
        if not hasattr(self, "kernel"):
            return
        self.kernel.check()
        highmem, cma = boundaries()
        low, high = merged(self.free, self.order)
        for zone, expected in ((Zone.DMA, low), (Zone.HIGHMEM, high)):
            info = self.kernel.zone(zone)
            counts = [sum(column) for column in zip(*info.free_blocks, strict=True)]
            assert counts == [expected[order] for order in range(MAX_ORDER + 1)]
        assert self.kernel.zone(Zone.DMA).free == sum(pfn < highmem for pfn in self.free)
        assert self.kernel.zone(Zone.HIGHMEM).free_cma == len(self.free & cma)


Allocator.TestCase.settings = settings(max_examples=12, stateful_step_count=16, deadline=None)
TestAllocator = Allocator.TestCase


def test_pages_for_users_come_from_highmem_until_its_watermark_then_from_lowmem_above_its_reserve() -> None:
    with Kernel(KernelConfig(memory_bytes=GIB, functional=True)) as kernel:
        user = Gfp.HIGHMEM | Gfp.MOVABLE
        pfns = kernel.alloc_bulk(1 << 18, 0, user)
        low, high = kernel.zone(Zone.DMA), kernel.zone(Zone.HIGHMEM)
        first = kernel.layout.lowmem_limit >> 12
        assert pfns[0] >= first
        assert all(pfn >= first for pfn in pfns[: high.managed - high.low])
        assert high.free == high.min
        assert low.free == low.min + low.protection[Zone.HIGHMEM]
        with pytest.raises(OutOfPages, match="no zone has 1 free pages"):
            kernel.alloc_pages(0, user)
        assert kernel.alloc_pages(0, Gfp.KERNEL) < first, "the reserve is for the kernel"
        assert kernel.stats["alloc_fallback_zone"] == sum(pfn < first for pfn in pfns)


def test_the_kernel_never_gets_highmem() -> None:
    with Kernel(KernelConfig(memory_bytes=GIB, functional=True)) as kernel:
        pfns = kernel.alloc_bulk(1 << 18, 0, Gfp.KERNEL)
        assert max(pfns) < kernel.layout.lowmem_limit >> 12
        zone = kernel.zone(Zone.HIGHMEM)
        assert zone.free == zone.managed


def test_only_movable_pages_go_to_the_cma_area() -> None:
    with Kernel(KernelConfig(memory_bytes=GIB, functional=True)) as kernel:
        kernel.alloc_bulk(1 << 18, 0, Gfp.HIGHMEM)
        assert kernel.zone(Zone.HIGHMEM).free_cma == 4096
        kernel.alloc_bulk(1 << 18, 0, Gfp.HIGHMEM | Gfp.MOVABLE)
        assert kernel.zone(Zone.HIGHMEM).free_cma < 128


def test_a_type_without_free_pages_steals_a_whole_pageblock() -> None:
    with Kernel(KernelConfig(memory_bytes=GIB, functional=True)) as kernel:
        before = kernel.zone(Zone.HIGHMEM).pageblocks
        pfn = kernel.alloc_pages(0, Gfp.HIGHMEM)
        after = kernel.zone(Zone.HIGHMEM).pageblocks
        assert kernel.page(pfn).migrate_type is MigrateType.UNMOVABLE
        assert before[MigrateType.UNMOVABLE] == 0
        assert after[MigrateType.UNMOVABLE] == 4, "a block of the largest order is four pageblocks"
        assert kernel.stats["alloc_fallback_type"] >= 1
        neighbour = kernel.alloc_pages(0, Gfp.HIGHMEM)
        assert neighbour >> 9 == pfn >> 9


def test_unmovable_pages_strewn_about_leave_no_block_of_order_two() -> None:
    with Kernel(SMALL) as kernel:
        pfns = sorted(kernel.alloc_bulk(1 << 16, 0, Gfp.KERNEL))
        for pfn in pfns:
            if pfn % 4:
                kernel.free_pages(pfn)
        left = len(kernel.alloc_bulk(1 << 14, 2, Gfp.KERNEL))
        assert left * 4 <= kernel.zone(Zone.DMA).high, "what the watermark had kept whole"
        assert kernel.zone(Zone.DMA).free > 6000
        with pytest.raises(OutOfPages, match="4 free pages that touch"):
            kernel.alloc_pages(2, Gfp.KERNEL)
        kernel.alloc_pages(1, Gfp.KERNEL)


@pytest.mark.parametrize("pfn", [0, 0x40203, 0x40000 + (112 << 8), 0xFFFFFFFF])
def test_what_was_never_allocated_is_not_freed(pfn: int) -> None:
    with Kernel(SMALL) as kernel, pytest.raises(NativeError, match="is no allocation of order 0"):
        kernel.free_pages(pfn)


def test_a_page_is_freed_once_and_with_its_order() -> None:
    with Kernel(SMALL) as kernel:
        pfn = kernel.alloc_pages(3)
        with pytest.raises(NativeError, match="is no allocation of order 2"):
            kernel.free_pages(pfn, 2)
        with pytest.raises(NativeError, match="is no allocation of order 0"):
            kernel.free_pages(pfn + 1)
        kernel.free_pages(pfn, 3)
        with pytest.raises(NativeError, match="is no allocation of order 3"):
            kernel.free_pages(pfn, 3)
        with pytest.raises(NativeError, match="order 12 is too much: 0 to 11"):
            kernel.alloc_pages(12)


def test_a_folio_knows_its_head() -> None:
    with Kernel(SMALL) as kernel:
        pfn = kernel.alloc_pages(9, Gfp.HIGHMEM | Gfp.MOVABLE | Gfp.COMP)
        assert kernel.page(pfn).order == 9
        assert {kernel.page(pfn + i).head for i in (0, 1, 511)} == {pfn}
        assert kernel.page(pfn + 511).refcount == 0
        kernel.free_pages(pfn, 9)
        assert kernel.page(pfn + 511).head == pfn + 511
        kernel.check()


def test_a_page_that_is_asked_for_zeroed_is_zero_however_it_was_left() -> None:
    with Kernel(SMALL) as kernel:
        pfn = kernel.alloc_pages(0, Gfp.ZERO)
        assert kernel.memory.read(pfn << 12, 4096) == bytes(4096)
        assert kernel.stats["pages_cleared"] >= 1
