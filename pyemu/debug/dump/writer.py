"""Writes an ELF core of a target: memory by physical address, registers of each CPU, VMCOREINFO.

The form is that of QEMU's dump-guest-memory: a PT_LOAD for each stretch of RAM, whose virtual address is its
physical one, and 64-bit ELF only where 32 bits do not reach. Where VMCOREINFO tells that the guest is a Linux
kernel, lowmem has the virtual addresses of the linear map, as in a core of kdump: drgn finds page tables by
them. Pages of zeros are holes of the file. PRSTATUS is the kernel's (148 bytes) in both classes; what it has
no room for is in notes of pyemu.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyemu.config import UserError
from pyemu.debug.dump.elf import (
    ELF32,
    ELF64,
    EM_ARM,
    ET_CORE,
    IDENT_BYTES,
    MAGIC,
    PT_LOAD,
    PT_NOTE,
    Layout,
    Note,
)
from pyemu.debug.dump.extents import Extent, extents
from pyemu.debug.dump.prstatus import cpu_notes
from pyemu.debug.dump.vmcoreinfo import find_vmcoreinfo, swapper_address
from pyemu.debug.dump.windows import WINDOW_BYTES, Held, is_zero, windows
from pyemu.machine.output import whole_file
from pyemu.mem import PAGE_SIZE

if TYPE_CHECKING:
    from pyemu.debug.target import Target

__all__ = ["Written", "write_core"]

_4G = 1 << 32
_BEYOND = 1 << 40  # above every virtual and physical address


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
            f"{self.path}: ELF{32 * self.elf_class} core, CPUs: {self.cpus}, {note} VMCOREINFO",
            f"memory {ranges}: {self.stored_bytes} of {self.memory_bytes} bytes are not zero",
        )


@dataclass(frozen=True)
class _Part:
    """A PT_LOAD: ``size`` bytes of memory at ``pa``; ``flags`` are p_flags."""

    pa: int
    va: int
    size: int
    flags: int


def write_core(target: Target, path: str | Path) -> Written:
    """Write a core; the file at ``path`` is replaced only when the new one is complete.

    Raises :class:`~pyemu.config.UserError` where it cannot be written.
    """
    notes = [note for cpu in range(target.cpus) for note in cpu_notes(cpu, target.registers(cpu))]
    info = find_vmcoreinfo(target.memory, _held(target))
    if info is not None:
        notes.append(Note("VMCOREINFO", 0, info))
    parts = _parts(target, info)
    layout = _layout(parts)
    head, offsets = _head(layout, parts, b"".join(_note(note) for note in notes))
    with whole_file(path, "the core") as file:
        file.write(head)
        stored = sum(_write_memory(file, target, part, at) for part, at in zip(parts, offsets, strict=True))
        file.truncate(offsets[-1] + parts[-1].size)
    size = sum(part.size for part in parts)
    spans = tuple((part.pa, part.size) for part in parts)
    return Written(str(path), layout.elf_class, target.cpus, spans, size, stored, info is not None)


def _parts(target: Target, info: bytes | None) -> list[_Part]:
    """The memory in pieces, each with its virtual address."""
    segments = [
        s
        for s in target.memory.segments
        if not s.readonly or any(windows(target.memory, _held(target), s.base, s.base + s.size))
    ]
    linear = None if info is None else _linear_map(target, info)
    parts = []
    for segment in segments:
        end, flags = segment.base + segment.size, 5 if segment.readonly else 7
        if linear is None or not segment.base <= linear.pa < end:
            va = segment.base if linear is None else _away(linear, segment.base, segment.size)
            parts.append(_Part(segment.base, va, segment.size, flags))
            continue
        low_end = min(linear.pa + linear.size, end)
        if segment.base < linear.pa:
            below = linear.pa - segment.base
            parts.append(_Part(segment.base, _away(linear, segment.base, below), below, flags))
        parts.append(_Part(linear.pa, linear.va, low_end - linear.pa, flags))
        if low_end < end:
            size = end - low_end
            parts.append(_Part(low_end, _away(linear, low_end, size), size, flags))
    return parts


def _away(linear: Extent, pa: int, size: int) -> int:
    """A virtual address for memory that the linear map leaves out: none of the kernel's."""
    if pa + size <= linear.va:
        return pa
    return 0 if size <= linear.va and pa + size <= _4G else pa + _BEYOND


def _linear_map(target: Target, info: bytes) -> Extent | None:
    """The linear map of a Linux kernel: the piece of it that holds swapper_pg_dir."""
    swapper = swapper_address(info)
    if swapper is None:
        return None
    try:
        mapped = extents(target.memory, target.regime(0))
    except UserError:  # the target does not say where its tables are
        return None
    return next((e for e in mapped if not e.user and e.va <= swapper < e.va + e.size), None)


def _layout(parts: list[_Part]) -> Layout:
    reach = max(max(part.pa, part.va) + part.size for part in parts)
    file_end = sum(part.size for part in parts) + (1 << 20)  # the notes are far smaller
    return ELF32 if max(reach, file_end) <= _4G else ELF64


def _head(layout: Layout, parts: list[_Part], notes: bytes) -> tuple[bytes, list[int]]:
    """Everything before the memory, and where in the file each segment begins: at a page."""
    notes_at = layout.header_bytes + (len(parts) + 1) * layout.program.size
    at = (notes_at + len(notes) + PAGE_SIZE - 1) & -PAGE_SIZE
    offsets = []
    for part in parts:
        offsets.append(at)
        at += part.size
    ident = MAGIC + bytes((layout.elf_class, 1, 1)) + bytes(IDENT_BYTES - 7)
    table_at, entries = layout.header_bytes, len(parts) + 1
    header = layout.header.pack(
        ET_CORE, EM_ARM, 1, 0, table_at, 0, 0, layout.header_bytes, layout.program.size, entries,
        layout.section.size, 0, 0,
    )  # fmt: skip
    programs = _program(layout, PT_NOTE, notes_at, _Part(0, 0, len(notes), 0), 4)
    for part, offset in zip(parts, offsets, strict=True):
        programs += _program(layout, PT_LOAD, offset, part, PAGE_SIZE)
    head = ident + header + programs + notes
    return head + bytes(-len(head) % PAGE_SIZE), offsets


def _program(layout: Layout, kind: int, offset: int, part: _Part, align: int) -> bytes:
    if layout is ELF32:
        return layout.program.pack(kind, offset, part.va, part.pa, part.size, part.size, part.flags, align)
    return layout.program.pack(kind, part.flags, offset, part.va, part.pa, part.size, part.size, align)


def _note(note: Note) -> bytes:
    name = note.name.encode() + b"\0"
    head = struct.pack("<III", len(name), len(note.content), note.kind)
    return head + _padded(name) + _padded(note.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _write_memory(file: BinaryIO, target: Target, part: _Part, offset: int) -> int:
    """Write the pages that are not zero to their places; returns how many bytes that were."""
    stored = 0
    for pa, data in _content(target, part):
        file.seek(offset + pa - part.pa)
        file.write(data)
        stored += len(data)
    return stored


def _content(target: Target, part: _Part) -> Iterator[tuple[int, bytes]]:
    """(address, bytes) of runs of pages that are not zero."""
    for at, data in windows(target.memory, _held(target), part.pa, part.pa + part.size):
        data += bytes(-len(data) % PAGE_SIZE)
        yield from _nonzero((at + i, data[i : i + PAGE_SIZE]) for i in range(0, len(data), PAGE_SIZE))


def _held(target: Target) -> Held:
    held: Held = getattr(target, "held", None)
    return held


def _nonzero(pages: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    start, run = 0, bytearray()
    for pa, page in pages:
        if run and (is_zero(page) or pa != start + len(run) or len(run) >= WINDOW_BYTES):
            yield start, bytes(run)
            run.clear()
        if not is_zero(page):
            if not run:
                start = pa
            run += page
    if run:
        yield start, bytes(run)
