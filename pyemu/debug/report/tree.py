"""The tables that a regime walks, as a tree: what each entry of a table leads to, equal neighbours joined."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

from pyemu.mem import Memory
from pyemu.mmu import DescriptorKind, Regime, Step, walk
from pyemu.native import NativeError

__all__ = ["MAX_TABLES", "table_tree"]

MAX_TABLES = 2000
_SPACE = 1 << 32


@dataclass(frozen=True)
class _Level:
    shift: int
    entry_bytes: int


_LONG = {1: _Level(30, 8), 2: _Level(21, 8), 3: _Level(12, 8)}
_SHORT = {1: _Level(20, 4), 2: _Level(12, 4)}


def table_tree(memory: Memory, regime: Regime) -> dict[str, Any]:
    """``{"tables": [...], "truncated": bool}``.

    A table has ``level``, ``ttbr``, ``pa``, ``va`` (where what it translates begins), ``size`` (how much that
    is), ``valid`` of ``entries``, and ``below``, the tables under it. Each walk shows the way down, so that
    what the hardware would not read (a TTBR that TTBCR excludes) is not in the tree.
    """
    seen = _Tree(memory, regime)
    if regime.mmu_on:
        seen.grow()
    return {"tables": seen.roots, "truncated": seen.truncated}


class _Tree:
    def __init__(self, memory: Memory, regime: Regime) -> None:
        self._memory, self._regime = memory, regime
        self._levels = _LONG if regime.long_format else _SHORT
        self.roots: list[dict[str, Any]] = []
        self.truncated = False
        self._count = 0

    def grow(self) -> None:
        va, last = 0, len(self._levels)
        nodes: dict[tuple[int, int, int], dict[str, Any]] = {}
        while va < _SPACE:
            steps = walk(self._memory, self._regime, va).steps
            siblings, node = self.roots, None
            for step in steps:
                shift = self._levels[step.level].shift
                first = va - (step.index << shift) if step.level == steps[0].level else va
                key = (
                    (step.ttbr, step.level, step.table_pa)
                    if step.level == steps[0].level
                    else (
                        step.level,
                        step.table_pa,
                        va >> self._levels[step.level - 1].shift,
                    )
                )
                node = nodes.get(key)
                if node is None:
                    if self._count == MAX_TABLES:
                        self.truncated = True
                        return
                    self._count += 1
                    node = nodes[key] = self._node(step, first)
                    siblings.append(node)
                siblings = node["below"]
            va = self._next(va, steps, last)

    def _next(self, va: int, steps: tuple[Step, ...], last: int) -> int:
        """The first address behind what the walk went through: a last-level table as a whole."""
        if not steps:
            return (va >> 20) + 1 << 20
        deepest = steps[-1]
        shift = (
            self._levels[deepest.level - 1].shift
            if deepest.level == last
            else self._levels[deepest.level].shift
        )
        return (va >> shift) + 1 << shift

    def _node(self, step: Step, va: int) -> dict[str, Any]:
        level = self._levels[step.level]
        valid, entries = self._entries(step, level)
        return {
            "level": step.level,
            "ttbr": step.ttbr,
            "pa": step.table_pa,
            "va": va,
            "size": entries << level.shift,
            "valid": valid,
            "entries": entries,
            "readable": step.kind is not DescriptorKind.UNREADABLE,
            "below": [],
        }

    def _entries(self, step: Step, level: _Level) -> tuple[int, int]:
        """How many descriptors of the table are valid, and how many there are in this regime."""
        if step.level == 1:
            count = 4 if level.entry_bytes == 8 else 4096
            if step.ttbr == 0:
                narrowed = self._regime.ttbcr & 7
                count = max(1, count >> narrowed) if level.entry_bytes == 4 else max(1, 4 >> narrowed)
        else:
            count = 512 if level.entry_bytes == 8 else 256
        try:
            data = self._memory.read(step.table_pa, count * level.entry_bytes)
        except NativeError:
            return 0, count
        words = array("Q" if level.entry_bytes == 8 else "I", data)
        if self._regime.sctlr & 1 << 25:
            words.byteswap()
        mask = 1 if level.entry_bytes == 8 else 3
        return sum(1 for word in words if word & mask), count
