"""The Linux zImage: its header, the kernel's place in memory, and the compressed kernel inside.

Layout: arch/arm/boot/compressed/{head.S,vmlinux.lds.S} of Linux.  Since 4.15 a table of tags (magic
0x45454545 at 0x34, its offset at 0x38) gives the payload's end, the size of the kernel's BSS and TEXT_OFFSET.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from pyemu.config import UserError
from pyemu.machine.loaders import lzo
from pyemu.machine.loaders.lz4 import unpack_lz4

MAGIC_AT, MAGIC = 0x24, 0x016F2818
TABLE_MAGIC_AT, TABLE_MAGIC = 0x34, 0x45454545
TAG_KERNEL_SIZE = 0x5A534C4B
DEFAULT_TEXT_OFFSET = 0x8000
MAX_KERNEL_BYTES = 256 << 20
MAX_CANDIDATES = 64  # places where a magic number of one format is tried
HEADER_BYTES = 0x40


@dataclass(frozen=True)
class ZImage:
    """What the header says.

    ``size``         bytes of the file that are the image.
    ``text_offset``  where the kernel goes, in bytes from a 128 MB boundary at or below it.
    ``bss_bytes``    zeroed memory behind the kernel (0: an old image that does not say).
    ``payload_end``  file offset of the word with the kernel's size (None: an old image).
    """

    size: int
    text_offset: int
    bss_bytes: int
    payload_end: int | None


def is_zimage(data: bytes) -> bool:
    """Whether the file has the magic number of an ARM zImage."""
    return len(data) >= HEADER_BYTES and struct.unpack_from("<I", data, MAGIC_AT)[0] == MAGIC


def parse(data: bytes) -> ZImage:
    """Read the header and the tags; raises :class:`UserError` for a truncated or byte-swapped image."""
    start, end, endian = struct.unpack_from("<III", data, MAGIC_AT + 4)
    if endian == 0x01020304:
        raise UserError("big-endian zImage: pyemu starts little-endian kernels")
    size = end - start
    if size > len(data):
        raise UserError(f"truncated zImage: its header says {size} bytes, the file has {len(data)}")
    if size < HEADER_BYTES:
        raise UserError(f"bad zImage header: start {start:#x}, end {end:#x}")
    magic, tags = struct.unpack_from("<II", data, TABLE_MAGIC_AT)
    if magic != TABLE_MAGIC:
        return ZImage(size, DEFAULT_TEXT_OFFSET, 0, None)
    while tags % 4 == 0 and tags + 8 <= size:
        words, tag = struct.unpack_from("<II", data, tags)
        if words < 2 or tags + 4 * words > size:
            break
        if tag == TAG_KERNEL_SIZE and words >= 5:
            payload_end, bss, text_offset = struct.unpack_from("<III", data, tags + 8)
            if payload_end + 4 > size or text_offset >= 128 << 20 or text_offset % 4:
                raise UserError(
                    f"bad zImage tags: payload end {payload_end:#x}, TEXT_OFFSET {text_offset:#x}"
                )
            return ZImage(size, text_offset, bss, payload_end)
        tags += 4 * words
    return ZImage(size, DEFAULT_TEXT_OFFSET, 0, None)


def _unpack_gzip(data: bytes) -> tuple[bytes, int]:
    engine = zlib.decompressobj(wbits=31)
    out = engine.decompress(data, MAX_KERNEL_BYTES)
    if not engine.eof:
        raise ValueError("no end")
    return out, len(data) - len(engine.unused_data)


def _unpack_lzma(data: bytes) -> tuple[bytes, int]:
    engine = lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=256 << 20)
    out = engine.decompress(data, MAX_KERNEL_BYTES)
    if not engine.eof:
        raise ValueError("no end")
    return out, len(data) - len(engine.unused_data)


# All that Linux can compress an ARM kernel with (arch/arm/Kconfig).
FORMATS: tuple[tuple[str, bytes, Callable[[bytes], tuple[bytes, int]]], ...] = (
    ("xz", b"\xfd7zXZ\x00", _unpack_lzma),
    ("gzip", b"\x1f\x8b\x08", _unpack_gzip),
    ("lz4", b"\x02\x21\x4c\x18", unpack_lz4),
    ("lzma", b"\x5d\x00\x00", _unpack_lzma),
    ("lzo", lzo.MAGIC, lzo.unpack_lzo),
)


def decompress(data: bytes, header: ZImage) -> tuple[bytes, str]:
    """The kernel inside and the name of its compression.

    Only a stream that ends where the tags say, with the length that they say, is taken; an old image without
    tags must have one stream of at least 1 MB.  Raises :class:`UserError` when there is none.
    """
    for name, magic, unpack in FORMATS:
        at = HEADER_BYTES - 1
        for _ in range(MAX_CANDIDATES):
            at = data.find(magic, at + 1, header.size)
            if at < 0:
                break
            kernel = _try(data, at, header, unpack)
            if kernel is not None:
                return kernel, name
    raise UserError(
        "cannot unpack the zImage on the host (no gzip, xz, lz4, lzma or lzo stream ends where it should): "
        "give --no-host-decompress"
    )


def _try(data: bytes, at: int, header: ZImage, unpack: Callable[[bytes], tuple[bytes, int]]) -> bytes | None:
    end = header.size if header.payload_end is None else header.payload_end + 4
    try:
        kernel, used = unpack(data[at:end])
    except (ValueError, zlib.error, lzma.LZMAError, EOFError):
        return None
    if header.payload_end is None:
        return kernel if len(kernel) >= 1 << 20 else None
    # gzip's own trailer is the size word; the other formats have it appended.
    if at + used not in (header.payload_end, header.payload_end + 4):
        return None
    return kernel if len(kernel) == struct.unpack_from("<I", data, header.payload_end)[0] else None
