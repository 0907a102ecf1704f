"""Who called: by the exception tables of the ELF file (.ARM.exidx), by frame pointers, by LR.

Exception Handling ABI for the Arm Architecture (IHI 0038), section 9.3, gives the bytecode; pyelftools reads
the tables.  The two layouts of frames are GCC's for AAPCS, {r11, lr}, and for APCS, {fp, ip, lr, pc}, as
Linux has it.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyemu.mmu import TranslationFault
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["Frame", "frames"]

_SP, _LR, _PC, _FP = 13, 14, 15, 11
_MAX_FRAME = 1 << 20
_FINISH = 0xB0


@dataclass(frozen=True)
class Frame:
    """``pc`` is where a function is; ``how`` it was found: "pc", "exidx", "fp" or "lr"."""

    pc: int
    sp: int
    how: str


class _Stop(Exception):
    """The caller is not to be found this way."""


class ExceptionTables:
    """The index of an ELF file; empty where it has none, or a damaged one."""

    def __init__(self, elf: bytes | None) -> None:
        self._elf = elf

    @cached_property
    def _entries(self) -> list[tuple[int, Any]]:
        if self._elf is None:
            return []
        from elftools.ehabi.ehabiinfo import EHABIInfo
        from elftools.elf.elffile import ELFFile

        found = []
        try:
            file = ELFFile(io.BytesIO(self._elf))
            for section in file.iter_sections():
                if section["sh_type"] != "SHT_ARM_EXIDX":
                    continue
                info = EHABIInfo(section, file.little_endian)
                # The library counts from the section's place in the file; tables count from its address.
                moved = section["sh_addr"] - section["sh_offset"]
                for number in range(info.num_entry()):
                    entry: Any = info.get_entry(number)
                    found.append(((entry.function_offset + moved) & 0xFFFF_FFFE, entry))
        except Exception:  # a hostile file makes the library fail in many ways
            return []
        return sorted(found, key=lambda each: each[0])

    def bytecode(self, pc: int) -> list[int]:
        """What restores the caller's registers. Raises _Stop."""
        at = bisect_right(self._entries, pc, key=lambda each: each[0]) - 1
        if at < 0:
            raise _Stop
        entry = self._entries[at][1]
        code = getattr(entry, "bytecode_array", None)
        if getattr(entry, "corrupt", False) or getattr(entry, "unwindable", True) is False or not code:
            raise _Stop
        return list(code)


class _Unwinder:
    def __init__(self, session: Session, registers: list[int]) -> None:
        self._session = session
        self.r = registers

    def word(self, address: int) -> int:
        try:
            return int.from_bytes(self._session.read(address & 0xFFFF_FFFF, 4), "little")
        except (TranslationFault, NativeError):
            raise _Stop from None

    def pop(self, mask: int) -> None:
        sp = self.r[_SP]
        for number in range(16):
            if mask >> number & 1:
                self.r[number] = self.word(sp)
                sp += 4
        if not mask >> _SP & 1:
            self.r[_SP] = sp & 0xFFFF_FFFF

    def run(self, code: list[int]) -> None:
        """Table 4 of IHI 0038."""
        self.r[_PC], at = 0, 0
        while at < len(code) and code[at] != _FINISH:
            op = code[at]
            second = code[at + 1] if at + 1 < len(code) else 0
            at += 1
            if op < 0x80:
                change = ((op & 0x3F) << 2) + 4
                self.r[_SP] = (self.r[_SP] + (-change if op & 0x40 else change)) & 0xFFFF_FFFF
            elif op < 0x90:
                mask = (op & 0xF) << 8 | second
                at += 1
                if not mask:
                    raise _Stop  # refuse to unwind
                self.pop(mask << 4)
            elif op < 0xA0:
                if op & 0xF in (_SP, _PC):
                    raise _Stop
                self.r[_SP] = self.r[op & 0xF]
            elif op < 0xB0:
                self.pop((1 << (op & 7) + 1) - 1 << 4 | (op & 8) << 11)
            else:
                at += self._long(op, second, code, at)
        if not self.r[_PC]:
            self.r[_PC] = self.r[_LR]

    def _long(self, op: int, second: int, code: list[int], at: int) -> int:
        """Codes from 0xb1; returns how many bytes more they have."""
        if op == 0xB1 and 0 < second < 0x10:
            self.pop(second)
            return 1
        if op == 0xB2:
            value, shift, used = 0, 0, 0
            while True:
                if at + used >= len(code) or shift > 28:
                    raise _Stop
                byte = code[at + used]
                value |= (byte & 0x7F) << shift
                used, shift = used + 1, shift + 7
                if not byte & 0x80:
                    break
            self.r[_SP] = (self.r[_SP] + 0x204 + (value << 2)) & 0xFFFF_FFFF
            return used
        if op == 0xB3:  # VFP as FSTMFDX leaves it: one word more
            self.r[_SP] += 8 * ((second & 0xF) + 1) + 4
            return 1
        if 0xB8 <= op < 0xC0:
            self.r[_SP] += 8 * ((op & 7) + 1) + 4
            return 0
        if op in (0xC8, 0xC9):
            self.r[_SP] += 8 * ((second & 0xF) + 1)
            return 1
        if 0xD0 <= op < 0xD8:
            self.r[_SP] += 8 * ((op & 7) + 1)
            return 0
        raise _Stop

    def by_frame_pointer(self) -> None:
        """The caller of a function that has built its frame."""
        fp, sp = self.r[_FP], self.r[_SP]
        if fp & 3 or not sp <= fp <= sp + _MAX_FRAME:
            raise _Stop
        below = self.word(fp - 4)
        if fp < below <= fp + _MAX_FRAME or below == 0:  # {r11, lr}
            self.r[_PC], self.r[_FP], self.r[_SP] = self.word(fp), below, fp + 4
            return
        old = self.word(fp - 12)
        if not (fp < old <= fp + _MAX_FRAME or old == 0):
            raise _Stop
        self.r[_PC], self.r[_SP], self.r[_FP] = below, self.word(fp - 8), old


def frames(session: Session, limit: int = 64) -> Iterator[Frame]:
    """The current function of a CPU and its callers, inner first."""
    known = session.registers
    try:
        registers = [known[f"r{n}"] for n in range(13)] + [known["sp"], known["lr"], known["pc"]]
    except KeyError:
        return
    plan = None if session.target.machine is None else session.target.machine.plan
    tables = ExceptionTables(None if plan is None else plan.elf)
    walker = _Unwinder(session, registers)
    yield Frame(registers[_PC], registers[_SP], "pc")
    for depth in range(limit - 1):
        # A return address is behind its call, which may be the last instruction of a function.
        pc, sp = walker.r[_PC] - (1 if depth else 0), walker.r[_SP]
        how = _caller(walker, tables, pc, depth)
        found = walker.r[_PC] & 0xFFFF_FFFE
        if how is None or found == 0 or (walker.r[_SP] == sp and found == pc):
            return
        yield Frame(found, walker.r[_SP], how)


def _caller(walker: _Unwinder, tables: ExceptionTables, pc: int, depth: int) -> str | None:
    """Registers as the caller has them; how they were found, or None."""
    saved = list(walker.r)
    try:
        walker.run(tables.bytecode(pc))
        return "exidx"
    except _Stop:
        walker.r[:] = saved
    try:
        walker.by_frame_pointer()
        return "fp"
    except _Stop:
        walker.r[:] = saved
    if depth or walker.r[_LR] in (0, pc):
        return None
    walker.r[_PC] = walker.r[_LR]
    return "lr"
