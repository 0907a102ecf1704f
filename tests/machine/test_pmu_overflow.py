"""Overflow of the performance monitors: flags, and interrupts where and when they are due."""

from __future__ import annotations

import pytest

from pyemu.machine import Machine, StopReason
from pyemu.timing import PmuEvent
from tests.machine.pmu_guest import (
    CACHE,
    CYCLES,
    PMCCNTR,
    PMCNTENSET,
    PMCR,
    PMINTENCLR,
    PMINTENSET,
    PMOVSR,
    PMOVSSET,
    PMSELR,
    PMSWINC,
    PMXEVCNTR,
    E,
    PerfGuest,
    run_perf,
)
from tests.machine.traps.guest import (
    CPSIE_I,
    FREE,
    LOG,
    NOP,
    SMALL,
    VBAR,
    WFI,
    Tables,
    add,
    ldr,
    logged,
    subs,
)


def test_an_overflow_sets_the_flag_of_its_counter() -> None:
    def program(guest: PerfGuest) -> None:
        guest.count(PmuEvent.INST_RETIRED, PmuEvent.INST_RETIRED, PmuEvent.SW_INCR)
        guest.set_cp15(PMSELR, 1)
        guest.set_cp15(PMXEVCNTR, 0xFFFF_FFF0)
        guest.set_cp15(PMSELR, 2)
        guest.set_cp15(PMXEVCNTR, 0xFFFF_FFFF)
        guest.log_register(PMOVSR)
        guest.loop(10, NOP)
        guest.log_register(PMOVSR)
        guest.set_cp15(PMSWINC, 4)
        guest.set_cp15(PMCCNTR, 0xFFFF_FFFE)
        guest.op(NOP, NOP)
        guest.set_cp15(PMOVSR, 2)
        guest.log_register(PMOVSR)
        guest.log_counters(3)

    before, after, last, *counters = run_perf(program)
    assert (before, after, last) == (0, 2, CYCLES | 4)
    assert counters[1] < 100
    assert counters[2] == 0
    assert counters[3] < 30


def listen(guest: PerfGuest) -> None:
    """The controller lets INTID 23 of this CPU through; a handler clears PMINTEN and logs LR."""
    guest.let_interrupts_through()
    guest.b("listening")
    while guest.here % 32:
        guest.op(NOP)
    guest.label("vectors")
    guest.op(*[NOP] * 6, 0xE3E0C000)  # mvn r12, #0
    guest.mcr(PMINTENCLR, 12)
    guest.log(14)
    guest.op(0xE25EF004)  # subs pc, lr, #4
    guest.label("listening")
    guest.mov_label(0, "vectors")
    guest.mcr(VBAR, 0)


def listen_again(guest: PerfGuest) -> None:
    """A handler that logs PMXEVCNTR, sets it to r4 and clears the flags."""
    guest.b("listening")
    while guest.here % 32:
        guest.op(NOP)
    guest.label("vectors")
    guest.op(*[NOP] * 6)
    guest.mrc(PMXEVCNTR, 12)
    guest.log(12)
    guest.mcr(PMXEVCNTR, 4)
    guest.op(0xE3E0C000)  # mvn r12, #0
    guest.mcr(PMOVSR, 12)
    guest.op(0xE25EF004)  # subs pc, lr, #4
    guest.label("listening")
    guest.mov_label(0, "vectors")
    guest.mcr(VBAR, 0)


@pytest.mark.parametrize("event", [PmuEvent.INST_RETIRED, PmuEvent.CPU_CYCLES])
def test_an_overflow_interrupts_where_it_happens(event: PmuEvent) -> None:
    def program(guest: PerfGuest) -> None:
        listen(guest)
        guest.reset_counters()
        guest.program(3, event, -40_000 & 0xFFFF_FFFF)
        guest.set_cp15(PMINTENSET, 1 << 3)
        guest.op(CPSIE_I)
        guest.start()
        guest.loop(100_000, NOP, NOP)
        guest.log_register(PMOVSR)

    guest = PerfGuest()
    program(guest)
    guest.exit()
    with Machine(SMALL) as machine:
        machine.load(guest.code())
        for _ in range(100):
            machine.run(max_insns=1000)
            if machine.reg("r11") != LOG:
                break
        assert 9_999 <= 100_000 - machine.reg("r9") <= 10_000 + 250
        taken = machine.stats()["irqs"]
        guest.run(machine)
        lr, flags = logged(machine)
    assert taken == 1
    assert guest.origin < lr < guest.here
    assert flags == 8


def test_the_interrupt_line_is_up_while_flag_enable_and_control_are() -> None:
    def program(guest: PerfGuest) -> None:
        guest.set_cp15(PMINTENSET, 0x8000_0000)
        guest.set_cp15(PMOVSSET, 0x8000_0000)
        lines: list[tuple[tuple[int, int, int, int], int]] = [
            (PMCR, E),
            (PMCR, 0),
            (PMCR, E),
            (PMINTENCLR, CYCLES),
            (PMINTENSET, CYCLES),
            (PMOVSR, CYCLES),
            (PMOVSSET, 1),
        ]
        for register, value in lines:
            guest.set_cp15(register, value)
            guest.mov(0, 0x0800_0200)  # GICD_ISPENDR0
            guest.op(ldr(0, 0))
            guest.log(0)

    assert [word >> 23 for word in run_perf(program)] == [1, 0, 1, 0, 1, 0, 0]


def test_an_overflow_of_the_cycle_counter_ends_a_wait() -> None:
    def program(guest: PerfGuest) -> None:
        listen(guest)
        guest.set_cp15(PMCCNTR, -1_000_000 & 0xFFFF_FFFF)
        guest.set_cp15(PMCNTENSET, CYCLES)
        guest.set_cp15(PMINTENSET, CYCLES)
        guest.start()
        guest.op(WFI)
        guest.log_register(PMCCNTR)
        guest.log_register(PMOVSR)

    cycles, flags = run_perf(program)
    assert cycles < 10
    assert flags == CYCLES


@pytest.mark.parametrize(
    ("event", "late"),
    [
        (PmuEvent.CPU_CYCLES, 100),
        (PmuEvent.L1D_TLB_REFILL, 1),
        (PmuEvent.L1D_CACHE, 2),
        (PmuEvent.INST_RETIRED, 12),
        (PmuEvent.BR_MIS_PRED, 1),
    ],
)
def test_an_overflow_of_any_event_interrupts_the_next_block(event: PmuEvent, late: int) -> None:
    """The handler starts each time with the counter at 1,000 events below zero; what it had is logged."""
    guest = PerfGuest()
    guest.let_interrupts_through()
    guest.caches_on()
    listen_again(guest)
    guest.mov(6, 4096)
    guest.mov(4, -1000 & 0xFFFF_FFFF)
    guest.reset_counters()
    guest.program(2, event, -1000 & 0xFFFF_FFFF)
    guest.set_cp15(PMINTENSET, 1 << 2)
    guest.op(CPSIE_I)
    guest.start()
    guest.mov(5, 600)
    guest.label("again")
    guest.mov(8, FREE)
    # ldr r1, [r8]; add r8, r8, r6; a branch by mixed bits: eor r3, r3, r3, ror #7; add; tst r3, #0x40; bne
    guest.loop(33, ldr(1, 8), 0xE0888006, 0xE02333E3, add(3, 3, 77), 0xE3130040, 0x1A000000, NOP)
    guest.op(subs(5, 5, 1))
    guest.b("again", "ne")
    guest.exit()

    def log(pieces: int) -> list[int]:
        with Machine(CACHE) as machine:
            Tables(machine)
            machine.load(guest.code())
            while machine.run(max_insns=pieces).reason is not StopReason.EXIT:
                pass
            return logged(machine)

    counts = log(10_000_000)
    assert len(counts) > 3
    assert max(counts) <= late
    assert log(777) == counts
