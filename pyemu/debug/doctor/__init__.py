"""What is wrong with the set-up of an MMU: the checks of ``doctor mmu``, a module for each topic.

A check is a function of a :class:`Case` that yields findings; each says what the architecture asks for and
where (sections of ARM DDI 0406C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyemu.debug.doctor import attributes, execution, ordering, roots, tables
from pyemu.debug.doctor.case import MAX_RANGES, Case, Finding, make_case

__all__ = ["MAX_RANGES", "Case", "Finding", "findings", "make_case", "notes"]

# Causes first: behind one that is decisive, what the tables seem to say means little.
_CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    roots.alignment,
    roots.descriptor_format,
    roots.upper_word,
    roots.split,
    tables.kinds,
    execution.program,
    execution.stack,
    execution.hang,
    tables.outside,
    tables.ignored_bits,
    attributes.unset_index,
    attributes.program,
    attributes.devices,
    tables.reserved,
    tables.repeated,
    attributes.aliases,
    ordering.barriers,
    ordering.reset,
    ordering.stale_entries,
)
_DECISIVE = ("descriptor format", "descriptor type", "memory attributes", "table base", "TTBR split")


def findings(case: Case) -> tuple[Finding, ...]:
    """What the checks find, the cause first."""
    found: list[Finding] = []
    for check in _CHECKS:
        found += check(case)
        if any(each.check in _DECISIVE for each in found):
            break
    return tuple(found)


def notes(case: Case, found: tuple[Finding, ...]) -> Iterator[str]:
    """What is not wrong by itself, and what could not be checked."""
    yield from execution.notes(case)
    yield from ordering.notes(case)
    if any(each.check in _DECISIVE for each in found):
        return
    yield from attributes.notes(case)
    yield from ordering.coherence(case)
    if len(case.ranges) == MAX_RANGES:
        end = f"{case.ranges[-1].end:#x}"
        yield f"of what is mapped, {end} and above was not checked: it is in many pieces"
    old = sum(each.descriptors for each in case.ranges if not each.accessed)
    if old == 1:
        yield "1 leaf has its access flag clear: the first access to it faults"
    elif old:
        yield f"{old} leaves have their access flag clear: the first access to each faults"
