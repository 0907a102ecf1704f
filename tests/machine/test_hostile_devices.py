"""Registers, devices and calls take anything from a guest, at any address and of any size."""

from __future__ import annotations

import random

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, StopReason
from tests.machine.images import RAM, SVC_HOST, words
from tests.machine.small_guests import (
    CVAL,
    DATA,
    DATA_VECTOR,
    GICC,
    GICD,
    HVC,
    IRQ_VECTOR,
    PREFETCH_VECTOR,
    SELF,
    SMALL,
    SVC_VECTOR,
    TIMER_CTL,
    UART,
    UNDEFINED_VECTOR,
    VBAR,
    VECTORS,
    WFI,
    cp15,
    load,
    run,
    start,
    store,
)

ENDS = (StopReason.LIMIT, StopReason.LOCKUP, StopReason.DEADLOCK, StopReason.POWEROFF, StopReason.RESET)
GO_ON = {
    UNDEFINED_VECTOR: [0xE1B0F00E],
    SVC_VECTOR: [0xE1B0F00E],
    PREFETCH_VECTOR: [SELF],
    DATA_VECTOR: [0xE25EF004],
    IRQ_VECTOR: [0xE25EF004],
}


@pytest.mark.parametrize("seed", range(3))
def test_every_cp15_register_may_be_written_with_anything(seed: int) -> None:
    rng = random.Random(seed)
    code = cp15(VBAR, VECTORS)
    for operation in range(1 << 14):
        crn, crm, opc1, opc2 = operation >> 10, operation >> 6 & 15, operation >> 3 & 7, operation & 7
        if crn in (1, 2, 3, 10, 12) and seed:  # seed 0 may end the translation, and so the test
            continue
        code += [*load(0, rng.getrandbits(32)), 0xEE000F10 | opc1 << 21 | crn << 16 | opc2 << 5 | crm]
        code += [0xEE101F10 | opc1 << 21 | crn << 16 | opc2 << 5 | crm]
    for operation in range(1 << 8):
        code += [0xEC410F00 | operation, 0xEC532F00 | operation]
    with Machine(SMALL) as machine:
        machine.write_phys(DATA, words(*code, SELF))
        start(machine, [], GO_ON)
        machine.reset(DATA)
        stop = machine.run(max_insns=200_000)
        assert stop.reason in ENDS
        assert not seed or machine.reg("pc") == DATA + 4 * len(code)


@pytest.mark.parametrize("device", [GICD, GICC, UART, 0x0901_0000, 0x0902_0000, 0x0903_0000, 0, 0x0400_0000])
@pytest.mark.parametrize("smp", [1, 8])
def test_every_device_register_takes_accesses_of_every_size_and_alignment(device: int, smp: int) -> None:
    """r1 walks over 4 KB of registers; r0 is a linear congruential generator."""
    accesses = [
        0xE5810000,
        0xE5C10000,
        0xE1C100B0,
        0xE1C120F0,
        0xE8810003,
        0xE5912000,
        0xE5D12000,
        0xE1D120B0,
    ]
    accesses += [0xE1C120D0, 0xE891000C, 0xE1912F9F, 0xE1A00000]
    step = [*load(5, 1664525), *load(6, 1013904223), 0xE0206095, 0xE2811001, 0xE1510007]
    code = [*load(1, device), *load(7, device + 0x1000), *accesses, *step]
    code += [0x1A000000 | -(len(accesses) + len(step) + 2) & 0xFFFFFF, SELF]
    with Machine(MachineConfig(16 * MIB, smp=smp)) as machine:
        start(machine, [*cp15(VBAR, VECTORS), 0xF1080080, *code], GO_ON)
        stop = machine.run(max_insns=120_000)
        assert stop.reason is StopReason.LIMIT
        assert machine.reg("r1") == device + 0x1000
        assert machine.stats().mmio > 4096 * 4


@pytest.mark.parametrize("compare", [0, 1, 0x3E8, 1 << 40, 1 << 50, 1 << 60, 1 << 63, (1 << 64) - 1])
def test_a_timer_fires_late_or_never_and_time_never_goes_back(compare: int) -> None:
    code = store(GICC, 1) + store(GICC + 4, 0xFF) + store(GICD, 1) + store(GICD + 0x100, 1 << 30)
    code += [*load(0, compare), *load(1, compare >> 32), CVAL, *cp15(TIMER_CTL, 1), WFI, SELF]
    with Machine(SMALL) as machine:
        start(machine, code)
        stop = machine.run(max_insns=1000)
        before = machine.time_ns
        assert stop.reason is (StopReason.LIMIT if compare <= 1 << 40 else StopReason.DEADLOCK)
        assert compare > 1 << 40 or before >= 16 * compare
        machine.run(max_insns=1000)
        assert machine.time_ns >= before


@pytest.mark.parametrize("seed", range(4))
def test_firmware_calls_take_any_arguments(seed: int) -> None:
    """Each CPU that is woken runs what lies at a random place, zeros mostly."""
    rng = random.Random(seed)
    code = []
    for _ in range(200):
        numbers = (0x8400_0000 + rng.choice((0, 2, 3, 3, 3, 4, 6, 10, rng.getrandbits(5))), rng.randrange(10))
        values = (*numbers, rng.choice((RAM, DATA, rng.getrandbits(32))), rng.getrandbits(32))
        code += [word for register, value in enumerate(values) for word in load(register, value)] + [HVC]
    assert run([*code, SELF], GO_ON, max_insns=100_000, smp=8).reason in ENDS


@pytest.mark.parametrize("seed", range(4))
def test_semihosting_takes_wild_pointers_and_lengths(seed: int) -> None:
    rng = random.Random(seed)
    wild = (0, 0xFFFF_FFFF, 0xFFFF_FFFC, RAM - 1, RAM + 16 * MIB - 2, UART, DATA, 0x7FFF_FFFF)
    code = []
    for _ in range(300):
        code += [*load(1, rng.choice(wild)), *load(0, rng.choice((*range(0x18), 0x30, 0x31, 0x99))), SVC_HOST]
    with Machine(SMALL) as machine:
        start(machine, [*cp15(VBAR, VECTORS), *code, SELF], GO_ON)
        machine.write_phys(DATA, words(*(rng.choice(wild) for _ in range(64))))
        machine.console.write(b"line\n" * 1000)
        stop = machine.run(max_insns=10_000)
        assert stop.reason is StopReason.LIMIT
        assert machine.reg("pc") == RAM + 4 * len([*cp15(VBAR, 0), *code])
