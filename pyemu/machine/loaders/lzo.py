"""LZO in lzop's file format, which Linux uses for compressed kernels (lzop -9).

The blocks themselves are unpacked by lzallright, which ``pip install 'pyemu-armv7[lzo]'`` brings.
"""

from __future__ import annotations

import struct
import zlib

from pyemu.config import UserError

MAGIC = b"\x89LZO\x00\r\n\x1a\n"
MAX_BLOCK_BYTES = 256 << 10  # what the kernel's own decompressor takes
MAX_OUTPUT_BYTES = 256 << 20
LONG_HEADER_VERSION = 0x0940

FLAG_FILTER = 0x800
# Checksums behind the two lengths of a block: of its content, and of what is stored if that is shorter.
CONTENT_ADLER32, CONTENT_CRC32 = 0x1, 0x100
STORED_ADLER32, STORED_CRC32 = 0x2, 0x200


def unpack_lzo(data: bytes) -> tuple[bytes, int]:
    """The content of an lzop file and how many bytes of ``data`` it took; ValueError: it is damaged.

    Raises :class:`UserError` when lzallright is not installed.
    """
    try:
        from lzallright import LZOCompressor, LZOError
    except ImportError:
        raise UserError(
            "the kernel is LZO-compressed: pip install 'pyemu-armv7[lzo]', or give --no-host-decompress"
        ) from None
    try:
        at, flags = _header(data)
        out = bytearray()
        while size := struct.unpack_from(">I", data, at)[0]:
            stored = struct.unpack_from(">I", data, at + 4)[0]
            if size > MAX_BLOCK_BYTES or stored > size or len(out) + size > MAX_OUTPUT_BYTES:
                raise ValueError(f"a block of {stored} bytes for {size}")
            at += 8
            adler = struct.unpack_from(">I", data, at)[0] if flags & CONTENT_ADLER32 else None
            at += 4 * _checksums(flags, stored < size)
            block = data[at : at + stored]
            if stored < size:
                block = LZOCompressor.decompress(block, size)
            if len(block) != size or adler not in (None, zlib.adler32(block)):
                raise ValueError("a damaged block")
            out += block
            at += stored
    except (struct.error, LZOError) as error:
        raise ValueError(f"damaged: {error}") from None
    return bytes(out), at + 4


def _header(data: bytes) -> tuple[int, int]:
    """Where the first block begins, and the flags."""
    if not data.startswith(MAGIC):
        raise ValueError("not an lzop file")
    at = len(MAGIC)
    long = struct.unpack_from(">H", data, at)[0] >= LONG_HEADER_VERSION
    at += 8 if long else 5  # versions, method, level
    flags = struct.unpack_from(">I", data, at)[0]
    at += 4 + (4 if flags & FLAG_FILTER else 0) + (12 if long else 8)  # mode, times
    name_bytes = struct.unpack_from(">B", data, at)[0]
    return at + 1 + name_bytes + 4, flags


def _checksums(flags: int, compressed: bool) -> int:
    """How many 4-byte checksums a block has."""
    wanted = CONTENT_ADLER32 | CONTENT_CRC32
    if compressed:
        wanted |= STORED_ADLER32 | STORED_CRC32
    return (flags & wanted).bit_count()
