"""Exception tables: .ARM.exidx and .ARM.extab, of an ELF file or in the guest's memory.

Exception Handling ABI for the Arm Architecture (IHI 0038), section 6, and 9.3 for the bytecode's place. An
entry of the index is two words: a function by prel31, and EXIDX_CANTUNWIND, the bytecode itself, or by prel31
where it is.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pyemu.debug.unwind.state import MemoryView

__all__ = ["CANTUNWIND", "ENTRY_BYTES", "ElfTables", "Index", "Rule", "prel31"]

CANTUNWIND = 1
ENTRY_BYTES = 8
_MASK = 0xFFFF_FFFF
_MAX_WORDS = 255  # behind the first, as its byte can say
_MAX_ENTRIES = 1 << 22
_SHF_ALLOC = 2

Word = Callable[[int], int | None]


@dataclass(frozen=True)
class Rule:
    """What the tables say of a function: ``code`` is its bytecode, None where it cannot be unwound."""

    start: int
    end: int
    code: bytes | None


def prel31(word: int, at: int) -> int:
    """The address that a word at an address points to."""
    distance = word & 0x7FFF_FFFF
    return (at + distance - ((distance & 0x4000_0000) << 1)) & _MASK


class Index:
    """``count`` entries from ``base`` on, read by ``word``."""

    def __init__(self, base: int, count: int, word: Word) -> None:
        self.base, self.count, self._word = base, min(count, _MAX_ENTRIES), word

    def function(self, number: int) -> int:
        """The function of an entry; 0 where it cannot be read."""
        at = self.base + ENTRY_BYTES * number
        word = self._word(at)
        return 0 if word is None else prel31(word, at) & ~1

    def find(self, pc: int) -> Rule | None:
        """The rule of the function that an address is in; None where no entry is below."""
        number = bisect_right(range(self.count), pc, key=self.function) - 1
        if number < 0:
            return None
        end = self.function(number + 1) if number + 1 < self.count else _MASK
        return Rule(self.function(number), end, self._code(self.base + ENTRY_BYTES * number + 4))

    def _code(self, at: int) -> bytes | None:
        word = self._word(at)
        if word is None or word == CANTUNWIND:
            return None
        if word >> 31:
            return _compact(word, [])
        at = prel31(word, at)
        first = self._word(at)
        if first is None:
            return None
        if first >> 31:
            return _compact(first, self._more(at + 4, first >> 16 & 0xFF))
        second = self._word(at + 4)  # a language's own routine, then its bytecode as GCC lays it out
        if second is None:
            return None
        words = self._more(at + 8, second >> 24)
        return None if words is None else second.to_bytes(4, "big")[1:] + b"".join(words)

    def _more(self, at: int, count: int) -> list[bytes] | None:
        words = [self._word(at + 4 * i) for i in range(min(count, _MAX_WORDS))]
        found = [word.to_bytes(4, "big") for word in words if word is not None]
        return found if len(found) == len(words) else None


def _compact(word: int, more: list[bytes] | None) -> bytes | None:
    """Personality routines 0, 1 and 2; `more` are the words behind the first."""
    model = word >> 24 & 0xF
    data = word.to_bytes(4, "big")
    if word >> 28 != 8 or model > 2:
        return None
    if model == 0:
        return data[1:]
    return None if more is None else data[2:] + b"".join(more)


class ElfTables:
    """The index and the functions of an ELF file; empty where it has none, or a damaged one."""

    def __init__(self, elf: bytes | None) -> None:
        self._elf = elf

    @cached_property
    def _parts(self) -> tuple[list[Index], list[tuple[int, bytes]]]:
        """Its indices, and (address, content) of its sections."""
        if self._elf is None:
            return [], []
        from elftools.elf.elffile import ELFFile

        indices, content = [], []
        try:
            for section in ELFFile(io.BytesIO(self._elf)).iter_sections():
                at, size, kind = section["sh_addr"], section["sh_size"], section["sh_type"]
                if not section["sh_flags"] & _SHF_ALLOC or kind == "SHT_NOBITS":
                    continue
                offset = section["sh_offset"]
                content.append((at, self._elf[offset : offset + size]))
                if kind == "SHT_ARM_EXIDX":
                    indices.append(Index(at, len(content[-1][1]) // ENTRY_BYTES, self._word))
        except Exception:  # a hostile file makes the library fail in many ways
            return [], []
        return indices, content

    @cached_property
    def _functions(self) -> list[range]:
        """Where functions are that have a size, by their start."""
        if self._elf is None:
            return []
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection

        found = []
        try:
            for section in ELFFile(io.BytesIO(self._elf)).iter_sections():
                if isinstance(section, SymbolTableSection):
                    for symbol in section.iter_symbols():
                        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]:
                            start = symbol["st_value"] & ~1
                            found.append(range(start, start + symbol["st_size"]))
        except Exception:  # as above
            return []
        return sorted(found, key=lambda each: each.start)

    def function(self, pc: int) -> range | None:
        """The addresses of the function that an address is in, by the symbols of the file."""
        number = bisect_right(self._functions, pc, key=lambda each: each.start) - 1
        return self._functions[number] if number >= 0 and pc in self._functions[number] else None

    def _word(self, address: int) -> int | None:
        for at, data in self._parts[1]:
            if at <= address <= at + len(data) - 4:
                found: int = struct.unpack_from("<I", data, address - at)[0]
                return found
        return None

    def find(self, pc: int) -> Rule | None:
        """The rule of the function that an address is in."""
        rules = [rule for index in self._parts[0] if (rule := index.find(pc)) is not None]
        return max(rules, key=lambda rule: rule.start, default=None)


def memory_index(memory: MemoryView, base: int, end: int) -> Index:
    """An index in the guest's memory."""
    return Index(base, max(end - base, 0) // ENTRY_BYTES, memory.word)
