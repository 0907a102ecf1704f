"""What the plain-Python reference speaks in: registers in, a translation out; no rule of the walk is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from pyemu.mmu.reference_attributes import MemoryType

__all__ = ["TTBCR_EAE", "Access", "Fault", "ReadMemory", "RegimeLike", "Step", "Translation", "bits"]

ReadMemory = Callable[[int, int], "int | None"]

TTBCR_EAE = 1 << 31


class RegimeLike(Protocol):
    """The registers that a translation depends on; mair0 and mair1 are PRRR and NMRR when TTBCR.EAE is 0."""

    @property
    def sctlr(self) -> int: ...
    @property
    def ttbcr(self) -> int: ...
    @property
    def ttbr0(self) -> int: ...
    @property
    def ttbr1(self) -> int: ...
    @property
    def dacr(self) -> int: ...
    @property
    def mair0(self) -> int: ...
    @property
    def mair1(self) -> int: ...


class Access(IntEnum):
    READ = 0
    WRITE = 1
    FETCH = 2


class Fault(IntEnum):
    NONE = 0
    ALIGNMENT = 1
    EXTERNAL_WALK = 2
    TRANSLATION = 3
    ACCESS_FLAG = 4
    DOMAIN = 5
    PERMISSION = 6
    EXTERNAL = 7
    DEBUG = 8


@dataclass(frozen=True)
class Step:
    """One descriptor read; ``descriptor`` is None where the address has no memory."""

    level: int
    ttbr: int
    table_pa: int
    index: int
    descriptor_pa: int
    descriptor: int | None


@dataclass(frozen=True)
class Translation:
    """The answer for one address, privilege and access.

    ``pa`` is the output address (40 bits) also where a leaf was found that does not permit the access.
    ``rights`` and ``rights_other`` are subsets of "rwx" for the privilege asked and for the other one.
    ``ns`` is what the descriptors say; it has no effect in the Non-secure regime.  ``memory`` is None where
    no leaf was found.
    """

    fault: Fault
    level: int
    steps: tuple[Step, ...] = ()
    pa: int = 0
    size_log2: int = 0
    domain: int = 0
    manager: bool = False
    not_global: bool = False
    contiguous: bool = False
    supersection: bool = False
    large: bool = False
    ns: bool = False
    rights: str = ""
    rights_other: str = ""
    memory: MemoryType | None = None

    @property
    def ok(self) -> bool:
        return self.fault is Fault.NONE

    @property
    def descriptor(self) -> int:
        """The leaf, or the descriptor that faults; 0 where none was read."""
        return (self.steps[-1].descriptor or 0) if self.steps else 0

    @property
    def descriptor_pa(self) -> int:
        return self.steps[-1].descriptor_pa if self.steps else 0


def bits(value: int, high: int, low: int) -> int:
    """The field value<high:low>."""
    return (value >> low) & ((1 << (high - low + 1)) - 1)
