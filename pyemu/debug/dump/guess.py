"""Guesses the page tables of a kernel from its memory, and says what speaks for each.

A table that has the right shape (:mod:`pyemu.debug.dump.scan`) gets points for what would hardly be so by
accident: that the registers of the CPUs translate, that it maps itself, that it maps memory in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from pyemu.config import format_size
from pyemu.debug.dump.extents import Extent, extents
from pyemu.debug.dump.scan import Root, roots
from pyemu.debug.dump.vmcoreinfo import find_vmcoreinfo, swapper_address
from pyemu.debug.dump.windows import Held
from pyemu.mem import Memory
from pyemu.mmu import Access, Regime, translate

__all__ = ["Candidate", "find_tables"]

MAX_ROOTS = 256  # whose leaves are looked at; processes have one each, and the kernel's own comes early
MAX_CANDIDATES = 8
# What Linux has in the registers that no table tells (arch/arm/mm/proc-v7-2level.S, proc-v7-3level.S).
_LONG = {"sctlr": 0x30C5_387D, "ttbcr": 0xB500_3500 & ~0x7_0007, "mair0": 0xEEAA_4400, "mair1": 0xFF00_0004}
_SHORT = {"sctlr": 0x10C5_387D, "ttbcr": 0, "mair0": 0xFF0A_81A8, "mair1": 0x40E0_40E0, "dacr": 0x5555_5555}
_HIGH_VECTORS = 0xFFFF_0000
_MODE, _USER = 0x1F, 0x10
_LINEAR_BYTES = 8 << 20


@dataclass(frozen=True)
class Candidate:
    """A table that could be the kernel's. ``score`` has no unit; ``reasons`` say where it comes from.

    ``registers`` are those that decide translation, by name; what no table tells is as Linux has it.
    """

    pa: int
    format: str
    score: int
    reasons: tuple[str, ...]
    registers: Mapping[str, int]

    @property
    def lines(self) -> tuple[str, ...]:
        head = f"{self.format} descriptors at {self.pa:#x}, {self.score} points:"
        return (head, *(f"  {reason}" for reason in self.reasons))


def find_tables(memory: Memory, cpus: Iterable[Mapping[str, int]] = (), held: Held = None) -> list[Candidate]:
    """The tables that could be the kernel's own, the likeliest first.

    ``cpus``: registers of the CPUs, as far as they are known. ``held``: see
    :func:`~pyemu.debug.dump.windows.windows`.
    """
    registers = list(cpus)
    info = find_vmcoreinfo(memory, held)
    swapper = None if info is None else swapper_address(info)
    found = [_weigh(memory, root, registers, swapper) for root in islice(roots(memory, held), MAX_ROOTS)]
    best = sorted((c for c in found if c is not None and c.score > 0), key=lambda c: (-c.score, c.pa))
    return best[:MAX_CANDIDATES]


def _weigh(
    memory: Memory, root: Root, cpus: list[Mapping[str, int]], swapper: int | None
) -> Candidate | None:
    registers = dict(_LONG if root.long else _SHORT)
    registers["ttbr0"] = registers["ttbr1"] = root.pa
    registers.setdefault("dacr", 0)
    regime = Regime(**registers)
    mapped = extents(memory, regime)
    if not mapped:
        return None
    points = [
        *_from_kernel(memory, regime, root, swapper),
        *_from_cpus(memory, regime, cpus),
        *_from_layout(memory, root, mapped),
    ]
    if memory_of(memory, _HIGH_VECTORS, regime, Access.FETCH) is not None:
        points.append((10, f"the vectors at {_HIGH_VECTORS:#x} can be executed"))
    score = sum(value for value, _ in points)
    reasons = tuple(f"{value:+d}: {text}" for value, text in points)
    return Candidate(root.pa, "long" if root.long else "short", score, reasons, registers)


def memory_of(memory: Memory, va: int, regime: Regime, access: Access) -> int | None:
    """The physical address that ``va`` has, or None where it faults or lies outside memory."""
    result = translate(memory, regime, va, access)
    inside = result.ok and any(s.base <= result.pa < s.base + s.size for s in memory.segments)
    return result.pa if inside else None


def _from_kernel(memory: Memory, regime: Regime, root: Root, swapper: int | None) -> list[tuple[int, str]]:
    if swapper is None:
        return []
    if memory_of(memory, swapper, regime, Access.READ) == root.pa:
        return [(100, f"VMCOREINFO has swapper_pg_dir at {swapper:#x}, which maps to this table")]
    return []


def _from_cpus(memory: Memory, regime: Regime, cpus: list[Mapping[str, int]]) -> list[tuple[int, str]]:
    points = []
    for number, registers in enumerate(cpus):
        if "pc" not in registers or registers.get("cpsr", _USER) & _MODE == _USER:
            continue
        pc, sp = registers["pc"], registers.get("sp", 0)
        pa = memory_of(memory, pc, regime, Access.FETCH)
        if pa is None:
            points.append((-20, f"PC of CPU {number}, {pc:#x}, is not mapped to code"))
        else:
            points.append((20, f"PC of CPU {number}, {pc:#x}, is code at {pa:#x}"))
        pa = memory_of(memory, sp & ~3, regime, Access.WRITE)
        if pa is not None:
            points.append((10, f"SP of CPU {number}, {sp:#x}, is writable memory at {pa:#x}"))
    return points


def _from_layout(memory: Memory, root: Root, mapped: list[Extent]) -> list[tuple[int, str]]:
    points = []
    ranges = [(s.base, s.base + s.size) for s in memory.segments]
    self_map = next((e for e in mapped if e.pa <= root.pa < e.pa + e.size and not e.user), None)
    if self_map is not None:
        points.append((30, f"maps itself, at {self_map.va + root.pa - self_map.pa:#x}"))
    linear = [e for e in mapped if any(base <= e.pa and e.pa + e.size <= end for base, end in ranges)]
    run = max(linear, key=lambda e: e.size, default=None)
    if run is not None and run.size >= _LINEAR_BYTES:
        points.append(
            (20, f"maps {format_size(run.size)} of memory in one piece, {run.va:#x} to {run.pa:#x}")
        )
    if run is not None and run.size >= _LINEAR_BYTES and any(run.pa == base for base, _ in ranges):
        points.append((10, f"which is where memory begins ({run.pa:#x})"))
    total = sum(e.size for e in mapped)
    inside = sum(e.size for e in linear)
    points.append(
        (10 * inside // total, f"{inside * 100 // total} % of what it maps is memory that is there")
    )
    if not any(e.user and e.va < _HIGH_VECTORS for e in mapped):  # the vectors page is everybody's
        points.append((15, "maps nothing for user mode, as the tables of the kernel alone do"))
    return points
