"""``pt``, its filters and its tree, ``alias``, ``diff`` and ``w+x`` on hand-made and on real tables."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from pyemu.config import MachineConfig, UserError
from pyemu.debug import LiveTarget, Session
from pyemu.debug.commands.tables import FILTERS, Difference, Listing, diff, pt
from pyemu.debug.commands.tables_alias import Aliases, alias
from pyemu.debug.linux import LINUX_COPY, linux_layout
from pyemu.debug.tree import Tree, table_tree
from pyemu.machine import Machine
from pyemu.mem import Memory
from pyemu.mmu import PageTables, mapped_ranges, walk
from tests.debug.targets import TableTarget, dump_memory, dump_regime, dump_session
from tests.mmu.dump_cases import NAMES, dump

RAM, MIB, PAGE = 0x4000_0000, 1 << 20, 4096
LINE = re.compile(r"0x([0-9a-f]{8})-0x([0-9a-f]{8}) {3} *(\d+)([KMG]) (PTE|PMD|PGD) ")
REAL = [name for name in NAMES if not name.startswith("synth")]
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def made(form: str) -> tuple[Session, PageTables, Memory]:
    memory = Memory()
    memory.add_ram(RAM, 16 * MIB)
    tables = PageTables(memory, form, RAM, 4 * MIB)
    tables.map(0x4000_0000, RAM, 2 * MIB)
    tables.map(0x8000_0000, RAM + 8 * MIB, 3 * PAGE, write=False, execute=False, user=True, ng=True)
    tables.map(0x8000_3000, RAM + 9 * MIB, PAGE, write=False, execute=False, user=True, ng=True)
    tables.map(0x9000_0000, 0x0900_0000, PAGE, memory="device", execute=False)
    return Session(TableTarget(memory, tables.regime)), tables, memory


def listing(session: Session, line: str) -> Listing:
    found = session.execute(line)
    assert isinstance(found, Listing)
    return found


@pytest.mark.parametrize("name", REAL)
def test_lines_of_real_tables_add_up_to_what_is_mapped(name: str) -> None:
    """Sizes as printed, in the kernel's layout, against the ranges and the total that is said."""
    session = dump_session(dump(name))
    found = listing(session, "pt")
    parsed = [match for match in (LINE.match(line) for line in found.lines) if match]
    total = sum(int(match[3]) * UNITS[match[4]] for match in parsed)
    assert total == sum(r.size for r in mapped_ranges(session.memory, session.regime) if not r.outside)
    assert f"{total:#x} bytes" in found.lines[-1]
    for match in parsed:
        span = (int(match[2], 16) - int(match[1], 16)) % (1 << 32) or 1 << 32
        assert span == int(match[3]) * UNITS[match[4]]


@pytest.mark.parametrize("name", ["8G-usr", "1G-svc", "rt-armmp-1G-usr"])
def test_a_linux_is_known_by_its_tables_and_gets_its_markers(name: str) -> None:
    session = dump_session(dump(name))
    lines = listing(session, "pt --kernel").lines
    markers = [line for line in lines if line.startswith("---[")]
    assert markers[0] == "---[ Modules ]---"
    assert "---[ Kernel Mapping ]---" in markers
    assert "---[ vmalloc() Area ]---" in markers
    assert markers[-1] == "---[ Vectors End ]---"
    user = listing(session, "pt --user")
    kernel = listing(session, "pt --kernel")
    assert user.mapped + kernel.mapped == listing(session, "pt").mapped
    assert all(r.end <= 0xBF00_0000 for r in user.ranges)


def test_tables_of_other_guests_are_not_taken_for_linux() -> None:
    linux = {name for name in NAMES if linux_layout(dump_session(dump(name)))}
    assert linux == {name for name in REAL if name.endswith(("-usr", "-svc"))}


@pytest.mark.parametrize("form", ["lpae", "short"])
def test_columns_are_those_of_the_kernels_dump(form: str) -> None:
    session, _, _ = made(form)
    lines = listing(session, "pt").lines
    assert re.search(r"^0x40000000-0x40200000 +2M (PMD|PGD).* RW x  SHD MEM/CACHED/WBWA", lines[0])
    assert re.search(r"^0x80000000-0x80004000 +16K PTE.* USR ro NX SHD MEM/CACHED/WBWA nG", lines[1])
    assert re.search(r"^0x90000000-0x90001000 +4K PTE.*     RW NX SHD DEV/SHARED", lines[2])


def test_physical_addresses_cut_ranges_where_they_do_not_go_on() -> None:
    session, _, _ = made("lpae")
    found = listing(session, "pt 0x80000000-0x90000000 --pa")
    assert [(r.va, r.pa) for r in found.ranges] == [
        (0x8000_0000, RAM + 8 * MIB),
        (0x8000_3000, RAM + 9 * MIB),
    ]
    assert "-> 0x40900000" in found.lines[1]


@pytest.mark.parametrize("name", FILTERS)
def test_filters_and_what_they_leave_out_are_everything(name: str) -> None:
    session = dump_session(dump("8G-usr"))
    everything = set(listing(session, "pt").ranges)
    kept = set(listing(session, f"pt --filter {name}").ranges)
    assert kept == {r for r in everything if FILTERS[name](r)}


def test_filters_are_joined() -> None:
    session, _, _ = made("lpae")
    assert [r.va for r in listing(session, "pt --filter user,page").ranges] == [0x8000_0000]
    assert [r.va for r in listing(session, "w+x").ranges] == [0x4000_0000]
    with pytest.raises(UserError, match=r"no filter 'nonsense': there are w\+x"):
        session.execute("pt --filter nonsense")


def test_alias_finds_every_address_of_a_physical_page() -> None:
    session, tables, _ = made("lpae")
    tables.map(0xA000_0000, RAM + 8 * MIB + PAGE, PAGE, memory="device", execute=False)
    found = alias(session, RAM + 8 * MIB + PAGE + 0x10)
    assert isinstance(found, Aliases)
    assert [va for va, _ in found.at] == [0x8000_1010, 0xA000_0010]
    assert "mismatched" in found.lines[-1]
    assert alias(session, 0xFF_0000_0000).lines == ["0xff00000000 is mapped nowhere"]


@pytest.mark.parametrize("name", REAL)
def test_alias_knows_each_entry_of_the_tables(name: str) -> None:
    """By walks of what is mapped: the last entry of each is in a table of that level, over that address."""
    session = dump_session(dump(name))
    for r in islice(mapped_ranges(session.memory, session.regime), 40):
        last = walk(session.memory, session.regime, r.va).steps[-1]
        held = alias(session, last.descriptor_pa).tables
        assert any(each.level == last.level and each.va <= r.va < each.va + each.size for each in held)
        if name.startswith("rt-armmp") and last.level == 2:
            assert alias(session, last.descriptor_pa - LINUX_COPY).tables == held
            assert "Linux's copy of the level 2" in alias(session, last.descriptor_pa - LINUX_COPY).lines[-1]


def test_user_mappings_are_listed_while_the_kernel_is_kept_from_them() -> None:
    """CONFIG_CPU_TTBR0_PAN sets TTBCR.A1, EPD0 and T0SZ, and TTBR1 is for all (asm/uaccess-asm.h)."""
    case = dump("8G-usr")
    open_session, memory = dump_session(case), dump_memory(case)
    regime = dump_regime(case)
    level1 = regime.ttbr1 - 0x4000 & 0xFF_FFFF_F000  # swapper_pg_dir, before its four level 2 tables
    memory.add_ram(level1, PAGE)
    memory.write(level1 + 24, (level1 + 0x4000 | 3).to_bytes(8, "little"))
    closed = replace(regime, ttbcr=regime.ttbcr & ~(7 << 16) | 1 << 22 | 1 << 7 | 7, ttbr1=level1)
    session = Session(TableTarget(memory, closed))
    found, wanted = listing(session, "pt --user"), listing(open_session, "pt --user")
    assert found.lines[:-1] == wanted.lines
    assert "TTBCR.EPD0" in found.lines[-1]
    for r in wanted.ranges[:10]:
        assert alias(session, r.pa).at == alias(open_session, r.pa).at
    assert not walk(memory, closed, wanted.ranges[0].va).result.ok


def test_diff_shows_what_was_mapped_unmapped_and_changed_since() -> None:
    session, tables, _ = made("lpae")
    pt(session, save="before")
    assert diff(session, "before").pieces == ()
    tables.unmap(0x8000_0000, PAGE)
    tables.map(0xB000_0000, RAM + MIB, PAGE)
    tables.protect(0x9000_0000, PAGE, user=True)
    found = diff(session, "before")
    assert isinstance(found, Difference)
    assert [(piece.va, piece.size) for piece in found.pieces] == [
        (0x8000_0000, PAGE),
        (0x9000_0000, PAGE),
        (0xB000_0000, PAGE),
    ]
    assert [piece.line[0] for piece in found.pieces] == ["-", "~", "+"]
    assert diff(session, "before") == found


def test_a_block_that_is_split_into_equal_pages_differs_only_by_its_leaves() -> None:
    session, tables, _ = made("lpae")
    pt(session, save="before")
    tables.protect(0x4000_0000, PAGE, write=False)
    pieces = diff(session, "before").pieces
    assert sum(piece.size for piece in pieces) == 2 * MIB
    assert all(piece.before and piece.after for piece in pieces)


def test_diff_against_a_snapshot_file(tmp_path: Path) -> None:
    with Machine(MachineConfig(memory_bytes=64 * MIB)) as machine:
        tables = PageTables(machine, "lpae")
        tables.map(RAM, RAM, 2 * MIB)
        machine.reset(RAM)
        tables.activate()
        machine.snapshot(tmp_path / "before.snap")
        session = Session(LiveTarget(machine))
        assert diff(session, str(tmp_path / "before.snap")).pieces == ()
        tables.map(0x8000_0000, RAM, PAGE)
        (piece,) = diff(session, str(tmp_path / "before.snap")).pieces
        assert (piece.va, piece.before) == (0x8000_0000, None)
        with pytest.raises(UserError, match="neither a saved listing"):
            diff(session, "nothing")


def test_the_tree_has_each_table_with_its_entries() -> None:
    session, tables, _ = made("short")
    found = session.execute("pt --tree")
    assert isinstance(found, Tree)
    assert [(t.level, t.va, t.leaves) for t in found.tables] == [
        (1, 0, 2),
        (2, 0x8000_0000, 4),
        (2, 0x9000_0000, 1),
    ]
    assert found.tables[0].pa == tables.root


@pytest.mark.parametrize("name", REAL)
def test_leaves_of_the_tree_are_those_of_the_ranges(name: str) -> None:
    session = dump_session(dump(name))
    tree = table_tree(session.memory, session.regime)
    ranges = mapped_ranges(session.memory, session.regime)
    assert not tree.cut
    assert sum(t.leaves for t in tree.tables) == sum(r.descriptors for r in ranges if not r.outside)
