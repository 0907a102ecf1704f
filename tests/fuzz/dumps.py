"""Damaged cores, register files and memory to guess in: read or refused in one line."""

from __future__ import annotations

import json
import random
import tempfile
from functools import cache
from pathlib import Path

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.dump import DumpTarget, find_tables, open_dump, write_core
from pyemu.mem import Memory
from tests.debug.cores import MIB, RAM, Load, like_linux, make_core, note, prstatus

REFUSED, ACCEPTED = "refused", "accepted"
COMMANDS = (
    "walk 0xc0000000",
    "why 0 w user",
    "pt",
    "pt --tree",
    "regs",
    "cp15",
    "doctor mmu",
    "alias 0x40000000",
)
MAX_WRITTEN = 64 * MIB


@cache
def _guest(format: str) -> bytes:
    with Memory() as memory:
        memory.add_ram(RAM, 4 * MIB)
        like_linux(memory, format, RAM + MIB)
        memory.write(
            RAM + 0x5000, note(b"VMCOREINFO", 0, b"OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=c0100000\n")
        )
        return memory.read(RAM, 4 * MIB)


def fuzz_core(rng: random.Random) -> str:
    """A core whose head or tables are damaged, perhaps with a file of registers."""
    from tests.fuzz.inputs import damage

    ram, bits = bytearray(_guest(rng.choice(("lpae", "short")))), rng.choice((32, 64))
    if rng.randrange(2):
        at = rng.choice((MIB, MIB + 0x1000, MIB + 0x4000, 0x5000))
        ram[at : at + 4096] = damage(rng, bytes(ram[at : at + 4096]))[:4096].ljust(4096, b"\0")
    loads = [Load(RAM, bytes(ram)), Load(RAM + 8 * MIB, b"\1" * 4096, 8192)]
    content = make_core(loads, note(b"CORE", 1, prstatus()), bits=bits)
    if rng.randrange(3):
        head = len(content) - sum(len(load.data) for load in loads)
        content = damage(rng, content[:head]) + content[head:]
    with tempfile.TemporaryDirectory() as directory:
        path, regs = Path(directory) / "core", None
        path.write_bytes(content)
        if rng.randrange(2):
            regs = Path(directory) / "regs"
            values = {"sctlr": 0x30C5_387D, "ttbcr": rng.choice((0, 0x8000_0000)), "ttbr0": RAM + MIB}
            text = json.dumps(values).encode()
            regs.write_bytes(damage(rng, text) if rng.randrange(2) else text)
        try:
            target = open_dump(path, regs=regs, find_pgd=regs is None and bool(rng.randrange(2)))
        except UserError as problem:
            return _one_line(problem)
        return _use(target, Path(directory) / "again")


def _use(target: DumpTarget, path: Path) -> str:
    """What was accepted can be looked at, and written."""
    with Session(target) as session:
        for line in COMMANDS:
            try:
                session.execute(line)
            except UserError as problem:
                _one_line(problem)
        if sum(s.size for s in target.memory.segments) <= MAX_WRITTEN:
            write_core(target, path)
            with open_dump(path) as again:
                for segment in target.memory.segments:
                    assert again.memory.read(segment.base, 4096) == target.memory.read(segment.base, 4096)
    return ACCEPTED


def fuzz_guess(rng: random.Random) -> str:
    """Tables among random words; a candidate's reasons are text and its tables translate."""
    from tests.fuzz.inputs import damage

    with Memory() as memory:
        memory.add_ram(RAM, 4 * MIB)
        ram = bytearray(_guest(rng.choice(("lpae", "short"))))
        for at in (MIB, MIB + 0x1000, MIB + 0x2000):
            if rng.randrange(2):
                ram[at : at + 4096] = damage(rng, bytes(ram[at : at + 4096]))[:4096].ljust(4096, b"\0")
        memory.write(RAM, bytes(ram))
        words = b"".join(
            (rng.choice((RAM, RAM + MIB, 0, 1 << 39)) | rng.getrandbits(12)).to_bytes(8, "little")
            for _ in range(512)
        )
        memory.write(RAM + 2 * MIB, words)
        found = find_tables(memory, [{"pc": rng.getrandbits(32), "sp": rng.getrandbits(32), "cpsr": 0x13}])
    assert all(line for candidate in found for line in candidate.lines)
    return ACCEPTED if found else REFUSED


def _one_line(problem: UserError) -> str:
    assert str(problem)
    assert "\n" not in str(problem)
    return REFUSED
