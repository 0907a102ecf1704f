"""ELF cores as QEMU's dump-guest-memory, kdump and pyemu write them: headers, segments, notes.

Format: Tool Interface Standard ELF 1.2; only what a core of a 32-bit ARM machine can have, in both classes.
Nothing of the file is believed before it is checked against the file's size.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pyemu.config import UserError

__all__ = ["MAGIC", "CoreFile", "Layout", "Note", "Segment", "read_core"]

MAGIC = b"\x7fELF"
ET_CORE, EM_ARM, EM_AARCH64 = 4, 40, 183
PT_LOAD, PT_NOTE = 1, 4
PN_XNUM = 0xFFFF
MAX_SEGMENTS = 1 << 16
MAX_NOTES_BYTES = 16 << 20
MAX_NAMES_BYTES = 4096
IDENT_BYTES = 16
_4G = 1 << 32


@dataclass(frozen=True)
class Layout:
    """The structures of one ELF class: header after e_ident, program header, section header."""

    elf_class: int
    header: struct.Struct
    program: struct.Struct
    section: struct.Struct

    @property
    def header_bytes(self) -> int:
        return IDENT_BYTES + self.header.size


ELF32 = Layout(1, struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<8I"), struct.Struct("<10I"))
ELF64 = Layout(2, struct.Struct("<HHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<IIQQQQIIQQ"))
LAYOUTS = {layout.elf_class: layout for layout in (ELF32, ELF64)}


@dataclass(frozen=True)
class Segment:
    """A program header; the first ``file_bytes`` of ``size`` bytes at physical ``pa`` are in the file."""

    number: int
    kind: int
    offset: int
    va: int
    pa: int
    file_bytes: int
    size: int


@dataclass(frozen=True)
class Note:
    """One note: its owner's name without the NUL, type and content."""

    name: str
    kind: int
    content: bytes


@dataclass(frozen=True)
class CoreFile:
    """A core's segments (PT_LOAD, in file order) and notes; ``machine`` is EM_ARM or EM_AARCH64."""

    path: Path
    layout: Layout
    machine: int
    segments: tuple[Segment, ...]
    notes: tuple[Note, ...]


def read_core(path: str | Path) -> CoreFile:
    """Read all but the memory of a core; :class:`~pyemu.config.UserError` with one line for anything else."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(path, file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except UserError as problem:
        raise UserError(f"{path}: {problem}") from None


def _read(path: Path, file: BinaryIO, size: int) -> CoreFile:
    ident = file.read(IDENT_BYTES)
    if len(ident) < IDENT_BYTES or not ident.startswith(MAGIC):
        raise UserError("not an ELF file")
    if ident[5] != 1:
        raise UserError("big-endian ELF core: memory of little-endian ARM is read")
    layout = LAYOUTS.get(ident[4])
    if layout is None:
        raise UserError(f"ELF class {ident[4]} does not exist: 1 (32 bits) and 2 (64 bits) do")
    data = file.read(layout.header.size)
    if len(data) < layout.header.size:
        raise UserError(f"truncated ELF file: {size} bytes, and the header alone has {layout.header_bytes}")
    kind, machine, _, _, table, sections, _, _, entry_bytes, count, section_bytes, _, _ = (
        layout.header.unpack(data)
    )
    if kind != ET_CORE:
        raise UserError(f"ELF of type {kind} is no core dump (type {ET_CORE}): `pyemu boot` runs executables")
    if machine not in (EM_ARM, EM_AARCH64):
        raise UserError(
            f"core of machine {machine}: ARM ({EM_ARM}, or {EM_AARCH64} as QEMU calls it) is read"
        )
    if count == PN_XNUM:
        count = _extended_count(file, layout, sections, section_bytes)
    if entry_bytes != layout.program.size or not 0 < count <= MAX_SEGMENTS:
        raise UserError(
            f"core with {count} program headers of {entry_bytes} bytes: 1 to {MAX_SEGMENTS} of "
            f"{layout.program.size} are read"
        )
    file.seek(min(table, size))
    headers = file.read(count * entry_bytes)
    if len(headers) < count * entry_bytes:
        raise UserError(
            f"truncated core: its program headers end at {table + count * entry_bytes}, the file at {size}"
        )
    segments = [_segment(layout, n, fields) for n, fields in enumerate(layout.program.iter_unpack(headers))]
    loads = tuple(s for s in _whole(layout, segments, size) if s.size)
    for segment in loads:
        _check(segment, size)
    notes = [note for s in segments if s.kind == PT_NOTE for note in _notes(file, s, size)]
    if not loads:
        raise UserError("core without memory: it has no PT_LOAD segment")
    return CoreFile(path, layout, machine, loads, tuple(notes))


def _extended_count(file: BinaryIO, layout: Layout, offset: int, section_bytes: int) -> int:
    """More program headers than e_phnum can say: sh_info of section 0 has their number."""
    file.seek(min(offset, 1 << 62))
    data = file.read(layout.section.size)
    if section_bytes != layout.section.size or len(data) < layout.section.size:
        raise UserError("core with PN_XNUM program headers, but no section that says how many")
    fields = layout.section.unpack(data)
    return int(fields[7])


def _segment(layout: Layout, number: int, fields: tuple[int, ...]) -> Segment:
    if layout is ELF32:
        kind, offset, va, pa, file_bytes, size, _, _ = fields
    else:
        kind, _, offset, va, pa, file_bytes, size, _ = fields
    return Segment(number, kind, offset, va, pa, file_bytes, size)


def _whole(layout: Layout, segments: list[Segment], file_size: int) -> list[Segment]:
    """The PT_LOADs, as large as they are.

    QEMU writes 32-bit cores of any ARM machine: of a size of 4 GB and more only the low 32 bits are in the
    header, but all the memory is in the file, and only names of sections come after it.
    """
    loads = [s for s in segments if s.kind == PT_LOAD]
    if layout is not ELF32 or len(loads) != 1:
        return loads
    (only,) = loads
    rest = file_size - only.offset - only.file_bytes
    more = rest & -_4G
    if only.file_bytes != only.size or not more or rest - more > MAX_NAMES_BYTES:
        return loads
    return [replace(only, file_bytes=only.file_bytes + more, size=only.size + more)]


def _check(segment: Segment, file_size: int) -> None:
    what = f"segment {segment.number} at {segment.pa:#x}"
    if segment.file_bytes > segment.size:
        raise UserError(
            f"{what} has {segment.file_bytes:#x} bytes in the file but {segment.size:#x} in memory"
        )
    if segment.offset + segment.file_bytes > file_size:
        raise UserError(
            f"truncated core: {what} ends at {segment.offset + segment.file_bytes}, the file at {file_size}"
        )
    if segment.pa + segment.size > 1 << 40:
        raise UserError(f"{what} ends above the 40-bit physical address space")
    if segment.pa % 4096:
        raise UserError(f"{what} does not start at a page: a multiple of 4096 would be right")


def _notes(file: BinaryIO, segment: Segment, file_size: int) -> list[Note]:
    if segment.file_bytes > MAX_NOTES_BYTES or segment.offset + segment.file_bytes > file_size:
        raise UserError(
            f"truncated core: {segment.file_bytes:#x} bytes of notes at offset {segment.offset:#x}"
        )
    file.seek(segment.offset)
    data = file.read(segment.file_bytes)
    notes: list[Note] = []
    at = 0
    while at + 12 <= len(data):
        name_bytes, content_bytes, kind = struct.unpack_from("<III", data, at)
        content_at = at + 12 + (name_bytes + 3 & ~3)
        end = content_at + content_bytes
        if end > len(data):
            raise UserError(f"damaged core: note {len(notes)} goes beyond the end of its segment")
        name = data[at + 12 : at + 12 + name_bytes].split(b"\0")[0].decode("ascii", "replace")
        notes.append(Note(name, kind, data[content_at:end]))
        at = end + 3 & ~3
    return notes
