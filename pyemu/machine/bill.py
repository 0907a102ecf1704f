"""The bill of a machine: what its cycles were spent on, and what the cycle model saw, as frozen data.

User is PL0, kernel is PL1, whatever program runs there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pyemu.mmu import Access, TlbInvalidate, TlbStats
from pyemu.timing import Branch, CacheLevel, CacheStats, Charge, Core, Cost

__all__ = ["Bill", "CpuBill", "Executed", "read_bill"]

_PRIVILEGES = ("user", "kernel")


@dataclass(frozen=True)
class Executed:
    """What a CPU executed; pairs are (user, kernel).

    ``loads`` and ``stores`` are instructions, whether their condition held or not; ``exceptions`` those that
    were taken; ``code_decoded`` the blocks whose cost had to be found; ``uncached`` the accesses to memory
    that is not cacheable, or with the caches off.
    """

    insns: tuple[int, int]
    blocks: tuple[int, int]
    loads: tuple[int, int]
    stores: tuple[int, int]
    exceptions: int
    exception_returns: int
    code_decoded: int
    uncached: int

    @classmethod
    def from_native(cls, native: Any) -> Executed:
        """The Python form of a ``pe_executed``."""
        values: dict[str, Any] = {field.name: getattr(native, field.name) for field in fields(cls)}
        pairs = {name: tuple(value) for name, value in values.items() if not isinstance(value, int)}
        return cls(**{**values, **pairs})


@dataclass(frozen=True)
class CpuBill:
    """One CPU. ``cycles`` are its clock; ``user`` and ``kernel`` have every category, and add up to it.

    ``tlb`` counts lookups where the model was asked: of loads and stores those that miss their micro-TLB.
    ``l1i`` and ``l1d`` are None without modelled caches. ``branches`` are (executed, mispredicted) by kind.
    """

    number: int
    cycles: int
    user: Mapping[Cost, Charge]
    kernel: Mapping[Cost, Charge]
    executed: Executed
    tlb: TlbStats
    branches: Mapping[Branch, tuple[int, int]]
    l1i: CacheStats | None
    l1d: CacheStats | None

    @property
    def insns(self) -> int:
        """Instructions, under both privileges."""
        return sum(self.executed.insns)

    @property
    def cpi(self) -> float | None:
        """Cycles for each instruction; None when none was executed."""
        return _ratio(self.cycles, self.insns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys do not depend on what happened."""
        both = (self.user, self.kernel)
        return {
            "cpu": self.number,
            "cycles": self.cycles,
            "instructions": self.insns,
            "cpi": self.cpi,
            **{
                name: {
                    "cycles": _cycles(charges),
                    "instructions": insns,
                    "cpi": _ratio(_cycles(charges), insns),
                    "categories": {_key(cost): asdict(charge) for cost, charge in charges.items()},
                }
                for name, charges, insns in zip(_PRIVILEGES, both, self.executed.insns, strict=True)
            },
            "executed": {
                name: dict(zip(_PRIVILEGES, value, strict=True)) if isinstance(value, tuple) else value
                for name, value in asdict(self.executed).items()
            },
            "tlb": _tlb_dict(self.tlb),
            "branches": {
                _key(kind): {"executed": executed, "mispredicted": mispredicted}
                for kind, (executed, mispredicted) in self.branches.items()
            },
            "l1i": _cache_dict(self.l1i),
            "l1d": _cache_dict(self.l1d),
        }


@dataclass(frozen=True)
class Bill:
    """A whole machine, since it was reset or restored; ``timing`` is "tlb" or "cache".

    ``l2`` is None without modelled caches.
    """

    timing: str
    core: Core
    cpus: tuple[CpuBill, ...]
    l2: CacheStats | None

    @property
    def cycles(self) -> int:
        """Of all CPUs together."""
        return sum(cpu.cycles for cpu in self.cpus)

    @property
    def insns(self) -> int:
        """Instructions of all CPUs together."""
        return sum(cpu.insns for cpu in self.cpus)

    @property
    def cpi(self) -> float | None:
        """Cycles for each instruction; None when none was executed."""
        return _ratio(self.cycles, self.insns)

    @property
    def clock_hz(self) -> int:
        """Cycles a second, of each CPU."""
        return int(self.core["clock_hz"])

    @property
    def user(self) -> Mapping[Cost, Charge]:
        """Every category under PL0, all CPUs together."""
        return _sum([cpu.user for cpu in self.cpus])

    @property
    def kernel(self) -> Mapping[Cost, Charge]:
        """Every category under PL1, all CPUs together."""
        return _sum([cpu.kernel for cpu in self.cpus])

    @property
    def charges(self) -> Mapping[Cost, Charge]:
        """Every category, all CPUs and both privileges together."""
        return _sum([self.user, self.kernel])

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys do not depend on what happened. The core has each parameter with its source."""
        return {
            "level": self.timing,
            "core": self.core.as_dict(),
            "assumed": list(self.core.assumed),
            "clock_hz": self.clock_hz,
            "cycles": self.cycles,
            "instructions": self.insns,
            "cpi": self.cpi,
            "categories": {_key(cost): asdict(charge) for cost, charge in self.charges.items()},
            "cpus": [cpu.as_dict() for cpu in self.cpus],
            "l2": _cache_dict(self.l2),
        }


def read_bill(machine: Any) -> Bill:
    """The bill of a :class:`~pyemu.machine.Machine` with timing, as it is now."""
    ledger = machine.ledger
    caches = machine.caches if machine.config.timing == "cache" else None

    def cache(level: CacheLevel, cpu: int = 0) -> CacheStats | None:
        return None if caches is None else caches.stats(level, cpu)

    cpus = tuple(
        CpuBill(
            number=cpu.number,
            cycles=ledger.clock(cpu.number),
            user=ledger.bill(cpu.number, privileged=False),
            kernel=ledger.bill(cpu.number, privileged=True),
            executed=cpu.executed(),
            tlb=cpu.tlb.stats(),
            branches=cpu.predictor.stats(),
            l1i=cache(CacheLevel.L1I, cpu.number),
            l1d=cache(CacheLevel.L1D, cpu.number),
        )
        for cpu in machine.cpus
    )
    return Bill(machine.config.timing, machine.core, cpus, cache(CacheLevel.L2))


def _key(name: Any) -> str:
    return str(name.name).lower()


def _ratio(cycles: int, insns: int) -> float | None:
    return cycles / insns if insns else None


def _cycles(charges: Mapping[Cost, Charge]) -> int:
    return sum(charge.cycles for charge in charges.values())


def _sum(bills: list[Mapping[Cost, Charge]]) -> Mapping[Cost, Charge]:
    return {
        cost: Charge(sum(b[cost].cycles for b in bills), sum(b[cost].events for b in bills)) for cost in Cost
    }


def _cache_dict(stats: CacheStats | None) -> dict[str, Any] | None:
    if stats is None:
        return None
    derived = {"accesses": stats.accesses, "misses": stats.misses, "miss_rate": stats.miss_rate}
    return {**derived, **asdict(stats)}


def _tlb_dict(stats: TlbStats) -> dict[str, Any]:
    values = {"lookups_seen" if name == "lookups" else name: value for name, value in asdict(stats).items()}
    for name in ("lookups_seen", "micro_misses", "main_misses"):
        values[name] = {_key(access): values[name][access] for access in Access}
    values["invalidates"] = {_key(kind): values["invalidates"][kind] for kind in TlbInvalidate}
    return values
