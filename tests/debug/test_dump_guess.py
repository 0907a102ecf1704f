"""Tables of a kernel are found in memory alone, and it is said what speaks for them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pyemu.config import MachineConfig, UserError
from pyemu.debug import LiveTarget, Session
from pyemu.debug.dump import DumpTarget, find_tables, open_dump
from pyemu.machine import Machine
from pyemu.mem import Memory
from pyemu.mmu import translate
from tests.debug.cores import MIB, RAM, Load, like_linux, make_core, note, prstatus, raw_guest
from tests.mmu.dump_cases import dump

ROOT = RAM + 8 * MIB
PC, SP = 0xC000_0100, 0xC010_0000


def registers_at(pc: int, sp: int) -> bytes:
    return note(b"CORE", 1, prstatus((*range(13), sp, 0, pc, 0x6000_0093, 0)))


@pytest.mark.parametrize("format", ["lpae", "short"])
def test_the_tables_of_a_raw_image_are_found(format: str, tmp_path: Path) -> None:
    regime = raw_guest(tmp_path / "ram", format)
    with open_dump(tmp_path / "ram", ram_base=RAM, find_pgd=True) as target:
        best = target.guesses[0]
        assert (best.pa, best.format) == (ROOT, "long" if format == "lpae" else "short")
        for va in (0xC000_0000, 0xC0FF_FFFF, 0xFFFF_0ABC, 0xC100_0000, 0x1000):
            ours, real = (translate(target.memory, r, va) for r in (target.regime(0), regime))
            assert (ours.pa, ours.fault, ours.level) == (real.pa, real.fault, real.level), hex(va)


def test_reasons_name_what_was_seen(tmp_path: Path) -> None:
    raw_guest(tmp_path / "ram", "lpae")
    notes = registers_at(PC, SP)
    (tmp_path / "core").write_bytes(make_core([Load(RAM, (tmp_path / "ram").read_bytes())], notes))
    with open_dump(tmp_path / "core", find_pgd=True) as target:
        reasons = "\n".join(target.guesses[0].lines)
        assert target.registers(0)["pc"] == PC
    for expected in (
        "long descriptors at 0x40800000",
        "PC of CPU 0, 0xc0000100, is code at 0x40000100",
        "SP of CPU 0, 0xc0100000, is writable memory at 0x40100000",
        "maps itself, at 0xc0800000",
        "maps 16M of memory in one piece, 0xc0000000 to 0x40000000",
        "the vectors at 0xffff0000 can be executed",
    ):
        assert expected in reasons


def test_vmcoreinfo_decides_between_equals() -> None:
    """Two tables that map the same: only one is where VMCOREINFO says."""
    with Memory() as memory:
        memory.add_ram(RAM, 16 * MIB)
        like_linux(memory, "lpae", ROOT)
        like_linux(memory, "lpae", ROOT + 2 * MIB)
        content = f"OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)={0xC000_0000 + 10 * MIB:x}\n".encode()
        memory.write(RAM + 0x7000, note(b"VMCOREINFO", 0, content))
        found = find_tables(memory)
    assert [c.pa for c in found[:2]] == [ROOT + 2 * MIB, ROOT]
    assert found[0].score == found[1].score + 100
    assert "VMCOREINFO has swapper_pg_dir at 0xc0a00000" in found[0].reasons[0]


def test_tables_whose_pc_is_not_mapped_come_last() -> None:
    with Memory() as memory:
        memory.add_ram(RAM, 16 * MIB)
        like_linux(memory, "short", ROOT)
        other = like_linux(memory, "short", ROOT + 2 * MIB)
        other.map(0x8000_0000, RAM, 4096)
        found = find_tables(memory, [{"pc": 0x8000_0010, "sp": 0xC000_0000, "cpsr": 0x13}])
    assert found[0].pa == ROOT + 2 * MIB
    assert any("-20: PC of CPU 0, 0x80000010, is not mapped to code" in c.reasons for c in found[1:])


def test_random_memory_has_no_tables(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(random.Random(1).randbytes(4 * MIB))
    with pytest.raises(UserError, match="nothing in this memory looks like page tables"):
        open_dump(tmp_path / "ram", ram_base=RAM, find_pgd=True)


@pytest.mark.parametrize("name", ["rt-armmp-1G-svc", "uboot-1G", "aavmf32-1G"])
def test_tables_of_real_software_are_found_among_its_own(name: str) -> None:
    """1 GB of RAM that holds nothing but the recorded tables: TTBR0 of Linux (short), U-Boot, UEFI."""
    case = dump(name)
    with Memory() as memory:
        memory.add_ram(RAM, 1 << 30)
        for pa, data in case.runs():
            memory.write(pa, data)
        registers = {name: int(value, 16) for name, value in case.info["regs"].items()}
        found = find_tables(memory, [registers])
    best = found[0]
    assert best.pa == case.regime.ttbr0 & (0xFF_FFFF_F000 if case.long_format else 0xFFFF_C000)
    assert best.format == ("long" if case.long_format else "short")


def test_registers_that_are_known_stay(tmp_path: Path) -> None:
    raw_guest(tmp_path / "ram", "lpae")
    (tmp_path / "core").write_bytes(
        make_core([Load(RAM, (tmp_path / "ram").read_bytes())], registers_at(PC, SP) * 2)
    )
    with open_dump(tmp_path / "core", find_pgd=True) as target:
        assert target.cpus == 2
        assert target.regime(0) == target.regime(1)
        assert target.registers(1)["sp"] == SP


def test_the_command_pgd_says_what_was_found(tmp_path: Path) -> None:
    raw_guest(tmp_path / "ram", "short")
    with Session(open_dump(tmp_path / "ram", ram_base=RAM, find_pgd=True)) as session:
        assert isinstance(session.target, DumpTarget)
        assert session.execute("pgd").found == session.target.guesses
        assert session.execute("pgd").lines[0].startswith("short descriptors at 0x40800000, ")


def test_a_live_machine_can_be_searched() -> None:
    """Its tables are found where most of memory was never touched, the root's first page among it."""
    with Machine(MachineConfig(memory_bytes=16 << 30)) as machine:
        like_linux(machine.mem, "short", ROOT)
        with Session(LiveTarget(machine)) as session:
            assert session.execute("pgd").found[0].pa == ROOT


def test_a_memory_without_tables_says_so() -> None:
    with Machine(MachineConfig(memory_bytes=16 * MIB)) as machine, Session(LiveTarget(machine)) as session:
        assert session.execute("pgd").lines == ["nothing in this memory looks like page tables of a kernel"]
