"""The order of system instructions in straight-line code: barriers and TLB maintenance that are missing.

Words are recognised by their encoding (ARM DDI 0406C A8.8, B3.17); what lies between branches is looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Omission", "omissions"]

_NEXT = 4  # instructions behind a write of SCTLR in which its ISB is expected
_AFTER = 12  # behind a TLB operation, its DSB
_BEFORE = 16  # in front of one, stores


class _Kind(Enum):
    OTHER = auto()
    STORE = auto()
    BRANCH = auto()
    ISB = auto()
    DSB = auto()
    TLBI = auto()
    SCTLR = auto()


@dataclass(frozen=True)
class Omission:
    """``what`` is "sctlr-isb", "store-dsb" or "tlbi-dsb"; ``address`` that of the instruction it is about,
    ``other`` that of the store of "store-dsb"."""

    what: str
    address: int
    other: int | None = None


def _coprocessor(word: int) -> _Kind | None:
    """MCR p15 and barriers; the condition is the caller's."""
    if word & 0x0FFF_0FFF == 0x0E01_0F10:
        return _Kind.SCTLR
    if word & 0x0FFF_0F10 == 0x0E08_0F10:
        return _Kind.TLBI
    if word & 0x0FFF_0FFF == 0x0E07_0F95:
        return _Kind.ISB
    if word & 0x0FFF_0FFF == 0x0E07_0F9A:
        return _Kind.DSB
    return None


def _arm(word: int) -> _Kind:
    if word & 0xFFFF_FFF0 == 0xF57F_F060:
        return _Kind.ISB
    if word & 0xFFFF_FFF0 == 0xF57F_F040:
        return _Kind.DSB
    if word >> 28 == 0xF:
        return _Kind.BRANCH if word & 0x0E00_0000 == 0x0A00_0000 else _Kind.OTHER
    found = _coprocessor(word)
    if found is not None:
        return found
    if word & 0x0E00_0000 == 0x0A00_0000 or word & 0x0FFF_FFD0 == 0x012F_FF10:
        return _Kind.BRANCH
    stack = word >> 16 & 15 == 13
    if word & 0x0C10_0000 == 0x0400_0000 and word & 0x0200_0010 != 0x0200_0010:  # STR, STRB
        return _Kind.OTHER if stack else _Kind.STORE
    if word & 0x0E10_0000 == 0x0800_0000:  # STM
        return _Kind.OTHER if stack else _Kind.STORE
    if word & 0x0E10_8000 == 0x0810_8000:  # LDM with the PC
        return _Kind.BRANCH
    if word & 0x0E10_00F0 == 0x0000_00B0 or word & 0x0E10_00F0 == 0x0000_00F0:  # STRH, STRD
        return _Kind.OTHER if stack else _Kind.STORE
    return _Kind.OTHER


def _thumb(first: int, second: int) -> _Kind:
    """An instruction of two halfwords."""
    word = first << 16 | second
    if word & 0xFFFF_FFF0 == 0xF3BF_8F60:
        return _Kind.ISB
    if word & 0xFFFF_FFF0 == 0xF3BF_8F40:
        return _Kind.DSB
    if word >> 28 == 0xE:
        found = _coprocessor(word)
        if found is not None:
            return found
    if word & 0xF800_8000 == 0xF000_8000:
        return _Kind.BRANCH
    stack = first & 15 == 13
    if (
        word & 0xFE10_0000 == 0xF800_0000
        or word & 0xFE50_0000 == 0xE840_0000
        or word & 0xFE50_0000 == 0xE800_0000
    ):
        return _Kind.OTHER if stack else _Kind.STORE
    return _Kind.OTHER


def _thumb16(half: int) -> _Kind:
    if (
        half & 0xFF00 == 0x4700
        or half & 0xF000 == 0xD000
        or half & 0xF800 == 0xE000
        or half & 0xFF00 == 0xBD00
    ):
        return _Kind.BRANCH
    if half & 0xF800 in (0x6000, 0x7000, 0x8000, 0xC000) or half & 0xFE00 in (0x5000, 0x5200, 0x5400):
        return _Kind.STORE
    return _Kind.OTHER


def _decode(data: bytes, address: int, thumb: bool) -> Iterator[tuple[int, _Kind]]:
    if not thumb:
        for i, (word,) in enumerate(struct.iter_unpack("<I", data[: len(data) & -4])):
            yield address + 4 * i, _arm(word)
        return
    halves = [half for (half,) in struct.iter_unpack("<H", data[: len(data) & -2])]
    at = 0
    while at < len(halves):
        wide = halves[at] >> 11 in (0b11101, 0b11110, 0b11111) and at + 1 < len(halves)
        yield address + 2 * at, _thumb(halves[at], halves[at + 1]) if wide else _thumb16(halves[at])
        at += 2 if wide else 1


def omissions(data: bytes, address: int, *, thumb: bool) -> list[Omission]:
    """What is missing in a stretch of code that begins at an address."""
    code = list(_decode(data, address, thumb))
    found: list[Omission] = []
    for i, (at, kind) in enumerate(code):
        if kind is _Kind.SCTLR and not _follows(code, i, _Kind.ISB, _NEXT):
            found.append(Omission("sctlr-isb", at))
        elif kind is _Kind.TLBI:
            if not _follows(code, i, _Kind.DSB, _AFTER):
                found.append(Omission("tlbi-dsb", at))
            store = _store_before(code, i)
            if store is not None:
                found.append(Omission("store-dsb", at, store))
    return found


def _follows(code: list[tuple[int, _Kind]], i: int, wanted: _Kind, within: int) -> bool:
    for _, kind in code[i + 1 : i + 1 + within]:
        if kind is wanted:
            return True
        if kind is _Kind.BRANCH:
            return False
    # The end of what was read says nothing.
    return i + 1 + within > len(code)


def _store_before(code: list[tuple[int, _Kind]], i: int) -> int | None:
    for at, kind in reversed(code[max(0, i - _BEFORE) : i]):
        if kind is _Kind.STORE:
            return at
        if kind in (_Kind.DSB, _Kind.BRANCH, _Kind.TLBI):
            return None
    return None
