"""Where the loads and stores of an instruction begin, from its encoding (ARM DDI 0406C A5 to A7).

Written for judging the cycle model: shares nothing with csrc/timing, which asks a disassembler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

PC, SP = 15, 13
SRS_BASE = 16
"""Not a register of the current mode: the stack pointer of the mode that SRS names."""


class Operand(NamedTuple):
    """Lowest address that is touched: ``base`` + ``disp`` + or - a register that is shifted."""

    base: int
    disp: int = 0
    index: int = -1
    shift: int = 0
    amount: int = 0
    subtract: bool = False


ReadRegister = Callable[[int], int]


def lowest(operand: Operand, read: ReadRegister, pc: int) -> int:
    """The address, with ``pc`` as the instruction sees it; the carry of RRX is taken for zero."""
    address = (pc if operand.base == PC else read(operand.base)) + operand.disp
    if operand.index >= 0:
        offset = _shifted(read(operand.index), operand.shift, operand.amount)
        address += -offset if operand.subtract else offset
    return address & 0xFFFF_FFFF


def _shifted(value: int, shift: int, amount: int) -> int:
    if shift == 0:
        return value << amount & 0xFFFF_FFFF
    if shift == 1:
        return value >> (amount or 32)
    if shift == 2:
        return (value - (value >> 31 << 32)) >> (amount or 32) & 0xFFFF_FFFF
    return (value >> amount | value << 32 - amount) & 0xFFFF_FFFF if amount else value >> 1


def _signed(insn: int, value: int) -> int:
    return value if insn >> 23 & 1 else -value


# ---- ARM: A5.1 ----


def arm(insn: int) -> Operand | None:
    """The operand of an ARM instruction, None where it touches no memory."""
    kind, before = insn >> 25 & 7, insn >> 24 & 1
    if insn >> 28 == 0xF:
        return _unconditional(insn)
    if kind == 0 and insn & 0x90 == 0x90:
        return _extra(insn)
    if kind == 2:
        return Operand(insn >> 16 & 15, _signed(insn, insn & 0xFFF) if before else 0)
    if kind == 3 and not insn & 0x10:
        if not before:
            return Operand(insn >> 16 & 15)
        subtract = not insn >> 23 & 1
        return Operand(insn >> 16 & 15, 0, insn & 15, insn >> 5 & 3, insn >> 7 & 31, subtract)
    if kind == 4:
        return Operand(insn >> 16 & 15, _multiple(insn, (insn & 0xFFFF).bit_count()))
    return _coprocessor(insn) if kind == 6 else None


def _multiple(insn: int, count: int) -> int:
    """LDM and STM, whichever way they go (A8.8.57 to A8.8.60)."""
    before, up = insn >> 24 & 1, insn >> 23 & 1
    if up:
        return 4 * before
    return -4 * count + 4 * (1 - before)


def _extra(insn: int) -> Operand | None:
    """Halfwords, doublewords, signed bytes (A5.2.8); SWP, LDREX, STREX (A5.2.10)."""
    if not insn & 0x60:
        return Operand(insn >> 16 & 15) if insn >> 24 & 1 else None
    if not insn >> 24 & 1:
        return Operand(insn >> 16 & 15)
    if insn >> 22 & 1:
        return Operand(insn >> 16 & 15, _signed(insn, insn >> 4 & 0xF0 | insn & 15))
    return Operand(insn >> 16 & 15, 0, insn & 15, subtract=not insn >> 23 & 1)


def _coprocessor(insn: int) -> Operand | None:
    """VLDR, VSTR, VLDM, VSTM (A7.6); not MCRR and MRRC."""
    if insn >> 21 & 15 == 2 or insn >> 9 & 7 != 5:
        return None
    words, before, write_back = insn & 0xFF, insn >> 24 & 1, insn >> 21 & 1
    if before and not write_back:
        return Operand(insn >> 16 & 15, _signed(insn, 4 * words))
    return Operand(insn >> 16 & 15, 0 if insn >> 23 & 1 else -4 * words)


def _unconditional(insn: int) -> Operand | None:
    """SRS, RFE, and NEON elements and structures (A5.7, A7.7)."""
    if insn >> 25 & 7 == 4:
        return Operand(insn >> 16 & 15 if insn >> 20 & 1 else SRS_BASE, _multiple(insn, 2))
    return Operand(insn >> 16 & 15) if insn >> 24 & 15 == 4 and not insn >> 20 & 1 else None


# ---- Thumb: A6.2, A6.3 ----


def thumb16(insn: int) -> Operand | None:
    """The operand of a 16-bit Thumb instruction, None where it touches no memory."""
    top, base = insn >> 11, insn >> 3 & 7
    if top == 0b01001:
        return Operand(PC, 4 * (insn & 0xFF))
    if top >> 1 == 0b0101:
        return Operand(base, 0, insn >> 6 & 7)
    if top >> 1 in (0b0110, 0b0111, 0b1000):
        scale = {0b0110: 4, 0b0111: 1, 0b1000: 2}[top >> 1]
        return Operand(base, scale * (insn >> 6 & 31))
    if top >> 1 == 0b1001:
        return Operand(SP, 4 * (insn & 0xFF))
    if insn >> 9 in (0b1011010, 0b1011110):
        return Operand(SP, 0 if insn >> 11 & 1 else -4 * (insn & 0x1FF).bit_count())
    return Operand(insn >> 8 & 7) if top >> 1 == 0b1100 else None


def thumb32(insn: int) -> Operand | None:
    """The same of 32 bits, the first halfword on top."""
    base = insn >> 16 & 15
    if insn >> 25 == 0b1110100:
        return _thumb_dual(insn) if insn >> 22 & 1 else _thumb_multiple(insn)
    if insn >> 24 == 0xF9 and not insn >> 20 & 1:
        return Operand(base)
    if insn >> 25 == 0b1111100:
        return _thumb_single(insn)
    return _coprocessor(insn) if insn >> 25 == 0b1110110 else None


def _thumb_multiple(insn: int) -> Operand:
    """LDM, STM (A6.3.5); SRS and RFE have two words."""
    way, base = insn >> 23 & 3, insn >> 16 & 15
    if way in (1, 2):
        return Operand(base, 0 if way == 1 else -4 * (insn & 0xFFFF).bit_count())
    return Operand(base if insn >> 20 & 1 else SRS_BASE, 0 if way == 3 else -8)


def _thumb_dual(insn: int) -> Operand:
    """LDRD, STRD, exclusives, table branches (A6.3.6)."""
    base, before, write_back = insn >> 16 & 15, insn >> 24 & 1, insn >> 21 & 1
    if before or write_back:
        return Operand(base, _signed(insn, 4 * (insn & 0xFF)) if before else 0)
    if not insn >> 23 & 1:
        return Operand(base, 4 * (insn & 0xFF))
    if insn >> 4 & 15 < 2 and insn >> 20 & 1:
        return Operand(base, 0, insn & 15, 0, insn >> 4 & 1)
    return Operand(base)


def _thumb_single(insn: int) -> Operand | None:
    """Bytes, halfwords, words (A6.3.7 to A6.3.10)."""
    base = insn >> 16 & 15
    if base == PC:
        return Operand(PC, _signed(insn, insn & 0xFFF))
    if insn >> 23 & 1:
        return Operand(base, insn & 0xFFF)
    if insn >> 11 & 1:
        sign = 1 if insn >> 9 & 1 else -1
        return Operand(base, sign * (insn & 0xFF) if insn >> 10 & 1 else 0)
    return Operand(base, 0, insn & 15, 0, insn >> 4 & 3)
