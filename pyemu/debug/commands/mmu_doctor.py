"""``doctor mmu``: what is wrong with the MMU's set-up, before or after it was turned on.

The checks are those of :mod:`pyemu.debug.doctor`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug import doctor
from pyemu.debug.doctor import Finding
from pyemu.debug.registry import command
from pyemu.debug.session import Session
from pyemu.mmu import Regime

__all__ = ["Examination", "Finding", "doctor_mmu"]


@dataclass(frozen=True)
class Examination:
    """``state`` in words, what was found, and ``notes`` on what could not be checked. ``checked`` is False
    where there was nothing to check."""

    state: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    checked: bool = True

    @property
    def lines(self) -> list[str]:
        lines = [self.state]
        for number, each in enumerate(self.findings, 1):
            lines.append(f"{number}. {each.check}: {each.text}")
            lines.append(f"   the architecture: {each.asks} (ARM DDI 0406C {each.section})")
        if self.checked and not self.findings:
            lines.append("no finding")
        return [*lines, *(f"note: {note}" for note in self.notes)]


@command("doctor mmu", group="doctor", example="doctor mmu", aliases=("doctor",))
def doctor_mmu(session: Session) -> Examination:
    """Checks of the MMU's set-up; each finding says what the architecture asks and where.

    With the MMU off they tell what would happen once SCTLR.M is set; at the MCR that sets it, with the value
    that it writes. Checked are: that PC, vectors and stack are mapped, and what may be executed; the format
    against TTBCR.EAE; the base and range of TTBR0; tables outside memory; kinds of descriptors, reserved and
    ignored bits; the access flag; domains; memory types of code, stack and devices; mismatched aliases; the
    abort in which a CPU hangs; barriers around SCTLR and TLB operations, and whether there are any; and, with
    timing, TLB entries that contradict the tables.
    """
    real = session.regime
    state = _state(session, real)
    if not real.mmu_on and not real.ttbr0 and not real.ttbr1:
        state = f"CPU {session.cpu}: the MMU is off, and no table is set: nothing was checked"
        return Examination(state, (), ("run to where SCTLR.M is set, then ask again",), checked=False)
    case = doctor.make_case(session)
    found = doctor.findings(case)
    return Examination(state, found, tuple(doctor.notes(case, found)))


def _state(session: Session, regime: Regime) -> str:
    form = "long" if regime.long_format else "short"
    if regime.mmu_on:
        return f"CPU {session.cpu}: the MMU is on, {form} descriptors"
    return f"CPU {session.cpu}: the MMU is off; checked as if SCTLR.M were set, {form} descriptors"
