"""Guests that use the performance monitors as Linux does (arch/arm/kernel/perf_event_v7.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyemu.config import MachineConfig
from pyemu.machine import Machine
from tests.machine.traps.guest import ISB, SCTLR, SMALL, Guest, logged, store, subs

# CRn, opc1, CRm, opc2 (ARM DDI 0406C C12.8)
PMCR, PMCNTENSET, PMCNTENCLR, PMOVSR = ((9, 0, 12, n) for n in range(4))
PMSWINC, PMSELR, PMCEID0, PMCEID1 = ((9, 0, 12, n) for n in range(4, 8))
PMCCNTR, PMXEVTYPER, PMXEVCNTR = ((9, 0, 13, n) for n in range(3))
PMUSERENR, PMINTENSET, PMINTENCLR, PMOVSSET = ((9, 0, 14, n) for n in range(4))

TLB, CACHE = (replace(SMALL, timing=timing) for timing in ("tlb", "cache"))

E, P, C, D = 1, 2, 4, 8  # of PMCR
CYCLES = 1 << 31  # PMCCNTR's bit
ALL = 0x8000_003F
NOT_PL1, NOT_PL0, NONSECURE_PL1, NONSECURE_PL0 = 1 << 31, 1 << 30, 1 << 29, 1 << 28


class PerfGuest(Guest):
    """r0 is scratch of these."""

    def reset_counters(self) -> None:
        self.set_cp15(PMCNTENCLR, ALL)
        self.set_cp15(PMINTENCLR, ALL)
        self.set_cp15(PMCR, P | C)

    def program(self, counter: int, event: int, value: int = 0) -> None:
        """Chooses what a counter counts and from where on, and enables it."""
        self.set_cp15(PMCNTENCLR, 1 << counter)
        self.set_cp15(PMSELR, counter)
        self.set_cp15(PMXEVTYPER, event)
        self.set_cp15(PMXEVCNTR, value)
        self.set_cp15(PMCNTENSET, 1 << counter)

    def count(self, *events: int) -> None:
        """Counters from 0 on, and PMCCNTR, count from here."""
        self.reset_counters()
        for counter, event in enumerate(events):
            self.program(counter, event)
        self.set_cp15(PMCNTENSET, CYCLES)
        self.start()

    def start(self) -> None:
        self.set_cp15(PMCR, E)

    def stop(self) -> None:
        self.set_cp15(PMCR, 0)

    def log_register(self, register: tuple[int, int, int, int]) -> None:
        self.mrc(register, 0)
        self.log(0)

    def log_counters(self, number: int) -> None:
        """PMXEVCNTR of the first ones, then PMCCNTR."""
        for counter in range(number):
            self.set_cp15(PMSELR, counter)
            self.log_register(PMXEVCNTR)
        self.log_register(PMCCNTR)

    def loop(self, turns: int, *body: int) -> None:
        """Runs the body: r9 counts."""
        name = f"loop {self.here:#x}"
        self.mov(9, turns)
        self.label(name)
        self.op(*body, subs(9, 9, 1))
        self.b(name, "ne")

    def caches_on(self) -> None:
        """And the MMU, with the root of :class:`~tests.machine.traps.guest.Tables`."""
        self.mmu_on()
        self.mrc(SCTLR, 0)
        self.op(0xE3800A01, 0xE3800004)  # orr r0, r0, #0x1000; orr r0, r0, #4: I, C
        self.mcr(SCTLR, 0)
        self.op(ISB)

    def let_interrupts_through(self) -> None:
        """INTID 23 of this CPU, as far as its IRQ mask."""
        for address, value in (
            (0x0800_0000, 1),
            (0x0800_0100, 1 << 23),
            (0x0801_0000, 1),
            (0x0801_0004, 0xFF),
        ):
            self.mov(0, address)
            self.mov(1, value)
            self.op(store(1, 0))


Program = Callable[[PerfGuest], None]


def run_perf(program: Program, config: MachineConfig = SMALL) -> list[int]:
    """What the program logs."""
    guest = PerfGuest()
    program(guest)
    guest.exit()
    with Machine(config) as machine:
        guest.run(machine)
        return logged(machine)
