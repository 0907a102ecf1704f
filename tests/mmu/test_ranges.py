"""Merged ranges against translations of single pages: nothing is lost, and nothing invented."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
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


@pytest.mark.parametrize("name", [name for name in NAMES if dump(name).has("mappings")])
def test_the_ranges_of_real_tables_add_up_to_their_leaves(name: str) -> None:
    """Every leaf of both TTBRs that the regime reaches, as an independent walker listed them."""
    case = dump(name)
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
    starts = [r.va for r in found]
    edges = random.Random(1).sample(found, min(300, len(found)))
    pages = {va & -PAGE for va, *_ in case.gva2gpa[::5]}
    pages |= {at & -PAGE for r in edges for at in (r.va, r.end - PAGE, max(r.va - PAGE, 0), r.end % SPACE)}
    for va in pages:
        at = bisect_right(starts, va) - 1
        held = found[at] if at >= 0 and va < found[at].end else None
        assert (said(held, va) if held else None) == answer(memory, regime, va), hex(va)


def test_ranges_do_not_overlap_and_neighbours_differ(case: Dump) -> None:
    memory, regime = dump_memory(case), dump_regime(case)
    found = list(itertools.islice(mapped_ranges(memory, regime), 2000))
    for left, right in itertools.pairwise(found):
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


@given(st.integers(0, 1 << 32), st.integers(0, 7), st.integers(0, 7), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_bytes_as_tables_give_ranges_in_order(seed: int, low: int, high: int, long: bool) -> None:
    """Whatever the guest wrote there, ranges ascend, end where they should, and say what a walk says."""
    source = random.Random(seed)
    with Memory() as memory:
        memory.add_ram(RAM, 1 << 20)
        words = [source.getrandbits(64) & ~(0x3F << 34) | 1 << 30 for _ in range(4096)]
        memory.write(RAM, b"".join(word.to_bytes(8, "little") for word in words))
        ttbcr = (1 << 31 | high << 16 | low) if long else low
        regime = Regime(sctlr=1, ttbcr=ttbcr, ttbr0=RAM, ttbr1=RAM + 0x4000, dacr=0x5555_5555)
        for start in (0, 0x1C0_0000, 0x7FC0_0000, 0xFFC0_0000):
            last = start
            for r in mapped_ranges(memory, regime, start, start + (4 << 20), contiguous=True):
                assert last <= r.va < r.end <= start + (4 << 20)
                last = r.end
                va = source.randrange(r.va, r.end, PAGE)
                assert said(r, va) == answer(memory, regime, va)


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
