"""Files that say more about a target: registers and symbols; and what cases with a file have in common."""

from __future__ import annotations

import json
import random
import struct
from functools import cache
from pathlib import Path
from typing import Any

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.opening import OpenOptions, open_target, read_symbols
from tests.debug.bring_up import bring_up_elf
from tests.debug.cores import MIB
from tests.fuzz.damage import damage, hostile_number
from tests.fuzz.debugger.fuzzer import ACCEPTED, Fuzzer, one_line
from tests.fuzz.debugger.limits import Guard, ctrl_c_after
from tests.fuzz.debugger.lines import execute, random_line
from tests.fuzz.debugger.worlds import ROOT, core_of_a_guest

__all__ = ["Files", "RegisterFiles", "SymbolFiles", "hostile_json", "system_map"]

_REGISTERS = ("sctlr", "ttbcr", "ttbr0", "ttbr1", "dacr", "mair0", "mair1", "contextidr", "pc", "cpsr", "sp")
_LOOKS = (
    "walk 0xc0000000",
    "why 0 w user",
    "pt",
    "pt --tree",
    "regs",
    "cp15",
    "doctor mmu",
    "alias 0x40000000",
    "info",
)
MAX_WRITTEN = 64 * MIB


class Files(Fuzzer):
    """A file, what is given with it, and a few commands on what was accepted."""

    block = 256

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.path, self.regs = self.directory / "target", self.directory / "regs.json"
        self.symbols, self.written = self.directory / "symbols", self.directory / "written"

    def open(self, rng: random.Random, content: bytes, options: OpenOptions, lines: int = 2) -> str:
        """Open a file with that content; whatever comes of it, the file stays as it is."""
        with self.guard.off():
            self.path.write_bytes(content)
        ctrl_c_after()
        try:
            session = Session(open_target(self.path, options))
        except UserError as problem:
            return one_line(problem)
        with session:
            for _ in range(lines):
                execute(session, rng.choice(_LOOKS) if rng.randrange(2) else random_line(rng, session, []))
            self.use(rng, session)
        assert self.path.read_bytes() == content, "the file has been changed"
        return ACCEPTED

    def use(self, rng: random.Random, session: Session) -> None:
        """What else is done with a target."""

    def given_registers(self, rng: random.Random, format: str) -> Path | None:
        """A file of registers, right or not, or none."""
        kind = rng.randrange(4)
        if kind == 0:
            return None
        ttbcr = 0x8000_0000 if format == "lpae" else 0
        values: dict[str, Any] = {
            "sctlr": 0x30C5_387D,
            "ttbcr": ttbcr,
            "ttbr0": ROOT,
            "ttbr1": ROOT,
            "dacr": 1,
        }
        if kind == 1:
            for _ in range(rng.choice((1, 2, 5))):
                values[rng.choice(_REGISTERS)] = hostile_number(rng, 32)
        with self.guard.off():
            self.regs.write_text(json.dumps(values))
        return self.regs


# ---- registers ----


_ODD_VALUES = (
    *(
        "0x" + "f" * 5000,
        "9" * 5000,
        "-1",
        "0x1_0",
        "",
        " 1",
        "１",
        "nan",
        "g",
        "a\nb",
        "\x1b[2J",
        "\ud800",
        None,
        True,
        [],
        {},
    ),
    *(1.5, 1e300, float("inf"), float("nan"), -1, 1 << 32, 1 << 64, 1 << 200, "sctlr", ["0x1"], {"regs": 1}),
)


def hostile_json(rng: random.Random) -> bytes:
    """A file of registers with values, names and nesting that are not right, or nearly."""
    names = [
        *_REGISTERS,
        "SCTLR_EL1",
        "prrr",
        "TCR",
        "r13",
        "X0",
        "a\nb",
        "cpus",
        "regs",
        "sctlr\0",
        "TTBR0_el1",
        "d31",
    ]
    values: Any = {"sctlr": "0x30c5387d", "ttbcr": 0, "ttbr0": hex(ROOT)}
    for _ in range(rng.choice((0, 1, 1, 2, 8))):
        values[rng.choice(names)] = rng.choice(
            (*_ODD_VALUES, hostile_number(rng, 32), f"{hostile_number(rng, 64):x}")
        )
    for _ in range(rng.choice((0, 0, 1, 2))):
        values = rng.choice(
            ({"regs": values}, {"cpus": [values] * rng.choice((1, 2, 9))}, [values], {"registers": values})
        )
    text = json.dumps(values, ensure_ascii=bool(rng.randrange(2))).encode("utf-8", "surrogatepass")
    kind = rng.randrange(16)
    if kind == 0:
        return b"[" * rng.choice((10, 900, 100_000)) + text
    if kind == 1:
        return b'{"a":' * rng.choice((10, 900, 100_000)) + text
    if kind == 2:
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"//")) + text
    if kind == 3:
        return text.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")))
    if kind == 4:
        return b'{"sctlr": 1, "ttbcr": 0, "ttbr0": ' + b"1" * rng.choice((20, 5000)) + b"}"
    return damage(rng, text) if kind < 9 else text


class RegisterFiles(Files):
    """What is given with --regs, to a dump that is right."""

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.content = core_of_a_guest(rng.choice(("lpae", "short")), rng.choice((32, 64)))
        self.path.write_bytes(self.content)

    def case(self, rng: random.Random) -> str:
        with self.guard.off():
            self.regs.write_bytes(hostile_json(rng))
        try:
            session = Session(open_target(self.path, OpenOptions(regs=self.regs)))
        except UserError as problem:
            return one_line(problem)
        with session:
            for line in rng.sample(_LOOKS, 2):
                execute(session, line)
        return ACCEPTED


# ---- symbols ----


@cache
def _elf_with_symbols() -> bytes:
    return bring_up_elf()


_MAP_WORDS = (
    "c0008000",
    "T",
    "stext",
    "a",
    "A",
    "0",
    "-5",
    "0x1",
    "ffffffffffffffff",
    "f" * 5000,
    "$a",
    "g",
    "\x1b[2J",
    "é",
)
_MAP_WORDS += ("\x85", "\u2028", "x" * 5000, "\0", "_end", "t", "40008000", "-", "1_0")


def system_map(rng: random.Random) -> bytes:
    """Lines of a System.map, some of them not."""
    lines = [f"c000{n:04x} T function_{n}" for n in range(rng.choice((0, 1, 20)))]
    for _ in range(rng.choice((0, 1, 3))):
        lines.insert(rng.randrange(len(lines) + 1), " ".join(rng.choices(_MAP_WORDS, k=rng.randrange(5))))
    text = rng.choice(("\n", "\n", "\r\n", "\r")).join(lines).encode()
    return damage(rng, text) if text and rng.randrange(3) == 0 else text


class SymbolFiles(Files):
    """What is given with --symbols: ELF files and lists of lines; then they are looked up."""

    def __init__(self, rng: random.Random, guard: Guard) -> None:
        super().__init__(rng, guard)
        self.path.write_bytes(core_of_a_guest(rng.choice(("lpae", "short"))))
        self.regs.write_text(json.dumps({"sctlr": 0x30C5_387D, "ttbcr": 1 << 31, "ttbr0": ROOT}))
        self.session = Session(open_target(self.path, OpenOptions(regs=self.regs)))

    def case(self, rng: random.Random) -> str:
        with self.guard.off():
            self.symbols.write_bytes(system_map(rng) if rng.randrange(2) else _hostile_elf(rng))
        try:
            found = read_symbols(self.symbols)
        except UserError as problem:
            return one_line(problem)
        self.session.target.symbols = found
        names = list(found.addresses)
        for line in ("sym *", "dis 0xc0000000 2", f"sym {hostile_number(rng, 32):#x}", "info"):
            execute(self.session, line)
        if names:
            execute(self.session, f"walk '{rng.choice(names)}'")
            execute(self.session, f"sym '{rng.choice(names)}'")
        return ACCEPTED if names else "empty"

    def close(self) -> None:
        self.session.close()


def _hostile_elf(rng: random.Random) -> bytes:
    """An executable with symbols, its section headers and symbols damaged more than the rest."""
    content = bytearray(_elf_with_symbols())
    sections = struct.unpack_from("<I", content, 32)[0]
    for _ in range(rng.choice((0, 1, 2, 5))):
        at = rng.choice(
            (sections + 4 * rng.randrange(50), rng.randrange(52) & -4, rng.randrange(len(content)) & -4)
        )
        if at + 4 <= len(content):
            struct.pack_into("<I", content, at, hostile_number(rng, 32))
    return bytes(content) if rng.randrange(4) else damage(rng, bytes(content), 4)
