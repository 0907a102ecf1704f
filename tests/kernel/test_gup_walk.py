"""The fast walk against a walk of the same tables in plain Python, on tables that hold anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyemu.config import GIB
from pyemu.kernel import Gfp, Kernel, KernelConfig, PageInfo
from pyemu.kernel.context import read_context
from pyemu.kernel.gup import Foll, GupCall, GupStop, get_user_pages, put_pages, unpin_pages
from pyemu.kernel.kmap import windows
from pyemu.kernel.memory import PageFlag
from pyemu.kernel.process import Map, spawn
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
TABLES = 3
PAGES = TABLES * 512
BIAS = 1024
# The model has a loop for runs of plain entries, and one that looks at each.
LOOPS: dict[str, dict[str, Any]] = {
    "runs": {"functional": True},
    "one by one": {"timing": "cache", "core": "cortex-a15"},
}


# ---- a world: a process, and frames of each kind for its entries ----


@dataclass
class World:
    kernel: Kernel
    tables: UserTables
    frames: dict[str, list[int]]
    table_entries: list[int]
    pte: int  # of a page that may be read and written
    pmd: int  # of a block that may be

    def page(self, pfn: int) -> PageInfo:
        return self.kernel.page(pfn)


def make_world(**options: Any) -> World:
    kernel = Kernel(KernelConfig(memory_bytes=GIB, high_get="on", **options))
    process = spawn(kernel, "walk")
    process.mmap(8 * PMD_SIZE, ADDR, flags=Map.PRIVATE | Map.FIXED | Map.NOHUGEPAGE)
    other = ADDR + 4 * PMD_SIZE
    process.touch(ADDR, TABLES * PMD_SIZE, write=True, stride=PMD_SIZE)
    process.touch(other, 24 * PAGE, write=True)
    tables = UserTables(kernel, process)
    shared = [tables.pfn(other + page * PAGE) for page in range(12)]
    child = process.fork()
    child.exit()
    process.fork()
    process.touch(other + 12 * PAGE, 12 * PAGE, write=True)
    process.run()
    huge = kernel.alloc_pages(9, Gfp.HIGHMEM | Gfp.COMP)
    zero = process.mmap(PAGE)
    process.touch(zero)
    frames = {
        "own": [tables.pfn(other + page * PAGE) for page in range(12, 24)],
        "shared": shared,
        "low": kernel.alloc_bulk(8),
        "run": kernel.alloc_bulk(600, 0, Gfp.HIGHMEM),
        "huge": list(range(huge, huge + 512)),
        "zero": [tables.pfn(zero)],
        "outside": [0, 0x3FFFF, 0x80000, 0xFFFFFFF],
        "kernel": [0x40400],
    }
    frames["free"] = [kernel.alloc_pages(0, Gfp.HIGHMEM)]
    kernel.free_pages(frames["free"][0])
    entry = tables.read_pte(other + 13 * PAGE) & ~ADDRESS
    return World(
        kernel,
        tables,
        frames,
        [tables.read_pmd(ADDR + number * PMD_SIZE) for number in range(TABLES)],
        entry,
        entry & ~TABLE,
    )


@pytest.fixture(scope="module", params=LOOPS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = make_world(**LOOPS[request.param])
    yield made
    made.kernel.close()


# ---- the walk in Python ----


@dataclass
class Walk:
    """gup_fast_pgd_range over tables as they are in guest RAM; references are counted by head."""

    world: World
    call: GupCall
    flags: Foll
    got: list[int] = field(default_factory=list)
    stop: GupStop = GupStop.NONE
    stop_address: int = 0
    references: Counter[int] = field(default_factory=Counter)

    def run(self, start: int, pages: int) -> Walk:
        addr, end = start, start + pages * PAGE
        while addr < end:
            border = min((addr // PMD_SIZE + 1) * PMD_SIZE, end)
            why = self._pmd(addr, border)
            if why is not None:
                break
            addr = border
        return self

    def _stop(self, why: GupStop, addr: int) -> GupStop:
        self.stop, self.stop_address = why, addr
        return why

    def _pmd(self, addr: int, end: int) -> GupStop | None:
        pmd = self.world.tables.read_pmd(addr)
        if not pmd & VALID:
            return self._stop(GupStop.PMD_ABSENT, addr)
        if not pmd & TABLE:
            return self._block(pmd, addr, end)
        table = (pmd & ADDRESS) >> 12
        if not self._is_ram(table):
            return self._stop(GupStop.PTE_TABLE, addr)
        for at in range(addr, end, PAGE):
            why = self._entry(self.world.tables.read_pte(at), at)
            if why is not None:
                return self._stop(why, at)
        return None

    def _block(self, pmd: int, addr: int, end: int) -> GupStop | None:
        count = (end - addr) // PAGE
        first = (pmd & ADDRESS & ~(PMD_SIZE - 1)) >> 12
        if self.flags & Foll.WRITE and pmd & RDONLY:
            return self._stop(GupStop.PMD_ACCESS, addr)
        if not self._is_ram(first) or not self._is_ram(first + 511):
            return self._stop(GupStop.FOLIO, addr)
        pfn = first + (addr >> 12 & 511)
        if not self._take(pfn, count):
            return self._stop(GupStop.FOLIO, addr)
        if pmd & RDONLY and self._must_unshare(self._head(pfn), self._head(pfn)):
            self._give(pfn, count)
            return self._stop(GupStop.UNSHARE, addr)
        self.got += range(pfn, pfn + count)
        return None

    def _entry(self, pte: int, addr: int) -> GupStop | None:
        if pte & PRESENT != PRESENT or not pte & USER or (self.flags & Foll.WRITE and pte & RDONLY):
            return GupStop.PTE_ACCESS
        if pte & SPECIAL:
            return GupStop.PTE_SPECIAL
        pfn = (pte & ADDRESS) >> 12
        if not self._is_ram(pfn) or not self._take(pfn, 1):
            return GupStop.FOLIO
        if not self._allowed(pfn):
            self._give(pfn, 1)
            return GupStop.NOT_ALLOWED
        if pte & RDONLY and self._must_unshare(pfn, self._head(pfn)):
            self._give(pfn, 1)
            return GupStop.UNSHARE
        self.got.append(pfn)
        return None

    def _is_ram(self, pfn: int) -> bool:
        return 0x40000 <= pfn < 0x40000 + GIB // PAGE

    def _head(self, pfn: int) -> int:
        huge = self.world.frames["huge"]
        return huge[0] if pfn in huge else pfn

    def _take(self, pfn: int, count: int) -> bool:
        if self.call.pins and pfn in self.world.frames["zero"]:
            return True
        if self.world.page(self._head(pfn)).refcount <= 0:
            return False
        self.references[self._head(pfn)] += count
        return True

    def _give(self, pfn: int, count: int) -> None:
        if not (self.call.pins and pfn in self.world.frames["zero"]):
            self.references[self._head(pfn)] -= count

    def _allowed(self, pfn: int) -> bool:
        if not (self.call.pins and self.flags == Foll.WRITE | Foll.LONGTERM):
            return True
        return pfn not in (*self.world.frames["kernel"], *self.world.frames["zero"])

    def _must_unshare(self, page: int, head: int) -> bool:
        if not self.call.pins or self.flags & Foll.WRITE:
            return False
        if PageFlag.ANON not in PageFlag(self.world.page(head).flags):
            return bool(self.flags & Foll.LONGTERM)
        return PageFlag.EXCLUSIVE not in PageFlag(self.world.page(page).flags)


# ---- tables that hold anything ----

ODD_BITS = st.sampled_from([RDONLY, RDONLY, SPECIAL, VALID, TABLE, USER, 1 << 10, 1 << 55, 1 << 57])


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[int, str, int, int]]:
    """(page, kind of frame, which, bits to flip); runs of pages that touch come first."""
    return draw(
        st.lists(
            st.tuples(
                st.integers(0, PAGES - 1),
                st.sampled_from(["own", "own", "shared", "low", "huge", "free", "zero", "outside", "kernel"]),
                st.integers(0, 511),
                st.one_of(st.just(0), st.just(0), ODD_BITS),
            ),
            max_size=12,
        )
    )


PMDS = st.sampled_from(["table", "table", "table", "block", "read-only block", "gone", "outside", "past"])


def fill(world: World, start: int, changed: list[tuple[int, str, int, int]], kinds: list[str]) -> None:
    """Every table maps a run of frames, but for what is changed."""
    run = world.frames["run"]
    for number in range(TABLES):
        world.tables.write_pmd(ADDR + number * PMD_SIZE, world.table_entries[number])
    for number in range(TABLES):
        entries = b"".join(
            (world.pte | run[(start + number * 512 + at) % len(run)] << 12).to_bytes(8, "little")
            for at in range(512)
        )
        pa = world.tables.pte(ADDR + number * PMD_SIZE)
        assert pa is not None
        world.kernel.memory.write(pa, entries)
    for page, kind, which, bits in changed:
        frames = world.frames[kind]
        value = (world.pte | frames[which % len(frames)] << 12) ^ bits
        world.tables.write_pte(ADDR + page * PAGE, value)
    huge = world.frames["huge"][0]
    for number, kind in enumerate(kinds):
        value = {
            "table": world.table_entries[number],
            "block": world.pmd | huge << 12,
            "read-only block": world.pmd | huge << 12 | RDONLY,
            "gone": 0,
            "outside": PRESENT | 0x1000,
            "past": world.pmd | 0x8000_0000,
        }[kind]
        world.tables.write_pmd(ADDR + number * PMD_SIZE, value)


def counts(world: World, walk: Walk) -> dict[int, tuple[int, int]]:
    pages = {pfn: world.page(pfn) for pfn in walk.references}
    return {pfn: (page.refcount, page.pincount) for pfn, page in pages.items()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changed=changes(),
    kinds=st.lists(PMDS, min_size=TABLES, max_size=TABLES),
    shift=st.integers(0, 599),
    first=st.integers(0, PAGES - 1),
    pages=st.integers(1, PAGES),
    call=st.sampled_from([GupCall.GUP_FAST_ONLY, GupCall.PIN_FAST_ONLY]),
    flags=st.sampled_from([Foll.NONE, Foll.WRITE, Foll.LONGTERM, Foll.WRITE | Foll.LONGTERM]),
)
def test_the_fast_walk_is_the_plain_one(
    world: World,
    changed: list[tuple[int, str, int, int]],
    kinds: list[str],
    shift: int,
    first: int,
    pages: int,
    call: GupCall,
    flags: Foll,
) -> None:
    if not call.pins:
        flags &= ~Foll.LONGTERM
    pages = min(pages, PAGES - first)
    fill(world, shift, changed, kinds)
    start = ADDR + first * PAGE
    expected = Walk(world, call, flags).run(start, pages)
    before, context = counts(world, expected), read_context(world.kernel)
    result = get_user_pages(world.kernel, call, start, pages, flags=flags)
    assert (list(result.pfns), result.stop, result.stop_address) == (
        expected.got,
        expected.stop,
        expected.stop_address,
    )
    after = counts(world, expected)
    for pfn, count in expected.references.items():
        large = pfn in world.frames["huge"]
        refs = count * (BIAS if call.pins and not large else 1)
        pins = count if call.pins and large else 0
        assert after[pfn] == (before[pfn][0] + refs, before[pfn][1] + pins)
    (unpin_pages if call.pins else put_pages)(world.kernel, result.pfns)
    assert counts(world, expected) == before
    assert read_context(world.kernel) == context
    assert not any(slot.pte for slot in windows(world.kernel))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=8),
    pmds=st.lists(st.integers(0, (1 << 64) - 1), min_size=TABLES, max_size=TABLES),
    call=st.sampled_from(GupCall),
)
def test_no_table_leads_outside(world: World, entries: list[int], pmds: list[int], call: GupCall) -> None:
    """Tables of any bits end in a result."""
    fill(world, 0, [], ["table"] * TABLES)
    for at, entry in enumerate(entries):
        world.tables.write_pte(ADDR + at * PAGE, entry)
    for number in range(1, TABLES):
        world.tables.write_pmd(ADDR + number * PMD_SIZE, pmds[number])
    if call in (GupCall.GUP_FAST_ONLY, GupCall.PIN_FAST_ONLY):
        result = get_user_pages(world.kernel, call, ADDR, PAGES)
        (unpin_pages if call.pins else put_pages)(world.kernel, result.pfns)
    assert read_context(world.kernel).kmap_depth == 0
