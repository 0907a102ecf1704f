"""Makes ELF cores byte by byte, apart from the code that reads and writes them, and guests for them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyemu.mem import Memory
from pyemu.mmu import PageTables, Regime

RAM = 0x4000_0000
MIB = 1 << 20
EM_ARM = 40
# Register values that differ from each other, in the order of elf_gregset_t: r0-r15, cpsr, orig_r0.
REGISTERS = (*(0x1000_0000 + n for n in range(13)), 0xC100_0000, 0xC000_1000, 0xC000_0100, 0x600F_0093, 0)
NAMES = (*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "cpsr")


@dataclass(frozen=True)
class Load:
    """A PT_LOAD: ``data`` in the file, ``size`` bytes in memory (None: as many)."""

    pa: int
    data: bytes
    size: int | None = None
    va: int = 0


def note(name: bytes, kind: int, content: bytes) -> bytes:
    padded = name + b"\0"
    head = struct.pack("<III", len(padded), len(content), kind)
    return head + padded + bytes(-len(padded) % 4) + content + bytes(-len(content) % 4)


def prstatus(registers: Sequence[int] = REGISTERS) -> bytes:
    """struct elf_prstatus of 32-bit ARM: 72 bytes, elf_gregset_t, fpvalid."""
    return struct.pack("<24xI44x18II", 1, *registers, 0)


def make_core(
    loads: Sequence[Load], notes: bytes = b"", *, bits: int = 32, kind: int = 4, machine: int = EM_ARM
) -> bytes:
    """Not aligned to pages, as QEMU's are not."""
    wide = bits == 64
    header, program = (64, 56) if wide else (52, 32)
    count = len(loads) + 1
    at = header + count * program
    out, body = bytearray(), bytearray(notes)
    entries = [(4, at, 0, 0, len(notes), len(notes))]
    for load in loads:
        size = len(load.data) if load.size is None else load.size
        entries.append((1, at + len(body), load.va, load.pa, len(load.data), size))
        body += load.data
    out += b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9)
    fields = (kind, machine, 1, 0, header, 0, 0, header, program, count, 0, 0, 0)
    out += struct.pack("<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH", *fields)
    for p_type, offset, va, pa, file_bytes, size in entries:
        if wide:
            out += struct.pack("<IIQQQQQQ", p_type, 7, offset, va, pa, file_bytes, size, 0)
        else:
            out += struct.pack("<8I", p_type, offset, va, pa, file_bytes, size, 7, 0)
    return bytes(out + body)


def like_linux(memory: Memory, format: str, root: int) -> PageTables:
    """Tables as a kernel has them: the linear map of 16 MB at 0xc0000000, vectors at 0xffff0000."""
    tables = PageTables(memory, format, pool_base=root, pool_size=1 << 20)
    tables.map(0xC000_0000, RAM, 16 * MIB)
    tables.map(0xFFFF_0000, RAM + 0x3000, 4096, user=True, write=False)
    return tables


def raw_guest(path: Path, format: str, root: int = RAM + 8 * MIB) -> Regime:
    """Write an image of 16 MB of RAM with such tables; returns their regime."""
    with Memory() as memory:
        memory.add_ram(RAM, 16 * MIB)
        tables = like_linux(memory, format, root)
        path.write_bytes(memory.read(RAM, 16 * MIB))
        return tables.regime
