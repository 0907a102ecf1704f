"""Where Unicorn 2.1.4 is known to differ from the architecture: each case has a name and an exact condition.

A deviation is a function of the reference walk that predicts what Unicorn answers *instead*; a difference
counts under its name only if Unicorn gave exactly the predicted answer.  Everything else is a mismatch.

An answer is one number: the output address with PAR's attribute bits (bit 0 clear), or a fault made by
:func:`fault_answer` (bit 0 set).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pyemu.mmu.check.oracle import ARENA
from pyemu.mmu.check.world import Registers
from pyemu.mmu.reference import (
    SCTLR_UWXN,
    SCTLR_WXN,
    Access,
    Fault,
    ReadMemory,
    Translation,
    bits,
    par,
    translate,
)

__all__ = [
    "DEVIATIONS",
    "PAR32_ATTRIBUTES",
    "PAR32_SUPERSECTION",
    "Question",
    "expected_answer",
    "explain",
    "fault_answer",
    "success_answer",
]

# These two are masked in bulk by compare.py, for they touch nearly every short-descriptor success.
PAR32_ATTRIBUTES = "32-bit PAR without memory attributes"
PAR32_SUPERSECTION = "32-bit PAR of a supersection without PA[39:32]"
PAR32_ATTRIBUTE_BITS = 0b0101_1111_1100
PAR32_SUPERSECTION_BITS = 0xFF << 16


@dataclass(frozen=True)
class Question:
    """One translation that was asked, with the reference's walk for it."""

    read: ReadMemory
    registers: Registers
    va: int
    access: Access
    privileged: bool
    walk: Translation

    @property
    def no_access(self) -> bool:
        """The domain of the first descriptor forbids everything."""
        return not self.registers.long_format and self._domain_field() in (0, 2)

    def _domain_field(self) -> int:
        return bits(self.registers.dacr, 2 * self.walk.domain + 1, 2 * self.walk.domain)


def fault_answer(fault: Fault | int, level: int) -> int:
    return 1 | int(fault) << 1 | level << 5


def success_answer(registers: Registers, access: Access, t: Translation) -> int:
    """What Unicorn would show for the successful translation ``t``: the page for a fetch, else its PAR."""
    if access is Access.FETCH:
        return t.pa & ~0xFFF
    value = par(registers, replace(t, fault=Fault.NONE))
    if not registers.long_format:
        value &= ~PAR32_ATTRIBUTE_BITS
        if t.supersection:
            value &= ~PAR32_SUPERSECTION_BITS
    return value


def _unmapped_table(q: Question) -> int | None:
    """Long format: an external abort on a walk is reported as a translation fault of the same level."""
    if q.registers.long_format and q.walk.fault is Fault.EXTERNAL_WALK:
        return fault_answer(Fault.TRANSLATION, q.walk.level)
    return None


def _domain_before_second_level(q: Question) -> int | None:
    """DACR is looked at before the second descriptor is read: a domain fault hides that one's faults."""
    if q.no_access and q.walk.level == 2 and q.walk.fault in (Fault.TRANSLATION, Fault.EXTERNAL_WALK):
        return fault_answer(Fault.DOMAIN, 2)
    return None


def _domain_before_access_flag(q: Question) -> int | None:
    if q.no_access and q.walk.fault is Fault.ACCESS_FLAG:
        return fault_answer(Fault.DOMAIN, q.walk.level)
    return None


def _manager_ignores_access_flag(q: Question) -> int | None:
    if q.walk.manager and q.walk.fault is Fault.ACCESS_FLAG:
        return success_answer(q.registers, q.access, q.walk)
    return None


def _execute_never_before_access_flag(q: Question) -> int | None:
    """Short format, client domain: XN or PXN is checked before the access flag."""
    t = q.walk
    if q.registers.long_format or t.fault is not Fault.ACCESS_FLAG or q.access is not Access.FETCH:
        return None
    if t.manager or q.no_access:
        return None
    first, leaf = t.steps[0].descriptor or 0, t.descriptor
    if t.level == 1:
        xn, pxn = bits(leaf, 4, 4), bits(first, 0, 0)
    else:
        xn, pxn = bits(leaf, 15, 15) if t.large else bits(leaf, 0, 0), bits(first, 2, 2)
    return fault_answer(Fault.PERMISSION, t.level) if xn or (pxn and q.privileged) else None


def _short_ignores_wxn(q: Question) -> int | None:
    """Short format: SCTLR.WXN and UWXN have no effect."""
    if q.registers.long_format or q.walk.fault is not Fault.PERMISSION or q.access is not Access.FETCH:
        return None
    without = replace(q.registers, sctlr=q.registers.sctlr & ~(SCTLR_WXN | SCTLR_UWXN))
    t = translate(q.read, without, q.va, q.access, q.privileged)
    return success_answer(without, q.access, t) if t.ok else None


def _block_low_address_bits(q: Question) -> int | None:
    """Long format: address bits of a block below its size (UNK/SBZP) are ORed into the output address."""
    t = q.walk
    if not (q.registers.long_format and t.ok and t.level in (1, 2)):
        return None
    low = bits(t.descriptor, t.size_log2 - 1, 12) << 12
    return success_answer(q.registers, q.access, replace(t, pa=t.pa | low)) if low else None


def _mmu_off_shareability(q: Question) -> int | None:
    """SCTLR.M = 0, long format: PAR.SH reads as 0 where Strongly-ordered memory is Outer Shareable."""
    if q.walk.level == 0 and q.registers.long_format and q.access is not Access.FETCH:
        return success_answer(q.registers, q.access, q.walk) & ~(3 << 7)
    return None


DEVIATIONS: dict[str, Callable[[Question], int | None]] = {
    "long format: translation fault for a table outside memory": _unmapped_table,
    "long format: SBZ address bits of a block reach the output address": _block_low_address_bits,
    "long format, MMU off: PAR.SH is 0": _mmu_off_shareability,
    "short format: domain fault before the second-level descriptor": _domain_before_second_level,
    "short format: domain fault before access flag fault": _domain_before_access_flag,
    "short format: no access flag fault in a manager domain": _manager_ignores_access_flag,
    "short format: XN permission fault before access flag fault": _execute_never_before_access_flag,
    "short format: WXN and UWXN ignored": _short_ignores_wxn,
}
# Not a deviation: a wild table pointer met the oracle's own arrays, which are memory for Unicorn only.
ARENA_TOUCHED = "not judged: the walk reads the oracle's own memory"


def _touches_arena(t: Translation) -> bool:
    return any(ARENA[0] <= step.descriptor_pa < ARENA[0] + ARENA[1] for step in t.steps)


def explain(q: Question, unicorn_answer: int) -> str | None:
    """The name under which Unicorn's answer to ``q`` is known to differ, or None: a mismatch."""
    if _touches_arena(q.walk):
        return ARENA_TOUCHED
    for name, predict in DEVIATIONS.items():
        if predict(q) == unicorn_answer:
            return name
    return None


def expected_answer(q: Question) -> int:
    """What the architecture answers; a deviation of Unicorn counts only where the core said this."""
    if q.walk.ok:
        return success_answer(q.registers, q.access, q.walk)
    return fault_answer(q.walk.fault, q.walk.level)
