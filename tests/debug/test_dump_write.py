"""A core that was written is what other tools expect, and reads back as the guest it was written of."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import pytest

from pyemu.config import MachineConfig, UserError
from pyemu.debug import LiveTarget
from pyemu.debug.dump import open_dump, write_core
from pyemu.machine import Machine
from pyemu.machine.registers import register_table
from pyemu.mem import Memory
from pyemu.mmu import PageTables, Regime, translate
from tests.conftest import ROOT, need_tool
from tests.debug.cores import MIB, RAM, Load, like_linux, make_core, note

GIB = 1 << 30
PAGE = 4096
ROOT_TABLE = RAM + 8 * MIB
SWAPPER_VA = 0xC000_0000 + 8 * MIB
INFO = f"OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)={SWAPPER_VA:x}\nCONFIG_ARM_LPAE=y\n".encode()


def linux_like_machine(memory_bytes: int, format: str = "lpae") -> Machine:
    """A machine that runs on the tables of a kernel with 16 MB of lowmem, whose VMCOREINFO lies at a page."""
    machine = Machine(MachineConfig(memory_bytes=memory_bytes, smp=2))
    tables: PageTables = like_linux(machine.mem, format, ROOT_TABLE)
    for cpu in (0, 1):
        for name, value in tables.registers.items():
            machine.set_reg(name, value, cpu)
    machine.write_phys(RAM + 0x5000, note(b"VMCOREINFO", 0, INFO))
    machine.write_phys(RAM + memory_bytes - PAGE, b"the last page")
    machine.set_reg("pc", 0xC000_0100)
    machine.set_reg("pc", 0xC000_0200, 1)
    machine.set_reg("sp_abt", 0x1234)
    machine.set_reg("d31", 0x1122_3344_5566_7788, 1)
    return machine


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dump") / "core"
    with linux_like_machine(64 * MIB) as machine:
        write_core(LiveTarget(machine), path)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dump") / "core"
    with linux_like_machine(16 * GIB) as machine:
        write_core(LiveTarget(machine), path)
    return path


@pytest.mark.parametrize("gigabytes", [0.0625, 16])
def test_a_core_reads_back_as_the_machine(gigabytes: float, tmp_path: Path) -> None:
    with linux_like_machine(int(gigabytes * GIB)) as machine:
        write_core(LiveTarget(machine), tmp_path / "core")
        with open_dump(tmp_path / "core") as target:
            assert target.cpus == 2
            for cpu in (0, 1):
                kept = target.registers(cpu)
                assert {name: machine.reg(name, cpu) for name in register_table()} == dict(kept)
                assert target.regime(cpu) == machine.regime(cpu)
                assert target.privileged(cpu) == machine.privileged(cpu)
            pages = [pa for pa in machine.mem.touched() if any(machine.read_phys(pa, PAGE))]
            assert len(pages) > 4
            for pa in pages:
                assert target.memory.read(pa, PAGE) == machine.read_phys(pa, PAGE), hex(pa)


def test_a_core_of_16_gb_is_a_sparse_64_bit_file(large: Path) -> None:
    info = large.stat()
    assert info.st_size > 16 * GIB
    assert info.st_blocks * 512 < 8 * MIB
    assert large.open("rb").read(5)[4] == 2


def test_a_small_core_is_a_32_bit_file(small: Path) -> None:
    assert small.open("rb").read(5)[4] == 1


def test_a_core_of_a_core_is_the_same_file(small: Path, tmp_path: Path) -> None:
    with open_dump(small) as target:
        write_core(target, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == small.read_bytes()


def test_readelf_has_no_complaint(small: Path, large: Path) -> None:
    need_tool("readelf", "binutils")
    for path in (small, large):
        done = subprocess.run(["readelf", "-hln", path], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert "CORE (Core file)" in done.stdout
        assert done.stdout.count("NT_PRSTATUS") == 2
        assert done.stdout.count("NT_ARM_VFP") == 2
        assert "VMCOREINFO" in done.stdout


def test_a_library_for_elf_reads_the_same_segments_and_notes(small: Path) -> None:
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(small.read_bytes()))
    assert (elf["e_type"], elf["e_machine"], elf.elfclass) == ("ET_CORE", "EM_ARM", 32)
    notes, *loads = elf.iter_segments()
    assert [n["n_name"] for n in notes.iter_notes()] == ["CORE", "LINUX", "PYEMU"] * 2 + ["VMCOREINFO"]
    spans = [(s["p_vaddr"], s["p_paddr"], s["p_filesz"], s["p_offset"] % PAGE) for s in loads]
    low, high = 16 * MIB, 48 * MIB
    assert spans == [(0xC000_0000, RAM, low, 0), (RAM + low, RAM + low, high, 0)]


def test_gdb_opens_a_core_with_its_registers(small: Path) -> None:
    """Of a 32-bit file; gdb has no 64-bit cores of 32-bit ARM."""
    need_tool("gdb-multiarch", "gdb-multiarch")
    commands = ["info threads", "p/x $pc", "x/s 0xc0005018", "thread 2"]
    arguments = [part for command in commands for part in ("-ex", command)]
    done = subprocess.run(
        ["gdb-multiarch", "-nx", "-batch", "-ex", f"core-file {small}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "= 0xc0000100" in done.stdout
    assert "OSRELEASE=6.1.0" in done.stdout
    assert "LWP 2" in done.stdout
    assert "#0  0xc0000200" in done.stdout


def test_drgn_translates_by_the_tables_in_the_core(small: Path, large: Path) -> None:
    """drgn finds swapper_pg_dir by VMCOREINFO in the linear map, and walks from there to the vectors."""
    drgn = pytest.importorskip("drgn")
    for path in (small, large):
        program = drgn.Program()
        program.set_core_dump(str(path))
        assert b"OSRELEASE=6.1.0" in program["VMCOREINFO"].string_()
        with open_dump(path) as target:
            top = max(s.base + s.size for s in target.memory.segments)
        assert program.read(top - PAGE, 13, True) == b"the last page"
        assert program.read(0xC000_5018, 9) == b"OSRELEASE"
        first = struct.unpack("<Q", program.read(SWAPPER_VA, 8))[0]
        assert first == struct.unpack("<Q", program.read(ROOT_TABLE, 8, True))[0]
        assert program.read(0xFFFF_0000, 16) == program.read(RAM + 0x3000, 16, True)


def test_a_guest_that_is_no_linux_keeps_physical_addresses(tmp_path: Path) -> None:
    with Machine(MachineConfig(memory_bytes=64 * MIB)) as machine:
        machine.load(ROOT / "firmware/elf/lpae.elf")
        machine.run(max_insns=100_000)
        written = write_core(LiveTarget(machine), tmp_path / "core")
        regime = machine.regime()
        va = 0x4001_0000
        expected = machine.translate(va)
    assert not written.vmcoreinfo
    assert written.stored_bytes < 2 * MIB < written.memory_bytes
    with open_dump(tmp_path / "core") as target:
        assert target.regime(0) == regime
        assert translate(target.memory, target.regime(0), va) == expected


def test_flash_is_in_the_core_if_it_holds_something(tmp_path: Path) -> None:
    with Machine(MachineConfig(memory_bytes=64 * MIB)) as machine:
        machine.load(None, flash=b"\x12\x34" * PAGE)
        written = write_core(LiveTarget(machine), tmp_path / "core")
    assert [base for base, _ in written.segments] == [0, RAM]
    with open_dump(tmp_path / "core") as target:
        assert target.memory.read(0, 4) == b"\x12\x34\x12\x34"


def test_a_dump_without_registers_can_be_written_too(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(b"\x01" * PAGE + bytes(PAGE))
    with open_dump(tmp_path / "ram", ram_base=RAM) as target:
        written = write_core(target, tmp_path / "core")
    assert written.stored_bytes == PAGE
    with open_dump(tmp_path / "core") as target:
        assert target.memory.read(RAM, 2 * PAGE) == b"\x01" * PAGE + bytes(PAGE)
        with pytest.raises(UserError, match="--find-pgd"):
            target.regime(0)


def test_registers_that_a_damaged_note_has_are_those_of_prstatus(small: Path, tmp_path: Path) -> None:
    content = small.read_bytes().replace(b'{"r0":', b'{"r0"-', 1)
    (tmp_path / "core").write_bytes(content)
    with open_dump(tmp_path / "core") as target:
        assert target.registers(0)["pc"] == 0xC000_0100
        assert "ttbr0" not in target.registers(0)
        assert isinstance(target.regime(1), Regime)


def test_the_command_writes_a_core_and_says_what_is_in_it(run_pyemu, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with Machine(MachineConfig(memory_bytes=64 * MIB)) as machine:
        machine.load(ROOT / "firmware/elf/lpae.elf")
        machine.run(max_insns=100_000)
        machine.snapshot(tmp_path / "snap")
    done = run_pyemu("dump", tmp_path / "snap", "-o", tmp_path / "core")
    assert (done.status, done.stderr) == (0, "")
    assert "ELF32 core, CPUs: 1, without VMCOREINFO" in done.stdout
    done = run_pyemu("dump", tmp_path / "snap", "-o", tmp_path / "core", "--json")
    assert done.json["segments"] == [[RAM, 64 * MIB]]
    done = run_pyemu("dump", tmp_path / "snap", "-o", tmp_path / "no" / "core")
    assert (done.status, done.stdout) == (2, "")
    assert "cannot write the core" in done.stderr


def test_a_core_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(make_core([Load(RAM, b"\1" * PAGE)]))
    with open_dump(tmp_path / "c") as target, pytest.raises(UserError, match="cannot write the core"):
        write_core(target, tmp_path / "none" / "core")
    with Memory() as memory:
        assert memory.segments == []
