"""The performance monitors as a guest programs them: registers, counters, privilege, overflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyemu.machine import Machine
from pyemu.timing import PmuEvent
from tests.machine.pmu_guest import (
    ALL,
    CYCLES,
    PMCCNTR,
    PMCEID0,
    PMCEID1,
    PMCNTENCLR,
    PMCNTENSET,
    PMCR,
    PMINTENCLR,
    PMINTENSET,
    PMOVSR,
    PMOVSSET,
    PMSELR,
    PMSWINC,
    PMUSERENR,
    PMXEVCNTR,
    PMXEVTYPER,
    C,
    D,
    E,
    P,
    PerfGuest,
    run_perf,
)
from tests.machine.traps.guest import CONTEXTIDR, NOP, SMALL, TTBR0, UNDEF, exceptions, ldr, logged

CORTEX_A7 = replace(SMALL, cpu="cortex-a7")


# ---- registers ----


@pytest.mark.parametrize(
    ("register", "read_back"),
    [
        (PMCR, 0x410F_3039),
        (PMCNTENSET, ALL),
        (PMSELR, 0x1F),
        (PMUSERENR, 1),
        (PMINTENSET, ALL),
        (PMOVSSET, ALL),
        (PMCCNTR, 0xFFFF_FFFF),
    ],
)
def test_a_register_keeps_what_it_has_of_a_word_of_ones(
    register: tuple[int, int, int, int], read_back: int
) -> None:
    def program(guest: PerfGuest) -> None:
        guest.log_register(register)
        guest.set_cp15(register, 0xFFFF_FFFF & ~(E if register is PMCR else 0))
        guest.log_register(register)

    before, after = run_perf(program)
    assert before == (0x410F_3000 if register is PMCR else 0)
    assert after == read_back & ~(E if register is PMCR else 0)


@pytest.mark.parametrize(
    ("setting", "clearing"), [(PMCNTENSET, PMCNTENCLR), (PMINTENSET, PMINTENCLR), (PMOVSSET, PMOVSR)]
)
def test_bits_are_set_and_cleared_by_ones(
    setting: tuple[int, int, int, int], clearing: tuple[int, int, int, int]
) -> None:
    def program(guest: PerfGuest) -> None:
        guest.set_cp15(setting, 0x8000_0015)
        guest.set_cp15(setting, 0x22)
        guest.log_register(clearing)
        guest.set_cp15(clearing, 0x8000_0003)
        guest.log_register(setting)

    assert run_perf(program) == [0x8000_0037, 0x34]


def test_each_counter_has_an_event_and_a_count_of_its_own() -> None:
    def program(guest: PerfGuest) -> None:
        for counter in (*range(6), 31):
            guest.set_cp15(PMSELR, counter)
            guest.set_cp15(PMXEVTYPER, 0xFFFF_FF00 | counter)
            guest.set_cp15(PMXEVCNTR, 1000 + counter)
        for counter in (*range(6), 31):
            guest.set_cp15(PMSELR, counter)
            guest.log_register(PMXEVTYPER)
            guest.log_register(PMXEVCNTR)
        guest.log_register(PMCCNTR)

    expected = [word for n in range(6) for word in (0xF800_0000 | n, 1000 + n)]
    assert run_perf(program) == [*expected, 0xF800_0000, 0, 0]


def test_a_selector_without_a_counter_is_harmless() -> None:
    def program(guest: PerfGuest) -> None:
        for counter in range(6):
            guest.program(counter, PmuEvent.SW_INCR, 7 * counter)
        for selector in range(6, 32):
            guest.set_cp15(PMSELR, selector)
            guest.set_cp15(PMXEVTYPER, PmuEvent.INST_RETIRED)
            guest.set_cp15(PMXEVCNTR, 0x1234_5678)
            guest.log_register(PMXEVTYPER)
            guest.log_register(PMXEVCNTR)
        guest.log_counters(6)

    assert run_perf(program) == [*[0] * 52, *[7 * n for n in range(6)], 0]


def test_a_cortex_a7_has_four_counters() -> None:
    def program(guest: PerfGuest) -> None:
        guest.log_register(PMCR)
        guest.set_cp15(PMCNTENSET, 0xFFFF_FFFF)
        guest.log_register(PMCNTENSET)
        guest.program(4, PmuEvent.INST_RETIRED, 9)
        guest.log_register(PMXEVCNTR)

    assert run_perf(program, CORTEX_A7) == [0x4107_2000, 0x8000_000F, 0]


def test_pmceid_lists_what_is_counted_without_a_cycle_model() -> None:
    def program(guest: PerfGuest) -> None:
        guest.log_register(PMCEID0)
        guest.log_register(PMCEID1)

    events = (
        PmuEvent.SW_INCR,
        PmuEvent.INST_RETIRED,
        PmuEvent.CID_WRITE_RETIRED,
        PmuEvent.CPU_CYCLES,
        PmuEvent.TTBR_WRITE_RETIRED,
    )
    assert run_perf(program) == [sum(1 << event for event in events), 0]
    a7 = [event for event in events if event is not PmuEvent.TTBR_WRITE_RETIRED]
    assert run_perf(program, CORTEX_A7) == [sum(1 << event for event in a7), 0]


def test_what_no_register_has_is_undefined() -> None:
    guest = PerfGuest()
    numbers = [(9, 0, 13, 3), (9, 0, 13, 7), (9, 0, 14, 4), (9, 0, 14, 7), (9, 1, 12, 0), (14, 0, 8, 0)]
    for register in numbers:
        guest.mrc(register, 0)
        guest.mcr(register, 0)
    guest.mrc(PMSWINC, 0)
    guest.mcr(PMCEID0, 0)
    guest.exit()
    with Machine(SMALL) as machine:
        guest.run(machine)
        assert [each.kind for each in exceptions(machine)] == [UNDEF] * (2 * len(numbers) + 2)


# ---- counting ----


def test_counted_instructions_are_those_of_the_loop() -> None:
    def program(guest: PerfGuest) -> None:
        guest.count(PmuEvent.INST_RETIRED)
        guest.log_counters(1)
        guest.loop(1000, NOP, NOP)
        guest.log_counters(1)

    first, first_cycles, second, second_cycles = run_perf(program)
    # behind the read, or in front of it: log; PMCCNTR to log; the loop's MOVW and MOVT; MOVW, MOVT, PMSELR
    assert second - first == 1 + 2 + 2 + 4 * 1000 + 3 + 1
    assert second_cycles - first_cycles == second - first


def test_a_counter_counts_only_while_it_and_all_are_enabled() -> None:
    def program(guest: PerfGuest) -> None:
        guest.count(PmuEvent.INST_RETIRED, PmuEvent.INST_RETIRED)
        guest.set_cp15(PMCNTENCLR, 1 << 0)
        guest.log_counters(2)
        guest.loop(100)
        guest.stop()
        guest.log_counters(2)
        guest.loop(100)
        guest.log_counters(2)

    before, after, stopped = (run_perf(program)[i : i + 3] for i in (0, 3, 6))
    assert after[0] == before[0] < 10
    assert after[1] >= before[1] + 200
    assert stopped == after


def test_an_event_that_is_not_known_is_never_counted() -> None:
    def program(guest: PerfGuest) -> None:
        guest.count(0xFF, PmuEvent.BUS_CYCLES, PmuEvent.L1D_TLB_REFILL, PmuEvent.MEMORY_ERROR)
        guest.loop(100, ldr(1, 11))
        guest.log_counters(4)

    assert run_perf(program)[:4] == [0, 0, 0, 0]


def test_a_counter_goes_on_from_its_value_when_its_event_changes() -> None:
    def program(guest: PerfGuest) -> None:
        guest.program(0, PmuEvent.CID_WRITE_RETIRED, 100)
        guest.start()
        guest.loop(50, NOP)
        guest.set_cp15(PMSELR, 0)
        guest.set_cp15(PMXEVTYPER, PmuEvent.INST_RETIRED)
        guest.op(NOP, NOP)
        guest.log_register(PMXEVCNTR)

    assert run_perf(program) == [103]


def test_software_increments_go_to_enabled_counters_of_that_event() -> None:
    def program(guest: PerfGuest) -> None:
        guest.count(PmuEvent.SW_INCR, PmuEvent.SW_INCR, PmuEvent.CID_WRITE_RETIRED, PmuEvent.SW_INCR)
        guest.set_cp15(PMCNTENCLR, 1 << 3)
        guest.set_cp15(PMSWINC, 0xF)
        guest.set_cp15(PMSWINC, 0x1)
        guest.stop()
        guest.set_cp15(PMSWINC, 0xF)
        guest.log_counters(4)

    assert run_perf(program)[:4] == [2, 1, 0, 0]


def test_writes_of_contextidr_and_ttbr_are_counted() -> None:
    def program(guest: PerfGuest) -> None:
        guest.count(PmuEvent.CID_WRITE_RETIRED, PmuEvent.TTBR_WRITE_RETIRED)
        for _ in range(3):
            guest.set_cp15(CONTEXTIDR, 5)
        guest.set_cp15(TTBR0, 0x4000_4000)
        guest.mcrr((0, 2), 0, 1)
        guest.mcrr((1, 2), 0, 1)
        guest.log_counters(2)

    assert run_perf(program)[:2] == [3, 3]


def test_pmcr_resets_event_counters_and_the_cycle_counter_each_by_its_bit() -> None:
    def program(guest: PerfGuest) -> None:
        for bit in (P, C):
            guest.set_cp15(PMCCNTR, 0x77)
            guest.program(0, PmuEvent.SW_INCR, 5)
            guest.program(5, PmuEvent.SW_INCR, 6)
            guest.set_cp15(PMOVSSET, ALL)
            guest.set_cp15(PMCR, bit)
            guest.log_counters(6)
            guest.log_register(PMOVSR)
            guest.log_register(PMCR)

    values = run_perf(program)
    assert values[:9] == [0, 0, 0, 0, 0, 0, 0x77, ALL, 0x410F_3000]
    assert values[9:] == [5, 0, 0, 0, 0, 6, 0, ALL, 0x410F_3000]


def test_every_64th_cycle_is_counted_without_loss() -> None:
    def program(guest: PerfGuest) -> None:
        guest.set_cp15(PMCNTENSET, CYCLES)
        guest.set_cp15(PMCR, E | D | C)
        for _ in range(64):
            guest.mrc(PMCCNTR, 0)
        guest.log(0)

    assert run_perf(program) == [1]


def test_conditional_and_thumb_accesses_are_the_same_registers() -> None:
    def program(guest: PerfGuest) -> None:
        guest.mov(0, 3)
        guest.op(0xE3500003)  # cmp r0, #3
        guest.op(0x0E090FBC, 0x1E090F1C)  # mcreq PMSELR, r0; mcrne PMCR, r0
        guest.op(0xE28FC001, 0xE12FFF1C)  # add r12, pc, #1; bx r12
        guest.op(0x1FBC_EE19)  # Thumb: mrc PMSELR, r1 (ee19 1fbc)
        guest.op(0x4760_46FC)  # mov r12, pc; bx r12, to what follows
        guest.log(1)
        guest.log_register(PMCR)

    assert run_perf(program) == [3, 0x410F_3000]


# ---- the machine around them ----


def test_a_reset_clears_the_monitors() -> None:
    guest = PerfGuest()
    for register in (PMCR, PMCNTENSET, PMOVSR, PMSELR, PMCCNTR, PMUSERENR, PMINTENSET):
        guest.log_register(register)
    guest.count(PmuEvent.INST_RETIRED)
    for register in (PMUSERENR, PMINTENSET, PMOVSSET, PMSELR):
        guest.set_cp15(register, 1)
    guest.exit()
    with Machine(SMALL) as machine:
        for _ in range(2):
            guest.run(machine)
            assert logged(machine) == [0x410F_3000, 0, 0, 0, 0, 0, 0]


def test_counters_go_on_in_a_restored_machine(tmp_path: Path) -> None:
    guest = PerfGuest()
    guest.set_cp15(PMCNTENSET, CYCLES)
    guest.set_cp15(PMCR, E | D)
    guest.program(0, PmuEvent.INST_RETIRED)
    guest.program(1, PmuEvent.INST_RETIRED, 0xFFFF_FF00)
    guest.loop(1000, NOP)
    guest.log_counters(2)
    guest.log_register(PMOVSR)
    guest.exit()
    with Machine(SMALL) as machine:
        machine.load(guest.code())
        machine.run(max_insns=700)
        machine.snapshot(tmp_path / "state")
        machine.run()
        expected = logged(machine)
    with Machine.restore(tmp_path / "state") as machine:
        machine.run()
        assert logged(machine) == expected
    assert expected[3] == 2
    with Machine.restore(tmp_path / "state", timing="cache") as machine:
        machine.run()
        first, second, cycles, flags = logged(machine)
        assert [first, second, flags] == [expected[0], expected[1], 2]
        assert 5 < cycles < 1000
