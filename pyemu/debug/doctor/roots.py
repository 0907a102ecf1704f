"""The registers that say where the tables are and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pyemu.debug.doctor.case import Case, Finding
from pyemu.mmu import Flag, Regime

__all__ = ["alignment", "descriptor_format", "split", "upper_word"]

_TTBCR_EAE = 1 << 31
_TTBR_UPPER = 0xFF << 32  # bits 39:32; the ASID above them is no address


def alignment(case: Case) -> Iterator[Finding]:
    """Low bits of TTBR that are neither address nor attributes."""
    r = case.regime
    for number, value in enumerate((r.ttbr0, r.ttbr1)):
        if r.long_format:
            size = r.ttbcr >> 16 * number & 7
            used = number == 0 or size or r.ttbcr & 7
            align = 1 << (5 - size if size <= 1 else 14 - size)
            stray = value & align - 1 & ~7
        else:
            n = r.ttbcr & 7
            used = number == 0 or n
            align = 1 << (14 - n if number == 0 else 14)
            stray = value & align - 1 & ~0x7F
        if used and stray:
            yield Finding(
                "table alignment",
                f"TTBR{number} = {value:#x}: the root table must be aligned to {align:#x} bytes, the "
                f"hardware takes {value & ~0x7F & -align & 0xFF_FFFF_FFFF:#x}",
                "a root table is aligned to its size; lower bits of the base are ignored or unpredictable",
                f"B4.1.{154 + number}",
            )


def _lost(case: Case) -> int | None:
    """The PC where nothing maps it; else None."""
    if case.pc is None or case.fetch(case.pc, case.privileged).result.size:
        return None
    return case.pc


def descriptor_format(case: Case) -> Iterator[Finding]:
    """The PC translates only if TTBCR.EAE were the other way round."""
    pc = _lost(case)
    if pc is None:
        return
    pa = case.fetch_with(replace(case.regime, ttbcr=case.regime.ttbcr ^ _TTBCR_EAE), pc)
    if pa is None:
        return
    now, then = ("long", "short") if case.regime.long_format else ("short", "long")
    yield Finding(
        "descriptor format",
        f"TTBCR.EAE = {int(case.regime.long_format)} selects {now} descriptors, but the tables at TTBR0 "
        f"{case.regime.ttbr0:#x} are {then} ones: read so, they map the PC {pc:#010x} to {pa:#x}",
        "TTBCR.EAE selects the format of all stage 1 tables of PL1 and PL0",
        "B4.1.153",
    )


def upper_word(case: Case) -> Iterator[Finding]:
    """The PC translates only if TTBR0 were 32 bits."""
    pc, ttbr0 = _lost(case), case.regime.ttbr0
    if pc is None or not case.regime.long_format or not ttbr0 & _TTBR_UPPER:
        return
    pa = case.fetch_with(replace(case.regime, ttbr0=ttbr0 & ~_TTBR_UPPER), pc)
    if pa is not None:
        yield Finding(
            "table base",
            f"TTBR0 = {ttbr0:#x} has bits 39:32 = {ttbr0 >> 32 & 0xFF:#x}, and nothing maps the PC "
            f"{pc:#010x}; the table at {ttbr0 & 0xFFFF_FFFF:#x} maps it to {pa:#x}: MCRR wrote a wrong upper "
            "word",
            "with long descriptors TTBR0 has 64 bits: the base in 39:x, the ASID in 55:48, all else zero",
            "B4.1.154",
        )


def split(case: Case) -> Iterator[Finding]:
    """The PC lies beyond what TTBR0 translates, though its table has it."""
    pc, r = _lost(case), case.regime
    if pc is None or not r.ttbcr & 0x0007_0007:
        return
    pa = case.fetch_with(replace(r, ttbcr=r.ttbcr & ~(0x0007_0007 if r.long_format else 7)), pc)
    if pa is None:
        return
    n = r.ttbcr & 7
    name = "TTBCR.T0SZ" if r.long_format else "TTBCR.N"
    second = bool(case.fetch(pc).result.flags & Flag.TTBR1)
    left = f"is left to TTBR1 = {r.ttbr1:#x}, whose tables do not map it" if second else "is left to no TTBR"
    yield Finding(
        "TTBR split",
        f"{name} = {n}: TTBR0 translates up to {_last(r):#010x}, and the PC {pc:#010x} {left}; "
        f"with {name} = 0 the table at TTBR0 {r.ttbr0:#x} would map it to {pa:#x}",
        f"{name} = n leaves TTBR0 the lowest 4 GB / 2^n; what lies above them TTBR1 translates",
        "B4.1.153" if r.long_format else "B3.5.4",
    )


def _last(regime: Regime) -> int:
    return 0xFFFF_FFFF >> (regime.ttbcr & 7)
