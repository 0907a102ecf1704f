"""What an explanation is made of: the access that is explained, and edits that would change how it ends."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.debug.descriptors import decode
from pyemu.debug.linux import LinuxLayout, SoftwareBits, software_bits
from pyemu.mem import Memory
from pyemu.mmu import Access, Flag, Regime, Step, Walk

__all__ = ["Case", "Change", "Reason", "at", "leaf", "others"]


@dataclass(frozen=True)
class Change:
    """An edit: bits of a descriptor (``where`` "descriptor", at ``pa``) or of a register (its name) to clear
    and then to set.
    """

    where: str
    pa: int | None
    clear: int
    set: int

    def of(self, value: int) -> int:
        """The value after the edit."""
        return value & ~self.clear | self.set


@dataclass(frozen=True)
class Reason:
    """``text`` goes on from "write at 0x0 from user mode": "faults: ..."."""

    works: bool
    text: str
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True)
class Case:
    """An access and its walk; ``layout`` and ``vma`` as :func:`~pyemu.debug.explain.explain` has them."""

    memory: Memory
    regime: Regime
    walk: Walk
    access: Access
    privileged: bool
    layout: LinuxLayout | None
    vma: str | None

    @property
    def last(self) -> Step:
        return self.walk.steps[-1]

    @property
    def software(self) -> SoftwareBits | None:
        if self.layout is None or not self.walk.steps:
            return None
        return software_bits(self.memory, self.regime, self.last)

    @property
    def user_address(self) -> bool:
        return self.layout is not None and self.walk.va < self.layout.task_size


def at(step: Step, long_format: bool) -> str:
    """``L3[4] @0x1000 = 0x...``"""
    width = 18 if long_format else 10
    return f"L{step.level}[{step.index}] @{step.descriptor_pa:#x} = {step.descriptor:#0{width}x}"


def leaf(case: Case, *, first: bool = False) -> str:
    """The last descriptor with its kind; ``first`` in its sentence."""
    kind = decode(case.regime, case.last).kind
    return f"{'The' if first else 'the'} {kind} {at(case.last, case.regime.long_format)}"


def others(case: Case) -> str:
    """What an edit of a leaf's descriptor has to do besides: large pages and supersections have 16."""
    several = case.walk.result.flags & (Flag.LARGE | Flag.SUPERSECTION)
    return ", in each of its 16 descriptors" if several else ""
