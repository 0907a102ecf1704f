"""Guests of a few instructions, put together in Python: what tests of hostile guests share."""

from __future__ import annotations

from collections.abc import Sequence

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, Stop
from tests.fuzz.arm import arm_constant
from tests.machine.images import RAM, words

SMALL = MachineConfig(16 * MIB)
GICD, GICC, UART = 0x0800_0000, 0x0801_0000, 0x0900_0000
VECTORS, DATA = RAM + 0x2000, RAM + 0x10_0000

NOP, SELF, UDF, WFI, SVC, HVC, BX_R0 = (
    *(0xE320F000, 0xEAFFFFFE, 0xE7F000F0, 0xE320F003),
    *(0xEF000000, 0xE1400070, 0xE12FFF10),
)
# MCR p15 of r0 (ARM DDI 0406C B3.17)
VBAR, SCTLR, TTBCR, TTBR0, DACR, TVAL, TIMER_CTL = (
    *(0xEE0C0F10, 0xEE010F10, 0xEE020F50, 0xEE020F10),
    *(0xEE030F10, 0xEE0E0F12, 0xEE0E0F32),
)
CVAL = 0xEC410F2E  # MCRR of r0, r1
LONG_FORMAT = 1 << 31
UNDEFINED_VECTOR, SVC_VECTOR, PREFETCH_VECTOR, DATA_VECTOR, IRQ_VECTOR = 0x04, 0x08, 0x0C, 0x10, 0x18


def load(register: int, value: int) -> list[int]:
    """movw, movt."""
    return arm_constant(register, value & 0xFFFF_FFFF)


def cp15(operation: int, value: int) -> list[int]:
    """Write a CP15 register, by way of r0."""
    return [*load(0, value), operation]


def store(address: int, value: int, instruction: int = 0xE5810000) -> list[int]:
    """Store r0 at r1, as a word unless told otherwise."""
    return [*load(1, address), *load(0, value), instruction]


def start(machine: Machine, code: Sequence[int], vectors: dict[int, Sequence[int]] | None = None) -> None:
    """Put code at the start of RAM, vectors (others branch to themselves) behind it, and reset."""
    table = [SELF] * 64
    for offset, handler in (vectors or {}).items():
        table[offset // 4 : offset // 4 + len(handler)] = handler
    machine.write_phys(VECTORS, words(*table))
    machine.write_phys(RAM, words(*code))
    machine.reset(RAM)


def run(
    code: Sequence[int],
    vectors: dict[int, Sequence[int]] | None = None,
    max_insns: int = 10_000,
    smp: int = 1,
) -> Stop:
    """Run code on a machine of its own."""
    with Machine(MachineConfig(16 * MIB, smp=smp)) as machine:
        start(machine, [*cp15(VBAR, VECTORS), *code], vectors)
        return machine.run(max_insns=max_insns)
