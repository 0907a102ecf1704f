"""How much tables map, counted in plain Python from raw words: nothing of pyemu takes part but reads."""

from __future__ import annotations

import struct
from collections.abc import Callable

from pyemu.mmu import Regime

__all__ = ["mapped_bytes"]

Read = Callable[[int, int], bytes]

_SPACE = 1 << 32
_SIZES = {1: 1 << 30, 2: 1 << 21, 3: 1 << 12}  # of what an entry of a long-descriptor table covers


def mapped_bytes(read: Read, regime: Regime) -> int:
    """Bytes of the address space that valid leaves cover. ``read(pa, size)`` reads physical memory."""
    return _long(read, regime) if regime.long_format else _short(read, regime)


def _long(read: Read, regime: Regime) -> int:
    """ARM DDI 0406C B3.6.1, B3.6.4, B3.6.5."""
    t0, t1 = regime.ttbcr & 7, regime.ttbcr >> 16 & 7
    start1 = _SPACE - (_SPACE >> t1) if t1 else _SPACE >> t0
    end0 = _SPACE >> t0 if t0 else start1
    return _region(read, regime.ttbr0, end0) + _region(read, regime.ttbr1, _SPACE - start1)


def _region(read: Read, ttbr: int, size: int) -> int:
    level = 1 if size > _SIZES[1] else 2
    return _table(read, ttbr & 0xFF_FFFF_FFE0, level, size // _SIZES[level])


def _table(read: Read, pa: int, level: int, entries: int) -> int:
    total = 0
    for descriptor in struct.unpack(f"<{entries}Q", read(pa, 8 * entries)):
        if descriptor & 3 == 3 and level < 3:
            total += _table(read, descriptor & 0xFF_FFFF_F000, level + 1, 512)
        elif descriptor & 3 == (3 if level == 3 else 1):
            total += _SIZES[level]
    return total


def _short(read: Read, regime: Regime) -> int:
    """ARM DDI 0406C B3.5.1, with TTBCR.N = 0 as Linux has it."""
    assert not regime.ttbcr & 7
    total = 0
    for descriptor in struct.unpack("<4096I", read(regime.ttbr0 & 0xFFFF_C000, 1 << 14)):
        if descriptor & 3 == 1:
            pages = struct.unpack("<256I", read(descriptor & 0xFFFF_FC00, 1 << 10))
            total += sum(0x1000 for page in pages if page & 3)
        elif descriptor & 2:
            total += 1 << 20
    return total
