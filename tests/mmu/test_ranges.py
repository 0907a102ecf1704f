"""Merged ranges against translations of single pages: what is mapped, and how, is neither lost nor invented."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.mem import Memory
from pyemu.mmu import Access, Fault, Flag, MappedRange, PageTables, Regime, mapped_ranges, translate
from tests.debug.targets import dump_memory, dump_regime
from tests.mmu.dump_cases import NAMES, Dump, dump

PAGE = 4096
SPACE = 1 << 32
RAM = 0x4000_0000
LEAVES = ("page", "block", "small", "large", "section", "supersection")


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Dump:
    return dump(request.param)


def leaf_bytes(level: int, long_format: bool) -> int:
    if long_format:
        return 1 << 12 + 9 * (3 - level)
    return 1 << (20 if level == 1 else 12)


def answer(memory: Memory, regime: Regime, va: int) -> tuple[object, ...] | None:
    """What a page's translation says that ranges must agree in; None where nothing is mapped."""
    t = translate(memory, regime, va, Access.READ, privileged=True)
    if not t.size and t.fault is not Fault.EXTERNAL_WALK:
        return None
    return (t.pa, t.level, t.prot, t.prot_other, t.attr, t.shareability, t.domain, t.flags, t.size)


def said(r: MappedRange, va: int) -> tuple[object, ...]:
    pa = 0 if r.outside else r.pa + va - r.va
    shape = (r.level, r.prot, r.prot_user, r.attr, r.shareability, r.domain, r.flags, r.leaf_size)
    return (pa, *shape)


def test_the_ranges_of_real_tables_add_up_to_their_leaves(case: Dump) -> None:
    """Every leaf of both TTBRs that the regime reaches, as an independent walker listed them."""
    if not case.has("mappings"):
        pytest.skip("synthetic tables have no list of their leaves")
    memory, regime = dump_memory(case), dump_regime(case)
    expected = 0
    for ttbr, va, level, descriptor, kind in case.mappings:
        t = translate(memory, regime, va, privileged=True)
        if kind in LEAVES and bool(t.flags & Flag.TTBR1) == bool(ttbr) and t.descriptor == descriptor:
            expected += leaf_bytes(level, regime.long_format)
    for contiguous in (False, True):
        found = mapped_ranges(memory, regime, contiguous=contiguous)
        assert sum(r.size for r in found if not r.outside) == expected
    assert expected > 1 << 20


def test_each_page_of_real_tables_is_in_a_range_that_says_the_same(case: Dump) -> None:
    memory, regime = dump_memory(case), dump_regime(case)
    found = list(mapped_ranges(memory, regime, contiguous=True))
    pages = {va & -PAGE for va, *_ in case.gva2gpa}
    pages |= {at & -PAGE for r in found for at in (r.va, r.end - PAGE, max(r.va - PAGE, 0), r.end % SPACE)}
    for va in pages:
        held = [r for r in found if r.va <= va < r.end]
        assert len(held) <= 1
        assert (said(held[0], va) if held else None) == answer(memory, regime, va), hex(va)


def test_ranges_do_not_overlap_and_neighbours_differ(case: Dump) -> None:
    memory, regime = dump_memory(case), dump_regime(case)
    found = list(mapped_ranges(memory, regime))
    for left, right in zip(found, found[1:], strict=False):
        assert left.end <= right.va
        if left.end == right.va:
            same = replace(left, va=right.va, size=right.size, pa=right.pa, descriptors=right.descriptors)
            same = replace(same, descriptor=right.descriptor, descriptor_pa=right.descriptor_pa)
            assert same != right


def test_what_maps_a_physical_page_is_what_an_exhaustive_search_finds(case: Dump) -> None:
    memory, regime = dump_memory(case), dump_regime(case)
    whole = [r for r in mapped_ranges(memory, regime, contiguous=True) if not r.outside]
    chosen = random.Random(1).sample(whole, min(20, len(whole)))
    for pa in {r.pa + r.size // 2 & -PAGE for r in chosen}:
        expected = {r.va + pa - r.pa for r in whole if r.pa <= pa < r.pa + r.size}
        found = mapped_ranges(memory, regime, contiguous=True, pa=(pa, 1))
        assert {r.va + pa - r.pa for r in found if r.pa <= pa < r.pa + r.size} == expected


REGIONS = st.lists(
    st.tuples(
        st.integers(0, 1023),  # 4 MB slots
        st.integers(1, 600),  # pages
        st.booleans(),
        st.booleans(),
        st.integers(0, 1 << 20),
    ),
    max_size=8,
)


@given(REGIONS, st.sampled_from(("lpae", "short")))
@settings(max_examples=40, deadline=None)
def test_ranges_of_tables_that_were_mapped_by_hand(
    regions: list[tuple[int, int, bool, bool, int]], form: str
) -> None:
    with Memory() as memory:
        memory.add_ram(RAM, 1 << 24)
        tables = PageTables(memory, form, RAM, 1 << 23)
        pages: dict[int, tuple[int, bool, bool]] = {}
        for slot, count, write, user, frame in regions:
            va, pa = slot << 22, frame << 12 & 0xFFFF_FFFF
            count = min(count, (SPACE - pa) // PAGE)
            wanted = {va + i * PAGE for i in range(count)}
            if wanted & set(pages):
                continue
            tables.map(va, pa, count * PAGE, write=write, user=user)
            pages |= {va + i * PAGE: (pa + i * PAGE, write, user) for i in range(count)}
        found = list(mapped_ranges(memory, tables.regime, contiguous=True))
        listed = {
            r.va + offset: (r.pa + offset, bool(r.prot & 2), bool(r.prot_user))
            for r in found
            for offset in range(0, r.size, PAGE)
        }
        assert listed == pages


@given(st.binary(min_size=4096, max_size=8192), st.integers(0, 7), st.integers(0, 7), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_bytes_as_tables_give_ranges_in_order(data: bytes, low: int, high: int, long: bool) -> None:
    """Whatever the guest wrote there, ranges ascend, stay inside the address space, and end."""
    with Memory() as memory:
        memory.add_ram(RAM, 1 << 20)
        memory.write(RAM, data)
        ttbcr = (1 << 31 | high << 16 | low) if long else low
        regime = Regime(sctlr=1, ttbcr=ttbcr, ttbr0=RAM, ttbr1=RAM + 0x4000, dacr=0x5555_5555)
        last = 0
        for r in mapped_ranges(memory, regime):
            assert last <= r.va < r.end <= SPACE
            last = r.end
        for va in (0, 0x1FF_FFFF, 0x200_0000, 0x8000_0000, SPACE - PAGE):
            held = [r for r in mapped_ranges(memory, regime, va, va + PAGE, contiguous=True)]
            assert (said(held[0], va) if held else None) == answer(memory, regime, va)


def test_a_range_is_cut_at_the_ends_that_were_asked_for() -> None:
    with Memory() as memory:
        memory.add_ram(RAM, 1 << 24)
        tables = PageTables(memory, "lpae", RAM, 1 << 20)
        tables.map(0x8000_0000, 0x4000_0000, 1 << 21)
        (found,) = mapped_ranges(memory, tables.regime, 0x8000_1000, 0x8000_3000)
        assert (found.va, found.size, found.pa, found.leaf_size) == (0x8000_1000, 0x2000, RAM + PAGE, 1 << 21)


def test_with_the_mmu_off_one_range_maps_everything_to_itself() -> None:
    with Memory() as memory:
        (found,) = mapped_ranges(memory, Regime())
        assert (found.va, found.size, found.pa) == (0, SPACE, 0)
