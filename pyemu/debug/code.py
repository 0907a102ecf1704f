"""The order of system instructions in straight-line code: barriers and TLB maintenance that are missing.

Words are recognised by their encoding (ARM DDI 0406C A8.8, B3.17). Branches within the code are followed;
what lies behind a call or a return is not known, so nothing is said to be missing there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Omission", "first_sctlr_write", "has_tlbi", "omissions"]

_NEXT = 4  # instructions behind a write of SCTLR in which its ISB is expected
_AFTER = 32  # behind a TLB operation, its DSB
_BEFORE = 16  # in front of one, stores; in front of a write of SCTLR, what was done to the value


class _Kind(Enum):
    OTHER = auto()
    STORE = auto()
    JUMP = auto()  # to a known place
    MAYBE = auto()  # the same, with a condition
    AWAY = auto()  # calls, returns, and whatever else writes the PC
    ISB = auto()
    DSB = auto()
    TLBI = auto()
    SCTLR = auto()


class _Insn(NamedTuple):
    at: int
    kind: _Kind
    word: int
    target: int | None = None


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


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def _arm(at: int, word: int) -> _Insn:
    if word & 0x0F00_0000 == 0x0A00_0000 and word >> 28 != 0xF:  # B
        kind = _Kind.JUMP if word >> 28 == 0xE else _Kind.MAYBE
        return _Insn(at, kind, word, at + 8 + 4 * _signed(word & 0xFF_FFFF, 24))
    return _Insn(at, _arm_kind(word), word)


def _arm_kind(word: int) -> _Kind:
    if word & 0xFFFF_FFF0 == 0xF57F_F060:
        return _Kind.ISB
    if word & 0xFFFF_FFF0 == 0xF57F_F040:
        return _Kind.DSB
    if word >> 28 == 0xF:
        return _Kind.AWAY if word & 0x0E00_0000 == 0x0A00_0000 else _Kind.OTHER
    found = _coprocessor(word)
    if found is not None:
        return found
    if word & 0x0E00_0000 == 0x0A00_0000 or word & 0x0FFF_FFD0 == 0x012F_FF10 or _writes_pc(word):
        return _Kind.AWAY
    stack = word >> 16 & 15 == 13
    if word & 0x0C10_0000 == 0x0400_0000 and word & 0x0200_0010 != 0x0200_0010:  # STR, STRB
        return _Kind.OTHER if stack else _Kind.STORE
    if word & 0x0E10_0000 == 0x0800_0000:  # STM
        return _Kind.OTHER if stack else _Kind.STORE
    if word & 0x0E10_00F0 == 0x0000_00B0 or word & 0x0E10_00F0 == 0x0000_00F0:  # STRH, STRD
        return _Kind.OTHER if stack else _Kind.STORE
    return _Kind.OTHER


def _writes_pc(word: int) -> bool:
    if word & 0x0E10_8000 == 0x0810_8000:  # LDM
        return True
    if word & 0x0C10_F000 == 0x0410_F000 and word & 0x0200_0010 != 0x0200_0010:  # LDR
        return True
    return word & 0x0FEF_F000 == 0x01A0_F000  # MOV


def _thumb(at: int, first: int, second: int) -> _Insn:
    """An instruction of two halfwords."""
    word = first << 16 | second
    if word & 0xF800_D000 == 0xF000_9000:  # B, encoding T4
        sign = word >> 26 & 1
        high = (word >> 13 & 1 ^ 1 ^ sign) << 1 | word >> 11 & 1 ^ 1 ^ sign
        offset = _signed(sign << 23 | high << 21 | (word >> 16 & 0x3FF) << 11 | word & 0x7FF, 24)
        return _Insn(at, _Kind.JUMP, word, at + 4 + 2 * offset)
    return _Insn(at, _thumb_kind(first, word), word)


def _thumb_kind(first: int, word: int) -> _Kind:
    if word & 0xFFFF_FFF0 == 0xF3BF_8F60:
        return _Kind.ISB
    if word & 0xFFFF_FFF0 == 0xF3BF_8F40:
        return _Kind.DSB
    if word >> 28 == 0xE:
        found = _coprocessor(word)
        if found is not None:
            return found
    if word & 0xF800_8000 == 0xF000_8000 or word & 0xFE10_8000 == 0xE810_8000:
        return _Kind.AWAY
    stack = first & 15 == 13
    if (
        word & 0xFE10_0000 == 0xF800_0000
        or word & 0xFE50_0000 == 0xE840_0000
        or word & 0xFE50_0000 == 0xE800_0000
    ):
        return _Kind.OTHER if stack else _Kind.STORE
    return _Kind.OTHER


def _thumb16(at: int, half: int) -> _Insn:
    if half & 0xF800 == 0xE000:
        return _Insn(at, _Kind.JUMP, half, at + 4 + 2 * _signed(half & 0x7FF, 11))
    if half & 0xF000 == 0xD000 and half & 0x0E00 != 0x0E00:
        return _Insn(at, _Kind.MAYBE, half, at + 4 + 2 * _signed(half & 0xFF, 8))
    if half & 0xF500 == 0xB100:  # CBZ, CBNZ
        return _Insn(at, _Kind.MAYBE, half)
    if half & 0xFF00 in (0x4700, 0xBD00, 0xDF00) or half & 0xFF87 == 0x4687:
        return _Insn(at, _Kind.AWAY, half)
    if half & 0xF800 in (0x6000, 0x7000, 0x8000, 0xC000) or half & 0xFE00 in (0x5000, 0x5200, 0x5400):
        return _Insn(at, _Kind.STORE, half)
    return _Insn(at, _Kind.OTHER, half)


def _decode(data: bytes, address: int, thumb: bool) -> Iterator[_Insn]:
    if not thumb:
        for i, (word,) in enumerate(struct.iter_unpack("<I", data[: len(data) & -4])):
            yield _arm(address + 4 * i, word)
        return
    halves = [half for (half,) in struct.iter_unpack("<H", data[: len(data) & -2])]
    i = 0
    while i < len(halves):
        at = address + 2 * i
        wide = halves[i] >> 11 in (0b11101, 0b11110, 0b11111) and i + 1 < len(halves)
        yield _thumb(at, halves[i], halves[i + 1]) if wide else _thumb16(at, halves[i])
        i += 2 if wide else 1


def has_tlbi(data: bytes) -> bool:
    """Whether there is a TLB operation, be it ARM or Thumb."""
    halves = [half for (half,) in struct.iter_unpack("<H", data[: len(data) & -2])]
    # MCR p15, 0, Rt, c8: ARM has the coprocessor's half in front, Thumb behind.
    pairs = (pair for at in pairwise(halves) for pair in (at, at[::-1]))
    return any(_coprocessor(first << 16 | second) is _Kind.TLBI for first, second in pairs)


def first_sctlr_write(data: bytes, address: int, *, thumb: bool) -> int | None:
    """Where the first write of SCTLR is in a stretch of code that begins at an address."""
    return next((each.at for each in _decode(data, address, thumb) if each.kind is _Kind.SCTLR), None)


def omissions(data: bytes, address: int, *, thumb: bool) -> list[Omission]:
    """What is missing in a stretch of code that begins at an address."""
    code = list(_decode(data, address, thumb))
    places = {each.at: i for i, each in enumerate(code)}
    found: list[Omission] = []
    for i, each in enumerate(code):
        if each.kind is _Kind.SCTLR and _lacks(code, places, i, _Kind.ISB, _NEXT):
            if _leaves_m(code, i, thumb):
                continue
            found.append(Omission("sctlr-isb", each.at))
        elif each.kind is _Kind.TLBI:
            if _lacks(code, places, i, _Kind.DSB, _AFTER):
                found.append(Omission("tlbi-dsb", each.at))
            store = _store_before(code, i)
            if store is not None:
                found.append(Omission("store-dsb", each.at, store))
    return found


def _lacks(code: list[_Insn], places: dict[int, int], i: int, wanted: _Kind, within: int) -> bool:
    """Whether so many instructions come next without the wanted one; TLB operations in a row count as one."""
    seen = 0
    last = code[i].kind
    i += 1
    while seen < within:
        if i >= len(code):
            return False  # the end of what was read says nothing
        each = code[i]
        if each.kind in (wanted, _Kind.AWAY):
            return False
        if each.kind is not _Kind.TLBI or last is not _Kind.TLBI:
            seen += 1
        last = each.kind
        i += 1
        if each.kind is _Kind.JUMP:
            assert each.target is not None
            if each.target not in places:
                return False
            i = places[each.target]
    return True


def _store_before(code: list[_Insn], i: int) -> int | None:
    for each in reversed(code[max(0, i - _BEFORE) : i]):
        if each.kind is _Kind.STORE:
            return each.at
        if each.kind in (_Kind.DSB, _Kind.JUMP, _Kind.MAYBE, _Kind.AWAY, _Kind.TLBI):
            return None
    return None


def _leaves_m(code: list[_Insn], i: int, thumb: bool) -> bool:
    """Whether a write of SCTLR puts back what was read, with bits other than M set or cleared."""
    rt = code[i].word >> 12 & 15
    for each in reversed(code[max(0, i - _BEFORE) : i]):
        word = each.word
        if word & 0x0FFF_FFFF == 0x0E11_0F10 | rt << 12:  # MRC p15, 0, Rt, c1, c0, 0
            return True
        if each.kind in (_Kind.JUMP, _Kind.AWAY):
            return False
        if thumb:
            changes = (word & 0xF800_8000 == 0xF000_0000) and word >> 8 & 15 == rt
            known = word & 0xFB90_8000 == 0xF000_0000 and word >> 16 & 15 == rt  # AND, BIC, ORR, ORN
            sets = word & 0xFBE0_8000 == 0xF040_0000 and not word & 0x0400_7000 and word & 1
        else:
            loads = word & 0x0C10_0000 == 0x0410_0000
            works = word & 0x0C00_0000 == 0 and word & 0x0180_0000 != 0x0100_0000
            changes = (loads or works) and word >> 12 & 15 == rt
            known = word & 0x0FE0_0000 in (0x0200_0000, 0x0380_0000, 0x03C0_0000) and word >> 16 & 15 == rt
            sets = word & 0x0FE0_0000 == 0x0380_0000 and _arm_immediate(word) & 1
        if changes and (sets or not known):
            return False
    return False


def _arm_immediate(word: int) -> int:
    """ARMExpandImm (ARM DDI 0406C A5.2.4)."""
    value, turn = word & 0xFF, word >> 7 & 30
    return (value >> turn | value << 32 - turn) & 0xFFFF_FFFF
