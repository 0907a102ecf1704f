"""Images that tests make: ELF files, zImages and ARM code, whole or damaged on purpose."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RAM = 0x4000_0000
HEADER, PROGRAM_HEADER = 52, 32

# Semihosting (SVC 0x123456): r0 is the call, r1 its argument.
SVC_HOST = 0xEF123456


def words(*values: int) -> bytes:
    """Little-endian words."""
    return struct.pack(f"<{len(values)}I", *values)


def exit_code(status: int) -> bytes:
    """ARM code that ends with a semihosting SYS_EXIT_EXTENDED of this status."""
    return words(
        0xE28F1008,  # add r1, pc, #8      the block behind the code
        0xE3A00020,  # mov r0, #0x20
        SVC_HOST,
        0xEAFFFFFE,  # b .
        0x20026,  # ADP_Stopped_ApplicationExit
        status,
    )


def print_code(text: str, then: bytes = b"") -> bytes:
    """ARM code that prints a text (SYS_WRITE0) and goes on with position-independent code."""
    message = text.encode() + b"\0"
    message += bytes(-len(message) % 4)
    return (
        words(
            0xE28F1008,  # add r1, pc, #8     the text
            0xE3A00004,  # mov r0, #4
            SVC_HOST,
            0xEA000000 | (len(message) // 4 - 1) & 0xFFFFFF,  # b past the text
        )
        + message
        + (then or exit_code(0))
    )


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD segment; ``size`` in memory, where it is more than the data."""

    address: int
    data: bytes
    size: int | None = None
    virtual: int | None = None
    file_size: int | None = None


def make_elf(
    *segments: Segment,
    entry: int | None = None,
    elf_class: int = 1,
    encoding: int = 1,
    kind: int = 2,
    machine: int = 40,
    symbols: Sequence[tuple[str, int]] = (),
) -> bytes:
    """An ELF32 file; the keywords make it a wrong one."""
    ident = b"\x7fELF" + bytes([elf_class, encoding, 1]) + bytes(9)
    offset = HEADER + PROGRAM_HEADER * len(segments)
    headers, content = b"", b""
    for segment in segments:
        file_size = len(segment.data) if segment.file_size is None else segment.file_size
        size = len(segment.data) if segment.size is None else segment.size
        virtual = segment.address if segment.virtual is None else segment.virtual
        headers += words(1, offset + len(content), virtual, segment.address, file_size, size, 7, 4)
        content += segment.data
    if entry is None:
        entry = segments[0].address if segments else 0
    sections, section_count = _symbol_sections(symbols, offset + len(content))
    section_at = offset + len(content) + len(sections) - 40 * section_count if symbols else 0
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH",
        kind,
        machine,
        1,
        entry,
        HEADER if segments else 0,
        section_at,
        0x5000400,
        HEADER,
        PROGRAM_HEADER,
        len(segments),
        40,
        section_count,
        2 if symbols else 0,
    )
    return header + headers + content + sections


def _symbol_sections(symbols: Sequence[tuple[str, int]], at: int) -> tuple[bytes, int]:
    if not symbols:
        return b"", 0
    names, table = b"\0", bytes(16)
    for name, value in symbols:
        table += struct.pack("<IIIBBH", len(names), value, 0, 0x12, 0, 1)  # global function
        names += name.encode() + b"\0"
    section_names = b"\0.symtab\0.strtab\0"
    symtab_at, strtab_at = at, at + len(table)
    names_at = strtab_at + len(names)
    padding = bytes(-(names_at + len(section_names)) % 4)
    sections = bytes(40)
    sections += words(1, 2, 0, 0, symtab_at, len(table), 2, 1, 4, 16)
    sections += words(9, 3, 0, 0, strtab_at, len(names) + len(section_names), 0, 0, 1, 0)
    return table + names + section_names + padding + sections, 3


def hello_elf(status: int = 0, text: str = "hello\n") -> bytes:
    """A program that prints and exits, 32 KB into RAM."""
    return make_elf(Segment(RAM + 0x8000, print_code(text, exit_code(status))))


def make_zimage(
    kernel: bytes,
    compress: Callable[[bytes], bytes],
    *,
    text_offset: int = 0x208000,
    bss: int = 0x1000,
    size_word_appended: bool = True,
    tags: bool = True,
) -> bytes:
    """A zImage around a compressed kernel; gzip's own trailer is the size word, others have it appended."""
    payload = compress(kernel)
    if size_word_appended:
        payload += words(len(kernel))
    tag_at = 0x40
    payload_at = tag_at + 32
    payload_end = payload_at + len(payload) - 4
    total = payload_end + 4
    head = words(*[0xE1A00000] * 9, 0x016F2818, 0, total, 0x04030201)
    head += words(0x45454545, tag_at, 0) if tags else words(0, 0, 0)
    table = words(6, 0x5A534C4B, payload_end, bss, text_offset, 0x10000, 0, 0) if tags else bytes(32)
    return head + table + payload
