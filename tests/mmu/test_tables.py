"""Page tables managed from Python, judged by the walker and by a dictionary of pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.mem import Memory
from pyemu.mmu import Access, Attributes, Fault, Flag, PageTables, Prot

POOL, POOL_SIZE = 0x4000_0000, 8 << 20
KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
FORMATS = ("lpae", "short")
ATTR = {"so": 0x00, "device": 0x04, "nc": 0x44, "wt": 0xAA, "wb": 0xEE, "normal": 0xFF}


def tables(format: str, pool_size: int = POOL_SIZE) -> PageTables:
    memory = Memory()
    memory.add_ram(POOL, POOL_SIZE)
    return PageTables(memory, format, POOL, pool_size)


def sizes(t: PageTables, start: int = 0, end: int = 1 << 32) -> list[int]:
    return [mapping.size for mapping in t.mappings(start, end)]


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_mapped_at_first(format: str) -> None:
    t = tables(format)
    assert list(t.mappings()) == []
    assert t.lookup(0x1234) is None
    assert t.walk(0x1234).result.fault is Fault.TRANSLATION
    assert t.tables == (t.root,)


@pytest.mark.parametrize(
    ("format", "va", "pa", "size", "leaves"),
    [
        ("lpae", 0, 0, 4 * GB, [GB] * 4),
        ("lpae", 0x4000_0000, 0x40_0000_0000, 2 * GB, [GB] * 2),
        ("lpae", 0x4000_0000, 0x40_0020_0000, 4 * MB, [2 * MB] * 2),
        ("lpae", 0x4000_1000, 0x8000_1000, 4 * MB, [4 * KB] * 511 + [2 * MB] + [4 * KB]),
        ("lpae", 0x4000_0000, 0x8000_1000, 2 * MB, [4 * KB] * 512),
        ("short", 0, 0, 4 * GB, [16 * MB] * 256),
        ("short", 0x100_0000, 0x7F_0100_0000, 32 * MB, [16 * MB] * 2),
        ("short", 0x100_0000, 0x8010_0000, 2 * MB, [MB] * 2),
        ("short", 0xF0_0000, 0x80F0_0000, 18 * MB, [MB, 16 * MB, MB]),
        ("short", 0x1_0000, 0x8001_0000, 128 * KB, [64 * KB] * 2),
        ("short", 0x1_F000, 0x8001_F000, 72 * KB, [4 * KB, 64 * KB, 4 * KB]),
        ("short", 0x1_0000, 0x8000_1000, 64 * KB, [4 * KB] * 16),
    ],
)
def test_the_largest_leaves_that_fit_are_used(
    format: str, va: int, pa: int, size: int, leaves: list[int]
) -> None:
    t = tables(format)
    t.map(va, pa, size)
    assert sizes(t) == leaves
    for offset in (0, size // 2 + 0x123, size - 1):
        result = t.walk(va + offset).result
        assert (result.fault, result.pa) == (Fault.NONE, pa + offset)
    assert t.walk((va - 1) % (1 << 32)).result.fault is (Fault.NONE if size == 4 * GB else Fault.TRANSLATION)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [4 * KB, 64 * KB, MB, 2 * MB, 16 * MB, GB])
@pytest.mark.parametrize("memory", list(ATTR))
def test_attributes_by_name_are_what_the_walker_sees(format: str, size: int, memory: str) -> None:
    t = tables(format)
    va, pa = 0x4000_0000, 0x8000_0000
    for write in (True, False):
        for user in (True, False):
            for execute in (True, False):
                for pxn in (True, False):
                    t.map(
                        va, pa, size, memory=memory, write=write, user=user, execute=execute, pxn=pxn, ng=user
                    )
                    result = t.walk(va + size - 1).result
                    rw = Prot.READ | (Prot.WRITE if write else Prot.NONE)
                    assert result.prot == rw | (Prot.EXEC if execute and not pxn else Prot.NONE)
                    assert result.prot_other == (
                        rw | (Prot.EXEC if execute else Prot.NONE) if user else Prot.NONE
                    )
                    assert result.attr == ATTR[memory]
                    assert bool(result.flags & Flag.NG) == user
                    t.unmap(va, size)
    assert t.tables == (t.root,)


@pytest.mark.parametrize(("name", "code"), [("none", 0), ("outer", 2), ("inner", 3)])
def test_shareability_of_both_formats(name: str, code: int) -> None:
    long = tables("lpae")
    long.map(0, 0, 4 * KB, shareability=name)
    assert long.walk(0).result.shareability == code
    short = tables("short")
    if name == "outer":
        with pytest.raises(ValueError, match="shareability"):
            short.map(0, 0, 4 * KB, shareability=name)
    else:
        short.map(0, 0, 4 * KB, shareability=name)
        assert short.walk(0).result.shareability == code


def test_a_clear_access_flag_faults() -> None:
    t = tables("lpae")
    t.map(0x1000, 0, 4 * KB, accessed=False)
    assert t.walk(0x1000).result.fault is Fault.ACCESS_FLAG
    t.protect(0x1000, 4 * KB, accessed=True)
    assert t.walk(0x1000).result.ok


def test_short_domains_are_kept_per_megabyte() -> None:
    t = tables("short")
    t.map(0x10_0000, 0, MB, domain=3)
    t.map(0x20_0000, 0, 8 * KB, domain=5)
    assert t.walk(0x10_0000).result.domain == 3
    assert t.walk(0x20_0000).result.domain == 5
    with pytest.raises(ValueError, match=r"domain and pxn belong to the whole megabyte at 0x200000"):
        t.map(0x20_4000, 0, 4 * KB, domain=6)
    with pytest.raises(ValueError, match="whole megabyte"):
        t.protect(0x20_0000, 4 * KB, pxn=True)
    with pytest.raises(ValueError, match="whole megabyte"):
        t.map(0x10_4000, 0, 4 * KB, domain=4)
    t.protect(0x20_0000, 8 * KB, pxn=True, domain=6)
    result = t.walk(0x20_1000).result
    assert (result.domain, result.prot) == (6, Prot.READ | Prot.WRITE)
    assert sizes(t) == [MB, 4 * KB, 4 * KB]


def test_a_domain_keeps_mappings_from_being_supersections() -> None:
    t = tables("short")
    t.map(0, 0, 16 * MB, domain=2)
    assert sizes(t) == [MB] * 16
    t.map(0, 0, 16 * MB)
    assert sizes(t) == [16 * MB]
    t.protect(0, 16 * MB, domain=1)
    assert sizes(t) == [MB] * 16
    assert t.walk(0x12_3456).result.domain == 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_change_in_the_middle_breaks_large_leaves_up_and_keeps_the_rest(format: str) -> None:
    t = tables(format)
    va, size = 0x4000_0000, GB
    t.map(va, 0x8000_0000, size, user=True)
    hole, readonly = va + 5 * MB + 64 * KB, va + 300 * MB + 12 * KB
    t.unmap(hole, 4 * KB)
    t.protect(readonly, 4 * KB, write=False)
    for at in (va, hole - 1, hole + 4 * KB, readonly - 1, readonly + 4 * KB, va + size - 1):
        result = t.walk(at, Access.WRITE).result
        assert (result.fault, result.pa) == (Fault.NONE, at + 0x4000_0000)
    assert t.walk(hole).result.fault is Fault.TRANSLATION
    assert t.walk(readonly, Access.WRITE).result.fault is Fault.PERMISSION
    assert t.walk(readonly).result.pa == readonly + 0x4000_0000
    assert sum(sizes(t)) == size - 4 * KB
    t.unmap(va, size)
    assert t.tables == (t.root,)


@pytest.mark.parametrize("format", FORMATS)
def test_a_large_mapping_replaces_small_ones_and_frees_their_tables(format: str) -> None:
    t = tables(format)
    for page in range(0, 16 * MB, MB):
        t.map(page, 0x8000_0000, 4 * KB)
    used = len(t.tables)
    t.map(0, 0xC000_0000, 16 * MB)
    assert len(t.tables) < used
    assert sizes(t) == ([2 * MB] * 8 if format == "lpae" else [16 * MB])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("size", "shift"), [*product((64 * KB, MB, 2 * MB, 16 * MB), (4 * KB, 64 * KB, MB)), (GB, 2 * MB)]
)
def test_a_large_leaf_is_replaced_whole_by_what_a_less_aligned_address_allows(
    format: str, size: int, shift: int
) -> None:
    t = tables(format)
    t.map(0, 0x4000_0000, 3 * GB)
    t.map(GB, 0x8000_0000 + shift, size)
    for va, pa in ((GB - 1, 0x7FFF_FFFF), (GB, 0x8000_0000 + shift), (GB + size, 0x8000_0000 + size)):
        assert t.walk(va).result.pa == pa
    inside = list(t.mappings(GB, GB + size))
    assert sum(mapping.size for mapping in inside) == size
    assert all(mapping.pa - mapping.va == 0x4000_0000 + shift for mapping in inside)


def test_a_supersection_above_4_gb_is_never_broken_up() -> None:
    t = tables("short")
    t.map(0, 0x10_0000_0000, 32 * MB)
    before = list(t.mappings())
    for change in (
        lambda: t.unmap(0, MB),
        lambda: t.unmap(17 * MB, 64 * MB),
        lambda: t.map(4 * KB, 0, 4 * KB),
        lambda: t.protect(0, MB, write=False),
        lambda: t.protect(0, 16 * MB, domain=1),
    ):
        with pytest.raises(ValueError, match=r"above 4 GB|cannot be broken up"):
            change()
    assert list(t.mappings()) == before
    t.protect(0, 16 * MB, write=False)
    assert t.walk(0, Access.WRITE).result.fault is Fault.PERMISSION
    t.unmap(0, 16 * MB)
    assert sizes(t) == [16 * MB]


@pytest.mark.parametrize(
    ("format", "arguments", "attributes", "text"),
    [
        ("lpae", (1, 0, 4096), {}, "virtual range 0x1 \\+ 0x1000 is not in whole pages"),
        ("lpae", (0, 0, 5000), {}, "is not in whole pages"),
        ("lpae", (0, 1, 4096), {}, "physical address 0x1 is not a multiple of 4096"),
        ("lpae", (0, 0, 0), {}, "is empty"),
        ("lpae", (0xFFFF_F000, 0, 8192), {}, "leaves the 32-bit address space"),
        ("lpae", (-4096, 0, 4096), {}, "leaves the 32-bit address space"),
        ("lpae", (0, (1 << 40) - 4096, 8192), {}, "leaves the 40-bit address space"),
        (
            "short",
            (0, 1 << 32, 4096),
            {},
            "above 4 GB the short format maps only whole aligned supersections",
        ),
        ("short", (0, 1 << 32, 16 * MB), {"domain": 1}, "supersections of 16 MB in domain 0"),
        ("short", (0, (1 << 32) - MB, 2 * MB), {}, "above 4 GB"),
        ("lpae", (0, 0, 4096), {"memory": "cached"}, "memory type 'cached' is unknown; there are so, nc"),
        ("lpae", (0, 0, 4096), {"shareability": "all"}, "shareability 'all' is unknown"),
        ("lpae", (0, 0, 4096), {"colour": 1}, "attribute 'colour' is unknown"),
        ("lpae", (0, 0, 4096), {"read": False, "write": False}, "cannot forbid reads"),
        ("lpae", (0, 0, 4096), {"read": False}, "write without read"),
        ("lpae", (0, 0, 4096), {"domain": 1}, "the long format has no domains"),
        ("short", (0, 0, 4096), {"domain": 16}, "domain 16 does not exist"),
        ("short", (0, 0, 4096), {"accessed": False}, "no access flag"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_one_line(
    format: str, arguments: tuple[int, int, int], attributes: dict[str, Any], text: str
) -> None:
    t = tables(format)
    with pytest.raises(ValueError, match=text) as failure:
        t.map(*arguments, **attributes)
    assert "\n" not in str(failure.value)
    assert t.tables == (t.root,)
    assert list(t.mappings()) == []


def test_protect_names_the_first_address_that_is_not_mapped_and_changes_nothing() -> None:
    t = tables("lpae")
    t.map(0x1000, 0, 0x3000)
    with pytest.raises(ValueError, match="cannot protect 0x1000 \\+ 0x4000: 0x4000 is not mapped"):
        t.protect(0x1000, 0x4000, write=False)
    assert all(mapping.attributes.write for mapping in t.mappings())


@pytest.mark.parametrize("format", FORMATS)
def test_a_used_up_pool_says_so_and_freed_tables_are_used_again(format: str) -> None:
    small = tables(format, 16 * KB if format == "lpae" else 20 * KB)

    def fill() -> None:
        for step in range(32):
            small.map(step * 128 * MB, 0x8000_0000, 4 * KB)

    with pytest.raises(MemoryError, match=r"the table pool 0x40000000 \+ 0x\w+ is used up: \d tables"):
        fill()
    mapped = [mapping.va for mapping in small.mappings()]
    assert mapped
    for va in mapped:
        small.unmap(va, 4 * KB)
        small.map(va + 2 * MB, 0x8000_0000, 4 * KB)
        assert small.walk(va + 2 * MB).result.ok


@pytest.mark.parametrize(
    ("format", "base", "size", "text"),
    [
        ("lpae", 0x4000_0100, 8192, "not in whole pages"),
        ("lpae", 0x4000_0000, 0, "no room for a first-level table of 4096 bytes"),
        ("short", 0x4000_1000, 0x4000, "no room for a first-level table of 16384 bytes"),
        ("short", 0xFFFF_F000, 0x10000, "ends above 0x100000000"),
        ("x86", 0x4000_0000, 0x10000, "table format 'x86' is unknown; there are lpae, short"),
    ],
)
def test_a_pool_that_cannot_hold_tables_is_refused(format: str, base: int, size: int, text: str) -> None:
    memory = Memory()
    memory.add_ram(POOL, POOL_SIZE)
    with pytest.raises(ValueError, match=text):
        PageTables(memory, format, base, size)


class Watched(Memory):
    """Memory that tells of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.after_write: Callable[[], None] = lambda: None

    def write(self, pa: int, data: Any) -> None:
        super().write(pa, data)
        self.writes += 1
        self.after_write()


@pytest.mark.parametrize("format", FORMATS)
def test_tables_take_the_last_megabyte_of_ram_below_4_gb(format: str) -> None:
    for base, size, pool in (
        (POOL, POOL_SIZE, POOL + 7 * MB),
        (POOL, 8 * GB, 4 * GB - MB),
        (4 * GB - 2 * MB, 8 * MB, 4 * GB - MB),
    ):
        memory = Memory()
        memory.add_ram(0, 64 * MB, readonly=True)
        memory.add_ram(base, size)
        t = PageTables(memory, format)
        t.map(0x1234_5000, 0x8000_0000, 4 * KB)
        assert all(pool <= table < pool + MB for table in t.tables)
        assert t.walk(0x1234_5678).result.pa == 0x8000_0678
    flash = Memory()
    flash.add_ram(0, 64 * MB, readonly=True)
    with pytest.raises(ValueError, match="no RAM below 4 GB has 0x100000 bytes"):
        PageTables(flash, format)


def test_tables_in_a_memory_without_a_cpu_cannot_be_activated() -> None:
    with pytest.raises(ValueError, match="has no CPU"):
        tables("lpae").activate()


@pytest.mark.parametrize("format", FORMATS)
def test_pages_beside_a_change_translate_after_each_single_write(format: str) -> None:
    """A table is complete before a descriptor points to it, also when large leaves are broken up."""
    memory = Watched()
    memory.add_ram(POOL, MB)
    t = PageTables(memory, format, POOL, MB)
    t.map(0, 0x8000_0000, 64 * MB)
    beside = (0, 0x4FFF, 0x6000, 1 * MB, 16 * MB - 1, 16 * MB)

    def check() -> None:
        for va in beside:
            assert t.walk(va).result.pa == 0x8000_0000 + va

    memory.after_write = check
    writes = memory.writes
    t.protect(0x5000, 4 * KB, write=False)
    t.unmap(0x5000, 4 * KB)
    t.map(0x5000, 0x9000_0000, 4 * KB)
    assert memory.writes >= writes + 4


PAGE = 4 * KB
# The pages of the model: room for every leaf size, across the end of a gigabyte.
WINDOW, WINDOW_PAGES = 0x3F00_0000, 48 * MB // PAGE


@dataclass(frozen=True)
class Operation:
    """One change of ``pages`` pages from page ``first`` of the window; ``pa`` is used by map alone."""

    action: str
    first: int
    pages: int
    pa: int
    attributes: dict[str, Any]


def build(
    action: str, page: int, align: int, pages: int, offset: int | None, attributes: dict[str, Any]
) -> Operation:
    first = page // align * align
    va = WINDOW + first * PAGE
    pa = 0x8000_0000 + (va & 0xFF_FFFF if offset is None else offset * PAGE)
    return Operation(action, first, min(pages, WINDOW_PAGES - first), pa, attributes)


operations = st.builds(
    build,
    st.sampled_from(("map", "map", "unmap", "protect")),
    st.integers(0, WINDOW_PAGES - 1),
    st.sampled_from((1, 16, 256, 512, 4096)),
    st.sampled_from((1, 3, 16, 17, 256, 512, 600, 4096, 5000)),
    st.none() | st.integers(0, 1 << 14),
    st.fixed_dictionaries(
        {
            "memory": st.sampled_from(list(ATTR)),
            "write": st.booleans(),
            "user": st.booleans(),
            "execute": st.booleans(),
            "ng": st.booleans(),
            "shareability": st.sampled_from(("none", "inner")),
        }
    ),
)

Model = dict[int, tuple[int, Attributes]]


def apply(t: PageTables, model: Model, op: Operation) -> None:
    """The operation on the tables, and on the dictionary."""
    va, size, span = WINDOW + op.first * PAGE, op.pages * PAGE, range(op.first, op.first + op.pages)
    if op.action == "map":
        t.map(va, op.pa, size, **op.attributes)
        wanted = Attributes(**op.attributes)
        model.update({page: (op.pa + (page - op.first) * PAGE, wanted) for page in span})
    elif op.action == "unmap":
        t.unmap(va, size)
        for page in span:
            model.pop(page, None)
    elif all(page in model for page in span):
        t.protect(va, size, **op.attributes)
        for page in span:
            pa, old = model[page]
            model[page] = pa, replace(old, **op.attributes)
    else:
        with pytest.raises(ValueError, match="is not mapped"):
            t.protect(va, size, **op.attributes)


def check(t: PageTables, model: Model, page: int) -> None:
    """What the walker says of a page."""
    result = t.walk((WINDOW + page * PAGE + 0x7BC) % (1 << 32)).result
    if page not in model:
        assert result.fault is Fault.TRANSLATION
        return
    pa, a = model[page]
    rw = Prot.READ | (Prot.WRITE if a.write else Prot.NONE)
    x = Prot.EXEC if a.execute else Prot.NONE
    assert (result.fault, result.pa) == (Fault.NONE, pa + 0x7BC)
    assert (result.prot, result.prot_other) == (rw | x, (rw | x) if a.user else Prot.NONE)
    assert result.attr == ATTR[a.memory]
    assert bool(result.flags & Flag.NG) == a.ng


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60, deadline=None)
@given(st.lists(operations, max_size=12))
def test_tables_behave_like_a_dictionary_of_pages(format: str, script: list[Operation]) -> None:
    t = tables(format)
    model: Model = {}
    for op in script:
        apply(t, model, op)
        end = op.first + op.pages
        for page in (op.first - 1, op.first, (op.first + end) // 2, end - 1, end):
            check(t, model, page)
    flat = {
        (mapping.va + offset - WINDOW) // PAGE: (mapping.pa + offset, mapping.attributes)
        for mapping in t.mappings()
        for offset in range(0, mapping.size, PAGE)
    }
    assert flat == model
    for page in (0, *(op.first for op in script), WINDOW_PAGES):
        check(t, model, page)
    t.unmap(WINDOW, WINDOW_PAGES * PAGE)
    assert t.tables == (t.root,)
