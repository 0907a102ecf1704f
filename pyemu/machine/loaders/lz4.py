"""LZ4 in the legacy frame format, which Linux uses for compressed kernels (lz4 -l).

Format: lz4_Frame_format.md, section "Legacy frame"; lz4_Block_format.md.
"""

from __future__ import annotations

import struct

MAGIC = b"\x02\x21\x4c\x18"
BLOCK_BYTES = 8 << 20
MAX_OUTPUT_BYTES = 256 << 20


def unpack_lz4(data: bytes) -> tuple[bytes, int]:
    """The content of a legacy frame and how many bytes of ``data`` it took; ValueError: it is damaged."""
    if data[:4] != MAGIC:
        raise ValueError("not an LZ4 legacy frame")
    out = bytearray()
    at = 4
    while at + 4 <= len(data):
        size = struct.unpack_from("<I", data, at)[0]
        if not size or at + 4 + size > len(data):
            break
        out += unpack_block(data[at + 4 : at + 4 + size])
        at += 4 + size
        if len(out) > MAX_OUTPUT_BYTES:
            raise ValueError("more output than a kernel can have")
        if len(out) % BLOCK_BYTES:  # only the last block is not full
            break
    if not out:
        raise ValueError("an LZ4 frame without a block")
    return bytes(out), at


def _length(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while True:
            byte = block[at]
            at += 1
            length += byte
            if byte != 255:
                break
    return length, at


def unpack_block(block: bytes) -> bytes:
    """One block; raises ValueError when it is damaged."""
    out = bytearray()
    at = 0
    try:
        while True:
            token = block[at]
            literals, at = _length(block, at + 1, token >> 4)
            if at + literals > len(block):
                raise ValueError("literals leave the block")
            out += block[at : at + literals]
            at += literals
            if at == len(block):
                break
            distance = block[at] | block[at + 1] << 8
            length, at = _length(block, at + 2, token & 15)
            _copy_match(out, distance, length + 4)
            if len(out) > BLOCK_BYTES:
                raise ValueError("a block larger than 8 MB")
    except IndexError:
        raise ValueError("a truncated block") from None
    return bytes(out)


def _copy_match(out: bytearray, distance: int, length: int) -> None:
    start = len(out) - distance
    if not distance or start < 0:
        raise ValueError(f"a match {distance} bytes before the start")
    if distance >= length:
        out += out[start : start + length]
    else:  # the match overlaps itself: its bytes repeat
        pattern = out[start:]
        out += (pattern * (length // distance + 1))[:length]
