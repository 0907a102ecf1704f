"""Finds what has the shape of a first-level table in memory, in either format.

Shape is cheap to see: every descriptor is invalid, a block, or points to a table inside memory that has that
shape too.  What speaks for a table is weighed in :mod:`pyemu.debug.dump.guess`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyemu.debug.dump.windows import Held, windows
from pyemu.mem import PAGE_SIZE, Memory

__all__ = ["Root", "roots"]

LONG_BYTES, SHORT_BYTES = 32, 16384
_LONG_ADDRESS = 0xFF_FFFF_F000
_LOW_BITS = bytes(value & 3 for value in range(256))
_MAX_ODD_INVALID = 16  # words of an invalid descriptor that are not zero: software may keep something there


@dataclass(frozen=True)
class Root:
    """A first-level table that could be one; ``long``: of long descriptors."""

    pa: int
    long: bool


@dataclass
class _Map:
    """Where memory is, for many questions."""

    memory: Memory
    level2: dict[int, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ranges = [(s.base, s.base + s.size) for s in self.memory.segments]

    def holds(self, pa: int, size: int) -> bool:
        return any(base <= pa and pa + size <= end for base, end in self.ranges)

    def words(self, pa: int, size: int, code: str) -> array[int]:
        return array(code, self.memory.read(pa, size))


def roots(memory: Memory, held: Held = None) -> Iterator[Root]:
    """Every table that begins at a page (long) or at 16 KB (short), by ascending address."""
    known = _Map(memory)
    for at, data in windows(memory, held):
        for offset in range(-at % PAGE_SIZE, len(data) - LONG_BYTES + 1, PAGE_SIZE):
            first = struct.unpack_from("<4Q", data, offset)
            if any(first) and _is_long_root(known, first):
                yield Root(at + offset, True)
        for offset in range(-at % SHORT_BYTES, len(data) - SHORT_BYTES + 1, SHORT_BYTES):
            if _is_short_root(known, data[offset : offset + SHORT_BYTES]):
                yield Root(at + offset, False)


# ---- long descriptors (ARM DDI 0406C B3.6.1) ----


def _long_table(known: _Map, descriptor: int) -> int | None:
    """The address of the table that a descriptor names, if there is one.

    The architecture ignores bits 11:2 and 51:40 of a table descriptor; software leaves them clear, and a page
    descriptor, which has the same type bits, does not.
    """
    if descriptor & 3 != 3 or descriptor & 0xFFC or descriptor >> 40 & 0xFFF:
        return None
    pa = descriptor & _LONG_ADDRESS
    return pa if known.holds(pa, PAGE_SIZE) else None


def _is_long_root(known: _Map, descriptors: tuple[int, ...]) -> bool:
    mapped = 0
    for descriptor in descriptors:
        if descriptor & 3 == 3:
            pa = _long_table(known, descriptor)
            entries = None if pa is None else _level2_entries(known, pa)
            if entries is None:
                return False
            mapped += entries
        elif descriptor & 3 == 1:
            if descriptor & 0x3FFF_F000 or descriptor >> 40 & 0xFFF:
                return False
        elif descriptor:
            return False
    return mapped > 0


def _level2_entries(known: _Map, pa: int) -> int | None:
    """How many valid descriptors a second-level table has; None for what is none."""
    if pa in known.level2:
        return known.level2[pa]
    valid, good = 0, True
    for descriptor in known.words(pa, PAGE_SIZE, "Q"):
        kind = descriptor & 3
        if kind == 3:
            good = _long_table(known, descriptor) is not None
        elif kind == 1:  # of 2 MB, with the access flag
            good = not descriptor & 0xF00_001F_F000 and bool(descriptor & 1 << 10)
        valid += kind & 1
        if not good:
            break
    known.level2[pa] = valid if good else None
    return known.level2[pa]


# ---- short descriptors (B3.5.1) ----


def _is_short_root(known: _Map, data: bytes) -> bool:
    kinds = data[0::4].translate(_LOW_BITS)
    invalid = kinds.count(0)
    if invalid == len(kinds) or kinds.count(3):
        return False
    words = array("I", data)
    if invalid - words.count(0) > _MAX_ODD_INVALID:
        return False
    seen = set[int]()
    for word in words:
        if word & 3 == 1:
            seen.add(word & 0xFFFF_FC00)
        elif word & 3 == 2 and word & 1 << 18 and word & 0x00F0_01E0:
            return False  # a supersection above 4 GB: no memory here is
    return all(known.holds(pa, 1024) for pa in seen)
