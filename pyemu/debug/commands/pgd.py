"""``pgd``: page tables that memory seems to hold, with what speaks for each."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug.dump.guess import Candidate, find_tables
from pyemu.debug.registry import command
from pyemu.debug.session import Session

__all__ = ["Candidates", "pgd"]


@dataclass(frozen=True)
class Candidates:
    """Tables that could be a kernel's own, the likeliest first."""

    found: tuple[Candidate, ...]

    @property
    def lines(self) -> list[str]:
        if not self.found:
            return ["nothing in this memory looks like page tables of a kernel"]
        return [line for candidate in self.found for line in candidate.lines]


@command("pgd", group="tables", example="pgd")
def pgd(session: Session) -> Candidates:
    """Page tables that memory seems to hold, as ``--find-pgd`` finds them, and why."""
    cpus = [session.target.registers(cpu) for cpu in range(session.target.cpus)]
    return Candidates(tuple(find_tables(session.memory, cpus, getattr(session.target, "held", None))))
