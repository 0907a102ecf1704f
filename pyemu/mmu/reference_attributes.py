"""Memory types for the reference walker: MAIR, TEX remap (SCTLR.TRE), and TEX, C, B without remap.

Everything is expressed as a MAIR attribute byte (ARM DDI 0406C B4.1.104) and the long-descriptor SH field:
0b00 Non-shareable, 0b10 Outer Shareable, 0b11 Inner Shareable (B3.6.2).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemoryType", "mair_type", "par32_attributes", "short_type"]

NON_SHAREABLE, OUTER, INNER = 0b00, 0b10, 0b11
STRONGLY_ORDERED, DEVICE = 0x00, 0x04

# The two-bit cacheability of short descriptors, NMRR and PAR -> a nibble of MAIR, as non-transient with the
# allocation hints that the name promises: Non-cacheable; Write-Back, Write-Allocate; Write-Through;
# Write-Back, no Write-Allocate.
_NIBBLE = (0x4, 0xF, 0xA, 0xE)


@dataclass(frozen=True)
class MemoryType:
    """``defined`` is False for reserved and IMPLEMENTATION DEFINED encodings: the rest is then 0."""

    attr: int
    shareability: int
    defined: bool = True


UNDEFINED = MemoryType(0, NON_SHAREABLE, defined=False)


def mair_type(attr: int, shareability: int) -> MemoryType:
    """A long descriptor's type: its MAIR byte and SH as they are; SH = 0b01 is reserved."""
    return MemoryType(attr, shareability)


def _normal(outer: int, inner: int, shareability: int) -> MemoryType:
    return MemoryType(_NIBBLE[outer] << 4 | _NIBBLE[inner], shareability)


def short_type(prrr: int, nmrr: int, tre: bool, texcb: int, s: int) -> MemoryType:
    """The type of a short descriptor with the five bits TEX[2:0], C, B and the bit S."""
    return _remapped(prrr, nmrr, texcb & 7, s) if tre else _plain(texcb, s)


def _remapped(prrr: int, nmrr: int, n: int, s: int) -> MemoryType:
    """B3.8.3: TEX[0], C, B select a field of PRRR and NMRR; S goes through PRRR.NS0, NS1."""
    if n == 6:
        return UNDEFINED  # IMPLEMENTATION DEFINED
    kind = prrr >> 2 * n & 3
    if kind == 0b00:
        return MemoryType(STRONGLY_ORDERED, OUTER)
    if kind == 0b01:
        # With the Large Physical Address Extension Device memory is always Outer Shareable, whatever DS0
        # and DS1 say.
        return MemoryType(DEVICE, OUTER)
    if kind == 0b11:
        return UNDEFINED
    shareable = prrr >> (19 if s else 18) & 1
    not_outer = prrr >> (24 + n) & 1
    shareability = NON_SHAREABLE if not shareable else INNER if not_outer else OUTER
    return _normal(nmrr >> (16 + 2 * n) & 3, nmrr >> 2 * n & 3, shareability)


def _plain(texcb: int, s: int) -> MemoryType:
    """B3.8.2, table B3-10."""
    shareability = OUTER if s else NON_SHAREABLE
    if texcb & 0b10000:
        return _normal(texcb >> 2 & 3, texcb & 3, shareability)
    return {
        0b00000: MemoryType(STRONGLY_ORDERED, OUTER),
        0b00001: MemoryType(DEVICE, OUTER),
        0b00010: _normal(2, 2, shareability),
        0b00011: _normal(3, 3, shareability),
        0b00100: _normal(0, 0, shareability),
        0b00111: _normal(1, 1, shareability),
        0b01000: MemoryType(DEVICE, OUTER),
    }.get(texcb, UNDEFINED)


def par32_attributes(memory: MemoryType) -> int:
    """NOS, SH, Inner[2:0] and Outer[1:0] of a 32-bit PAR (B4.1.112)."""
    if not memory.defined:
        return 0
    shareable = memory.shareability != NON_SHAREABLE
    not_outer = memory.shareability == INNER
    value = shareable << 7 | not_outer << 10
    if memory.attr == STRONGLY_ORDERED:
        return value | 0b001 << 4
    if memory.attr == DEVICE:
        return value | 0b011 << 4
    outer, inner = _NIBBLE.index(memory.attr >> 4), _NIBBLE.index(memory.attr & 0xF)
    return value | (0b000, 0b101, 0b110, 0b111)[inner] << 4 | outer << 2
