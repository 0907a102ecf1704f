"""Cores and raw images are read as their makers wrote them, and damaged ones are refused in words."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import UserError
from pyemu.debug import Capability
from pyemu.debug.dump import open_dump
from pyemu.debug.dump.elf import read_core
from pyemu.native import NativeError
from tests.debug.cores import MIB, NAMES, RAM, REGISTERS, Load, make_core, note, prstatus, raw_guest

PAGE = 4096
NOTES = note(b"CORE", 1, prstatus())
DATA = bytes(range(256)) * 32


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("bits", [32, 64])
def test_memory_and_registers_of_a_core(bits: int, tmp_path: Path) -> None:
    loads = [Load(RAM, DATA), Load(0x8000_0000, b"\x55" * PAGE, 3 * PAGE)]
    path = write(tmp_path / "core", make_core(loads, NOTES * 2, bits=bits))
    with open_dump(path) as target:
        assert target.cpus == 2
        assert target.registers(1) == dict(zip(NAMES, REGISTERS, strict=False))
        assert target.capabilities is Capability.NONE
        assert target.memory.read(RAM, len(DATA)) == DATA
        assert target.memory.read(0x8000_0000, 3 * PAGE) == b"\x55" * PAGE + bytes(2 * PAGE)
        with pytest.raises(NativeError):
            target.memory.read(RAM + len(DATA), 1)


def test_memory_above_4_gb(tmp_path: Path) -> None:
    path = write(tmp_path / "core", make_core([Load(0x4_4000_0000, DATA)], NOTES, bits=64))
    with open_dump(path) as target:
        assert target.memory.read(0x4_4000_0000, 16) == DATA[:16]


def test_banked_registers_of_a_64_bit_core_of_qemu(tmp_path: Path) -> None:
    """ARM DDI 0487 D1.19.1: X18 is LR_svc, X19 SP_svc, X13 SP_usr; QEMU's PRSTATUS has SP = 0."""
    x = [0x100 + n for n in range(31)]
    content = bytes(112) + struct.pack("<34Q", *x, 0, 0xC000_0100, 0x600F_0093)
    content += bytes(392 - len(content))
    path = write(tmp_path / "core", make_core([Load(RAM, DATA)], note(b"CORE", 1, content), bits=64))
    with open_dump(path) as target:
        found = target.registers(0)
    assert (found["sp"], found["lr"], found["pc"], found["cpsr"]) == (0x113, 0x112, 0xC000_0100, 0x600F_0093)
    assert (found["sp_usr"], found["lr_usr"], found["sp_irq"], found["lr_abt"]) == (
        0x10D,
        0x10E,
        0x111,
        0x114,
    )


def test_a_core_of_qemu_whose_header_has_the_low_32_bits_of_its_size(tmp_path: Path) -> None:
    """5 GB of RAM: QEMU says 1 GB, writes all of it, and 11 bytes of section names."""
    head = bytearray(make_core([Load(RAM, b"", 0)], NOTES))
    struct.pack_into("<2I", head, 52 + 32 + 16, 1 << 30, 1 << 30)
    path = write(tmp_path / "core", bytes(head))
    top = 5 << 30
    with path.open("r+b") as file:
        file.seek(len(head) + top - PAGE)
        file.write(b"\x77" * PAGE + b"\0.shstrtab\0")
    with open_dump(path) as target:
        assert [(s.base, s.size) for s in target.memory.segments] == [(RAM, top)]
        assert target.memory.read(RAM + top - PAGE, 4) == b"\x77" * 4


@pytest.mark.parametrize("format", ["lpae", "short"])
def test_a_raw_image_with_a_base_and_registers(format: str, tmp_path: Path) -> None:
    regime = raw_guest(tmp_path / "ram", format)
    listed = {name.upper(): hex(value) for name, value in vars(regime).items()}
    write(tmp_path / "regs.json", json.dumps({"regs": listed}).encode())
    with open_dump(tmp_path / "ram", ram_base=RAM, regs=tmp_path / "regs.json") as target:
        assert target.regime(0) == regime
        assert target.privileged(0)


def test_registers_of_a_file_go_over_those_of_the_core_but_only_for_translation(tmp_path: Path) -> None:
    path = write(tmp_path / "core", make_core([Load(RAM, DATA)], NOTES * 2))
    values = {"SCTLR": "0x1", "TTBCR": 0x8000_0000, "ttbr0": "40004000", "r0": "0x99", "PRRR": "0xff"}
    write(tmp_path / "regs.json", json.dumps(values).encode())
    with open_dump(path, regs=tmp_path / "regs.json") as target:
        for cpu in (0, 1):
            assert target.regime(cpu).ttbr0 == 0x4000_4000
            assert target.regime(cpu).mair0 == 0xFF
            assert target.registers(cpu)["r0"] == REGISTERS[0]


def test_registers_of_each_cpu(tmp_path: Path) -> None:
    path = write(tmp_path / "core", make_core([Load(RAM, DATA)], NOTES * 2))
    cpus = [{"sctlr": 1, "ttbcr": 0, "ttbr0": base} for base in (0x4000_4000, 0x4000_8000)]
    write(tmp_path / "regs.json", json.dumps({"cpus": cpus}).encode())
    with open_dump(path, regs=tmp_path / "regs.json") as target:
        assert [target.regime(cpu).ttbr0 for cpu in (0, 1)] == [0x4000_4000, 0x4000_8000]
    write(tmp_path / "regs.json", json.dumps({"cpus": [*cpus, *cpus]}).encode())
    with pytest.raises(UserError, match="registers of 4 CPUs for a dump of 2"):
        open_dump(path, regs=tmp_path / "regs.json")


def test_the_registers_that_a_debugger_lists_are_understood() -> None:
    """A list of QEMU's stub: 64-bit TTBR0, its 32-bit view TTBR0_EL1, and much that is not known here."""
    from pyemu.debug.dump.registers import read_register_file
    from tests.mmu.dump_cases import DUMPS

    (registers,) = read_register_file(DUMPS / "1G-svc" / "regs.json")
    assert registers["ttbr0"] == 0x33_0000_4259_63C0
    assert registers["contextidr"] == 0
    assert registers["pc"] == 0xC066_EC44


REFUSED_REGISTERS = {
    "not a JSON file": b"{",
    "TTBR0 is missing": b'{"sctlr": 1, "ttbcr": 0}',
    "not a hexadecimal number": b'{"sctlr": "on", "ttbcr": 0, "ttbr0": 0}',
    "does not fit its 32 bits": b'{"sctlr": "0x100000000", "ttbcr": 0, "ttbr0": 0}',
    "neither a number nor": b'{"sctlr": null, "ttbcr": 0, "ttbr0": 0}',
    'registers are {"sctlr"': b"[1]",
}


@pytest.mark.parametrize("why", REFUSED_REGISTERS)
def test_a_wrong_register_file_is_one_line(why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "core", make_core([Load(RAM, DATA)], NOTES))
    write(tmp_path / "regs.json", REFUSED_REGISTERS[why])
    with pytest.raises(UserError, match=r"regs\.json: ") as caught:
        open_dump(path, regs=tmp_path / "regs.json")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dump_without_translation_registers_says_how_to_give_them(tmp_path: Path) -> None:
    path = write(tmp_path / "core", make_core([Load(RAM, DATA)], NOTES))
    with open_dump(path) as target, pytest.raises(UserError, match=r"--regs FILE\.json, or let --find-pgd"):
        target.regime(0)


REFUSED = {
    "machine 62": make_core([Load(RAM, DATA)], machine=62),
    "of type 2 is no core dump": make_core([Load(RAM, DATA)], kind=2),
    "big-endian": make_core([Load(RAM, DATA)]).replace(b"\x7fELF\x01\x01", b"\x7fELF\x01\x02", 1),
    "ELF class 7": make_core([Load(RAM, DATA)]).replace(b"\x7fELF\x01", b"\x7fELF\x07", 1),
    "it has no PT_LOAD": make_core([], NOTES),
    "does not start at a page": make_core([Load(RAM + 4, DATA)]),
    "bytes in the file but": make_core([Load(RAM, DATA, 16)]),
    "ends at": make_core([Load(RAM, DATA)])[:-1],
    "40-bit physical": make_core([Load((1 << 40) - PAGE, DATA)], bits=64),
    "overlaps": make_core([Load(RAM, DATA), Load(RAM + PAGE, DATA)]),
    "goes beyond the end of its segment": make_core([Load(RAM, DATA)], NOTES[:-8]),
    "truncated ELF file": make_core([Load(RAM, DATA)])[:40],
    "its program headers end at": make_core([Load(RAM, DATA)])[:60],
    "makedumpfile": b"KDUMP   " + bytes(64),
    "--ram-base 0x40000000": b"anything",
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_core_is_refused_in_one_line(why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "core", REFUSED[why])
    with pytest.raises(UserError) as caught:
        open_dump(path)
    assert why in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def one_line(problem: UserError) -> None:
    assert str(problem)
    assert "\n" not in str(problem)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_core_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    bits = data.draw(st.sampled_from((32, 64)))
    content = bytearray(make_core([Load(RAM, DATA), Load(0x8000_0000, DATA, 4 * PAGE)], NOTES, bits=bits))
    head = len(content) - 2 * len(DATA)
    for _ in range(data.draw(st.integers(1, 6))):
        width = data.draw(st.sampled_from((1, 2, 4, 8)))
        at = data.draw(st.integers(0, head - width))
        value = data.draw(st.sampled_from((0, 1, (1 << 8 * width) - 1, 1 << 8 * width - 1, 0x40)))
        content[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    path = tmp_path_factory.mktemp("core") / "c"
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    try:
        target = open_dump(path)
    except UserError as problem:
        one_line(problem)
        return
    with target:
        for segment in target.memory.segments:
            assert len(target.memory.read(segment.base, PAGE)) == PAGE
        assert all(
            isinstance(value, int) for cpu in range(target.cpus) for value in target.registers(cpu).values()
        )


def test_a_raw_image_is_not_changed_by_looking_at_it(tmp_path: Path) -> None:
    path = write(tmp_path / "ram", DATA * 128)
    with open_dump(path, ram_base=RAM) as target:
        target.memory.write(RAM, b"changed")
    assert path.read_bytes() == DATA * 128
    with pytest.raises(UserError, match="multiple of 4096"):
        open_dump(path, ram_base=RAM + 1)
    assert 128 * len(DATA) == MIB


def test_a_core_needs_no_base(tmp_path: Path) -> None:
    path = write(tmp_path / "core", make_core([Load(RAM, DATA)]))
    with pytest.raises(UserError, match="needs no base"):
        open_dump(path, ram_base=RAM)


def test_more_segments_than_e_phnum_can_say(tmp_path: Path) -> None:
    """PN_XNUM: sh_info of section 0 has the number (gABI, ELF header)."""
    content = bytearray(make_core([Load(RAM, DATA)], NOTES))
    struct.pack_into("<H", content, 44, 0xFFFF)
    struct.pack_into("<IHH", content, 32, len(content), 0, 52)
    struct.pack_into("<H", content, 46, 40)
    section = bytearray(40)
    struct.pack_into("<I", section, 28, 2)
    path = write(tmp_path / "core", bytes(content + section))
    assert [s.pa for s in read_core(path).segments] == [RAM]
