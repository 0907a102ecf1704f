"""What the tables hold: kinds of descriptors, bits that are reserved or ignored."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pyemu.debug.doctor.case import MAX_EACH, Case, Finding
from pyemu.debug.words import size_text
from pyemu.mmu import DescriptorKind, Fault, Flag, MappedRange, Step
from pyemu.native import NativeError

__all__ = ["OUTSIDE_ASKS", "ignored_bits", "kinds", "outside", "repeated", "reserved"]

OUTSIDE_ASKS = (
    "descriptors are read from physical addresses; where no memory answers, the walk takes an external abort"
)
_KIND_ASKS = (
    "bits 1:0 are 0b01 for a block and 0b11 for a table at levels 1 and 2, 0b11 for a page at level 3"
)
_ADDRESS = 0xFF_FFFF_F000
_LEAF_ONLY = 0xFFC  # bits 11:2 of a block: AttrIndx, NS, AP, SH, AF, nG; a table has nothing there


def kinds(case: Case) -> Iterator[Finding]:
    """A descriptor on the way of the PC that says table and looks like a block, or is no page at level 3."""
    if case.pc is None or not case.regime.long_format:
        return
    found = case.fetch(case.pc, case.privileged)
    if found.result.fault not in (Fault.TRANSLATION, Fault.EXTERNAL_WALK) or found.result.size:
        return
    for step in found.steps:
        if step.kind is DescriptorKind.TABLE and step.descriptor & _LEAF_ONLY:
            what = size_text(1 << 12 + 9 * (3 - step.level))
            yield Finding(
                "descriptor type",
                f"{_at(step)} on the way to the PC {case.pc:#010x} has bits 1:0 = 0b11, so it is a table at "
                f"{step.descriptor & _ADDRESS:#x}; bits 11:2 are set, which only a block has: a block of "
                f"{what} has bits 1:0 = 0b01",
                _KIND_ASKS,
                "B3.6.1",
            )
            return
        if step.kind is DescriptorKind.RESERVED:
            yield Finding(
                "descriptor type",
                f"{_at(step)}, which should map the PC {case.pc:#010x}, has bits 1:0 = 0b01, the type of a "
                "block; at level 3 a page has 0b11",
                _KIND_ASKS,
                "B3.6.1",
            )


def _at(step: Step) -> str:
    return f"L{step.level}[{step.index}] @{step.descriptor_pa:#x} = {step.descriptor:#x}"


def outside(case: Case) -> Iterator[Finding]:
    """Ranges whose tables lie where there is no memory."""
    for each in [r for r in case.ranges if r.outside][:MAX_EACH]:
        yield Finding(
            "table outside memory",
            f"{each.va:#010x}-{each.end:#x} is translated by a table at {each.descriptor_pa & -4096:#x}, "
            "where there is no memory",
            OUTSIDE_ASKS,
            "B3.12.3",
        )


def ignored_bits(case: Case) -> Iterator[Finding]:
    """Blocks at an address that is no multiple of their size."""
    found = 0
    for r in case.ranges:
        if not case.regime.long_format or r.outside or r.level == 3:
            continue
        for va, pa, descriptor in _blocks(case, r):
            stray = descriptor & _ADDRESS & r.leaf_size - 1
            if stray and found < MAX_EACH:
                found += 1
                given, taken = descriptor & _ADDRESS, descriptor & _ADDRESS & -r.leaf_size
                yield Finding(
                    "block alignment",
                    f"{va:#010x}: the block @{pa:#x} = {descriptor:#x} gives {given:#x}, which is not "
                    f"aligned to its {size_text(r.leaf_size)}: it maps {taken:#x}",
                    "blocks lie at multiples of their size; bits 29:12 (level 1), 20:12 (level 2) are 0",
                    "B3.6.1",
                )


def _blocks(case: Case, r: MappedRange) -> Iterator[tuple[int, int, int]]:
    """(va, where the descriptor is, the descriptor) of a range of long blocks, a table at a time."""
    va, table_bytes = r.va, r.leaf_size << 9
    while va < r.end:
        end = min(r.end, (va & -table_bytes) + table_bytes)
        pa = case.fetch(va).steps[-1].descriptor_pa
        try:
            data = case.memory.read(pa, (end - va) // r.leaf_size * 8)
        except NativeError:
            return
        for i, (descriptor,) in enumerate(struct.iter_unpack("<Q", data)):
            yield va + i * r.leaf_size, pa + 8 * i, descriptor
        va = end


def reserved(case: Case) -> Iterator[Finding]:
    """Encodings that the architecture keeps to itself."""
    found = 0
    for r in case.ranges:
        if r.outside or found == MAX_EACH:
            continue
        if case.regime.long_format:
            wrong = "SH[1:0] = 0b01" if r.descriptor >> 8 & 3 == 1 and r.attr >> 4 else ""
            section = "B3.6.2"
        else:
            low, top = (10, 15) if r.level == 1 else (4, 9)
            ap = r.descriptor >> low & 3 | (r.descriptor >> top & 1) << 2
            wrong, section = ("AP[2:0] = 0b100" if ap == 4 else ""), "B3.7.1"
        if wrong:
            found += 1
            yield Finding(
                "reserved encoding",
                f"{r.va:#010x} has {wrong} (@{r.descriptor_pa:#x} = {r.descriptor:#x})",
                f"{wrong} is reserved: its effect is unpredictable",
                section,
            )


def repeated(case: Case) -> Iterator[Finding]:
    """Large pages and supersections take 16 descriptors."""
    found = 0
    for r in case.ranges:
        what = "large pages" if r.flags & Flag.LARGE else "supersections"
        if r.flags & (Flag.LARGE | Flag.SUPERSECTION) and r.descriptors % 16 and found < MAX_EACH:
            found += 1
            yield Finding(
                "repeated descriptors",
                f"{r.va:#010x}-{r.end:#x} has {r.descriptors} descriptors of {what} (@{r.descriptor_pa:#x} = "
                f"{r.descriptor:#x}): each takes 16",
                "a large page or supersection is described by 16 identical descriptors, the first at a "
                "multiple of 16",
                "B3.5.1",
            )
