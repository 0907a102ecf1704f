"""The ledger of the cycle model: each cycle of a CPU in one category and under one privilege."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pyemu.native import Face, check, check_handle, error, ffi, lib
from pyemu.timing.caches import Caches, CacheUse

__all__ = ["Charge", "Cost", "Ledger"]


class Cost(IntEnum):
    """What cycles were spent on."""

    INSTRUCTIONS = lib.PE_COST_INSTRUCTIONS
    BRANCHES = lib.PE_COST_BRANCHES
    L1 = lib.PE_COST_L1
    L2 = lib.PE_COST_L2
    DRAM = lib.PE_COST_DRAM
    MICRO_TLB = lib.PE_COST_MICRO_TLB
    MAIN_TLB = lib.PE_COST_MAIN_TLB
    WALK = lib.PE_COST_WALK
    TLB_MAINTENANCE = lib.PE_COST_TLB_MAINTENANCE
    CACHE_MAINTENANCE = lib.PE_COST_CACHE_MAINTENANCE
    BARRIERS = lib.PE_COST_BARRIERS
    SYSTEM = lib.PE_COST_SYSTEM
    EXCEPTIONS = lib.PE_COST_EXCEPTIONS
    LOCKS = lib.PE_COST_LOCKS

    @property
    def text(self) -> str:
        """The name in words: ``"main TLB"``."""
        return str(ffi.string(lib.pe_cost_name(int(self))).decode())


@dataclass(frozen=True)
class Charge:
    """The cycles of one category, and how many times it was billed."""

    cycles: int
    events: int


class Ledger(Face):
    """The bills of ``cpus`` CPUs; their categories add up to each CPU's clock, exactly. That of a machine can
    only be read."""

    cpus: int
    """How many CPUs have a bill here."""

    def __init__(self, cpus: int = 1) -> None:
        err = error()
        super().__init__(check_handle(lib.pe_ledger_new(cpus, err), err), lib.pe_ledger_free)
        self.cpus = cpus

    @classmethod
    def of(cls, machine: Any) -> Ledger:
        """That of a :class:`~pyemu.machine.Machine` with timing."""
        ledger = cls.borrow(lambda: lib.pe_machine_ledger(machine.handle))
        ledger.cpus = len(machine.cpus)
        return ledger

    def add(self, cost: Cost, cycles: int, *, cpu: int = 0, privileged: bool = True) -> None:
        """Bill cycles (0 or more) to a category."""
        self._check_cpu(cpu)
        lib.pe_ledger_add(self.own_handle, cpu, privileged, int(cost), cycles)

    def add_access(
        self, caches: Caches, use: CacheUse, cycles: int, *, cpu: int = 0, privileged: bool = True
    ) -> None:
        """Bill what an access of ``caches`` took beyond an L1 hit; of a walk, all of it."""
        self._check_cpu(cpu)
        lib.pe_ledger_add_access(self.own_handle, cpu, privileged, caches.handle, int(use), cycles)

    def clock(self, cpu: int = 0) -> int:
        """All cycles of a CPU."""
        self._check_cpu(cpu)
        return int(lib.pe_ledger_cycles(self.handle, cpu))

    def bill(self, cpu: int = 0, *, privileged: bool) -> dict[Cost, Charge]:
        """Every category of a CPU under one privilege."""
        out: Any = ffi.new("pe_bill *")
        err = error()
        self._check_cpu(cpu)
        check(lib.pe_ledger_read(self.handle, cpu, privileged, out, err), err)
        return {cost: Charge(out.cycles[cost], out.events[cost]) for cost in Cost}

    def _check_cpu(self, cpu: int) -> None:
        if not 0 <= cpu < self.cpus:
            raise ValueError(f"no CPU {cpu}: there are {self.cpus}")
