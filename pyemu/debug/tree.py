"""The tree of tables behind a regime: which table points to which, and what each holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyemu.debug.words import counted, size_text
from pyemu.mem import Memory
from pyemu.mmu import Flag, Regime, translate
from pyemu.native import NativeError

__all__ = ["Table", "Tree", "table_tree"]

_SPACE = 1 << 32
_LONG_ADDRESS, _LONG_TTBR = 0xFF_FFFF_F000, 0xFF_FFFF_FFFF
_MAX_TABLES = 8192
_REGION = 1 << 25  # the smallest range that a TTBR can have


@dataclass(frozen=True)
class Table:
    """A table at ``pa`` of ``level`` that translates ``size`` bytes from ``va``.

    ``leaves``, ``tables`` and ``invalid`` count its entries of ``width`` bytes. ``readable`` is False outside
    memory.
    """

    level: int
    pa: int
    va: int
    size: int
    leaves: int
    tables: int
    invalid: int
    readable: bool
    width: int

    @property
    def end_pa(self) -> int:
        return self.pa + (self.leaves + self.tables + self.invalid) * self.width

    @property
    def line(self) -> str:
        """One line; deeper levels stand further to the right."""
        head = f"{'  ' * (self.level - 1)}L{self.level} table {self.pa:#x}"
        where = f"{self.va:#010x}-{self.va + self.size - 1:#010x} ({size_text(self.size)})"
        if not self.readable:
            return f"{head}  {where}  outside memory"
        return (
            f"{head}  {where}  {counted(self.leaves, 'leaf', 'leaves')}, {counted(self.tables, 'table')}, "
            f"{self.invalid} invalid"
        )


@dataclass(frozen=True)
class Tree:
    """Tables in the order of the addresses that they translate; ``cut`` where there are too many."""

    roots: tuple[str, ...]
    tables: tuple[Table, ...]
    cut: bool

    @property
    def lines(self) -> list[str]:
        lines = [*self.roots, *(table.line for table in self.tables)]
        shared = len(self.tables) - len({table.pa for table in self.tables})
        end = f"{len(self.tables)} tables" + (f", {shared} of them reached more than once" if shared else "")
        return [*lines, end + (": more were left out" if self.cut else "")]


def table_tree(memory: Memory, regime: Regime, start: int = 0, end: int = _SPACE) -> Tree:
    """The tables that translate some of [start, end)."""
    if not regime.mmu_on:
        return Tree(("the MMU is off: no table is used",), (), False)
    reader = _Reader(memory, regime)
    roots, tables = [], []
    for name, base, level, va, size in _roots(memory, regime):
        if va >= end or va + size <= start:
            continue
        roots.append(f"{name} = {base:#x}: {va:#010x}-{va + size - 1:#010x}")
        for table in reader.walk(level, base, va, size, start, end):
            tables.append(table)
            if len(tables) == _MAX_TABLES:
                return Tree(tuple(roots), tuple(tables), True)
    return Tree(tuple(roots), tuple(tables), False)


def _roots(memory: Memory, regime: Regime) -> Iterator[tuple[str, int, int, int, int]]:
    """(name, base, level, first address, bytes) of what each TTBR translates."""
    cuts: list[tuple[bool, int, int]] = []
    for va in range(0, _SPACE, _REGION):
        t = translate(memory, regime, va)
        if not t.descriptor_pa and not t.size and _disabled(regime, va, bool(t.flags & Flag.TTBR1)):
            continue
        second = bool(t.flags & Flag.TTBR1)
        if cuts and cuts[-1][0] == second and cuts[-1][2] == va:
            cuts[-1] = (second, cuts[-1][1], va + _REGION)
        else:
            cuts.append((second, va, va + _REGION))
    for second, low, high in cuts:
        size = high - low
        value = regime.ttbr1 if second else regime.ttbr0
        bits = size.bit_length() - 1
        if regime.long_format:
            bits = 32 - (regime.ttbcr >> 16 & 7) if second else 32 - (regime.ttbcr & 7)
            level, shift = (1, 30) if bits > 30 else (2, 21)
            base = value & _LONG_TTBR & -(8 << bits - shift)
            first = low & (1 << bits) - 1
            yield f"TTBR{int(second)}", base + 8 * (first >> shift), level, low, size
        else:
            n = regime.ttbcr & 7
            bits = 32 if second else 32 - n
            base = value & 0xFFFF_FFFF & -(4 << bits - 20)
            yield f"TTBR{int(second)}", base + 4 * (low >> 20 if second else 0), 1, low, size


def _disabled(regime: Regime, va: int, second: bool) -> bool:
    if regime.long_format:
        above0 = va > 0xFFFF_FFFF >> (regime.ttbcr & 7)
        return bool((above0 and not second) or regime.ttbcr & (1 << 23 if second else 1 << 7))
    return bool(regime.ttbcr & (1 << 5 if second else 1 << 4))


class _Reader:
    def __init__(self, memory: Memory, regime: Regime) -> None:
        self._memory = memory
        self._long = regime.long_format
        self._order = "big" if regime.sctlr & 1 << 25 else "little"

    def walk(self, level: int, pa: int, va: int, size: int, start: int, end: int) -> Iterator[Table]:
        """A table and all below it."""
        shift = 12 + 9 * (3 - level) if self._long else (20 if level == 1 else 12)
        width = 8 if self._long else 4
        count = -(-size >> shift)  # the last entry may reach into the range of TTBR1
        try:
            data = self._memory.read(pa, count * width)
        except NativeError:
            yield Table(level, pa, va, size, 0, 0, 0, False, width)
            return
        entries = memoryview(data).cast("Q" if self._long else "I")
        below: list[tuple[int, int]] = []
        leaves = invalid = 0
        for index, raw in enumerate(entries):
            entry = raw if self._order == "little" else int.from_bytes(raw.to_bytes(width, "little"), "big")
            kind = self._kind(level, entry)
            if kind == "table":
                below.append((index, entry & (_LONG_ADDRESS if self._long else 0xFFFF_FC00)))
            elif kind == "leaf":
                leaves += 1
            else:
                invalid += 1
        yield Table(level, pa, va, size, leaves, len(below), invalid, True, width)
        for index, at in below:
            low = va + (index << shift)
            if low < end and low + (1 << shift) > start:
                yield from self.walk(level + 1, at, low, min(1 << shift, va + size - low), start, end)

    def _kind(self, level: int, entry: int) -> str:
        if self._long:
            if not entry & 1 or (level == 3 and not entry & 2):
                return "invalid"
            return "table" if level < 3 and entry & 2 else "leaf"
        if not entry & 3:
            return "invalid"
        return "table" if level == 1 and entry & 3 == 1 else "leaf"
