"""Small guests for the cycle model: cacheable memory mapped flat, and code that misses where a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from tests.machine.images import RAM, words
from tests.machine.small_guests import DACR, SCTLR, SELF, SVC_VECTOR, TTBR0, VBAR, VECTORS, cp15, load

TABLE, PAGES = RAM + 0x4000, RAM + 0x8000
FIRST, LAST = RAM + 0x10_0000, RAM + 0x50_0000
"""Where `strides` loads: four megabytes that are mapped page by page."""

_SECTION = 0x11C0E  # normal memory, write-back, shareable, kernel and user may write (ARM DDI 0406C B3.5.1)
_SMALL = 0x47E


def page_tables(machine: Machine) -> None:
    """RAM flat: its first megabyte a section, the next four of small pages, and the UART."""
    machine.write_phys(TABLE, bytes(0x4000))
    machine.write_phys(TABLE + 4 * (RAM >> 20), words(RAM | _SECTION))
    for megabyte in range(4):
        table = PAGES + 0x400 * megabyte
        machine.write_phys(TABLE + 4 * ((FIRST >> 20) + megabyte), words(table | 1))
        pages = [FIRST + (megabyte << 20) + (page << 12) | _SMALL for page in range(256)]
        machine.write_phys(table, words(*pages))


def mmu_on() -> list[int]:
    """MMU, data cache, instruction cache and branch prediction on."""
    on = 0x00C50078 | 1 | 1 << 2 | 1 << 11 | 1 << 12
    return [*cp15(VBAR, VECTORS), *cp15(DACR, 1), *cp15(TTBR0, TABLE), *cp15(SCTLR, on)]


def strides(stride: int, count: int, rounds: int, instruction: int = 0xE5954000) -> list[int]:
    """`rounds` times `count` loads (ldr r4, [r5], unless another is given) of addresses `stride` apart."""
    return [
        *load(8, rounds),
        *load(5, FIRST),  # 1:
        *load(7, count),
        *load(6, stride),
        instruction,  # 2:
        0xE0855006,  # add r5, r5, r6
        0xE2577001,  # subs r7, r7, #1
        0x1AFFFFFB,  # bne 2b
        0xE2588001,  # subs r8, r8, #1
        0x1AFFFFF3,  # bne 1b
        SELF,
    ]


def timed(code: Sequence[int], core: Any = None, insns: int = 200_000, **config: Any) -> Machine:
    """A machine that ran the code under the MMU; an SVC returns at once. The caller closes it."""
    machine = Machine(MachineConfig(16 * MIB, **{"timing": "cache", **config}), core)
    page_tables(machine)
    machine.write_phys(VECTORS, words(*[SELF] * 8))
    machine.write_phys(VECTORS + SVC_VECTOR, words(0xE1B0F00E))  # movs pc, lr
    machine.write_phys(RAM, words(*mmu_on(), *code))
    machine.reset(RAM)
    machine.run(max_insns=insns)
    return machine
