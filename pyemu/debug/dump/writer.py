"""Writes an ELF core of a target: memory by physical address, registers of each CPU, VMCOREINFO.

The form is that of QEMU's dump-guest-memory: one PT_LOAD for each stretch of RAM, whose virtual address is its
physical one, and 64-bit ELF only where 32 bits do not reach. Pages of zeros are holes of the file. PRSTATUS is
the kernel's (148 bytes) in both classes; what it has no room for is in notes of pyemu.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyemu.debug.dump.elf import ELF32, ELF64, EM_ARM, ET_CORE, IDENT_BYTES, MAGIC, PT_LOAD, PT_NOTE, Layout, Note
from pyemu.debug.dump.prstatus import cpu_notes
from pyemu.debug.dump.vmcoreinfo import find_vmcoreinfo
from pyemu.machine.output import whole_file
from pyemu.mem import PAGE_SIZE, Memory, Segment

if TYPE_CHECKING:
    from pyemu.debug.target import Target

__all__ = ["Written", "write_core"]

_CHUNK = 1 << 20
_4G = 1 << 32


@dataclass(frozen=True)
class Written:
    """A core that was written. ``memory_bytes`` is what it holds, ``stored_bytes`` what is not a hole."""

    path: str
    elf_class: int
    cpus: int
    segments: tuple[tuple[int, int], ...]
    memory_bytes: int
    stored_bytes: int
    vmcoreinfo: bool

    @property
    def lines(self) -> tuple[str, ...]:
        ranges = ", ".join(f"{base:#x}-{base + size:#x}" for base, size in self.segments)
        note = "with" if self.vmcoreinfo else "without"
        return (
            f"{self.path}: ELF{32 * self.elf_class} core, {self.cpus} CPU{'s' * (self.cpus != 1)}, {note} VMCOREINFO",
            f"memory {ranges}: {self.stored_bytes} of {self.memory_bytes} bytes are not zero",
        )


def write_core(target: Target, path: str | Path) -> Written:
    """Write a core; the file at ``path`` is replaced only when the new one is complete.

    Raises :class:`~pyemu.config.UserError` where it cannot be written.
    """
    segments = [s for s in target.memory.segments if not s.readonly or _used(target.memory, s)]
    notes = [note for cpu in range(target.cpus) for note in cpu_notes(cpu, target.registers(cpu))]
    info = find_vmcoreinfo(target.memory)
    if info is not None:
        notes.append(Note("VMCOREINFO", 0, info))
    layout = _layout(segments)
    head, offsets = _head(layout, segments, b"".join(_note(note) for note in notes))
    with whole_file(path, "the core") as file:
        file.write(head)
        stored = sum(_write_memory(file, target, s, offset) for s, offset in zip(segments, offsets, strict=True))
        file.truncate(offsets[-1] + segments[-1].size)
    size = sum(s.size for s in segments)
    spans = tuple((s.base, s.size) for s in segments)
    return Written(str(path), layout.elf_class, target.cpus, spans, size, stored, info is not None)


def _used(memory: Memory, segment: Segment) -> bool:
    """Whether flash holds anything."""
    return any(any(data) for _, data in _chunks(memory, segment))


def _layout(segments: list[Segment]) -> Layout:
    reach = max(s.base + s.size for s in segments)
    file_end = sum(s.size for s in segments) + (1 << 20)  # the notes are far smaller
    return ELF32 if max(reach, file_end) <= _4G else ELF64


def _head(layout: Layout, segments: list[Segment], notes: bytes) -> tuple[bytes, list[int]]:
    """Everything before the memory, and where in the file each segment begins: at a page."""
    notes_at = layout.header_bytes + (len(segments) + 1) * layout.program.size
    at = (notes_at + len(notes) + PAGE_SIZE - 1) & -PAGE_SIZE
    offsets = []
    for segment in segments:
        offsets.append(at)
        at += segment.size
    ident = MAGIC + bytes((layout.elf_class, 1, 1)) + bytes(IDENT_BYTES - 7)
    table_at, entries = layout.header_bytes, len(segments) + 1
    header = layout.header.pack(
        ET_CORE, EM_ARM, 1, 0, table_at, 0, 0, layout.header_bytes, layout.program.size, entries,
        layout.section.size, 0, 0,
    )  # fmt: skip
    programs = _program(layout, PT_NOTE, notes_at, 0, len(notes), 0, 4)
    for segment, offset in zip(segments, offsets, strict=True):
        flags = 5 if segment.readonly else 7
        programs += _program(layout, PT_LOAD, offset, segment.base, segment.size, flags, PAGE_SIZE)
    head = ident + header + programs + notes
    return head + bytes(-len(head) % PAGE_SIZE), offsets


def _program(layout: Layout, kind: int, offset: int, pa: int, size: int, flags: int, align: int) -> bytes:
    if layout is ELF32:
        return layout.program.pack(kind, offset, pa, pa, size, size, flags, align)
    return layout.program.pack(kind, flags, offset, pa, pa, size, size, align)


def _note(note: Note) -> bytes:
    name = note.name.encode() + b"\0"
    head = struct.pack("<III", len(name), len(note.content), note.kind)
    return head + _padded(name) + _padded(note.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _write_memory(file: BinaryIO, target: Target, segment: Segment, offset: int) -> int:
    """Write the pages that are not zero to their places; returns how many bytes that were."""
    stored = 0
    for pa, data in _content(target, segment):
        file.seek(offset + pa - segment.base)
        file.write(data)
        stored += len(data)
    return stored


def _content(target: Target, segment: Segment) -> Iterator[tuple[int, bytes]]:
    """(address, bytes) of runs of pages that are not zero."""
    if target.machine is not None:  # the host knows which pages the guest has ever touched
        pages = target.memory.touched(segment.base, segment.base + segment.size)
        yield from _nonzero((pa, target.memory.read(pa, PAGE_SIZE)) for pa in pages)
        return
    for at, data in _chunks(target.memory, segment):
        if any(data):
            pieces = range(0, len(data), PAGE_SIZE)
            yield from _nonzero((at + i, data[i : i + PAGE_SIZE]) for i in pieces)


def _nonzero(pages: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    zero = bytes(PAGE_SIZE)
    start, run = 0, bytearray()
    for pa, page in pages:
        if run and (page == zero or pa != start + len(run) or len(run) >= _CHUNK):
            yield start, bytes(run)
            run.clear()
        if page != zero:
            if not run:
                start = pa
            run += page
    if run:
        yield start, bytes(run)


def _chunks(memory: Memory, segment: Segment) -> Iterator[tuple[int, bytes]]:
    end = segment.base + segment.size
    for at in range(segment.base, end, _CHUNK):
        yield at, memory.read(at, min(_CHUNK, end - at))
