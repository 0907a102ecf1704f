"""Files and names that are wrong in ways that a library would answer with an exception of its own."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.dump import open_dump
from pyemu.debug.dump.prstatus import CPU_NOTE
from pyemu.debug.gdb.server import GdbServer, parse_endpoint
from pyemu.debug.opening import OpenOptions, open_target, read_symbols
from pyemu.debug.prompt import completions
from pyemu.machine.loaders import Symbols
from pyemu.machine.snapshot import END, MAGIC, META, STATE
from tests.debug.bring_up import elf_of
from tests.debug.cores import NAMES, RAM, REGISTERS, Load, make_core, note, prstatus
from tests.debug.targets import dump_session
from tests.mmu.dump_cases import dump

DEEP = b"[" * 100_000


def test_a_note_of_json_that_is_nested_too_deeply_is_passed_over(tmp_path: Path) -> None:
    notes = note(b"CORE", 1, prstatus()) + note(b"PYEMU", CPU_NOTE, DEEP)
    path = tmp_path / "core"
    path.write_bytes(make_core([Load(RAM, bytes(4096))], notes))
    with open_dump(path) as target:
        assert target.registers(0) == dict(zip(NAMES, REGISTERS, strict=False))


def test_a_snapshot_whose_description_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    blocks = b"".join(
        struct.pack("<IIIQ", kind, len(data), len(data), 0) + data
        for kind, data in ((META, DEEP), (STATE, b""))
    )
    content = MAGIC + struct.pack("<I", 1) + blocks
    path = tmp_path / "deep.snap"
    path.write_bytes(content + hashlib.blake2b(content, digest_size=32).digest())
    with pytest.raises(UserError, match="damaged snapshot: its description is not JSON"):
        open_target(path)


@pytest.mark.parametrize(
    "symbols", ["[5]", "[]", '{"a": 1e999}', '{"a": "5"}', '{"a": -1}', '{"a": true}', "5"]
)
def test_a_snapshot_whose_symbols_are_none_is_refused(symbols: str, tmp_path: Path) -> None:
    meta = f'{{"config": {{"memory_bytes": 16777216}}, "symbols": {symbols}}}'.encode()
    blocks = b"".join(
        struct.pack("<IIIQ", kind, len(data), len(data), 0) + data
        for kind, data in ((META, meta), (STATE, b""), (END, b""))
    )
    content = MAGIC + struct.pack("<I", 1) + blocks
    path = tmp_path / "symbols.snap"
    path.write_bytes(content + hashlib.blake2b(content, digest_size=32).digest())
    with pytest.raises(UserError, match="its symbols are not names with addresses"):
        open_target(path)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "/dev/null"])
def test_a_name_that_no_file_can_have_is_no_snapshot(name: str) -> None:
    with pytest.raises(UserError, match="is neither a saved listing"):
        dump_session(dump("1G-svc")).execute(f"diff {name}")


@pytest.mark.parametrize("address", ["f" * 5000, "-5", "1_0", "+4"])
def test_an_address_that_is_none_is_a_line_of_a_system_map_that_is_refused(
    address: str, tmp_path: Path
) -> None:
    path = tmp_path / "System.map"
    path.write_text(f"c0008000 T stext\n{address} T odd\n")
    with pytest.raises(UserError, match="line 2 is no symbol"):
        read_symbols(path)


def test_a_host_whose_name_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(UserError, match="gdb: cannot listen"):
        GdbServer(dump_session(dump("1G-svc")), *parse_endpoint("\udcff:0"))


def test_a_dump_that_does_not_say_where_its_tables_are_has_registers_and_completion(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(make_core([Load(RAM, bytes(4096))], note(b"CORE", 1, prstatus())))
    with Session(open_target(path)) as session:
        assert session.execute("regs pc").values == {"pc": REGISTERS[15]}
        assert "pc" in completions(session, "walk p")
        assert session.execute("cpu").cpus[0].pc == REGISTERS[15]
        with pytest.raises(UserError, match="does not say where the page tables are"):
            session.execute("walk 0")


@pytest.mark.parametrize(
    "line", ["walk 0 --\u2028x", "walk pc+\x0b4\x1b[2J", "x/\x85 0", "sym \x1b[31m", "diff '\x1c'"]
)
def test_a_complaint_is_one_line_that_does_nothing_to_the_terminal(line: str) -> None:
    with pytest.raises(UserError) as complaint:
        dump_session(dump("1G-svc")).execute(line)
    assert str(complaint.value).isprintable()


@pytest.mark.parametrize("form", ["map", "elf", "snapshot"])
def test_names_of_symbols_do_nothing_to_the_terminal(form: str, tmp_path: Path) -> None:
    name, path = "\x1b[2J\x07stext", tmp_path / "symbols"
    if form == "map":
        path.write_text(f"c0008000 T {name}\n")
        found = read_symbols(path)
    elif form == "elf":
        path.write_bytes(elf_of(bytes(16), RAM, {name: 0xC000_8000}))
        found = read_symbols(path)
    else:
        found = Symbols.known({name: 0xC000_8000})
    assert found.describe(0xC000_8000) == "\\x1b[2J\\x07stext"
    assert found.find("\\x1b[2J\\x07stext") == 0xC000_8000


@pytest.mark.parametrize("mode", [0x10, 0x13, 0x17, 0x1B, 0x1F, 0x00])
def test_the_doctor_does_without_a_pc(mode: int, tmp_path: Path) -> None:
    """Registers that a user has typed off a screen may be few."""
    path, regs = tmp_path / "ram", tmp_path / "regs"
    path.write_bytes(bytes(1 << 16))
    regs.write_text(json.dumps({"sctlr": 0xC5187D, "ttbcr": 0, "ttbr0": RAM, "cpsr": mode}))
    with Session(open_target(path, OpenOptions(regs=regs, ram_base=RAM))) as session:
        assert session.execute("doctor mmu").lines
