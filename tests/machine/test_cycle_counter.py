"""PMCCNTR: guest time, started and stopped by PMCR and PMCNTEN (ARM DDI 0406C C12.8)."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from tests.fuzz.arm import arm_constant
from tests.machine.images import RAM, words

NOP, SELF = 0xE320F000, 0xEAFFFFFE
CYCLES = 1 << 31
# MCR of r0, and MRC to r1..r3
PMCR, ENABLE, DISABLE, PMCCNTR, PMUSERENR = 0xEE090F1C, 0xEE090F3C, 0xEE090F5C, 0xEE090F1D, 0xEE090F1E
READ = {n: 0xEE190F1D | n << 12 for n in range(1, 8)}
USER_MODE = 0xF1020010


def write(register: int, value: int) -> list[int]:
    return [*arm_constant(0, value), register]


START = [*write(ENABLE, CYCLES), *write(PMCR, 1)]


def registers(code: Sequence[int], pause: bool = False) -> list[int]:
    """r0..r7 after the code."""
    with Machine(MachineConfig(16 * MIB)) as machine:
        machine.write_phys(RAM, words(*code, SELF))
        machine.reset(RAM)
        for _ in range(2):
            machine.run(max_insns=len(START) + 2 if pause else 1000)
            time.sleep(0.01 if pause else 0)
        machine.run(max_insns=1000)
        return [machine.reg(f"r{n}") for n in range(8)]


def test_the_cycle_counter_counts_instructions() -> None:
    r = registers([*START, READ[1], NOP, NOP, READ[2], *[NOP] * 96, READ[3]])
    assert (r[2] - r[1], r[3] - r[2]) == (3, 97)


def test_the_cycle_counter_does_not_count_the_time_of_the_host() -> None:
    code = [*START, *[NOP] * 10, READ[1]]
    assert registers(code, pause=True) == registers(code)


def test_the_cycle_counter_stands_still_unless_both_registers_start_it() -> None:
    for stop in (write(PMCR, 0), write(DISABLE, CYCLES)):
        r = registers([*START, *stop, READ[1], *[NOP] * 50, READ[2], *START, READ[3], NOP, READ[4]])
        assert r[1] == r[2] <= 6
        assert (r[3] - r[2], r[4] - r[3]) in ((1, 2), (4, 2))
    assert registers([*write(PMCR, 1), NOP, READ[1]])[1] == 0


def test_the_cycle_counter_can_be_written_and_reset() -> None:
    r = registers([*START, *write(PMCCNTR, 0x1234_0000), READ[1], *write(PMCR, 5), READ[2]])
    assert r[1] == 0x1234_0001
    assert r[2] == 1


def test_the_cycle_counter_can_count_every_64th_cycle() -> None:
    r = registers([*write(ENABLE, CYCLES), *write(PMCR, 0xD), *[NOP] * 640, READ[1]])
    assert r[1] == 10


def test_user_mode_reads_the_cycle_counter_where_it_may() -> None:
    assert registers([*START, USER_MODE, READ[1]])[1] == 0  # undefined: PC went to the vector
    assert registers([*START, *write(PMUSERENR, 1), USER_MODE, READ[1]])[1] > 0


def test_the_number_of_event_counters_is_that_of_a_cortex_a15() -> None:
    r = registers([0xEE191F1C, *write(PMCR, 0xFFFF_FFF9), 0xEE192F1C])  # PMCR to r1, r2
    assert (r[1] >> 11 & 31, r[1] & 0x3F) == (6, 0)
    assert (r[2] >> 11 & 31, r[2] & 0x3F) == (6, 0x39)
