"""The bill of a kernel model: what the operations between two moments cost, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from pyemu.native import ffi, lib
from pyemu.timing import Charge, Cost, Ledger

__all__ = ["Spent", "read_spent"]

_NOTHING = {cost: Charge(0, 0) for cost in Cost}


@dataclass(frozen=True)
class Spent:
    """Cycles and events by category, of all CPUs and both privileges together.

    An event of :attr:`~pyemu.timing.Cost.INSTRUCTIONS` is an instruction.
    """

    charges: Mapping[Cost, Charge]

    def __post_init__(self) -> None:
        object.__setattr__(self, "charges", MappingProxyType(dict(self.charges)))

    def __reduce__(self) -> tuple[type[Spent], tuple[dict[Cost, Charge]]]:
        return Spent, (dict(self.charges),)

    @classmethod
    def nothing(cls) -> Spent:
        """Of no operation at all."""
        return cls(_NOTHING)

    @property
    def cycles(self) -> int:
        """Of all categories."""
        return sum(charge.cycles for charge in self.charges.values())

    @property
    def insns(self) -> int:
        """Instructions."""
        return self.charges[Cost.INSTRUCTIONS].events

    def __sub__(self, earlier: Spent) -> Spent:
        return self._each(earlier, -1)

    def __add__(self, other: Spent) -> Spent:
        return self._each(other, 1)

    def _each(self, other: Spent, sign: int) -> Spent:
        pairs = {cost: (charge, other.charges[cost]) for cost, charge in self.charges.items()}
        return Spent(
            {c: Charge(a.cycles + sign * b.cycles, a.events + sign * b.events) for c, (a, b) in pairs.items()}
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every category with its cycles and events."""
        return {cost.name.lower(): asdict(charge) for cost, charge in self.charges.items()}


def read_spent(kernel: Any) -> Spent:
    """The bill of a :class:`~pyemu.kernel.Kernel` up to now; nothing where nothing is billed."""
    if lib.pe_kernel_ledger(kernel.handle) == ffi.NULL:
        return Spent.nothing()
    ledger = Ledger.borrow(lambda: lib.pe_kernel_ledger(kernel.handle))
    ledger.cpus = kernel.config.cpus
    bills = [ledger.bill(cpu, privileged=side) for cpu in range(ledger.cpus) for side in (False, True)]
    return sum((Spent(bill) for bill in bills), Spent.nothing())
