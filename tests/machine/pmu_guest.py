"""Guests that use the performance monitors as Linux does (arch/arm/kernel/perf_event_v7.c)."""

from __future__ import annotations

from tests.machine.traps.guest import Guest, subs

# CRn, opc1, CRm, opc2 (ARM DDI 0406C C12.8)
PMCR, PMCNTENSET, PMCNTENCLR, PMOVSR = ((9, 0, 12, n) for n in range(4))
PMSWINC, PMSELR, PMCEID0, PMCEID1 = ((9, 0, 12, n) for n in range(4, 8))
PMCCNTR, PMXEVTYPER, PMXEVCNTR = ((9, 0, 13, n) for n in range(3))
PMUSERENR, PMINTENSET, PMINTENCLR, PMOVSSET = ((9, 0, 14, n) for n in range(4))

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
