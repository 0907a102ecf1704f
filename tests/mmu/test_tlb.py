"""Modelled TLBs against plain-Python ones of the same geometry and policy, and the rules one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.mem import Memory
from pyemu.mmu import Access, PageTables, Translation, translate
from pyemu.mmu.tlb import Tlb, TlbArray, TlbInvalidate, TlbLevel
from pyemu.mmu.translate import Fault, Flag, Prot
from pyemu.native import ffi, lib
from pyemu.timing import Core, load_cores, read_core
from tests.mmu.plain_tlb import Leaf, PlainTlb
from tests.timing.plain_cache import random_numbers

CORES = ("cortex-a15", "cortex-a7", "cortex-a9")
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RW = Prot.READ | Prot.WRITE

# Small TLBs in which every size, policy and ASID meets the others.
SMALL = """\
[{name}]
base = "cortex-a15"
[{name}.micro_instruction]
entries = {{ value = 2, unit = "entries", source = "assumed" }}
ways = {{ value = 2, unit = "ways", source = "assumed" }}
[{name}.micro_load]
entries = {{ value = 4, unit = "entries", source = "assumed" }}
ways = {{ value = 4, unit = "ways", source = "assumed" }}
page_bytes = {{ value = [4096, 0x100000], unit = "bytes", source = "assumed" }}
replacement = {{ value = "{policy}", unit = "policy", source = "assumed" }}
[{name}.micro_store]
entries = {{ value = {stores}, unit = "entries", source = "assumed" }}
ways = {{ value = {stores}, unit = "ways", source = "assumed" }}
[{name}.main_tlb]
entries = {{ value = 16, unit = "entries", source = "assumed" }}
ways = {{ value = 2, unit = "ways", source = "assumed" }}
page_bytes = {{ value = {sizes}, unit = "bytes", source = "assumed" }}
replacement = {{ value = "{policy}", unit = "policy", source = "assumed" }}
[{name}.micro_tlbs]
flushed_by_maintenance = {{ value = {maintenance}, unit = "boolean", source = "assumed" }}
flushed_by_context = {{ value = {context}, unit = "boolean", source = "assumed" }}
[{name}.walk]
cache_entries = {{ value = {walk}, unit = "entries", source = "assumed" }}
"""


@pytest.fixture(scope="module")
def small_cores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Core]:
    path: Path = tmp_path_factory.mktemp("cores") / "small.toml"
    every = "[4096, 65536, 0x100000, 0x200000, 0x1000000, 0x40000000]"
    cases = [
        ("lru", 4, every, 3, "false", "true"),
        ("round-robin", 0, every, 0, "true", "true"),
        ("random", 2, "[4096, 0x100000]", 2, "false", "false"),
    ]
    names = ("policy", "stores", "sizes", "walk", "maintenance", "context")
    path.write_text(
        "".join(SMALL.format(name=case[0], **dict(zip(names, case, strict=True))) for case in cases)
    )
    return dict(load_cores(path))


def region(va: int) -> tuple[int, bool]:
    """Leaf size and whether it is global, by the top bits of an address: no two leaves overlap."""
    sizes = (4 * KIB, 4 * KIB, 64 * KIB, MIB, 2 * MIB, 16 * MIB, GIB, 4 * KIB)
    return sizes[va >> 29 & 6 | va >> 28 & 1] if va >> 30 != 3 else GIB, bool(va >> 27 & 1)


def translation(va: int, delta: int = 0) -> Translation:
    size, is_global = region(va)
    flags = Flag.NONE if is_global else Flag.NG
    level = 3 if size <= 64 * KIB else 2
    pa = (va + 0x10_0000_0000 + delta) & 0xFF_FFFF_FFFF
    base = pa // size * size
    return Translation(
        pa, Fault.NONE, level, RW, Prot.READ, 0xFF, 3, 0, size, flags, base | 3, 0x8000_0000 + va // size
    )


def leaf(va: int, asid: int) -> Leaf:
    size, is_global = region(va)
    base = va // size * size
    return Leaf(base, size, asid, is_global, size <= 64 * KIB, base, size)


accesses = st.tuples(st.just("access"), st.integers(0, 159), st.integers(0, 2), st.sampled_from(Access))
others = st.tuples(
    st.sampled_from([*(each.name for each in TlbInvalidate), "context", "context"]),
    st.integers(0, 159),
    st.integers(0, 2),
    st.just(Access.READ),
)


@contextmanager
def dropped_by(tlb: Tlb) -> Iterator[list[tuple[int, int, int]]]:
    """A list that gets (array, va, ASID) of each entry that leaves a micro-TLB unasked."""
    dropped: list[tuple[int, int, int]] = []

    @ffi.callback("pe_tlb_dropped")
    def report(_user: Any, which: int, entry: Any) -> None:
        held = any(e.va == entry.va and e.asid == entry.asid for e in tlb.entries(TlbArray(which)))
        dropped.append((which, entry.va, -1 if held else entry.asid))  # no step has such an ASID

    lib.pe_tlb_on_drop(tlb.handle, report, ffi.NULL)
    yield dropped
    lib.pe_tlb_on_drop(tlb.handle, ffi.NULL, ffi.NULL)


def address(number: int) -> int:
    """One of 160 addresses: ten neighbours of different distance in each of sixteen regions."""
    offsets = (0, 0x1000, 0x8000, 0x9004, 0x1_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000, 0x100_0000)
    return (number // 10 << 28 | number % 3 << 27) + offsets[number % 10]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["lru", "round-robin", "random"]),
    st.lists(st.one_of(accesses, accesses, accesses, accesses, others), max_size=150),
)
def test_any_mix_of_accesses_and_maintenance_leaves_the_same_entries(
    small_cores: dict[str, Core], policy: str, steps: list[tuple[str, int, int, Access]]
) -> None:
    tlb, plain = Tlb(small_cores[policy]), PlainTlb(small_cores[policy], random_numbers)
    with dropped_by(tlb) as dropped:
        for verb, number, asid, access in steps:
            va = address(number)
            for which, micro in ((TlbArray.INSTRUCTION, Access.FETCH), (TlbArray.STORE, Access.WRITE)):
                assert tlb.holds(which, va, asid) == plain.micro[micro].holds(va, asid)
            assert tlb.holds(TlbArray.MAIN, va, asid) == plain.main.holds(va, asid)
            if verb == "access":
                result = tlb.access(va, translation(va), asid=asid, access=access)
                assert result.level == plain.access(va, asid, access, leaf(va, asid))
            elif verb == "context":
                tlb.context_changed()
                plain.context_changed()
            else:
                assert tlb.invalidate(TlbInvalidate[verb], va, asid) == plain.invalidate(verb, va, asid)
            assert sorted(dropped) == sorted(plain.dropped)
    arrays = [(TlbArray.MAIN, plain.main), (TlbArray.LOAD, plain.micro[Access.READ])]
    arrays.append((TlbArray.INSTRUCTION, plain.micro[Access.FETCH]))
    for which, expected in arrays:
        kept = {(e.va, e.size, e.asid, e.is_global) for e in tlb.entries(which)}
        assert kept == {(e.va, e.size, e.asid, e.is_global) for e in expected.all()}
    walk = {(e.va // e.size, e.asid) for e in tlb.entries(TlbArray.WALK)}
    assert walk == set(plain.walk)
    assert tlb.stats().walk_cache_hits == plain.walk_hits
    for which in (TlbArray.INSTRUCTION, TlbArray.LOAD, TlbArray.STORE):
        for e in tlb.entries(which):  # inclusion
            assert any(m.va <= e.va < m.va + m.size and m.asid == e.asid for m in tlb.entries())


def tables(memory: Memory, format: str) -> PageTables:
    """4 KB pages from 0, larger leaves from 0x40000000, global from 0x80000000."""
    built = PageTables(memory, format, pool_base=0x4000_0000, pool_size=4 * MIB)
    for at in range(0, 4 * MIB, 4 * KIB):  # one by one and out of order: no larger leaf fits
        built.map(at, 0x8000_0000 + (at ^ 0x3000), 4 * KIB, ng=True)
    built.map(0x4000_0000, 0x8000_0000, 64 * MIB, ng=True)
    built.map(0x8000_0000, 0x8000_0000, 64 * MIB)
    for at in range(0, MIB, 4 * KIB):
        built.map(0xA000_0000 + at, 0x9000_0000 + (at ^ 0x3000), 4 * KIB)
    return built


def trace(length: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Loops over pages with jumps between hot and cold regions, now and then another ASID; some fault."""
    source = random.Random(seed)
    regions = (
        (0, 4 * MIB),
        (0x4000_0000, 64 * MIB),
        (0x8000_0000, 64 * MIB),
        (0xA000_0000, MIB),
        (0xF000_0000, MIB),
    )
    va: list[int] = []
    asids: list[int] = []
    asid = 1
    while len(va) < length:
        base, size = source.choices(regions, (6, 2, 2, 3, 0.05))[0]
        start, step = source.randrange(size), source.choice((4, 64, 4096, 8192, 65536))
        run = [base + (start + step * i) % size for i in range(source.randrange(1, 200))]
        run *= source.randrange(1, 3)
        asid = source.choice((asid, asid, asid, 1, 2, 200))
        va += run
        asids += [asid] * len(run)
    kinds = [source.choice((0, 0, 1, 2)) for _ in range(length)]
    return va[:length], asids[:length], kinds


@pytest.mark.parametrize("format", ["lpae", "short"])
@pytest.mark.parametrize("name", CORES)
def test_a_long_trace_misses_exactly_as_in_the_plain_tlb(name: str, format: str) -> None:
    core = read_core(name)
    with Memory() as memory:
        memory.add_ram(0x4000_0000, 2 * GIB)
        built = tables(memory, format)
        va, asids, kinds = trace(30_000, 5)
        leaves: dict[int, Translation] = {}
        plain, expected = PlainTlb(core, random_numbers), bytearray()
        for at, asid, kind in zip(va, asids, kinds, strict=True):
            t = leaves.get(at >> 12)
            if t is None:
                t = leaves[at >> 12] = translate(memory, built.regime, at)
            found = None
            if t.ok:
                base = at // t.size * t.size
                last = t.level == (3 if format == "lpae" else 2)
                found = Leaf(base, t.size, asid, not t.flags & Flag.NG, last, base, t.size)
            expected.append(plain.access(at, asid, kind, found))
        tlb = Tlb(core)
        levels, cycles = tlb.replay(memory, built.regime, va, asids=asids, accesses=kinds)
        assert levels == bytes(expected)
        stats = tlb.stats()
        assert stats.walk_cache_hits == plain.walk_hits
        assert stats.faults > 0
        assert [sum(c) for c in (stats.lookups, stats.main_misses)] == [len(va), levels.count(TlbLevel.MISS)]
        for counts, hits in (
            (stats.lookups, (0, 1, 2)),
            (stats.micro_misses, (1, 2)),
            (stats.main_misses, (2,)),
        ):
            for kind in Access:
                assert counts[kind] == sum(
                    k == kind and level in hits for k, level in zip(kinds, levels, strict=True)
                )
        micro, main = core["micro_load.miss_cycles"], core["main_tlb.miss_cycles"]
        assert cycles == sum(stats.micro_misses) * micro + sum(stats.main_misses) * main
        assert 0.005 < levels.count(TlbLevel.MISS) / len(va) < 0.5


def page(va: int, pa: int, **changes: object) -> Translation:
    made = Translation(
        pa,
        Fault.NONE,
        3,
        RW,
        Prot.READ,
        0xFF,
        3,
        0,
        4 * KIB,
        Flag.NG,
        pa & ~0xFFF | 3,
        0x9000_0000 + va // 512,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_reach_ends_at_the_entries_of_each_level() -> None:
    core = read_core("cortex-a15")
    tlb = Tlb(core)

    def round_over(pages: int) -> set[TlbLevel]:
        return {tlb.access(n << 12, page(n << 12, n << 12)).level for n in range(pages)}

    for pages, level in (
        (32, TlbLevel.MICRO),
        (33, TlbLevel.MAIN),
        (512, TlbLevel.MAIN),
        (640, TlbLevel.MISS),
    ):
        round_over(pages)
        round_over(pages)
        assert round_over(pages) == {level}
        tlb.invalidate(TlbInvalidate.ALL)


def test_loads_stores_and_fetches_have_micro_tlbs_of_their_own_where_the_core_has_them() -> None:
    for name, level in (("cortex-a15", TlbLevel.MAIN), ("cortex-a9", TlbLevel.MICRO)):
        tlb = Tlb(read_core(name))
        t = page(0x1000, 0x2000)
        assert tlb.access(0x1000, t).level == TlbLevel.MISS
        assert tlb.access(0x1000, t, access=Access.WRITE).level == level
        assert tlb.access(0x1000, t, access=Access.FETCH).level == TlbLevel.MAIN
        assert bool(tlb.entries(TlbArray.STORE)) == (level == TlbLevel.MAIN)


def test_an_entry_of_an_asid_hits_only_there_and_a_global_one_everywhere() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    own, shared = page(0x1000, 0x2000), page(0x3000, 0x4000, flags=Flag.NONE)
    for va, t in ((0x1000, own), (0x3000, shared)):
        tlb.access(va, t, asid=1)
    assert tlb.access(0x1000, own, asid=2).level == TlbLevel.MISS
    assert tlb.access(0x3000, shared, asid=2).level == TlbLevel.MICRO
    assert tlb.access(0x1000, own, asid=1).level == TlbLevel.MICRO
    assert tlb.stats().asid_switches == 3  # 0 to 1, 1 to 2, 2 to 1
    assert tlb.invalidate(TlbInvalidate.ASID, asid=1) == 1
    assert {(e.va, e.asid, e.is_global) for e in tlb.entries()} == {(0x1000, 2, False), (0x3000, 1, True)}


def test_a_block_is_one_entry_of_the_main_tlb_and_goes_as_a_whole() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    base, size = 0x4020_0000, 2 * MIB

    def block(va: int) -> Translation:
        return page(va, 0x8020_0000 + va - base, size=size, level=2, descriptor=0x8020_0001)

    levels = [tlb.access(base + n * 4 * KIB, block(base + n * 4 * KIB)).level for n in range(8)]
    assert levels == [TlbLevel.MISS] + [TlbLevel.MAIN] * 7
    (entry,) = tlb.entries()
    assert (entry.va, entry.pa, entry.size, entry.leaf_size) == (base, 0x8020_0000, size, size)
    assert {(e.va - base, e.pa - 0x8020_0000, e.size) for e in tlb.entries(TlbArray.LOAD)} == {
        (n * 4 * KIB, n * 4 * KIB, 4 * KIB) for n in range(8)
    }
    assert tlb.invalidate(TlbInvalidate.MVA, base + MIB) == 1
    assert tlb.entries(TlbArray.LOAD) == []


def test_a_main_tlb_without_the_size_keeps_pieces_that_go_together() -> None:
    tlb = Tlb(read_core("cortex-a9"))  # no entries of 2 MB
    base = 0x4000_0000
    for va in (base, base + MIB):
        t = page(va, va, size=2 * MIB, level=2)
        assert tlb.access(va, t).level == TlbLevel.MISS
    assert [e.size for e in tlb.entries()] == [MIB, MIB]
    assert tlb.invalidate(TlbInvalidate.MVAA, base) == 2


def test_a_walk_with_its_table_in_the_walk_cache_reads_one_descriptor() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    results = [tlb.access(va, page(va, va)) for va in (0, 0x1000, MIB, MIB + 0x1000)]
    assert [r.walk_cached for r in results] == [False, True, False, True]
    assert {r.cycles for r in results} == {12 + 9}
    tlb.invalidate(TlbInvalidate.MVA, 0x1000)
    assert not tlb.access(0x2000, page(0x2000, 0)).walk_cached
    assert tlb.access(MIB + 0x2000, page(MIB + 0x2000, 0)).walk_cached


@pytest.mark.parametrize("fault", [Fault.TRANSLATION, Fault.ACCESS_FLAG, Fault.EXTERNAL_WALK])
def test_a_fault_without_a_leaf_is_never_kept(fault: Fault) -> None:
    tlb = Tlb(read_core("cortex-a15"))
    for _ in range(2):
        assert tlb.access(0x1000, page(0x1000, 0, fault=fault)).level == TlbLevel.MISS
    assert (tlb.entries(), tlb.stats().faults) == ([], 2)


def test_a_permission_fault_has_a_leaf_and_is_kept_with_the_rights_of_both_privileges() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    t = page(0x1000, 0x2000, fault=Fault.PERMISSION, prot=Prot.NONE, prot_other=RW)
    tlb.access(0x1000, t, access=Access.WRITE, privileged=False)
    (entry,) = tlb.entries()
    assert (entry.prot, entry.prot_user) == (RW, Prot.NONE)


def test_with_the_mmu_off_no_tlb_is_asked() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    assert tlb.access(0, page(0, 0, flags=Flag.MMU_OFF)).level == TlbLevel.OFF
    assert sum(tlb.stats().lookups) == 0


def test_an_entry_that_the_main_tlb_evicts_leaves_the_micro_tlbs_and_that_is_reported() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    sets = 512 // 4
    with dropped_by(tlb) as dropped:
        for n in range(5):  # four ways, round robin: the first goes
            va = n * sets << 12
            tlb.access(va, page(va, va), asid=7)
        assert dropped == [(TlbArray.LOAD, 0, 7)]
        assert 0 not in {e.va for e in [*tlb.entries(), *tlb.entries(TlbArray.LOAD)]}
        assert tlb.stats().evictions == 1
        tlb.invalidate(TlbInvalidate.ALL)
        assert len(dropped) == 1


def test_an_entry_that_makes_room_in_a_micro_tlb_is_reported_with_its_array() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    with dropped_by(tlb) as dropped:
        for access in (Access.FETCH, Access.WRITE):
            for n in range(33):
                tlb.access(n << 12, page(n << 12, 0), access=access)
        assert dropped == [(TlbArray.INSTRUCTION, 0, 0), (TlbArray.STORE, 0, 0)]
    assert [tlb.holds(which, 0) for which in TlbArray] == [False, False, False, True, True]


def test_maintenance_of_an_address_reports_the_other_pieces_of_its_leaf() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    size = 2 * MIB
    for va in (0, 0x1000, 0x2000, size):
        tlb.access(va, page(va, va, size=size, level=2))
    with dropped_by(tlb) as dropped:
        tlb.invalidate(TlbInvalidate.MVA, 0x1004)
        assert dropped == [(TlbArray.LOAD, 0, 0), (TlbArray.LOAD, 0x2000, 0)]


@pytest.mark.parametrize(("name", "maintenance", "context"), [("cortex-a15", 1, 2), ("cortex-a7", 0, 0)])
def test_some_cores_empty_their_micro_tlbs_at_maintenance_and_changes_of_context(
    name: str, maintenance: int, context: int
) -> None:
    tlb = Tlb(read_core(name))
    for changes, left in (
        (lambda: tlb.invalidate(TlbInvalidate.MVA, 0), maintenance),
        (tlb.context_changed, context),
    ):
        for va in (0, 0x1000):
            tlb.access(va, page(va, va))
        changes()
        assert len(tlb.entries(TlbArray.LOAD)) == left
    assert {e.va for e in tlb.entries()} == {0, 0x1000}


STALE = [
    ({"to": 0x7000, "descriptor": 0x7003}, True),
    ({"fault": Fault.TRANSLATION, "descriptor": 0, "size": 0}, True),
    ({"prot": Prot.READ, "descriptor": 0x2083}, True),
    ({"attr": 0x04, "descriptor": 0x2007}, True),
    ({"flags": Flag.NONE, "descriptor": 0x2803}, True),
    ({"descriptor": 0x2003 | 1 << 55}, False),  # a software bit
    ({"prot": Prot.READ}, False),  # the same descriptor under another DACR
    ({}, False),
]


@pytest.mark.parametrize(("changes", "stale"), STALE)
def test_a_hit_is_stale_where_the_tables_say_something_else(changes: dict[str, object], stale: bool) -> None:
    changes = dict(changes)
    tlb = Tlb(read_core("cortex-a15"))
    tlb.access(0x1000, page(0x1000, 0x2000), asid=3)
    fresh = page(0x1000, changes.pop("to", 0x2000), **changes)  # type: ignore[arg-type]
    assert not tlb.access(0x1000, fresh, asid=3).stale  # not watched yet
    tlb.detect_stale()
    result = tlb.access(0x1000, fresh, asid=3, access=Access.WRITE)
    assert (result.level, result.stale) == (TlbLevel.MAIN, stale)
    assert tlb.stats().stale == stale
    if stale:
        (hit,) = tlb.stale_hits()
        assert (hit.va, hit.asid, hit.access, hit.ordinal) == (0x1000, 3, Access.WRITE, 3)
        assert (hit.old_descriptor, hit.new_descriptor) == (0x2003, fresh.descriptor)
        assert (hit.old_pa, hit.fault) == (0x2000, fresh.fault)


def test_a_missing_invalidate_is_found_in_a_replay_and_none_where_it_was_not_missing() -> None:
    with Memory() as memory:
        memory.add_ram(0x4000_0000, 16 * MIB)
        built = PageTables(memory, "lpae", pool_base=0x4000_0000, pool_size=MIB)
        for n in range(100):
            built.map(n << 12, 0x4080_0000 + (n << 13), 4 * KIB, ng=True)
        tlb = Tlb(read_core("cortex-a7"))
        tlb.detect_stale()
        pages = [n << 12 | 8 for n in range(100)]
        tlb.replay(memory, built.regime, pages)
        for n in range(100):
            built.map(n << 12, 0x4080_1000 + (n << 13), 4 * KIB, ng=True)
            if n >= 70:
                tlb.invalidate(TlbInvalidate.MVA, n << 12)
        tlb.replay(memory, built.regime, pages)
        hits = tlb.stale_hits()
        assert tlb.stats().stale == 70
        assert [hit.va >> 12 for hit in hits] == list(range(70 - 64, 70))
        assert all(hit.new_pa - hit.old_pa == 0x1000 for hit in hits)


def test_arrays_that_do_not_fit_are_refused() -> None:
    tlb = Tlb(read_core("cortex-a15"))
    with Memory() as memory:
        memory.add_ram(0x4000_0000, 16 * MIB)
        regime = PageTables(memory, "lpae").regime
        with pytest.raises(ValueError, match="asids: 1 values for 2 addresses"):
            tlb.replay(memory, regime, [0, 1], asids=[1])
        with pytest.raises(ValueError, match="only values of Access"):
            tlb.replay(memory, regime, [0], accesses=[3])
