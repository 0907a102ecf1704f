"""What a translation leaves in DFSR, IFSR and PAR, from both walkers (ARM DDI 0406C B3.13, B4.1)."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from pyemu.mmu import reference
from pyemu.mmu.reference import Fault
from pyemu.native import ffi, lib
from tests.mmu.walk_rules import (
    AF,
    LONG,
    PAGE,
    PL1,
    READ,
    SHORT,
    SUPERSECTION,
    TRE,
    TT0,
    M,
    Regs,
    Row,
    chain,
    memory,
    section,
    short,
)
from tests.mmu.walkers import WALKERS, native_regime


class Status(NamedTuple):
    """A row of the tables above with the fault status register and PAR that it gives."""

    table: str
    row: str
    fsr: int
    par: int


STATUSES = [
    Status("long", "level 1 invalid", 0x205, 0x80B),
    Status("long", "level 2 invalid", 0x206, 0x80D),
    Status("long", "level 3 invalid", 0x207, 0x80F),
    Status("long", "TTBR outside memory", 0x215, 0x82B),
    Status("long", "level 3 table outside memory", 0x217, 0x82F),
    Status("long", "access flag fault at level 1", 0x209, 0x813),
    Status("long", "access flag fault at level 3", 0x20B, 0x817),
    Status("long", "AP 00: PL0 does not read", 0x20F, 0x81F),
    Status("long", "AP 10: PL1 does not write", 0xA0F, 0x81F),
    Status("long", "XN stops both: PL1", 0x20F, 0x81F),
    Status("short", "first level invalid", 0x005, 0x00B),
    Status("short", "second level invalid", 0x007, 0x00F),
    Status("short", "TTBR outside memory", 0x00C, 0x019),
    Status("short", "second-level table outside memory", 0x00E, 0x01D),
    Status("short", "AFE: AP[0] = 0 is an access flag fault", 0x003, 0x007),
    Status("short", "AFE at the second level", 0x006, 0x00D),
    Status("short", "no access", 0x059, 0x013),
    Status("short", "no access at the second level", 0x05B, 0x017),
    Status("short", "AP 000: nothing", 0x00D, 0x01B),
    Status("short", "AP 010: PL0 does not write", 0x80D, 0x01B),
    Status("short", "AP 101: PL1 does not write", 0x80F, 0x01F),
    Status("short", "XN of a small page", 0x00F, 0x01F),
]


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize("status", STATUSES, ids=lambda status: f"{status.table}: {status.row}")
def test_a_fault_shows_in_fsr_and_par(status: Status, walker_name: str) -> None:
    row = next(row for row in (LONG if status.table == "long" else SHORT) if row.name == status.row)
    walker = WALKERS[walker_name](memory(row.regs, row.words))
    assert walker.fault_status(row.regs, row.va, row.access, row.privileged) == status.fsr
    assert walker.par(row.regs, row.va, row.access, row.privileged) == status.par


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize(("index", "attr"), [(0, 0x00), (1, 0x44), (2, 0xFF), (3, 0x04), (5, 0xBB)])
def test_a_64_bit_par_shows_address_attribute_and_shareability(
    index: int, attr: int, walker_name: str
) -> None:
    regs = Regs(mair1=0xBB00)
    row = Row("", 0xFFF, chain(0xAB_CDEF_5000 | AF | PAGE | index << 2 | 0b11 << 8), 0, regs)
    walker = WALKERS[walker_name](memory(regs, row.words))
    assert walker.par(regs, 0xFFF, READ, PL1) == attr << 56 | 0xAB_CDEF_5000 | 1 << 11 | 1 << 9 | 0b11 << 7


NOS, SH = 1 << 10, 1 << 7
INNER_NC, INNER_SO, INNER_DEVICE, INNER_WBWA, INNER_WT, INNER_WB = (n << 4 for n in (0, 1, 3, 5, 6, 7))
OUTER_NC, OUTER_WBWA, OUTER_WT, OUTER_WB = (n << 2 for n in range(4))
S = 1 << 16


def texcb(value: int) -> int:
    """TEX, C and B of a section."""
    return (value >> 2) << 12 | (value & 3) << 2


PLAIN_TYPES = [
    (0b00000, SH | INNER_SO),
    (0b00001, SH | INNER_DEVICE),
    (0b00010, INNER_WT | OUTER_WT),
    (0b00011, INNER_WB | OUTER_WB),
    (0b00100, INNER_NC | OUTER_NC),
    (0b00111, INNER_WBWA | OUTER_WBWA),
    (0b01000, SH | INNER_DEVICE),
    (0b10001, INNER_WBWA | OUTER_NC),
    (0b10110, INNER_WT | OUTER_WBWA),
    (0b11011, INNER_WB | OUTER_WT),
    (0b11100, INNER_NC | OUTER_WB),
]


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize(("bits", "attributes"), PLAIN_TYPES)
@pytest.mark.parametrize("shared", [0, S])
def test_a_32_bit_par_shows_tex_c_b(bits: int, attributes: int, shared: int, walker_name: str) -> None:
    regs, entry = short(), section(extra=texcb(bits) | shared)
    walker = WALKERS[walker_name](memory(regs, {TT0: entry}))
    expected = 0x80000000 | 1 << 9 | attributes | (SH if shared else 0)
    assert walker.par(regs, 0, READ, PL1) == expected


# Linux's PRRR and NMRR (TRUTH: rt-armmp): types SO, NC, WT, WB, device, -, -, WBWA.
PRRR, NMRR = 0xFF0A81A8, 0x40E040E0
REMAPPED_TYPES = [
    (0, 0, SH | INNER_SO),
    (1, 0, INNER_NC | OUTER_NC),
    (1, S, SH | NOS | INNER_NC | OUTER_NC),
    (2, 0, INNER_WT | OUTER_WT),
    (3, 0, INNER_WB | OUTER_WB),
    (4, 0, SH | INNER_DEVICE),
    (4, S, SH | INNER_DEVICE),
    (7, S, SH | NOS | INNER_WBWA | OUTER_WBWA),
    (0b01001, S, SH | NOS | INNER_NC | OUTER_NC),
]


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize(("bits", "shared", "attributes"), REMAPPED_TYPES)
def test_a_32_bit_par_shows_the_remapped_type(
    bits: int, shared: int, attributes: int, walker_name: str
) -> None:
    regs = replace(short(sctlr=M | TRE), mair0=PRRR, mair1=NMRR)
    walker = WALKERS[walker_name](memory(regs, {TT0: section(extra=texcb(bits) | shared)}))
    assert walker.par(regs, 0, READ, PL1) == 0x80000000 | 1 << 9 | attributes


@pytest.mark.parametrize("walker_name", WALKERS)
def test_prrr_ns1_off_makes_shared_memory_private_and_nos_off_makes_it_outer(walker_name: str) -> None:
    entry = {TT0: section(extra=texcb(1) | S)}
    for prrr, expected in ((PRRR & ~(1 << 19), 0), (PRRR & ~(1 << 25), SH)):
        regs = replace(short(sctlr=M | TRE), mair0=prrr, mair1=NMRR)
        walker = WALKERS[walker_name](memory(regs, entry))
        assert walker.par(regs, 0, READ, PL1) == 0x80000000 | 1 << 9 | expected


@pytest.mark.parametrize("walker_name", WALKERS)
def test_a_32_bit_par_of_a_supersection_has_pa_39_32_in_bits_23_16(walker_name: str) -> None:
    walker = WALKERS[walker_name](memory(short(), {TT0: SUPERSECTION}))
    assert walker.par(short(), 0, READ, PL1) == 0x9ACB0000 | 1 << 9 | SH | INNER_SO | 1 << 1


def test_cache_maintenance_counts_as_a_write_and_sets_cm() -> None:
    t = reference.Translation(Fault.TRANSLATION, 2, domain=5)
    assert reference.fault_status(Regs(), t, READ, cache_maintenance=True) == 0x2A06
    assert reference.fault_status(short(), t, READ, cache_maintenance=True) == 0x2857
    native = ffi.new("pe_translation *", {"fault": lib.PE_FAULT_TRANSLATION, "level": 2, "domain": 5})
    assert lib.pe_fault_status(native_regime(Regs()), native, lib.PE_READ, True) == 0x2A06
    assert lib.pe_fault_status(native_regime(short()), native, lib.PE_READ, True) == 0x2857


@pytest.mark.parametrize(
    ("fault", "long_status", "short_status"),
    [(Fault.ALIGNMENT, 0x221, 0x001), (Fault.DEBUG, 0x222, 0x002), (Fault.EXTERNAL, 0x210, 0x008)],
)
def test_faults_without_a_level(fault: Fault, long_status: int, short_status: int) -> None:
    t = reference.Translation(fault, 0)
    native = ffi.new("pe_translation *", {"fault": int(fault)})
    for regs, status in ((Regs(), long_status), (short(), short_status)):
        assert reference.fault_status(regs, t, READ) == status
        assert lib.pe_fault_status(native_regime(regs), native, lib.PE_READ, False) == status
