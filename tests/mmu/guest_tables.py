"""Hand-made tables for the walk tests: one address, one descriptor a level, everything else invalid."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.mem import Memory
from pyemu.mmu import Regime

RAM = 0x4000_0000
RAM_SIZE = 1 << 20
OUTSIDE = 0x9000_0000
"""A physical address without memory."""

SCTLR_M, SCTLR_I, SCTLR_WXN, SCTLR_UWXN, SCTLR_EE, SCTLR_TRE, SCTLR_AFE = (
    1 << n for n in (0, 12, 19, 20, 25, 28, 29)
)
EAE = 1 << 31

# Index 0x01, level 2 index 0x091, level 3 index 0x145; short: 0x523, 0x45.
VA = 0x5234_5678

# ---- long format ----

LONG_ROOT, LONG_L2, LONG_L3 = RAM + 0x1000, RAM + 0x2000, RAM + 0x3000
AF = 1 << 10
PAGE = 0b11 | AF
BLOCK = 0b01 | AF
TABLE = 0b11
AP1, AP2 = 1 << 6, 1 << 7
PXN, XN = 1 << 53, 1 << 54
PXN_TABLE, XN_TABLE, AP_TABLE0, AP_TABLE1, NS_TABLE = (1 << n for n in (59, 60, 61, 62, 63))
PA = 0xAB_CDE0_0000
"""A 40-bit output address, aligned to 2 MB."""


@dataclass(frozen=True)
class Guest:
    memory: Memory
    regime: Regime


def long_guest(
    l3: int = PA | PAGE,
    *,
    l2: int = LONG_L3 | TABLE,
    l1: int = LONG_L2 | TABLE,
    va: int = VA,
    sctlr: int = 0,
    ttbcr: int = 0,
    mair: int = 0,
) -> Guest:
    """``va`` through three levels from TTBR0 with T0SZ = 0; SCTLR.M and TTBCR.EAE are added."""
    memory = Memory()
    memory.add_ram(RAM, RAM_SIZE)
    order = "big" if sctlr & SCTLR_EE else "little"
    for table, shift, bits, descriptor in (
        (LONG_ROOT, 30, 2, l1),
        (LONG_L2, 21, 9, l2),
        (LONG_L3, 12, 9, l3),
    ):
        index = va >> shift & ((1 << bits) - 1)
        memory.write(table + 8 * index, descriptor.to_bytes(8, order))  # type: ignore[arg-type]
    regime = Regime(
        sctlr=SCTLR_M | sctlr,
        ttbcr=EAE | ttbcr,
        ttbr0=LONG_ROOT,
        mair0=mair & 0xFFFF_FFFF,
        mair1=mair >> 32,
    )
    return Guest(memory, regime)


# ---- short format ----

SHORT_ROOT, SHORT_L2 = RAM + 0x4000, RAM + 0x8000
CLIENT_ALL = 0x5555_5555
SECTION, SUPERSECTION, COARSE, SMALL, LARGE = 0b10, 0b10 | 1 << 18, 0b01, 0b10, 0b01
SHORT_PA = 0x8A00_0000


def page_ap(ap: int) -> int:
    """AP[2:0] in a small or large page."""
    return (ap & 3) << 4 | (ap >> 2) << 9


def section_ap(ap: int) -> int:
    """AP[2:0] in a section or supersection."""
    return (ap & 3) << 10 | (ap >> 2) << 15


def short_guest(
    l2: int = SHORT_PA | SMALL | 0b11 << 4,
    *,
    l1: int = SHORT_L2 | COARSE,
    va: int = VA,
    sctlr: int = 0,
    ttbcr: int = 0,
    dacr: int = CLIENT_ALL,
    prrr: int = 0,
    nmrr: int = 0,
) -> Guest:
    """``va`` through two levels from TTBR0 with N = 0; SCTLR.M is added."""
    memory = Memory()
    memory.add_ram(RAM, RAM_SIZE)
    order = "big" if sctlr & SCTLR_EE else "little"
    for table, index, descriptor in ((SHORT_ROOT, va >> 20, l1), (SHORT_L2, va >> 12 & 0xFF, l2)):
        memory.write(table + 4 * index, descriptor.to_bytes(4, order))  # type: ignore[arg-type]
    regime = Regime(sctlr=SCTLR_M | sctlr, ttbcr=ttbcr, ttbr0=SHORT_ROOT, dacr=dacr, mair0=prrr, mair1=nmrr)
    return Guest(memory, regime)
