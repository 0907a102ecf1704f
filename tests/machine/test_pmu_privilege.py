"""What user mode may do with the performance monitors, and what they count of it."""

from __future__ import annotations

import pytest

from pyemu.machine import CpuBill, Machine
from pyemu.timing import PmuEvent
from tests.machine.pmu_guest import (
    CACHE,
    CYCLES,
    NONSECURE_PL0,
    NONSECURE_PL1,
    NOT_PL0,
    NOT_PL1,
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
    PerfGuest,
)
from tests.machine.traps.guest import FREE, NOP, SMALL, SVC, UNDEF, exceptions

FOR_USERS = {
    "read": [
        *(PMCR, PMCNTENSET, PMCNTENCLR, PMOVSR, PMSELR, PMCEID0, PMCEID1, PMCCNTR, PMXEVTYPER, PMXEVCNTR),
        PMOVSSET,
    ],
    "write": [
        *(PMCR, PMCNTENSET, PMCNTENCLR, PMOVSR, PMSWINC, PMSELR, PMCCNTR, PMXEVTYPER, PMXEVCNTR, PMOVSSET)
    ],
}


def undefined_in_user_mode(enable: int, way: str, register: tuple[int, int, int, int]) -> bool:
    guest = PerfGuest()
    guest.set_cp15(PMUSERENR, enable)
    guest.mov(0, 0)
    guest.user()
    getattr(guest, {"read": "mrc", "write": "mcr"}[way])(register, 0)
    guest.privileged()
    guest.exit()
    with Machine(SMALL) as machine:
        guest.run(machine)
        kinds = [each.kind for each in exceptions(machine)]
    assert kinds in ([SVC], [UNDEF, SVC])
    return UNDEF in kinds


@pytest.mark.parametrize("way", ["read", "write"])
def test_user_mode_has_the_counters_where_pmuserenr_lets_it(way: str) -> None:
    for register in FOR_USERS[way]:
        assert undefined_in_user_mode(0, way, register), register
        assert not undefined_in_user_mode(1, way, register), register


def test_user_mode_never_has_interrupts_and_reads_pmuserenr_always() -> None:
    for enable in (0, 1):
        assert not undefined_in_user_mode(enable, "read", PMUSERENR)
        assert undefined_in_user_mode(enable, "write", PMUSERENR)
        for register in (PMINTENSET, PMINTENCLR):
            for way in ("read", "write"):
                assert undefined_in_user_mode(enable, way, register)


def test_counters_tell_the_privileges_apart_exactly() -> None:
    guest = PerfGuest()
    filters = (NOT_PL1, NOT_PL0, NOT_PL0 | NOT_PL1, NOT_PL1 | NONSECURE_PL1, NONSECURE_PL1, NONSECURE_PL0)
    guest.reset_counters()
    for counter, modes in enumerate(filters):
        guest.program(counter, modes | PmuEvent.INST_RETIRED)
    guest.set_cp15(PMSELR, 31)
    guest.set_cp15(PMXEVTYPER, NOT_PL1)
    guest.set_cp15(PMCNTENSET, CYCLES)
    guest.start()
    guest.label("begin")
    for _ in range(10):
        guest.loop(5, NOP)
        guest.user()
        guest.loop(20, NOP)
        guest.privileged()
    guest.stop()
    guest.label("finish")
    guest.mov(11, FREE)
    guest.log_counters(6)
    guest.exit()
    with Machine(CACHE) as machine:
        machine.load(guest.code())
        machine.run(until=guest.address_of("begin"))
        before = machine.bill()
        machine.run(until=guest.address_of("finish"))
        after = machine.bill()
        machine.run()
        words = machine.read_phys(FREE, 28)
    *counts, user_cycles = (int.from_bytes(words[at : at + 4], "little") for at in range(0, 28, 4))
    user, kernel = (after.cpus[0].executed.insns[who] - before.cpus[0].executed.insns[who] for who in (0, 1))
    assert user > 10 * 60
    assert kernel > 10 * 15
    assert counts == [user, kernel, 0, user + kernel, user, kernel]
    assert user_cycles == _billed(after.cpus[0]) - _billed(before.cpus[0])


def _billed(cpu: CpuBill) -> int:
    return sum(charge.cycles for charge in cpu.user.values())
